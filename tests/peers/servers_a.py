"""The known servers of the spaced dialect: one engine that behaves by the rules it is given."""

import os
import random
import time
from dataclasses import dataclass, field

from rules_a import Rules, Verdict
from wire import Address, Desk, decimal, dies, leaves

SEPARATOR = b" | "
BUFSIZE = 1024
SWEEP_S = 1.0
KEEP_FINISHED_S = 1.0
SILENCE_LIMIT_S = 3.0
BAD_SEED = 39


@dataclass
class Pile:
    """The chunks stored so far."""

    chunks: list[bytes] = field(default_factory=list)
    length: int = 0
    full_chunks_length: int = 0

    def add(self, chunk: bytes, header_length: int) -> None:
        self.chunks.append(chunk)
        self.length += len(chunk)
        self.full_chunks_length += BUFSIZE - header_length

    def clear(self) -> None:
        self.chunks.clear()
        self.length = 0
        self.full_chunks_length = 0


@dataclass
class Session:
    label: str
    name: str
    size: int
    first: int
    expected: int
    pile: Pile
    heard_at: float
    finished_at: float | None = None


class SpacedServer:
    buffer = BUFSIZE

    def __init__(self, rules: Rules, desk: Desk) -> None:
        self._rules = rules
        self._desk = desk
        self._sessions: dict[object, Session] = {}
        self._shared_pile = Pile()
        self._ack_dice = random.Random(BAD_SEED)
        self._heard_at = self._swept_at = time.monotonic()
        if rules.folder:
            (desk.root / rules.folder).mkdir(exist_ok=True)

    def on_datagram(self, data: bytes, sender: Address) -> None:
        self._heard_at = time.monotonic()
        if data.startswith(b"s" + SEPARATOR):
            self._on_start(data, sender)
        elif data.startswith(b"d" + SEPARATOR):
            self._on_data(data, sender)
        else:
            self._on_garbage()

    def on_tick(self, now: float) -> None:
        if self._rules.silence == "leaves" and now - self._heard_at >= SILENCE_LIMIT_S:
            raise leaves("nobody has spoken for 3 s")
        if now - self._swept_at < SWEEP_S:
            return
        self._swept_at = now
        for key, session in list(self._sessions.items()):
            if session.finished_at is not None:
                self._sweep_finished(key, session, now)
            elif now - session.heard_at >= SILENCE_LIMIT_S:
                self._sweep_silent(key, session)

    def _on_garbage(self) -> None:
        if self._rules.garbage == "dies":
            raise dies("a message that it cannot parse")

    # -- start

    def _on_start(self, data: bytes, sender: Address) -> None:
        fields = data.split(SEPARATOR, 3)
        if len(fields) < 4 or (seqno0 := decimal(fields[1])) is None or (size := decimal(fields[3])) is None:
            return self._on_garbage()
        old = self._sessions.get(self._key(sender))
        if old is None or (old.finished_at is not None and self._starts_anew_after_end()):
            return self._open(seqno0, os.fsdecode(fields[2]), size, sender)
        in_transfer = bool(old.pile.chunks)
        if in_transfer and self._rules.restart_in_transfer == "dies":
            raise dies("a start in the middle of a transfer")
        if in_transfer and self._rules.restart_in_transfer == "reset":
            return self._open(seqno0, os.fsdecode(fields[2]), size, sender)
        self._answer_repeated_start(seqno0, sender)

    def _starts_anew_after_end(self) -> bool:
        """Who keeps a session on a repeated start keeps a finished one too, unless it has but one for everybody."""
        return self._rules.restart_in_transfer != "kept" or self._rules.key == "global"

    def _open(self, seqno0: int, name: str, size: int, sender: Address) -> None:
        key = self._key(sender)
        old = self._sessions.pop(key, None)
        if old is not None and old.finished_at is not None and self._rules.appears == "after_silence":
            self._save(old)
        first = 0 if self._rules.start_ack == "zero" else seqno0 + 1
        pile = self._shared_pile if self._rules.shares_chunks else Pile()
        pile.clear()
        label = f"{sender[0]}:{sender[1]}"
        session = Session(label, self._file_name(name, sender), size, first, first, pile, time.monotonic())
        self._sessions[key] = session
        self._desk.say(f'session="{label}" started')
        self._ack(b"a | %d | %d" % (first, BUFSIZE), sender, "failed send start ack")
        if size == 0 and self._rules.zero_made_on == "start":
            self._finish(key, session)

    def _answer_repeated_start(self, seqno0: int, sender: Address) -> None:
        number = 0 if self._rules.start_ack == "zero" else seqno0 + 1
        if self._rules.restart_answer == "same":
            self._ack(b"a | %d | %d" % (number, BUFSIZE), sender, "failed send start ack")
        elif self._rules.restart_answer == "bare":
            self._ack(b"a | %d" % number, sender, "failed send start ack")

    # -- data

    def _on_data(self, data: bytes, sender: Address) -> None:
        fields = data.split(SEPARATOR, 2)
        if len(fields) < 3 or (seqno := decimal(fields[1])) is None:
            return self._on_garbage()
        payload = self._payload(data, fields[2])
        key = self._key(sender)
        session = self._sessions.get(key)
        if session is None:
            return self._on_stray_data(sender)
        session.heard_at = time.monotonic()
        if session.finished_at is None or self._rules.after_end == "stored":
            self._take(key, session, seqno, payload, len(data) - len(fields[2]), sender)
        elif self._rules.after_end == "acked":
            self._ack_data(seqno + 1, sender)
        elif self._rules.after_end == "leaves":
            raise leaves("data after the end")

    def _payload(self, data: bytes, whole: bytes) -> bytes:
        if SEPARATOR not in whole or self._rules.separator_in_payload == "whole":
            return whole
        if self._rules.separator_in_payload == "dies":
            raise dies(f"{len(data.split(SEPARATOR))} fields where it unpacks three")
        if self._rules.separator_in_payload == "cut":
            return data.split(SEPARATOR)[2]
        # The pieces come back together with other bytes between them; the length stays right, so the file appears.
        return whole.replace(SEPARATOR, b"|||")

    def _on_stray_data(self, sender: Address) -> None:
        if self._rules.stray_data == "dies":
            raise dies("data without a session")
        if self._rules.stray_data == "empty":
            self._desk.reply(b"", sender)

    def _take(
        self, key: object, session: Session, seqno: int, payload: bytes, header_length: int, sender: Address
    ) -> None:
        verdict = self._verdict(seqno - session.expected)
        if verdict.stores:
            session.pile.add(payload, header_length)
            if verdict.ack == "its_own" or seqno == session.expected:
                session.expected = max(session.expected, seqno + 1)
        else:
            self._desk.say(f"seqNo={seqno} received old chunk")
        if verdict.ack == "its_own":
            self._ack_data(seqno + 1, sender)
        elif verdict.ack == "expected":
            self._ack_data(session.expected, sender)
        elif verdict.ack == "count":
            self._ack_data(session.first + len(session.pile.chunks), sender)
        if verdict.stores and session.finished_at is not None:
            # A repeat of the last chunk lengthens the file that was already right: possible corruption, as counted.
            session.finished_at = time.monotonic()
            self._save(session)
        elif verdict.stores and self._is_complete(session):
            self._finish(key, session)

    def _verdict(self, ahead_by: int) -> Verdict:
        if ahead_by == 0:
            return self._rules.in_turn
        return self._rules.duplicate if ahead_by < 0 else self._rules.ahead

    def _is_complete(self, session: Session) -> bool:
        if self._rules.complete == "equal":
            return session.pile.length == session.size
        if self._rules.complete == "full_chunks":
            return session.pile.full_chunks_length >= session.size
        return session.pile.length >= session.size

    # -- the end

    def _finish(self, key: object, session: Session) -> None:
        session.finished_at = time.monotonic()
        if self._rules.appears == "at_once":
            self._save(session)
        if self._rules.after_end == "forgotten":
            del self._sessions[key]
        if self._rules.leaves_when_done:
            raise leaves("one file is all it takes")

    def _save(self, session: Session) -> None:
        content = b"".join(session.pile.chunks)
        if self._rules.complete == "cut":
            content = content[: session.size]
        self._desk.save(session.name, content)
        self._desk.say(f'session="{session.label}" finished sucessfully')

    def _sweep_finished(self, key: object, session: Session, now: float) -> None:
        waits_for_silence = self._rules.appears == "after_silence"
        since = session.heard_at if waits_for_silence else session.finished_at
        if since is None or now - since < KEEP_FINISHED_S:
            return
        if waits_for_silence:
            self._save(session)
        del self._sessions[key]
        self._desk.say(f'session="{session.label}" removed after successful termination')

    def _sweep_silent(self, key: object, session: Session) -> None:
        if self._rules.silence == "never":
            return
        if self._rules.silence == "dies":
            raise dies("a client went silent for 3 s")
        del self._sessions[key]
        self._desk.say(f'session="{session.label}" timeouted')

    # -- small change

    def _ack_data(self, number: int, sender: Address) -> None:
        text = b"a | %d" % number
        if self._rules.data_ack_has_bufsize:
            text += b" | %d" % BUFSIZE
        self._ack(text, sender, "failed send data ack")

    def _ack(self, text: bytes, sender: Address, lost: str) -> None:
        if self._ack_dice.random() < self._rules.ack_loss:
            self._desk.say(lost)
        else:
            self._desk.reply(text, sender)

    def _key(self, sender: Address) -> object:
        if self._rules.key == "address":
            return sender
        return sender[1] if self._rules.key == "port" else "everybody"

    def _file_name(self, name: str, sender: Address) -> str:
        if self._rules.naming == "received":
            return f"(received) {name}"
        if self._rules.naming == "address":
            return f"new_{sender[0]}_{sender[1]}.{name}"
        if self._rules.naming == "flat":
            name = name.replace("/", "")
        return f"{self._rules.folder}/{name}" if self._rules.folder else name
