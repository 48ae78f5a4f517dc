//! Capture files one after the other as one source. A file that can't be read further is told of and left; the next one
//! follows. Not the reading of a file: see [`super::file`].

use crate::capture::block::{Block, BlockSize};
use crate::capture::bpf::Filter;
use crate::capture::file::{self, FileSource, FrameFilter, Input};
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
    /// Bytes of the files that are done.
    done: u64,
    pub(crate) counters: ReplayCounters,
}

impl Replay {
    /// Expands what the user named. What can't be opened is told of at once.
    pub(crate) fn new(
        expanded: Vec<Result<Input, SourceError>>,
        size: BlockSize,
        filter: Option<Filter>,
        console: Console,
    ) -> Self {
        let mut counters = ReplayCounters::default();
        let mut inputs = Vec::new();
        for input in expanded {
            match input {
                Ok(input) => inputs.push(input),
                Err(error) => {
                    counters.unreadable += 1;
                    console.error(&error.to_string());
                }
            }
        }
        Self { inputs, next: 0, current: None, size, filter, console, done: 0, counters }
    }

    /// The files that will be read.
    pub(crate) fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Bytes read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.done + self.current.as_ref().map_or(0, FileSource::bytes_read)
    }

    /// Whether some input could not be opened, or not be read to its end.
    pub(crate) fn had_errors(&self) -> bool {
        self.counters.unreadable + self.counters.truncated > 0
    }

    fn open(&mut self) {
        let index = self.next;
        self.next += 1;
        let filter = self.filter.clone().map(|mut filter| -> FrameFilter {
            Box::new(move |link, wire_len, bytes| {
                filter.matches(link, wire_len, bytes).map_err(|error| error.to_string())
            })
        });
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
                self.open();
                continue;
            };
            let result = source.fill(block);
            self.console.progress(self.bytes_read());
            let over = match result {
                Ok(FillStatus::More) => false,
                Ok(FillStatus::End) => true,
                Err(error) => {
                    self.counters.truncated += 1;
                    self.console.error(&error.to_string());
                    true
                }
            };
            if over {
                self.done = self.bytes_read();
                self.current = None;
            }
            if !over || !block.packets.is_empty() {
                return Ok(FillStatus::More);
            }
        }
    }

    fn stats(&self) -> SourceStats {
        SourceStats { replay: self.counters, live: None }
    }
}
