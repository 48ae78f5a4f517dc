#!/usr/bin/env bash
# Builds the release binary with a profile recorded on the spot by cargo-pgo, strips it, and reports what the profile
# gained on the bundled captures. Without cargo-pgo or the compiler's llvm-profdata it builds without a profile.
#
#     scripts/dist.sh [CARGO]
#
# Result: target/dist/smsentry. Environment: RUNS of each binary for the comparison (7).
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."

cargo=${1:-cargo}
runs=${RUNS:-7}
target=${CARGO_TARGET_DIR:-target}
dist=$target/dist
PATH=$PATH:$HOME/.cargo/bin

log() { echo "dist: $*" >&2; }

# The workload: every bundled capture, with all output that smsentry has.
replay() {
    for capture in pcaps/*.pcap pcaps/*.pcap.gz; do
        "$1" -q -r "$capture" --ports any --events alert,http --format eve >/dev/null
        "$1" -q -r "$capture" --format zeek-json >/dev/null
    done
}

# User time in seconds of one replay of the workload, repeated so that it can be measured.
user_seconds() {
    local TIMEFORMAT=%U
    { time for _ in 1 2 3 4 5; do replay "$1"; done; } 2>&1
}

finish() {
    strip "$dist/smsentry"
    log "$dist/smsentry: $(stat -c %s "$dist/smsentry") bytes"
}

mkdir -p "$dist"
"$cargo" build --release --locked
cp "$target/release/smsentry" "$dist/smsentry"
command -v cargo-pgo >/dev/null || "$cargo" install cargo-pgo --locked >/dev/null 2>&1 || true
sysroot=$(rustc --print sysroot)
host=$(rustc -vV | sed -n 's/^host: //p')
llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
# cargo-pgo takes the compiler's own llvm-profdata, else the one on the path. Debian's is as good if its LLVM is the same.
PATH=$sysroot/lib/rustlib/$host/bin:/usr/lib/llvm-$llvm/bin:$PATH
if ! command -v cargo-pgo >/dev/null || ! llvm-profdata --version 2>/dev/null | grep -q "LLVM version $llvm\."; then
    log "no profile: cargo-pgo or llvm-profdata of LLVM $llvm is missing (cargo install cargo-pgo; rustup component add" \
        "llvm-tools, or Debian's package llvm-$llvm)"
    finish
    exit
fi

"$cargo" pgo build -- --locked
replay "$target/$host/release/smsentry"
"$cargo" pgo optimize build -- --locked
cp "$dist/smsentry" "$dist/smsentry-without-profile"
cp "$target/$host/release/smsentry" "$dist/smsentry"
finish
for _ in $(seq "$runs"); do
    echo "$(user_seconds "$dist/smsentry") $(user_seconds "$dist/smsentry-without-profile")"
done | awk '{ print $1 / $2 }' | sort -n | awk '{ ratio[NR] = $1 } END {
    printf "dist: user time with the profile / without: %.2f (median of %d runs in turn)\n", ratio[int((NR + 1) / 2)], NR
}' >&2
