//! What a file on disk is recognised by: device and inode, and its first bytes.

use std::fs::{File, Metadata};
use std::io::Result;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::SystemTime;

/// State of a file at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) len: u64,
    pub(super) modified: Option<SystemTime>,
}

impl Stamp {
    /// Of what is no regular file.
    pub(super) const NONE: Self = Self { device: 0, inode: 0, len: 0, modified: None };

    pub(super) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino(), len: metadata.len(), modified: metadata.modified().ok() }
    }

    /// Returns whether both are of the same file, whatever its content.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// The first bytes of a capture: the file's header, and time and lengths of the first packet. A ring file that is
/// overwritten in place differs in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FirstBytes(pub(super) Vec<u8>);

impl FirstBytes {
    /// Number of bytes that make a capture known: with fewer, it has no packet.
    pub(super) const MIN: usize = 40;
    /// Number of bytes. Rationale: for pcapng, the section header with its options fills them; then the interfaces and
    /// the first packet follow.
    pub(super) const LEN: usize = 1024;

    /// Compares with the first bytes of `file`, of which `read` bytes were read so far, and learns those that were not
    /// known. Returns false if the file has other ones.
    pub(super) fn is_still_of(&mut self, file: &File, read: u64) -> Result<bool> {
        let known = self.0.len();
        let mut bytes = [0; Self::LEN];
        let wanted = usize::try_from(read).unwrap_or(usize::MAX).min(Self::LEN).max(known);
        let mut filled = 0;
        while filled < wanted {
            match file.read_at(&mut bytes[filled..wanted], filled as u64)? {
                0 => break,
                count => filled += count,
            }
        }
        let is_same = filled >= known && bytes[..known] == self.0;
        if is_same {
            self.0.extend_from_slice(&bytes[known..filled]);
        }
        Ok(is_same)
    }
}
