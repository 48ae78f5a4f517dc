//! Pipes, standard input among them, read so that signals and deadlines are noticed while nothing arrives.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result};
use std::os::fd::AsFd;
use std::time::Duration;

use crate::sys::Signals;

/// Time after which a read of a quiet pipe returns, so that deadlines fall due; as on a quiet interface.
pub(super) const IDLE: Duration = Duration::from_millis(250);

/// A pipe without a buffer of its own.
pub(super) struct Pipe {
    file: File,
    /// Whether a signal other than a stop, or [`IDLE`] without a byte, ends a read with [`ErrorKind::Interrupted`].
    pub(super) interruptible: bool,
}

impl Pipe {
    pub(super) fn new(file: File) -> Self {
        Self { file, interruptible: false }
    }

    pub(super) fn stdin() -> Result<Self> {
        Ok(Self::new(File::from(std::io::stdin().as_fd().try_clone_to_owned()?)))
    }
}

impl Read for Pipe {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
        // A process without signal handlers is ended by them.
        if let Some(signals) = Signals::installed() {
            while !signals.wait_readable(self.file.as_fd(), IDLE)? {
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
