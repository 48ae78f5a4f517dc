//! Capture files as packet sources: pcap, pcapng and snoop, plain or compressed (gzip, zstd, xz, bzip2, lz4), from any
//! reader. Frames are
//! decoded by [`crate::decode`].
//!
//! ```text
//! open ─► magic ─► compression ─► FileSource ─► pcap | pcapng | snoop ─► Block
//! ```

mod background;
mod compression;
mod directory;
mod expansion;
mod format;
mod format_error;
mod inputs;
mod magic;
pub(super) mod natural_order;
mod parse_step;
mod pcap;
mod pcapng;
mod pcapng_interfaces;
mod peek_reader;
mod pipe;
mod reader;
mod remarks;
mod snoop;
mod source_options;
mod zstd;

pub(super) use self::directory::{FileKind, Listing, first_packet_time, kind_of};
pub use self::directory::{LeftOut, LeftOutReason};
pub use self::expansion::{Expansion, expand};
pub(super) use self::inputs::open_growing;
pub use self::inputs::{Input, open};
pub(super) use self::pipe::stop_requested;
pub use self::reader::FileSource;
pub use self::remarks::Remarks;
pub use self::source_options::FrameFilter;
