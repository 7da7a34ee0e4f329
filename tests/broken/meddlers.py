"""Correct servers that something comes between, to try out clients; part of the selftest."""

import heapq
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from server import COMPACT, LOOPBACK, SPACED, Address, Server, Session, Spelling, spelling_of

POLL_S = 0.05
# Zero would mean not to wait at all, which is another kind of socket.
SHORTEST_S = 1e-6


class Peer(Server):
    """A correct server that keeps its files in mind and sends its answers when they are due."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.port: int = sock.getsockname()[1]
        self.saved: dict[str, bytes] = {}
        self.objection = ""
        self.is_stopped = False
        self.heard: list[bytes] = []
        self._due: list[tuple[float, int, bytes, Address]] = []

    def run(self) -> None:
        while not self.is_stopped:
            next_due = self._due[0][0] - time.monotonic() if self._due else POLL_S
            self.socket.settimeout(min(POLL_S, max(SHORTEST_S, next_due)))
            try:
                message, client = self.socket.recvfrom(65_535)
            except TimeoutError:
                pass
            else:
                self.heard.append(message)
                self.on_heard(message, client)
            while self._due and self._due[0][0] <= time.monotonic():
                _, _, answer, client = heapq.heappop(self._due)
                self.socket.sendto(answer, client)

    def on_heard(self, message: bytes, client: Address) -> None:
        self.handle(message, client)

    def send_later(self, message: bytes, client: Address, delay_s: float) -> None:
        heapq.heappush(self._due, (time.monotonic() + delay_s, len(self.heard), message, client))

    def finish(self, session: Session) -> None:
        self.saved[session.path.name] = bytes(session.content)
        session.is_finished = True

    def is_first(self, message: bytes) -> bool:
        return self.heard.count(message) == 1

    def spelling(self) -> Spelling:
        return spelling_of(self.heard[0]) or SPACED

    def numbered(self, number: int) -> bytes:
        return self.spelling().separator.join([b"a", b"%d" % number])


class LosesStart(Peer):
    def on_heard(self, message: bytes, client: Address) -> None:
        if not (message.startswith(b"s") and self.is_first(message)):
            super().on_heard(message, client)


class LosesData(Peer):
    """The first copy of every chunk."""

    def on_heard(self, message: bytes, client: Address) -> None:
        if message.startswith(b"s") or not self.is_first(message):
            super().on_heard(message, client)


class LosesStartAck(Peer):
    def reply(self, message: bytes, client: Address) -> None:
        if len(self.heard) > 1:
            super().reply(message, client)


class LosesAcks(Peer):
    """The first one of every chunk."""

    def reply(self, message: bytes, client: Address) -> None:
        if self.heard[-1].startswith(b"s") or not self.is_first(self.heard[-1]):
            super().reply(message, client)


class LosesLastAck(Peer):
    def reply(self, message: bytes, client: Address) -> None:
        if not self.saved or not self.is_first(self.heard[-1]):
            super().reply(message, client)


class RepeatsAcks(Peer):
    def reply(self, message: bytes, client: Address) -> None:
        super().reply(message, client)
        super().reply(message, client)


class Late(Peer):
    """All acknowledgements of the second chunk are late."""

    def reply(self, message: bytes, client: Address) -> None:
        is_second_chunk = len(set(self.heard)) == 3
        self.send_later(message, client, 1.2 if is_second_chunk else 0.0)


class LateOnce(Peer):
    """The acknowledgement of the second chunk comes after that of its copy; no later chunk may come twice."""

    def reply(self, message: bytes, client: Address) -> None:
        is_late = len(set(self.heard)) == 3 and self.is_first(self.heard[-1])
        self.send_later(message, client, 1.2 if is_late else 0.3)

    def on_heard(self, message: bytes, client: Address) -> None:
        super().on_heard(message, client)
        if len(set(self.heard)) > 3 and not self.is_first(message):
            self.objection = "a later chunk came twice"


class FirstSends(Peer):
    """Something before each answer to a chunk."""

    def before(self, number: int) -> list[bytes]:
        raise NotImplementedError

    def ack(self, session: Session, number: int) -> None:
        for message in self.before(number):
            self.reply(message, session.client)
        super().ack(session, number)


class Stale(FirstSends):
    def before(self, number: int) -> list[bytes]:
        return [self.numbered(number)]


class Future(FirstSends):
    def before(self, number: int) -> list[bytes]:
        return [self.numbered(number + 2 if self.spelling() is SPACED else 7)]


class Garbage(FirstSends):
    def before(self, number: int) -> list[bytes]:
        return [b"", b"\xff\x00hello"]


class Truncated(FirstSends):
    def before(self, number: int) -> list[bytes]:
        return [self.numbered(number)[:-1]]


class FalsePort(Peer):
    """The first copy of every chunk is lost, and yet the right answer comes, but from elsewhere."""

    def on_heard(self, message: bytes, client: Address) -> None:
        if message.startswith(b"s") or not self.is_first(message):
            return super().on_heard(message, client)
        number = int(message.split(self.spelling().separator, 2)[1])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
            elsewhere.sendto(self.numbered(self.spelling().after(number)), client)
        return None


class SmallBuffer(Peer):
    """What is longer than announced is lost."""

    def start_ack(self, session: Session) -> bytes:
        return super().start_ack(session).replace(b"1024", b"100")

    def on_heard(self, message: bytes, client: Address) -> None:
        if len(message) <= (COMPACT.bufsize if self.spelling() is COMPACT else 100):
            super().on_heard(message, client)


class Silent(Peer):
    def on_heard(self, message: bytes, client: Address) -> None:
        pass


class Forgets(Peer):
    def on_heard(self, message: bytes, client: Address) -> None:
        if len(set(self.heard)) < 3:
            super().on_heard(message, client)


class Dies(Peer):
    def on_heard(self, message: bytes, client: Address) -> None:
        super().on_heard(message, client)
        self.is_stopped = len(set(self.heard)) == 3


class Weather(Peer):
    """A round trip of so long, and losses, always the same ones."""

    round_trip_s = 0.0
    loss = 0.0

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.dice = random.Random(5)

    def reply(self, message: bytes, client: Address) -> None:
        if self.dice.random() >= self.loss:
            self.send_later(message, client, self.round_trip_s)


class Wifi(Weather):
    round_trip_s = 0.012


class Cellular(Weather):
    round_trip_s = 0.08


class Satellite(Weather):
    round_trip_s = 0.6


class Lab(Weather):
    round_trip_s = 2.2


class Hostile(Weather):
    round_trip_s = 0.1
    loss = 0.2


@dataclass(frozen=True)
class Trial:
    """What comes between, the file's size in chunks and bytes (or its content), how a good client ends."""

    meddler: Callable[[socket.socket], Peer] = Peer
    chunks: float = 3.5
    extra: int = 0
    content: bytes | None = None
    wanted: str = ""


GIVES_UP = "exit code 1"
TRIALS: dict[str, Trial] = {
    "plain-copy": Trial(),
    "file-empty": Trial(chunks=0),
    "file-one-byte": Trial(chunks=0, extra=1),
    "file-chunk": Trial(chunks=2),
    "file-chunk-plus-one": Trial(chunks=2, extra=1),
    "file-megabyte": Trial(chunks=0, extra=1 << 20),
    "binary-data": Trial(content=bytes(range(256))),
    "file-name": Trial(),
    "chunk-numbers": Trial(),
    "start-lost": Trial(LosesStart),
    "start-ack-lost": Trial(LosesStart),
    "data-lost": Trial(LosesData),
    "ack-lost": Trial(LosesAcks),
    "last-ack-lost": Trial(LosesLastAck),
    "ack-repeated": Trial(RepeatsAcks),
    "ack-late": Trial(Late),
    "stale-ack": Trial(Stale),
    "future-ack": Trial(Future),
    "garbage": Trial(Garbage),
    "ack-truncated": Trial(Truncated),
    "wrong-port": Trial(FalsePort),
    "oversize": Trial(SmallBuffer),
    "silent-server": Trial(Silent, wanted=GIVES_UP),
    "server-forgets": Trial(Forgets, wanted=GIVES_UP),
    "server-dies": Trial(Dies, wanted=GIVES_UP),
    "no-doubling": Trial(LateOnce),
    "weather-clean": Trial(),
    "weather-wifi": Trial(Wifi),
    "weather-cellular": Trial(Cellular),
    "weather-satellite": Trial(Satellite),
    "weather-lab": Trial(Lab),
    "weather-hostile": Trial(Hostile),
}
# These take the longest.
SLOW = ("silent-server", "server-forgets", "server-dies", "weather-lab", "start-lost", "oversize")


@contextmanager
def running(meddler: Callable[[socket.socket], Peer]) -> Iterator[Peer]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((LOOPBACK, 0))
        peer = meddler(sock)
        thread = threading.Thread(target=work, args=(peer,), daemon=True)
        thread.start()
        try:
            yield peer
        finally:
            peer.is_stopped = True
            thread.join()


def work(peer: Peer) -> None:
    """A peer that ends by itself leaves a closed port behind."""
    with peer.socket:
        peer.run()
