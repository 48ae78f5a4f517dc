//! What a capture file is opened with, besides its reader. Files are read by [`super::reader`].

use std::sync::Arc;

use super::compression;
use super::format_error::DAMAGED;
use super::magic::Compression;
use super::peek_reader::CompressedBytes;
use crate::capture::block::BlockSize;

/// A capture filter. Called with a frame's link type (the number in the file), its length on the wire and its captured
/// bytes; returns whether the frame passes. A frame that does not pass keeps its number and is not put into the block;
/// an error, whose text becomes [`SourceError::cause`](crate::capture::source::SourceError::cause), ends the input.
pub type FrameFilter = Box<dyn FnMut(u32, u32, &[u8]) -> Result<bool, String> + Send>;

/// The way a reader is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadMode {
    /// A file with all its bytes available: a slab at a time.
    Full,
    /// A pipe, possibly from a running recorder: bytes are delivered as they arrive.
    Arriving,
    /// A file that may grow: as [`ReadMode::Full`], but the end of the file is not the end of the input.
    Growing,
}

/// Options of a source.
pub(super) struct SourceOptions {
    /// Used in messages.
    pub(super) name: String,
    /// Becomes [`Block::input`](crate::capture::block::Block::input).
    pub(super) index: u32,
    pub(super) size: BlockSize,
    pub(super) filter: Option<FrameFilter>,
    pub(super) mode: ReadMode,
    /// The compression that the reader undoes.
    pub(super) compressed: Option<(Compression, Arc<CompressedBytes>)>,
}

impl SourceOptions {
    /// Describes a failed read: the cause and the remedy.
    pub(super) fn describe(&self, error: &std::io::Error, plain: &str) -> (String, &'static str) {
        match &self.compressed {
            Some((compression, _)) => {
                let (cause, remedy) = compression::describe(*compression, error);
                (cause, remedy.unwrap_or(DAMAGED))
            }
            None => (format!("{plain}: {error}"), DAMAGED),
        }
    }
}
