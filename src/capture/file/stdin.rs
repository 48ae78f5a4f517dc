//! Standard input, read so that a signal is noticed while the pipe is idle.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result};
use std::os::fd::AsFd;
use std::time::Duration;

use crate::sys::Signals;

/// Standard input without a buffer of its own.
pub(super) struct Stdin {
    file: File,
    /// Whether a signal other than a stop ends a read with [`ErrorKind::Interrupted`].
    pub(super) interruptible: bool,
}

impl Stdin {
    pub(super) fn open() -> Result<Self> {
        Ok(Self { file: File::from(std::io::stdin().as_fd().try_clone_to_owned()?), interruptible: false })
    }
}

impl Read for Stdin {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
        /// Rationale: any; a signal ends the wait at once.
        const WAIT: Duration = Duration::from_secs(1);
        // A process without signal handlers is ended by them.
        if let Some(signals) = Signals::installed() {
            while !signals.wait_readable(self.file.as_fd(), WAIT)? {
                if signals.stop().is_some() {
                    return Err(Error::new(ErrorKind::ConnectionAborted, "stopped by a signal"));
                }
                if self.interruptible {
                    return Err(ErrorKind::Interrupted.into());
                }
            }
        }
        self.file.read(bytes)
    }
}

/// Returns whether a signal asked the process to end: a failed read is no error of the input then.
pub(in crate::capture) fn stop_requested() -> bool {
    Signals::installed().is_some_and(|signals| signals.stop().is_some())
}
