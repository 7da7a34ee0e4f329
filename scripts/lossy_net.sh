#!/usr/bin/env bash
# Runs a command in a network of its own with bad weather, made by the kernel (netem).

set -euo pipefail

usage() {
    cat <<'END'
Runs a command in a network namespace of its own, with bad weather (netem) on its loopback. Needs root.

Usage: lossy_net.sh [OPTION VALUE]... -- COMMAND [ARGUMENT]...

  --weather PRESET   clean, wifi, cellular, satellite, lab or hostile; `lossy_link --list` says what they are
  --fault LIST       words with commas between them: loss=20%,dup=5%,delay=50ms; a preset is a word too
  --seed N           the same weather again, where tc (6.5) and the kernel (6.4) can
  --loss P           probability that a packet is lost: 15% or 0.15
  --burst A/B        probabilities to enter and to leave a burst of losses: 0.5%/20%
  --dup P            probability that a packet comes twice
  --reorder P        probability that a packet does not wait in order
  --late P           has no counterpart in the kernel: left out, with a notice
  --corrupt P        probability that a bit of a packet is flipped
  --delay T          time that every packet travels: 1100ms, 1.5s, 200us
  --jitter T         up to so much is added to the delay; packets keep their order
  --rate R           of the line: 10mbit, 64kbit, 1gbit
  --queue SIZE       what may wait for the line: 64k, 64ki
  --mtu SIZE         the largest packet, headers included: 1500
  --help             this text

The preset comes first, then the faults, then the single options; the later one overrides the earlier.

Examples:
  lossy_net.sh --weather lab -- python3 test_my_server.py
  lossy_net.sh --loss 15% --delay 1100ms -- bash -c 'server 12300 & sleep 1; client localhost:12300 a.jpg b.jpg'
  lossy_net.sh --fault wifi,loss=5% --seed 7 -- bash

How the words become netem's:
  - Both directions pass the same netem once, so they share its rate and queue and cannot differ: what says so
    (in.loss, out.rate, the presets cellular and satellite unless --rate is given) is refused. lossy_link can do it.
  - burst=A/B with loss=P becomes `loss gemodel A B 100% P`: within a burst everything is lost, outside of it P.
  - delay and jitter become the middle of the range and half of its width, in whole microseconds. Where no rate is
    given, netem gets one of 100gbit, because only with a rate do its packets keep their order.
  - reorder lets packets out at once, past those that wait; without a delay it gets one of 10ms.
  - corrupt damages what is beneath the UDP checksum, so the kernel drops nearly all of it: it acts like loss.
  - queue (and the default, a round trip of the line but at least 64ki) becomes netem's limit: packets of the mtu (1500
    when none is given), and those that are on their way are added, since netem counts them too. It needs a rate.
  - mtu is the loopback's. What is larger is cut into fragments or refused to the sender, not swallowed.
  - A train of segments (UDP GSO) is one packet to netem.

Exit status: the command's; 2 for a wrong command line, 3 if there can be no such network here (then nothing was run),
127 if there is no such command. What the command leaves running in its network is ended with it.
END
}

say() {
    printf 'lossy_net.sh: %s\n' "$1" >&2
}

misused() {
    say "$1"
    say 'see lossy_net.sh --help'
    exit 2
}

# ---- What the words say: weather[in.loss], weather[out.loss] and so on, as whole numbers or nothing.

readonly chances='loss dup reorder late corrupt' times='delay jitter' others='burst rate queue mtu'
declare -A weather=()  # parts of 10^9, nanoseconds, bits per second, bytes; a burst is two chances with a blank
declare -A written=()  # the same as the user or the preset wrote it

is_word() {
    [[ " $chances $times $others " == *" $1 "* ]]
}

# Sets `scaled` to a decimal number times a worth, rounded down; false if it is no number.
scale() {
    local number=$1 worth=$2 whole fraction
    [[ $number =~ ^([0-9]*)(\.([0-9]*))?$ && $number == *[0-9]* ]] || return 1
    whole=${BASH_REMATCH[1]:-0} fraction=${BASH_REMATCH[3]:-}
    [[ $whole =~ ^0*([0-9]+)$ ]]
    whole=${BASH_REMATCH[1]}
    if ((${#whole} > 13)) || ((whole > 9000000000000000000 / worth)); then
        scaled=9000000000000000000
        return
    fi
    fraction=${fraction}000000000
    scaled=$((whole * worth + 10#${fraction:0:9} * worth / 1000000000))
}

# Sets `scaled` to the value, which is in `unit=worth` pairs; the last pair's unit is that of a bare number.
measure() {
    local word=$1 value=${2,,} form=$3 least=$4 most=$5 range=$6 pair unit
    shift 6
    [[ $value =~ ^([0-9.]*)(.*)$ ]]
    unit=${BASH_REMATCH[2]}
    for pair; do
        if [[ $unit == "${pair%=*}" ]]; then
            scale "${BASH_REMATCH[1]}" "${pair#*=}" || break
            ((scaled >= least && scaled <= most)) || misused "\"$word\" is out of range; $range"
            return
        fi
    done
    misused "\"$word\" is not understood; write $form"
}

# Sets `scaled` to a probability in parts of 10^9.
chance() {
    local word=$1 value=$2 form=$3 worth=1000000000
    [[ $value == *% ]] && worth=10000000
    scale "${value%\%}" "$worth" || misused "\"$word\" is not understood; write $form"
    ((scaled <= 1000000000)) ||
        misused "\"$word\" is out of range; a probability is at least 0% and at most 100% (0 to 1)"
}

# Sets `scaled` to what the value says, for the word of this name.
read_value() {
    local name=$1 value=$2 word=$3 form enter
    local size='a size is at least 1 byte and at most 64mi' units=(mi=1048576 m=1000000 ki=1024 k=1000 "=1")
    if [[ $value == off && " $others " == *" $name "* ]]; then
        scaled=''
        return
    fi
    case $name in
    burst)
        form='the probabilities to enter and to leave a burst like 0.5%/20%, or off'
        [[ $value == */* ]] || misused "\"$word\" is not understood; write $form"
        chance "$word" "${value%%/*}" "$form"
        enter=$scaled
        chance "$word" "${value#*/}" "$form"
        scaled="$enter $scaled"
        return
        ;;
    delay | jitter)
        measure "$word" "$value" 'a duration like 50ms, 1.5s or 200us (a bare number is ms)' \
            0 3600000000000 'a duration is at least 0 and at most 3600s' s=1000000000 ms=1000000 us=1000 ns=1 =1000000
        ;;
    rate)
        measure "$word" "$value" 'a rate like 10mbit, 1.5gbit or 64kbit (a bare number is bits), or off' \
            1 1000000000000 'a rate is at least 1bit and at most 1000gbit' \
            gbit=1000000000 mbit=1000000 kbit=1000 bit=1 =1
        ;;
    queue) measure "$word" "$value" 'a size like 1500, 64k or 64ki, or off' 1 67108864 "$size" "${units[@]}" ;;
    mtu)
        measure "$word" "$value" 'a packet size like 1500 or 9k, or off' \
            68 65535 'an mtu is at least 68 and at most 65535 bytes' "${units[@]}"
        ;;
    *) chance "$word" "$value" 'a probability like 20% or 0.2' ;;
    esac
    # Nothing and zero are the same weather.
    ((scaled > 0)) || scaled=''
}

# Takes one word, such as loss=20%, in.loss=20% or wifi, for the directions given.
apply_word() {
    local word=$1 directions=$2 name direction known="$chances $times $others"
    case $word in
    in.*) directions=${directions//out/} name=${word#in.} ;;
    out.*) directions=${directions//in/} name=${word#out.} ;;
    *) name=$word ;;
    esac
    local value=${name#*=}
    if ! is_word "${name%%=*}"; then
        [[ $name != *=* ]] || misused "\"$word\" is not a known word; known are ${known// /, } and the presets"
        find_preset "$name"
        for direction in $directions; do
            for name in $chances $times $others; do
                weather[$direction.$name]='' written[$direction.$name]=''
            done
        done
        [[ -z $preset_words ]] || apply_list "$preset_words" "$directions"
        return
    fi
    [[ $name == *=* ]] || misused "\"$word\" needs a value; write it like $word=VALUE"
    name=${name%%=*}
    read_value "$name" "$value" "$word"
    for direction in $directions; do
        weather[$direction.$name]=$scaled written[$direction.$name]=$value
    done
}

apply_list() {
    local list=$1 directions=$2 word
    [[ $list =~ [^[:blank:]] ]] || return 0
    list+=,
    while [[ -n $list ]]; do
        word=${list%%,*} list=${list#*,}
        [[ $word =~ ^[[:blank:]]*(.*[^[:blank:]])[[:blank:]]*$ ]] ||
            misused 'a word of the list is empty; write one comma between two words and none at the end'
        apply_word "${BASH_REMATCH[1]}" "$directions"
    done
}

# ---- The presets are those of the program: it is asked for them, so that there is one place for their numbers.

find_lossy_link() {
    local here candidate
    here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/..
    for candidate in "${HOMING_BIN_DIR:+$HOMING_BIN_DIR/lossy_link}" "$here/target/release/lossy_link" \
        "$here/target/debug/lossy_link" "$(type -P lossy_link || true)"; do
        if [[ -n $candidate && -f $candidate && -x $candidate ]]; then
            lossy_link=$candidate
            return
        fi
    done
    say "the preset \"$1\" is described by lossy_link, which is not there; build it:"
    printf '    cargo build --release\n' >&2
    exit 2
}

# Sets `preset_words` to the words of this preset, of lines like `lab    loss=15%,delay=1100ms    A sentence.`
find_preset() {
    local wanted=$1 presets line name words known=''
    find_lossy_link "$wanted"
    presets=$("$lossy_link" --list) || misused "$lossy_link --list failed, so the preset \"$wanted\" is not known"
    while IFS= read -r line; do
        [[ $line =~ ^[[:blank:]]*([a-z][a-z0-9_-]*)([[:blank:]]{2,}(.*))?$ ]] || continue
        name=${BASH_REMATCH[1]} words=${BASH_REMATCH[3]:-}
        known+=${known:+, }$name
        [[ $name == "$wanted" ]] || continue
        # The clean weather has no words: what follows its name is the sentence.
        preset_words=''
        [[ ! $words =~ ^([^[:blank:]]+)([[:blank:]]{2,}|[[:blank:]]*$) ]] || preset_words=${BASH_REMATCH[1]}
        [[ $preset_words != "$name" && $preset_words != - ]] || preset_words=''
        return
    done <<<"$presets"
    misused "\"$wanted\" is not a preset; the presets are $known"
}

# ---- What netem is told.

show_percent() {
    local whole=$(($1 / 10000000)) part
    part=$(printf '%07d' $(($1 % 10000000)))
    while [[ $part == *0 ]]; do part=${part%0}; done
    printf '%s' "$whole${part:+.$part}%"
}

show_time() {
    # Not every tc reads nanoseconds.
    local micros=$((($1 + 500) / 1000))
    if ((micros > 0 && micros % 1000 == 0)); then
        printf '%sms' $((micros / 1000))
    else
        printf '%sus' $((micros > 0 ? micros : 1))
    fi
}

show_rate() {
    if (($1 % 1000000 == 0)); then
        printf '%smbit' $(($1 / 1000000))
    elif (($1 % 1000 == 0)); then
        printf '%skbit' $(($1 / 1000))
    else
        printf '%sbit' "$1"
    fi
}

# The bytes that a line of so many bit/s carries in so many nanoseconds, without leaving 64 bits.
carried() {
    local rate=$1 kilorate=$(($1 / 1000)) micros=$(($2 / 1000))
    if ((rate < 1000000)); then
        printf '%s' $((rate * micros / 8000000))
    else
        printf '%s' $((kilorate * micros / 8000))
    fi
}

refuse_directions() {
    local name
    for name in $chances $times $others; do
        if [[ ${weather[in.$name]:-} != "${weather[out.$name]:-}" ]]; then
            say "in.$name=${written[in.$name]:-none} and out.$name=${written[out.$name]:-none} differ"
            say 'on one loopback both directions pass the same netem; lossy_link can do it:'
            show_lossy_link
            exit 2
        fi
    done
}

# How many packets netem may hold: those that wait for the line, and those that travel.
queue_limit() {
    local rate=$1 queue=$2 delay=$3 jitter=$4 packet=$5 limit
    if [[ -z $rate ]]; then
        printf '65536'
        return
    fi
    if [[ -z $queue ]]; then
        queue=$(carried "$rate" $((2 * delay)))
        ((queue >= 65536)) || queue=65536
    fi
    limit=$(((queue + packet - 1) / packet + ($(carried "$rate" $((delay + jitter))) + packet - 1) / packet))
    printf '%s' $((limit < 65536 ? limit : 65536))
}

# Sets `netem` to the arguments, and says what the kernel does differently or not at all.
plan_netem() {
    local name
    local -A now=()
    for name in $chances $times $others; do now[$name]=${weather[in.$name]:-}; done
    local delay=${now[delay]:-0} jitter=${now[jitter]:-0} rate=${now[rate]}

    [[ -z ${now[late]} ]] || say 'late has no counterpart in netem and is left out'
    [[ -z ${now[corrupt]} ]] || say 'corrupt acts like loss here: the kernel drops what fails the UDP checksum'
    [[ -z ${now[queue]} || -n $rate ]] || say 'queue is left out: without a rate nothing waits'
    if [[ -n ${now[reorder]} ]] && ((delay + jitter == 0)); then
        say 'reorder needs a delay to overtake in: 10ms are added'
        delay=10000000
    fi

    netem=(limit "$(queue_limit "$rate" "${now[queue]}" "$delay" "$jitter" "${now[mtu]:-1500}")")
    ((delay + jitter == 0)) || netem+=(delay "$(show_time $((delay + jitter / 2)))")
    ((jitter == 0)) || netem+=("$(show_time $((jitter / 2)))")
    if [[ -n ${now[burst]} ]]; then
        netem+=(loss gemodel "$(show_percent "${now[burst]% *}")" "$(show_percent "${now[burst]#* }")" 100%)
        netem+=("$(show_percent "${now[loss]:-0}")")
    elif [[ -n ${now[loss]} ]]; then
        netem+=(loss "$(show_percent "${now[loss]}")")
    fi
    [[ -z ${now[corrupt]} ]] || netem+=(corrupt "$(show_percent "${now[corrupt]}")")
    [[ -z ${now[dup]} ]] || netem+=(duplicate "$(show_percent "${now[dup]}")")
    [[ -z ${now[reorder]} ]] || netem+=(reorder "$(show_percent "${now[reorder]}")")
    if [[ -n $rate ]]; then
        netem+=(rate "$(show_rate "$rate")")
    elif ((jitter > 0)); then
        netem+=(rate 100gbit)
    fi
    mtu=${now[mtu]}
}

# ---- Where it cannot be done.

show_lossy_link() {
    local word line='lossy_link --listen 12301 --to 127.0.0.1:12300'
    for word in "${given[@]}"; do
        [[ $word =~ ^[A-Za-z0-9_.,:=%/-]+$ ]] || word=$(printf '%q' "$word")
        line+=" $word"
    done
    printf '    %s\n' "$line" >&2
}

impossible() {
    say "$1; nothing was run"
    say 'the same weather without root and netem, for clients that talk to port 12301 and a server on port 12300:'
    show_lossy_link
    exit 3
}

# ---- The network, and the command in it.

netns='' child='' grace=0

# Ends what runs in the namespace and nothing else: politely, and after two seconds for good.
# shellcheck disable=SC2317 # traps call it
end_all() {
    local tries pids
    for ((tries = 0; tries < 200; tries++)); do
        pids=$(ip netns pids "$netns" 2>/dev/null || true)
        # The child may be on its way into the namespace.
        [[ -z $child ]] || ! kill -0 "$child" 2>/dev/null || pids+=" $child"
        [[ $pids =~ [0-9] ]] || return 0
        # shellcheck disable=SC2086 # a list of numbers
        if ((tries == grace)); then
            kill -TERM $pids 2>/dev/null || true
        elif ((tries >= grace + 40)); then
            kill -KILL $pids 2>/dev/null || true
        fi
        sleep 0.05
    done
}

# shellcheck disable=SC2317 # a trap calls it
clean_up() {
    trap '' INT TERM HUP
    [[ -n $netns ]] || return 0
    end_all
    [[ ! -e /run/netns/$netns && ! -e /var/run/netns/$netns ]] || ip netns del "$netns" || true
    netns=''
}

make_network() {
    local words
    ((EUID == 0)) || impossible 'a network namespace needs root'
    type -P ip >/dev/null || impossible 'there is no ip program (package iproute2)'
    type -P tc >/dev/null || impossible 'there is no tc program (package iproute2)'

    trap clean_up EXIT
    # Control-C reaches the command too: it gets a second to end in its own way.
    trap 'grace=20; exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
    netns=lossy_net-$$-$RANDOM
    words=$(ip netns add "$netns" 2>&1) ||
        impossible "no network namespace can be made here (ip: $words)"
    words=$(ip -n "$netns" link set lo up ${mtu:+mtu "$mtu"} 2>&1) ||
        impossible "the loopback cannot be set up (ip: $words)"
    if [[ -n $seed ]]; then
        ! add_netem seed "$seed" >/dev/null 2>&1 || return 0
    fi
    words=$(add_netem 2>&1) || impossible "no netem on the namespace's loopback (tc: ${words//$'\n'/ })"
    [[ -z $seed ]] || say 'this tc or this kernel takes no seed: the weather will not be the same again'
}

add_netem() {
    ip netns exec "$netns" tc qdisc add dev lo root netem "${netem[@]}" "$@"
}

run() {
    local status=0
    type -P -- "$1" >/dev/null || {
        say "there is no command \"$1\""
        exit 127
    }
    # In the background, so that a signal is not kept waiting; the input, and what exec does for Control-C, are as in
    # the foreground.
    (exec ip netns exec "$netns" "$@") <&0 &
    child=$!
    wait "$child" || status=$?
    child=''
    exit "$status"
}

# ---- The command line.

preset='' seed='' netem=() mtu='' lossy_link=''
given=() faults=() singles=()

take_option() {
    local name=$1 value=$2
    case $name in
    weather)
        if [[ ! $value =~ ^[a-z0-9_-]+$ ]] || is_word "$value"; then
            misused "\"$value\" is not a preset; lists of words go to --fault"
        fi
        preset=$value
        ;;
    fault) faults+=("$value") ;;
    seed)
        [[ $value =~ ^[0-9]{1,19}$ ]] || misused "\"$value\" is no seed; write a number of at most 19 digits"
        seed=$value
        ;;
    *) singles+=("$name=$value") ;;
    esac
}

# Takes the options, and leaves the number of arguments up to and with the `--` in `taken`.
take_options() {
    local option name
    taken=0
    while (($# > 0)); do
        option=$1 name=${1#--} name=${name%%=*}
        case $option in
        --)
            taken=$((taken + 1))
            return
            ;;
        --help | -h)
            usage
            exit 0
            ;;
        --weather | --fault | --seed | --weather=* | --fault=* | --seed=*) ;;
        --*) is_word "$name" || misused "--$name is not an option" ;;
        *) misused "\"$option\" is not an option; write -- before the command" ;;
        esac
        if [[ $option == *=* ]]; then
            take_option "$name" "${option#*=}"
            given+=("$option")
            shift
            taken=$((taken + 1))
        elif (($# > 1)) && [[ $2 != -- ]]; then
            take_option "$name" "$2"
            given+=("$option" "$2")
            shift 2
            taken=$((taken + 2))
        else
            misused "--$name needs a value"
        fi
    done
}

main() {
    local word
    take_options "$@"
    shift "$taken"
    (($# > 0)) || misused 'what is to be run? write it behind --'

    [[ -z $preset ]] || apply_word "$preset" 'in out'
    for word in "${faults[@]}"; do apply_list "$word" 'in out'; done
    for word in "${singles[@]}"; do apply_word "$word" 'in out'; done
    refuse_directions
    plan_netem
    make_network
    run "$@"
}

main "$@"
