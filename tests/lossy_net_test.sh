#!/usr/bin/env bash
# Tests scripts/lossy_net.sh with a stand-in tc that notes what it is told, and with the real one.

set -uo pipefail

work=$(mktemp -d) || exit 1
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
repo=$work/repo stand_ins=$work/stand_ins script=$work/repo/scripts/lossy_net.sh
mkdir -p "$repo/scripts" "$stand_ins"
# A copy, so that no lossy_link is found that happens to be built.
cp "$(dirname -- "${BASH_SOURCE[0]}")/../scripts/lossy_net.sh" "$script" || exit 1
unset HOMING_BIN_DIR
real_path=$PATH
PATH=$stand_ins:$PATH

passed=0 failed=0 status=0 out='' err='' told=''

check() {
    local what=$1 expected=$2 actual=$3
    if [[ $actual == "$expected" ]]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAILED: %s\n  expected: %s\n  actual:   %s\n' "$what" "$expected" "$actual"
    fi
}

check_has() {
    if [[ $3 == *"$2"* ]]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAILED: %s\n  expected within: %s\n  actual:          %s\n' "$1" "$2" "$3"
    fi
}

skip() {
    printf 'skipped: %s\n' "$1"
}

# Runs the script; leaves `status`, `out`, `err`, and in `told` the last thing that tc was told.
run() {
    rm -f "$work/tc_told"
    out=$("$@" 2>"$work/err" </dev/null)
    status=$?
    err=$(<"$work/err")
    told=''
    [[ ! -e $work/tc_told ]] || told=$(tail -n 1 "$work/tc_told")
}

lossy_net() {
    run bash "$script" "$@"
}

# Makes a tc that notes its arguments; with `none` it fails always, with `no seed` only when it sees a seed.
make_tc() {
    touch "$work/tc_told_ever"
    chmod 666 "$work/tc_told_ever"
    cat >"$stand_ins/tc" <<END
#!/bin/sh
echo "\$*" >>"$work/tc_told"
echo "\$*" >>"$work/tc_told_ever"
case "$1: \$*" in
'none: '* | 'no seed: '*' seed '*)
    echo 'Error: Specified qdisc kind is unknown.' >&2
    exit 2
    ;;
esac
END
    chmod 755 "$stand_ins/tc"
}

# Makes a lossy_link that lists presets, of which the one called `mark` says where it was found.
make_lossy_link() {
    mkdir -p "$1"
    cat >"$1/lossy_link" <<END
#!/bin/sh
test "\$*" = --list || exit 9
cat <<'LIST'
clean                                                                   Nothing goes wrong.
wifi       delay=3ms,jitter=6ms,loss=0.2%,burst=0.05%/25%,rate=100mbit,queue=256k   Two rooms away: 100 Mbit/s.
satellite  delay=290ms,jitter=20ms,loss=0.5%,burst=0.02%/5%,in.rate=5mbit,out.rate=50mbit  Far up.
lab        loss=15%,delay=1100ms                                        The lab exercise.
mark       loss=$2%                                                     Found.
LIST
END
    chmod 755 "$1/lossy_link"
}

# Whether a process runs; one that has ended may still wait for its parent to notice.
alive() {
    grep -q '^State:[[:blank:]]*[^ZX[:blank:]]' "/proc/$1/status" 2>/dev/null && echo alive || echo ended
}

namespaces() {
    ip netns list 2>/dev/null | grep -c '^lossy_net-'
}

# ---- What needs no root: command lines that are refused.

check_refused() {
    local sentence=$1
    shift
    lossy_net "$@"
    check "status of: $*" 2 "$status"
    check_has "message of: $*" "$sentence" "$err"
    check "nothing on standard output of: $*" '' "$out"
}

test_usage() {
    lossy_net --help
    check 'status of --help' 0 "$status"
    check_has '--help has examples' 'lossy_net.sh --weather lab -- ' "$out"
    check '--help is quiet on standard error' '' "$err"

    check_refused 'what is to be run?' --loss 15%
    check_refused 'what is to be run?' --loss 15% --
    check_refused 'what is to be run?'
    check_refused '"true" is not an option; write -- before the command' --loss 15% true
    check_refused '--los is not an option' --los 15% -- true
    check_refused '--loss needs a value' --loss -- true
    check_refused '--loss needs a value' --loss
    check_refused '"loss=x" is not understood; write a probability like 20% or 0.2' --loss x -- true
    check_refused '"loss=-1%" is not understood' --loss -1% -- true
    check_refused '"loss=120%" is out of range; a probability is at least 0%' --loss=120% -- true
    check_refused '"loss=20" is out of range' --loss 20 -- true
    check_refused '"delay=2h" is not understood; write a duration' --delay 2h -- true
    check_refused '"delay=3601s" is out of range' --delay 3601s -- true
    check_refused '"delay=99999999999999999999" is out of range' --delay 99999999999999999999 -- true
    check_refused '"burst=5%" is not understood; write the probabilities' --burst 5% -- true
    check_refused '"rate=0" is out of range' --rate 0 -- true
    check_refused '"mtu=67" is out of range' --mtu 67 -- true
    check_refused '"queue=1.2.3" is not understood' --queue 1.2.3 -- true
    check_refused '"-3" is no seed' --seed -3 -- true
    check_refused '"los=20%" is not a known word' --fault dup=5%,los=20% -- true
    check_refused '"dup" needs a value' --fault dup -- true
    check_refused 'a word of the list is empty' --fault loss=2%,,dup=1% -- true
    check_refused 'a word of the list is empty' --fault loss=2%, -- true
    check_refused '"lab,loss=1%" is not a preset; lists of words go to --fault' --weather lab,loss=1% -- true
}

test_directions() {
    check_refused 'lossy_link can do it' --fault in.loss=20% -- true
    check_refused 'in.loss=20% and out.loss=none differ' --fault in.loss=20% -- true
    check_refused 'lossy_link --listen 12301 --to 127.0.0.1:12300 --fault out.delay=50ms --seed 7' \
        --fault out.delay=50ms --seed 7 -- true
}

test_finding_presets() {
    check_refused 'cargo build --release' --weather lab -- true
    check_refused 'cargo build --release' --fault loss=1%,lab -- true

    # Who is found is seen in a refusal, which needs no root.
    local found=(--fault 'mark,in.loss=99%' -- true)
    make_lossy_link "$stand_ins" 4
    check_refused 'out.loss=4%' "${found[@]}"
    make_lossy_link "$repo/target/debug" 3
    check_refused 'out.loss=3%' "${found[@]}"
    make_lossy_link "$repo/target/release" 2
    check_refused 'out.loss=2%' "${found[@]}"
    make_lossy_link "$work/elsewhere" 1
    export HOMING_BIN_DIR=$work/elsewhere
    check_refused 'out.loss=1%' "${found[@]}"
    export HOMING_BIN_DIR=$work/nowhere
    check_refused 'out.loss=2%' "${found[@]}"
    export HOMING_BIN_DIR=$work/elsewhere

    check_refused '"foggy" is not a preset; the presets are clean, wifi, satellite, lab, mark' --weather foggy -- true
    check_refused 'in.rate=5mbit and out.rate=50mbit differ' --weather satellite -- true
}

# Not root: nothing is run, and the line that does the same is printed.
test_without_root() {
    local drop=()
    if ((EUID == 0)); then
        if ! setpriv --reuid 65534 --regid 65534 --clear-groups true 2>/dev/null; then
            skip 'how it behaves without root: setpriv cannot drop it'
            return
        fi
        drop=(setpriv --reuid 65534 --regid 65534 --clear-groups)
    fi
    run "${drop[@]}" bash "$script" --loss 15% --delay=1100ms --seed 7 -- echo ran
    check 'status without root' 3 "$status"
    check 'nothing is run without root' '' "$out"
    check 'tc is not asked without root' '' "$told"
    check_has 'it says that root is needed' 'needs root; nothing was run' "$err"
    check_has 'and prints the line that does the same' \
        'lossy_link --listen 12301 --to 127.0.0.1:12300 --loss 15% --delay=1100ms --seed 7' "$err"
    run "${drop[@]}" bash "$script" --weather lab --fault 'dup=5%, late=1%' -- echo ran
    check_has 'a list with a blank stays one word' '--weather lab --fault dup=5%\,\ late=1%' "$err"
}

# ---- What needs root: what netem is told.

check_netem() {
    local expected=$1
    shift
    lossy_net "$@" -- true
    check "status of: $*" 0 "$status"
    check "netem of: $*" "qdisc add dev lo root netem $expected" "$told"
}

test_netem() {
    make_tc fine
    check_netem 'limit 65536'
    check_netem 'limit 65536 loss 15%' --loss 15%
    check_netem 'limit 65536 loss 15%' --loss=0.15
    check_netem 'limit 65536 delay 1100ms loss 15%' --loss 15% --delay 1100ms
    check_netem 'limit 65536 delay 1500ms' --delay 1.5s
    check_netem 'limit 65536 delay 200us' --delay 200US
    check_netem 'limit 65536 delay 7ms' --delay 7
    check_netem 'limit 65536 delay 1us' --delay 1.234us
    check_netem 'limit 65536 delay 1us' --delay 1ns
    check_netem 'limit 65536' --loss 0 --dup 0% --delay 0ms --rate off
    check_netem 'limit 65536 duplicate 5%' --dup 5%
    check_netem 'limit 65536 corrupt 1%' --corrupt 1%
    check_netem 'limit 65536 loss 0.0000001%' --loss .000000001
    check_netem 'limit 65536 loss gemodel 0.5% 20% 100% 0%' --burst 0.5%/20%
    check_netem 'limit 65536 loss gemodel 0.5% 20% 100% 12.5%' --burst 0.005/0.2 --loss 12.5%
    check_netem 'limit 65536 delay 50ms reorder 10%' --reorder 10% --delay 50ms
    check_netem 'limit 65536 delay 60ms 10ms rate 100gbit' --delay 50ms --jitter 20ms
    # The least queue is 44 packets of 1500 bytes; what is on its way comes on top.
    check_netem 'limit 44 rate 10mbit' --rate 10mbit
    check_netem 'limit 43 rate 10mbit' --rate 10mbit --queue 64k
    check_netem 'limit 66 rate 64kbit' --rate 64kbit --queue 64ki --mtu 1000 --delay 0
    check_netem 'limit 126 delay 50ms rate 10mbit' --rate 10mbit --delay 50ms
    check_netem 'limit 44 delay 50ms rate 300bit' --rate 300 --queue 64k --delay 50ms
    check_netem 'limit 65536 delay 200000ms rate 1000000mbit' --rate 1000gbit --queue 64mi --delay 200s
    check_netem 'limit 65536 loss 1% corrupt 3% duplicate 2%' --fault 'loss=1%, dup=2% ,corrupt=3%'
    check_netem 'limit 65536 loss 3% duplicate 2%' --loss 3% --fault loss=1% --fault loss=2%,dup=2%
    check_netem 'limit 65536 loss 20%' --fault in.loss=20%,out.loss=0.2
    check_netem 'limit 65536 loss 15%' --loss 15% --fault ''
}

test_presets() {
    check_netem 'limit 65536' --weather clean
    check_netem 'limit 65536 delay 1100ms loss 15%' --weather lab
    check_netem 'limit 65536 delay 1100ms loss 2%' --loss 2% --weather lab
    check_netem 'limit 65536 delay 1100ms loss 15% duplicate 5%' --fault loss=3%,lab,dup=5%
    check_netem 'limit 65536 duplicate 5%' --fault lab,clean,dup=5%
    check_netem 'limit 65536 delay 1100ms loss 15%' --fault in.lab,out.lab
    check_netem 'limit 246 delay 6ms 3ms loss gemodel 0.05% 25% 100% 0.2% rate 100mbit' --weather wifi
    check_netem 'limit 743 delay 300ms 10ms loss gemodel 0.02% 5% 100% 0.5% rate 10mbit' \
        --weather satellite --rate 10mbit
}

test_notices() {
    lossy_net --loss 1% -- true
    check 'nothing is said when nothing is odd' '' "$err"
    lossy_net --late 2% -- true
    check 'status with late' 0 "$status"
    check 'late is left out, said once' 1 "$(grep -c 'late has no counterpart' <<<"$err")"
    check 'netem knows nothing of late' 'qdisc add dev lo root netem limit 65536' "$told"
    check_netem 'limit 65536 delay 10ms reorder 10%' --reorder 10%
    check_has 'a delay that was added is said' '10ms are added' "$err"
    check_netem 'limit 65536 delay 50ms' --queue 64k --delay 50ms
    check_has 'a queue without a rate is said' 'queue is left out' "$err"
    lossy_net --corrupt 1% -- true
    check_has 'what becomes of damage is said' 'corrupt acts like loss here' "$err"
}

test_seed() {
    check_netem 'limit 65536 loss 15% seed 7' --loss 15% --seed 7
    check 'a seed that is taken is not mentioned' '' "$err"
    make_tc 'no seed'
    check_netem 'limit 65536 loss 15%' --loss 15% --seed 7
    check_has 'a seed that is not taken is' 'takes no seed' "$err"
    make_tc fine
}

# ---- What needs root: the command and its network.

test_command() {
    lossy_net --loss 15% -- sh -c 'exit 7'
    check "the command's status" 7 "$status"
    lossy_net -- sh -c 'kill -KILL $$'
    check 'the status of a command killed by a signal' 137 "$status"
    lossy_net -- "$work/no such command"
    check 'the status when there is no such command' 127 "$status"
    # shellcheck disable=SC2016 # for the other shell
    lossy_net -- sh -c 'printf "<%s>" "$@"' sh 'a b' '' -- '*'
    check 'arguments arrive as they are' '<a b><><--><*>' "$out"
    out=$(echo to the command | bash "$script" -- cat)
    check 'standard input is the command'"'"'s' 'to the command' "$out"
    lossy_net -- grep SigIgn /proc/self/status
    check 'the command ignores no more signals than it would without' "$(grep SigIgn /proc/self/status)" "$out"
    lossy_net -- readlink /proc/self/ns/net
    check 'the network is another one' 1 "$([[ $out == "$(readlink /proc/self/ns/net)" ]])$?"
    lossy_net -- ip -o link show lo
    check_has 'its loopback is up' ',UP,' "$out"
    lossy_net --mtu 1400 -- ip -o link show lo
    check_has 'its loopback has the mtu' 'mtu 1400' "$out"
    lossy_net -- ip -o link
    check 'it has nothing but a loopback' 1 "$(grep -c . <<<"$out")"
    lossy_net -- ip netns identify
    check_has 'its name says whose it is' lossy_net- "$out"
    check 'no namespace is left' 0 "$(namespaces)"

    lossy_net -- sh -c 'sleep 300 >/dev/null 2>&1 & echo $!'
    check 'what a command leaves running does not hold it up' 0 "$status"
    check 'and is ended' ended "$(alive "$out")"
    check 'no namespace is left after that' 0 "$(namespaces)"
}

# Sends a signal to the script while this command runs; $work/inside has the command's process id.
interrupt() {
    local signal=$1 command=$2 tries
    rm -f "$work/inside"
    env --default-signal=INT bash "$script" --loss 1% -- sh -c "$command" >/dev/null 2>&1 </dev/null &
    local pid=$!
    for ((tries = 0; tries < 200; tries++)); do
        [[ ! -s $work/inside ]] || break
        sleep 0.05
    done
    check "$signal: there is a namespace" 1 "$(namespaces)"
    kill -s "$signal" "$pid"
    wait "$pid"
    status=$?
    check "$signal: the command is ended" ended "$(alive "$(<"$work/inside")")"
    check "$signal: no namespace is left" 0 "$(namespaces)"
}

test_signals() {
    local note="echo \$\$ >$work/inside" bystander
    sleep 300 &
    bystander=$!
    interrupt TERM "$note; exec sleep 300"
    check 'the status after TERM' 143 "$status"
    interrupt TERM "sleep 300 & $note; wait"
    check 'the status after TERM with a child' 143 "$status"
    interrupt TERM "trap '' TERM; $note; while :; do sleep 0.1; done"
    check 'the status after TERM to a stubborn command' 143 "$status"
    interrupt HUP "$note; exec sleep 300"
    check 'the status after HUP' 129 "$status"
    if env --default-signal=INT true 2>/dev/null; then
        interrupt INT "$note; exec sleep 300"
        check 'the status after INT' 130 "$status"
    else
        skip 'INT: env cannot give the signal back'
    fi
    check 'others are left alone' alive "$(alive "$bystander")"
    kill "$bystander"
    wait "$bystander" 2>/dev/null
}

test_without_netem() {
    make_tc none
    lossy_net --weather lab --dup 5% --seed 7 -- echo ran
    check 'status without netem' 3 "$status"
    check 'nothing is run without netem' '' "$out"
    check_has 'it says what tc said' 'Specified qdisc kind is unknown' "$err"
    check_has 'and prints the line that does the same' \
        'lossy_link --listen 12301 --to 127.0.0.1:12300 --weather lab --dup 5% --seed 7' "$err"
    check 'no namespace is left without netem' 0 "$(namespaces)"
    make_tc fine

    # A PATH with everything but tc, and with everything but ip.
    local tools=$work/tools tool missing
    for missing in tc ip; do
        rm -rf "$tools"
        mkdir "$tools"
        for tool in bash cat dirname readlink sleep ip tc echo; do
            [[ $tool == "$missing" ]] || ln -s "$(type -P "$tool")" "$tools/$tool"
        done
        run env PATH="$tools" bash "$script" --loss 15% -- echo ran
        check "status without $missing" 3 "$status"
        check "nothing is run without $missing" '' "$out"
        check_has "it says that there is no $missing" "there is no $missing program" "$err"
    done
}

# The real tc: either this kernel has netem and it is in force, or the script says that it is not.
test_real_tc() {
    local probe=lossy_net-probe-$$ has_netem=no words answer strange=''
    ip netns add "$probe"
    PATH=$real_path ip netns exec "$probe" tc qdisc add dev lo root netem loss 1% 2>/dev/null && has_netem=yes
    # Whatever the stand-in was told, the real one must be able to read; the kernel is asked only after that.
    while read -r words; do
        # shellcheck disable=SC2086 # the words of a command line
        answer=$(PATH=$real_path ip netns exec "$probe" tc ${words/qdisc add/qdisc replace} 2>&1)
        [[ -z $answer || $answer == *'qdisc kind is unknown'* ]] || strange+="$words: $answer; "
    done < <(grep -v ' seed ' "$work/tc_told_ever" | sort -u)
    check 'the real tc can read what the stand-in was told' '' "$strange"
    ip netns del "$probe"
    run env PATH="$real_path" bash "$script" --loss 15% --burst 1%/25% --delay 50ms --jitter 20ms --dup 5% \
        --reorder 10% --corrupt 1% --rate 10mbit --queue 64k --seed 7 -- tc qdisc show dev lo
    if [[ $has_netem == yes ]]; then
        check 'status with the real tc' 0 "$status"
        check_has 'netem is in force' 'qdisc netem' "$out"
        check_has 'and bursts are' 'loss gemodel' "$out"
    else
        printf 'note: this kernel has no netem, so that is what the real tc is tested for\n'
        check 'status with the real tc' 3 "$status"
        check 'nothing is run with the real tc' '' "$out"
        check_has 'it says that nothing was run' 'nothing was run' "$err"
        check_has 'and what to do' 'lossy_link --listen 12301' "$err"
    fi
    check 'no namespace is left by the real tc' 0 "$(namespaces)"
}

test_usage
test_directions
test_finding_presets
test_without_root
if ((EUID != 0)); then
    skip 'what netem is told, and the network: they need root'
elif ! type -P ip tc >/dev/null || ! ip netns add "lossy_net-probe-$$" 2>/dev/null; then
    skip 'what netem is told, and the network: no network namespace can be made here'
else
    ip netns del "lossy_net-probe-$$"
    test_netem
    test_presets
    test_notices
    test_seed
    test_command
    test_signals
    test_without_netem
    test_real_tc
fi

printf '%s passed, %s failed\n' "$passed" "$failed"
((failed == 0))
