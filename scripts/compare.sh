#!/usr/bin/env bash
# Compares homing with the programs people would otherwise take, on the same emulated links in the same run.
#
# The link is made by a program that --emulator (or the variable EMULATOR) names, with this command line:
#
#   EMULATOR run --rate R --delay D [--loss P] [--queue Q] [--burst P,Q] [--jitter J] [--dup P]
#                [--sysctl K=V]... [--json FILE] [--wait-port udp:N] [--timeout S] -- 'SERVER' 'CLIENT'
#
#   --rate R       bit/s in each direction, as in 100000000bit
#   --delay D      one way, as in 50000us
#   --loss P       of each packet, independently, as in 1%; after the queue
#   --queue Q      bytes that wait for the rate, as in 65536 (default: one bandwidth-delay product, at least 64 kB)
#   --burst P,Q    Gilbert-Elliott: chances to enter and to leave a burst in which all is lost, as in 0.5%,20%
#   --jitter J     one way, up to so much less or more, the order kept, as in 50000us
#   --dup P        chance that a packet comes twice
#   --sysctl K=V   in both network namespaces, as in net.ipv4.tcp_congestion_control=bbr; V may have blanks
#   --json FILE    counters go there as one JSON object; any, but of `ab` (the direction from client to server)
#                  "late_mean_us", "late_max_us" and "kernel_drops" are shown in the table
#   --wait-port    not used here: the sides tell each other when they are ready
#   --timeout S    end CLIENT after so many seconds
#   SERVER and CLIENT go to `bash -c` in two namespaces that have nothing but the link and loopback, as root, and see
#   the same files. CLIENT has the address 10.77.0.1, SERVER 10.77.0.2. SERVER ends by itself soon after CLIENT.
#
# Without one it is compare/netem_link.sh, which has the same command line and lets the kernel do it (netem).

set -euo pipefail

usage() {
    cat <<'END'
Compares homing with TCP, scp, rsync, qcp, uftp and others on emulated links, in turn, and writes tables.

Usage: compare.sh [OPTION]...

  --only NAME[,NAME]    these scenarios (default: all; --list shows them; loopback and queue are two each)
  --tools NAME[,NAME]   these tools: homing, homing-cubic, homing-background, tcp-bbr, tcp-cubic, scp, rsync, qcp,
                        qcp-cubic, uftp, quinn, cp (default: all but homing-cubic, homing-background and qcp-cubic)
  --rounds N            how often each runs, in turn (default 3)
  --size SIZE           of the file, in place of the scenario's: 20m, 64ki, 1gi (not where flows share a link)
  --files N             how many files, in place of 10000
  --cutoff S            seconds after which a tool is ended, in place of the scenario's
  --once-cut-off        what was cut off in one round is not run again; the table says how many runs there were
  --emulator PATH       program that makes the link (default: $EMULATOR, else the kernel's netem); its command line
                        is described at the top of this script
  --emulator-options S  further options for it; {round} becomes the number of the round: '--seed {round}'
  --bin-dir DIR         folder of homing's programs (default: $HOMING_BIN_DIR, else target/release)
  --output PREFIX       writes PREFIX.json and PREFIX.md after each run (default: comparison-DATE-TIME)
  --work DIR            folder for what is copied, removed at the end (default: /dev/shm, else /tmp)
  --list                the scenarios, and the tools that are here, and nothing else
  --table FILE.json...  no runs: the table of former runs, on standard output; several are put together
  --help                this text

What is not installed is listed as absent. Progress goes to standard error, the table at the end to standard output.
Links need root. fairness, four and background run homing and TCP whatever --tools says.

How the others run: TCP by socat, with buffers of up to 64 MB, under BBR and CUBIC; scp with aes128-gcm through an sshd
with throw-away keys; rsync from its own daemon; both over CUBIC; qcp under BBR, told rate and round trip; uftp by
unicast at 95 % of the rate. `quinn_copy` on the PATH, if there is one, runs as `quinn_copy receive PORT FILE` and
`quinn_copy send HOST:PORT FILE`.

Examples:
  sudo compare.sh --emulator ./emulator --only loss-1 --rounds 1 --size 20m
  sudo compare.sh --emulator ./emulator --tools homing,tcp-bbr,scp --output today
  compare.sh --only loopback --tools homing,scp,rsync,cp
  compare.sh --table monday.json tuesday.json >both.md

docs/comparison.md says what the words of the table mean.

Exit status: 0, also if tools or the link are absent; 2 for a wrong command line; 130 and 143 if interrupted.
END
}

here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
for option; do
    if [[ $option == --help || $option == -h ]]; then
        usage
        exit 0
    fi
done
[[ -r /proc/net/snmp ]] || {
    printf 'compare.sh: it reads /proc as Linux has it, and this is another system\n' >&2
    exit 2
}
python=$(type -P python3) || {
    printf 'compare.sh: there is no python3 on the PATH\n' >&2
    exit 2
}
export HOMING_BIN_DIR=${HOMING_BIN_DIR:-$here/../target/release}
PYTHONDONTWRITEBYTECODE=1 exec "$python" "$here/compare/main.py" "$@"
