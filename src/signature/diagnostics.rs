//! The errors of one signature file, collected with their lines. What is checked stands in [`super::file`] and
//! [`super::pattern`].

use std::collections::{BTreeMap, HashMap};

use toml::Spanned;

use super::source::SignatureOrigin;
use super::{BodyTest, WordList};

/// What is wrong, and where; lines count from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Diagnostic {
    pub line: usize,
    pub reason: String,
}

/// Where the lines of a text end.
pub(super) struct Lines(Vec<usize>);

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        Self(memchr::memchr_iter(b'\n', text.as_bytes()).collect())
    }

    /// The line of an offset, from 1.
    pub(super) fn at(&self, offset: usize) -> usize {
        1 + self.0.partition_point(|&end| end < offset)
    }
}

/// Checks entries; goes on after a fault, so that one run tells all.
pub(super) struct Validator {
    lines: Lines,
    pub(super) faults: Vec<Diagnostic>,
    /// The words that `$name` stands for.
    pub(super) lists: BTreeMap<String, Vec<String>>,
    /// The word lists of signatures, by what was written.
    pub(super) word_lists: HashMap<Vec<String>, WordList>,
    pub(super) origin: SignatureOrigin,
    /// What was compiled: signatures that are alike share it.
    pub(super) body_tests: HashMap<String, BodyTest>,
}

impl Validator {
    pub(super) fn new(lines: Lines, origin: SignatureOrigin, lists: BTreeMap<String, Vec<String>>) -> Self {
        Self { lines, faults: Vec::new(), lists, word_lists: HashMap::new(), origin, body_tests: HashMap::new() }
    }

    pub(super) fn line<T>(&self, value: &Spanned<T>) -> usize {
        self.lines.at(value.span().start)
    }

    /// Tells a fault.
    pub(super) fn fault<T>(&mut self, at: &Spanned<T>, reason: String) {
        let line = self.line(at);
        self.faults.push(Diagnostic { line, reason });
    }

    /// Tells a fault unless `good`.
    pub(super) fn require<T>(&mut self, good: bool, at: &Spanned<T>, reason: impl FnOnce() -> String) {
        if !good {
            self.fault(at, reason());
        }
    }
}
