//! Errors of the log destinations. Each displays as one line with the destination, the cause and the remedy or
//! consequence.

use std::io;
use std::path::{Path, PathBuf};

/// A destination cannot be opened at the start of a run.
#[derive(Debug)]
pub enum OpenError {
    /// Standard output cannot be duplicated.
    Stdout(io::Error),
    /// A log file or its directory cannot be created or opened.
    File {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
}

impl OpenError {
    pub(super) fn file(path: &Path, error: io::Error) -> Self {
        Self::File { path: path.to_owned(), error }
    }
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdout(error) => write!(out, "standard output: cannot be written: {error} (close other files)"),
            Self::File { path, error } => {
                let path = path.display();
                write!(out, "{path}: cannot be written: {error} (give -l a directory that this user may write)")
            }
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Stdout(error) | Self::File { error, .. } => Some(error),
        }
    }
}

/// A failure while a run writes. `log` is the path of a log file, or `standard output`.
#[derive(Debug)]
pub enum LogError {
    /// The reader of standard output is gone (EPIPE).
    Closed,
    /// A write failed, for the first time since the last successful one.
    Write {
        /// The destination.
        log: String,
        /// The cause.
        error: io::Error,
    },
    /// The reader is too slow: a line was dropped, for the first time since the reader caught up.
    Overflow {
        /// The destination.
        log: String,
    },
    /// A log file cannot be reopened.
    Reopen {
        /// The file.
        log: String,
        /// The cause.
        error: io::Error,
    },
    /// Lines could not be written until the end of the run.
    Lost {
        /// The destination.
        log: String,
        /// Their number.
        lines: u64,
    },
}

impl std::fmt::Display for LogError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed => write!(out, "standard output: the reader is gone"),
            Self::Write { log, error } => write!(out, "{log}: {error} (up to 16 MiB of lines are kept and retried)"),
            Self::Overflow { log } => {
                write!(out, "{log}: accepts no data and 16 MiB are buffered: records are dropped")
            }
            Self::Reopen { log, error } => {
                write!(out, "{log}: cannot be reopened: {error} (the old file stays in use)")
            }
            Self::Lost { log, lines: 1 } => write!(out, "{log}: 1 line could not be written and is lost"),
            Self::Lost { log, lines } => write!(out, "{log}: {lines} lines could not be written and are lost"),
        }
    }
}

impl std::error::Error for LogError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Write { error, .. } | Self::Reopen { error, .. } => Some(error),
            Self::Closed | Self::Overflow { .. } | Self::Lost { .. } => None,
        }
    }
}
