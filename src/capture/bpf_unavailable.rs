//! Replaces [`super::bpf`] in builds without the feature `live`: every filter is refused with an error.

use std::fmt;

/// Never constructed.
#[derive(Clone, Debug)]
pub enum Filter {}

/// Error of a filter in a build without libpcap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// The expression as the user wrote it.
    pub expression: String,
}

impl fmt::Display for FilterError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expression } = self;
        write!(out, "filter '{expression}': filters need libpcap (build smsentry with the feature `live`)")
    }
}

impl std::error::Error for FilterError {}

impl Filter {
    /// Refuses `expression`.
    ///
    /// # Errors
    /// Always.
    pub fn new(expression: &str) -> Result<Self, FilterError> {
        Err(FilterError { expression: expression.to_owned() })
    }

    /// Never called.
    ///
    /// # Errors
    /// None.
    pub fn matches(&mut self, _link: u32, _wire_len: u32, _bytes: &[u8]) -> Result<bool, FilterError> {
        match *self {}
    }
}
