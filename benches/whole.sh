#!/usr/bin/env bash
# The whole program beside libpcap's own read loop, and beside Suricata where it is installed: what each costs to read a
# capture, on one core, in turn.
#
#   benches/whole.sh [CAPTURE...]     without a capture: two made by repeating bundled ones
#
# Environment: RUNS (5), CORE (the last one allowed), SIZE of a capture that is made, in MB (128), SMSENTRY (the program;
# built if not given). Prints Markdown on standard output, progress on standard error.
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
# shellcheck source=benches/repeat.sh
source "$here/repeat.sh"
runs=${RUNS:-5}
core=${CORE:-$(taskset -pc $$ | grep -o '[0-9]*$')}
size=${SIZE:-128}
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT

die() {
    echo "whole.sh: $*" >&2
    exit 1
}

# Runs a program on the core; prints "user+sys wall peak", in seconds and KiB.
measure() {
    local TIMEFORMAT='%3U %3S %3R' before=()
    rm -f "$room/peak"
    # bash has the finer clock, time(1) knows the memory.
    [ -x /usr/bin/time ] && before=(/usr/bin/time -o "$room/peak" -f %M)
    { time taskset -c "$core" "${before[@]}" "$@" >/dev/null 2>"$room/said"; } 2>"$room/times" || {
        cat "$room/said" >&2
        die "failed: $*"
    }
    awk '{ printf "%.3f %.3f ", $1 + $2, $3 }' "$room/times"
    if [ -f "$room/peak" ]; then tail -n 1 "$room/peak"; else echo -; fi
}

# One program on one capture, by name.
run() {
    case $1 in
    smsentry) measure "$smsentry" -q -r "$2" ;;
    tcpdump) measure tcpdump -r "$2" -w /dev/null ;;
    # No rules: what is left is reading, decoding, streams and its own HTTP log.
    suricata) measure suricata --runmode single -S /dev/null -k none -l "$room" -r "$2" ;;
    esac
}

# The middle of a column of a program's results; "-" where there is nothing.
median() {
    cut -d ' ' -f "$2" "$room/$1.results" | sort -n | awk '
        { all[NR] = $1 }
        END { print NR % 2 || all[1] == "-" ? all[int((NR + 1) / 2)] : (all[NR / 2] + all[NR / 2 + 1]) / 2 }'
}

compare() {
    local capture=$1 packets program round cpu wall peak base
    [ -r "$capture" ] || die "$capture: can't be read"
    packets=$(tcpdump --count -r "$capture" 2>/dev/null | grep -o '^[0-9]*' || echo 0)
    rm -f "$room"/*.results
    for ((round = 0; round <= runs; round++)); do
        for program in "${programs[@]}"; do
            echo "$(basename "$capture"): $program, $([ $round = 0 ] && echo warm-up || echo "run $round of $runs")" >&2
            run "$program" "$capture" >"$room/result"
            [ $round = 0 ] || cat "$room/result" >>"$room/$program.results"
        done
    done
    echo
    echo "## $(basename "$capture"): $(stat -Lc %s "$capture") bytes, $packets packets"
    echo
    echo "| program | run | user+sys s | wall s | peak MiB |"
    echo "|---|---|---:|---:|---:|"
    for program in "${programs[@]}"; do
        awk -v program="$program" '{ printf "| %s | %d | %s | %s | %s |\n", program, NR, $1, $2, \
            $3 == "-" ? "-" : sprintf("%.1f", $3 / 1024) }' "$room/$program.results"
    done
    echo
    echo "| median | user+sys s | wall s | peak MiB | ns a packet | MB/s | user+sys, tcpdump = 1 |"
    echo "|---|---:|---:|---:|---:|---:|---:|"
    base=$(median tcpdump 1)
    for program in "${programs[@]}"; do
        cpu=$(median "$program" 1) wall=$(median "$program" 2) peak=$(median "$program" 3)
        awk -v program="$program" -v cpu="$cpu" -v wall="$wall" -v peak="$peak" -v base="$base" \
            -v packets="$packets" -v bytes="$(stat -Lc %s "$capture")" 'BEGIN {
            printf "| %s | %.3f | %.3f | %s | %s | %s | %s |\n", program, cpu, wall,
                peak == "-" ? "-" : sprintf("%.1f", peak / 1024),
                (packets > 0) ? sprintf("%.0f", cpu * 1e9 / packets) : "-",
                (cpu > 0) ? sprintf("%.0f", bytes / 1e6 / cpu) : "-",
                (base > 0) ? sprintf("%.2f", cpu / base) : "-" }'
    done
}

for tool in taskset tcpdump awk; do
    command -v "$tool" >/dev/null || die "$tool is missing"
done
smsentry=${SMSENTRY:-}
if [ -z "$smsentry" ]; then
    (cd "$root" && "${CARGO:-cargo}" build --release --locked) >&2
    smsentry=${CARGO_TARGET_DIR:-$root/target}/release/smsentry
fi
[ -x "$smsentry" ] || die "$smsentry: no program"
programs=(smsentry tcpdump)
if command -v suricata >/dev/null; then
    programs+=(suricata)
else
    echo "whole.sh: Suricata is not installed: left out" >&2
fi
if [ $# = 0 ]; then
    command -v python3 >/dev/null || die "python3 is missing, which makes a capture; name one instead"
    # Ordinary visits, and a scanner.
    for name in benign nginx-ipv4; do
        repeat "$root/pcaps/$name.pcap" "$room/$name-repeated.pcap" "$size"
        set -- "$@" "$room/$name-repeated.pcap"
    done
fi

echo "# Whole program, $(date -u +%F)"
echo
echo "* $(awk -F ': *' '/^model name/ { print $2; exit }' /proc/cpuinfo), $(nproc --all) cores, core $core used; load" \
    "average $(cut -d ' ' -f 1-3 /proc/loadavg) at the start"
for program in "${programs[@]}"; do
    case $program in
    smsentry) version=$("$smsentry" --version) ;;
    tcpdump) version=$(tcpdump --version 2>&1 | head -n 2 | paste -sd ',' | sed 's/,/, /g') ;;
    suricata) version=$(suricata -V | head -n 1) ;;
    esac
    echo "* ${version}"
done
for capture in "$@"; do
    compare "$capture"
done
