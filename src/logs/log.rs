//! Where lines go: standard output, or files in a directory. Whole lines only; what could not be written is kept and
//! written first when there is room again. Not the making of lines.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::format::{Format, Log};
use crate::logs::descriptor::LogDescriptor;
use crate::time::Timestamp;

crate::counters! {
    /// What this room counts.
    pub struct Counters {
        /// Lines handed to the system.
        lines: "output.lines",
        /// Lines lost because the output took nothing for too long, or until the end.
        dropped: "output.dropped",
        /// Writes that failed.
        failures: "output.write_failures",
        /// Half lines of an earlier process that were ended before appending.
        torn_repaired: "output.torn_repaired",
    }
}

/// Bytes kept for an output that takes nothing at the moment.
const KEPT: usize = 16 << 20;
/// How long the end of a run waits for a reader, live.
const GRACE: Duration = Duration::from_secs(2);
/// A write begins when this many bytes are there, at the latest.
const BATCH: usize = 256 << 10;

/// What became of a write.
#[derive(Debug)]
pub enum LogError {
    /// Nobody reads any more (EPIPE).
    Closed,
    /// It failed; told for the first time since it last worked. The line says what.
    Failing(String),
}

/// A destination: the file of one log, or standard output for all of them.
///
/// Invariant: `pending` begins at the beginning of a line, unless the system took half a line and would not give it
/// back (a pipe).
#[derive(Debug)]
struct LogFile {
    log: Log,
    /// `None` for standard output.
    path: Option<PathBuf>,
    descriptor: LogDescriptor,
    pending: Vec<u8>,
    failing: bool,
    closed: bool,
    /// It takes nothing at the moment, and must not be waited for.
    stalled: bool,
    /// That it loses lines was told.
    overflowing: bool,
}

/// All logs of a run.
#[derive(Debug)]
pub struct LogSet {
    format: Format,
    logs: Vec<LogFile>,
    /// What was counted.
    pub counters: Counters,
}

impl LogSet {
    /// Standard output: one stream for all logs, in the order in which their lines are added.
    ///
    /// # Errors
    /// A line with the cause, when the process has no descriptor left.
    pub fn stdout(format: Format) -> Result<Self, String> {
        // Its own descriptor: Rust's standard output keeps half lines in a buffer.
        let file = io::stdout()
            .as_fd()
            .try_clone_to_owned()
            .map_err(|error| format!("standard output: cannot be written: {error} (close other files)"))?;
        let logs = format.logs().first().map(|&log| LogFile::new(log, None, File::from(file)));
        Ok(Self { format, logs: logs.into_iter().collect(), counters: Counters::default() })
    }

    /// Files in `directory`, which is made if it is not there; lines are appended.
    ///
    /// # Errors
    /// A line with the path, the cause and the way out.
    pub fn directory(format: Format, directory: &Path, opened: Timestamp) -> Result<Self, String> {
        let explain = |path: &Path, error: &io::Error| {
            format!("{}: cannot be written: {error} (give -l a directory that this user may write)", path.display())
        };
        std::fs::create_dir_all(directory).map_err(|error| explain(directory, &error))?;
        let mut output = Self { format, logs: Vec::new(), counters: Counters::default() };
        for &log in format.logs() {
            let path = directory.join(log.file_name());
            let file = open(&path, &mut output.counters).map_err(|error| explain(&path, &error))?;
            let mut sink = LogFile::new(log, Some(path), file);
            sink.begin(format, opened);
            output.logs.push(sink);
        }
        Ok(output)
    }

    /// From now on nothing waits for a reader: what is not taken at once is kept, up to a bound.
    pub fn never_wait(&mut self) {
        self.logs.iter_mut().for_each(|sink| sink.descriptor.waits = false);
    }

    /// Whether lines are kept for a reader who takes none at the moment.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        self.logs.iter().any(|sink| sink.stalled)
    }

    /// Waits until a reader who took none takes lines again, at most for `longest`.
    pub fn wait_for_room(&self, longest: Duration) {
        if let Some(sink) = self.logs.iter().find(|sink| sink.stalled) {
            sink.descriptor.wait_for_room(longest);
        }
    }

    /// Whether the lines go to files.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.logs.iter().any(|sink| sink.path.is_some())
    }

    /// Whether there is room for another line of `log`. Without, call [`LogSet::drop_line`].
    #[must_use]
    pub fn has_room(&self, log: Log) -> bool {
        self.logs[self.at(log)].pending.len() <= KEPT
    }

    /// A line of `log` is lost, since there is no room for it.
    pub fn drop_line(&mut self, log: Log) -> Option<LogError> {
        self.counters.dropped += 1;
        let at = self.at(log);
        let sink = &mut self.logs[at];
        let first = !std::mem::replace(&mut sink.overflowing, true);
        let text = || format!("{}: takes no more, and 16 MiB are kept: records are lost now", sink.name());
        first.then(|| LogError::Failing(text()))
    }

    /// The buffer that the next line of a log is to be appended to. Call [`LogSet::line_added`] then.
    pub fn buffer(&mut self, log: Log) -> &mut Vec<u8> {
        let at = self.at(log);
        &mut self.logs[at].pending
    }

    /// The log's place in `logs`, which is never empty.
    fn at(&self, log: Log) -> usize {
        self.logs.iter().position(|sink| sink.log == log).unwrap_or(0)
    }

    /// A line was appended to the buffer of `log`.
    pub fn line_added(&mut self, log: Log) -> Option<LogError> {
        let at = self.at(log);
        let (counters, sink) = (&mut self.counters, &mut self.logs[at]);
        counters.lines += 1;
        if sink.pending.len() >= BATCH && !sink.stalled { sink.write(counters) } else { None }
    }

    /// Writes what is there.
    pub fn flush(&mut self) -> Option<LogError> {
        let mut trouble = None;
        for sink in &mut self.logs {
            trouble = sink.write(&mut self.counters).or(trouble);
        }
        trouble
    }

    /// Closes the files and opens them by name again (log rotation). What is not written yet goes to the old ones.
    pub fn reopen(&mut self, now: Timestamp) -> Option<LogError> {
        let mut trouble = self.flush();
        for sink in &mut self.logs {
            let Some(path) = sink.path.clone() else { continue };
            sink.end(self.format, now);
            trouble = sink.write(&mut self.counters).or(trouble);
            match open(&path, &mut self.counters) {
                Ok(file) => {
                    sink.descriptor = LogDescriptor::new(file, sink.descriptor.waits);
                    sink.begin(self.format, now);
                }
                Err(error) => {
                    // The old file stays: better there than nowhere.
                    let text =
                        format!("{}: cannot be opened again: {error} (the old file stays in use)", path.display());
                    trouble = Some(LogError::Failing(text));
                }
            }
        }
        trouble
    }

    /// Writes the ends of the logs and everything else that is there; what can't be written now is lost, and told.
    pub fn close(&mut self, now: Timestamp) -> Option<LogError> {
        for sink in &mut self.logs {
            if sink.path.is_some() {
                sink.end(self.format, now);
            }
        }
        let begun = Instant::now();
        let mut trouble = self.flush();
        while self.is_stalled() && begun.elapsed() < GRACE {
            self.wait_for_room(GRACE.saturating_sub(begun.elapsed()));
            trouble = self.flush().or(trouble);
        }
        let mut lost = None;
        for sink in &mut self.logs {
            lost = sink.discard_pending(&mut self.counters).or(lost);
        }
        lost.or(trouble)
    }
}

impl LogFile {
    fn new(log: Log, path: Option<PathBuf>, file: File) -> Self {
        let descriptor = LogDescriptor::new(file, true);
        let (failing, closed, stalled, overflowing) = (false, false, false, false);
        Self { log, path, descriptor, pending: Vec::new(), failing, closed, stalled, overflowing }
    }

    fn begin(&mut self, format: Format, opened: Timestamp) {
        format.header(self.log, opened, &mut self.pending);
    }

    fn end(&mut self, format: Format, closed: Timestamp) {
        format.footer(self.log, closed, &mut self.pending);
    }

    /// Writes all that is pending; what the system does not take stays, so that no line is ever torn.
    fn write(&mut self, counters: &mut Counters) -> Option<LogError> {
        let mut written = 0;
        let mut result = Ok(());
        self.stalled = false;
        while written < self.pending.len() && !self.closed && result.is_ok() {
            match self.descriptor.write(&self.pending[written..]) {
                Ok(0) => result = Err(io::Error::from(ErrorKind::WriteZero)),
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && !self.descriptor.waits => {
                    self.stalled = true;
                    break;
                }
                // A pipe that somebody made so: its reader is slow, not gone.
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
        let first = !std::mem::replace(&mut self.failing, true);
        first.then(|| {
            LogError::Failing(format!("{}: {error} (lines are kept, up to 16 MiB, and tried again)", self.name()))
        })
    }

    /// After a write that stopped within a line: cuts the half line from the end of a regular file, so that whoever
    /// reads it finds whole lines. Returns how many bytes of `pending` are in the file then.
    fn truncate_partial_line(&mut self, written: usize) -> usize {
        let whole = self.pending[..written].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let half = (written - whole) as u64;
        let cut = |mut file: &File| -> io::Result<bool> {
            let metadata = file.metadata()?;
            // Where others wrote behind us, it is not ours to cut.
            if !metadata.is_file() || file.stream_position()? != metadata.len() {
                return Ok(false);
            }
            file.set_len(metadata.len().saturating_sub(half))?;
            file.seek(SeekFrom::End(0))?;
            Ok(true)
        };
        if half > 0 && matches!(cut(self.descriptor.file()), Ok(true)) { whole } else { written }
    }

    /// At the end: what is still pending is lost.
    fn discard_pending(&mut self, counters: &mut Counters) -> Option<LogError> {
        let lost = self.pending.iter().filter(|&&byte| byte == b'\n').count() as u64;
        self.pending.clear();
        if lost == 0 || self.closed {
            return None;
        }
        counters.lines = counters.lines.saturating_sub(lost);
        counters.dropped += lost;
        Some(LogError::Failing(format!("{}: {lost} lines could not be written and are lost", self.name())))
    }

    fn name(&self) -> String {
        self.path.as_ref().map_or("standard output".into(), |path| path.display().to_string())
    }
}

/// Opens a log for appending; ends a half line that an earlier process left.
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
