//! The interface of packet sources, their counters and their errors. Implemented by [`super::replay`] and
//! `capture::live`.

use crate::capture::block::Block;

crate::counters! {
    /// Counters of replayed files.
    pub struct ReplayCounters {
        /// Files read to their end, or in part.
        files: "input.files",
        /// Files that could not be opened.
        unreadable: "input.unreadable_file",
        /// Files that ended in the middle or are damaged.
        truncated: "input.truncated_file",
        /// Files of directories that were left out: no captures, hidden, no regular files.
        left_out: "input.left_out_file",
        /// Files of directories without a byte.
        empty: "input.empty_file",
        /// Files that were overwritten or removed before they were read to their end (`--follow`).
        overwritten: "input.overwritten_file",
        /// Packets that could not be read, although the packets around them could.
        unread_packets: "input.unread_packets",
        /// Frames with more bytes than the snapshot length in the file's header, which are read completely.
        beyond_snaplen: "input.beyond_snaplen",
        /// Bytes behind the compressed data of a file.
        trailing_bytes: "input.trailing_bytes",
    }
}

crate::counters! {
    /// Packets received and lost by a live capture. `received` includes what the kernel dropped, as libpcap counts on
    /// Linux.
    pub struct LiveCounters {
        /// Frames that passed the filter, those dropped by the kernel included.
        received: "capture.kernel_packets",
        /// Frames for which the kernel's ring had no space.
        kernel_drops: "capture.kernel_drops",
        /// Frames the interface or its driver lost before the kernel saw them.
        interface_drops: "capture.kernel_ifdrops",
        /// Frames put into blocks.
        delivered: "capture.packets",
        /// Frames read from the ring that could not be delivered, because the run ended.
        own_drops: "capture.own_drops",
        /// Number of times the interface was reopened.
        reopens: "capture.reopens",
        /// Number of times the interface went down or disappeared.
        outages: "capture.outages",
    }
}

/// Result of filling a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FillStatus {
    /// There may be more frames. The block may be empty (an idle link).
    More,
    /// The input ended; the block may hold its last frames.
    End,
}

/// A source of frames: capture files or an interface.
pub trait PacketSource {
    /// Fills `block`, which is empty, with frames of one input.
    ///
    /// # Errors
    /// When the input cannot be read further. Everything before the fault was returned by earlier calls: a source
    /// returns the frames it has with [`FillStatus::More`] first, and the error at the next call.
    fn fill(&mut self, block: &mut Block) -> Result<FillStatus, SourceError>;

    /// Returns the source's counters.
    fn stats(&self) -> SourceStats {
        SourceStats::default()
    }

    /// Returns events since the last call, one line each, such as an interface that went down.
    fn take_events(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Asks the source to end. Returns whether it still delivers what it holds and reports [`FillStatus::End`]
    /// afterwards.
    fn stop(&mut self) -> bool {
        false
    }
}

/// Counters of a packet source.
#[derive(Clone, Copy, Debug, Default)]
pub struct SourceStats {
    /// Files read; zero for live capture.
    pub replay: ReplayCounters,
    /// Counters of the live capture; `None` in replay.
    pub live: Option<LiveCounters>,
}

/// Error of an input that cannot be read further. Displays as one line with the input, the position, the cause and the
/// remedy.
#[derive(Clone, Debug)]
pub struct SourceError {
    /// The file's path as given, or the interface.
    pub input: String,
    /// Frames read before the fault.
    pub frames: u64,
    /// Byte offset in the (decompressed) file, where there is one.
    pub offset: Option<u64>,
    /// The cause.
    pub cause: String,
    /// Advice for the user; may be empty.
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
