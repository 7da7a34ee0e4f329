"""The five known clients of the compact dialect: one lineage, whose only real branch is the refusal."""

from dataclasses import dataclass

from calls import Call
from wire import dies

PAYLOAD = 20_476
RECV_BUFFER = 20_480
TIMER_S = 1.0


@dataclass(frozen=True)
class Rules:
    # The programs of 2024 look at the first byte of an answer, those of 2023 only at the digit.
    knows_refusal: bool = False
    send_buffer: int | None = None
    # The trivial edits: another wording.
    prefix: str = "Client: "


PROFILES: dict[str, Rules] = {
    "b-c1": Rules(),
    "b-c2": Rules(send_buffer=30_000),
    "b-c3": Rules(knows_refusal=True),
    "b-c4": Rules(prefix="[client] "),
    "b-c5": Rules(knows_refusal=True, prefix="[client] "),
}


class Leaves(Exception):
    """The client of 2024 understood a refusal, or did not understand the answer: it exits with 0."""


class CompactClient:
    def __init__(self, rules: Rules, call: Call) -> None:
        self._rules = rules
        self._call = call
        if rules.send_buffer is not None:
            call.wire.set_send_buffer(rules.send_buffer)

    def run(self) -> int:
        content = self._call.local.read_bytes()
        # The exercise's command line has no remote name: it is the last part of the local one.
        name = self._call.local.name
        start = f"s|0|{name}|{len(content)}"
        try:
            self._exchange(start.encode(), 1, start)
            digit = 1
            for index in range(-(-len(content) // PAYLOAD)):
                chunk = content[index * PAYLOAD : (index + 1) * PAYLOAD]
                self._exchange(b"d|%d|%s" % (digit, chunk), 1 - digit, f"d|{digit}|chunk{index + 1}")
                digit = 1 - digit
        except Leaves as end:
            self._call.say(str(end))
        return 0

    def _exchange(self, message: bytes, expected: int, shown: str) -> None:
        """Sends until the right digit comes back, for ever; wrong digits do no harm."""
        self._call.send(message)
        self._call.say(self._rules.prefix + shown)
        while True:
            heard = self._call.recv(RECV_BUFFER, TIMER_S)
            if heard is None:
                self._call.send(message)
                self._call.say(f"{self._rules.prefix}Retransmitting...")
                continue
            answer = heard[0]
            self._call.say(f"Server: {answer.decode(errors='replace')}")
            digit = read_digit(answer)
            if self._rules.knows_refusal:
                self._call.say(f"{expected} {digit}")
                if digit == expected and answer[:1] == b"n":
                    raise Leaves("Client: Server is overloaded, exiting...")
                if answer[:1] != b"a" and answer[:1] != b"n":
                    raise Leaves("Client: unknown answer, exiting...")
            if digit == expected:
                return


def read_digit(answer: bytes) -> int:
    """Only the third byte counts; whatever follows it is never looked at."""
    if not answer[2:3].isdigit():
        raise dies(f"an answer of {answer!r} has no digit in its third byte")
    return int(answer[2:3])
