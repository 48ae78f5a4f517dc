//! pcapng: sections, interfaces and blocks. Reads packets in enhanced, simple and obsolete blocks of any number of
//! interfaces and sections, and passes over every other block. Not the classic format.
//!
//! The format: draft-ietf-opsawg-pcapng.

use super::parse_step::{ByteOrder, Frame, MAX_FRAME, Step, snapshot_limit};
use crate::packet::Link;
use crate::time::Timestamp;

/// Block types of the draft, sections 4.1 to 4.4: section header, interface description, enhanced packet, simple packet.
const SHB_MAGIC: u32 = 0x0a0d_0d0a;
const IDB_MAGIC: u32 = 1;
const EPB_MAGIC: u32 = 6;
const SPB_MAGIC: u32 = 3;
/// The obsolete Packet Block (appendix A of the draft).
const PB_MAGIC: u32 = 2;
/// A section header's byte-order magic as a little-endian host writes it.
const BYTE_ORDER: [u8; 4] = [0x4d, 0x3c, 0x2b, 0x1a];
/// The largest block that is not taken for damage. Source: libpcap's `INITIAL_MAX_BLOCKSIZE`.
const MAX_BLOCK: u32 = 16 << 20;
/// Blocks above this are read at their beginning and the rest is passed over.
///
/// Rationale: holds the largest frame with its head, so that no slab grows beyond it for the sake of options.
const LARGE_BLOCK: u32 = 512 << 10;
/// Rationale: libpcap and Wireshark set no limit; the most interfaces seen in a merged capture are some hundreds.
const MAX_INTERFACES: usize = 65_536;
/// Type and length before a block's body.
const HEAD: usize = 8;
/// The length again behind it.
const TRAILER: usize = 4;
/// The smallest block. Source: draft, section 3.1.
const MIN_BLOCK: u32 = 12;
const NANOS: u64 = 1_000_000_000;

/// How an interface counts time.
#[derive(Clone, Copy, Debug)]
enum Ticks {
    /// A tick is so many nanoseconds.
    Nanos(i64),
    /// So many ticks are a second: powers of two, and finer than a nanosecond.
    PerSecond(u64),
}

/// One interface of a section.
#[derive(Clone, Copy, Debug)]
struct Interface {
    linktype: u32,
    link: Link,
    snaplen: u32,
    ticks: Ticks,
    /// Seconds to add to every time stamp.
    offset: i64,
}

impl Interface {
    #[inline]
    fn time(&self, ticks: u64) -> Timestamp {
        match self.ticks {
            Ticks::Nanos(nanos) => {
                let nanos = i64::try_from(ticks).unwrap_or(i64::MAX).saturating_mul(nanos);
                Timestamp::from_secs_nanos(self.offset, nanos)
            }
            Ticks::PerSecond(rate) => {
                let seconds = i64::try_from(ticks / rate).unwrap_or(i64::MAX).saturating_add(self.offset);
                let nanos = u128::from(ticks % rate) * u128::from(NANOS) / u128::from(rate);
                Timestamp::from_secs_nanos(seconds, i64::try_from(nanos).unwrap_or(i64::MAX))
            }
        }
    }
}

/// The state of a walk through a pcapng file.
#[derive(Debug)]
pub(super) struct PcapNg {
    order: ByteOrder,
    interfaces: Vec<Interface>,
    /// Of a large block that was passed over: its length, which stands once more behind it.
    awaited: Option<u32>,
    /// Before the end of the first section header.
    first: bool,
}

impl PcapNg {
    /// Before the first section.
    pub(super) const fn new() -> Self {
        Self { order: ByteOrder::Little, interfaces: Vec::new(), awaited: None, first: true }
    }

    /// The block at the start of `bytes`.
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
            match &head[8..] {
                magic if *magic == BYTE_ORDER => self.order = ByteOrder::Little,
                [0x1a, 0x2b, 0x3c, 0x4d] => self.order = ByteOrder::Big,
                magic => return Step::Fault(format!("a section begins with the byte-order magic {magic:02x?}")),
            }
        }
        let (kind, length) = (self.order.u32(head, 0), self.order.u32(head, 4));
        if length < MIN_BLOCK || (length % 4 != 0 && !self.first) || length > MAX_BLOCK {
            return Step::Fault(format!(
                "the next block claims {length} bytes, which is no multiple of 4 between {MIN_BLOCK} and {MAX_BLOCK}"
            ));
        }
        if length > LARGE_BLOCK { self.large(kind, length, bytes) } else { self.whole(kind, length, bytes) }
    }

    /// A block that is read as a whole.
    #[inline]
    fn whole(&mut self, kind: u32, length: u32, bytes: &[u8]) -> Step {
        let size = length as usize;
        let Some(block) = bytes.get(..size) else { return Step::Need { size } };
        let (body, trailer) = block[HEAD..].split_at(size - HEAD - TRAILER);
        let repeated = self.order.u32(trailer, 0);
        // As libpcap: what the first section header has at its end does not matter.
        if repeated == length || self.first {
            self.body(kind, body, body.len(), size)
        } else {
            unequal(length, repeated)
        }
    }

    /// A block of which only the beginning is looked at, and nothing at all if it can't matter.
    fn large(&mut self, kind: u32, length: u32, bytes: &[u8]) -> Step {
        let size = length as usize - TRAILER;
        let matters = matches!(kind, SHB_MAGIC | IDB_MAGIC | EPB_MAGIC | SPB_MAGIC | PB_MAGIC);
        let step = if matters {
            let Some(body) = bytes.get(HEAD..LARGE_BLOCK as usize) else {
                return Step::Need { size: LARGE_BLOCK as usize };
            };
            self.body(kind, body, size - HEAD, size)
        } else {
            Step::Pass { size }
        };
        if !matches!(step, Step::Fault(_)) {
            self.awaited = Some(length);
        }
        step
    }

    fn large_end(&mut self, bytes: &[u8], length: u32) -> Step {
        if bytes.len() < TRAILER {
            return Step::Need { size: TRAILER };
        }
        match self.order.u32(bytes, 0) {
            again if again == length => {
                self.awaited = None;
                Step::Pass { size: TRAILER }
            }
            again => unequal(length, again),
        }
    }

    /// What a block says: `body` is its beginning, `room` the size of the whole body, `size` what to pass over after.
    #[inline]
    fn body(&mut self, kind: u32, body: &[u8], room: usize, size: usize) -> Step {
        let order = self.order;
        let packet = match kind {
            EPB_MAGIC | PB_MAGIC if body.len() < 20 => return too_short(kind),
            EPB_MAGIC => self.packet(order.u32(body, 0), body, room),
            PB_MAGIC => self.packet(u32::from(order.u16(body, 0)), body, room),
            SPB_MAGIC if body.len() < 4 => return too_short(kind),
            SPB_MAGIC => self.simple_packet(body, room),
            SHB_MAGIC if body.len() < 16 => return too_short(kind),
            SHB_MAGIC if order.u16(body, 4) != 1 => {
                let (major, minor) = (order.u16(body, 4), order.u16(body, 6));
                return Step::Fault(format!("a section of pcapng version {major}.{minor}, which nobody reads"));
            }
            SHB_MAGIC => {
                self.interfaces.clear();
                self.first = false;
                return Step::Pass { size };
            }
            IDB_MAGIC => match self.interface(body) {
                Ok(()) => return Step::Pass { size },
                Err(cause) => Err(cause),
            },
            _ => return Step::Pass { size },
        };
        match packet {
            Ok(frame) => Step::Frame { size, frame },
            Err(cause) => Step::Fault(cause),
        }
    }

    /// An enhanced packet block (draft, section 4.3) or an obsolete one: they differ in the interface's number only.
    #[inline]
    fn packet(&self, interface: u32, body: &[u8], room: usize) -> Result<Frame, String> {
        let order = self.order;
        let ticks = (u64::from(order.u32(body, 4)) << 32) | u64::from(order.u32(body, 8));
        let (caplen, len) = (order.u32(body, 12), order.u32(body, 16));
        self.frame(interface, ticks, caplen, len, 20, room)
    }

    /// A simple packet block (draft, section 4.4): of the section's first interface, without a time.
    fn simple_packet(&self, body: &[u8], room: usize) -> Result<Frame, String> {
        let len = self.order.u32(body, 0);
        let snaplen = self.interfaces.first().map_or(MAX_FRAME, |interface| interface.snaplen);
        self.frame(0, 0, len.min(snaplen), len, 4, room)
    }

    #[inline]
    fn frame(
        &self,
        interface: u32,
        ticks: u64,
        caplen: u32,
        len: u32,
        start: usize,
        room: usize,
    ) -> Result<Frame, String> {
        let Some(interface) = self.interfaces.get(interface as usize) else {
            return Err(format!("a packet of interface {interface}, which the section does not describe"));
        };
        if caplen as usize > room - start {
            return Err(format!("a packet of {caplen} bytes in a block that has room for {}", room - start));
        }
        let kept = caplen.min(MAX_FRAME);
        Ok(Frame {
            start: HEAD + start,
            len: kept,
            wire_len: len.max(caplen),
            linktype: interface.linktype,
            link: interface.link,
            time: interface.time(ticks),
        })
    }

    /// An interface description block (draft, section 4.2).
    fn interface(&mut self, body: &[u8]) -> Result<(), String> {
        if body.len() < 8 {
            return Err("an interface is described in too short a block".to_owned());
        }
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(format!("more than {MAX_INTERFACES} interfaces in a section"));
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
        self.interfaces.push(interface);
        Ok(())
    }

    /// The options about time: if_tsresol (9) and if_tsoffset (14). A list that is cut short ends where it is cut.
    fn options(&self, body: &[u8], interface: &mut Interface) -> Result<(), String> {
        let mut at = 8;
        while let Some(option) = body.get(at..).filter(|rest| rest.len() >= 4) {
            let (code, length) = (self.order.u16(option, 0), usize::from(self.order.u16(option, 2)));
            let Some(value) = option.get(4..4 + length) else { break };
            match (code, value) {
                (0, _) => break,
                (9, [resolution]) => interface.ticks = ticks(*resolution)?,
                (14, value) if value.len() == 8 => {
                    let (first, second) = (self.order.u32(value, 0), self.order.u32(value, 4));
                    let (high, low) = if self.order == ByteOrder::Big { (first, second) } else { (second, first) };
                    interface.offset = ((u64::from(high) << 32) | u64::from(low)).cast_signed();
                }
                _ => {}
            }
            at += 4 + length.next_multiple_of(4);
        }
        Ok(())
    }
}

/// What if_tsresol means: a negative power of 10, or of 2 with the highest bit set.
fn ticks(resolution: u8) -> Result<Ticks, String> {
    let exponent = u32::from(resolution & 0x7f);
    let (base, rate) =
        if resolution & 0x80 == 0 { (10, 10_u64.checked_pow(exponent)) } else { (2, 2_u64.checked_pow(exponent)) };
    match rate {
        Some(rate) if NANOS.is_multiple_of(rate) => {
            Ok(Ticks::Nanos(i64::try_from(NANOS / rate).expect("a second has fewer nanoseconds than i64::MAX")))
        }
        Some(rate) => Ok(Ticks::PerSecond(rate)),
        None => Err(format!("an interface counts time in steps of {base}^-{exponent} seconds, too fine for any clock")),
    }
}

#[cold]
fn unequal(length: u32, again: u32) -> Step {
    Step::Fault(format!("a block claims {length} bytes at its head and {again} at its end"))
}

#[cold]
fn too_short(kind: u32) -> Step {
    Step::Fault(format!("a block of type {kind} is too short for what it should hold"))
}
