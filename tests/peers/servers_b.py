"""The fourteen known servers of the compact dialect, as one engine and a table of their habits."""

import os
import time
from dataclasses import dataclass, field
from typing import Literal

from wire import Address, Desk, decimal, dies, leaves

SEPARATOR = b"|"
IDLE_LIMIT_S = 5.0

# s2 divides by the size of a datagram, the clients by the size of a payload.
MISCOUNTED_CHUNK = 20_480
SHORT_BUFFER = 20_476


@dataclass(frozen=True)
class Rules:
    """One server's row values. The defaults are the most common ones."""

    ack_tail: bytes = b""
    nack: Literal["never", "when_full", "when_full_then_ack", "one_too_late"] = "never"
    duplicate: Literal["acked", "silent", "stored", "aborts"] = "acked"
    duplicate_is: Literal["same_number", "same_content"] = "same_number"
    restart: Literal["kept", "refused", "reset", "aborts", "leaves"] = "reset"
    after_end: Literal["acked", "refused", "silent", "dies"] = "silent"
    leaves_when_done: bool = False
    leaves_when_idle: bool = False
    key: Literal["address", "global"] = "global"
    buffer: int = 20_480
    decodes: Literal["never", "always", "unless_png"] = "never"
    pipe_in_payload: Literal["whole", "cut"] = "whole"
    keeps: Literal["all_chunks", "last_chunk"] = "all_chunks"
    complete: Literal["by_bytes", "by_datagrams", "by_payloads"] = "by_bytes"
    zero_made_on: Literal["start", "data", "never"] = "data"
    folder: str = ""
    # Looks only at the first byte for the type, so that a spaced start passes for one of its own.
    loose_type: bool = False


PROFILES: dict[str, Rules] = {
    "b-s1": Rules(ack_tail=b"|", duplicate="silent", loose_type=True),
    "b-s2": Rules(
        duplicate_is="same_content",
        after_end="acked",
        complete="by_datagrams",
        zero_made_on="start",
        loose_type=True,
    ),
    "b-s3": Rules(nack="when_full", key="address"),
    "b-s4": Rules(
        nack="when_full",
        duplicate="stored",
        restart="refused",
        after_end="dies",
        keeps="last_chunk",
    ),
    "b-s5": Rules(duplicate="aborts", restart="aborts", zero_made_on="start"),
    "b-s6": Rules(
        duplicate="stored",
        restart="aborts",
        after_end="dies",
        leaves_when_done=True,
        buffer=SHORT_BUFFER,
        complete="by_payloads",
        zero_made_on="start",
    ),
    "b-s7": Rules(
        nack="when_full_then_ack",
        duplicate="silent",
        restart="leaves",
        after_end="dies",
        key="address",
        buffer=SHORT_BUFFER,
        decodes="always",
        pipe_in_payload="cut",
        complete="by_payloads",
    ),
    "b-s8": Rules(after_end="acked", leaves_when_idle=True, folder="server", loose_type=True),
    "b-s9": Rules(
        nack="when_full",
        duplicate="stored",
        after_end="dies",
        decodes="unless_png",
        zero_made_on="start",
    ),
    "b-s10": Rules(after_end="acked", key="address"),
    "b-s11": Rules(
        nack="when_full",
        duplicate="stored",
        key="address",
        decodes="always",
        pipe_in_payload="cut",
        keeps="last_chunk",
    ),
    "b-s12": Rules(restart="kept", after_end="dies", leaves_when_done=True, zero_made_on="start"),
    "b-s13": Rules(
        nack="one_too_late",
        restart="kept",
        after_end="refused",
        key="address",
        decodes="always",
        pipe_in_payload="cut",
        zero_made_on="never",
    ),
    "b-s14": Rules(
        duplicate="silent",
        restart="kept",
        after_end="dies",
        leaves_when_done=True,
        buffer=24_000,
        zero_made_on="start",
    ),
}


@dataclass
class Session:
    owner: Address
    name: str
    size: int
    expected: int = 1
    chunks: list[bytes] = field(default_factory=list)
    received: int = 0
    finished: bool = False


class CompactServer:
    def __init__(self, rules: Rules, desk: Desk) -> None:
        self.buffer = rules.buffer
        self._rules = rules
        self._desk = desk
        self._sessions: dict[object, Session] = {}
        self._heard_at = time.monotonic()
        if rules.folder:
            (desk.root / rules.folder).mkdir(exist_ok=True)

    def on_datagram(self, data: bytes, sender: Address) -> None:
        self._heard_at = time.monotonic()
        kind = data.split(SEPARATOR, 1)[0]
        if self._rules.loose_type:
            kind = data[:1]
        if kind == b"s":
            self._on_start(data, sender)
        elif kind == b"d":
            self._on_data(data, sender)
        else:
            # The exercise asks for it, and all fourteen do it.
            raise dies("an unknown message type")

    def on_tick(self, now: float) -> None:
        if self._rules.leaves_when_idle and self._desk.completed_at is not None:
            if now - self._heard_at >= IDLE_LIMIT_S:
                raise leaves("idle for 5 s after a file")

    # -- start

    def _on_start(self, data: bytes, sender: Address) -> None:
        fields = data.split(SEPARATOR, 3)
        if len(fields) < 4 or (size := decimal(fields[3].strip())) is None:
            raise dies("a start that it cannot parse")
        key = self._key(sender)
        old = self._sessions.get(key)
        if old is not None and old.finished:
            old = None
        if old is None or old.owner != sender:
            if not self._refused_as_full(sender):
                self._open(key, sender, os.fsdecode(fields[2].strip()), size)
        elif self._rules.restart == "refused":
            self._desk.reply(b"n|1", sender)
        elif not old.chunks or self._rules.restart == "kept":
            self._ack(1, sender)
        elif self._rules.restart == "reset":
            self._open(key, sender, os.fsdecode(fields[2].strip()), size)
        elif self._rules.restart == "aborts":
            del self._sessions[key]
        else:
            raise leaves("a start in the middle of a transfer")

    def _refused_as_full(self, sender: Address) -> bool:
        """Servers with one session for everybody are full as soon as somebody else is at it."""
        others = [s for s in self._sessions.values() if not s.finished and s.owner != sender]
        limit = 1 if self._rules.key == "global" else self._desk.max_sessions
        if self._rules.nack == "one_too_late":
            limit += 1
        if self._rules.nack == "never" or len(others) < limit:
            return False
        if self._rules.nack == "when_full_then_ack":
            self._desk.reply(b"n|0", sender)
            return False
        self._desk.reply(b"n|1", sender)
        return True

    def _open(self, key: object, sender: Address, name: str, size: int) -> None:
        session = Session(sender, name, size)
        self._sessions[key] = session
        self._desk.say(f"Server: start of {name}, {size} bytes")
        self._ack(1, sender)
        if size == 0 and self._rules.zero_made_on == "start":
            self._finish(session)

    # -- data

    def _on_data(self, data: bytes, sender: Address) -> None:
        session = self._sessions.get(self._key(sender))
        if self._rules.decodes == "always" or (
            self._rules.decodes == "unless_png" and session is not None and not session.name.endswith(".png")
        ):
            check_utf8(data)
        fields = data.split(SEPARATOR, 2)
        if len(fields) < 3 or (seqno := decimal(fields[1].strip())) is None:
            raise dies("data that it cannot parse")
        if session is None or session.finished:
            return self._on_data_after_end(session, seqno, sender)
        payload = fields[2].split(SEPARATOR)[0] if self._rules.pipe_in_payload == "cut" else fields[2]
        if not self._is_duplicate(session, seqno, payload):
            self._store(session, seqno, payload, sender)
        elif self._rules.duplicate == "stored":
            self._store(session, seqno, payload, sender)
        elif self._rules.duplicate == "acked":
            self._ack(seqno + 1, sender)
        elif self._rules.duplicate == "aborts":
            del self._sessions[self._key(sender)]

    def _is_duplicate(self, session: Session, seqno: int, payload: bytes) -> bool:
        if self._rules.duplicate_is == "same_content":
            return bool(session.chunks) and session.chunks[-1] == payload
        return seqno != session.expected

    def _store(self, session: Session, seqno: int, payload: bytes, sender: Address) -> None:
        session.chunks.append(payload)
        session.received += len(payload)
        session.expected = (seqno + 1) % 2
        self._ack(seqno + 1, sender)
        if self._is_complete(session):
            self._finish(session)

    def _is_complete(self, session: Session) -> bool:
        if self._rules.complete == "by_datagrams":
            return len(session.chunks) >= chunk_count(session.size, MISCOUNTED_CHUNK)
        if self._rules.complete == "by_payloads":
            return len(session.chunks) >= chunk_count(session.size, SHORT_BUFFER)
        return session.received >= session.size

    def _on_data_after_end(self, session: Session | None, seqno: int, sender: Address) -> None:
        if self._rules.after_end == "dies":
            raise dies("data without a session")
        if self._rules.after_end == "refused":
            self._desk.reply(b"n|%d" % ((seqno + 1) % 2), sender)
        elif self._rules.after_end == "acked" and session is not None:
            self._ack(seqno + 1, sender)

    # -- the end

    def _finish(self, session: Session) -> None:
        session.finished = True
        if session.size > 0 or self._rules.zero_made_on != "never":
            content = session.chunks[-1:] if self._rules.keeps == "last_chunk" else session.chunks
            folder = f"{self._rules.folder}/" if self._rules.folder else ""
            self._desk.save(folder + session.name, b"".join(content))
        self._desk.say(f"Server: {session.name} is complete")
        if self._rules.leaves_when_done:
            raise leaves("one file is all it takes")

    def _ack(self, number: int, sender: Address) -> None:
        self._desk.reply(b"a|%d%s" % (number % 2, self._rules.ack_tail), sender)

    def _key(self, sender: Address) -> object:
        return sender if self._rules.key == "address" else "everybody"


def check_utf8(data: bytes) -> None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise dies(f"binary data: {error.reason}") from error


def chunk_count(size: int, chunk: int) -> int:
    return -(-size // chunk)
