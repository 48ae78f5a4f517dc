//! Reads a filter expression from a file (`-F`). Expressions are compiled by [`super::bpf`].

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Error of a filter file that cannot be read.
#[derive(Debug)]
pub struct FilterFileError {
    path: PathBuf,
    error: io::Error,
}

impl fmt::Display for FilterFileError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: cannot be read: {} (give -F a file with a filter)", self.path.display(), self.error)
    }
}

impl std::error::Error for FilterFileError {}

/// Returns the expression in a file.
///
/// # Errors
/// When the file cannot be read as text.
pub fn read_expression(path: &Path) -> Result<String, FilterFileError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(expression_of_file(&text)),
        Err(error) => Err(FilterFileError { path: path.to_owned(), error }),
    }
}

/// Returns the expression in the text of a filter file: its lines joined, each cut at `#`.
#[must_use]
pub fn expression_of_file(text: &str) -> String {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}
