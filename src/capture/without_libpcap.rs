//! Replaces [`bpf`] and [`live`] in builds without the feature `live`: filters and interfaces are refused with an
//! error, replay without a filter works.

#[path = "live/options.rs"]
mod options;

/// Capture filters: refused.
pub mod bpf {
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
}

/// Live capture: refused.
pub mod live {
    use std::fmt;

    use crate::capture::block::Block;
    use crate::capture::source::{FillStatus, PacketSource, SourceError};

    pub use super::options::{LiveOptions, MAX_RING_MIB};

    /// Never constructed.
    #[derive(Debug)]
    pub enum LiveSource {}

    /// Error of live capture in a build without libpcap.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct LiveError;

    impl fmt::Display for LiveError {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("live capture needs libpcap (build smsentry with the feature `live`)")
        }
    }

    impl std::error::Error for LiveError {}

    impl LiveError {
        /// The exit code of a run that ends with this error: usage.
        #[must_use]
        pub const fn exit_code(&self) -> u8 {
            2
        }
    }

    impl LiveSource {
        /// Refuses to open an interface.
        ///
        /// # Errors
        /// Always.
        pub fn open(_options: LiveOptions, _input: u32) -> Result<Self, LiveError> {
            Err(LiveError)
        }

        /// Never called.
        #[must_use]
        pub fn description(&self) -> &'static str {
            match *self {}
        }
    }

    impl PacketSource for LiveSource {
        fn fill(&mut self, _block: &mut Block) -> Result<FillStatus, SourceError> {
            match *self {}
        }
    }

    /// Refuses to list interfaces.
    ///
    /// # Errors
    /// Always.
    pub fn list_interfaces() -> Result<Vec<String>, LiveError> {
        Err(LiveError)
    }
}
