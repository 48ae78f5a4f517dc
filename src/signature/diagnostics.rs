//! The errors of one signature file, collected with their lines. The checks are in [`super::file`], [`super::pattern`]
//! and [`super::exposed_table`].

use std::collections::{BTreeMap, HashMap};

use toml::Spanned;

use super::source::SignatureOrigin;
use super::{BodyTest, WordList};

/// An error at a line; lines count from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Diagnostic {
    pub line: usize,
    pub reason: String,
}

/// Offsets of the line ends of a text.
pub(super) struct Lines(Vec<usize>);

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        Self(memchr::memchr_iter(b'\n', text.as_bytes()).collect())
    }

    /// Returns the line of an offset, from 1.
    pub(super) fn at(&self, offset: usize) -> usize {
        1 + self.0.partition_point(|&end| end < offset)
    }
}

/// Validates the entries of a file. Continues after an error, so that one run reports all of them.
pub(super) struct Validator {
    lines: Lines,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// The file's lists of words, which entries refer to as `$name`.
    pub(super) lists: BTreeMap<String, Vec<String>>,
    /// The word lists of signatures, by their text as written.
    pub(super) word_lists: HashMap<Vec<String>, WordList>,
    pub(super) origin: SignatureOrigin,
    /// Body tests by their expression: signatures with the same expression share the test.
    pub(super) body_tests: HashMap<String, BodyTest>,
}

impl Validator {
    pub(super) fn new(lines: Lines, origin: SignatureOrigin, lists: BTreeMap<String, Vec<String>>) -> Self {
        Self { lines, diagnostics: Vec::new(), lists, word_lists: HashMap::new(), origin, body_tests: HashMap::new() }
    }

    pub(super) fn line<T>(&self, value: &Spanned<T>) -> usize {
        self.lines.at(value.span().start)
    }

    /// Records an error at a value.
    pub(super) fn error<T>(&mut self, at: &Spanned<T>, reason: String) {
        let line = self.line(at);
        self.diagnostics.push(Diagnostic { line, reason });
    }

    /// Records an error at a value unless `valid`.
    pub(super) fn require<T>(&mut self, valid: bool, at: &Spanned<T>, reason: impl FnOnce() -> String) {
        if !valid {
            self.error(at, reason());
        }
    }
}
