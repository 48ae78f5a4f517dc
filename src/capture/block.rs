//! The block: a recycled slab of captured frames, the unit in which packets travel from a source to the lanes.
//! Not a queue, and nothing is decoded here.

use crate::capture::{live, replay};
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

/// What a source says after it was asked to fill a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FillStatus {
    /// There may be more. The block may be empty (an idle link).
    More,
    /// The input is at its end; the block may still hold its last frames.
    End,
}

/// Where frames come from: a file or an interface.
pub trait PacketSource {
    /// Fills `block`, which is empty, with frames of one input.
    ///
    /// # Errors
    /// When the input can't be read further. Everything before the fault was handed on by earlier calls: a source
    /// returns what it has with [`FillStatus::More`] first, and the error when it is asked again.
    fn fill(&mut self, block: &mut Block) -> Result<FillStatus, SourceError>;

    /// Returns the source's counters.
    fn stats(&self) -> SourceStats {
        SourceStats::default()
    }

    /// Returns events since the last call, one line each, such as an interface that went down.
    fn take_events(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Asks the source to end. Returns whether it still delivers what it holds and reports [`FillStatus::End`] afterwards.
    fn stop(&mut self) -> bool {
        false
    }
}

/// Counters of a packet source.
#[derive(Clone, Copy, Debug, Default)]
pub struct SourceStats {
    /// Files read; zero for live capture.
    pub replay: replay::Counters,
    /// Counters of the live capture; `None` in replay.
    pub live: Option<live::Counters>,
}

/// Why an input can't be read further. Displays as one line that names the input, the place, the cause and the way out.
#[derive(Debug)]
pub struct SourceError {
    /// The file's path as given, or the interface.
    pub input: String,
    /// Frames read before the fault.
    pub frames: u64,
    /// Byte offset in the (decompressed) file, where there is one.
    pub offset: Option<u64>,
    /// What is wrong.
    pub cause: String,
    /// What the user can do.
    pub remedy: &'static str,
}

impl std::fmt::Display for SourceError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}: ", self.input)?;
        if let Some(offset) = self.offset {
            write!(out, "after packet {}, at offset {offset}: ", self.frames)?;
        }
        write!(out, "{}", self.cause)?;
        if !self.remedy.is_empty() {
            write!(out, " ({})", self.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for SourceError {}
