#!/bin/sh
# Prepares a machine for building smsentry: installs libpcap's development package if it is missing, and checks the Rust
# toolchain, but does not install it (see rustup). Does not call a package manager when nothing is missing.
#
#     scripts/setup.sh [CARGO]
set -eu

cargo=${1:-cargo}
rust_needed=$(sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' "$(dirname "$0")/../Cargo.toml")

log() { echo "setup: $*" >&2; }
die() { log "$*"; exit 1; }

# Checks that a program that includes pcap.h compiles and links with -lpcap, which the build requires.
has_libpcap() {
    # shellcheck disable=SC2086
    printf '#include <pcap/pcap.h>\nint main(void) { return pcap_lib_version() == 0; }\n' |
        cc ${LIBPCAP_LIBDIR:+-L"$LIBPCAP_LIBDIR"} -x c - -o /dev/null -lpcap >/dev/null 2>&1
}

# Prints the command that installs libpcap's header and link library, and a C compiler for linking.
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
    [ $# -gt 0 ] || die "no supported package manager found (install libpcap with its header and link library:" \
        "libpcap-dev, libpcap-devel or libpcap; and a C compiler named cc)"
    sudo=""
    case $1 in
    */brew) ;; # refuses to run as root
    *) if [ "$(id -u)" != 0 ]; then
            command -v sudo >/dev/null || die "cannot install packages: not root, and sudo is missing (run as root: $*)"
            sudo=sudo
        fi ;;
    esac
    case $1 in
    */apt-get) $sudo "$1" update || log "apt-get update failed; trying with the existing package lists" ;;
    esac
    log "${sudo:+sudo }$*"
    $sudo env DEBIAN_FRONTEND=noninteractive "$@"
}

check_rust() {
    how="install Rust $rust_needed or later from https://rustup.rs, or run: rustup update stable"
    command -v "$cargo" >/dev/null || die "cargo is missing ($how)"
    rust=$("$cargo" --version | sed -n 's/^cargo \([0-9]*\.[0-9]*\).*/\1/p')
    [ -n "$rust" ] || die "$cargo: cannot read its version ($how)"
    if [ "${rust%%.*}" -lt "${rust_needed%%.*}" ] ||
        { [ "${rust%%.*}" -eq "${rust_needed%%.*}" ] && [ "${rust#*.}" -lt "${rust_needed#*.}" ]; }; then
        die "Rust $rust is too old ($how)"
    fi
}

check_rust
if ! has_libpcap; then
    log "libpcap's development package is missing; installing it"
    install_packages
    has_libpcap || die "libpcap is installed, but a program does not link with -lpcap (check: echo '#include <pcap/pcap.h>' | cc -E -)"
fi
