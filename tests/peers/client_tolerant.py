"""One client that delivers to every server that can be reached at all; the dialect is the user's word, not a guess."""

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from calls import Call
from wire import LARGEST_DATAGRAM, decimal

COMPACT_DATAGRAM = 20_480
DEFAULT_BUFSIZE = 1024
SMALLEST_BUFSIZE = 64

# The first numbers and the length by which our own client makes its offer inside a plain start.
OFFER_BASE = 0x4800_0000
OFFER_BITS = 24
OFFER_LENGTH = 128

DELIVERED, FAILED, LAST_ACK_MISSING = 0, 1, 2


@dataclass(frozen=True)
class Rules:
    spelling: Literal["spaced", "compact"]
    timer_s: float
    tries: int
    offers: bool = False


PROFILES: dict[str, Rules] = {
    "a-tolerant": Rules("spaced", timer_s=0.5, tries=5),
    # The same, with the unusual but legal start of our own client.
    "a-offer": Rules("spaced", timer_s=0.5, tries=5, offers=True),
    "bc-tolerant": Rules("compact", timer_s=1.0, tries=15),
}


@dataclass
class Ack:
    text: bytes
    number: int
    bufsize: int | None


AckTest = Callable[[Ack], bool]


class NoAnswer(Exception):
    pass


class TolerantClient:
    def __init__(self, rules: Rules, call: Call) -> None:
        self._rules = rules
        self._call = call
        self._separator = b" | " if rules.spelling == "spaced" else b"|"
        self._alternates = False

    def run(self) -> int:
        content = self._call.local.read_bytes()
        try:
            ack = self._exchange(self._start_message(len(content)), self._is_start_ack, self._rules.tries)
        except NoAnswer:
            self._call.say("failed: no answer to the start")
            return FAILED
        self._alternates = self._rules.spelling == "compact" and ack.bufsize is None
        datagram = ack.bufsize or (COMPACT_DATAGRAM if self._alternates else DEFAULT_BUFSIZE)
        self._call.say(f"plain server, datagrams of {datagram} bytes")
        return self._send_content(content, ack.number, min(datagram, LARGEST_DATAGRAM - 28))

    def _start_message(self, size: int) -> bytes:
        seqno0 = OFFER_BASE + random.getrandbits(OFFER_BITS) if self._rules.offers else 0
        head = self._separator.join([b"s", b"%d" % seqno0, os.fsencode(self._call.remote), b""])
        digits = OFFER_LENGTH - len(head) if self._rules.offers else 1
        return head + b"%0*d" % (max(1, digits), size)

    # -- data

    def _send_content(self, content: bytes, seqno: int, datagram: int) -> int:
        if not content:
            return self._send_empty(seqno)
        offset = 0
        while offset < len(content):
            header = self._separator.join([b"d", b"%d" % seqno, b""])
            chunk = self._chunk(content, offset, datagram - len(header))
            offset += len(chunk)
            wanted = seqno + 1
            try:
                self._exchange(header + chunk, lambda ack: self._is_data_ack(ack, wanted), self._rules.tries)
            except NoAnswer:
                if offset < len(content):
                    self._call.say(f"failed: no answer to chunk {seqno}")
                    return FAILED
                self._call.say("all data sent, last ack missing")
                return LAST_ACK_MISSING
            seqno = wanted % 2 if self._alternates else wanted
        self._call.say("delivered")
        return DELIVERED

    def _chunk(self, content: bytes, offset: int, room: int) -> bytes:
        """Ends inside every " | ", so that no datagram holds one that a server could stumble over."""
        chunk = content[offset : offset + room]
        if self._rules.spelling == "spaced" and (found := chunk.find(b" | ")) >= 0:
            return chunk[: found + 2]
        return chunk

    def _send_empty(self, seqno: int) -> int:
        """Half of the servers make an empty file only when a chunk comes; the answer does not matter."""
        message = self._separator.join([b"d", b"%d" % seqno, b""])
        try:
            self._exchange(message, lambda ack: self._is_data_ack(ack, seqno + 1), tries=2)
        except NoAnswer:
            pass
        self._call.say("delivered")
        return DELIVERED

    # -- acknowledgements

    def _exchange(self, message: bytes, is_awaited: AckTest, tries: int) -> Ack:
        """Whatever is not awaited is ignored; it neither costs a try nor causes a repeat."""
        for _ in range(tries):
            self._call.send(message)
            deadline = time.monotonic() + self._rules.timer_s
            while (heard := self._call.recv(LARGEST_DATAGRAM, deadline - time.monotonic())) is not None:
                ack = read_ack(heard[0]) if heard[1] == self._call.server else None
                if ack is not None and is_awaited(ack):
                    return ack
        raise NoAnswer

    def _is_start_ack(self, ack: Ack) -> bool:
        return ack.bufsize is None or ack.bufsize >= SMALLEST_BUFSIZE

    def _is_data_ack(self, ack: Ack, wanted: int) -> bool:
        if self._alternates:
            return ack.text[:1] == b"%d" % (wanted % 2)
        return ack.number == wanted


def read_ack(data: bytes) -> Ack | None:
    fields = [field for part in data.split(b"|") if (field := part.strip())]
    if len(fields) < 2 or fields[0] != b"a" or (number := decimal(fields[1])) is None:
        return None
    return Ack(fields[1], number, decimal(fields[2]) if len(fields) > 2 else None)
