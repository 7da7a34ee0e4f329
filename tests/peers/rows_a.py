"""The questions to the servers of the spaced dialect, and the counts of the document."""

import time

from bench import Asker, RunningServer
from rows import Row, life, names, shown, stored

# A full chunk each, for the server that counts full chunks: 1024 less the 8 bytes of "d | 1 | ".
A, B = b"A" * 1016, b"B" * 1016
TWO_CHUNKS = b"s | 0 | f.png | 2032"


def start(server: RunningServer, asker: Asker) -> str:
    return shown(asker.ask(b"s | 39 | f.png | 0010"))


def data_ack(server: RunningServer, asker: Asker) -> str:
    n = first(server)
    asker.ask(TWO_CHUNKS)
    reply = asker.ask(b"d | %d | " % n + A)
    return shown(reply and reply.replace(b"a | %d" % (n + 1), b"a | n"))


def restart_early(server: RunningServer, asker: Asker) -> str:
    before = asker.ask(TWO_CHUNKS)
    again = asker.ask(TWO_CHUNKS)
    return "same" if again == before else shown(again)


def restart_in_transfer(server: RunningServer, asker: Asker) -> str:
    n = first(server)
    asker.ask(TWO_CHUNKS)
    asker.ask(b"d | %d | " % n + A)
    asker.ask(TWO_CHUNKS)
    if life(server) == "gone":
        return "dies"
    asker.ask(b"d | %d | " % (n + 1) + B)
    return "kept" if stored(server) == A + B else "lost"


def duplicate(server: RunningServer, asker: Asker) -> str:
    n = first(server)
    asker.ask(TWO_CHUNKS)
    ack = asker.ask(b"d | %d | " % n + A)
    again = asker.ask(b"d | %d | " % n + A)
    twice = stored(server) == A + A
    if again is None and not twice:
        return "silence"
    return ("stored twice" if twice else "not stored") + (", same ack" if again == ack else ", next ack")


def too_high(server: RunningServer, asker: Asker) -> str:
    n = first(server)
    asker.ask(TWO_CHUNKS)
    asker.ask(b"d | %d | " % n + A)
    reply = asker.ask(b"d | %d | " % (n + 5) + B)
    number = "silence" if reply is None else "q+1" if reply.startswith(b"a | %d" % (n + 6)) else "own"
    return number + (", stored" if stored(server) == A + B else "")


def repeat_after_end(server: RunningServer, asker: Asker) -> str:
    n = first(server)
    asker.ask(b"s | 0 | f.png | 1016")
    asker.ask(b"d | %d | " % n + A)
    reply = asker.ask(b"d | %d | " % n + A)
    if reply is None:
        return "silence"
    time.sleep(0.05)
    return "acked" if stored(server) == A else "acked, corrupted"


def too_many_bytes(server: RunningServer, asker: Asker) -> str:
    asker.ask(b"s | 0 | f.png | 1000")
    asker.ask(b"d | %d | " % first(server) + A)
    content = stored(server)
    return "never" if content is None else "kept" if content == A else "cut" if content == A[:1000] else "wrong"


def appears(server: RunningServer, asker: Asker) -> str:
    asker.ask(b"s | 0 | f.png | 1016")
    asker.ask(b"d | %d | " % first(server) + A)
    time.sleep(0.3)
    return "at once" if server.files() else "later" if stored(server) == A else "never"


def zero(server: RunningServer, asker: Asker) -> str:
    asker.ask(b"s | 0 | f.png | 0")
    if stored(server) is not None:
        return "start"
    asker.ask(b"d | %d | " % first(server))
    return "data" if stored(server) == b"" else "never"


def empty_after_end(server: RunningServer, asker: Asker) -> str:
    n = first(server)
    asker.ask(b"s | 0 | f.png | 1016")
    asker.ask(b"d | %d | " % n + A)
    before = life(server)
    asker.ask(b"d | %d | " % (n + 1))
    return f"{before} {life(server)} {server.exit_code}"


def other_address(server: RunningServer, asker: Asker) -> str:
    asker.ask(b"s | 0 | f.png | 1016")
    other = Asker(server.port)
    other.ask(b"d | 1 | " + A)
    other.close()
    return "global" if stored(server, 0.1) == A else "per address or port"


def stray(server: RunningServer, asker: Asker) -> str:
    reply = asker.ask(b"d | 1 | x")
    return f"{shown(reply)} {life(server)}"


def silent(server: RunningServer, asker: Asker) -> str:
    asker.ask(b"s | 0 | f.png | 1016")
    time.sleep(4.2)
    if not server.is_alive():
        return f"gone {server.exit_code}"
    asker.ask(b"d | %d | " % first(server) + A)
    return "kept" if stored(server, 0.2) == A else "forgotten"


def separator(server: RunningServer, asker: Asker) -> str:
    payload = (b"x | y" * 300)[:1016]
    asker.ask(b"s | 0 | f.png | 1016")
    asker.ask(b"d | %d | " % first(server) + payload)
    if server.exit_code == 1:
        return "dies"
    content = stored(server)
    return "cut" if content is None else "right" if content == payload else "wrong"


def unspaced(server: RunningServer, asker: Asker) -> str:
    reply = asker.ask(b"s|0|f.png|1016")
    return f"{shown(reply)} {life(server)}"


def name(server: RunningServer, asker: Asker) -> str:
    asker.ask(b"s | 0 | f.png | 1016")
    asker.ask(b"d | %d | " % first(server) + A)
    stored(server)
    name = next(iter(server.files()), "")
    return "new_IP_PORT" if name.startswith("new_127.0.0.1_") else name


def first(server: RunningServer) -> int:
    """s15 acknowledges every start with 0, and the first data carries that number."""
    return 0 if server.profile == "a-s15" else 1


ROWS = [
    Row("start ack", start, {"'a | 40 | 1024'": 14, "'a | 0 | 1024'": names("s15")}),
    Row("data ack", data_ack, {"'a | n'": 14, "'a | n | 1024'": names("s7")}),
    Row(
        "repeated start, no data yet",
        restart_early,
        {"same": 11, "'a | 1'": names("s9"), "silence": names("s3 s6 s7")},
    ),
    Row(
        "repeated start in mid-transfer",
        restart_in_transfer,
        {"kept": names("good bad s3 s6 s7 s9 s12"), "lost": names("s1 s2 s4 s5 s8 s11 s15"), "dies": names("s10")},
    ),
    Row(
        "duplicate of the last stored chunk",
        duplicate,
        {
            "not stored, same ack": names("good bad s8 s9 s10 s11"),
            "silence": names("s1 s2 s4 s5"),
            "stored twice, same ack": names("s6 s7 s12"),
            "stored twice, next ack": names("s3 s15"),
        },
    ),
    Row(
        "data seqno too high",
        too_high,
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
        repeat_after_end,
        {"acked": names("s9 s11"), "acked, corrupted": names("s3 s12 s15"), "silence": 10},
    ),
    Row(
        "more bytes than total_size",
        too_many_bytes,
        {"kept": names("good bad s3 s6 s7 s12"), "cut": names("s10"), "never": 8},
    ),
    Row("file appears", appears, {"at once": 12, "later": names("s1 s4 s5")}),
    Row(
        "zero-byte file",
        zero,
        {"start": names("s1 s2 s4 s5 s6 s7 s8 s15"), "data": names("good bad s3 s9 s10 s11 s12")},
    ),
    Row(
        "extra empty data after the end",
        empty_after_end,
        {"lives lives None": 12, "lives gone 1": names("s10"), "lives gone 0": names("s6"), "gone gone 0": names("s7")},
    ),
    Row("session key", other_address, {"global": names("s2 s6 s7"), "per address or port": 12}),
    Row(
        "data without a session",
        stray,
        {"silence lives": names("good bad s2 s8 s9"), "'' lives": names("s11"), "silence gone": 9},
    ),
    Row(
        "silence limit",
        silent,
        {"forgotten": 10, "gone 0": names("s6"), "gone 1": names("s7"), "kept": names("s2 s8 s10")},
    ),
    Row(
        "payload with a separator",
        separator,
        {"right": 11, "cut": names("s2 s8"), "dies": names("s10"), "wrong": names("s15")},
    ),
    Row("start without spaces", unspaced, {"silence lives": 6, "silence gone": 9}),
    Row(
        "name on disk",
        name,
        {
            "f.png": 12,
            "beside_script/f.png": names("s11"),
            "(received) f.png": names("s7"),
            "new_IP_PORT": names("s15"),
        },
    ),
]
