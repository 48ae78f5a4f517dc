//! Reads capture files from any reader, in place: bytes go from `read(2)` into the block's slab and are parsed
//! there; only the incomplete record at the end is copied to the next block. The content of frames is not parsed.

use std::io::{ErrorKind, Read};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::format::Format;
use super::format_error::{CUT, FormatError};
use super::magic;
use super::parse_step::{Frame, Step};
use super::pcap::Pcap;
use super::pipe::{IDLE, stop_requested};
use super::remarks::Remarks;
use super::source_options::{FrameFilter, ReadMode, SourceOptions};
use crate::capture::block::{Block, BlockSize, FrameRef};
use crate::capture::source::{FillStatus, PacketSource, SourceError};

/// Bytes requested at a time from a reader that may have fewer for now. Rationale: the size of a pipe.
const PIPE: usize = 64 << 10;
/// Minimum number of bytes requested. Rationale: below this the system call costs more than the copy.
const MIN_READ: usize = 64 << 10;
/// Spare capacity beyond what `read_to_end` needs, so that its probe for the end never makes the slab grow.
const SLACK: usize = 64;

/// The reason for the end of a scan of the available bytes.
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
/// Invariant: `rest[at..]` are the bytes that were read and not delivered, and `offset` is their position in the
/// (decompressed) file.
pub struct FileSource<R = Box<dyn Read + Send>> {
    reader: R,
    options: SourceOptions,
    format: Format,
    rest: Vec<u8>,
    at: usize,
    offset: u64,
    /// Bytes after `offset` that belong to the previous record and contain no frame.
    skip: usize,
    frames: u64,
    /// The mean size of a record in bytes, to read about as many bytes as the block holds.
    mean_record: usize,
    /// Whether the reader is at its end, or failed.
    ended: bool,
    /// Whether the last read of a file that may grow reached its end.
    at_end: bool,
    /// Whether the last scan ended for want of bytes, not because the block was full or the capture is damaged.
    needs_bytes: bool,
    /// The reader's error: cause and remedy.
    read_error: Option<(String, &'static str)>,
    /// The error to return once the frames before it are delivered.
    pending_error: Option<SourceError>,
    /// How long a pipe has delivered no frame, as far as no block reported it.
    quiet: Duration,
    /// Bytes read from `reader`.
    bytes_read: u64,
    remarks: Remarks,
}

impl<R> std::fmt::Debug for FileSource<R> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { options: SourceOptions { name, .. }, format, offset, frames, .. } = self;
        write!(out, "FileSource {{ {name:?}, {format:?}, at offset {offset} after {frames} frames }}")
    }
}

impl<R: Read> FileSource<R> {
    /// Opens an uncompressed capture from any reader, positioned at its beginning. `name` is used in messages and
    /// `index` becomes [`Block::input`].
    ///
    /// # Errors
    /// When the first bytes are not those of a supported capture.
    pub fn new(
        reader: R,
        name: String,
        index: u32,
        size: BlockSize,
        filter: Option<FrameFilter>,
    ) -> Result<Self, SourceError> {
        let mode = ReadMode::Arriving;
        Self::with_head(Vec::new(), reader, SourceOptions { name, index, size, filter, mode, compressed: None })
    }

    /// Like [`FileSource::new`], for a reader whose first bytes `rest` (fewer than a header) were already read.
    pub(super) fn with_head(mut rest: Vec<u8>, mut reader: R, mut options: SourceOptions) -> Result<Self, SourceError> {
        let refuse =
            |cause, remedy| SourceError { input: options.name.clone(), frames: 0, offset: None, cause, remedy };
        if let Err(error) = reader.by_ref().take((magic::HEAD_LEN - rest.len()) as u64).read_to_end(&mut rest) {
            let (cause, remedy) = options.describe(&error, "cannot read");
            return Err(refuse(cause, remedy));
        }
        let (format, at) = Format::detect(&rest).map_err(|error| {
            let cause = match &options.compressed {
                Some((compression, _)) => format!("decompressed with {}, {error}", compression.name()),
                None => error.to_string(),
            };
            refuse(cause, error.remedy())
        })?;
        let BlockSize { bytes, packets } = options.size;
        options.size = BlockSize { bytes: bytes.clamp(1, 1 << 30), packets: packets.max(1) };
        Ok(Self {
            reader,
            options,
            format,
            at,
            offset: at as u64,
            bytes_read: rest.len() as u64,
            rest,
            skip: 0,
            frames: 0,
            mean_record: 512,
            ended: false,
            at_end: false,
            needs_bytes: false,
            read_error: None,
            pending_error: None,
            remarks: Remarks::default(),
            quiet: Duration::ZERO,
        })
    }

    /// Returns the number of bytes read so far from the file itself, compressed or not: for a progress bar.
    pub fn bytes_read(&self) -> u64 {
        self.options.compressed.as_ref().map_or(self.bytes_read, |(_, bytes)| bytes.read.load(Ordering::Relaxed))
    }

    /// Returns the number of frames read so far, including those that did not pass the filter.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Returns the input's name in messages.
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// Returns what was remarkable so far: parts that were not read, and more.
    pub fn remarks(&self) -> Remarks {
        let trailing = self.options.compressed.as_ref().map_or(0, |(_, bytes)| bytes.trailing.load(Ordering::Relaxed));
        Remarks { trailing, ..self.remarks.clone() }
    }

    /// Returns whether everything of a file that may grow was delivered, up to the last complete record.
    pub(in crate::capture) fn is_at_end(&self) -> bool {
        self.at_end && self.needs_bytes
    }

    /// Returns whether a record is incomplete.
    pub(in crate::capture) fn is_within_record(&self) -> bool {
        self.rest.len() > self.at || self.skip > 0
    }

    /// Returns whether the end of the file is not the end of the input.
    pub(in crate::capture) fn is_growing(&self) -> bool {
        self.options.mode == ReadMode::Growing
    }

    /// Makes the present end of a file that may grow the end of the input.
    pub(in crate::capture) fn stop_growing(&mut self) {
        self.options.mode = ReadMode::Full;
    }

    fn error(&self, cause: String, remedy: &'static str) -> SourceError {
        SourceError { input: self.options.name.clone(), frames: self.frames, offset: Some(self.offset), cause, remedy }
    }

    /// Parses the records of `bytes` from `at`; the block begins at `origin`. Returns where and why it ended.
    fn scan(&mut self, bytes: &[u8], mut at: usize, origin: usize, packets: &mut Vec<FrameRef>) -> (usize, ScanEnd) {
        loop {
            if packets.len() >= self.options.size.packets || at - origin >= self.options.size.bytes {
                return (at, ScanEnd::Full);
            }
            if self.skip > 0 {
                at += self.advance(self.skip, bytes.len() - at);
                if self.skip > 0 {
                    return (at, ScanEnd::Need(self.skip.min(PIPE)));
                }
                continue;
            }
            if let Format::Pcap(pcap) = &self.format
                && self.options.filter.is_none()
            {
                let before = packets.len();
                let end = scan_pcap(pcap, bytes, at, origin, self.frames, &self.options.size, packets);
                if end > at {
                    self.frames += (packets.len() - before) as u64;
                    at += self.advance(end - at, end - at);
                    continue;
                }
            }
            let record = &bytes[at..];
            let size = match self.format.step(record) {
                Step::Frame { size, frame } => {
                    self.frames += 1;
                    self.remarks.note_frame(&frame, self.frames);
                    match self.passes_filter(&frame, record) {
                        Ok(true) => packets.push(frame_ref(&frame, at - origin, self.frames)),
                        Ok(false) => {}
                        Err(error) => return (at, ScanEnd::Fault(error)),
                    }
                    size
                }
                Step::Skip { size } => size,
                Step::Unread { size, cause } => {
                    self.note_unread(&cause);
                    size
                }
                Step::Need { size } => return (at, ScanEnd::Need(size)),
                Step::Fault(error) => return (at, ScanEnd::Fault(self.error(error.to_string(), error.remedy()))),
            };
            at += self.advance(size, record.len());
        }
    }

    /// Advances by `size` bytes, of which `available` are in memory; the others are left to [`Self::skip`]. Returns the
    /// number of bytes in memory that were passed.
    #[inline]
    fn advance(&mut self, size: usize, available: usize) -> usize {
        let step = size.min(available);
        self.skip = size - step;
        self.offset += step as u64;
        step
    }

    #[inline]
    fn passes_filter(&mut self, frame: &Frame, record: &[u8]) -> Result<bool, SourceError> {
        let Some(filter) = &mut self.options.filter else { return Ok(true) };
        let bytes = &record[frame.start..frame.start + frame.len as usize];
        filter(frame.linktype, frame.wire_len, bytes).map_err(|cause| self.error(cause, ""))
    }

    #[cold]
    fn note_unread(&mut self, cause: &FormatError) {
        if self.remarks.unread == 0 {
            self.remarks.first_unread = Some(self.error(cause.to_string(), ""));
        }
        self.frames += 1;
        self.remarks.unread += 1;
    }

    /// Delivers the bytes that an earlier read left: one copy of many records, or none. Returns why it ended, or `None`
    /// if the bytes were moved to the block for [`Self::fill_from_reader`] to complete.
    fn fill_from_rest(&mut self, block: &mut Block) -> Option<ScanEnd> {
        let rest = std::mem::take(&mut self.rest);
        let from = self.at;
        let (at, end) = self.scan(&rest, from, from, &mut block.packets);
        if at == from && matches!(end, ScanEnd::Need(_)) {
            block.bytes.extend_from_slice(&rest[from..]);
            self.rest = rest;
            self.rest.clear();
            self.at = 0;
            return None;
        }
        block.bytes.extend_from_slice(&rest[from..at]);
        self.rest = rest;
        self.at = at;
        Some(end)
    }

    /// Reads into the block and parses there.
    fn fill_from_reader(&mut self, block: &mut Block) -> ScanEnd {
        let before = self.frames;
        let mut at = 0;
        let end = loop {
            let (stopped_at, end) = self.scan(&block.bytes, at, 0, &mut block.packets);
            at = stopped_at;
            let ScanEnd::Need(size) = end else { break end };
            if self.ended || self.frames > before || !self.read(&mut block.bytes, at + size) {
                break ScanEnd::Need(size);
            }
        };
        self.rest.extend_from_slice(&block.bytes[at..]);
        block.bytes.truncate(at);
        let count = usize::try_from(self.frames - before).unwrap_or(usize::MAX);
        if let Some(mean) = at.checked_div(count) {
            self.mean_record = mean;
        }
        end
    }

    /// Reads once; at least up to `goal` bytes if the file has them. Returns false if there are none for now: a signal
    /// arrived first, or the file may grow.
    fn read(&mut self, bytes: &mut Vec<u8>, goal: usize) -> bool {
        let before = bytes.len();
        let result = match self.options.mode {
            ReadMode::Full => self.read_full(bytes, goal),
            ReadMode::Arriving => self.read_arriving(bytes),
            ReadMode::Growing => self.read_full(bytes, goal).map(|at_end| {
                self.at_end = at_end;
                false
            }),
        };
        let read = bytes.len() - before;
        self.bytes_read += read as u64;
        match result {
            Ok(ended) => self.ended = ended,
            Err(error) if error.kind() == ErrorKind::Interrupted || stop_requested() => return false,
            Err(error) => {
                self.ended = true;
                self.read_error = Some(self.options.describe(&error, "cannot read further"));
            }
        }
        read > 0 || self.ended
    }

    /// Reads about as many bytes as the block holds. Returns whether the file is at its end.
    fn read_full(&mut self, bytes: &mut Vec<u8>, goal: usize) -> std::io::Result<bool> {
        let expected = self.options.size.packets.saturating_add(1).saturating_mul(self.mean_record);
        let want = expected.min(self.options.size.bytes).max(MIN_READ).max(goal) - bytes.len();
        bytes.reserve_exact(want + SLACK);
        // read_to_end, because it reads into spare capacity that need not be cleared first.
        Ok(self.reader.by_ref().take(want as u64).read_to_end(bytes)? < want)
    }

    /// Reads the bytes that are available. Returns whether the input is at its end.
    fn read_arriving(&mut self, bytes: &mut Vec<u8>) -> std::io::Result<bool> {
        let before = bytes.len();
        bytes.resize(before + PIPE, 0);
        let result = self.reader.read(&mut bytes[before..]);
        bytes.truncate(before + *result.as_ref().unwrap_or(&0));
        result.map(|read| read == 0)
    }

    /// Returns the status of a block after a scan, and keeps the error, if any, in `pending_error`.
    fn finish_fill(&mut self, end: ScanEnd) -> FillStatus {
        let left = self.rest.len() - self.at;
        self.needs_bytes = matches!(end, ScanEnd::Need(_));
        match end {
            ScanEnd::Fault(error) => self.pending_error = Some(error),
            ScanEnd::Full => {}
            ScanEnd::Need(_) if !self.ended => {}
            ScanEnd::Need(size) => match self.read_error.take() {
                Some((cause, remedy)) => self.pending_error = Some(self.error(cause, remedy)),
                None if left > 0 || self.skip > 0 => {
                    let cause = format!("the file ends in the middle of a record ({left} of {size} bytes are there)");
                    self.pending_error = Some(self.error(cause, CUT));
                }
                None => return FillStatus::End,
            },
        }
        FillStatus::More
    }
}

impl<R: Read> PacketSource for FileSource<R> {
    /// Waits at most 250 ms for a pipe that can be interrupted. The block may be empty; its `elapsed` is then the time
    /// without a frame, once it has reached 250 ms.
    fn fill(&mut self, block: &mut Block) -> Result<FillStatus, SourceError> {
        let began = (self.options.mode == ReadMode::Arriving).then(Instant::now);
        let status = self.fill_block(block)?;
        if let Some(began) = began {
            self.quiet = if block.packets.is_empty() { self.quiet + began.elapsed() } else { Duration::ZERO };
            if self.quiet >= IDLE {
                block.elapsed = std::mem::take(&mut self.quiet);
            }
        }
        Ok(status)
    }
}

impl<R: Read> FileSource<R> {
    fn fill_block(&mut self, block: &mut Block) -> Result<FillStatus, SourceError> {
        block.input = self.options.index;
        if self.pending_error.is_none() {
            let end = match self.fill_from_rest(block) {
                Some(end) => end,
                None => self.fill_from_reader(block),
            };
            let status = self.finish_fill(end);
            if self.pending_error.is_none() || !block.packets.is_empty() {
                return Ok(status);
            }
        }
        block.clear();
        // After the error, the input is at its end.
        self.rest.clear();
        (self.at, self.skip, self.ended, self.read_error) = (0, 0, true, None);
        self.pending_error.take().map_or(Ok(FillStatus::End), Err)
    }
}

/// Parses the complete frames of a pcap file that follow each other from `at`, up to a remarkable one, which is nearly
/// the whole file. Returns where they end. `frames` is the number of frames before them; their positions are relative to `origin`.
fn scan_pcap(
    pcap: &Pcap,
    bytes: &[u8],
    mut at: usize,
    origin: usize,
    mut frames: u64,
    size: &BlockSize,
    packets: &mut Vec<FrameRef>,
) -> usize {
    while packets.len() < size.packets && at - origin < size.bytes {
        let Step::Frame { size, frame } = pcap.step(&bytes[at..]) else { break };
        if frame.is_beyond_snaplen {
            break;
        }
        frames += 1;
        packets.push(frame_ref(&frame, at - origin, frames));
        at += size;
    }
    at
}

/// Returns the reference to a frame whose record begins at `record` in the slab.
#[inline]
fn frame_ref(frame: &Frame, record: usize, number: u64) -> FrameRef {
    FrameRef {
        start: u32::try_from(record + frame.start).expect("a slab is below 2 GiB"),
        len: frame.len,
        wire_len: frame.wire_len,
        link: frame.link,
        frame: number,
        time: frame.time,
    }
}
