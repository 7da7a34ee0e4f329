#!/usr/bin/env bash
# A link between two network namespaces, made by the kernel (netem), with the command line that ../compare.sh describes.
#
# Where it differs from a link: netem loses packets before the rate, so what is lost has used nothing; its queue counts
# packets, taken as full ones; a train of segments (UDP GSO) is one packet to it, lost or doubled as a whole.
#
# `netem_link.sh check` says whether this machine can do it, and what is missing.

set -euo pipefail

readonly packet=1500
fail() {
    printf 'netem_link.sh: %s\n' "$1" >&2
    exit 2
}

impossible() {
    fail "$1; give compare.sh an --emulator PATH instead (its header says what that must understand)"
}

# ---- What the words say.

rate='' delay=0 loss='' queue='' burst='' jitter=0 dup='' json='' wait_port='' timeout='' sysctls=()

# Sets the options from the command line, and `taken` to how many words they were, the `--` included.
take_options() {
    taken=0
    while (($# > 1)); do
        case $1 in
        --)
            taken=$((taken + 1))
            return
            ;;
        --rate) rate=$(bits "$2") ;;
        --delay) delay=$(micros "$2") ;;
        --loss) loss=$2 ;;
        --queue) queue=$2 ;;
        --burst) burst=$2 ;;
        --jitter) jitter=$(micros "$2") ;;
        --dup) dup=$2 ;;
        --json) json=$2 ;;
        --wait-port) wait_port=$2 ;;
        --timeout) timeout=$2 ;;
        --sysctl) sysctls+=("$2") ;;
        *) fail "$1 is not an option of this link" ;;
        esac
        shift 2
        taken=$((taken + 2))
    done
    fail 'what is to be run? write it behind --'
}

bits() {
    case ${1,,} in
    *gbit) printf '%s000000000' "${1%gbit}" ;;
    *mbit) printf '%s000000' "${1%mbit}" ;;
    *kbit) printf '%s000' "${1%kbit}" ;;
    *) printf '%s' "${1%bit}" ;;
    esac
}

micros() {
    case ${1,,} in
    *us) printf '%s' "${1%us}" ;;
    *ms) printf '%s000' "${1%ms}" ;;
    *s) printf '%s000000' "${1%s}" ;;
    *) fail "\"$1\" is no time; write it like 50ms" ;;
    esac
}

# Prints netem's arguments.
netem_words() {
    local waiting=${queue:-0} travelling
    ((rate > 0)) || fail 'the link needs a --rate'
    if ((waiting == 0)); then
        waiting=$((rate * delay / 4000000))
        ((waiting >= 65536)) || waiting=65536
    fi
    travelling=$((rate * (delay + jitter) / 8000000))
    printf 'limit %s ' $(((waiting + packet - 1) / packet + (travelling + packet - 1) / packet))
    ((delay + jitter == 0)) || printf 'delay %sus ' "$delay"
    ((jitter == 0)) || printf '%sus ' "$jitter"
    [[ -z $burst ]] || printf 'loss gemodel %s %s 100%% 0%% ' "${burst%,*}" "${burst#*,}"
    [[ -z $loss ]] || printf 'loss %s ' "$loss"
    [[ -z $dup ]] || printf 'duplicate %s ' "$dup"
    printf 'rate %sbit' "$rate"
}

# ---- The network.

sender='' receiver='' made=()

# shellcheck disable=SC2317 # a trap calls it
clean_up() {
    trap '' INT TERM HUP
    local namespace pids sort
    for sort in TERM KILL; do
        for namespace in "${made[@]}"; do
            pids=$(ip netns pids "$namespace" 2>/dev/null || true)
            # shellcheck disable=SC2086 # a list of numbers
            [[ -z $pids ]] || kill "-$sort" $pids 2>/dev/null || true
        done
        wait_until_empty
    done
    for namespace in "${made[@]}"; do ip netns del "$namespace" || true; done
}

# shellcheck disable=SC2317 # a trap calls it
wait_until_empty() {
    local tries namespace pids
    for ((tries = 0; tries < 40; tries++)); do
        pids=''
        for namespace in "${made[@]}"; do pids+=$(ip netns pids "$namespace" 2>/dev/null || true); done
        [[ -n $pids ]] || return 0
        sleep 0.05
    done
}

make_network() {
    local id=$$-$RANDOM namespace words setting
    ((EUID == 0)) || impossible 'network namespaces need root'
    type -P ip >/dev/null || impossible 'there is no ip program (package iproute2)'
    type -P tc >/dev/null || impossible 'there is no tc program (package iproute2)'
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
    sender=compare-$id-a receiver=compare-$id-b
    for namespace in "$sender" "$receiver"; do
        words=$(ip netns add "$namespace" 2>&1) || impossible "no network namespace can be made here (ip: $words)"
        made+=("$namespace")
        ip -n "$namespace" link set lo up
    done
    words=$(ip -n "$sender" link add link0 type veth peer name link0 netns "$receiver" 2>&1) ||
        impossible "no pair of devices between namespaces can be made here (ip: $words)"
    for namespace in "$sender" "$receiver"; do
        for setting in net.ipv4.tcp_no_metrics_save=1 "${sysctls[@]}"; do
            ip netns exec "$namespace" sysctl -qw "$setting" || fail "$setting cannot be set in a namespace"
        done
        # One packet on the link is one packet of at most 1500 bytes, as far as the kernel lets us choose.
        ip -n "$namespace" link set link0 gso_max_segs 1 2>/dev/null || true
        ! type -P ethtool >/dev/null ||
            ip netns exec "$namespace" ethtool -K link0 tso off gso off gro off >/dev/null 2>&1 || true
    done
    ip -n "$sender" addr add 10.77.0.1/24 dev link0
    ip -n "$receiver" addr add 10.77.0.2/24 dev link0
    for namespace in "$sender" "$receiver"; do ip -n "$namespace" link set link0 up; done
    read -ra words <<<"$(netem_words)"
    add_netem "$sender" "${words[@]}"
    add_netem "$receiver" "${words[@]}"
}

add_netem() {
    local namespace=$1 words
    shift
    words=$(ip netns exec "$namespace" tc qdisc add dev link0 root netem "$@" 2>&1) ||
        impossible "this kernel has no netem, the module sch_netem (modprobe sch_netem; in the packages \
linux-modules-extra or kernel-modules-extra of some systems); tc says: ${words//$'\n'/ }"
}

# What tc counted in a namespace, as JSON.
counted() {
    ip netns exec "$1" tc -s -j qdisc show dev link0 2>/dev/null || printf '[]'
}

# Waits until a port is listened on, or until the server has been given a moment.
await_server() {
    local tries kind=t
    if [[ -z $wait_port ]]; then
        sleep 0.3
        return
    fi
    [[ ${wait_port%%:*} != udp ]] || kind=u
    for ((tries = 0; tries < 200; tries++)); do
        ! ip netns exec "$receiver" ss -Hln$kind "sport = :${wait_port##*:}" | grep -q . || return 0
        sleep 0.05
    done
}

run() {
    local server client status=0 tries
    ip netns exec "$receiver" bash -c "$1" </dev/null &
    server=$!
    await_server
    ip netns exec "$sender" ${timeout:+timeout -k 2 "$timeout"} bash -c "$2" </dev/null &
    client=$!
    wait "$client" || status=$?
    for ((tries = 0; tries < 100; tries++)); do
        kill -0 "$server" 2>/dev/null || break
        sleep 0.05
    done
    [[ -z $json ]] || printf '{"ab": %s, "ba": %s}\n' "$(counted "$sender")" "$(counted "$receiver")" >"$json"
    exit "$status"
}

case ${1:-} in
check)
    rate=1000000
    make_network
    ;;
run)
    shift
    take_options "$@"
    shift "$taken"
    (($# == 2)) || fail 'behind -- come two commands: the server and the client'
    make_network
    run "$@"
    ;;
*) fail 'usage: netem_link.sh run OPTIONS -- SERVER CLIENT, or netem_link.sh check; see ../compare.sh' ;;
esac
