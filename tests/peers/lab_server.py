"""Serves the current directory as one of the known course servers: lab_server.py PROFILE PORT [options]."""

import argparse
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import rules_a
import servers_a
import servers_b
import servers_c
from server_tolerant import TolerantServer
from wire import LOOPBACK, Desk, Gone, Server, Weather, Wire

TICK_S = 0.05
DEFAULT_LINGER_S = 1.0
TOLERANT = "a-tolerant"
PROFILES: list[str] = [TOLERANT, *rules_a.PROFILES, *servers_b.PROFILES, *servers_c.PROFILES]


def build(profile: str, desk: Desk) -> Server:
    if profile in rules_a.PROFILES:
        return servers_a.SpacedServer(rules_a.PROFILES[profile], desk)
    if profile in servers_b.PROFILES:
        return servers_b.CompactServer(servers_b.PROFILES[profile], desk)
    if profile in servers_c.PROFILES:
        return servers_c.EarlyServer(servers_c.PROFILES[profile], desk)
    return TolerantServer(desk)


def serve(
    profile: str,
    desk: Desk,
    *,
    linger_s: float | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> int:
    """Runs until the program would end, `stop` says so, or (with a linger) so long after the first whole file."""
    server = build(profile, desk)
    try:
        while not stop():
            heard = desk.wire.recv(server.buffer, TICK_S)
            if heard is not None:
                server.on_datagram(*heard)
            now = time.monotonic()
            server.on_tick(now)
            if linger_s is not None and desk.completed_at is not None and now - desk.completed_at >= linger_s:
                return 0
    except Gone as end:
        desk.say(end.why)
        return end.code
    return 0


def main() -> int:
    options = parse_arguments()
    if options.profile not in PROFILES:
        print(f"no such server: {options.profile}; known are {' '.join(PROFILES)}", file=sys.stderr)
        return 2
    wire = Wire(options.port, Weather(options.drop_in, options.drop_out, options.dup_out, options.seed))
    desk = Desk(wire, Path.cwd(), lambda line: print(line, flush=True), options.max)
    print(f"listening on {LOOPBACK}:{wire.port}", flush=True)
    ended = threading.Event()
    if options.lifetime is not None:
        alarm = threading.Timer(options.lifetime, ended.set)
        alarm.daemon = True
        alarm.start()
    try:
        return serve(options.profile, desk, linger_s=options.linger if options.once else None, stop=ended.is_set)
    except KeyboardInterrupt:
        print("Ctrl+C was pressed, terminating server", flush=True)
        return 1
    finally:
        wire.close()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("profile", help="a-good, a-bad, a-s1 ... a-s15, b-s1 ... b-s14, c-s1 ... c-s4, a-tolerant")
    parser.add_argument("port", type=int, help="0 takes a free one")
    parser.add_argument("--drop-in", type=float, default=0.0, metavar="P", help="lose datagrams that arrive")
    parser.add_argument("--drop-out", type=float, default=0.0, metavar="P", help="lose datagrams that leave")
    parser.add_argument("--dup-out", type=float, default=0.0, metavar="P", help="send datagrams twice")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the losses")
    parser.add_argument("--max", type=int, default=10, metavar="N", help="sessions, where the server has a limit")
    parser.add_argument("--once", action="store_true", help="end after one completed file")
    parser.add_argument("--linger", type=float, default=DEFAULT_LINGER_S, metavar="S", help="how long after it")
    parser.add_argument("--lifetime", type=float, metavar="S", help="end after so long, whatever happens")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
