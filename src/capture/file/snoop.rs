//! The snoop format of Solaris: a header of 16 bytes, then records, all numbers in network byte order.
//!
//! Source: RFC 1761. Datalink types: its table, and that of IANA ("Snoop Datalink Types").

use super::format_error::FormatError;
use super::parse_step::{ByteOrder, Frame, MAX_FRAME, Step};
use crate::packet::Link;
use crate::time::Timestamp;

/// Size of the file's header in bytes: identification pattern, version, datalink type.
pub(super) const HEADER: usize = 16;
/// Size of a record's header in bytes.
const RECORD: usize = 24;
/// The largest record that is not considered damage: the largest frame, with its header and generous padding.
const MAX_RECORD: u32 = MAX_FRAME + (64 << 10);

/// Parses records by the properties in the file header.
#[derive(Debug)]
pub(super) struct Snoop {
    linktype: u32,
    link: Link,
}

impl Snoop {
    /// Parses the file header.
    ///
    /// # Errors
    /// A version other than 2, or a datalink type without a LINKTYPE number.
    pub(super) fn open(header: &[u8; HEADER]) -> Result<Self, FormatError> {
        let (version, datalink) = (ByteOrder::Big.u32(header, 8), ByteOrder::Big.u32(header, 12));
        if version != 2 {
            return Err(FormatError::SnoopVersion(version));
        }
        let linktype = match datalink {
            // IEEE 802.3 and Ethernet.
            0 | 4 => 1,
            // IEEE 802.5 Token Ring.
            2 => 6,
            8 => 10,
            other => return Err(FormatError::SnoopDatalink(other)),
        };
        Ok(Self { linktype, link: Link::from_number(linktype) })
    }

    /// Parses the record at the start of `bytes`: original length, included length, length of the record with header
    /// and padding, cumulative drops, seconds, microseconds.
    pub(super) fn step(&self, bytes: &[u8]) -> Step {
        let Some(head) = bytes.first_chunk::<RECORD>() else { return Step::Need { size: RECORD } };
        let word = |at| ByteOrder::Big.u32(head, at);
        let (original, included, record) = (word(0), word(4), word(8));
        if record > MAX_RECORD || u64::from(record) < u64::from(included) + RECORD as u64 {
            return Step::Fault(FormatError::SnoopRecord { record, included });
        }
        let size = record as usize;
        if bytes.len() < RECORD + included as usize {
            return Step::Need { size: RECORD + included as usize };
        }
        let frame = Frame {
            start: RECORD,
            len: included,
            wire_len: original.max(included),
            linktype: self.linktype,
            link: self.link,
            time: Timestamp::from_secs_nanos(word(16).into(), i64::from(word(20)) * 1000),
            is_beyond_snaplen: false,
        };
        Step::Frame { size, frame }
    }
}
