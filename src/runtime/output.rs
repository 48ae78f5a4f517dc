//! Where lines go: standard output, or files in a directory. Whole lines only; what could not be written is kept and
//! written first when there is room again. Not the making of lines.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::format::{Format, Log};
use crate::time::Timestamp;

crate::counters! {
    /// What this room counts.
    pub struct Counters {
        /// Lines handed to the system.
        lines: "output.lines",
        /// Lines dropped because the output took nothing for too long.
        dropped: "output.dropped",
        /// Writes that failed.
        failures: "output.write_failures",
        /// Half lines of an earlier process that were ended before appending.
        torn_repaired: "output.torn_repaired",
    }
}

/// Bytes kept for an output that takes nothing at the moment.
const KEPT: usize = 16 << 20;
/// A write begins when this many bytes are there, at the latest.
const BATCH: usize = 256 << 10;

/// What became of a write.
#[derive(Debug)]
pub enum Trouble {
    /// Nobody reads any more (EPIPE).
    Closed,
    /// It failed; told for the first time since it last worked. The line says what.
    Failing(String),
}

/// One log's destination.
#[derive(Debug)]
struct Sink {
    log: Log,
    /// `None` for standard output.
    path: Option<PathBuf>,
    file: Option<File>,
    pending: Vec<u8>,
    failing: bool,
}

/// All logs of a run.
#[derive(Debug)]
pub struct Output {
    format: Format,
    sinks: Vec<Sink>,
    /// What was counted.
    pub counters: Counters,
}

impl Output {
    /// Standard output.
    #[must_use]
    pub fn stdout(format: Format) -> Self {
        let sink = |&log| Sink { log, path: None, file: None, pending: Vec::new(), failing: false };
        Self { format, sinks: format.logs().iter().map(sink).collect(), counters: Counters::default() }
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
        let mut output = Self::stdout(format);
        for sink in &mut output.sinks {
            let path = directory.join(sink.log.file_name());
            sink.file = Some(open(&path, &mut output.counters).map_err(|error| explain(&path, &error))?);
            sink.path = Some(path);
            sink.begin(format, opened);
        }
        Ok(output)
    }

    /// Whether the lines go to files.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.sinks.iter().any(|sink| sink.path.is_some())
    }

    /// The buffer that the next line of a log is to be appended to. Call [`Output::line_added`] then.
    pub fn buffer(&mut self, log: Log) -> &mut Vec<u8> {
        let at = self.sinks.iter().position(|sink| sink.log == log).unwrap_or(0);
        &mut self.sinks[at].pending
    }

    /// A line was appended to the buffer of `log`, which had `before` bytes.
    pub fn line_added(&mut self, log: Log, before: usize) -> Option<Trouble> {
        let (counters, sinks) = (&mut self.counters, &mut self.sinks);
        let sink = sinks.iter_mut().find(|sink| sink.log == log)?;
        if sink.pending.len() > KEPT {
            sink.pending.truncate(before);
            counters.dropped += 1;
            return None;
        }
        counters.lines += 1;
        if sink.pending.len() >= BATCH { sink.write(counters) } else { None }
    }

    /// Writes what is there.
    pub fn flush(&mut self) -> Option<Trouble> {
        let mut trouble = None;
        for sink in &mut self.sinks {
            trouble = sink.write(&mut self.counters).or(trouble);
        }
        trouble
    }

    /// Closes the files and opens them by name again (log rotation). What is not written yet goes to the old ones.
    pub fn reopen(&mut self, now: Timestamp) -> Option<Trouble> {
        let mut trouble = self.flush();
        for sink in &mut self.sinks {
            let Some(path) = sink.path.clone() else { continue };
            sink.end(self.format, now);
            trouble = sink.write(&mut self.counters).or(trouble);
            match open(&path, &mut self.counters) {
                Ok(file) => {
                    sink.file = Some(file);
                    sink.begin(self.format, now);
                }
                Err(error) => {
                    // The old file stays: better there than nowhere.
                    let text =
                        format!("{}: cannot be opened again: {error} (the old file stays in use)", path.display());
                    trouble = Some(Trouble::Failing(text));
                }
            }
        }
        trouble
    }

    /// Writes the ends of the logs and everything else that is there.
    pub fn close(&mut self, now: Timestamp) -> Option<Trouble> {
        for sink in &mut self.sinks {
            if sink.path.is_some() {
                sink.end(self.format, now);
            }
        }
        self.flush()
    }
}

impl Sink {
    fn begin(&mut self, format: Format, opened: Timestamp) {
        format.header(self.log, opened, &mut self.pending);
    }

    fn end(&mut self, format: Format, closed: Timestamp) {
        format.footer(self.log, closed, &mut self.pending);
    }

    /// Writes all that is pending; what the system does not take stays, so that no line is ever torn.
    fn write(&mut self, counters: &mut Counters) -> Option<Trouble> {
        let mut written = 0;
        let mut result = Ok(());
        while written < self.pending.len() {
            let rest = &self.pending[written..];
            let attempt = match &mut self.file {
                Some(file) => file.write(rest),
                None => io::stdout().lock().write(rest),
            };
            match attempt {
                Ok(0) => result = Err(io::Error::from(ErrorKind::WriteZero)),
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => result = Err(error),
            }
            if result.is_err() {
                break;
            }
        }
        self.pending.drain(..written);
        let error = match result.and_then(|()| if self.file.is_none() { io::stdout().flush() } else { Ok(()) }) {
            Ok(()) => {
                self.failing = false;
                return None;
            }
            Err(error) => error,
        };
        counters.failures += 1;
        if self.path.is_none() && error.kind() == ErrorKind::BrokenPipe {
            return Some(Trouble::Closed);
        }
        let first = !std::mem::replace(&mut self.failing, true);
        let name = self.path.as_ref().map_or("standard output".into(), |path| path.display().to_string());
        first.then(|| Trouble::Failing(format!("{name}: {error} (lines are kept, up to 16 MiB, and tried again)")))
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
