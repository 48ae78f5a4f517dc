//! What is remarkable about a capture file that was read: packets that were not read although their records are intact,
//! frames longer than the file allows, bytes behind the compressed data.

use super::parse_step::Frame;
use crate::capture::source::SourceError;

/// Counts of one file, with the first occurrence of each.
#[derive(Clone, Debug, Default)]
pub struct Remarks {
    /// Packets that were not read.
    pub unread: u64,
    /// The reason for the first of them, with its position.
    pub first_unread: Option<SourceError>,
    /// Frames, read completely, with more bytes than the file's snapshot length.
    pub beyond_snaplen: u64,
    /// The number of the first of them.
    pub first_beyond_snaplen: u64,
    /// Bytes behind the compressed data that are neither zeros nor compressed data.
    pub trailing: u64,
}

impl Remarks {
    #[inline]
    pub(super) fn note_frame(&mut self, frame: &Frame, number: u64) {
        if frame.is_beyond_snaplen {
            self.note_beyond_snaplen(number);
        }
    }

    #[cold]
    fn note_beyond_snaplen(&mut self, number: u64) {
        if self.beyond_snaplen == 0 {
            self.first_beyond_snaplen = number;
        }
        self.beyond_snaplen += 1;
    }

    /// Returns a message for each, for the file of this name.
    #[must_use]
    pub fn messages(&self, name: &str) -> Vec<String> {
        let mut messages = Vec::new();
        if let Some(first) = &self.first_unread {
            messages.push(format!("{first} ({} packets of this file were not read; this is the first)", self.unread));
        }
        if self.beyond_snaplen > 0 {
            messages.push(format!(
                "{name}: {} packets are longer than the snapshot length in the file's header, and were read completely; \
                 the first is packet {}",
                self.beyond_snaplen, self.first_beyond_snaplen
            ));
        }
        if self.trailing > 0 {
            messages.push(format!(
                "{name}: {} bytes behind the compressed data were not read: they are not compressed data",
                self.trailing
            ));
        }
        messages
    }
}
