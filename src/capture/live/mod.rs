//! Live capture: a network interface as a packet source. A thread of its own captures through libpcap and swaps full
//! blocks for empty ones. Frames are neither decoded nor dropped here: packets for which a slow caller has no time stay
//! in the kernel's ring, whose losses are counted.
//!
//! ```text
//! kernel ring ─► capture thread ─► full blocks ─► LiveSource::fill ─► caller
//!                      ▲                                │
//!                      └───────── empty blocks ◄────────┘      (a fixed number)
//! ```

mod capture_thread;
mod counters;
mod description;
mod drain_clock;
mod error;
mod interfaces;
mod offloads;
mod open;
mod reconnect;
mod shared;
mod source;

pub use crate::capture::live_options::{LiveOptions, MAX_RING_MIB};
pub use counters::InterfaceEvent;
pub use description::Description;
pub use error::LiveError;
pub use interfaces::{Interface, list_interfaces};
pub use offloads::Offloads;
pub use shared::{Statistics, StopHandle};
pub use source::LiveSource;
