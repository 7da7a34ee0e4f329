"""What every peer shares: a UDP socket with weather of its own, and a folder for files."""

import os
import random
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

Address = tuple[str, int]
Say = Callable[[str], None]

LOOPBACK = "127.0.0.1"
LARGEST_DATAGRAM = 65_535


class Gone(Exception):
    """The program ends here: 1 where the original dies, 0 where it leaves on purpose."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


def dies(why: str) -> Gone:
    return Gone(1, f"died: {why}")


def leaves(why: str) -> Gone:
    return Gone(0, f"left: {why}")


@dataclass(frozen=True)
class Weather:
    """Bad luck at this end of the link, reproducible by its seed."""

    drop_in: float = 0.0
    drop_out: float = 0.0
    dup_out: float = 0.0
    seed: int = 1


class Wire:
    """One unconnected socket, so that a dead peer shows as silence and never as an error."""

    def __init__(self, port: int, weather: Weather) -> None:
        self._weather = weather
        self._dice_in = random.Random(f"in {weather.seed}")
        self._dice_out = random.Random(f"out {weather.seed}")
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind((LOOPBACK, port))
        except OSError:
            self._socket.close()
            raise

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def set_send_buffer(self, size: int) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)

    def send(self, data: bytes, to: Address) -> None:
        if self._dice_out.random() < self._weather.drop_out:
            return
        self._socket.sendto(data, to)
        if self._dice_out.random() < self._weather.dup_out:
            self._socket.sendto(data, to)

    def recv(self, size: int, wait_s: float) -> tuple[bytes, Address] | None:
        """The next datagram, cut to `size` as the kernel does it; None when time is up."""
        deadline = time.monotonic() + wait_s
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                data, sender = self._socket.recvfrom(size)
            except (TimeoutError, BlockingIOError):
                return None
            if self._dice_in.random() >= self._weather.drop_in:
                return data, sender
        return None

    def close(self) -> None:
        self._socket.close()


@dataclass
class Desk:
    """What a server works with: it answers on the wire, keeps files, and speaks to its user."""

    wire: Wire
    root: Path
    say: Say
    max_sessions: int = 10
    completed_at: float | None = field(default=None, init=False)

    def reply(self, data: bytes, to: Address) -> None:
        self.wire.send(data, to)

    def save(self, name: str, content: bytes) -> None:
        """Writes in one go, as the originals do. A name that leads out of the folder counts as unwritable."""
        try:
            target = (self.root / name).resolve()
            if not target.is_relative_to(self.root.resolve()):
                raise OSError("outside of the served folder")
            handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o777)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
        except (OSError, ValueError) as error:
            raise dies(f"cannot write {name!r}: {error}") from error
        if self.completed_at is None:
            self.completed_at = time.monotonic()


class Server(Protocol):
    """A dialect's server: a receive buffer and two reactions."""

    buffer: int

    def on_datagram(self, data: bytes, sender: Address) -> None: ...

    def on_tick(self, now: float) -> None: ...


def decimal(text: bytes) -> int | None:
    """A number as the lab writes it; leading zeros are fine with every known program."""
    return int(text) if text.isdigit() else None
