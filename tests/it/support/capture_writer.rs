//! Small writers of capture files for the tests of the file reader: every format, byte order and resolution. Written
//! from the formats' descriptions, independently of the reader.

use smsentry::capture::block::{Block, BlockSize};
use smsentry::capture::file::{FileSource, Remarks};
use smsentry::capture::source::{FillStatus, PacketSource, SourceError};
use smsentry::time::Timestamp;

/// A frame as it is written and as it is expected back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) time: Timestamp,
    pub(crate) wire_len: u32,
    pub(crate) link: smsentry::packet::Link,
    pub(crate) bytes: Vec<u8>,
}

/// A pseudo-random number generator (SplitMix64), so that every run has the same files.
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

/// Writes numbers in one byte order.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    pub(crate) fn u16(self, number: u16) -> [u8; 2] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }

    pub(crate) fn u32(self, number: u32) -> [u8; 4] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }
}

/// A classic capture file.
pub(crate) struct Pcap {
    pub(crate) order: ByteOrder,
    pub(crate) magic: u32,
    pub(crate) version: (u16, u16),
    pub(crate) snaplen: u32,
    pub(crate) linktype: u32,
}

impl Pcap {
    pub(crate) const MICRO: u32 = 0xa1b2_c3d4;
    pub(crate) const NANO: u32 = 0xa1b2_3c4d;
    pub(crate) const KUZNETZOV: u32 = 0xa1b2_cd34;

    pub(crate) fn new(order: ByteOrder, magic: u32) -> Self {
        Self { order, magic, version: (2, 4), snaplen: 262_144, linktype: 1 }
    }

    pub(crate) fn header(&self) -> Vec<u8> {
        let Self { order, magic, version: (major, minor), snaplen, linktype } = *self;
        let words = [order.u32(0), order.u32(0), order.u32(snaplen), order.u32(linktype)];
        [&order.u32(magic)[..], &order.u16(major), &order.u16(minor), &words.concat()].concat()
    }

    pub(crate) fn record(&self, seconds: u32, fraction: u32, len: u32, bytes: &[u8]) -> Vec<u8> {
        let caplen = u32::try_from(bytes.len()).unwrap();
        let words = [seconds, fraction, caplen, len].map(|word| self.order.u32(word)).concat();
        let more: &[u8] = if self.magic == Self::KUZNETZOV { &[9; 8] } else { &[] };
        [&words, more, bytes].concat()
    }

    /// The frames in this format; it must be able to hold their times.
    pub(crate) fn write(&self, frames: &[Frame]) -> Vec<u8> {
        let tick = if self.magic == Self::NANO { 1 } else { 1000 };
        let mut file = self.header();
        for frame in frames {
            let seconds = u32::try_from(frame.time.nanos() / 1_000_000_000).unwrap();
            let fraction = u32::try_from(frame.time.nanos() % 1_000_000_000 / tick).unwrap();
            file.extend(self.record(seconds, fraction, frame.wire_len, &frame.bytes));
        }
        file
    }
}

/// A block of a pcapng file.
pub(crate) fn block(order: ByteOrder, kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let length = order.u32(u32::try_from(padded + 12).unwrap());
    [&order.u32(kind)[..], &length, body, &vec![0; padded - body.len()], &length].concat()
}

pub(crate) fn section(order: ByteOrder) -> Vec<u8> {
    let body = [&order.u32(0x1a2b_3c4d)[..], &order.u16(1), &order.u16(0), &[0xff; 8]].concat();
    block(order, 0x0a0d_0d0a, &body)
}

/// An interface; `options` as code and value.
pub(crate) fn interface(order: ByteOrder, linktype: u16, snaplen: u32, options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = [&order.u16(linktype)[..], &[0, 0], &order.u32(snaplen)].concat();
    for (code, value) in options {
        body.extend([order.u16(*code), order.u16(u16::try_from(value.len()).unwrap())].concat());
        body.extend_from_slice(value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    block(order, 1, &body)
}

pub(crate) fn enhanced(order: ByteOrder, interface: u32, ticks: u64, len: u32, bytes: &[u8]) -> Vec<u8> {
    enhanced_with(order, interface, ticks, len, bytes, &[])
}

pub(crate) fn enhanced_with(
    order: ByteOrder,
    interface: u32,
    ticks: u64,
    len: u32,
    bytes: &[u8],
    options: &[u8],
) -> Vec<u8> {
    let caplen = u32::try_from(bytes.len()).unwrap();
    let (high, low) = (u32::try_from(ticks >> 32).unwrap(), u32::try_from(ticks & 0xffff_ffff).unwrap());
    let mut body = [interface, high, low, caplen, len].map(|word| order.u32(word)).concat();
    body.extend_from_slice(bytes);
    body.resize(body.len().next_multiple_of(4), 0);
    body.extend_from_slice(options);
    block(order, 6, &body)
}

pub(crate) fn obsolete(order: ByteOrder, interface: u16, ticks: u64, len: u32, bytes: &[u8]) -> Vec<u8> {
    let caplen = u32::try_from(bytes.len()).unwrap();
    let (high, low) = (u32::try_from(ticks >> 32).unwrap(), u32::try_from(ticks & 0xffff_ffff).unwrap());
    let words = [high, low, caplen, len].map(|word| order.u32(word)).concat();
    block(order, 2, &[&order.u16(interface)[..], &order.u16(0), &words, bytes].concat())
}

pub(crate) fn simple(order: ByteOrder, len: u32, bytes: &[u8]) -> Vec<u8> {
    block(order, 3, &[&order.u32(len)[..], bytes].concat())
}

/// Everything that a source returns, to its end.
pub(crate) struct Read {
    pub(crate) frames: Vec<Frame>,
    pub(crate) numbers: Vec<u64>,
    pub(crate) error: Option<SourceError>,
    /// Only of [`read`].
    pub(crate) remarks: Remarks,
    /// The largest slab, in bytes.
    pub(crate) slab: usize,
}

/// Reads a source to its end and checks the invariants of every block.
pub(crate) fn drain<S: PacketSource>(source: &mut S, size: BlockSize) -> Read {
    let mut read = Read { frames: Vec::new(), numbers: Vec::new(), error: None, remarks: Remarks::default(), slab: 0 };
    let mut block = Block::default();
    let mut idle = 0;
    loop {
        block.clear();
        let status = source.fill(&mut block);
        assert!(block.packets.len() <= size.packets, "a block has more frames than it may");
        for at in 0..block.packets.len() {
            let packet = block.packet(at, 0);
            let (time, wire_len, link) = (packet.time, packet.wire_len, packet.link);
            assert!(wire_len as usize >= packet.bytes.len());
            read.frames.push(Frame { time, wire_len, link, bytes: packet.bytes.to_vec() });
            read.numbers.push(packet.frame);
        }
        read.slab = read.slab.max(block.bytes.len());
        idle = if block.packets.is_empty() { idle + 1 } else { 0 };
        assert!(idle < 100_000, "the reader makes no progress");
        match status {
            Ok(FillStatus::More) => {}
            Ok(FillStatus::End) => return read,
            Err(error) => {
                assert!(block.packets.is_empty(), "frames handed on together with an error");
                assert!(
                    matches!(source.fill(&mut block), Ok(FillStatus::End)),
                    "after its error an input is at its end"
                );
                read.error = Some(error);
                return read;
            }
        }
    }
}

/// Block sizes, all of which must give the same result.
pub(crate) fn sizes() -> [BlockSize; 4] {
    [
        BlockSize::default(),
        BlockSize { packets: 1, ..BlockSize::default() },
        BlockSize { packets: 7, ..BlockSize::default() },
        BlockSize { bytes: 3000, packets: 4096 },
    ]
}

/// Reads a file's bytes with every block size; all must agree.
pub(crate) fn read(file: &[u8]) -> Result<Read, SourceError> {
    let mut first: Option<Read> = None;
    for size in sizes() {
        let mut source = FileSource::new(file, "test".to_owned(), 0, size, None)?;
        let mut read = drain(&mut source, size);
        read.remarks = source.remarks();
        match &first {
            None => first = Some(read),
            Some(first) => {
                assert!(first.frames == read.frames, "{size:?} gives other frames");
                let reported = |read: &Read| read.error.as_ref().map(|error| (error.frames, error.offset));
                assert_eq!(reported(first), reported(&read), "{size:?} gives another error");
                assert_eq!(first.remarks.messages(""), read.remarks.messages(""), "{size:?} gives other remarks");
            }
        }
    }
    Ok(first.expect("there is a block size"))
}

/// Frames of many sizes, among them the empty one and the largest; times in whole microseconds.
pub(crate) fn frames(seed: u64, count: usize) -> Vec<Frame> {
    let mut seeded = Seeded(seed);
    (0..count)
        .map(|at| {
            let len = match seeded.below(20) {
                _ if at == 5 => 262_144,
                0 => 0,
                1 => seeded.below(9000),
                _ => seeded.below(200),
            };
            let micros = i64::try_from(seeded.below(1_000_000_000_000)).unwrap();
            let cut = seeded.below(2) * seeded.below(50_000);
            Frame {
                time: Timestamp::from_nanos(1_700_000_000_000_000_000 + 1000 * micros),
                wire_len: u32::try_from(len + cut).unwrap(),
                link: smsentry::packet::Link::Ethernet,
                bytes: seeded.bytes(len),
            }
        })
        .collect()
}
