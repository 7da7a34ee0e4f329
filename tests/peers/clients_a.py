"""The seventeen known clients of the spaced dialect, as one engine and a table of their habits."""

import os
import random
import time
from dataclasses import dataclass
from typing import Literal, NoReturn

from calls import Call
from wire import decimal, dies

SEPARATOR = b" | "
RECV_BUFFER = 100
BAD_SEED = 39
BAD_LOSS = 0.05
OFFICIAL = "Successfully transmitted a file"


@dataclass(frozen=True)
class Rules:
    """One client's row values. The defaults are the course's good_client."""

    seqno0: int = 0
    third_field: Literal["name", "extension"] = "name"
    checks_start_ack: bool = False
    numbering: Literal["own", "ack", "ack_plus_one", "from_seqno0"] = "ack"
    # Bytes kept free in a datagram; None is the length of the header, as everybody should have it.
    margin: int | None = None
    start_tries: int = 5
    start_timer_s: float | None = 0.5
    data_tries: int | None = 5
    data_timer_s: float | None = 0.5
    sends_twice_after_timeout: bool = False
    ack_test: Literal["exact", "greater", "any", "any_but_current"] = "any"
    on_wrong_ack: Literal["resends", "resends_uncounted", "waits", "aborts"] = "resends"
    third_field_in_ack: Literal["breaks", "tolerated", "required"] = "breaks"
    on_noise: Literal["survives", "dies"] = "dies"
    strips_fields: bool = False
    checks_sender: bool = False
    when_out_of_tries: Literal["fails", "dies", "next_chunk"] = "fails"
    failure_code: int = 0
    stops_at_chunk_count: bool = False
    success: str = OFFICIAL
    own_loss: float = 0.0
    fixed_port: int = 0


GOOD = Rules(
    checks_start_ack=True,
    numbering="own",
    ack_test="exact",
    on_noise="survives",
    failure_code=1,
)

PROFILES: dict[str, Rules] = {
    "a-good": GOOD,
    "a-bad": Rules(
        seqno0=39,
        checks_start_ack=True,
        numbering="own",
        ack_test="exact",
        on_noise="survives",
        failure_code=1,
        own_loss=BAD_LOSS,
    ),
    "a-c1": Rules(numbering="ack_plus_one", third_field_in_ack="tolerated", success="File sent."),
    "a-c2": Rules(margin=44, success="File sent."),
    # Takes the size of Python's bytes object for the size of the bytes: 33 more, and 8 of header.
    "a-c3": Rules(margin=41, success="Transfer complete"),
    "a-c4": Rules(
        start_tries=1,
        start_timer_s=None,
        data_tries=1,
        data_timer_s=None,
        third_field_in_ack="required",
        success="",
    ),
    "a-c5": Rules(
        numbering="from_seqno0",
        start_tries=6,
        sends_twice_after_timeout=True,
        success="Transfer complete",
    ),
    "a-c6": Rules(
        checks_start_ack=True,
        numbering="own",
        ack_test="exact",
        on_wrong_ack="aborts",
        success="Done",
    ),
    "a-c7": Rules(
        start_tries=1,
        ack_test="greater",
        third_field_in_ack="tolerated",
        strips_fields=True,
        when_out_of_tries="dies",
        success="",
    ),
    "a-c8": Rules(),
    "a-c9": Rules(),
    "a-c10": Rules(
        numbering="ack_plus_one",
        margin=256,
        start_tries=6,
        data_tries=6,
        third_field_in_ack="tolerated",
        stops_at_chunk_count=True,
        success="",
    ),
    "a-c11": Rules(
        margin=12,
        start_tries=6,
        start_timer_s=2.0,
        data_tries=None,
        data_timer_s=2.0,
        ack_test="any_but_current",
        on_wrong_ack="waits",
        third_field_in_ack="tolerated",
        on_noise="survives",
    ),
    "a-c12": Rules(third_field_in_ack="tolerated"),
    "a-c13": Rules(
        checks_start_ack=True,
        numbering="own",
        start_timer_s=3.15,
        data_timer_s=3.15,
        ack_test="exact",
        on_wrong_ack="aborts",
        success="Done",
        fixed_port=9000,
    ),
    "a-c14": Rules(
        checks_start_ack=True,
        numbering="own",
        margin=20,
        ack_test="exact",
        on_wrong_ack="resends_uncounted",
        checks_sender=True,
        success="Finished",
    ),
    "a-c17": Rules(
        third_field="extension",
        start_tries=6,
        data_tries=6,
        third_field_in_ack="tolerated",
        when_out_of_tries="next_chunk",
        success="",
    ),
}


@dataclass
class Ack:
    number: int
    bufsize: int | None


class OutOfTries(Exception):
    pass


class SpacedClient:
    def __init__(self, rules: Rules, call: Call) -> None:
        self._rules = rules
        self._call = call
        self._own_dice = random.Random(BAD_SEED)

    def run(self) -> int:
        content = self._call.local.read_bytes()
        try:
            ack = self._start(len(content))
        except OutOfTries:
            return self._start_failed()
        bufsize = ack.bufsize if ack.bufsize is not None else self._die("no buffer size in the answer")
        self._call.say(f"bufsize selected by server: {bufsize}")
        try:
            self._send_content(content, ack.number, bufsize)
        except OutOfTries:
            return self._data_failed()
        if self._rules.success:
            self._call.say(self._rules.success)
        return 0

    def _start_failed(self) -> int:
        if self._rules.when_out_of_tries == "dies":
            self._die("no answer to its only start")
        self._call.say("Failed to get ack for start message")
        return 0  # even the course's own client says so

    def _data_failed(self) -> int:
        self._call.say("Failed after 5 retries")
        return self._rules.failure_code

    # -- start

    def _start(self, size: int) -> Ack:
        rules = self._rules
        name = os.fsencode(self._call.remote)
        if rules.third_field == "extension":
            name = name.rsplit(b".", 1)[-1]
        message = SEPARATOR.join([b"s", b"%d" % rules.seqno0, name, b"%d" % size])
        for _ in range(rules.start_tries):
            self._send(message)
            heard = self._recv(rules.start_timer_s)
            if heard is None:
                continue
            ack = self._read(heard)
            if ack is None or (rules.checks_start_ack and ack.number != rules.seqno0 + 1):
                if rules.on_wrong_ack == "aborts" and ack is not None:
                    raise OutOfTries
                continue
            if ack.bufsize is not None or rules.on_noise == "dies":
                return ack
        raise OutOfTries

    # -- data

    def _send_content(self, content: bytes, ack: int, bufsize: int) -> None:
        seqno = self._first_seqno(ack)
        offset = 0
        while offset < len(content) and not self._believes_to_be_done(len(content), ack, bufsize):
            header = b"d | %d | " % seqno
            room = bufsize - (len(header) if self._rules.margin is None else self._rules.margin)
            if room <= 0:
                self._die(f"a buffer of {bufsize} bytes")
            chunk = content[offset : offset + room]
            offset += len(chunk)
            try:
                ack = self._deliver(header + chunk, seqno)
            except OutOfTries:
                if self._rules.when_out_of_tries != "next_chunk":
                    raise
                ack = seqno + 1
            seqno = self._next_seqno(seqno, ack)

    def _believes_to_be_done(self, size: int, ack: int, bufsize: int) -> bool:
        """c10 takes an acknowledgement's number for the count of its chunks that have arrived."""
        if not self._rules.stops_at_chunk_count:
            return False
        chunk = max(1, bufsize - (self._rules.margin or 0))
        return ack >= -(-size // chunk)

    def _first_seqno(self, ack: int) -> int:
        if self._rules.numbering == "own":
            return self._rules.seqno0 + 1
        if self._rules.numbering == "from_seqno0":
            return self._rules.seqno0
        return ack + 1 if self._rules.numbering == "ack_plus_one" else ack

    def _next_seqno(self, seqno: int, ack: int) -> int:
        if self._rules.numbering == "own":
            return seqno + 1
        return ack + 1 if self._rules.numbering == "ack_plus_one" else ack

    def _deliver(self, message: bytes, seqno: int) -> int:
        """Sends one chunk until an acknowledgement passes this client's test, and returns its number."""
        rules = self._rules
        tries = 0
        self._send(message)
        deadline = self._deadline()
        while True:
            heard = self._recv(None if deadline is None else deadline - time.monotonic())
            if heard is None:
                tries += 1
                if rules.data_tries is not None and tries >= rules.data_tries:
                    raise OutOfTries
                self._call.say(f"seqNo={seqno} retry")
                for _ in range(2 if rules.sends_twice_after_timeout else 1):
                    self._send(message)
                deadline = self._deadline()
                continue
            ack = self._read_data_ack(heard)
            if ack is not None and self._passes(ack.number, seqno):
                return ack.number
            if rules.on_wrong_ack == "aborts":
                raise OutOfTries
            if rules.on_wrong_ack == "waits":
                continue
            if rules.on_wrong_ack == "resends":
                tries += 1
            if rules.data_tries is not None and tries >= rules.data_tries:
                raise OutOfTries
            self._call.say(f"seqNo={seqno} retry")
            self._send(message)
            deadline = self._deadline()

    def _passes(self, number: int, seqno: int) -> bool:
        if self._rules.ack_test == "exact":
            return number == seqno + 1
        if self._rules.ack_test == "greater":
            return number > seqno
        return self._rules.ack_test == "any" or number != seqno

    def _deadline(self) -> float | None:
        timer = self._rules.data_timer_s
        return None if timer is None else time.monotonic() + timer

    # -- reading

    def _read(self, data: bytes) -> Ack | None:
        """None is what this client takes for a wrong answer; what it cannot take at all is its end."""
        fields = data.split(SEPARATOR)
        if self._rules.strips_fields:
            fields = [field.strip() for field in data.split(b"|")]
        number = decimal(fields[1]) if len(fields) > 1 and fields[0] == b"a" else None
        if number is None:
            return self._noise(data)
        if len(fields) == 2:
            return Ack(number, None)
        bufsize = decimal(fields[2])
        return self._noise(data) if bufsize is None else Ack(number, bufsize)

    def _read_data_ack(self, data: bytes) -> Ack | None:
        ack = self._read(data)
        if ack is None:
            return None
        if self._rules.third_field_in_ack == "required" and ack.bufsize is None:
            self._die("an acknowledgement without a buffer size")
        if self._rules.third_field_in_ack == "breaks" and ack.bufsize is not None:
            return self._noise(data)
        return ack

    def _noise(self, data: bytes) -> None:
        if self._rules.on_noise == "dies":
            self._die(f"an answer of {data!r}")

    def _recv(self, wait_s: float | None) -> bytes | None:
        deadline = None if wait_s is None else time.monotonic() + wait_s
        while True:
            heard = self._call.recv(RECV_BUFFER, None if deadline is None else deadline - time.monotonic())
            if heard is None:
                return None
            if not self._rules.checks_sender or heard[1] == self._call.server:
                return heard[0]

    def _send(self, message: bytes) -> None:
        if self._own_dice.random() >= self._rules.own_loss:
            self._call.send(message)

    def _die(self, why: str) -> NoReturn:
        raise dies(why)
