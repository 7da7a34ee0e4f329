"""Copies one file as one of the known course clients: lab_client.py PROFILE HOST:PORT LOCAL REMOTE [options]."""

import argparse
import sys
import time
from pathlib import Path

import client_tolerant
import clients_a
import clients_b
import clients_c
from calls import Call
from wire import LOOPBACK, Gone, Say, Weather, Wire

DEFAULT_GIVE_UP_S = 120.0
PROFILES: list[str] = [
    *clients_a.PROFILES,
    *clients_b.PROFILES,
    *clients_c.PROFILES,
    *client_tolerant.PROFILES,
]


def call(
    profile: str,
    port: int,
    local: Path,
    remote: str,
    *,
    say: Say,
    weather: Weather = Weather(),
    own_port: int = 0,
    give_up_s: float = DEFAULT_GIVE_UP_S,
) -> int:
    """One transfer to a server on this machine; returns the exit status of the original."""
    wire = Wire(own_port, weather)
    the_call = Call(wire, (LOOPBACK, port), local, remote, say, time.monotonic() + give_up_s)
    try:
        if profile in clients_a.PROFILES:
            return clients_a.SpacedClient(clients_a.PROFILES[profile], the_call).run()
        if profile in clients_b.PROFILES:
            return clients_b.CompactClient(clients_b.PROFILES[profile], the_call).run()
        if profile in clients_c.PROFILES:
            return clients_c.EarlyClient(clients_c.PROFILES[profile], the_call).run()
        return client_tolerant.TolerantClient(client_tolerant.PROFILES[profile], the_call).run()
    except Gone as end:
        say(end.why)
        return end.code
    finally:
        wire.close()


def fixed_port(profile: str) -> int:
    """The source port that the original insists on; 0 for those that take any."""
    if profile in clients_a.PROFILES:
        return clients_a.PROFILES[profile].fixed_port
    if profile in clients_c.PROFILES:
        return clients_c.PROFILES[profile].fixed_port
    return 0


def main() -> int:
    options = parse_arguments()
    if options.profile not in PROFILES:
        print(f"no such client: {options.profile}; known are {' '.join(PROFILES)}", file=sys.stderr)
        return 2
    host, _, port = options.server.rpartition(":")
    if host not in (LOOPBACK, "localhost") or not port.isdigit():
        print(f"these clients talk to {LOOPBACK}:PORT only, not to {options.server}", file=sys.stderr)
        return 2
    own_port = options.source_port
    if own_port is None:
        own_port = fixed_port(options.profile) if options.fixed_port else 0
    return call(
        options.profile,
        int(port),
        options.local,
        options.remote,
        say=lambda line: print(line, flush=True),
        weather=Weather(options.drop_in, options.drop_out, 0.0, options.seed),
        own_port=own_port,
        give_up_s=options.give_up,
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "profile",
        help="a-good, a-bad, a-c1 ... a-c17, b-c1 ... b-c5, c-c1 ... c-c4, a-tolerant, a-offer, bc-tolerant",
    )
    parser.add_argument("server", metavar="HOST:PORT")
    parser.add_argument("local", type=Path)
    parser.add_argument("remote", help="the B clients take the last part of LOCAL instead, the C clients its extension")
    parser.add_argument("--fixed-port", action="store_true", help="use the original's own source port, if it has one")
    parser.add_argument("--source-port", type=int, metavar="PORT", help="use this source port")
    parser.add_argument("--drop-in", type=float, default=0.0, metavar="P", help="lose datagrams that arrive")
    parser.add_argument("--drop-out", type=float, default=0.0, metavar="P", help="lose datagrams that leave")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the losses")
    parser.add_argument(
        "--give-up",
        type=float,
        default=DEFAULT_GIVE_UP_S,
        metavar="S",
        help="end with 3 where the original would not end",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
