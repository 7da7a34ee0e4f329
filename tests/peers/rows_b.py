"""The questions to the servers of the compact dialect, and the counts of the document."""

from bench import Asker, RunningServer
from rows import Row, life, names, shown, stored


def ack(server: RunningServer, asker: Asker) -> str:
    return shown(asker.ask(b"s|0|f.png|8"))


def duplicate(server: RunningServer, asker: Asker) -> str:
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


def repeat_after_end(server: RunningServer, asker: Asker) -> str:
    asker.ask(b"s|0|f.png|4")
    asker.ask(b"d|1|AAAA")
    reply = asker.ask(b"d|1|AAAA")
    if life(server) == "gone":
        return "gone"
    return "silence" if reply is None else reply[:1].decode()


def restart(server: RunningServer, asker: Asker) -> str:
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


def zero(server: RunningServer, asker: Asker) -> str:
    asker.ask(b"s|0|f.png|0")
    if stored(server, 0.1) is not None:
        return "start"
    asker.ask(b"d|1|")
    return "data" if stored(server, 0.1) == b"" else "never"


def garbage(server: RunningServer, asker: Asker) -> str:
    asker.ask(b"what?")
    return life(server)


def spaced(server: RunningServer, asker: Asker) -> str:
    asker.ask(b"s | 0 | f.png | 8")
    asker.ask(b"d | 1 | AAAA")
    return life(server)


def binary(server: RunningServer, asker: Asker) -> str:
    asker.ask(b"s|0|f.bin|4")
    asker.ask(b"d|1|\xff\xfe\x80\x81")
    return life(server) if stored(server, 0.1) is None else "stored"


def full(server: RunningServer, asker: Asker) -> str:
    """Starts from more and more addresses, none of which sends anything more."""
    askers = [Asker(server.port) for _ in range(13)]
    replies = [other.ask(b"s|0|f.png|8") for other in askers]
    for other in askers:
        other.close()
    refused = [reply for reply in replies if reply is not None and reply[:1] == b"n"]
    return shown(refused[0]) if refused else "never"


ROWS = [
    Row("refusal", full, {"'n|1'": names("s3 s4 s9 s11 s13"), "'n|0'": names("s7"), "never": 8}),
    Row("start ack", ack, {"'a|1'": 13, "'a|1|'": names("s1")}),
    Row(
        "duplicate data",
        duplicate,
        {
            "dropped, acked": names("s2 s3 s8 s10 s12 s13"),
            "dropped, silent": names("s1 s7 s14"),
            "stored again": names("s4 s6 s9 s11"),
            "aborts": names("s5"),
        },
    ),
    Row(
        "repeated last data after the finish",
        repeat_after_end,
        {
            "a": names("s2 s8 s10"),
            "n": names("s13"),
            "silence": names("s1 s3 s5 s11"),
            "gone": names("s4 s6 s7 s9 s12 s14"),
        },
    ),
    Row(
        "repeated start in mid-transfer",
        restart,
        {
            "kept": names("s12 s13 s14"),
            "kept, n": names("s4"),
            "lost": names("s1 s2 s3 s8 s9 s10 s11"),
            "aborts or exits": names("s5 s6 s7"),
        },
    ),
    Row("zero-byte file", zero, {"start": names("s2 s5 s6 s9 s12 s14"), "data": 7, "never": names("s13")}),
    Row("garbage", garbage, {"gone": 14}),
    Row("spaced start and data", spaced, {"gone": 11, "lives": 3}),
    Row("binary data, name without .png", binary, {"stored": 10, "gone": names("s7 s9 s11 s13")}),
]
