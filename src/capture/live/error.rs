//! Errors of opening an interface, each displayed as one line with a remedy.

use crate::capture::bpf::FilterError;

/// Error of opening an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveError {
    /// No interface has this name.
    NoSuchInterface {
        /// The name as given.
        interface: String,
        /// Names of the existing interfaces.
        existing: Vec<String>,
    },
    /// The process lacks the privilege to capture.
    NotPermitted {
        /// The interface.
        interface: String,
    },
    /// The filter is invalid, or can't be used on the interface's link type.
    Filter(FilterError),
    /// Any other error that libpcap or the system reports.
    Other {
        /// The interface.
        interface: String,
        /// The error text of libpcap or the system.
        cause: String,
    },
}

impl LiveError {
    pub(super) fn other(interface: &str, cause: &str) -> Self {
        Self::Other { interface: interface.to_owned(), cause: cause.to_owned() }
    }

    /// Returns the exit code of a run that ends with this error: 2 for a filter (usage), else 1 (an input that can't be
    /// opened).
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
            Self::Other { interface, cause } => {
                write!(out, "{interface}: cannot capture: {cause} (-D lists the interfaces)")
            }
        }
    }
}

impl std::error::Error for LiveError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_privilege_names_capability_and_command() {
        let message = LiveError::NotPermitted { interface: "eth0".into() }.to_string();
        assert!(message.starts_with("eth0: "), "{message}");
        assert!(message.contains("CAP_NET_RAW") && message.contains("setcap cap_net_raw+ep "));
    }
}
