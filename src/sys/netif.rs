//! Network interfaces: index, state and properties (netdevice(7), linux/ethtool.h), the permission to capture, and the
//! host's name. The list of interfaces comes from libpcap; see `capture::live`.

// Rationale: ioctl(2) on interfaces has no safe wrapper; each block states why it is sound.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// Returns the index of the network interface `name` in this network namespace; it changes when the interface is
/// created anew.
#[must_use]
pub fn interface_index(name: &str) -> Option<u32> {
    rustix::net::netdevice::name_to_index(control_socket().ok()?, name).ok()
}

/// Returns whether the interface is administratively up (IFF_UP, netdevice(7)); `None` when there is no such interface.
#[must_use]
pub fn interface_is_up(name: &str) -> Option<bool> {
    let mut request = interface_request(name)?;
    // SAFETY: SIOCGIFFLAGS reads the name in `request` and writes its flags.
    unsafe { interface_ioctl(libc::SIOCGIFFLAGS, &mut request) }.ok()?;
    // SAFETY: the kernel wrote the flags; any bits are a valid integer.
    Some(i32::from(unsafe { request.ifr_ifru.ifru_flags }) & libc::IFF_UP != 0)
}

/// Returns one of ethtool's 32-bit properties of an interface (linux/ethtool.h, `struct ethtool_value`); `None` when
/// the interface or its driver does not have it.
#[must_use]
pub fn ethtool_value(name: &str, command: u32) -> Option<u32> {
    let mut request = interface_request(name)?;
    let mut value = [command, 0_u32];
    request.ifr_ifru.ifru_data = value.as_mut_ptr().cast();
    // SAFETY: SIOCETHTOOL with one of the "get value" commands reads and writes the two integers `value`, which lives
    // across the call.
    unsafe { interface_ioctl(libc::SIOCETHTOOL, &mut request) }.ok()?;
    // A volatile read, because the compiler does not see that the kernel writes through `ifru_data`.
    // SAFETY: reads an initialised local.
    Some(unsafe { (&raw const value[1]).read_volatile() })
}

/// Returns whether this process may open packet sockets (CAP_NET_RAW in its network namespace, packet(7)).
#[must_use]
pub fn may_capture() -> bool {
    // Without a protocol the socket receives nothing.
    let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None);
    !matches!(socket, Err(Errno::PERM | Errno::ACCESS))
}

/// Creates an interface request with only the name; `None` when the name is empty or too long.
fn interface_request(name: &str) -> Option<libc::ifreq> {
    // SAFETY: an all-zero ifreq is a valid value of the C structure.
    let mut request: libc::ifreq = unsafe { MaybeUninit::zeroed().assume_init() };
    if name.is_empty() || name.len() >= request.ifr_name.len() {
        return None;
    }
    for (target, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *target = byte as libc::c_char;
    }
    Some(request)
}

/// Queries the kernel about an interface.
///
/// # Safety
/// `request` must be what `code` expects, and anything it points to must be alive and large enough.
unsafe fn interface_ioctl(code: libc::c_ulong, request: &mut libc::ifreq) -> io::Result<()> {
    let socket = control_socket()?;
    // SAFETY: the caller's promise.
    if unsafe { libc::ioctl(socket.as_raw_fd(), code as _, &raw mut *request) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Opens a socket for interface requests.
fn control_socket() -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?)
}

/// Returns the host's name (uname(2)); `None` if it has none, or not in UTF-8.
#[must_use]
pub fn host_name() -> Option<String> {
    let name = rustix::system::uname().nodename().to_str().ok()?.to_owned();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_exists_and_invalid_names_do_not() {
        assert!(interface_index("lo").is_some());
        assert!(interface_is_up("lo").is_some());
        for name in ["", "no-such-if", "a-name-that-is-far-too-long-for-an-interface", "nul\0"] {
            assert_eq!((interface_index(name), interface_is_up(name)), (None, None), "{name:?}");
            assert_eq!(ethtool_value(name, 0x2b), None);
        }
    }
}
