//! Regular expressions over the beginning of a response body, compiled on first use.

use std::fmt;
use std::sync::{Arc, OnceLock};

use regex::bytes::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

/// A regular expression over the first bytes of a body. Clones share the compiled expression.
#[derive(Clone, Debug)]
pub struct BodyTest(Arc<Expression>);

/// An expression, compiled on first use: most are never used, and compiling all of them takes longer than the rest of
/// the program start.
#[derive(Debug)]
struct Expression {
    pattern: String,
    /// `None` if the pattern is invalid, which only [`BodyTest::trusted`] admits.
    compiled: OnceLock<Option<Regex>>,
}

/// The regular expression of a body test is invalid.
#[derive(Clone, Debug)]
pub struct InvalidBodyTest(regex::Error);

impl fmt::Display for InvalidBodyTest {
    /// Writes one line: the last one of the parser's message, without its drawing of the expression.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_string().lines().last().unwrap_or_default().trim())
    }
}

impl std::error::Error for InvalidBodyTest {}

impl BodyTest {
    /// Compiles a regular expression; `.` and classes match bytes, not characters.
    ///
    /// # Errors
    /// If the expression is invalid or too large.
    pub fn new(pattern: &str) -> Result<Self, InvalidBodyTest> {
        let compiled = OnceLock::from(Some(compile(pattern)?));
        Ok(Self(Arc::new(Expression { pattern: pattern.to_owned(), compiled })))
    }

    /// Takes an expression that is known to be valid, and compiles it when it is first matched.
    pub(super) fn trusted(pattern: &str) -> Self {
        Self(Arc::new(Expression { pattern: pattern.to_owned(), compiled: OnceLock::new() }))
    }

    /// Reports whether the expression matches anywhere in `body`.
    #[must_use]
    pub fn matches(&self, body: &[u8]) -> bool {
        let compiled = self.0.compiled.get_or_init(|| compile(&self.0.pattern).ok());
        compiled.as_ref().is_some_and(|expression| expression.is_match(body))
    }

    /// Returns the expression as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.pattern
    }
}

fn compile(pattern: &str) -> Result<Regex, InvalidBodyTest> {
    /// Size limit of a compiled expression, in bytes. Rationale: a hundred alternatives fit; a counted repetition of
    /// thousands does not.
    const SIZE_LIMIT: usize = 256 << 10;
    RegexBuilder::new(pattern).unicode(false).size_limit(SIZE_LIMIT).build().map_err(InvalidBodyTest)
}

impl Serialize for BodyTest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for BodyTest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|pattern| Self::trusted(&pattern))
    }
}

impl PartialEq for BodyTest {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for BodyTest {}
