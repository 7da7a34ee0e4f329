"""A lab client, correct or with one deliberate fault: client.py HOST:PORT LOCAL REMOTE [--fault CASE]."""

import argparse
import itertools
import math
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LARGEST_DATAGRAM = 65_507
# A smaller one leaves no room behind a header: such an answer is damaged.
SMALLEST_DATAGRAM = 32
USUAL_DATAGRAM = 1024
COMPACT_DATAGRAM = 20_480
LONGEST_NUMBER = len(str(2**64))

GIVE_UP_S = 20.0
LONGEST_WAIT_S = 3.0
# What a server may pause beyond the usual without being taken for silent.
LEEWAY_S = 0.2
# Broken clients end at last, whatever they wait for; the endless ones do not.
BROKEN_LIFETIME_S = 55.0

Address = tuple[str, int]


@dataclass(frozen=True)
class Spelling:
    separator: bytes
    first_wait_s: float

    def after(self, number: int) -> int:
        """The number of the next message; the compact spelling has but two numbers."""
        return (number + 1) % 2 if self is COMPACT else number + 1


SPACED = Spelling(b" | ", 0.5)
COMPACT = Spelling(b"|", 1.0)
SPELLINGS = {"spaced": SPACED, "compact": COMPACT}


@dataclass(frozen=True)
class Ack:
    number: int
    bufsize: int | None


class NoAnswer(Exception):
    pass


def decimal(digits: bytes) -> int | None:
    """Only plain digits are a number: int() would also take signs, blanks and underscores."""
    return int(digits) if digits.isdigit() and len(digits) <= LONGEST_NUMBER else None


class Timer:
    """When to repeat: RFC 6298, that is four variations behind the smoothed round trip."""

    def __init__(self, first_wait_s: float) -> None:
        self.wait_s = first_wait_s
        self._smoothed_s: float | None = None
        self._variation_s = 0.0

    def measure(self, round_trip_s: float) -> None:
        if self._smoothed_s is None:
            self._smoothed_s, self._variation_s = round_trip_s, round_trip_s / 2
        else:
            self._variation_s += (abs(self._smoothed_s - round_trip_s) - self._variation_s) / 4
            self._smoothed_s += (round_trip_s - self._smoothed_s) / 8
        self.wait_s = min(LONGEST_WAIT_S, self._smoothed_s + max(LEEWAY_S, 4 * self._variation_s))

    def back_off(self) -> None:
        """The longer wait holds until the next measurement, or a slow path would never be measured."""
        self.wait_s = min(LONGEST_WAIT_S, 2 * self.wait_s)


class Client:
    """Everything is done by the rules. Nothing but the timer makes it send a message again."""

    def __init__(
        self,
        sock: socket.socket,
        server: Address,
        content: bytes,
        remote: str,
        spelling: Spelling,
        give_up_s: float = GIVE_UP_S,
    ) -> None:
        self.socket = sock
        self.server = server
        self.content = content
        self.size = len(content)
        self.remote = remote
        self.spelling = spelling
        self.give_up_s = give_up_s
        self.timer = Timer(spelling.first_wait_s)
        self.number = 0
        self.offset = 0
        self.bufsize = COMPACT_DATAGRAM if spelling is COMPACT else USUAL_DATAGRAM
        self.is_started = False

    def run(self) -> None:
        ack = self.exchange(self.start_message())
        self.is_started = True
        if ack.bufsize is not None and self.spelling is SPACED:
            self.bufsize = min(ack.bufsize, LARGEST_DATAGRAM)
        self.number = self.next_number(ack)
        for chunk in self.chunks():
            self.number = self.next_number(self.exchange(self.header() + chunk))

    def start_message(self) -> bytes:
        fields = [b"s", b"%d" % self.number, os.fsencode(self.remote), b"%d" % self.size]
        return self.spelling.separator.join(fields)

    def header(self) -> bytes:
        return self.spelling.separator.join([b"d", b"%d" % self.number, b""])

    def chunks(self) -> Iterator[bytes]:
        """No chunk at all for a file of zero bytes: its start says everything."""
        while not self.is_all_taken():
            chunk = self.content[self.offset : self.offset + self.room()]
            self.offset += len(chunk)
            yield chunk

    def room(self) -> int:
        return self.bufsize - len(self.header())

    def is_all_taken(self) -> bool:
        return self.offset >= len(self.content)

    # -- one message and its answer

    def exchange(self, message: bytes) -> Ack:
        give_up_at = time.monotonic() + self.patience_s()
        copies = 0
        while (sent_at := time.monotonic()) < give_up_at:
            self.transmit(message)
            copies += 1
            ack = self.wait(min(sent_at + self.timer.wait_s, give_up_at))
            if ack is not None:
                if copies == 1:  # Karn's rule: of several copies nobody knows which one was answered
                    self.timer.measure(time.monotonic() - sent_at)
                return ack
            self.timer.back_off()
            message = self.repeat(message)
        raise NoAnswer(f"no answer, {self.offset} of {self.size} bytes sent")

    def patience_s(self) -> float:
        return self.give_up_s

    def transmit(self, message: bytes) -> None:
        self.socket.sendto(message, self.server)

    def repeat(self, message: bytes) -> bytes:
        """What to send after a time-out."""
        return message

    def wait(self, until: float) -> Ack | None:
        """The awaited acknowledgement; all else that comes meanwhile is ignored."""
        while (left_s := until - time.monotonic()) > 0:
            self.socket.settimeout(left_s)
            try:
                message, sender = self.socket.recvfrom(LARGEST_DATAGRAM)
            except TimeoutError:
                break
            if self.is_server(sender) and (ack := self.parse(message)):
                if self.is_awaited(ack):
                    return ack
                self.on_unawaited(ack)
        return None

    def is_server(self, sender: Address) -> bool:
        return sender == self.server

    def parse(self, message: bytes) -> Ack | None:
        kind, *fields = message.split(self.spelling.separator)
        if kind != b"a" or len(fields) not in (1, 2) or (number := decimal(fields[0])) is None:
            return None
        if self.spelling is COMPACT:
            # Its numbers have one digit; what follows is for clients that count (`a|02`).
            number = int(fields[0][:1])
        if not any(fields[1:]):
            return Ack(number, None)
        bufsize = decimal(fields[1])
        return None if bufsize is None or bufsize < SMALLEST_DATAGRAM else Ack(number, bufsize)

    def awaited(self) -> int:
        return self.spelling.after(self.number)

    def is_awaited(self, ack: Ack) -> bool:
        return ack.number == self.awaited()

    def on_unawaited(self, ack: Ack) -> None:
        """A late one, or one that was sent twice. To answer it would double the traffic from here on."""

    def next_number(self, ack: Ack) -> int:
        return ack.number


# -- The faults: each is the correct client but for one thing, which the first line of its text says.

FAULTS: dict[str, type[Client]] = {}
ENDLESS = ("silent-server", "server-forgets", "server-dies")


def fault(name: str) -> Callable[[type[Client]], type[Client]]:
    def enter(client: type[Client]) -> type[Client]:
        FAULTS[name] = client
        return client

    return enter


class FixedTimer(Timer):
    """No fault: waits as long each time."""

    def measure(self, round_trip_s: float) -> None:
        pass

    def back_off(self) -> None:
        pass


@fault("plain-copy")
class LosesLastByte(Client):
    """Sends the last chunk short by a byte."""

    def chunks(self) -> Iterator[bytes]:
        for chunk in super().chunks():
            yield chunk[:-1] if self.is_all_taken() else chunk


@fault("file-empty")
class SkipsEmptyFile(Client):
    """Sends nothing at all for a file of zero bytes, and says that it is delivered."""

    def run(self) -> None:
        if self.content:
            super().run()


@fault("file-one-byte")
class SkipsOneByte(Client):
    """Sends only the start of a file of one byte."""

    def chunks(self) -> Iterator[bytes]:
        return super().chunks() if self.size > 1 else iter(())


@fault("file-chunk")
class DropsLastFullChunk(Client):
    """Does not send the last chunk if it is a full one."""

    def chunks(self) -> Iterator[bytes]:
        for chunk in super().chunks():
            if len(chunk) < self.room() or not self.is_all_taken():
                yield chunk


@fault("file-chunk-plus-one")
class DropsLastByte(Client):
    """Does not send the last chunk if it has one byte and is not the only one."""

    def chunks(self) -> Iterator[bytes]:
        return (chunk for chunk in super().chunks() if len(chunk) > 1 or self.offset == 1)


@fault("file-megabyte")
class StopsEarly(Client):
    """Stops after 256 chunks (compact: after 500000 bytes)."""

    def chunks(self) -> Iterator[bytes]:
        return itertools.islice(super().chunks(), 256 if self.spelling is SPACED else 500_000 // self.room())


@fault("binary-data")
class ReadsText(Client):
    """Reads the file as UTF-8 text and leaves out what is none."""

    def run(self) -> None:
        self.content = self.content.decode(errors="ignore").encode()
        self.size = len(self.content)
        super().run()


@fault("file-name")
class SendsExtension(Client):
    """Sends only the extension of the name."""

    def start_message(self) -> bytes:
        self.remote = self.remote.rpartition(".")[2]
        return super().start_message()


@fault("chunk-numbers")
class CountsByTwos(Client):
    """Numbers its chunks 2, 4, 6 (compact: always 1)."""

    def next_number(self, ack: Ack) -> int:
        return ack.number + 1 if self.spelling is SPACED else 1


@fault("start-lost")
class SendsStartOnce(Client):
    """Never repeats the start."""

    has_begun = False

    def transmit(self, message: bytes) -> None:
        if self.is_started or not self.has_begun:
            super().transmit(message)
        self.has_begun = True


@fault("start-ack-lost")
class GoesOnUnanswered(Client):
    """Goes on with the data if the start is not answered at once."""

    def exchange(self, message: bytes) -> Ack:
        if self.is_started:
            return super().exchange(message)
        self.transmit(message)
        return self.wait(time.monotonic() + self.timer.wait_s) or Ack(self.awaited(), None)


@fault("data-lost")
class SendsChunksOnce(Client):
    """Never repeats a chunk: goes on with the next one."""

    def exchange(self, message: bytes) -> Ack:
        if not self.is_started:
            return super().exchange(message)
        self.transmit(message)
        return self.wait(time.monotonic() + self.timer.wait_s) or Ack(self.awaited(), None)


@fault("ack-lost")
class ReadsOnAtTimeOut(Client):
    """Goes on with the next chunk, under the same number, after a time-out."""

    def repeat(self, message: bytes) -> bytes:
        return self.header() + next(self.chunks(), b"") if self.is_started else message


@fault("last-ack-lost")
class GivesUpAtTheEnd(Client):
    """Does not repeat the last chunk, and says that it failed."""

    def repeat(self, message: bytes) -> bytes:
        if self.is_started and self.is_all_taken():
            raise NoAnswer("no answer to the last chunk")
        return message


@fault("ack-repeated")
class TakesAnyAck(Client):
    """Takes any acknowledgement as the answer to its chunk, and goes on from its number."""

    def is_awaited(self, ack: Ack) -> bool:
        return self.is_started or super().is_awaited(ack)


@fault("ack-late")
class Hurried(Client):
    """Gives up after three time-outs of 0.3 s."""

    def run(self) -> None:
        self.timer = FixedTimer(0.3)
        super().run()

    def patience_s(self) -> float:
        return 0.9


@fault("stale-ack")
class TakesStaleAcks(Client):
    """Takes the acknowledgement of an earlier message for that of its chunk, and goes on from its number."""

    def is_awaited(self, ack: Ack) -> bool:
        is_stale = self.spelling is COMPACT or ack.number < self.awaited()
        return super().is_awaited(ack) or (self.is_started and is_stale)


@fault("future-ack")
class TakesFutureAcks(Client):
    """Takes an acknowledgement whose number is too high, and goes on with the chunk of that number."""

    def is_awaited(self, ack: Ack) -> bool:
        return ack.number >= self.awaited() or self.spelling is COMPACT

    def next_number(self, ack: Ack) -> int:
        ahead = ack.number - self.awaited() if self.spelling is SPACED else int(not super().is_awaited(ack))
        self.offset += ahead * self.room()
        return ack.number


@fault("garbage")
class DiesOfGarbage(Client):
    """Dies of a ValueError when something else than an acknowledgement comes."""

    def parse(self, message: bytes) -> Ack | None:
        if not message.startswith(b"a"):
            raise ValueError(f"not an acknowledgement: {message[:20]!r}")
        return super().parse(message)


@fault("ack-truncated")
class DiesOfTruncated(Client):
    """Dies of a ValueError when an acknowledgement has no number."""

    def parse(self, message: bytes) -> Ack | None:
        ack = super().parse(message)
        if ack is None and message.startswith(b"a"):
            raise ValueError(f"no number: {message[:20]!r}")
        return ack


@fault("wrong-port")
class BelievesAnybody(Client):
    """Does not look where an acknowledgement comes from."""

    def is_server(self, sender: Address) -> bool:
        return True


@fault("oversize")
class IgnoresBufsize(Client):
    """Sends datagrams of 1024 bytes whatever the server announced (compact: chunks of 30000 bytes)."""

    def room(self) -> int:
        return USUAL_DATAGRAM - len(self.header()) if self.spelling is SPACED else 30_000


@fault("silent-server")
class NeverGivesUp(Client):
    """Repeats for ever what is not answered."""

    def patience_s(self) -> float:
        return math.inf


@fault("server-forgets")
class NeverGivesUpOnData(Client):
    """Repeats a chunk for ever, once the start was answered."""

    def patience_s(self) -> float:
        return math.inf if self.is_started else super().patience_s()


@fault("server-dies")
class IgnoresRefusals(NeverGivesUpOnData):
    """Repeats a chunk for ever, also when the system reports that the server's port is closed."""

    def transmit(self, message: bytes) -> None:
        if self.is_started:
            self.socket.connect(self.server)  # reports come for connected sockets only
        with suppress(ConnectionRefusedError):
            super().transmit(message)

    def wait(self, until: float) -> Ack | None:
        try:
            return super().wait(until)
        except ConnectionRefusedError:
            time.sleep(max(0.0, until - time.monotonic()))
            return None


@fault("no-doubling")
class Apprentice(Client):
    """Answers every copy of an acknowledgement with the next chunk: one copy doubles all that follows."""

    current = b""

    def exchange(self, message: bytes) -> Ack:
        self.current = message
        return super().exchange(message)

    def on_unawaited(self, ack: Ack) -> None:
        if self.is_started and ack.number == self.number:
            self.transmit(self.current)


class Hasty(TakesAnyAck):
    """The weather faults: repeats too early, and takes the second answer for that of the next chunk."""

    wait_s: float

    def run(self) -> None:
        self.timer = FixedTimer(self.wait_s)
        super().run()


@fault("weather-clean")
class StopsAfterTwo(Client):
    """Stops after two chunks, and says that the file is delivered."""

    def chunks(self) -> Iterator[bytes]:
        return itertools.islice(super().chunks(), 2)


@fault("weather-wifi")
class HastyOnWifi(Hasty):
    """Repeats every 5 ms and takes any acknowledgement: a round trip takes at least 6 ms."""

    wait_s = 0.005


@fault("weather-cellular")
class HastyOnCellular(Hasty):
    """Repeats every 40 ms and takes any acknowledgement: a round trip takes at least 60 ms."""

    wait_s = 0.04


@fault("weather-satellite")
class HastyOnSatellite(Hasty):
    """Repeats every 300 ms and takes any acknowledgement: a round trip takes at least 580 ms."""

    wait_s = 0.3


@fault("weather-lab")
class HastyInTheLab(Hasty):
    """Repeats every 0.7 s and takes any acknowledgement: a round trip takes 2.2 s."""

    wait_s = 0.7


@fault("weather-hostile")
class HastyAmongEnemies(Hasty):
    """Repeats every 25 ms and takes any acknowledgement: a round trip takes at least 80 ms."""

    wait_s = 0.025


# -- the command line


class ListFaults(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        for name, client in FAULTS.items():
            print(f"{name:<24}{client.__doc__}")
        parser.exit()


def address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    try:
        return socket.gethostbyname(host), int(port)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"unknown host: {host}") from error


def limit_lifetime() -> None:
    def end() -> None:
        print("failed: this has lasted too long", file=sys.stderr, flush=True)
        os._exit(1)

    timer = threading.Timer(BROKEN_LIFETIME_S, end)
    timer.daemon = True
    timer.start()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server", metavar="HOST:PORT", type=address)
    parser.add_argument("local", metavar="LOCAL", type=Path)
    parser.add_argument("remote", metavar="REMOTE")
    parser.add_argument("--fault", metavar="CASE", help="what to do wrong")
    parser.add_argument("--spelling", choices=SPELLINGS, default="spaced")
    parser.add_argument(
        "--give-up",
        metavar="SECONDS",
        type=float,
        default=GIVE_UP_S,
        help="how long to go on without an answer",
    )
    parser.add_argument("--list", action=ListFaults, nargs=0, help="name the faults, one a line, and end")
    options = parser.parse_args()
    if options.fault is not None and options.fault not in FAULTS:
        parser.error(f"no such fault: {options.fault}; --list names them")
    if options.fault is not None and options.fault not in ENDLESS:
        limit_lifetime()
    try:
        content = options.local.read_bytes()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            peer = FAULTS.get(options.fault, Client)
            spelling = SPELLINGS[options.spelling]
            peer(sock, options.server, content, options.remote, spelling, options.give_up).run()
    except (NoAnswer, OSError) as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    print(f"delivered {options.remote!r}, {len(content)} bytes")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
