//! The pcap format: a header of 24 bytes, then records. Supports microsecond and nanosecond files, both byte orders,
//! and the old variants that libpcap reads. pcapng is parsed by [`super::pcapng`].
//!
//! Sources: draft-ietf-opsawg-pcap for the format, libpcap's `sf-pcap.c` for the variants.

use super::format_error::FormatError;
use super::magic::PcapVariant;
use super::parse_step::{ByteOrder, Frame, MAX_FRAME, Step, snapshot_limit};
use crate::packet::Link;
use crate::time::Timestamp;

/// Size of the file's header in bytes.
pub(super) const HEADER: usize = 24;
/// Size of a record's header in bytes; Kuznetzov's variant adds eight bytes about the interface.
const RECORD: usize = 16;
const RECORD_KUZNETZOV: usize = 24;

/// Order of a record's two lengths.
#[derive(Clone, Copy, Debug)]
enum Lengths {
    /// Captured, then original: since version 2.4.
    InOrder,
    /// Original, then captured: before version 2.3, and DG/UX's 543.0.
    Swapped,
    /// Version 2.3 had both orders: the smaller length is the captured one.
    ByValue,
}

/// Parses records by the properties in the file header.
#[derive(Debug)]
pub(super) struct Pcap {
    order: ByteOrder,
    record: usize,
    lengths: Lengths,
    snaplen: u32,
    linktype: u32,
    link: Link,
    nanos_per_tick: i64,
}

impl Pcap {
    /// Parses the file header.
    ///
    /// # Errors
    /// A version that libpcap does not read either.
    pub(super) fn open(variant: PcapVariant, header: &[u8; HEADER]) -> Result<Self, FormatError> {
        // Magic number, major and minor version, time zone, accuracy, snapshot length, link type.
        let order = variant.order;
        let versions = (order.u16(header, 4), order.u16(header, 6));
        let (snaplen, network) = (order.u32(header, 16), order.u32(header, 20));
        let lengths = match versions {
            (2, 0..=2) | (543, 0) => Lengths::Swapped,
            (2, 3) => Lengths::ByValue,
            (2, 4) => Lengths::InOrder,
            (major, minor) => return Err(FormatError::PcapVersion { major, minor }),
        };
        // The upper bits are the number of bytes of frame check sequence that follow each frame.
        let linktype = network & 0x03ff_ffff;
        let mut snaplen = snapshot_limit(snaplen);
        if variant.kuznetzov && linktype == 1 {
            // Its cooked mode put an Ethernet header before the bytes that the snapshot length allowed.
            snaplen = snaplen.saturating_add(14);
        }
        Ok(Self {
            order,
            record: if variant.kuznetzov { RECORD_KUZNETZOV } else { RECORD },
            lengths,
            snaplen,
            linktype,
            link: Link::from_number(linktype),
            nanos_per_tick: if variant.nanoseconds { 1 } else { 1000 },
        })
    }

    /// Parses the record at the start of `bytes`.
    // Rationale: as a call it costs a third more, and it runs once per packet.
    #[inline(always)]
    pub(super) fn step(&self, bytes: &[u8]) -> Step {
        let Some(head) = bytes.first_chunk::<RECORD>() else { return Step::Need { size: self.record } };
        let (mut caplen, mut len) = (self.order.u32(head, 8), self.order.u32(head, 12));
        let swapped = match self.lengths {
            Lengths::InOrder => false,
            Lengths::Swapped => true,
            Lengths::ByValue => caplen > len,
        };
        if swapped {
            std::mem::swap(&mut caplen, &mut len);
        }
        if caplen > MAX_FRAME {
            return Step::Fault(FormatError::LongFrame { caplen, limit: MAX_FRAME });
        }
        let size = self.record + caplen as usize;
        if bytes.len() < size {
            return Step::Need { size };
        }
        let seconds = i64::from(self.order.u32(head, 0));
        let fraction = i64::from(self.order.u32(head, 4)) * self.nanos_per_tick;
        let frame = Frame {
            start: self.record,
            // The snapshot length is what the recorder was asked for, and tools that merge or edit files leave that of
            // another one. The bytes are there, so they are read (as by Wireshark; libpcap cuts them off).
            len: caplen,
            wire_len: len.max(caplen),
            linktype: self.linktype,
            link: self.link,
            time: Timestamp::from_secs_nanos(seconds, fraction),
            is_beyond_snaplen: caplen > self.snaplen,
        };
        Step::Frame { size, frame }
    }
}
