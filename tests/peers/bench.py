"""The selftest's bench: peers as threads of one process, a relay that meddles with acknowledgements, and questions."""

import heapq
import random
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lab_client import call
from lab_server import serve
from wire import LARGEST_DATAGRAM, LOOPBACK, Address, Desk, Weather, Wire

CALM = Weather()
POLL_S = 0.02
LATE_WRITERS = ("a-s1", "a-s4", "a-s5")
LATE_WRITERS_NEED_S = 2.6
OTHERS_NEED_S = 0.25


def make_contents() -> dict[str, bytes]:
    """The classes of content that expectations.json names."""
    dice = random.Random(7)
    plain = dice.randbytes(45_000).replace(b"|", b"")[:40_960]
    # Few enough of " | " that a client which ends a chunk at each of them is done soon, also with a lossy server.
    words = [b"|", b"\n", b"text", b" |\n", b"|\n|", b"more words for a longer run", b"d|1|"]
    runs = [b"".join(dice.choices(words, k=60)) for _ in range(120)]
    separator = b" | ".join([b" | | |", *runs])[:40_957] + b" | "
    assert len(plain) == len(separator) == 40_960
    return {"plain": plain, "separator": separator, "zero": b"", "one": b"Z"}


CONTENTS = make_contents()


@dataclass
class RunningServer:
    """A server in a thread and a folder of its own."""

    profile: str
    root: Path
    port: int
    said: list[str] = field(default_factory=list)
    exit_code: int | None = None

    def is_alive(self) -> bool:
        return self.exit_code is None

    def files(self) -> dict[str, bytes]:
        return {str(p.relative_to(self.root)): p.read_bytes() for p in self.root.rglob("*") if p.is_file()}

    def wait_for_file(self, content: bytes, grace_s: float | None = None) -> bool:
        """Whether exactly this content, and no other file, lies in the folder before the grace is over."""
        if grace_s is None:
            grace_s = LATE_WRITERS_NEED_S if self.profile in LATE_WRITERS else OTHERS_NEED_S
        deadline = time.monotonic() + grace_s
        while True:
            if list(self.files().values()) == [content]:
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_S)


@contextmanager
def running(profile: str, weather: Weather = CALM) -> Iterator[RunningServer]:
    with tempfile.TemporaryDirectory() as folder:
        wire = Wire(0, weather)
        server = RunningServer(profile, Path(folder), wire.port)
        desk = Desk(wire, server.root, server.said.append)
        stopped = threading.Event()

        def work() -> None:
            server.exit_code = serve(profile, desk, stop=stopped.is_set)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            stopped.set()
            thread.join()
            # Not when the server dies: its port must not become that of another pair while its client still speaks.
            wire.close()


@dataclass
class Outcome:
    exact: bool
    files: dict[str, bytes]
    client_code: int
    client_said: list[str]
    server_code: int | None


def transfer(
    server_profile: str,
    client_profile: str,
    content: bytes,
    *,
    remote: str = "x.png",
    weather: Weather = CALM,
    meddle: "Meddler | None" = None,
    delay_s: float = 0.0,
    give_up_s: float = 20.0,
) -> Outcome:
    """One client, one server, and between them nothing or a relay."""
    with running(server_profile, weather) as server, tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / "x.png"
        local.write_bytes(content)
        said: list[str] = []
        with relay(server.port, meddle, delay_s) as port:
            code = call(client_profile, port, local, remote, say=said.append, give_up_s=give_up_s)
            exact = server.wait_for_file(content)
        return Outcome(exact, server.files(), code, said, server.exit_code)


# What a relay makes of one reply: the datagrams that the client gets, in this order. The count starts at 0.
Meddler = Callable[[bytes, int], list[bytes]]


@contextmanager
def relay(server_port: int, meddle: Meddler | None, delay_s: float) -> Iterator[int]:
    """Passes one client's datagrams on; all the delay of a round trip is on the way back."""
    if meddle is None and not delay_s:
        yield server_port
        return
    change: Meddler = meddle if meddle is not None else lambda reply, _: [reply]
    front, back = udp_socket(), udp_socket()
    stopped = threading.Event()

    def forward() -> None:
        while not stopped.is_set():
            heard = hear(front)
            if heard is not None:
                clients.append(heard[1])
                back.sendto(heard[0], (LOOPBACK, server_port))

    def backward() -> None:
        queue: list[tuple[float, int, bytes]] = []
        count = sent = 0
        while not stopped.is_set():
            heard = hear(back)
            if heard is not None and heard[1] == (LOOPBACK, server_port):
                for reply in change(heard[0], count):
                    heapq.heappush(queue, (time.monotonic() + delay_s, sent, reply))
                    sent += 1
                count += 1
            while queue and queue[0][0] <= time.monotonic():
                front.sendto(heapq.heappop(queue)[2], clients[-1])

    clients: list[Address] = []
    threads = [threading.Thread(target=way, daemon=True) for way in (forward, backward)]
    for thread in threads:
        thread.start()
    try:
        yield int(front.getsockname()[1])
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
        front.close()
        back.close()


class Asker:
    """Speaks to a server datagram by datagram."""

    def __init__(self, port: int) -> None:
        self._server = (LOOPBACK, port)
        self._socket = udp_socket()

    def ask(self, message: bytes, wait_s: float = 0.15) -> bytes | None:
        """The first reply; any others are left to fail the next question."""
        self._socket.sendto(message, self._server)
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            heard = hear(self._socket)
            if heard is not None:
                return heard[0]
        return None

    def close(self) -> None:
        self._socket.close()


def udp_socket() -> socket.socket:
    new = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    new.bind((LOOPBACK, 0))
    new.settimeout(POLL_S)
    return new


def hear(ears: socket.socket) -> tuple[bytes, Address] | None:
    try:
        data, sender = ears.recvfrom(LARGEST_DATAGRAM)
    except TimeoutError:
        return None
    return data, sender
