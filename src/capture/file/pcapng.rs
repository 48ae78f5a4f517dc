//! The pcapng format: sections, interfaces and blocks. Reads packets in enhanced, simple and obsolete blocks of any
//! number of interfaces and sections, and skips every other block. The older format is parsed by [`super::pcap`].
//!
//! Source: draft-ietf-opsawg-pcapng.

use super::format_error::FormatError;
use super::parse_step::{ByteOrder, Frame, MAX_FRAME, Step, snapshot_limit};
use super::pcapng_interfaces::{Interface, Interfaces, Ticks};
use crate::packet::Link;

/// Block types of the draft, sections 4.1 to 4.4: section header, interface description, enhanced packet, simple
/// packet.
const SHB_MAGIC: u32 = 0x0a0d_0d0a;
const IDB_MAGIC: u32 = 1;
const EPB_MAGIC: u32 = 6;
const SPB_MAGIC: u32 = 3;
/// The obsolete Packet Block (appendix A of the draft).
const PB_MAGIC: u32 = 2;
/// A section header's byte-order magic as a little-endian host writes it.
const BYTE_ORDER: [u8; 4] = [0x4d, 0x3c, 0x2b, 0x1a];
/// Of blocks above this size only the beginning is read; the rest is skipped.
///
/// Rationale: holds the largest frame with its header, so that no slab grows beyond it because of options. Blocks have
/// no maximum: those of TLS secrets and of custom data have been seen with many MiB.
const LARGE_BLOCK: u32 = 512 << 10;
/// Size of the type and the length before a block's body.
const HEAD: usize = 8;
/// Size of the repeated length after the body.
const TRAILER: usize = 4;
/// The smallest block. Source: draft, section 3.1.
const MIN_BLOCK: u32 = 12;

/// Parses the blocks of a pcapng file, with the state of the current section.
#[derive(Debug)]
pub(super) struct PcapNg {
    order: ByteOrder,
    interfaces: Interfaces,
    /// Length of a large block of which only the trailer, which repeats the length, is still to come.
    awaited: Option<u32>,
    /// Whether the first section header is not parsed yet.
    first: bool,
}

impl PcapNg {
    /// Returns the state at the start of a file.
    pub(super) fn new() -> Self {
        Self { order: ByteOrder::Little, interfaces: Interfaces::default(), awaited: None, first: true }
    }

    /// Parses the block at the start of `bytes`.
    #[inline]
    pub(super) fn step(&mut self, bytes: &[u8]) -> Step {
        if let Some(length) = self.awaited {
            return self.large_end(bytes, length);
        }
        let Some(head) = bytes.first_chunk::<{ MIN_BLOCK as usize }>() else {
            return Step::Need { size: MIN_BLOCK as usize };
        };
        let section = head[..4] == SHB_MAGIC.to_le_bytes();
        if section {
            match [head[8], head[9], head[10], head[11]] {
                BYTE_ORDER => self.order = ByteOrder::Little,
                [0x1a, 0x2b, 0x3c, 0x4d] => self.order = ByteOrder::Big,
                magic => return Step::Fault(FormatError::ByteOrderMagic(magic)),
            }
        }
        let (kind, length) = (self.order.u32(head, 0), self.order.u32(head, 4));
        if length < MIN_BLOCK || (length % 4 != 0 && !self.first) {
            return Step::Fault(FormatError::BlockLength { length, min: MIN_BLOCK });
        }
        if length > LARGE_BLOCK { self.large(kind, length, bytes) } else { self.complete(kind, length, bytes) }
    }

    /// Parses a block that is read completely.
    #[inline]
    fn complete(&mut self, kind: u32, length: u32, bytes: &[u8]) -> Step {
        let size = length as usize;
        let Some(block) = bytes.get(..size) else { return Step::Need { size } };
        let (body, trailer) = block[HEAD..].split_at(size - HEAD - TRAILER);
        let repeated = self.order.u32(trailer, 0);
        // As libpcap: the repeated length of the first section header is ignored.
        if repeated == length || self.first {
            self.body(kind, body, body.len(), size)
        } else {
            unequal(length, repeated)
        }
    }

    /// Parses the beginning of a large block, or skips it if its type is not used.
    fn large(&mut self, kind: u32, length: u32, bytes: &[u8]) -> Step {
        let size = length as usize - TRAILER;
        let is_used = matches!(kind, SHB_MAGIC | IDB_MAGIC | EPB_MAGIC | SPB_MAGIC | PB_MAGIC);
        let step = if is_used {
            let Some(body) = bytes.get(HEAD..LARGE_BLOCK as usize) else {
                return Step::Need { size: LARGE_BLOCK as usize };
            };
            self.body(kind, body, size - HEAD, size)
        } else {
            Step::Skip { size }
        };
        if !matches!(step, Step::Fault(_)) {
            self.awaited = Some(length);
        }
        step
    }

    /// Checks the repeated length after a large block.
    fn large_end(&mut self, bytes: &[u8], length: u32) -> Step {
        if bytes.len() < TRAILER {
            return Step::Need { size: TRAILER };
        }
        match self.order.u32(bytes, 0) {
            end if end == length => {
                self.awaited = None;
                Step::Skip { size: TRAILER }
            }
            end => unequal(length, end),
        }
    }

    /// Parses a block's body: `body` is its available beginning, `body_size` the size of the complete body, `size` the
    /// number of bytes to skip afterwards.
    #[inline]
    fn body(&mut self, kind: u32, body: &[u8], body_size: usize, size: usize) -> Step {
        let order = self.order;
        let packet = match kind {
            EPB_MAGIC | PB_MAGIC if body.len() < 20 => return unread(size, FormatError::ShortBlock { kind }),
            EPB_MAGIC => self.packet(order.u32(body, 0), body, body_size),
            PB_MAGIC => self.packet(u32::from(order.u16(body, 0)), body, body_size),
            SPB_MAGIC if body.len() < 4 => return unread(size, FormatError::ShortBlock { kind }),
            SPB_MAGIC => self.simple_packet(body, body_size),
            SHB_MAGIC if body.len() < 16 => return too_short(kind),
            SHB_MAGIC if order.u16(body, 4) != 1 => {
                let (major, minor) = (order.u16(body, 4), order.u16(body, 6));
                return Step::Fault(FormatError::PcapNgVersion { major, minor });
            }
            SHB_MAGIC => {
                self.interfaces.clear();
                self.first = false;
                return Step::Skip { size };
            }
            IDB_MAGIC => {
                let interface = self.interface(body);
                self.interfaces.push(interface);
                return Step::Skip { size };
            }
            _ => return Step::Skip { size },
        };
        match packet {
            Ok(frame) => Step::Frame { size, frame },
            Err(cause) => unread(size, cause),
        }
    }

    /// Parses an enhanced packet block (draft, section 4.3) or an obsolete one, which differs only in the interface's
    /// number.
    #[inline]
    fn packet(&self, interface: u32, body: &[u8], body_size: usize) -> Result<Frame, FormatError> {
        let order = self.order;
        let ticks = (u64::from(order.u32(body, 4)) << 32) | u64::from(order.u32(body, 8));
        let (caplen, len) = (order.u32(body, 12), order.u32(body, 16));
        self.frame(interface, ticks, caplen, len, 20, body_size)
    }

    /// Parses a simple packet block (draft, section 4.4): of the section's first interface, without a time.
    fn simple_packet(&self, body: &[u8], body_size: usize) -> Result<Frame, FormatError> {
        let len = self.order.u32(body, 0);
        let snaplen = self.interfaces.get(0).map_or(MAX_FRAME, |interface| interface.snaplen);
        self.frame(0, 0, len.min(snaplen), len, 4, body_size)
    }

    #[inline]
    fn frame(
        &self,
        interface: u32,
        ticks: u64,
        caplen: u32,
        len: u32,
        start: usize,
        body_size: usize,
    ) -> Result<Frame, FormatError> {
        let interface = self.interfaces.get(interface)?;
        let space = body_size - start;
        if caplen as usize > space {
            return Err(FormatError::LongPacket { caplen, space });
        }
        let kept = caplen.min(MAX_FRAME);
        Ok(Frame {
            start: HEAD + start,
            len: kept,
            wire_len: len.max(caplen),
            linktype: interface.linktype,
            link: interface.link,
            time: interface.time(ticks),
            is_beyond_snaplen: caplen > interface.snaplen,
        })
    }

    /// Parses an interface description block (draft, section 4.2). `None` if its packets cannot be read: it is too short,
    /// or its time resolution does not fit into 64 bits.
    fn interface(&self, body: &[u8]) -> Option<Interface> {
        if body.len() < 8 {
            return None;
        }
        let linktype = u32::from(self.order.u16(body, 0));
        let mut interface = Interface {
            linktype,
            link: Link::from_number(linktype),
            snaplen: snapshot_limit(self.order.u32(body, 4)),
            ticks: Ticks::Nanos(1000),
            offset: 0,
        };
        self.options(body, &mut interface)?;
        Some(interface)
    }

    /// Parses the options about time: if_tsresol (9) and if_tsoffset (14). A truncated list ends where it is cut.
    fn options(&self, body: &[u8], interface: &mut Interface) -> Option<()> {
        let mut at = 8;
        while let Some(option) = body.get(at..).filter(|rest| rest.len() >= 4) {
            let (code, length) = (self.order.u16(option, 0), usize::from(self.order.u16(option, 2)));
            let Some(value) = option.get(4..4 + length) else { break };
            match (code, value) {
                (0, _) => break,
                (9, [resolution]) => interface.ticks = Ticks::decode(*resolution)?,
                (14, value) if value.len() == 8 => {
                    let (first, second) = (self.order.u32(value, 0), self.order.u32(value, 4));
                    let (high, low) = if self.order == ByteOrder::Big { (first, second) } else { (second, first) };
                    interface.offset = ((u64::from(high) << 32) | u64::from(low)).cast_signed();
                }
                _ => {}
            }
            at += 4 + length.next_multiple_of(4);
        }
        Some(())
    }
}

#[cold]
fn unequal(head: u32, end: u32) -> Step {
    Step::Fault(FormatError::UnequalLengths { head, end })
}

#[cold]
fn too_short(kind: u32) -> Step {
    Step::Fault(FormatError::ShortBlock { kind })
}

#[cold]
fn unread(size: usize, cause: FormatError) -> Step {
    Step::Unread { size, cause }
}
