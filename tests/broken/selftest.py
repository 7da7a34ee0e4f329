"""Shows that the correct peers are correct and that each fault shows: selftest.py [-v]."""

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import client
import meddlers
import server
from server import COMPACT, LOOPBACK, SPACED, Spelling

HERE = Path(__file__).resolve().parent
LIMIT_S = 30.0
WORKERS = 32
PATIENCE_S = 1.0
SILENCE_S = 0.1
GIVE_UP_S = 6.0
# A lab's weather alone takes 11 s; who goes on longer than this goes on for ever.
ENDLESS_AFTER_S = 16.0
SPELLINGS = {"spaced": SPACED, "compact": COMPACT}
# In the compact spelling there is nothing that these could do wrong.
SPACED_ONLY = ("start-repeated:no-size", "data-repeated-late")
NAME = "photo.jpg"
# Linux has all of 127.0.0.0/8.
SECOND_LOOPBACK = "127.0.0.2"
ENDLESS = "goes on for ever"


def pattern(size: int) -> bytes:
    """Chunks of it differ, whatever their length."""
    return b"".join(b"%07d\n" % number for number in range(size // 8 + 1))[:size]


# -- what is said to a server, and what a correct one answers


@dataclass(frozen=True)
class Step:
    message: bytes
    answers: tuple[bytes, ...] = ()
    who: int = 0
    pause_s: float = 0.0


@dataclass
class Talk:
    steps: list[Step]
    files: dict[str, bytes] = field(default_factory=dict)
    before: dict[str, bytes] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    is_same_port: bool = False


@dataclass(frozen=True)
class Words:
    """The messages of one spelling, with their right answers; chunks are counted from 1."""

    spelling: Spelling

    def join(self, *fields: bytes) -> bytes:
        return self.spelling.separator.join(fields)

    def number(self, index: int) -> bytes:
        return b"%d" % (index if self.spelling is SPACED else index % 2)

    def room(self, index: int = 1) -> int:
        return self.spelling.bufsize - len(self.join(b"d", self.number(index), b""))

    def start(self, size: int, name: str = NAME, who: int = 0) -> Step:
        answer = b"a | 1 | 1024" if self.spelling is SPACED else b"a|1"
        return Step(self.join(b"s", b"0", name.encode(), b"%d" % size), (answer,), who)

    def data(self, index: int, chunk: bytes, who: int = 0) -> Step:
        message = self.join(b"d", self.number(index), chunk)
        return Step(message, (self.join(b"a", self.number(index + 1)),), who)

    def copy(self, content: bytes, name: str = NAME) -> list[Step]:
        steps, offset = [self.start(len(content), name)], 0
        while offset < len(content):
            chunk = content[offset : offset + self.room(len(steps))]
            offset += len(chunk)
            steps.append(self.data(len(steps), chunk))
        return steps


def unanswered(step: Step, pause_s: float = 0.0) -> Step:
    return Step(step.message, (), step.who, pause_s)


def whole(words: Words, content: bytes, name: str = NAME) -> Talk:
    return Talk(words.copy(content, name), {name: content})


def after_nonsense(words: Words, nonsense: bytes) -> Talk:
    return Talk([Step(nonsense), *words.copy(b"abc")], {NAME: b"abc"})


def interleaved(words: Words, clients: int) -> Talk:
    names = [f"{who}.jpg" for who in range(clients)]
    starts = [words.start(3, name, who) for who, name in enumerate(names)]
    chunks = [words.data(1, b"abc", who) for who in range(clients)]
    return Talk([*starts, *chunks], dict.fromkeys(names, b"abc"))


def three(words: Words, order: str, pause_s: float = 0.0, options: tuple[str, ...] = ()) -> Talk:
    """Three chunks in an order like "1 1 2 3", 0 is the start; "-" means after the pause, and unanswered."""
    steps = [words.start(9)]
    for word in order.split():
        index = int(word.strip("-"))
        step = words.data(index, b"%d%d\n" % (index, index)) if index else words.start(9)
        steps.append(unanswered(step, pause_s) if word.startswith("-") else step)
    is_whole = {"1", "2", "3"} <= set(order.split())
    return Talk(steps, {NAME: b"11\n22\n33\n"} if is_whole else {}, options=options)


def data_lost(words: Words) -> Talk:
    talk = three(words, "1 2 3")
    talk.steps[2] = Step(talk.steps[2].message, talk.steps[2].answers, pause_s=1.3)
    return talk


def overwrite(words: Words) -> Talk:
    return Talk(words.copy(b"abc"), {NAME: b"abc"}, {NAME: b"longer than that"})


def oversize(words: Words) -> Talk:
    return Talk([words.start(3), unanswered(words.data(1, b"abcde")), words.data(1, b"abc")], {NAME: b"abc"})


def data_future(words: Words) -> Talk:
    far = Step(words.join(b"d", b"9", b"99\n"))
    talk = three(words, "1 2 3")
    return Talk([*talk.steps[:2], far, *talk.steps[2:]], talk.files)


def second_file(words: Words) -> Talk:
    return Talk([*words.copy(b"abc"), *words.copy(b"def", "2.jpg")], {NAME: b"abc", "2.jpg": b"def"})


# What a fault with a colon in its name does differently is seen by the same talk.
TALKS: dict[str, Callable[[Words], Talk]] = {
    "start-answered": lambda w: whole(w, b"abc"),
    "buffer-size": lambda w: whole(w, pattern(2 * w.room())),
    "file-empty": lambda w: whole(w, b""),
    "file-one-byte": lambda w: whole(w, b"Z"),
    "file-chunk-minus-one": lambda w: whole(w, pattern(w.room() - 1)),
    "file-chunk": lambda w: whole(w, pattern(w.room())),
    "file-chunk-plus-one": lambda w: whole(w, pattern(w.room() + 1)),
    "file-megabyte": lambda w: whole(w, pattern(1 << 20)),
    "separator-in-data": lambda w: whole(w, b"a | b|c | "),
    "equal-chunks": lambda w: whole(w, b"=" * (2 * w.room() + 5)),
    "newline-in-data": lambda w: whole(w, b"\nabc\r\n\n"),
    "binary-data": lambda w: whole(w, bytes(range(256))),
    "name-with-space": lambda w: whole(w, b"abc", "two words.jpg"),
    "file-name": lambda w: whole(w, b"abc"),
    "overwrite": overwrite,
    "path-escape": lambda w: Talk([unanswered(w.start(3, "../escaped.jpg"))]),
    "start-lost": lambda w: after_nonsense(w, w.data(1, b"abc").message),
    "start-repeated": lambda w: three(w, "0 1 2 3"),
    "start-late": lambda w: three(w, "1 2 -0 3"),
    "data-lost": data_lost,
    "data-repeated": lambda w: three(w, "1 1 2 2 3"),
    "data-repeated-late": lambda w: three(w, "1 2 -1 3") if w.spelling is SPACED else three(w, "1 2 3"),
    "data-reordered": lambda w: three(w, "-2 1 2 3"),
    "data-future": data_future,
    "last-ack-lost": lambda w: three(w, "1 2 3 3"),
    "two-clients": lambda w: interleaved(w, 2),
    "ten-clients": lambda w: interleaved(w, 10),
    "same-port": lambda w: replace(interleaved(w, 2), is_same_port=True),
    "second-file": second_file,
    "idle-forgotten": lambda w: three(w, "1 2 -3", 1.3, ("--idle", "1")),
    "unknown-message": lambda w: after_nonsense(w, w.join(b"x", b"1", b"y")),
    "malformed-message": lambda w: after_nonsense(w, w.join(b"d", b"one", b"y")),
    "oversize": oversize,
    "answers-once": lambda w: whole(w, b"abc"),
    "ack-not-answered": lambda w: after_nonsense(w, w.join(b"a", b"1")),
}


@contextmanager
def running_server(fault: str | None, options: tuple[str, ...] = ()) -> Iterator[tuple[int, Path]]:
    """A server's port and folder; the folder is in another one, for names that lead out."""
    command = [sys.executable, str(HERE / "server.py"), "0", *options, *(["--fault", fault] if fault else [])]
    with tempfile.TemporaryDirectory() as outer:
        folder = Path(outer) / "served"
        folder.mkdir()
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=subprocess.DEVNULL) as process:
            try:
                assert process.stdout is not None
                yield int(process.stdout.readline().rpartition(b":")[2]), folder
            finally:
                process.kill()


def failure_of_talk(fault: str | None, talk: Talk) -> str:
    """What the server did otherwise than a correct one; empty if nothing."""
    with running_server(fault, talk.options) as (port, folder):
        for name, content in talk.before.items():
            (folder / name).write_bytes(content)
        failure = failure_of_steps(talk.steps, port, talk.is_same_port)
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        if not failure and files != talk.files:
            return f"has other files, or other content in them: {sorted(files)}"
        return failure


def failure_of_steps(steps: list[Step], port: int, is_same_port: bool = False) -> str:
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in {step.who for step in steps}]
    try:
        if is_same_port:
            sockets[0].bind((LOOPBACK, 0))
            sockets[1].bind((SECOND_LOOPBACK, sockets[0].getsockname()[1]))
        for step in steps:
            time.sleep(step.pause_s)
            sock = sockets[step.who]
            sock.sendto(step.message, (LOOPBACK, port))
            heard = tuple(receive(sock, PATIENCE_S) for _ in step.answers) or (receive(sock, SILENCE_S),)
            if heard != (step.answers or (None,)):
                return f"answers {step.message[:20]!r} with {heard}"
        surplus = [answer for sock in sockets if (answer := receive(sock, SILENCE_S)) is not None]
        return f"says {surplus} unasked" if surplus else ""
    finally:
        for sock in sockets:
            sock.close()


def receive(sock: socket.socket, wait_s: float) -> bytes | None:
    sock.settimeout(wait_s)
    try:
        return sock.recv(server.LARGEST_DATAGRAM)
    except TimeoutError:
        return None


# -- what befalls a client


def client_command(port: int, local: Path, fault: str | None, spelling: str) -> list[str]:
    command = [sys.executable, str(HERE / "client.py"), f"{LOOPBACK}:{port}", str(local), NAME]
    command += ["--spelling", spelling, "--give-up", str(GIVE_UP_S)]
    return [*command, *(["--fault", fault] if fault else [])]


def failure_of_client(fault: str | None, trial: meddlers.Trial, spelling: str) -> str:
    """Why the client cannot be said to have delivered; empty if it has."""
    room = Words(SPELLINGS[spelling]).room()
    content = trial.content if trial.content is not None else pattern(int(trial.chunks * room) + trial.extra)
    with tempfile.TemporaryDirectory() as folder, meddlers.running(trial.meddler) as peer:
        local = Path(folder) / "local.bin"
        local.write_bytes(content)
        command = client_command(peer.port, local, fault, spelling)
        ended = end_of(command)
        if ended is None:
            return ENDLESS
        if ended != 0:
            return f"exit code {ended}"
        if peer.saved != {NAME: content}:
            return "says that it delivered, and has not"
        return peer.objection


def end_of(command: list[str]) -> int | None:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            return process.wait(ENDLESS_AFTER_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return None


def failure_of_copy(size: int, spelling: str) -> str:
    """The correct client and the correct server, both as programs."""
    with running_server(None) as (port, folder):
        local = folder.parent / "local.bin"
        local.write_bytes(pattern(size))
        if ended := end_of(client_command(port, local, None, spelling)):
            return f"exit code {ended}"
        is_right = (folder / NAME).is_file() and (folder / NAME).read_bytes() == pattern(size)
        return "" if is_right else "another file arrived"


# -- all checks


@dataclass(frozen=True)
class Check:
    """A statement, and how it fails: empty when it holds."""

    name: str
    failure: Callable[[], str]


def copies() -> Iterator[Check]:
    for spelling, known in SPELLINGS.items():
        room = Words(known).room()
        for size in (0, 1, room - 1, room, room + 1, 3 * room, 300_000):
            yield Check(f"correct pair, {spelling}, {size} bytes", partial(failure_of_copy, size, spelling))


def server_checks() -> Iterator[Check]:
    for spelling, known in SPELLINGS.items():
        for case, talk in TALKS.items():
            yield Check(
                f"correct server, {spelling}, {case}", partial(failure_of_talk, None, talk(Words(known)))
            )
        for fault in server.FAULTS:
            if spelling == "spaced" or fault not in SPACED_ONLY:
                talk = TALKS[fault.partition(":")[0]]
                yield Check(
                    f"broken server, {spelling}, {fault}",
                    partial(faultless_server, fault, talk(Words(known))),
                )


def faultless_server(fault: str, talk: Talk) -> str:
    return "" if failure_of_talk(fault, talk) else "nothing is wrong"


def client_checks() -> Iterator[Check]:
    for spelling in SPELLINGS:
        for fault, trial in meddlers.TRIALS.items():
            yield Check(f"correct client, {spelling}, {fault}", partial(unwanted_end, trial, spelling))
            yield Check(
                f"broken client, {spelling}, {fault}", partial(faultless_client, fault, trial, spelling)
            )


def unwanted_end(trial: meddlers.Trial, spelling: str) -> str:
    failure = failure_of_client(None, trial, spelling)
    return "" if failure == trial.wanted else failure or "delivers where it cannot"


def faultless_client(fault: str, trial: meddlers.Trial, spelling: str) -> str:
    """Also a broken client has to end, but for those whose fault it is that they do not."""
    failure = failure_of_client(fault, trial, spelling)
    if (failure == ENDLESS) != (fault in client.ENDLESS):
        return f"ends otherwise than it should: {failure}"
    return "" if failure else "nothing is wrong"


def list_checks() -> Iterator[Check]:
    server_cases = {fault.partition(":")[0] for fault in server.FAULTS}
    yield Check("every server fault has a talk", partial(difference, server_cases, set(TALKS)))
    yield Check(
        "every client fault has a trial", partial(difference, set(client.FAULTS), set(meddlers.TRIALS))
    )
    yield Check("server.py lists its faults", partial(difference, listed("server.py"), set(server.FAULTS)))
    yield Check("client.py lists its faults", partial(difference, listed("client.py"), set(client.FAULTS)))


def difference(left: set[str], right: set[str]) -> str:
    return " ".join(sorted(left ^ right))


def listed(program: str) -> set[str]:
    """The names that a sentence follows."""
    command = [sys.executable, str(HERE / program), "--list"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {line.split()[0] for line in text.splitlines() if line.endswith(".")}


def main() -> int:
    began = time.monotonic()
    checks = [*list_checks(), *client_checks(), *server_checks(), *copies()]
    checks.sort(key=lambda check: not any(slow in check.name for slow in meddlers.SLOW))
    with ThreadPoolExecutor(WORKERS) as pool:
        failures = list(pool.map(lambda check: check.failure(), checks))
    for check, failure in zip(checks, failures, strict=True):
        if failure or "-v" in sys.argv[1:]:
            print(f"FAIL {check.name}: {failure}" if failure else f"ok   {check.name}")
    took_s = time.monotonic() - began
    print(f"{failures.count('')} of {len(checks)} hold, {took_s:.1f} s")
    return 0 if not any(failures) and took_s < LIMIT_S else 1


if __name__ == "__main__":
    sys.exit(main())
