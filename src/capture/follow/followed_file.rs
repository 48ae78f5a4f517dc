//! One file that is followed: reads what has been added to it, and notices that it was overwritten.

use std::fs::File;
use std::path::PathBuf;
use std::time::Instant;

use super::identity::FirstBytes;
use crate::capture::block::{Block, BlockSize};
use crate::capture::file::{FileSource, FrameFilter, Input, Remarks, open_growing};
use crate::capture::source::{FillStatus, PacketSource, SourceError};

/// A file to begin.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// Packets up to this one were delivered before.
    pub(super) skip_to: u64,
}

impl Found {
    pub(super) const fn is_continued(&self) -> bool {
        self.skip_to > 0
    }
}

/// A file, open at the place up to which it was read.
pub(super) struct FollowedFile {
    pub(super) path: PathBuf,
    source: FileSource,
    /// The same file, to look at its first bytes and its length.
    file: File,
    pub(super) first_bytes: FirstBytes,
    /// Packets up to this one were delivered before the file was opened again.
    skip_to: u64,
    /// Whether it cannot be read further.
    pub(super) has_failed: bool,
    /// Whether the path leads to another file now, or to none: nothing is added any more.
    pub(super) is_gone: bool,
    pub(super) last_packet: Instant,
}

/// Result of looking for more packets.
pub(super) enum Poll {
    /// The block has packets, or the file may have more of them.
    Packets,
    /// There are none for now.
    AtEnd,
    /// There will be none.
    Ended,
    /// The file cannot be read further.
    Failed(SourceError),
    /// The file has a new content.
    Overwritten {
        /// Whether a part of the old content was not read.
        is_loss: bool,
    },
}

impl FollowedFile {
    pub(super) fn open(
        found: &Found,
        input: u32,
        size: BlockSize,
        filter: Option<FrameFilter>,
    ) -> Result<Self, SourceError> {
        let name = found.path.display().to_string();
        let (source, file) =
            open_growing(&Input { name, path: Some(found.path.clone()), size: None }, input, size, filter)?;
        Ok(Self {
            path: found.path.clone(),
            source,
            file,
            first_bytes: FirstBytes::default(),
            skip_to: found.skip_to,
            has_failed: false,
            is_gone: false,
            last_packet: Instant::now(),
        })
    }

    pub(super) fn name(&self) -> &str {
        self.source.name()
    }

    pub(super) fn remarks(&self) -> Remarks {
        self.source.remarks()
    }

    /// Returns the number of packets read so far.
    pub(super) fn frames(&self) -> u64 {
        self.source.frames().max(self.skip_to)
    }

    pub(super) fn is_within_record(&self) -> bool {
        self.source.is_within_record()
    }

    /// Reads more of it into `block`, which is empty.
    pub(super) fn poll(&mut self, block: &mut Block) -> Poll {
        if !self.source.is_growing() {
            // Learnt once, to recognise the file when it changes; an error shows when it is read.
            let _ = self.first_bytes.0.is_empty() && self.first_bytes.is_still_of(&self.file, u64::MAX).is_ok();
            return self.fill(block);
        }
        let read = self.source.bytes_read();
        match self.file.metadata() {
            Ok(metadata) if metadata.len() < read => return self.overwritten(),
            Ok(metadata) if metadata.len() == read && self.source.is_at_end() => {
                if !self.is_gone {
                    return Poll::AtEnd;
                }
                self.source.stop_growing();
                return self.fill(block);
            }
            Ok(_) => {}
            Err(_) => return Poll::Ended,
        }
        let poll = self.fill(block);
        // Checked afterwards: the bytes of the block are those of this content then.
        match self.first_bytes.is_still_of(&self.file, self.source.bytes_read()) {
            Ok(true) => poll,
            Ok(false) => {
                block.clear();
                self.overwritten()
            }
            Err(_) => Poll::Ended,
        }
    }

    fn fill(&mut self, block: &mut Block) -> Poll {
        match self.source.fill(block) {
            Ok(FillStatus::End) if block.packets.is_empty() => Poll::Ended,
            Ok(_) => {
                if self.skip_to > 0 {
                    block.packets.retain(|packet| packet.frame > self.skip_to);
                }
                if block.packets.is_empty() && self.source.is_growing() && self.source.is_at_end() {
                    return Poll::AtEnd;
                }
                self.last_packet = Instant::now();
                Poll::Packets
            }
            Err(error) => Poll::Failed(error),
        }
    }

    fn overwritten(&self) -> Poll {
        Poll::Overwritten { is_loss: !self.source.is_at_end() || self.source.is_within_record() }
    }
}
