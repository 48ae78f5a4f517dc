//! What a capture format says of the bytes at hand: a frame, something to pass over, more bytes needed, or a fault.
//! Not a reader: no format here moves a byte.

use crate::packet::Link;
use crate::time::Timestamp;

/// The most bytes of one frame that are taken, 262,144.
///
/// Source: libpcap's MAXIMUM_SNAPLEN. Only captures of USB and D-Bus have larger ones.
pub(super) const MAX_FRAME: u32 = 262_144;

/// A frame within its record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// Where its bytes begin, from the start of the record.
    pub(super) start: usize,
    /// How many bytes were captured (at most [`MAX_FRAME`]).
    pub(super) len: u32,
    /// Length on the wire, never below `len`.
    pub(super) wire_len: u32,
    /// The link type's number as the file has it.
    pub(super) linktype: u32,
    /// The same, as our own type.
    pub(super) link: Link,
    /// The recorder's time stamp.
    pub(super) time: Timestamp,
}

/// One step through a capture. A record may reach beyond the bytes at hand: the rest of it is passed over.
#[derive(Debug)]
pub(super) enum Step {
    /// A frame, in a record of `size` bytes; the frame itself is at hand.
    Frame {
        /// Bytes of the record.
        size: usize,
        /// The frame.
        frame: Frame,
    },
    /// `size` bytes that hold no frame.
    Pass {
        /// Bytes to pass over.
        size: usize,
    },
    /// `size` bytes must be at hand to go on.
    Need {
        /// Bytes from the start of the record.
        size: usize,
    },
    /// The capture is damaged here.
    Fault(String),
}

/// The order of the bytes in a file's numbers: that of the host that recorded it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

impl ByteOrder {
    /// The 32-bit number at `at`, or zero beyond the end.
    #[inline]
    pub(super) fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let Some(&raw) = bytes.get(at..).and_then(<[u8]>::first_chunk::<4>) else { return 0 };
        match self {
            Self::Little => u32::from_le_bytes(raw),
            Self::Big => u32::from_be_bytes(raw),
        }
    }

    /// The 16-bit number at `at`, or zero beyond the end.
    #[inline]
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> u16 {
        let Some(&raw) = bytes.get(at..).and_then(<[u8]>::first_chunk::<2>) else { return 0 };
        match self {
            Self::Little => u16::from_le_bytes(raw),
            Self::Big => u16::from_be_bytes(raw),
        }
    }
}

/// The limit that a recorder's snapshot length sets.
///
/// Zero and numbers above `i32::MAX` mean "no limit" (libpcap's `pcap_adjust_snapshot`).
pub(super) const fn snapshot_limit(snaplen: u32) -> u32 {
    if snaplen == 0 || snaplen > i32::MAX as u32 { MAX_FRAME } else { snaplen }
}
