#!/usr/bin/env bash
# Records the profile that optimised builds use (.cargo/rustc-with-profile): builds the program so that it counts its branches,
# lets it read captures made from bundled ones, and writes the counts to .cargo/smsentry.profdata.
#
#   benches/profile.sh
#
# Environment: SIZE of all captures together, in MB (64). Needs python3, and llvm-profdata of the compiler's LLVM
# (rustup component add llvm-tools).
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
# shellcheck source=benches/repeat.sh
source benches/repeat.sh
size=${SIZE:-64}
PATH=$PATH:$HOME/.cargo/bin
rustc=${RUSTC:-rustc}
# What would take the compiler's place, put the program or the counts elsewhere.
export RUSTC_WRAPPER=
unset CARGO_BUILD_TARGET LLVM_PROFILE_FILE

die() {
    echo "profile.sh: $*" >&2
    exit 1
}

version=$("$rustc" --version --verbose)
tools=$("$rustc" --print sysroot)/lib/rustlib/$(sed -n 's/^host: //p' <<<"$version")/bin
[ -x "$tools/llvm-profdata" ] || die "llvm-profdata is missing: run  rustup component add llvm-tools"
llvm=$(sed -n 's/^LLVM version: \([0-9]*\).*/\1/p' <<<"$version")
grep -qx "llvm_of_profile=$llvm" .cargo/rustc-with-profile || die "rustc has LLVM $llvm: .cargo/rustc-with-profile says another"
command -v python3 >/dev/null || die "python3 is missing, which makes the captures"

room=$(realpath "$(mktemp -d)")
trap 'rm -rf "$room"' EXIT
target=${CARGO_TARGET_DIR:-target}/profile
cargo() { SMSENTRY_PROFILE=$room/counts command "${CARGO:-cargo}" "$@" --release --locked --target-dir "$target" >&2; }
# Cargo does not know of the directory of the counts.
cargo clean --package smsentry
cargo build

# What there is most of in the field has most weight: scans that find nothing, then visits; then everything else once.
read_repeated() {
    repeat "pcaps/$1.pcap" "$room/$1.pcap" "$(($2 * size / 64))"
    "$target/release/smsentry" -q -r "$room/$1.pcap" >/dev/null
    rm "$room/$1.pcap"
}
for name in nginx-ipv4 apache-ipv4; do read_repeated "$name" 12; done
for name in benign wordpress; do read_repeated "$name" 10; done
for name in nginx-ipv6 soft-404 home-page bodies pipelined; do read_repeated "$name" 4; done
for capture in pcaps/*.pcap pcaps/*.pcap.gz; do
    "$target/release/smsentry" -q -r "$capture" >/dev/null
done

"$tools/llvm-profdata" merge --sparse -o "$room/profdata" "$room"/counts/*.profraw
mv "$room/profdata" .cargo/smsentry.profdata
echo "profile.sh: $(stat -c %s .cargo/smsentry.profdata) bytes in .cargo/smsentry.profdata" >&2
