//! Decodes IEEE 802.11 data frames, and the headers that capturing systems prepend to them: radiotap, PPI, Prism, AVS.
//! Frames are not decrypted, and their fragments are not reassembled.

use super::slow_path::{Layer, LayerWalker};
use super::unread::UnreadKind;
use super::{SkipReason, be16, be32, le16, le32};
use crate::packet::Link;

/// Length of a header with three addresses, in bytes (IEEE 802.11-2020 section 9.2.3).
const HEADER: usize = 24;
/// The header of IEEE 802.2 LLC and SNAP with an EtherType (RFC 1042), without the EtherType.
const SNAP: [u8; 6] = [0xaa, 0xaa, 3, 0, 0, 0];

// The first octet of the frame control field: version 0, type 2; bits of the subtype (section 9.2.4.1.3).
const VERSION_AND_TYPE: u8 = 0x0f;
const DATA: u8 = 0x08;
const WITHOUT_DATA: u8 = 0x40;
const QOS: u8 = 0x80;
// The second octet (sections 9.2.4.1.4 to 9.2.4.1.10).
const TO_AND_FROM_DS: u8 = 0x03;
const MORE_FRAGMENTS: u8 = 0x04;
const PROTECTED: u8 = 0x40;
const HT_CONTROL: u8 = 0x80;

impl LayerWalker<'_> {
    /// Decodes a radiotap header (<https://www.radiotap.org>): version 0, a length, bitmaps of the fields present.
    pub(super) fn radiotap<'a>(&mut self, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        const PADDED: u8 = 0x20;
        const BAD_FCS: u8 = 0x40;
        let len = usize::from(le16(bytes, 2).ok_or(self.short())?);
        if bytes.first() != Some(&0) || len < 8 {
            return Err(SkipReason::Malformed);
        }
        let (header, frame) = bytes.split_at_checked(len).ok_or(self.short())?;
        let flags = radiotap_flags(header).unwrap_or(0);
        if flags & BAD_FCS != 0 {
            // Every receiver drops it.
            return Err(SkipReason::Malformed);
        }
        self.data_frame(frame, flags & PADDED != 0)
    }

    /// Decodes a per-packet information header ("PPI Packet Header format", 1.0.7): it names the link type of the
    /// frame.
    pub(super) fn ppi<'a>(&mut self, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        // A frame may again be PPI.
        self.count_label()?;
        let (Some(len), Some(link)) = (le16(bytes, 2), le32(bytes, 4)) else { return Err(self.short()) };
        if bytes.first() != Some(&0) || len < 8 {
            return Err(SkipReason::Malformed);
        }
        let (header, frame) = bytes.split_at_checked(usize::from(len)).ok_or(self.short())?;
        if ppi_bad_fcs(&header[8..]) {
            return Err(SkipReason::Malformed);
        }
        self.link(Link::from_number(link), frame)
    }

    /// Decodes the header of a Prism card, or that of the AVS project, which share a link type in old captures: 144
    /// bytes, or a length after a magic number.
    pub(super) fn prism<'a>(&mut self, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        const AVS_MAGIC: u32 = 0x8021_1000;
        const PRISM_HEADER: usize = 144;
        let first = be32(bytes, 0).ok_or(self.short())?;
        let len =
            if first & 0xffff_f000 == AVS_MAGIC { be32(bytes, 4).ok_or(self.short())? as usize } else { PRISM_HEADER };
        self.data_frame(self.after(bytes, len)?, false)
    }

    /// Decodes a frame in CAPWAP (RFC 5416 section 4). Controllers of one vendor send the octets of the frame control
    /// field in the other order.
    pub(super) fn wireless_in_capwap<'a>(&mut self, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        if let [flags, control, ..] = *bytes
            && control & VERSION_AND_TYPE == DATA
            && is_snap_in([control, flags], bytes)
        {
            return self.data_body([control, flags], bytes, false);
        }
        self.data_frame(bytes, false)
    }

    /// Decodes a frame. If `padded`, the header is padded to a multiple of 4 bytes.
    pub(super) fn data_frame<'a>(&mut self, bytes: &'a [u8], padded: bool) -> Result<Layer<'a>, SkipReason> {
        let control = *bytes.first_chunk().ok_or(self.short())?;
        self.data_body(control, bytes, padded)
    }

    fn data_body<'a>(&mut self, control: [u8; 2], bytes: &'a [u8], padded: bool) -> Result<Layer<'a>, SkipReason> {
        self.count_layer()?;
        let not_ip = SkipReason::NotIp(u16::from_be_bytes(control));
        let [kind, flags] = control;
        if kind & VERSION_AND_TYPE != DATA || kind & WITHOUT_DATA != 0 {
            return Err(not_ip);
        }
        let (mut len, aggregate) = header_len(control, bytes).ok_or(self.short())?;
        if padded {
            len = len.next_multiple_of(4);
        }
        let body = self.after(bytes, len)?;
        self.counters.wireless += 1;
        // The low four bits of the sequence control field.
        if flags & MORE_FRAGMENTS != 0 || bytes[22] & 0x0f != 0 {
            self.unread(UnreadKind::WirelessFragment);
            return Err(not_ip);
        }
        if flags & PROTECTED != 0 {
            // Drivers deliver frames that the hardware decrypted with the bit set, with or without the initialization
            // vector of 4 (WEP) or 8 bytes.
            let plain = [0, 4, 8].into_iter().filter_map(|vector| body.get(vector..));
            let Some(body) = plain.into_iter().find(|body| body.starts_with(&SNAP)) else {
                self.unread(UnreadKind::WirelessEncrypted);
                return Err(not_ip);
            };
            return self.llc(body, 0);
        }
        if aggregate { self.aggregate(body) } else { self.wireless_llc(body) }
    }

    /// Decodes the first frame of an A-MSDU (section 9.3.2.2.2): addresses, length, LLC; padded to a multiple of 4
    /// bytes.
    fn aggregate<'a>(&mut self, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        const SUBFRAME_HEADER: usize = 14;
        let len = usize::from(be16(bytes, 12).ok_or(self.short())?);
        let end = (SUBFRAME_HEADER + len).next_multiple_of(4);
        // What is left may be the checksum of the frame.
        if bytes.len() + self.missing as usize > end + SUBFRAME_HEADER {
            self.unread(UnreadKind::WirelessAggregate);
        }
        let body = self.bound(self.after(bytes, SUBFRAME_HEADER)?, len)?;
        self.wireless_llc(body)
    }

    /// Decodes the LLC header of a frame. Its two service access points are the same, but for the bit that
    /// distinguishes groups and responses; in anything else (a mesh, an encryption without the bit) there may be a
    /// packet.
    fn wireless_llc<'a>(&mut self, body: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        if let [destination, source, ..] = body
            && (destination ^ source) & 0xfe != 0
        {
            self.unread(UnreadKind::WirelessPayload);
        }
        self.llc(body, 0)
    }
}

/// Returns the length of the header of a data frame, and whether the frame is an A-MSDU.
fn header_len([kind, flags]: [u8; 2], bytes: &[u8]) -> Option<(usize, bool)> {
    const AGGREGATE: u8 = 0x80;
    let len = HEADER + if flags & TO_AND_FROM_DS == TO_AND_FROM_DS { 6 } else { 0 };
    if kind & QOS == 0 {
        return Some((len, false));
    }
    let aggregate = bytes.get(len)? & AGGREGATE != 0;
    Some((len + 2 + if flags & HT_CONTROL != 0 { 4 } else { 0 }, aggregate))
}

/// Returns whether LLC and SNAP follow the header that a frame with this frame control field has.
fn is_snap_in(control: [u8; 2], bytes: &[u8]) -> bool {
    header_len(control, bytes).is_some_and(|(len, _)| bytes.get(len..).is_some_and(|body| body.starts_with(&SNAP)))
}

/// Returns the flags field of a radiotap header, if it is present. Fields are aligned to their size.
fn radiotap_flags(header: &[u8]) -> Option<u8> {
    const TIMER: u32 = 1;
    const FLAGS: u32 = 2;
    const FURTHER_BITMAP: u32 = 1 << 31;
    let present = le32(header, 4)?;
    let (mut at, mut bitmap) = (8, present);
    while bitmap & FURTHER_BITMAP != 0 {
        bitmap = le32(header, at)?;
        at += 4;
    }
    if present & TIMER != 0 {
        at = at.next_multiple_of(8) + 8;
    }
    if present & FLAGS != 0 { header.get(at).copied() } else { None }
}

/// Returns whether the fields of a PPI header say that the frame is damaged: 802.11-Common, a timer and the flags.
fn ppi_bad_fcs(mut fields: &[u8]) -> bool {
    const COMMON: u16 = 2;
    const BAD_FCS: u16 = 0x0004;
    while let (Some(kind), Some(len)) = (le16(fields, 0), le16(fields, 2)) {
        if kind == COMMON {
            return le16(fields, 12).is_some_and(|flags| flags & BAD_FCS != 0);
        }
        let Some(rest) = fields.get(4 + usize::from(len)..) else { return false };
        fields = rest;
    }
    false
}
