//! Capture files as packet sources: pcap and pcapng, plain or compressed with gzip or zstd, from any reader. Frames are
//! decoded by [`crate::decode`].
//!
//! ```text
//! open ─► magic ─► compression ─► FileSource ─► pcap | pcapng ─► Block
//! ```

mod background;
mod compression;
mod format;
mod format_error;
mod inputs;
mod magic;
mod parse_step;
mod pcap;
mod pcapng;
mod pipe;
mod reader;

pub use self::inputs::{Input, expand, open};
pub(super) use self::pipe::stop_requested;
pub use self::reader::{FileSource, FrameFilter};
