//! Decodes the headers of packets that a packet filter logged: NFLOG of Linux netfilter, and pflog of the BSDs.

use super::slow_path::{Layer, LayerWalker};
use super::{SkipReason, be16, le16};

/// Length of the header of an attribute, in bytes.
const ATTRIBUTE_HEADER: usize = 4;
/// NFULA_PAYLOAD (`linux/netfilter/nfnetlink_log.h`).
const PAYLOAD: u16 = 9;

impl LayerWalker<'_> {
    /// Decodes a packet logged by netfilter (<https://www.tcpdump.org/linktypes/LINKTYPE_NFLOG.html>): an address
    /// family, version 0, and attributes in the byte order of the capture file. The byte order is taken from the
    /// attributes themselves, because converted files do not always keep it.
    pub(super) fn nflog<'a>(&mut self, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        let attributes = self.after(bytes, 4)?;
        let (family, version) = (bytes[0], bytes[1]);
        if version != 0 {
            return Err(SkipReason::NotIp(u16::from(family)));
        }
        let missing = self.missing as usize;
        let found = [le16, be16].into_iter().find_map(|read| payload(attributes, missing, read));
        let (value, len) = found.ok_or(self.short())?;
        let packet = self.bound(value, len)?;
        // The filter logs as many bytes as its rule says; the length in the IP header is right, because the host
        // verified it before the filter saw the packet.
        self.cut_by_switch = true;
        self.logged(u16::from(family), packet)
    }

    /// Decodes a packet logged by a BSD (<https://www.tcpdump.org/linktypes/LINKTYPE_PFLOG.html>): the length of the
    /// header without its padding, and an address family.
    pub(super) fn pflog<'a>(&mut self, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        let [len, family, ..] = *bytes else { return Err(self.short()) };
        self.logged(u16::from(family), self.after(bytes, usize::from(len).next_multiple_of(4))?)
    }

    /// Decodes the packet. Its first nibble is more certain than the family, whose numbers depend on the system and
    /// which may be that of a bridge.
    fn logged<'a>(&self, family: u16, packet: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        match packet.first().ok_or(self.short())? >> 4 {
            4 | 6 => Ok(Layer::Ip(packet)),
            _ => Err(SkipReason::NotIp(family)),
        }
    }
}

/// Returns the bytes from the value of the payload attribute on, and the length of the value. An attribute has a
/// length, which includes its header, and a type; it is padded to a multiple of 4 bytes.
fn payload(mut attributes: &[u8], missing: usize, read: fn(&[u8], usize) -> Option<u16>) -> Option<(&[u8], usize)> {
    // The high bits are flags of netlink.
    const TYPE: u16 = 0x3fff;
    loop {
        let len = usize::from(read(attributes, 0)?);
        let kind = read(attributes, 2)? & TYPE;
        if len < ATTRIBUTE_HEADER || len > attributes.len() + missing {
            return None;
        }
        if kind == PAYLOAD {
            return Some((&attributes[ATTRIBUTE_HEADER..], len - ATTRIBUTE_HEADER));
        }
        attributes = attributes.get(len.next_multiple_of(4)..)?;
    }
}
