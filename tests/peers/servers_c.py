"""The four known servers of the early compact dialect: the name is an extension, the numbers go on counting."""

import os
import time
from dataclasses import dataclass
from typing import Literal

from wire import Address, Desk, decimal

SEPARATOR = b"|"
SILENCE_LIMIT_S = 3.0
KEEP_FINISHED_S = 1.0
SHORT_BUFFER = 100


@dataclass(frozen=True)
class Rules:
    """One server's row values. The defaults are those of s1, the only one that a foreign client can use."""

    maxsize: int = 1024
    # s2 does not look for the separators of a data message: it cuts where its own client's padded header ends.
    header_length: int | None = None
    # s3 takes any number above its counter, and its counter already stands at the one that all others send first.
    takes: Literal["expected", "above_counter"] = "expected"
    naming: Literal["counted", "address", "none"] = "counted"


PROFILES: dict[str, Rules] = {
    "c-s1": Rules(),
    "c-s2": Rules(maxsize=SHORT_BUFFER, header_length=16),
    "c-s3": Rules(takes="above_counter", naming="address"),
    "c-s4": Rules(naming="none"),
}


@dataclass
class Session:
    extension: str
    size: int
    counter: int
    heard_at: float
    content: bytes = b""
    finished: bool = False


class EarlyServer:
    def __init__(self, rules: Rules, desk: Desk) -> None:
        self.buffer = rules.maxsize
        self._rules = rules
        self._desk = desk
        self._sessions: dict[Address, Session] = {}
        self._files = 0
        if rules.naming == "address":
            (desk.root / "files_server").mkdir(exist_ok=True)

    def on_datagram(self, data: bytes, sender: Address) -> None:
        if data.startswith(b"s" + SEPARATOR):
            self._on_start(data, sender)
        elif data.startswith(b"d" + SEPARATOR):
            self._on_data(data, sender)

    def on_tick(self, now: float) -> None:
        for sender, session in list(self._sessions.items()):
            limit = KEEP_FINISHED_S if session.finished else SILENCE_LIMIT_S
            if now - session.heard_at >= limit:
                del self._sessions[sender]

    def _on_start(self, data: bytes, sender: Address) -> None:
        fields = data.split(SEPARATOR, 3)
        if len(fields) < 4 or (seqno0 := decimal(fields[1])) is None or (size := decimal(fields[3])) is None:
            return
        session = Session(os.fsdecode(fields[2]), size, seqno0 + 1, time.monotonic())
        self._sessions[sender] = session
        self._desk.reply(b"a|%d|%d" % (seqno0 + 1, self._rules.maxsize), sender)
        if size == 0:
            self._finish(session, sender)

    def _on_data(self, data: bytes, sender: Address) -> None:
        session = self._sessions.get(sender)
        fields = data.split(SEPARATOR, 2)
        if session is None or session.finished or len(fields) < 3 or (seqno := decimal(fields[1])) is None:
            return
        session.heard_at = time.monotonic()
        if self._rules.takes == "expected":
            in_turn = seqno == session.counter
            session.counter += in_turn
        else:
            in_turn = seqno > session.counter
            session.counter = max(session.counter, seqno)
        if not in_turn:
            return  # "should ignore", says the exercise
        cut = self._rules.header_length
        session.content += fields[2] if cut is None else data[cut:]
        self._desk.reply(b"a|%d" % (seqno + 1), sender)
        if len(session.content) >= session.size:
            self._finish(session, sender)

    def _finish(self, session: Session, sender: Address) -> None:
        session.finished = True
        self._files += 1
        if self._rules.naming == "counted":
            self._desk.save(f"file {self._files}.{session.extension}", session.content)
        elif self._rules.naming == "address":
            self._desk.save(f"files_server/{sender[0]}.{session.extension}", session.content)
        self._desk.say(f"received a file of {len(session.content)} bytes")
