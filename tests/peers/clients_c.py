"""The four known clients of the early compact dialect."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from calls import Call
from wire import decimal, dies

SEPARATOR = b"|"
RECV_BUFFER = 1024
TRIES = 5
TIMER_S = 0.5


@dataclass(frozen=True)
class Rules:
    """One client's row values: how it writes numbers, how it counts, how much it sends."""

    start_digits: int = 1
    data_digits: int = 1
    # Bytes kept free in a datagram; None is the length of the header.
    margin: int | None = None
    # One counts on from the acknowledgement instead of taking its number: seqno0 + 2, and every second number.
    ahead_of_ack: int = 0
    fixed_port: int = 0


PROFILES: dict[str, Rules] = {
    "c-c1": Rules(),
    # Its header has 16 bytes and it allows for 9, so a full datagram is 7 bytes too long.
    "c-c2": Rules(start_digits=9, data_digits=13, margin=9, fixed_port=65433),
    "c-c3": Rules(ahead_of_ack=1),
    "c-c4": Rules(start_digits=5, data_digits=5, margin=8, fixed_port=60000),
}


class OutOfTries(Exception):
    pass


class EarlyClient:
    def __init__(self, rules: Rules, call: Call) -> None:
        self._rules = rules
        self._call = call

    def run(self) -> int:
        content = self._call.local.read_bytes()
        extension = PurePosixPath(self._call.remote).suffix.removeprefix(".") or "bin"
        start = f"s|{0:0{self._rules.start_digits}}|{extension}|{len(content)}"
        try:
            number, maxsize = self._exchange(start.encode(), expected=1)
            if maxsize is None:
                raise dies("no size in the answer to the start")
            offset = 0
            while offset < len(content):
                seqno = number + self._rules.ahead_of_ack
                header = f"d|{seqno:0{self._rules.data_digits}}|".encode()
                room = maxsize - (len(header) if self._rules.margin is None else self._rules.margin)
                chunk = content[offset : offset + max(1, room)]
                offset += len(chunk)
                number, _ = self._exchange(header + chunk, expected=seqno + 1)
        except OutOfTries:
            self._call.say("Failed after 5 retries")
            return 0
        self._call.say("File transferred")
        return 0

    def _exchange(self, message: bytes, expected: int) -> tuple[int, int | None]:
        for _ in range(TRIES):
            self._call.send(message)
            heard = self._call.recv(RECV_BUFFER, TIMER_S)
            if heard is None:
                continue
            fields = heard[0].split(SEPARATOR)
            number = decimal(fields[1]) if len(fields) > 1 and fields[0] == b"a" else None
            if number is None:
                raise dies(f"an answer of {heard[0]!r}")
            if number == expected:
                return number, decimal(fields[2]) if len(fields) > 2 else None
        raise OutOfTries
