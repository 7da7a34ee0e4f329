"""A lab server, correct or with one deliberate fault: server.py PORT [--fault CASE] [--idle SECONDS]."""

import argparse
import math
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# Some of the faults write wherever they are told to, so that none of this is offered to other machines.
LOOPBACK = "127.0.0.1"
LARGEST_DATAGRAM = 65_535
LARGEST_NUMBER = 2**64 - 1
UNFINISHED_KEPT_S = 30.0
FINISHED_KEPT_S = 10.0
TEMPORARY = Path(".unfinished.part")

Address = tuple[str, int]


@dataclass(frozen=True)
class Spelling:
    separator: bytes
    bufsize: int

    def after(self, number: int) -> int:
        """The number of the next message; the compact spelling has but two numbers."""
        return (number + 1) % 2 if self is COMPACT else number + 1


SPACED = Spelling(b" | ", 1024)
COMPACT = Spelling(b"|", 20_480)


@dataclass(frozen=True)
class Start:
    """A start message; two of them are the same start if all their bytes are the same."""

    message: bytes
    spelling: Spelling
    number: int
    name: str
    size: int


@dataclass
class Session:
    """One file on its way, from one address and port."""

    start: Start
    client: Address
    path: Path
    expected: int
    last: int | None = None
    content: bytearray = field(default_factory=bytearray)
    is_finished: bool = False
    heard_at: float = field(default_factory=time.monotonic)


def spelling_of(message: bytes) -> Spelling | None:
    """What stands behind the letter decides."""
    return next((known for known in (SPACED, COMPACT) if message[1:].startswith(known.separator)), None)


def decimal(digits: bytes) -> int | None:
    """Only plain digits are a number: int() would also take signs, blanks and underscores."""
    significant = digits.lstrip(b"0") or b"0"
    if not digits.isdigit() or len(significant) > len(str(LARGEST_NUMBER)):
        return None
    number = int(significant)
    return number if number <= LARGEST_NUMBER else None


def parse_start(message: bytes) -> Start | None:
    """The number is cut from the left and the size from the right, as the name may contain separators."""
    spelling = spelling_of(message)
    if spelling is None:
        return None
    _, *fields = message.split(spelling.separator)
    if len(fields) < 3:
        return None
    number, size = decimal(fields[0]), decimal(fields[-1])
    try:
        name = spelling.separator.join(fields[1:-1]).decode()
    except UnicodeDecodeError:
        return None
    if number is None or size is None:
        return None
    return Start(message, spelling, number, name, size)


def say(text: str) -> None:
    print(text, flush=True)


class Server:
    """Everything is done by the rules. One reply at most for each datagram, and none of its own accord."""

    def __init__(self, sock: socket.socket, idle_s: float = UNFINISHED_KEPT_S) -> None:
        self.socket = sock
        self.idle_s = idle_s
        self.sessions: dict[Address, Session] = {}

    def run(self) -> None:
        while True:
            message, client = self.socket.recvfrom(LARGEST_DATAGRAM)
            try:
                self.handle(message, client)
            except OSError as error:
                # A full disk, or a client out of reach, must not end the transfers of the others.
                say(f"{client}: {error}")

    def handle(self, message: bytes, client: Address) -> None:
        self.forget_silent_clients()
        if message.startswith(b"s"):
            self.handle_start(message, client)
        elif message.startswith(b"d"):
            self.handle_data(message, client)
        elif message.startswith(b"a"):
            self.on_ack(message, client)
        else:
            self.on_unknown(message)

    def forget_silent_clients(self) -> None:
        now = time.monotonic()
        for client, session in list(self.sessions.items()):
            if now - session.heard_at > self.kept_s(session):
                del self.sessions[client]

    def kept_s(self, session: Session) -> float:
        """A finished session is kept for a while, because the last acknowledgement may have been lost."""
        return FINISHED_KEPT_S if session.is_finished else self.idle_s

    # -- starts

    def handle_start(self, message: bytes, client: Address) -> None:
        start = parse_start(message)
        old = self.sessions.get(client)
        if start is None:
            self.on_malformed(message)
        elif old is not None and not old.is_finished and old.start == start:
            self.on_repeated_start(old)
        elif path := self.place(start.name):
            self.open(Session(start, client, path, start.spelling.after(start.number)))

    def place(self, name: str) -> Path | None:
        """Where a file of this name goes, or None if it could lead out of the folder."""
        if name in ("", ".", "..") or "/" in name or "\0" in name or Path(name).is_dir():
            return None
        return Path(name)

    def open(self, session: Session) -> None:
        self.sessions[session.client] = session
        if self.is_complete(session):  # a file of zero bytes
            self.finish(session)
        self.reply(self.start_ack(session), session.client)

    def on_repeated_start(self, session: Session) -> None:
        """Its acknowledgement was lost; but if chunks came, it was not, and the start is a late copy."""
        if session.last is None:
            self.reply(self.start_ack(session), session.client)

    def start_ack(self, session: Session) -> bytes:
        spelling = session.start.spelling
        number = spelling.after(session.start.number)
        return b"a | %d | %d" % (number, spelling.bufsize) if spelling is SPACED else b"a|%d" % number

    # -- data

    def handle_data(self, message: bytes, client: Address) -> None:
        spelling = spelling_of(message)
        # Only the first two separators count: the chunk may contain more of them.
        fields = message.split(spelling.separator, 2) if spelling else []
        number = decimal(fields[1]) if len(fields) == 3 else None
        if number is None:
            self.on_malformed(message)
        elif (session := self.session_of(client)) and session.start.spelling is spelling:
            self.on_data(session, number, fields[2])

    def session_of(self, client: Address) -> Session | None:
        return self.sessions.get(client)

    def on_data(self, session: Session, number: int, chunk: bytes) -> None:
        if number == session.expected:
            if self.fits(session, chunk):
                self.take(session, number, chunk)
        elif number != session.last:
            self.on_other_number(session, number, chunk)
        elif session.is_finished:
            self.on_repeat_after_finish(session, number, chunk)
        else:
            self.on_repeat(session, number, chunk)

    def fits(self, session: Session, chunk: bytes) -> bool:
        return len(session.content) + len(chunk) <= session.start.size

    def take(self, session: Session, number: int, chunk: bytes) -> None:
        self.store(session, chunk)
        session.last, session.expected = number, session.start.spelling.after(number)
        if not session.is_finished and self.is_complete(session):
            self.finish(session)
        self.ack(session, number)

    def store(self, session: Session, chunk: bytes) -> None:
        session.content += chunk

    def is_complete(self, session: Session) -> bool:
        return len(session.content) == session.start.size

    def on_repeat(self, session: Session, number: int, chunk: bytes) -> None:
        """The acknowledgement was lost; the chunk is here already."""
        self.ack(session, number)

    def on_repeat_after_finish(self, session: Session, number: int, chunk: bytes) -> None:
        """The last acknowledgement was lost."""
        self.ack(session, number)

    def on_other_number(self, session: Session, number: int, chunk: bytes) -> None:
        """A late copy of an older chunk, or a number that nobody can have sent yet: silence."""

    def ack(self, session: Session, number: int) -> None:
        session.heard_at = time.monotonic()
        fields = [b"a", b"%d" % session.start.spelling.after(number)]
        self.reply(session.start.spelling.separator.join(fields), session.client)

    # -- the file

    def finish(self, session: Session) -> None:
        """Before the acknowledgement: once the client has that, it relies on the file."""
        try:
            self.save(session.path, session.content)
        except OSError:
            del self.sessions[session.client]
            raise
        session.is_finished = True
        say(f"{session.client}: received {session.path.name!r}, {len(session.content)} bytes")

    def save(self, path: Path, content: bytearray) -> None:
        """Under another name first, so that nobody ever sees half a file."""
        TEMPORARY.write_bytes(content)
        TEMPORARY.replace(path)

    # -- everything else

    def on_ack(self, message: bytes, client: Address) -> None:
        """Acknowledgements are never answered, or two servers could do so for ever."""

    def on_unknown(self, message: bytes) -> None:
        """Anybody can send anything: silence."""

    def on_malformed(self, message: bytes) -> None:
        """A start or data that cannot be read: silence."""

    def reply(self, message: bytes, client: Address) -> None:
        self.socket.sendto(message, client)


# -- The faults: each is the correct server but for one thing, which the first line of its text says.

FAULTS: dict[str, type[Server]] = {}


def fault(name: str) -> Callable[[type[Server]], type[Server]]:
    def enter(server: type[Server]) -> type[Server]:
        FAULTS[name] = server
        return server

    return enter


@fault("start-answered")
class AnswersZero(Server):
    """Answers every start with the number 0."""

    def start_ack(self, session: Session) -> bytes:
        return b"a | 0 | 1024" if session.start.spelling is SPACED else b"a|0"


@fault("buffer-size")
class ShortBuffer(Server):
    """Announces 1024 bytes but receives only 1000 of each datagram (compact: 20400)."""

    def handle(self, message: bytes, client: Address) -> None:
        super().handle(message[: 20_400 if spelling_of(message) is COMPACT else 1000], client)


@fault("file-empty")
class WaitsForData(Server):
    """Makes a file of zero bytes only when a data message comes."""

    def is_complete(self, session: Session) -> bool:
        return super().is_complete(session) and session.last is not None


@fault("file-one-byte")
class NeverOneByte(Server):
    """Takes a file for complete only when it has more than one byte."""

    def is_complete(self, session: Session) -> bool:
        return super().is_complete(session) and session.start.size != 1


class Measuring(Server):
    """No fault: knows how many bytes the chunk at hand lacks to be a full one."""

    lacking = 0

    def take(self, session: Session, number: int, chunk: bytes) -> None:
        spelling = session.start.spelling
        header = spelling.separator.join([b"d", b"%d" % number, b""])
        self.lacking = spelling.bufsize - len(header) - len(chunk)
        super().take(session, number, chunk)


@fault("file-chunk-minus-one")
class NeverOneByteShort(Measuring):
    """Never saves a file whose last chunk is one byte short of a full one."""

    def is_complete(self, session: Session) -> bool:
        return super().is_complete(session) and (session.last is None or self.lacking != 1)


@fault("file-chunk")
class WaitsForShortChunk(Measuring):
    """Takes a file for complete only when a chunk is shorter than a full one, as in TFTP."""

    def is_complete(self, session: Session) -> bool:
        return super().is_complete(session) and (session.last is None or self.lacking != 0)


@fault("file-chunk-plus-one")
class CountsFromZero(Measuring):
    """Takes a file for complete when full chunks have come and one byte is missing, which is not saved."""

    def is_complete(self, session: Session) -> bool:
        is_after_full_chunk = session.last is not None and self.lacking == 0
        missing = session.start.size - len(session.content)
        return missing == 0 or (missing == 1 and is_after_full_chunk)


@fault("file-megabyte")
class SmallMemory(Server):
    """Acknowledges everything but stores only the first 256 chunks' worth (compact: 500000 bytes)."""

    def store(self, session: Session, chunk: bytes) -> None:
        limit = 256 * SPACED.bufsize if session.start.spelling is SPACED else 500_000
        if len(session.content) < limit:
            super().store(session, chunk)


@fault("separator-in-data")
class CutsAtSeparator(Server):
    """Cuts a chunk at the first separator in it."""

    def on_data(self, session: Session, number: int, chunk: bytes) -> None:
        super().on_data(session, number, chunk.split(session.start.spelling.separator, 1)[0])


@fault("newline-in-data")
class StripsNewlines(Server):
    """Strips line ends from both ends of a chunk."""

    def on_data(self, session: Session, number: int, chunk: bytes) -> None:
        super().on_data(session, number, chunk.strip(b"\r\n"))


@fault("equal-chunks")
class KnowsRepeatsByContent(Server):
    """Takes a chunk with the content of the one before for a repeat, and does not store it."""

    def store(self, session: Session, chunk: bytes) -> None:
        if not chunk or not session.content.endswith(chunk):
            super().store(session, chunk)


@fault("binary-data")
class DecodesData(Server):
    """Decodes each chunk as UTF-8 and dies of other bytes."""

    def on_data(self, session: Session, number: int, chunk: bytes) -> None:
        super().on_data(session, number, chunk.decode().encode())


@fault("name-with-space")
class SplitsNames(Server):
    """Takes the first word of a name for the name."""

    def place(self, name: str) -> Path | None:
        return super().place(name.split(" ", 1)[0])


@fault("file-name")
class RenamesFiles(Server):
    """Saves each file as "(received) NAME"."""

    def place(self, name: str) -> Path | None:
        return Path(f"(received) {name}") if super().place(name) else None


@fault("file-name:stripped")
class DropsExtensions(Server):
    """Saves each file without its extension."""

    def place(self, name: str) -> Path | None:
        return Path(Path(name).stem) if super().place(name) else None


@fault("overwrite")
class LeavesOldEnd(Server):
    """Writes over the beginning of a file that exists and leaves the rest of it."""

    def save(self, path: Path, content: bytearray) -> None:
        path.touch()
        with path.open("r+b") as file:
            file.write(content)


@fault("path-escape")
class FollowsPaths(Server):
    """Uses names as they come, also those that lead out of the folder."""

    def place(self, name: str) -> Path | None:
        return Path(name)


@fault("start-lost")
class DiesWithoutSession(Server):
    """Dies of a KeyError when data comes without a session."""

    def session_of(self, client: Address) -> Session | None:
        return self.sessions[client]


@fault("start-repeated")
class IgnoresRepeatedStart(Server):
    """Does not answer a start that comes again."""

    def on_repeated_start(self, session: Session) -> None:
        pass


@fault("start-repeated:no-size")
class ForgetsBufsize(Server):
    """Answers a start that comes again without the buffer size (spaced only: compact answers have none)."""

    def on_repeated_start(self, session: Session) -> None:
        if session.last is None:
            self.ack(session, session.start.number)


@fault("start-late")
class ResetsOnLateStart(Server):
    """Begins anew when the same start comes again in the middle of a transfer."""

    def on_repeated_start(self, session: Session) -> None:
        first = session.start.spelling.after(session.start.number)
        self.open(Session(session.start, session.client, session.path, first))


@fault("start-late:dies")
class DiesOfLateStart(Server):
    """Dies when the same start comes again in the middle of a transfer."""

    def on_repeated_start(self, session: Session) -> None:
        if session.last is not None:
            raise RuntimeError("a second start in one transfer")
        super().on_repeated_start(session)


@fault("data-lost")
class Impatient(Server):
    """Forgets an unfinished session after one second of silence."""

    def kept_s(self, session: Session) -> float:
        return super().kept_s(session) if session.is_finished else 1.0


@fault("data-repeated")
class StoresRepeats(Server):
    """Stores a chunk that comes again a second time and acknowledges it."""

    def on_repeat(self, session: Session, number: int, chunk: bytes) -> None:
        self.take(session, number, chunk)


@fault("data-repeated:silent")
class IgnoresRepeats(Server):
    """Does not acknowledge a chunk that comes again."""

    def on_repeat(self, session: Session, number: int, chunk: bytes) -> None:
        pass


@fault("data-repeated:next")
class CountsRepeats(Server):
    """Stores a chunk that comes again a second time and acknowledges the number after its own."""

    def on_repeat(self, session: Session, number: int, chunk: bytes) -> None:
        self.take(session, session.expected, chunk)


@fault("data-repeated-late")
class StoresOldChunks(Server):
    """Stores a late copy of an older chunk as if it were new (spaced only: compact has no older numbers)."""

    def on_other_number(self, session: Session, number: int, chunk: bytes) -> None:
        if session.start.spelling is SPACED and number < session.expected:
            self.store(session, chunk)
            self.ack(session, number)


@fault("data-reordered")
class StoresInOrderOfArrival(Server):
    """Stores every chunk in the order of arrival, whatever its number."""

    def on_other_number(self, session: Session, number: int, chunk: bytes) -> None:
        self.take(session, number, chunk)


@fault("data-future")
class FollowsTheClient(Server):
    """Stores a chunk whose number lies ahead, and goes on from there."""

    def on_other_number(self, session: Session, number: int, chunk: bytes) -> None:
        if session.start.spelling is COMPACT or number > session.expected:
            self.take(session, number, chunk)


@fault("last-ack-lost")
class SilentAfterFinish(Server):
    """Does not acknowledge the last chunk again after the finish."""

    def on_repeat_after_finish(self, session: Session, number: int, chunk: bytes) -> None:
        pass


@fault("last-ack-lost:stored")
class AppendsAfterFinish(Server):
    """Appends the last chunk to the finished file when it comes again."""

    def on_repeat_after_finish(self, session: Session, number: int, chunk: bytes) -> None:
        self.store(session, chunk)
        self.save(session.path, session.content)
        self.ack(session, number)


@fault("two-clients")
class OneForAll(Server):
    """Has one session for everybody: a second client's start ends the first one's transfer."""

    def open(self, session: Session) -> None:
        self.sessions.clear()
        super().open(session)


@fault("ten-clients")
class FiveAtMost(Server):
    """Does not answer a start while five transfers are under way."""

    def open(self, session: Session) -> None:
        if sum(not other.is_finished for other in self.sessions.values()) < 5:
            super().open(session)


@fault("same-port")
class KnowsPortsOnly(Server):
    """Tells clients apart by their ports only: the same port at another address is the same client."""

    def open(self, session: Session) -> None:
        for client in [client for client in self.sessions if client[1] == session.client[1]]:
            del self.sessions[client]
        super().open(session)

    def session_of(self, client: Address) -> Session | None:
        return next((session for known, session in self.sessions.items() if known[1] == client[1]), None)


@fault("second-file")
class OneFilePerAddress(Server):
    """Acknowledges a second start from an address after its first file, but ignores the data."""

    def open(self, session: Session) -> None:
        old = self.sessions.get(session.client)
        super().open(session)
        if old is not None and old.is_finished:
            session.expected = -1


@fault("idle-forgotten")
class NeverForgets(Server):
    """Keeps unfinished sessions for ever."""

    def kept_s(self, session: Session) -> float:
        return super().kept_s(session) if session.is_finished else math.inf


@fault("unknown-message")
class ExitsOnUnknown(Server):
    """Exits when a message is of no known type."""

    def on_unknown(self, message: bytes) -> None:
        sys.exit(f"unknown message {message[:20]!r}")


@fault("malformed-message")
class DiesOfMalformed(Server):
    """Dies of a ValueError when a start or data cannot be read."""

    def on_malformed(self, message: bytes) -> None:
        raise ValueError(f"cannot read {message[:20]!r}")


@fault("oversize")
class KeepsEverything(Server):
    """Keeps more bytes than were announced."""

    def fits(self, session: Session, chunk: bytes) -> bool:
        return True

    def is_complete(self, session: Session) -> bool:
        return len(session.content) >= session.start.size

    def take(self, session: Session, number: int, chunk: bytes) -> None:
        super().take(session, number, chunk)
        if session.is_finished:
            self.save(session.path, session.content)


@fault("answers-once")
class AnswersTwice(Server):
    """Sends every answer twice."""

    def reply(self, message: bytes, client: Address) -> None:
        super().reply(message, client)
        super().reply(message, client)


@fault("answers-once:empty")
class AddsEmptyAnswers(Server):
    """Sends an empty datagram after every answer."""

    def reply(self, message: bytes, client: Address) -> None:
        super().reply(message, client)
        super().reply(b"", client)


@fault("ack-not-answered")
class AnswersAcks(Server):
    """Answers an acknowledgement with the same acknowledgement."""

    def on_ack(self, message: bytes, client: Address) -> None:
        self.reply(message, client)


# -- the command line


class ListFaults(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        for name, server in FAULTS.items():
            print(f"{name:<24}{server.__doc__}")
        parser.exit()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", metavar="PORT", type=int, help="0 takes a free one")
    parser.add_argument("--fault", metavar="CASE", help="what to do wrong")
    parser.add_argument(
        "--idle",
        metavar="SECONDS",
        type=float,
        default=UNFINISHED_KEPT_S,
        help="how long a silent client is remembered",
    )
    parser.add_argument("--list", action=ListFaults, nargs=0, help="name the faults, one a line, and end")
    options = parser.parse_args()
    if options.fault is not None and options.fault not in FAULTS:
        parser.error(f"no such fault: {options.fault}; --list names them")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((LOOPBACK, options.port))
        say(f"listening on {LOOPBACK}:{sock.getsockname()[1]}")
        FAULTS.get(options.fault, Server)(sock, options.idle).run()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
