//! The reasons why a rule language cannot express a signature.

use std::error::Error;
use std::fmt;

/// The reason why a signature has no rule in a language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unsupported {
    /// The signature matches a list of paths in a file: the number of paths and the file's name.
    PathFile(usize, String),
    /// A pattern contains a percent-escape, which the tool has decoded.
    PercentEscape(String),
    /// A pattern contains a blank, at which the tool ends the target.
    Blank(String),
    /// The pattern is not one of paths.
    NotAPath,
    /// The pattern needs the undecoded target, which the language does not provide.
    UndecodedTarget,
    /// The signature matches targets, and the language matches hosts only.
    NotAHost,
    /// The rule is longer than the tool reads: its length and the maximum, in bytes.
    RuleTooLong(usize, usize),
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PathFile(count, name) => write!(f, "its {count} paths are in {name}, a list too long for rules"),
            Self::PercentEscape(pattern) => {
                write!(f, "{pattern:?} has a percent-escape, which the tool decodes before it matches")
            }
            Self::Blank(pattern) => write!(f, "{pattern:?} has a blank, at which the tool ends the target"),
            Self::NotAPath => f.write_str("is not a path"),
            Self::UndecodedTarget => f.write_str("matches the undecoded target, and http-request is always decoded"),
            Self::NotAHost => f.write_str("matches targets, and an Intel::URL is one host with one path"),
            Self::RuleTooLong(bytes, most) => {
                write!(f, "its rule has {bytes} bytes, and Suricata reads at most {most}")
            }
        }
    }
}

impl Error for Unsupported {}
