//! Signature files as they are handed to the loader, and the errors that name them. Reading from disk is the caller's
//! part.

use std::fmt;

/// Where a file came from; it decides which ids the file may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureOrigin {
    /// Compiled in.
    Builtin,
    /// Written by a user. Next to the built-in ones it may not use their ids; alone it may, as an edited copy of them.
    User,
}

/// A signature file.
#[derive(Clone, Copy, Debug)]
pub struct SignatureFile<'a> {
    /// Its name, for messages; a `path_file` is looked for beside it.
    pub name: &'a str,
    /// Its content.
    pub text: &'a str,
    /// Where it came from.
    pub origin: SignatureOrigin,
}

/// What is wrong with a signature file. Shown as `file:line: reason`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// The file's name.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong and the way out.
    pub reason: String,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.reason)
    }
}

impl std::error::Error for LoadError {}
