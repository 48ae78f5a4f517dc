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

# Cargo runs it for every crate of ours; some ways of copying a directory take the permission away.
wrapper=$(dirname "$0")/../.cargo/rustc-with-profile
[ -x "$wrapper" ] || die "$wrapper can't be run: chmod +x it"

# Whether a program that includes pcap.h compiles and links with -lpcap: what the build is going to ask.
has_libpcap() {
    # shellcheck disable=SC2086
    printf '#include <pcap/pcap.h>\nint main(void) { return pcap_lib_version() == 0; }\n' |
        cc ${LIBPCAP_LIBDIR:+-L"$LIBPCAP_LIBDIR"} -x c - -o /dev/null -lpcap >/dev/null 2>&1
}

# The command that installs libpcap's header and link library, and a C compiler to link with.
install_command() {
    if command -v apt-get; then echo install -y --no-install-recommends libpcap-dev gcc libc6-dev
    elif command -v dnf; then echo install -y libpcap-devel gcc
    elif command -v yum; then echo install -y libpcap-devel gcc
    elif command -v pacman; then echo -S --noconfirm --needed libpcap gcc
    elif command -v apk; then echo add libpcap-dev gcc musl-dev
    elif command -v zypper; then echo --non-interactive install libpcap-devel gcc
    elif command -v brew; then echo install libpcap
    fi
}

install_packages() {
    # shellcheck disable=SC2046
    set -- $(install_command)
    [ $# -gt 0 ] || die "no package manager known here; install by hand: libpcap with its header and link library" \
        "(libpcap-dev, libpcap-devel or libpcap) and a C compiler named cc"
    sudo=""
    case $1 in
    */brew) ;; # refuses to run as root
    *) if [ "$(id -u)" != 0 ]; then
            command -v sudo >/dev/null || die "not root, and no sudo here; run as root: $*"
            sudo=sudo
        fi ;;
    esac
    case $1 in
    */apt-get) $sudo "$1" update || say "apt-get update failed; trying with the package lists at hand" ;;
    esac
    say "${sudo:+sudo }$*"
    $sudo env DEBIAN_FRONTEND=noninteractive "$@"
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
