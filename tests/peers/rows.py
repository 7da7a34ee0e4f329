"""Asks every server the scripted questions behind the document's tables; the answers must come out as counted there."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import servers_a
import servers_b
from bench import Asker, RunningServer, running

# A full chunk each, for the server that counts full chunks: 1024 less the 8 bytes of "d | 1 | ".
A, B = b"A" * 1016, b"B" * 1016
TWO_CHUNKS = b"s | 0 | f.png | 2032"

Question = Callable[[RunningServer, Asker], str]


@dataclass(frozen=True)
class Row:
    """One line of a table: a question, and who answers what. A number stands for servers that have no name there."""

    name: str
    ask: Question
    expected: dict[str, set[str] | int]


def check_row(profiles: list[str], row: Row) -> str:
    """Empty when the counts and names come out, else what came out instead."""
    with ThreadPoolExecutor(len(profiles)) as pool:
        answers = dict(zip(profiles, pool.map(lambda profile: answer_of(profile, row.ask), profiles)))
    found: dict[str, set[str]] = {}
    for profile, answer in answers.items():
        found.setdefault(answer, set()).add(profile.split("-")[1])
    same = found.keys() == row.expected.keys() and all(
        len(found[answer]) == who if isinstance(who, int) else found[answer] == who
        for answer, who in row.expected.items()
    )
    return "" if same else f"found {found}"


def answer_of(profile: str, ask: Question) -> str:
    with running(profile) as server:
        asker = Asker(server.port)
        try:
            return ask(server, asker)
        finally:
            asker.close()


def life(server: RunningServer) -> str:
    time.sleep(0.1)
    return "lives" if server.is_alive() else "gone"


def shown(reply: bytes | None) -> str:
    return "silence" if reply is None else repr(reply.decode())


def stored(server: RunningServer, grace_s: float = 0.2) -> bytes | None:
    deadline = time.monotonic() + (2.6 if server.profile in ("a-s1", "a-s4", "a-s5") else grace_s)
    while time.monotonic() < deadline:
        if server.files():
            time.sleep(0.03)  # it is made first and filled afterwards
            return list(server.files().values())[0]
        time.sleep(0.02)
    return None


def names(text: str) -> set[str]:
    return set(text.split())


# -- the spaced dialect


def a_start(server: RunningServer, asker: Asker) -> str:
    return shown(asker.ask(b"s | 39 | f.png | 0010"))


def a_data_ack(server: RunningServer, asker: Asker) -> str:
    asker.ask(TWO_CHUNKS)
    return shown(asker.ask(b"d | %d | " % first(server) + A)).replace("a | 2", "a | n").replace("a | 1'", "a | n'")


def a_restart_early(server: RunningServer, asker: Asker) -> str:
    before = asker.ask(TWO_CHUNKS)
    again = asker.ask(TWO_CHUNKS)
    return "same" if again == before else shown(again)


def a_restart_in_transfer(server: RunningServer, asker: Asker) -> str:
    n = first(server)
    asker.ask(TWO_CHUNKS)
    asker.ask(b"d | %d | " % n + A)
    asker.ask(TWO_CHUNKS)
    if life(server) == "gone":
        return "dies"
    asker.ask(b"d | %d | " % (n + 1) + B)
    return "kept" if stored(server) == A + B else "lost"


def a_duplicate(server: RunningServer, asker: Asker) -> str:
    n = first(server)
    asker.ask(TWO_CHUNKS)
    ack = asker.ask(b"d | %d | " % n + A)
    again = asker.ask(b"d | %d | " % n + A)
    twice = stored(server) == A + A
    if again is None and not twice:
        return "silence"
    return ("stored twice" if twice else "not stored") + (", same ack" if again == ack else ", next ack")


def a_too_high(server: RunningServer, asker: Asker) -> str:
    n = first(server)
    asker.ask(TWO_CHUNKS)
    asker.ask(b"d | %d | " % n + A)
    reply = asker.ask(b"d | %d | " % (n + 5) + B)
    number = "silence" if reply is None else "q+1" if reply.startswith(b"a | %d" % (n + 6)) else "own"
    return number + (", stored" if stored(server) == A + B else "")


def a_repeat_after_end(server: RunningServer, asker: Asker) -> str:
    n = first(server)
    asker.ask(b"s | 0 | f.png | 1016")
    asker.ask(b"d | %d | " % n + A)
    reply = asker.ask(b"d | %d | " % n + A)
    if reply is None:
        return "silence"
    time.sleep(0.05)
    return "acked" if stored(server) == A else "acked, corrupted"


def a_too_many_bytes(server: RunningServer, asker: Asker) -> str:
    asker.ask(b"s | 0 | f.png | 1000")
    asker.ask(b"d | %d | " % first(server) + A)
    content = stored(server)
    return "never" if content is None else "kept" if content == A else "cut" if content == A[:1000] else "wrong"


def a_appears(server: RunningServer, asker: Asker) -> str:
    asker.ask(b"s | 0 | f.png | 1016")
    asker.ask(b"d | %d | " % first(server) + A)
    time.sleep(0.3)
    return "at once" if server.files() else "later" if stored(server) == A else "never"


def a_zero(server: RunningServer, asker: Asker) -> str:
    asker.ask(b"s | 0 | f.png | 0")
    if stored(server) is not None:
        return "start"
    asker.ask(b"d | %d | " % first(server))
    return "data" if stored(server) == b"" else "never"


def a_empty_after_end(server: RunningServer, asker: Asker) -> str:
    n = first(server)
    asker.ask(b"s | 0 | f.png | 1016")
    asker.ask(b"d | %d | " % n + A)
    before = life(server)
    asker.ask(b"d | %d | " % (n + 1))
    return f"{before} {life(server)} {server.exit_code}"


def a_other_address(server: RunningServer, asker: Asker) -> str:
    asker.ask(b"s | 0 | f.png | 1016")
    other = Asker(server.port)
    other.ask(b"d | 1 | " + A)
    other.close()
    return "global" if stored(server, 0.1) == A else "per address or port"


def a_stray(server: RunningServer, asker: Asker) -> str:
    reply = asker.ask(b"d | 1 | x")
    return f"{shown(reply)} {life(server)}"


def a_silent(server: RunningServer, asker: Asker) -> str:
    asker.ask(b"s | 0 | f.png | 1016")
    time.sleep(4.2)
    if not server.is_alive():
        return f"gone {server.exit_code}"
    asker.ask(b"d | %d | " % first(server) + A)
    return "kept" if stored(server, 0.2) == A else "forgotten"


def a_separator(server: RunningServer, asker: Asker) -> str:
    payload = (b"x | y" * 300)[:1016]
    asker.ask(b"s | 0 | f.png | 1016")
    asker.ask(b"d | %d | " % first(server) + payload)
    if server.exit_code == 1:
        return "dies"
    content = stored(server)
    return "cut" if content is None else "right" if content == payload else "wrong"


def a_unspaced(server: RunningServer, asker: Asker) -> str:
    reply = asker.ask(b"s|0|f.png|1016")
    return f"{shown(reply)} {life(server)}"


def a_name(server: RunningServer, asker: Asker) -> str:
    asker.ask(b"s | 0 | f.png | 1016")
    asker.ask(b"d | %d | " % first(server) + A)
    stored(server)
    name = next(iter(server.files()), "")
    return "new_IP_PORT" if name.startswith("new_127.0.0.1_") else name


def first(server: RunningServer) -> int:
    """s15 acknowledges every start with 0, and the first data carries that number."""
    return 0 if server.profile == "a-s15" else 1


ROWS_A = [
    Row("start ack", a_start, {"'a | 40 | 1024'": 14, "'a | 0 | 1024'": names("s15")}),
    Row("data ack", a_data_ack, {"'a | n'": 14, "'a | n | 1024'": names("s7")}),
    Row("repeated start, no data yet", a_restart_early, {"same": 11, "'a | 1'": names("s9"), "silence": names("s3 s6 s7")}),
    Row(
        "repeated start in mid-transfer",
        a_restart_in_transfer,
        {"kept": names("good bad s3 s6 s7 s9 s12"), "lost": names("s1 s2 s4 s5 s8 s11 s15"), "dies": names("s10")},
    ),
    Row(
        "duplicate of the last stored chunk",
        a_duplicate,
        {
            "not stored, same ack": names("good bad s8 s9 s10 s11"),
            "silence": names("s1 s2 s4 s5"),
            "stored twice, same ack": names("s6 s7 s12"),
            "stored twice, next ack": names("s3 s15"),
        },
    ),
    Row(
        "data seqno too high",
        a_too_high,
        {
            "q+1": names("good bad s11"),
            "q+1, stored": names("s6 s7 s8"),
            "own": names("s9 s10"),
            "own, stored": names("s12 s3 s15"),
            "silence": names("s1 s2 s4 s5"),
        },
    ),
    Row(
        "last chunk repeated after the finish",
        a_repeat_after_end,
        {"acked": names("s9 s11"), "acked, corrupted": names("s3 s12 s15"), "silence": 10},
    ),
    Row("more bytes than total_size", a_too_many_bytes, {"kept": names("good bad s3 s6 s7 s12"), "cut": names("s10"), "never": 8}),
    Row("file appears", a_appears, {"at once": 12, "later": names("s1 s4 s5")}),
    Row("zero-byte file", a_zero, {"start": names("s1 s2 s4 s5 s6 s7 s8 s15"), "data": names("good bad s3 s9 s10 s11 s12")}),
    Row(
        "extra empty data after the end",
        a_empty_after_end,
        {"lives lives None": 12, "lives gone 1": names("s10"), "lives gone 0": names("s6"), "gone gone 0": names("s7")},
    ),
    Row("session key", a_other_address, {"global": names("s2 s6 s7"), "per address or port": 12}),
    Row(
        "data without a session",
        a_stray,
        {"silence lives": names("good bad s2 s8 s9"), "'' lives": names("s11"), "silence gone": 9},
    ),
    Row(
        "silence limit",
        a_silent,
        {"forgotten": 10, "gone 0": names("s6"), "gone 1": names("s7"), "kept": names("s2 s8 s10")},
    ),
    Row("payload with a separator", a_separator, {"right": 11, "cut": names("s2 s8"), "dies": names("s10"), "wrong": names("s15")}),
    Row("start without spaces", a_unspaced, {"silence lives": 6, "silence gone": 9}),
    Row(
        "name on disk",
        a_name,
        {
            "f.png": 12,
            "beside_script/f.png": names("s11"),
            "(received) f.png": names("s7"),
            "new_IP_PORT": names("s15"),
        },
    ),
]


# -- the compact dialect


def b_ack(server: RunningServer, asker: Asker) -> str:
    return shown(asker.ask(b"s|0|f.png|8"))


def b_duplicate(server: RunningServer, asker: Asker) -> str:
    # Large enough to be two chunks also by the count of s2.
    one, two = b"A" * 15_000, b"B" * 15_000
    asker.ask(b"s|0|f.png|30000")
    asker.ask(b"d|1|" + one)
    reply = asker.ask(b"d|1|" + one)
    if stored(server, 0.1) in (one + one, one):
        return "stored again"
    if reply is not None:
        return "dropped, acked"
    asker.ask(b"d|0|" + two)
    return "dropped, silent" if stored(server, 0.1) == one + two else "aborts"


def b_repeat_after_end(server: RunningServer, asker: Asker) -> str:
    asker.ask(b"s|0|f.png|4")
    asker.ask(b"d|1|AAAA")
    reply = asker.ask(b"d|1|AAAA")
    return shown(reply)[1:2].replace("i", "silence") if life(server) == "lives" else "gone"


def b_restart(server: RunningServer, asker: Asker) -> str:
    asker.ask(b"s|0|f.png|40000")
    asker.ask(b"d|1|" + b"A" * 20_000)
    reply = asker.ask(b"s|0|f.png|40000")
    if life(server) == "gone":
        return "aborts or exits"
    again = asker.ask(b"d|0|" + b"B" * 20_000)
    kept = stored(server, 0.1) is not None
    if kept:
        return "kept, n" if reply is not None and reply[:1] == b"n" else "kept"
    return "lost" if reply == b"a|1" or reply == b"a|1|" or again is not None else "aborts or exits"


def b_zero(server: RunningServer, asker: Asker) -> str:
    asker.ask(b"s|0|f.png|0")
    if stored(server, 0.1) is not None:
        return "start"
    asker.ask(b"d|1|")
    return "data" if stored(server, 0.1) == b"" else "never"


def b_garbage(server: RunningServer, asker: Asker) -> str:
    asker.ask(b"what?")
    return life(server)


def b_spaced(server: RunningServer, asker: Asker) -> str:
    asker.ask(b"s | 0 | f.png | 8")
    asker.ask(b"d | 1 | AAAA")
    return life(server)


def b_binary(server: RunningServer, asker: Asker) -> str:
    asker.ask(b"s|0|f.bin|4")
    asker.ask(b"d|1|\xff\xfe\x80\x81")
    return life(server) if stored(server, 0.1) is None else "stored"


def b_full(server: RunningServer, asker: Asker) -> str:
    """Starts from more and more addresses, none of which sends anything more."""
    askers = [Asker(server.port) for _ in range(13)]
    replies = [other.ask(b"s|0|f.png|8") for other in askers]
    for other in askers:
        other.close()
    refused = [reply for reply in replies if reply is not None and reply[:1] == b"n"]
    return shown(refused[0]) if refused else "never"


ROWS_B = [
    Row("refusal", b_full, {"'n|1'": names("s3 s4 s9 s11 s13"), "'n|0'": names("s7"), "never": 8}),
    Row("start ack", b_ack, {"'a|1'": 13, "'a|1|'": names("s1")}),
    Row(
        "duplicate data",
        b_duplicate,
        {
            "dropped, acked": names("s2 s3 s8 s10 s12 s13"),
            "dropped, silent": names("s1 s7 s14"),
            "stored again": names("s4 s6 s9 s11"),
            "aborts": names("s5"),
        },
    ),
    Row(
        "repeated last data after the finish",
        b_repeat_after_end,
        {
            "a": names("s2 s8 s10"),
            "n": names("s13"),
            "silence": names("s1 s3 s5 s11"),
            "gone": names("s4 s6 s7 s9 s12 s14"),
        },
    ),
    Row(
        "repeated start in mid-transfer",
        b_restart,
        {
            "kept": names("s12 s13 s14"),
            "kept, n": names("s4"),
            "lost": names("s1 s2 s3 s8 s9 s10 s11"),
            "aborts or exits": names("s5 s6 s7"),
        },
    ),
    Row("zero-byte file", b_zero, {"start": names("s2 s5 s6 s9 s12 s14"), "data": 7, "never": names("s13")}),
    Row("garbage", b_garbage, {"gone": 14}),
    Row("spaced start and data", b_spaced, {"gone": 11, "lives": 3}),
    Row("binary data, name without .png", b_binary, {"stored": 10, "gone": names("s7 s9 s11 s13")}),
]

TABLES = [
    ("A", list(servers_a.PROFILES), ROWS_A),
    ("B", list(servers_b.PROFILES), ROWS_B),
]
