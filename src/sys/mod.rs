//! The operating system: console, poll(2) and eventfd(2), signals, network interfaces. libpcap is used by
//! [`crate::capture`] alone. What a signal or a lost interface means is decided by the callers.

pub mod console;
mod netif;
mod poll;
mod signals;

pub use netif::{ethtool_value, host_name, interface_index, interface_is_up, may_capture};
pub use poll::{EventFd, PollResult, poll, wait_writable};
pub use signals::{Signals, mask_signals};
