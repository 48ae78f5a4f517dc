//! Replaces [`super::live`] in builds without the feature `live`: every interface is refused with an error.

use std::fmt;

use crate::capture::block::Block;
use crate::capture::source::{FillStatus, PacketSource, SourceError};

pub use crate::capture::live_options::{LiveOptions, MAX_RING_MIB};

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
