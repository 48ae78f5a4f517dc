//! Replays capture files one after the other as one source. A file that cannot be read further is reported, and the
//! next one follows. Files are read by [`super::file`].

use crate::capture::block::{Block, BlockSize};
use crate::capture::bpf::Filter;
use crate::capture::file::{self, Expansion, FileSource, FrameFilter, Input, LeftOutReason};
use crate::capture::source::{FillStatus, PacketSource, ReplayCounters, SourceError, SourceStats};
use crate::sys::console::Console;

/// The files of a run.
pub(crate) struct Replay {
    inputs: Vec<Input>,
    next: usize,
    current: Option<FileSource>,
    size: BlockSize,
    filter: Option<Filter>,
    console: Console,
    /// Bytes of the files that are finished.
    finished_bytes: u64,
    pub(crate) counters: ReplayCounters,
}

impl Replay {
    /// Creates a source of the expanded inputs; errors, and what is left out, are reported at once.
    pub(crate) fn new(expansion: Expansion, size: BlockSize, filter: Option<Filter>, console: Console) -> Self {
        let mut counters = ReplayCounters::default();
        let mut inputs = Vec::new();
        for left_out in &expansion.left_out {
            match left_out.reason {
                LeftOutReason::Empty => counters.empty += left_out.count,
                _ => counters.left_out += left_out.count,
            }
            console.info(&left_out.to_string());
        }
        for input in expansion.inputs {
            match input {
                Ok(input) => inputs.push(input),
                Err(error) => {
                    counters.unreadable += 1;
                    console.error(&error.to_string());
                }
            }
        }
        Self { inputs, next: 0, current: None, size, filter, console, finished_bytes: 0, counters }
    }

    /// Returns the files that will be read.
    pub(crate) fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Returns the number of bytes read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.finished_bytes + self.current.as_ref().map_or(0, FileSource::bytes_read)
    }

    /// Returns whether an input could not be opened or not be read to its end.
    pub(crate) fn had_errors(&self) -> bool {
        let counters = &self.counters;
        counters.unreadable + counters.truncated + counters.overwritten + counters.unread_packets > 0
    }

    /// Reports and counts what was remarkable about the current file, and closes it.
    fn close_current(&mut self) {
        let Some(source) = self.current.take() else { return };
        self.finished_bytes += source.bytes_read();
        let remarks = source.remarks();
        self.counters.unread_packets += remarks.unread;
        self.counters.beyond_snaplen += remarks.beyond_snaplen;
        self.counters.trailing_bytes += remarks.trailing;
        remarks.messages(source.name()).iter().for_each(|line| self.console.error(line));
    }

    /// Opens the next file.
    fn open_next(&mut self) {
        let index = self.next;
        self.next += 1;
        let filter = frame_filter(self.filter.as_ref());
        // The list has far fewer than 2^32 files.
        match file::open(&self.inputs[index], index as u32, self.size, filter) {
            Ok(source) => {
                self.counters.files += 1;
                self.current = Some(source);
            }
            Err(_) if file::stop_requested() => {}
            Err(error) => {
                self.counters.unreadable += 1;
                self.console.error(&error.to_string());
            }
        }
    }
}

impl PacketSource for Replay {
    fn fill(&mut self, block: &mut Block) -> Result<FillStatus, SourceError> {
        loop {
            let Some(source) = &mut self.current else {
                if self.next == self.inputs.len() {
                    return Ok(FillStatus::End);
                }
                self.open_next();
                continue;
            };
            let result = source.fill(block);
            self.console.progress(self.bytes_read());
            let ended = match result {
                Ok(FillStatus::More) => false,
                Ok(FillStatus::End) => true,
                Err(error) => {
                    self.counters.truncated += 1;
                    self.console.error(&error.to_string());
                    true
                }
            };
            if ended {
                self.close_current();
            }
            if !ended || !block.packets.is_empty() {
                return Ok(FillStatus::More);
            }
        }
    }

    fn stats(&self) -> SourceStats {
        SourceStats { replay: self.counters, live: None }
    }
}

/// Returns a copy of a filter in the form that files are opened with.
pub(super) fn frame_filter(filter: Option<&Filter>) -> Option<FrameFilter> {
    filter.cloned().map(|mut filter| -> FrameFilter {
        Box::new(move |link, wire_len, bytes| filter.matches(link, wire_len, bytes).map_err(|error| error.to_string()))
    })
}
