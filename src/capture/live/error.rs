//! Errors of live capture. Each displays as one line with the interface, the cause and the remedy.

use crate::capture::bpf::FilterError;

/// Error of an interface that cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveError {
    /// No interface has this name.
    NoSuchInterface {
        /// The name as given.
        interface: String,
        /// The names of the existing interfaces.
        existing: Vec<String>,
    },
    /// The process lacks the privilege.
    NotPermitted {
        /// The interface.
        interface: String,
    },
    /// The filter is invalid, or cannot be used on the interface's link type.
    Filter(FilterError),
    /// libpcap cannot list the interfaces; its message.
    List(String),
    /// Any other error of libpcap or the system.
    Other {
        /// The interface.
        interface: String,
        /// Its message.
        cause: String,
    },
}

impl LiveError {
    pub(super) fn other(interface: &str, cause: &str) -> Self {
        Self::Other { interface: interface.to_owned(), cause: cause.to_owned() }
    }

    /// Returns the exit code of a run that ends with this error: 2 for a filter (usage), else 1 (an input that cannot
    /// be opened).
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        if matches!(self, Self::Filter(_)) { 2 } else { 1 }
    }
}

impl std::fmt::Display for LiveError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoSuchInterface { interface, existing } if existing.is_empty() => {
                write!(out, "{interface}: no such interface (-D lists them)")
            }
            Self::NoSuchInterface { interface, existing } => {
                write!(out, "{interface}: no such interface; available: {} (-D lists details)", existing.join(", "))
            }
            Self::NotPermitted { interface } => {
                write!(
                    out,
                    "{interface}: capturing is not permitted: the capability CAP_NET_RAW is missing \
                     (grant it once: sudo setcap cap_net_raw+ep \"$(command -v smsentry)\"; or run as root)"
                )
            }
            Self::Filter(error) => error.fmt(out),
            Self::List(cause) => write!(out, "cannot list the interfaces: {cause}"),
            Self::Other { interface, cause } => {
                write!(out, "{interface}: cannot capture: {cause} (-D lists the interfaces)")
            }
        }
    }
}

impl std::error::Error for LiveError {}

/// Error that ends a running capture. Displays as the cause only.
#[derive(Debug)]
pub(super) enum CaptureError {
    /// Reading fails repeatedly although the interface is up; libpcap's message.
    Read(String),
    /// The interface is up again but cannot be opened.
    Reopen(LiveError),
    /// The capture thread panicked.
    Panic,
}

impl std::fmt::Display for CaptureError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Read(cause) => write!(out, "the capture fails repeatedly: {cause}"),
            Self::Reopen(error) => write!(out, "the interface returned, but cannot be reopened: {error}"),
            Self::Panic => out.write_str("the capture thread panicked"),
        }
    }
}

impl std::error::Error for CaptureError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_privilege_is_reported_with_capability_and_command() {
        let message = LiveError::NotPermitted { interface: "eth0".into() }.to_string();
        assert!(message.starts_with("eth0: "), "{message}");
        assert!(message.contains("CAP_NET_RAW") && message.contains("setcap cap_net_raw+ep "));
    }
}
