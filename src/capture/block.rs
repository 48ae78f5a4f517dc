//! The block: a recycled slab of captured frames, the unit in which packets travel from a source to the lanes.
//! Not a queue, and nothing is decoded here.

use crate::packet::{Link, Packet};
use crate::time::Timestamp;

/// When a block is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSize {
    /// Bytes of frames.
    pub bytes: usize,
    /// Frames.
    pub packets: usize,
}

impl BlockSize {
    /// For files. Rationale: what is read, decoded and handled again and again stays in a second-level cache of 1 MiB, half
    /// of which may be another's.
    pub const OF_FILES: Self = Self { bytes: 256 << 10, packets: 4096 };
}

impl Default for BlockSize {
    /// For interfaces, of which blocks are handed on when they get old. Rationale: fewer hand-overs under load.
    fn default() -> Self {
        Self { bytes: 1 << 20, packets: 4096 }
    }
}

/// Where a frame stands in its block, and what its recorder said of it.
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
    /// The frame with its bytes, which stand in `slab`; numbered `number` in the run.
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
    /// The slab. Bytes between and after frames (file headers, a record's head) mean nothing.
    pub bytes: Vec<u8>,
    /// The frames, in the order of capture.
    pub packets: Vec<FrameRef>,
    /// Live: at least how much time passed from the end of the block before to the end of this one, by the monotonic
    /// clock. Zero in replay.
    pub elapsed: std::time::Duration,
}

impl Block {
    /// Makes the block empty; its memory stays.
    pub fn clear(&mut self) {
        self.packets.clear();
        self.bytes.clear();
        self.elapsed = std::time::Duration::ZERO;
    }

    /// The frame at `at`, numbered `number` in the run.
    #[must_use]
    pub fn packet(&self, at: usize, number: u64) -> Packet<'_> {
        self.packets[at].packet(&self.bytes, number)
    }
}
