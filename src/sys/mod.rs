//! The door to the operating system: signals, `poll`, network interface requests, and two functions of libpcap that the
//! `pcap` crate does not offer. The only file that names `libc` and the only one with `unsafe`; everything it offers is
//! safe to call. Not a place for policy: what a signal or a lost interface means is decided by its callers.

// Rationale: system calls and C functions can't be had otherwise; each block says why it is sound.
#![allow(unsafe_code)]

pub mod console;

use std::ffi::{CString, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

/// What [`poll`] found of one descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PollResult {
    /// There is something to read, or the end of it.
    pub readable: bool,
    /// The descriptor has an error to tell (for a capture: the interface went down or away).
    pub failed: bool,
}

/// Waits until one of `descriptors` has something to read or to tell, a signal arrives, or `timeout` passes (poll(2)).
/// A signal is not an error: nothing is ready then.
///
/// # Errors
/// What poll(2) says, save `EINTR`.
pub fn poll<const N: usize>(descriptors: [BorrowedFd<'_>; N], timeout: Duration) -> io::Result<[PollResult; N]> {
    let mut entries = descriptors.map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 });
    // Rounded up, so that a rest of less than a millisecond does not become a loop without a pause.
    let millis = i32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX);
    // SAFETY: `entries` is an array of N initialised pollfd structures that lives across the call.
    let count = unsafe { libc::poll(entries.as_mut_ptr(), N as libc::nfds_t, millis) };
    if count < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::Interrupted { Ok([PollResult::default(); N]) } else { Err(error) };
    }
    Ok(entries.map(|entry| PollResult {
        readable: entry.revents & (libc::POLLIN | libc::POLLHUP) != 0,
        failed: entry.revents & (libc::POLLERR | libc::POLLNVAL) != 0,
    }))
}

/// Waits until `descriptor` takes bytes, or has an error to tell, at most for `timeout` (poll(2)). A signal ends the
/// wait: false then.
///
/// # Errors
/// What poll(2) says, save `EINTR`.
pub fn wait_writable(descriptor: BorrowedFd<'_>, timeout: Duration) -> io::Result<bool> {
    let mut entry = libc::pollfd { fd: descriptor.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    let millis = i32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX);
    // SAFETY: one initialised pollfd structure that lives across the call.
    let count = unsafe { libc::poll(&raw mut entry, 1, millis) };
    if count < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::Interrupted { Ok(false) } else { Err(error) };
    }
    Ok(count > 0)
}

/// A bell that ends a [`poll`] in another thread (eventfd(2)).
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    /// A silent bell.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes two integers and returns a new descriptor or -1.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new, open and owned by nobody else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Rings: whoever polls the bell wakes, now or when it next polls.
    pub fn notify(&self) {
        notify(self.0.as_raw_fd());
    }

    /// Makes the bell silent again.
    pub fn drain(&self) {
        let mut count = 0_u64;
        // SAFETY: reads eight bytes into eight bytes; a non-blocking descriptor, so it returns at once.
        let _ = unsafe { libc::read(self.0.as_raw_fd(), (&raw mut count).cast::<c_void>(), size_of::<u64>()) };
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Adds one to an eventfd. Async-signal-safe: one write(2). Failure means that it rings already.
fn notify(fd: RawFd) {
    let one = 1_u64;
    // SAFETY: writes eight bytes from eight bytes; a bad descriptor gives an error that means nothing to us.
    let _ = unsafe { libc::write(fd, (&raw const one).cast::<c_void>(), size_of::<u64>()) };
}

static STOP: AtomicI32 = AtomicI32::new(0);
static HANGUP: AtomicBool = AtomicBool::new(false);
static STATISTICS: AtomicBool = AtomicBool::new(false);
static RELOAD: AtomicBool = AtomicBool::new(false);
static BELL: AtomicI32 = AtomicI32::new(-1);

/// The signals the process is asked by. Signals belong to the process: every value reads the same flags.
#[derive(Clone, Copy, Debug)]
pub struct Signals {
    eventfd: BorrowedFd<'static>,
}

impl Signals {
    /// Takes SIGINT, SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 from now on. A second SIGINT or SIGTERM ends the process at
    /// once, by that signal. SIGINT and SIGTERM interrupt system calls (`ErrorKind::Interrupted` from a blocked `read`
    /// of a pipe is the chance to look at [`Signals::stop`]); the others restart them. SIGPIPE stays ignored, as
    /// Rust's start-up code leaves it. May be called again.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn install() -> io::Result<Self> {
        if BELL.load(Ordering::SeqCst) < 0 {
            let fresh = EventFd::new()?;
            let fd = fresh.0.as_raw_fd();
            if BELL.compare_exchange(-1, fd, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                // The handler may use the descriptor as long as the process lives.
                std::mem::forget(fresh);
            }
        }
        for (signal, flags) in [
            (libc::SIGINT, 0),
            (libc::SIGTERM, 0),
            (libc::SIGHUP, libc::SA_RESTART),
            (libc::SIGUSR1, libc::SA_RESTART),
            (libc::SIGUSR2, libc::SA_RESTART),
        ] {
            // SAFETY: an all-zero sigaction is a valid value of the C structure.
            let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
            let handler: extern "C" fn(libc::c_int) = note;
            action.sa_sigaction = handler as libc::sighandler_t;
            action.sa_flags = flags;
            // SAFETY: `action` is initialised, its mask empty, and the handler does only what signal-safety(7) allows.
            if unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        // SAFETY: the descriptor in BELL was forgotten above or by an earlier call, and is never closed.
        Ok(Self { eventfd: unsafe { BorrowedFd::borrow_raw(BELL.load(Ordering::SeqCst)) } })
    }

    /// The same, where it was installed before.
    #[must_use]
    pub fn installed() -> Option<Self> {
        let eventfd = BELL.load(Ordering::SeqCst);
        // SAFETY: the descriptor in BELL is never closed.
        (eventfd >= 0).then(|| Self { eventfd: unsafe { BorrowedFd::borrow_raw(eventfd) } })
    }

    /// The number of the first SIGINT or SIGTERM, if one came. It stays.
    #[must_use]
    pub fn stop(&self) -> Option<i32> {
        Some(STOP.load(Ordering::SeqCst)).filter(|signal| *signal != 0)
    }

    /// Whether SIGHUP came since this was last asked: reopen the output.
    #[must_use]
    pub fn take_hangup(&self) -> bool {
        HANGUP.swap(false, Ordering::SeqCst)
    }

    /// Whether SIGUSR1 came since this was last asked: print statistics.
    #[must_use]
    pub fn take_statistics(&self) -> bool {
        STATISTICS.swap(false, Ordering::SeqCst)
    }

    /// Whether SIGUSR2 came since this was last asked: reload the signatures.
    #[must_use]
    pub fn take_reload(&self) -> bool {
        RELOAD.swap(false, Ordering::SeqCst)
    }

    /// Waits until `descriptor` (standard input, say) is readable, a signal comes, or `timeout` passes; true when it is
    /// readable. After a stop it never waits.
    ///
    /// # Errors
    /// What poll(2) says.
    pub fn wait_readable(&self, descriptor: BorrowedFd<'_>, timeout: Duration) -> io::Result<bool> {
        let timeout = if self.stop().is_some() { Duration::ZERO } else { timeout };
        let [descriptor, eventfd] = poll([descriptor, self.eventfd], timeout)?;
        if eventfd.readable {
            let mut count = 0_u64;
            // SAFETY: reads eight bytes into eight bytes from a non-blocking descriptor that is never closed.
            let _ =
                unsafe { libc::read(self.eventfd.as_raw_fd(), (&raw mut count).cast::<c_void>(), size_of::<u64>()) };
        }
        Ok(descriptor.readable || descriptor.failed)
    }
}

impl AsFd for Signals {
    /// Readable after a signal, until [`Signals::wait_readable`] saw it.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.eventfd
    }
}

/// The signal handler: flags and one write, nothing else (signal-safety(7)).
extern "C" fn note(signal: libc::c_int) {
    match signal {
        libc::SIGHUP => HANGUP.store(true, Ordering::SeqCst),
        libc::SIGUSR1 => STATISTICS.store(true, Ordering::SeqCst),
        libc::SIGUSR2 => RELOAD.store(true, Ordering::SeqCst),
        _ => {
            if STOP.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst).is_err() {
                // SAFETY: both calls are async-signal-safe; the signal is delivered, with its default action, when the
                // handler returns.
                unsafe {
                    libc::signal(signal, libc::SIG_DFL);
                    libc::raise(signal);
                }
            }
        }
    }
    // A signal handler must leave errno as it was.
    // SAFETY: __errno_location gives the address of this thread's errno, always valid.
    let errno = unsafe { *libc::__errno_location() };
    notify(BELL.load(Ordering::SeqCst));
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Keeps the signals of [`Signals`] away from the calling thread, so that they interrupt the main thread's calls.
pub fn mask_signals() {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set before anything reads it; the rest only touches that set and this
    // thread's mask.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2] {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
    }
}

unsafe extern "C" {
    /// pcap/bpf.h: runs a filter program; 0 means no match. `wire_length` answers `len`, `greater` and `less`.
    fn bpf_filter(
        program: *const c_void,
        frame: *const u8,
        wire_length: libc::c_uint,
        captured: libc::c_uint,
    ) -> libc::c_uint;
    /// pcap/pcap.h: PCAP_TSTAMP_PRECISION_MICRO (0) or PCAP_TSTAMP_PRECISION_NANO (1).
    fn pcap_get_tstamp_precision(handle: *mut c_void) -> libc::c_int;
}

/// Whether `program` accepts a frame that had `wire_len` bytes on the wire, of which `bytes` were captured.
///
/// The `pcap` crate's own `BpfProgram::filter` takes the captured length for the wire's, so that `greater 1000` is
/// false for a long frame that was cut.
#[must_use]
pub fn filter_accepts(program: &pcap::BpfProgram, wire_len: u32, bytes: &[u8]) -> bool {
    let instructions = program.get_instructions();
    let captured = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    // SAFETY: libpcap compiled the program, so it ends in a return and its jumps stay inside it; it lives as long as
    // the borrow. bpf_filter reads the frame only below `captured`.
    unsafe { bpf_filter(instructions.as_ptr().cast(), bytes.as_ptr(), wire_len.max(captured), captured) != 0 }
}

/// Whether the fraction in a live capture's time stamps counts nanoseconds rather than microseconds.
#[must_use]
pub fn stamps_nanoseconds(capture: &pcap::Capture<pcap::Active>) -> bool {
    // SAFETY: the pointer is the crate's open handle, borrowed for the call; the function only reads from it.
    unsafe { pcap_get_tstamp_precision(capture.as_ptr().cast()) == 1 }
}

/// The index of the network interface `name` in this network namespace; it changes when the interface is made anew.
#[must_use]
pub fn interface_index(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: a terminated string that lives across the call.
    Some(unsafe { libc::if_nametoindex(name.as_ptr()) }).filter(|index| *index != 0)
}

/// Whether the interface is administratively up (IFF_UP, netdevice(7)); `None` when there is no such interface.
#[must_use]
pub fn interface_is_up(name: &str) -> Option<bool> {
    let mut request = interface_request(name)?;
    // SAFETY: SIOCGIFFLAGS reads the name in `request` and writes its flags.
    unsafe { interface_ioctl(libc::SIOCGIFFLAGS, &mut request) }.ok()?;
    // SAFETY: the kernel wrote the flags; any bits are a valid integer.
    Some(i32::from(unsafe { request.ifr_ifru.ifru_flags }) & libc::IFF_UP != 0)
}

/// One of ethtool's 32-bit properties of an interface (linux/ethtool.h, `struct ethtool_value`); `None` when the
/// interface or its driver does not know it.
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

/// Whether this process may open packet sockets at all (CAP_NET_RAW in its network namespace, packet(7)).
#[must_use]
pub fn may_capture() -> bool {
    // SAFETY: socket takes three integers and returns a new descriptor or -1. Protocol 0 receives nothing.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        let cause = io::Error::last_os_error().raw_os_error();
        return !matches!(cause, Some(libc::EPERM | libc::EACCES));
    }
    // SAFETY: the descriptor is new, open and owned by nobody else.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
    true
}

/// An interface request that carries only the name; `None` when the name is too long to be one.
fn interface_request(name: &str) -> Option<libc::ifreq> {
    // SAFETY: an all-zero ifreq is a valid value of the C structure.
    let mut request: libc::ifreq = unsafe { MaybeUninit::zeroed().assume_init() };
    if name.is_empty() || name.len() >= request.ifr_name.len() {
        return None;
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *place = byte as libc::c_char;
    }
    Some(request)
}

/// Asks the kernel about an interface.
///
/// # Safety
/// `request` must be what `code` expects, and whatever it points to must be alive and large enough.
unsafe fn interface_ioctl(code: libc::c_ulong, request: &mut libc::ifreq) -> io::Result<()> {
    // SAFETY: socket takes three integers and returns a new descriptor or -1.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, open and owned by nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: the caller's promise.
    if unsafe { libc::ioctl(socket.as_raw_fd(), code as _, &raw mut *request) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The host's name (gethostname(2)); `None` where it has none, or not in UTF-8.
#[must_use]
pub fn host_name() -> Option<String> {
    let mut name = [0_u8; 256];
    // SAFETY: the buffer is writable and its true length is given, less one so that a NUL always remains.
    let result = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) };
    let len = name.iter().position(|&byte| byte == 0)?;
    (result == 0 && len > 0).then(|| String::from_utf8(name[..len].to_vec()).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_ends_a_poll_until_it_is_silenced() {
        let eventfd = EventFd::new().unwrap();
        assert_eq!(poll([eventfd.as_fd()], Duration::ZERO).unwrap(), [PollResult::default()]);
        eventfd.notify();
        eventfd.notify();
        assert!(poll([eventfd.as_fd()], Duration::from_secs(9)).unwrap()[0].readable);
        eventfd.drain();
        assert!(!poll([eventfd.as_fd()], Duration::ZERO).unwrap()[0].readable);
    }

    #[test]
    fn loopback_is_an_interface_and_a_made_up_name_is_none() {
        assert!(interface_index("lo").is_some());
        assert!(interface_is_up("lo").is_some());
        for name in ["", "no-such-if", "a-name-that-is-far-too-long-for-an-interface", "nul\0"] {
            assert_eq!((interface_index(name), interface_is_up(name)), (None, None), "{name:?}");
            assert_eq!(ethtool_value(name, 0x2b), None);
        }
    }

    #[test]
    fn requests_by_signal_are_told_once() {
        let signals = Signals::install().unwrap();
        // SAFETY: raises a signal that is handled.
        unsafe { libc::raise(libc::SIGUSR1) };
        assert!(signals.take_statistics());
        assert!(!signals.take_statistics());
        assert!(!signals.take_reload());
        assert!(poll([signals.as_fd()], Duration::ZERO).unwrap()[0].readable);
        let quiet = EventFd::new().unwrap();
        assert!(!signals.wait_readable(quiet.as_fd(), Duration::from_secs(9)).unwrap());
        assert!(!poll([signals.as_fd()], Duration::ZERO).unwrap()[0].readable);
    }
}
