//! Result of parsing the bytes at the current position of a capture file, and what both formats share. The formats do
//! not move any bytes; [`super::reader`] does.

use super::format_error::FormatError;
use crate::packet::Link;
use crate::time::Timestamp;

/// The maximum number of bytes of one frame, 262,144.
///
/// Source: libpcap's MAXIMUM_SNAPLEN. Only captures of USB and D-Bus have larger frames.
pub(super) const MAX_FRAME: u32 = 262_144;

/// A frame within its record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// Offset of its first byte from the start of the record.
    pub(super) start: usize,
    /// Number of captured bytes (at most [`MAX_FRAME`]).
    pub(super) len: u32,
    /// Length on the wire, never below `len`.
    pub(super) wire_len: u32,
    /// The link type's number in the file.
    pub(super) linktype: u32,
    /// The link type.
    pub(super) link: Link,
    /// The recorder's time stamp.
    pub(super) time: Timestamp,
    /// Whether more bytes were captured than the file's snapshot length allows.
    pub(super) is_beyond_snaplen: bool,
}

/// One step through a capture. A record may extend beyond the available bytes: the rest of it is skipped.
#[derive(Debug)]
pub(super) enum Step {
    /// A frame, in a record of `size` bytes; all bytes of the frame are available.
    Frame {
        /// Bytes of the record.
        size: usize,
        /// The frame.
        frame: Frame,
    },
    /// `size` bytes without a frame.
    Skip {
        /// Bytes to skip.
        size: usize,
    },
    /// A packet in a record of `size` bytes that cannot be read; the records after it can.
    Unread {
        /// Bytes of the record.
        size: usize,
        /// The reason.
        cause: FormatError,
    },
    /// `size` bytes must be available to continue.
    Need {
        /// Bytes from the start of the record.
        size: usize,
    },
    /// The capture is damaged here.
    Fault(FormatError),
}

/// Byte order of a file's numbers: that of the host that recorded it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

impl ByteOrder {
    /// Returns the 32-bit number at `at`, or zero beyond the end.
    #[inline]
    pub(super) fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let Some(&raw) = bytes.get(at..).and_then(<[u8]>::first_chunk::<4>) else { return 0 };
        match self {
            Self::Little => u32::from_le_bytes(raw),
            Self::Big => u32::from_be_bytes(raw),
        }
    }

    /// Returns the 16-bit number at `at`, or zero beyond the end.
    #[inline]
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> u16 {
        let Some(&raw) = bytes.get(at..).and_then(<[u8]>::first_chunk::<2>) else { return 0 };
        match self {
            Self::Little => u16::from_le_bytes(raw),
            Self::Big => u16::from_be_bytes(raw),
        }
    }
}

/// Returns the limit on captured bytes that a recorder's snapshot length sets.
///
/// Zero and numbers above `i32::MAX` mean "no limit" (libpcap's `pcap_adjust_snapshot`).
pub(super) const fn snapshot_limit(snaplen: u32) -> u32 {
    if snaplen == 0 || snaplen > i32::MAX as u32 { MAX_FRAME } else { snaplen }
}
