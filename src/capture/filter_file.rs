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
        write!(out, "{}: cannot read: {} (give -F a text file with a filter)", self.path.display(), self.error)
    }
}

impl std::error::Error for FilterFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_without_comments() {
        assert_eq!(
            expression_of_file("# web\ntcp port 80 # plain\n\r\n  or tcp port 8080\r\n"),
            "tcp port 80 or tcp port 8080"
        );
    }
}
