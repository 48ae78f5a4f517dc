//! Signals that control the process, as flags and a descriptor to wait for. Not by signal-hook: the second SIGINT must
//! end the process with its default action, and SIGINT alone must interrupt system calls.

// Rationale: sigaction(2) is not wrapped by a safe crate in this form; each block states why it is sound.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use super::poll::{EventFd, poll};

static STOP: AtomicI32 = AtomicI32::new(0);
static HANGUP: AtomicBool = AtomicBool::new(false);
static STATISTICS: AtomicBool = AtomicBool::new(false);
static RELOAD: AtomicBool = AtomicBool::new(false);
/// Readable after a signal. Set before the handler is installed, and never closed.
static EVENTFD: OnceLock<EventFd> = OnceLock::new();

/// The signals that control the process. Signals belong to the process: every value reads the same flags.
#[derive(Clone, Copy, Debug)]
pub struct Signals {
    eventfd: &'static EventFd,
}

impl Signals {
    /// Installs the handler for SIGINT, SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2. A second SIGINT or SIGTERM ends the
    /// process at once, by that signal. SIGINT and SIGTERM interrupt system calls (`ErrorKind::Interrupted` from a
    /// blocked `read` of a pipe is the opportunity to check [`Signals::stop`]); the others restart them. SIGPIPE stays
    /// ignored, as Rust's start-up code leaves it. May be called again.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn install() -> io::Result<Self> {
        let eventfd = match EVENTFD.get() {
            Some(eventfd) => eventfd,
            None => {
                let fresh = EventFd::new()?;
                EVENTFD.get_or_init(|| fresh)
            }
        };
        for (signal, flags) in [
            (libc::SIGINT, 0),
            (libc::SIGTERM, 0),
            (libc::SIGHUP, libc::SA_RESTART),
            (libc::SIGUSR1, libc::SA_RESTART),
            (libc::SIGUSR2, libc::SA_RESTART),
        ] {
            // SAFETY: an all-zero sigaction is a valid value of the C structure.
            let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
            let handler: extern "C" fn(libc::c_int) = handle;
            action.sa_sigaction = handler as libc::sighandler_t;
            action.sa_flags = flags;
            // SAFETY: `action` is initialised, its mask empty, and the handler does only what signal-safety(7) allows.
            if unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(Self { eventfd })
    }

    /// Returns the signals if the handler was installed before.
    #[must_use]
    pub fn installed() -> Option<Self> {
        EVENTFD.get().map(|eventfd| Self { eventfd })
    }

    /// Returns the number of the first SIGINT or SIGTERM, if one was received; it is never reset.
    #[must_use]
    pub fn stop(&self) -> Option<i32> {
        Some(STOP.load(Ordering::SeqCst)).filter(|signal| *signal != 0)
    }

    /// Returns whether SIGHUP was received since the last call: reopen the output.
    #[must_use]
    pub fn take_hangup(&self) -> bool {
        HANGUP.swap(false, Ordering::SeqCst)
    }

    /// Returns whether SIGUSR1 was received since the last call: print statistics.
    #[must_use]
    pub fn take_statistics(&self) -> bool {
        STATISTICS.swap(false, Ordering::SeqCst)
    }

    /// Returns whether SIGUSR2 was received since the last call: reload the signatures.
    #[must_use]
    pub fn take_reload(&self) -> bool {
        RELOAD.swap(false, Ordering::SeqCst)
    }

    /// Waits until `descriptor` (standard input, for example) is readable, a signal arrives, or `timeout` passes.
    /// Returns whether it is readable. After a stop signal it never waits.
    ///
    /// # Errors
    /// The error of poll(2).
    pub fn wait_readable(&self, descriptor: BorrowedFd<'_>, timeout: Duration) -> io::Result<bool> {
        let timeout = if self.stop().is_some() { Duration::ZERO } else { timeout };
        let [descriptor, eventfd] = poll([descriptor, self.eventfd.as_fd()], timeout)?;
        if eventfd.readable {
            self.eventfd.drain();
        }
        Ok(descriptor.readable || descriptor.failed)
    }
}

impl AsFd for Signals {
    /// Readable after a signal until [`Signals::wait_readable`] returns.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }
}

/// The signal handler: sets flags and writes once, nothing else (signal-safety(7)).
extern "C" fn handle(signal: libc::c_int) {
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
    // `OnceLock::get` is one atomic load, `EventFd::notify` one write(2).
    if let Some(eventfd) = EVENTFD.get() {
        eventfd.notify();
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Blocks the signals of [`Signals`] in the calling thread, so that they interrupt the main thread's system calls.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signal_flags_are_reported_once() {
        let signals = Signals::install().unwrap();
        // SAFETY: raises a signal that is handled.
        unsafe { libc::raise(libc::SIGUSR1) };
        assert!(signals.take_statistics());
        assert!(!signals.take_statistics());
        assert!(!signals.take_reload());
        assert!(poll([signals.as_fd()], Duration::ZERO).unwrap()[0].readable);
        let idle = EventFd::new().unwrap();
        assert!(!signals.wait_readable(idle.as_fd(), Duration::from_secs(9)).unwrap());
        assert!(!poll([signals.as_fd()], Duration::ZERO).unwrap()[0].readable);
    }
}
