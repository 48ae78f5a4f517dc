#!/bin/sh
# Makes a machine ready to build smsentry: installs libpcap's development package where it is missing, checks the Rust
# toolchain, which it leaves to rustup. Asks no package manager for anything when everything is there.
#
#     scripts/setup.sh [CARGO]
set -eu

cargo=${1:-cargo}
rust_needed=$(sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' "$(dirname "$0")/../Cargo.toml")

say() { echo "setup: $*" >&2; }
die() { say "$*"; exit 1; }

# Whether a program that includes pcap.h compiles and links with -lpcap: what the build is going to ask.
has_libpcap() {
    # shellcheck disable=SC2086
    printf '#include <pcap/pcap.h>\nint main(void) { return pcap_lib_version() == 0; }\n' |
        cc ${LIBPCAP_LIBDIR:+-L"$LIBPCAP_LIBDIR"} -x c - -o /dev/null -lpcap >/dev/null 2>&1
}

# A system with `cc` but without libpcap, and one without either, are served by the same packages.
install_packages() {
    if command -v apt-get >/dev/null; then
        as_root apt-get update || say "apt-get update failed; trying with the package lists at hand"
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends libpcap-dev gcc libc6-dev
    elif command -v dnf >/dev/null; then as_root dnf install -y libpcap-devel gcc
    elif command -v yum >/dev/null; then as_root yum install -y libpcap-devel gcc
    elif command -v pacman >/dev/null; then as_root pacman -S --noconfirm --needed libpcap gcc
    elif command -v apk >/dev/null; then as_root apk add libpcap-dev gcc musl-dev
    elif command -v zypper >/dev/null; then as_root zypper --non-interactive install libpcap-devel gcc
    elif command -v brew >/dev/null; then brew install libpcap
    else die "no package manager known here; install by hand: libpcap with its header and link library" \
        "(libpcap-dev, libpcap-devel or libpcap, 1.9 or later) and a C compiler named cc"
    fi
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then
        say "sudo $*"
        sudo "$@"
    else die "not root and no sudo; run as root: $*"
    fi
}

check_rust() {
    how="get it from https://rustup.rs (rustup update stable), Rust $rust_needed or later"
    command -v "$cargo" >/dev/null || die "cargo is missing; $how"
    rust=$("$cargo" --version | sed -n 's/^cargo \([0-9]*\.[0-9]*\).*/\1/p')
    [ -n "$rust" ] || die "$cargo --version says no version; $how"
    if [ "${rust%%.*}" -lt "${rust_needed%%.*}" ] ||
        { [ "${rust%%.*}" -eq "${rust_needed%%.*}" ] && [ "${rust#*.}" -lt "${rust_needed#*.}" ]; }; then
        die "Rust $rust is too old; $how"
    fi
}

check_rust
if ! has_libpcap; then
    say "libpcap's development package is missing; installing it"
    install_packages
    has_libpcap || die "installed, but a program still does not link with -lpcap: try 'echo \"#include <pcap/pcap.h>\" | cc -E -'"
fi
