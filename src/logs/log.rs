//! Writes lines to standard output or to files in a directory. Only complete lines are written; lines that cannot be
//! written are kept and written first later. Lines are formatted by [`crate::format`].

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::format::{Format, Log};
use crate::logs::descriptor::LogDescriptor;
pub use crate::logs::error::{LogError, OpenError};
use crate::time::Timestamp;

crate::counters! {
    /// Counters of the logs.
    pub struct Counters {
        /// Lines written.
        lines: "output.lines",
        /// Lines lost because the output accepted no data for too long, or until the end.
        dropped: "output.dropped",
        /// Writes that failed.
        failures: "output.write_failures",
        /// Partial lines of an earlier process that were ended before appending.
        torn_repaired: "output.torn_repaired",
    }
}

/// Maximum number of bytes buffered for an output that accepts no data.
const MAX_PENDING: usize = 16 << 20;
/// Maximum time that the end of a live run waits for a reader.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Number of buffered bytes at which a write begins at the latest.
const BATCH: usize = 256 << 10;

/// A destination: the file of one log, or standard output for all logs.
///
/// Invariant: `pending` begins at the beginning of a line, unless a partial line was written that cannot be removed (to
/// a pipe).
#[derive(Debug)]
struct LogFile {
    log: Log,
    /// `None` for standard output.
    path: Option<PathBuf>,
    descriptor: LogDescriptor,
    pending: Vec<u8>,
    /// Whether the last write failed.
    failing: bool,
    /// Whether the reader is gone.
    closed: bool,
    /// Whether it accepts no data at the moment, and is not waited for.
    stalled: bool,
    /// Whether lines were dropped since it last accepted all data.
    overflowing: bool,
}

/// All logs of a run.
#[derive(Debug)]
pub struct LogSet {
    format: Format,
    logs: Vec<LogFile>,
    /// Counters of all logs.
    pub counters: Counters,
}

impl LogSet {
    /// Opens standard output: one stream for all logs, in the order in which their lines are added.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn stdout(format: Format) -> Result<Self, OpenError> {
        // A descriptor of its own: Rust's standard output buffers partial lines.
        let file = io::stdout().as_fd().try_clone_to_owned().map_err(OpenError::Stdout)?;
        let logs = format.logs().first().map(|&log| LogFile::new(log, None, File::from(file)));
        Ok(Self { format, logs: logs.into_iter().collect(), counters: Counters::default() })
    }

    /// Opens files in `directory`, which is created if it does not exist; lines are appended.
    ///
    /// # Errors
    /// When the directory or a file cannot be created or opened.
    pub fn directory(format: Format, directory: &Path, opened: Timestamp) -> Result<Self, OpenError> {
        std::fs::create_dir_all(directory).map_err(|error| OpenError::file(directory, error))?;
        let mut set = Self { format, logs: Vec::new(), counters: Counters::default() };
        for &log in format.logs() {
            let path = directory.join(log.file_name());
            let file = open(&path, &mut set.counters).map_err(|error| OpenError::file(&path, error))?;
            let mut log_file = LogFile::new(log, Some(path), file);
            log_file.write_header(format, opened);
            set.logs.push(log_file);
        }
        Ok(set)
    }

    /// Makes all writes non-blocking: data that are not accepted at once are buffered, up to 16 MiB per log.
    pub fn set_nonblocking(&mut self) {
        self.logs.iter_mut().for_each(|file| file.descriptor.blocking = false);
    }

    /// Returns whether lines are buffered for a reader that accepts none at the moment.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        self.logs.iter().any(|file| file.stalled)
    }

    /// Waits until a stalled reader accepts lines again, at most for `longest`.
    pub fn wait_writable(&self, longest: Duration) {
        if let Some(file) = self.logs.iter().find(|file| file.stalled) {
            file.descriptor.wait_writable(longest);
        }
    }

    /// Returns whether the lines are written to files.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.logs.iter().any(|file| file.path.is_some())
    }

    /// Returns whether another line of `log` can be buffered. If not, call [`LogSet::drop_line`].
    #[must_use]
    pub fn has_capacity(&self, log: Log) -> bool {
        self.logs[self.index_of(log)].pending.len() <= MAX_PENDING
    }

    /// Counts a line of `log` that is dropped because the buffer is full.
    pub fn drop_line(&mut self, log: Log) -> Option<LogError> {
        self.counters.dropped += 1;
        let at = self.index_of(log);
        let file = &mut self.logs[at];
        let is_first = !std::mem::replace(&mut file.overflowing, true);
        is_first.then(|| LogError::Overflow { log: file.name() })
    }

    /// Returns the buffer to which the next line of a log is appended. Call [`LogSet::line_added`] afterwards.
    pub fn buffer(&mut self, log: Log) -> &mut Vec<u8> {
        let at = self.index_of(log);
        &mut self.logs[at].pending
    }

    /// Returns the log's index in `logs`, which is never empty.
    fn index_of(&self, log: Log) -> usize {
        self.logs.iter().position(|file| file.log == log).unwrap_or(0)
    }

    /// Counts a line that was appended to the buffer of `log`, and writes the buffer when it is large enough.
    pub fn line_added(&mut self, log: Log) -> Option<LogError> {
        let at = self.index_of(log);
        let (counters, file) = (&mut self.counters, &mut self.logs[at]);
        counters.lines += 1;
        if file.pending.len() >= BATCH && !file.stalled { file.write(counters) } else { None }
    }

    /// Writes all buffered lines.
    pub fn flush(&mut self) -> Option<LogError> {
        let mut error = None;
        for file in &mut self.logs {
            error = file.write(&mut self.counters).or(error);
        }
        error
    }

    /// Closes the files and opens them by name again (log rotation). Buffered lines are written to the old files.
    pub fn reopen(&mut self, now: Timestamp) -> Option<LogError> {
        let mut error = self.flush();
        for file in &mut self.logs {
            let Some(path) = file.path.clone() else { continue };
            file.write_footer(self.format, now);
            error = file.write(&mut self.counters).or(error);
            match open(&path, &mut self.counters) {
                Ok(reopened) => {
                    file.descriptor = LogDescriptor::new(reopened, file.descriptor.blocking);
                    file.write_header(self.format, now);
                }
                // The old file stays in use.
                Err(cause) => error = Some(LogError::Reopen { log: file.name(), error: cause }),
            }
        }
        error
    }

    /// Writes the footers and all buffered lines. Lines that cannot be written now are lost, which is an error.
    pub fn close(&mut self, now: Timestamp) -> Option<LogError> {
        for file in &mut self.logs {
            if file.path.is_some() {
                file.write_footer(self.format, now);
            }
        }
        let started = Instant::now();
        let mut error = self.flush();
        while self.is_stalled() && started.elapsed() < CLOSE_TIMEOUT {
            self.wait_writable(CLOSE_TIMEOUT.saturating_sub(started.elapsed()));
            error = self.flush().or(error);
        }
        let mut lost = None;
        for file in &mut self.logs {
            lost = file.discard_pending(&mut self.counters).or(lost);
        }
        lost.or(error)
    }
}

impl LogFile {
    fn new(log: Log, path: Option<PathBuf>, file: File) -> Self {
        let descriptor = LogDescriptor::new(file, true);
        let (failing, closed, stalled, overflowing) = (false, false, false, false);
        Self { log, path, descriptor, pending: Vec::new(), failing, closed, stalled, overflowing }
    }

    fn write_header(&mut self, format: Format, opened: Timestamp) {
        format.header(self.log, opened, &mut self.pending);
    }

    fn write_footer(&mut self, format: Format, closed: Timestamp) {
        format.footer(self.log, closed, &mut self.pending);
    }

    /// Writes the buffer. Bytes that are not accepted stay in it, so that no line is torn.
    fn write(&mut self, counters: &mut Counters) -> Option<LogError> {
        let mut written = 0;
        let mut result = Ok(());
        self.stalled = false;
        while written < self.pending.len() && !self.closed && result.is_ok() {
            match self.descriptor.write(&self.pending[written..]) {
                Ok(0) => result = Err(io::Error::from(ErrorKind::WriteZero)),
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && !self.descriptor.blocking => {
                    self.stalled = true;
                    break;
                }
                // The pipe was made non-blocking by another process: its reader is slow, not gone.
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(5)),
                Err(error) => result = Err(error),
            }
        }
        if result.is_err() {
            written = self.truncate_partial_line(written);
        }
        self.pending.drain(..written);
        let error = match result {
            Ok(()) => {
                self.failing = false;
                self.overflowing &= self.stalled;
                return None;
            }
            Err(error) => error,
        };
        counters.failures += 1;
        if self.path.is_none() && error.kind() == ErrorKind::BrokenPipe {
            self.closed = true;
            return Some(LogError::Closed);
        }
        let is_first = !std::mem::replace(&mut self.failing, true);
        is_first.then(|| LogError::Write { log: self.name(), error })
    }

    /// After a write that stopped within a line: removes the partial line from the end of a regular file, so that it
    /// contains only complete lines. Returns how many bytes of `pending` are in the file afterwards.
    fn truncate_partial_line(&mut self, written: usize) -> usize {
        let complete = self.pending[..written].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let partial = (written - complete) as u64;
        let cut = |mut file: &File| -> io::Result<bool> {
            let metadata = file.metadata()?;
            // Another process appended to the file: it is not cut.
            if !metadata.is_file() || file.stream_position()? != metadata.len() {
                return Ok(false);
            }
            file.set_len(metadata.len().saturating_sub(partial))?;
            file.seek(SeekFrom::End(0))?;
            Ok(true)
        };
        if partial > 0 && matches!(cut(self.descriptor.file()), Ok(true)) { complete } else { written }
    }

    /// Discards the buffer at the end of a run; its lines are lost.
    fn discard_pending(&mut self, counters: &mut Counters) -> Option<LogError> {
        let lost = self.pending.iter().filter(|&&byte| byte == b'\n').count() as u64;
        self.pending.clear();
        if lost == 0 || self.closed {
            return None;
        }
        counters.lines = counters.lines.saturating_sub(lost);
        counters.dropped += lost;
        Some(LogError::Lost { log: self.name(), lines: lost })
    }

    fn name(&self) -> String {
        self.path.as_ref().map_or("standard output".into(), |path| path.display().to_string())
    }
}

/// Opens a log for appending, and ends a partial line of an earlier process.
fn open(path: &Path, counters: &mut Counters) -> io::Result<File> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let mut last = [b'\n'];
    if file.metadata()?.is_file() && file.metadata()?.len() > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    if last != *b"\n" {
        file.write_all(b"\n")?;
        counters.torn_repaired += 1;
    }
    Ok(file)
}
