//! The source that reads capture files: pcap and pcapng from any reader, in place. Bytes go from `read(2)` into the
//! block's slab and are parsed where they lie; only the incomplete record at the end is carried over to the next
//! block. Not a decoder: what is in a frame is not looked at.
//!
//! ```text
//! open ─► magic ─► compression ─► FileSource ─► pcap | pcapng ─► Block
//! ```

mod compression;
mod inputs;
mod magic;
mod parse_step;
mod pcap;
mod pcapng;
mod stdin;

use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use self::inputs::{Input, expand, open};
use self::magic::Magic;
use self::parse_step::{Frame, Step};
use super::block::{Block, BlockSize, FrameRef};
use super::source::{FillStatus, PacketSource, SourceError};
use crate::sys::Signals;

/// A capture filter: is asked with a frame's link type (the number in the file), its length on the wire and its
/// captured bytes. A frame that it refuses keeps its number and is not put into the block; an error ends the input.
pub type FrameFilter = Box<dyn FnMut(u32, u32, &[u8]) -> Result<bool, String> + Send>;

/// Bytes asked for at a time of a reader that may have fewer for now. Rationale: the size of a pipe.
const PIPE: usize = 64 << 10;
/// Never fewer bytes are asked for. Rationale: below this the system call costs more than the copy.
const LEAST_READ: usize = 64 << 10;
/// More room than `read_to_end` needs, so that its probe for the end never makes the slab grow.
const SLACK: usize = 64;

const CONVERT: &str = "give a pcap or pcapng file, plain or compressed with gzip or zstd";
const DAMAGED: &str = "everything before was read; copy the capture again from where it was recorded";

/// Which format the file has, and where in it we are.
#[derive(Debug)]
enum Format {
    Pcap(pcap::Pcap),
    PcapNg(pcapng::PcapNg),
}

impl Format {
    #[inline]
    fn step(&mut self, bytes: &[u8]) -> Step {
        match self {
            Self::Pcap(pcap) => pcap.step(bytes),
            Self::PcapNg(pcapng) => pcapng.step(bytes),
        }
    }
}

/// How a reader is to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadMode {
    /// All its bytes are there: ask for a slab at once.
    Full,
    /// A pipe, perhaps with a running recorder behind it: hand on what comes, as it comes.
    Arriving,
}

/// Why a scan of the bytes at hand ended.
#[derive(Debug)]
enum ScanEnd {
    /// The block is full.
    Full,
    /// The next record needs this many bytes.
    Need(usize),
    /// The capture is damaged, or the filter failed.
    Fault(SourceError),
}

/// A capture file as a [`PacketSource`].
///
/// Invariant: `rest[at..]` are the bytes that were read and not handed on, and `offset` is where in the
/// (decompressed) file they begin.
pub struct FileSource<R = Box<dyn Read + Send>> {
    reader: R,
    pace: ReadMode,
    format: Format,
    name: String,
    index: u32,
    size: BlockSize,
    filter: Option<FrameFilter>,
    rest: Vec<u8>,
    at: usize,
    offset: u64,
    /// Bytes of the record before `offset` that are still to come and hold nothing.
    skip: usize,
    frames: u64,
    /// The mean size of a record in bytes, to read what the block will hold and not much more.
    mean: usize,
    /// The reader is at its end, or broken.
    ended: bool,
    /// Why it is broken.
    broken: Option<String>,
    fault: Option<SourceError>,
    taken: u64,
    /// Compressed bytes read, where the file is compressed.
    compressed: Option<Arc<AtomicU64>>,
}

impl<R> std::fmt::Debug for FileSource<R> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, format, offset, frames, .. } = self;
        write!(out, "FileSource {{ {name:?}, {format:?}, at offset {offset} after {frames} frames }}")
    }
}

impl<R: Read> FileSource<R> {
    /// Reads a capture (not compressed) from any reader, which stands at its beginning. `name` is for messages and
    /// `index` for [`Block::input`].
    ///
    /// # Errors
    /// When the first bytes are not those of a capture that can be read.
    pub fn new(
        reader: R,
        name: String,
        index: u32,
        size: BlockSize,
        filter: Option<FrameFilter>,
    ) -> Result<Self, SourceError> {
        Self::with_head(Vec::new(), reader, ReadMode::Arriving, name, index, size, filter)
    }

    /// The same for a reader of which the first bytes (fewer than a header) were already read.
    fn with_head(
        mut rest: Vec<u8>,
        mut reader: R,
        pace: ReadMode,
        name: String,
        index: u32,
        size: BlockSize,
        filter: Option<FrameFilter>,
    ) -> Result<Self, SourceError> {
        let refuse = |cause, remedy| SourceError { input: name.clone(), frames: 0, offset: None, cause, remedy };
        if let Err(error) = reader.by_ref().take((magic::LOOK - rest.len()) as u64).read_to_end(&mut rest) {
            return Err(refuse(format!("can't be read: {error}"), DAMAGED));
        }
        let (format, at) = recognise(&rest).map_err(|(cause, remedy)| refuse(cause, remedy))?;
        let size = BlockSize { bytes: size.bytes.clamp(1, 1 << 30), packets: size.packets.max(1) };
        Ok(Self {
            reader,
            pace,
            format,
            name,
            index,
            size,
            filter,
            at,
            offset: at as u64,
            taken: rest.len() as u64,
            rest,
            skip: 0,
            frames: 0,
            mean: 512,
            ended: false,
            broken: None,
            fault: None,
            compressed: None,
        })
    }

    /// Bytes of the file itself that were read so far, compressed or not: for a progress bar.
    pub fn bytes_read(&self) -> u64 {
        self.compressed.as_ref().map_or(self.taken, |count| count.load(Ordering::Relaxed))
    }

    /// Frames read so far, whether the filter let them pass or not.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    fn error(&self, cause: String, remedy: &'static str) -> SourceError {
        SourceError { input: self.name.clone(), frames: self.frames, offset: Some(self.offset), cause, remedy }
    }

    /// Walks over the records of `bytes` from `at` until something stops it; the block begins at `origin`. Returns
    /// where it stopped.
    fn scan(&mut self, bytes: &[u8], mut at: usize, origin: usize, packets: &mut Vec<FrameRef>) -> (usize, ScanEnd) {
        loop {
            if packets.len() >= self.size.packets || at - origin >= self.size.bytes {
                return (at, ScanEnd::Full);
            }
            if self.skip > 0 {
                at += self.pass(self.skip, bytes.len() - at);
                if self.skip > 0 {
                    return (at, ScanEnd::Need(self.skip.min(PIPE)));
                }
                continue;
            }
            if let Format::Pcap(pcap) = &self.format
                && self.filter.is_none()
            {
                let before = packets.len();
                let end = list(pcap, bytes, at, origin, self.frames, &self.size, packets);
                if end > at {
                    self.frames += (packets.len() - before) as u64;
                    at += self.pass(end - at, end - at);
                    continue;
                }
            }
            let record = &bytes[at..];
            let size = match self.format.step(record) {
                Step::Frame { size, frame } => {
                    self.frames += 1;
                    match self.wanted(&frame, record) {
                        Ok(true) => packets.push(captured(&frame, at - origin, self.frames)),
                        Ok(false) => {}
                        Err(error) => return (at, ScanEnd::Fault(error)),
                    }
                    size
                }
                Step::Pass { size } => size,
                Step::Need { size } => return (at, ScanEnd::Need(size)),
                Step::Fault(cause) => return (at, ScanEnd::Fault(self.error(cause, DAMAGED))),
            };
            at += self.pass(size, record.len());
        }
    }

    /// Goes `size` bytes on, of which `room` are at hand; the others are left to [`Self::skip`].
    #[inline]
    fn pass(&mut self, size: usize, room: usize) -> usize {
        let step = size.min(room);
        self.skip = size - step;
        self.offset += step as u64;
        step
    }

    #[inline]
    fn wanted(&mut self, frame: &Frame, record: &[u8]) -> Result<bool, SourceError> {
        let Some(filter) = &mut self.filter else { return Ok(true) };
        let bytes = &record[frame.start..frame.start + frame.len as usize];
        filter(frame.linktype, frame.wire_len, bytes).map_err(|cause| self.error(cause, ""))
    }

    /// Hands on what an earlier read left behind: one copy of many records, or none. Returns why it stopped, or
    /// nothing if it left the bytes to the reading part.
    fn fill_from_rest(&mut self, block: &mut Block) -> Option<ScanEnd> {
        let rest = std::mem::take(&mut self.rest);
        let from = self.at;
        let (at, stop) = self.scan(&rest, from, from, &mut block.packets);
        if at == from && matches!(stop, ScanEnd::Need(_)) {
            block.bytes.extend_from_slice(&rest[from..]);
            self.rest = rest;
            self.rest.clear();
            self.at = 0;
            return None;
        }
        block.bytes.extend_from_slice(&rest[from..at]);
        self.rest = rest;
        self.at = at;
        Some(stop)
    }

    /// Reads into the block and parses there.
    fn fill_from_reader(&mut self, block: &mut Block) -> ScanEnd {
        let before = self.frames;
        let mut at = 0;
        let stop = loop {
            let (end, stop) = self.scan(&block.bytes, at, 0, &mut block.packets);
            at = end;
            let ScanEnd::Need(size) = stop else { break stop };
            if self.ended || self.frames > before || !self.read(&mut block.bytes, at + size) {
                break ScanEnd::Need(size);
            }
        };
        self.rest.extend_from_slice(&block.bytes[at..]);
        block.bytes.truncate(at);
        let count = usize::try_from(self.frames - before).unwrap_or(usize::MAX);
        if let Some(mean) = at.checked_div(count) {
            self.mean = mean;
        }
        stop
    }

    /// Reads once; at least up to `goal` bytes if the file has them. False if a signal came first.
    fn read(&mut self, bytes: &mut Vec<u8>, goal: usize) -> bool {
        let before = bytes.len();
        let result = match self.pace {
            ReadMode::Full => self.read_full(bytes, goal),
            ReadMode::Arriving => self.read_arriving(bytes),
        };
        self.taken += (bytes.len() - before) as u64;
        match result {
            Ok(ended) => self.ended = ended,
            Err(error) if error.kind() == ErrorKind::Interrupted || stop_requested() => return false,
            Err(error) => {
                self.ended = true;
                self.broken = Some(match (&self.compressed, error.kind()) {
                    (Some(_), ErrorKind::UnexpectedEof) => "the compressed data are cut short".to_owned(),
                    (Some(_), _) => format!("the compressed data are damaged: {error}"),
                    (None, _) => format!("can't be read further: {error}"),
                });
            }
        }
        true
    }

    fn read_full(&mut self, bytes: &mut Vec<u8>, goal: usize) -> std::io::Result<bool> {
        let expected = self.size.packets.saturating_add(1).saturating_mul(self.mean);
        let want = expected.min(self.size.bytes).max(LEAST_READ).max(goal) - bytes.len();
        bytes.reserve_exact(want + SLACK);
        // read_to_end, because it reads into spare room that nobody has to clear first.
        Ok(self.reader.by_ref().take(want as u64).read_to_end(bytes)? < want)
    }

    fn read_arriving(&mut self, bytes: &mut Vec<u8>) -> std::io::Result<bool> {
        let before = bytes.len();
        bytes.resize(before + PIPE, 0);
        let result = self.reader.read(&mut bytes[before..]);
        bytes.truncate(before + *result.as_ref().unwrap_or(&0));
        result.map(|read| read == 0)
    }

    /// What there is to say once the block has what it gets.
    fn settle(&mut self, stop: ScanEnd) -> FillStatus {
        let left = self.rest.len() - self.at;
        match stop {
            ScanEnd::Fault(error) => self.fault = Some(error),
            ScanEnd::Full => {}
            ScanEnd::Need(_) if !self.ended => {}
            ScanEnd::Need(size) => match self.broken.take() {
                Some(cause) => self.fault = Some(self.error(cause, DAMAGED)),
                None if left > 0 || self.skip > 0 => {
                    let cause = format!("the file ends in the middle of a record ({left} bytes, {size} expected)");
                    self.fault = Some(self.error(cause, DAMAGED));
                }
                None => return FillStatus::End,
            },
        }
        FillStatus::More
    }
}

impl<R: Read> PacketSource for FileSource<R> {
    fn fill(&mut self, block: &mut Block) -> Result<FillStatus, SourceError> {
        block.input = self.index;
        if self.fault.is_none() {
            let stop = match self.fill_from_rest(block) {
                Some(stop) => stop,
                None => self.fill_from_reader(block),
            };
            let status = self.settle(stop);
            if self.fault.is_none() || !block.packets.is_empty() {
                return Ok(status);
            }
        }
        block.clear();
        // Asked once more, the input is at its end.
        self.rest.clear();
        (self.at, self.skip, self.ended, self.broken) = (0, 0, true, None);
        self.fault.take().map_or(Ok(FillStatus::End), Err)
    }
}

/// Whether a signal asked the process to end: what can't be read then is no fault of the input.
pub(super) fn stop_requested() -> bool {
    Signals::installed().is_some_and(|signals| signals.stop().is_some())
}

/// Lists the whole frames of a classic file that follow each other at `at`, which is nearly all of it; says where they
/// end. `frames` were before them, and their offsets are from `origin`.
fn list(
    pcap: &pcap::Pcap,
    bytes: &[u8],
    mut at: usize,
    origin: usize,
    mut frames: u64,
    size: &BlockSize,
    packets: &mut Vec<FrameRef>,
) -> usize {
    while packets.len() < size.packets && at - origin < size.bytes {
        let Step::Frame { size, frame } = pcap.step(&bytes[at..]) else { break };
        frames += 1;
        packets.push(captured(&frame, at - origin, frames));
        at += size;
    }
    at
}

/// A frame whose record stands at `record` in the slab.
#[inline]
fn captured(frame: &Frame, record: usize, number: u64) -> FrameRef {
    FrameRef {
        start: u32::try_from(record + frame.start).expect("a slab is below 2 GiB"),
        len: frame.len,
        wire_len: frame.wire_len,
        link: frame.link,
        frame: number,
        time: frame.time,
    }
}

/// Which format begins so, and how long its header is; or the cause and the way out.
fn recognise(head: &[u8]) -> Result<(Format, usize), (String, &'static str)> {
    match Magic::of(head) {
        Magic::PcapNg => Ok((Format::PcapNg(pcapng::PcapNg::new()), 0)),
        Magic::Pcap(variant) => {
            let Some(header) = head.first_chunk::<{ pcap::HEADER }>() else {
                let cause = format!("its header is cut short: {} of {} bytes are there", head.len(), pcap::HEADER);
                return Err((cause, "copy the capture again from where it was recorded"));
            };
            let pcap = pcap::Pcap::open(variant, header).map_err(|cause| (cause, CONVERT))?;
            Ok((Format::Pcap(pcap), pcap::HEADER))
        }
        Magic::Compressed(compression) => {
            Err((format!("it is compressed with {} twice over", compression.name()), "decompress it once"))
        }
        Magic::Unknown => Err((magic::describe(head), CONVERT)),
    }
}
