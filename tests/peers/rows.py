"""Asks every server the scripted questions behind the document's tables; the answers must come out as counted there."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench import LATE_WRITERS, LATE_WRITERS_NEED_S, Asker, RunningServer, running

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
    """The content of the only file, as soon as there is one."""
    deadline = time.monotonic() + (LATE_WRITERS_NEED_S if server.profile in LATE_WRITERS else grace_s)
    while time.monotonic() < deadline:
        if server.files():
            time.sleep(0.03)  # it is made first and filled afterwards
            return list(server.files().values())[0]
        time.sleep(0.02)
    return None


def names(text: str) -> set[str]:
    return set(text.split())
