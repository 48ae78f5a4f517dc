//! The block: a recycled slab of captured frames, the unit in which packets pass from a source to the lanes. Blocks are
//! filled by [`super::source`]; their frames are decoded by [`crate::decode`].

use crate::packet::{Link, Packet};
use crate::time::Timestamp;

/// Limits at which a block is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSize {
    /// Maximum number of bytes of frames.
    pub bytes: usize,
    /// Maximum number of frames.
    pub packets: usize,
}

impl BlockSize {
    /// Limits for files. Rationale: the slab is read, decoded and processed again and again, and stays in a
    /// second-level cache of 1 MiB, half of which another process may use.
    pub const OF_FILES: Self = Self { bytes: 256 << 10, packets: 4096 };
}

impl Default for BlockSize {
    /// Returns the limits for interfaces, whose blocks are also delivered by age. Rationale: fewer hand-overs under
    /// load.
    fn default() -> Self {
        Self { bytes: 1 << 20, packets: 4096 }
    }
}

/// A frame's position in its block, with its lengths, number and time.
#[derive(Clone, Copy, Debug)]
pub struct FrameRef {
    /// Offset of the first byte in [`Block::bytes`].
    pub start: u32,
    /// Number of captured bytes.
    pub len: u32,
    /// Length on the wire, never below `len`.
    pub wire_len: u32,
    /// The link type.
    pub link: Link,
    /// The frame's number in its input, from 1, before any filter.
    pub frame: u64,
    /// The recorder's time stamp.
    pub time: Timestamp,
}

impl FrameRef {
    /// Returns the frame with its bytes in `slab`, as packet `number` of the run.
    #[must_use]
    #[inline]
    pub fn packet<'a>(&self, slab: &'a [u8], number: u64) -> Packet<'a> {
        let &Self { start, len, wire_len, link, frame, time } = self;
        let bytes = &slab[start as usize..start as usize + len as usize];
        Packet { number, frame, time, link, wire_len, bytes }
    }
}

/// A slab of frames of one input.
///
/// Invariant: every [`FrameRef`] lies within `bytes`.
#[derive(Debug, Default)]
pub struct Block {
    /// Index of the input (file or interface) in the run's list.
    pub input: u32,
    /// The slab. Bytes between and after frames (file headers, record headers) are not used.
    pub bytes: Vec<u8>,
    /// The frames, in the order of capture.
    pub packets: Vec<FrameRef>,
    /// Live and from a pipe: a lower bound of the time from the end of the previous block to the end of this one, by the
    /// monotonic clock. Zero for files.
    pub elapsed: std::time::Duration,
}

impl Block {
    /// Makes the block empty and keeps its memory.
    pub fn clear(&mut self) {
        self.packets.clear();
        self.bytes.clear();
        self.elapsed = std::time::Duration::ZERO;
    }

    /// Returns the frame at index `at`, as packet `number` of the run.
    #[must_use]
    pub fn packet(&self, at: usize, number: u64) -> Packet<'_> {
        self.packets[at].packet(&self.bytes, number)
    }
}
