//! Signature files as input of the loader, and the errors that name them. Does not read files from disk; the caller
//! does.

use std::fmt;

/// Origin of a file; it decides which ids the file may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureOrigin {
    /// Compiled in.
    Builtin,
    /// Written by a user. Beside the built-in files it may not use their ids; alone it may, as an edited copy of them.
    User,
}

/// A signature file.
#[derive(Clone, Copy, Debug)]
pub struct SignatureFile<'a> {
    /// File name for messages; a `path_file` is looked up relative to it.
    pub name: &'a str,
    /// File content.
    pub text: &'a str,
    /// Origin of the file.
    pub origin: SignatureOrigin,
}

/// An error in a signature file. Displayed as `file:line: reason`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// File name.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// The error and its remedy.
    pub reason: String,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.reason)
    }
}

impl std::error::Error for LoadError {}
