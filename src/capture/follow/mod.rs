//! Follows capture files while they are written: single files, and directories into which a recorder puts a new file now
//! and then (rings of `tcpdump -C -W` and `dumpcap -b`). Which files there are is found by [`directory_scan`]; files are
//! read by [`super::file`].
//!
//! A file is read to its last complete record, and further when it has grown. A new file is begun when the files before
//! it have no more bytes. A file that is overwritten in place, or replaced, is read again from its beginning.

mod directory_scan;
mod followed_file;
mod identity;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use self::directory_scan::DirectoryScan;
use self::followed_file::{FollowedFile, Found, Poll};
use crate::capture::block::{Block, BlockSize};
use crate::capture::bpf::Filter;
use crate::capture::file::Remarks;
use crate::capture::replay::frame_filter;
use crate::capture::source::{FillStatus, PacketSource, ReplayCounters, SourceError, SourceStats};
use crate::sys::console::Console;
use crate::sys::{EventFd, Signals};

/// Time between two looks at the open files. Rationale: alerts come soon, at a negligible cost.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Time between two scans of the directories, at least.
const SCAN_INTERVAL: Duration = Duration::from_millis(250);
/// A scan may take one part in this many of the time. Rationale: directories with many thousand files.
const SCAN_SHARE: u32 = 20;
/// Files kept open at their ends, at most: those of several recorders, and some that were finished.
const MAX_OPEN: usize = 16;
/// Inputs with different numbers, at most; then numbers are used again. Rationale: a record is written long before so
/// many further files were begun.
const MAX_INPUTS: u32 = 4096;
/// How long the files must be without a new byte before packet time advances by itself. Rationale: recorders write
/// packets up to a second after they captured them.
const QUIET: Duration = Duration::from_secs(2);

/// Files and directories that are followed.
pub(crate) struct Follow {
    scan: DirectoryScan,
    /// Found and not begun yet, in order.
    queue: VecDeque<Found>,
    /// In the order in which they were begun.
    open: Vec<FollowedFile>,
    next_scan: Instant,
    next_input: u32,
    on_input: Box<dyn FnMut(u32, PathBuf)>,
    size: BlockSize,
    filter: Option<Filter>,
    console: Console,
    counters: ReplayCounters,
    /// Never notified: only a signal ends a wait.
    idle: EventFd,
    last_packet: Instant,
    /// The end of the previous block, or of the quiet time before which packet time does not advance.
    ticked: Instant,
}

impl Follow {
    /// Creates a source for these files and directories. `on_input` is called with the number and the name of each file
    /// that is begun, before its first packet is delivered.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub(crate) fn new(
        paths: &[PathBuf],
        size: BlockSize,
        filter: Option<Filter>,
        console: Console,
        on_input: Box<dyn FnMut(u32, PathBuf)>,
    ) -> std::io::Result<Self> {
        let now = Instant::now();
        Ok(Self {
            scan: DirectoryScan::new(paths, console.clone()),
            queue: VecDeque::new(),
            open: Vec::new(),
            next_scan: now,
            next_input: 0,
            on_input,
            size,
            filter,
            console,
            counters: ReplayCounters::default(),
            idle: EventFd::new()?,
            last_packet: now,
            ticked: now,
        })
    }

    /// Returns whether an input could not be read completely.
    pub(crate) fn had_errors(&self) -> bool {
        let counters = self.stats().replay;
        counters.unreadable + counters.truncated + counters.overwritten + counters.unread_packets > 0
    }

    /// Reports what was remarkable about the files that are still open.
    pub(crate) fn close(&mut self) {
        while !self.open.is_empty() {
            self.close_file(0);
        }
    }

    /// Delivers packets of the first open file that has some. Returns false if none has.
    fn poll_files(&mut self, block: &mut Block) -> bool {
        let mut at = 0;
        while at < self.open.len() {
            block.clear();
            match self.open[at].poll(block) {
                Poll::Packets => return true,
                Poll::AtEnd => at += 1,
                Poll::Ended => self.close_file(at),
                Poll::Failed(error) => {
                    self.counters.truncated += 1;
                    self.console.error(&error.to_string());
                    self.open[at].has_failed = true;
                    self.close_file(at);
                }
                Poll::Overwritten { is_loss } => {
                    if is_loss {
                        let name = self.open[at].name().to_owned();
                        self.report_overwritten(&name);
                    }
                    let path = self.open[at].path.clone();
                    self.close_file(at);
                    self.scan.forget(&path);
                }
            }
        }
        block.clear();
        false
    }

    /// Closes a file, and keeps what is needed to recognise it.
    fn close_file(&mut self, at: usize) {
        let file = self.open.remove(at);
        let remarks = file.remarks();
        add(&mut self.counters, &remarks);
        remarks.messages(file.name()).iter().for_each(|line| self.console.error(line));
        self.scan.closed(file);
    }

    /// Scans for new and changed files, unless that was done a moment ago.
    fn scan_if_due(&mut self) {
        let begun = Instant::now();
        if begun < self.next_scan {
            return;
        }
        let changes = self.scan.scan(&mut self.open);
        self.counters.left_out += changes.left_out;
        self.counters.empty = changes.empty;
        self.counters.unreadable += changes.errors.len() as u64;
        changes.errors.iter().for_each(|error| self.console.error(&error.to_string()));
        let queue = std::mem::take(&mut self.queue);
        let (lost, kept) = queue.into_iter().partition::<VecDeque<_>, _>(|queued| changes.lost.contains(&queued.path));
        self.queue = kept;
        lost.iter().for_each(|queued| self.report_overwritten(&queued.path.display().to_string()));
        self.queue.extend(changes.found);
        self.next_scan = Instant::now() + SCAN_INTERVAL.max(begun.elapsed() * SCAN_SHARE);
    }

    fn report_overwritten(&mut self, name: &str) {
        self.counters.overwritten += 1;
        self.console.error(&format!(
            "{name}: overwritten or removed before it was read to its end (give the ring more or larger files)"
        ));
    }

    /// Begins the next file. Returns false if there is none.
    fn open_next(&mut self) -> bool {
        let Some(found) = self.queue.pop_front() else { return false };
        if self.open.len() >= MAX_OPEN {
            let idle = (0..self.open.len()).min_by_key(|&at| self.open[at].last_packet).unwrap_or_default();
            if self.open[idle].is_within_record() {
                self.counters.truncated += 1;
                let name = self.open[idle].name();
                self.console.error(&format!("{name}: ends in the middle of a record, and does not grow any more"));
            }
            self.close_file(idle);
        }
        let input = self.next_input % MAX_INPUTS;
        match FollowedFile::open(&found, input, self.size, frame_filter(self.filter.as_ref())) {
            Ok(file) => {
                self.next_input = input + 1;
                self.counters.files += u64::from(!found.is_continued());
                (self.on_input)(input, found.path);
                self.open.push(file);
            }
            Err(_) if !found.path.exists() => self.report_overwritten(&found.path.display().to_string()),
            Err(error) => self.report_unreadable(&found, &error),
        }
        true
    }

    fn report_unreadable(&mut self, found: &Found, error: &SourceError) {
        self.counters.unreadable += 1;
        self.console.error(&error.to_string());
        self.scan.failed(found);
    }

    /// Waits for a moment. Packet time advances with the time waited, once there was no packet for a while. If a file
    /// ends within a record, its recorder writes blocks of a buffer, which holds packets of that time: then it does not.
    fn wait(&mut self, block: &mut Block) {
        if let Some(signals) = Signals::installed() {
            use std::os::fd::AsFd;
            // A failed wait is a short one.
            let _ = signals.wait_readable(self.idle.as_fd(), POLL_INTERVAL);
        } else {
            std::thread::sleep(POLL_INTERVAL);
        }
        let now = Instant::now();
        let is_buffered = self.open.iter().any(FollowedFile::is_within_record);
        if !is_buffered && now >= self.last_packet + QUIET {
            block.elapsed = now.saturating_duration_since(self.ticked.max(self.last_packet + QUIET));
        }
        self.ticked = now;
    }
}

impl PacketSource for Follow {
    fn fill(&mut self, block: &mut Block) -> Result<FillStatus, SourceError> {
        loop {
            if self.poll_files(block) {
                self.last_packet = Instant::now();
                return Ok(FillStatus::More);
            }
            self.scan_if_due();
            if !self.open_next() {
                self.wait(block);
                return Ok(FillStatus::More);
            }
        }
    }

    fn stats(&self) -> SourceStats {
        let mut replay = self.counters;
        self.open.iter().for_each(|file| add(&mut replay, &file.remarks()));
        SourceStats { replay, live: None }
    }
}

/// Counts what was remarkable about a file.
fn add(counters: &mut ReplayCounters, remarks: &Remarks) {
    counters.unread_packets += remarks.unread;
    counters.beyond_snaplen += remarks.beyond_snaplen;
    counters.trailing_bytes += remarks.trailing;
}
