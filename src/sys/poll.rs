//! Waiting for descriptors: poll(2), and an eventfd(2) that ends a wait in another thread.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd};
use rustix::io::Errno;

/// State of one descriptor after [`poll`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PollResult {
    /// Whether a read returns at once: with data, or at the end of the input.
    pub readable: bool,
    /// Whether the descriptor reports an error (for a capture: the interface is down or gone).
    pub failed: bool,
}

/// Waits until one of `descriptors` is readable or reports an error, a signal arrives, or `timeout` passes (poll(2)). A
/// signal is not an error: no descriptor is ready then.
///
/// # Errors
/// The error of poll(2), except `EINTR`.
pub fn poll<const N: usize>(descriptors: [BorrowedFd<'_>; N], timeout: Duration) -> io::Result<[PollResult; N]> {
    let mut entries = descriptors.map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN));
    if !wait(&mut entries, timeout)? {
        return Ok([PollResult::default(); N]);
    }
    Ok(entries.map(|entry| PollResult {
        readable: entry.revents().intersects(PollFlags::IN | PollFlags::HUP),
        failed: entry.revents().intersects(PollFlags::ERR | PollFlags::NVAL),
    }))
}

/// Waits until `descriptor` accepts bytes or reports an error, at most for `timeout` (poll(2)). A signal ends the wait;
/// the result is false then.
///
/// # Errors
/// The error of poll(2), except `EINTR`.
pub fn wait_writable(descriptor: BorrowedFd<'_>, timeout: Duration) -> io::Result<bool> {
    wait(&mut [PollFd::from_borrowed_fd(descriptor, PollFlags::OUT)], timeout)
}

/// Returns whether an entry is ready; false after the timeout or a signal.
fn wait(entries: &mut [PollFd<'_>], timeout: Duration) -> io::Result<bool> {
    // Longer than the type holds is longer than any run.
    let timeout = Timespec::try_from(timeout).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
    match rustix::event::poll(entries, Some(&timeout)) {
        Ok(count) => Ok(count > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Ends a [`poll`] in another thread (eventfd(2)).
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    /// Creates one that is not notified.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Makes the descriptor readable: a poll of it returns, now or at the next call. Async-signal-safe: one write(2).
    pub fn notify(&self) {
        // It fails only when the counter is at its maximum: readable already.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Makes the descriptor unreadable again.
    pub fn drain(&self) {
        // The descriptor is non-blocking: the call returns at once.
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notified_eventfd_ends_a_poll_until_drained() {
        let eventfd = EventFd::new().unwrap();
        assert_eq!(poll([eventfd.as_fd()], Duration::ZERO).unwrap(), [PollResult::default()]);
        eventfd.notify();
        eventfd.notify();
        assert!(poll([eventfd.as_fd()], Duration::from_secs(9)).unwrap()[0].readable);
        eventfd.drain();
        assert!(!poll([eventfd.as_fd()], Duration::ZERO).unwrap()[0].readable);
    }

    #[test]
    fn very_long_timeout_is_accepted() {
        let eventfd = EventFd::new().unwrap();
        eventfd.notify();
        assert!(poll([eventfd.as_fd()], Duration::MAX).unwrap()[0].readable);
    }
}
