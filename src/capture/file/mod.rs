//! Capture files as packet sources: pcap and pcapng, plain or compressed with gzip or zstd, from any reader. Frames are
//! decoded by [`crate::decode`].
//!
//! ```text
//! open ─► magic ─► compression ─► FileSource ─► pcap | pcapng ─► Block
//! ```

mod compression;
mod format;
mod format_error;
mod inputs;
mod magic;
mod parse_step;
mod pcap;
mod pcapng;
mod reader;
mod stdin;

pub use self::inputs::{Input, expand, open};
pub use self::reader::{FileSource, FrameFilter};
pub(super) use self::stdin::stop_requested;
