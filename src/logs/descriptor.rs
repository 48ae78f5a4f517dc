//! The descriptor that lines are written to: blocking in replay, non-blocking in live runs, where nothing may wait for
//! a reader. Lines are buffered by [`super::log`].

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use crate::sys;

/// A pipe that polls writable accepts this many bytes at once, and writes them atomically (PIPE_BUF, pipe(7)).
const MAX_WRITE: usize = 4096;

/// A file, pipe, socket or terminal for lines.
///
/// Rationale: not `O_NONBLOCK`, which is a property of the open file: that of standard output may be a terminal that
/// the shell continues to use.
#[derive(Debug)]
pub(crate) struct LogDescriptor {
    file: File,
    /// Whether a reader limits the speed (a pipe, a socket, a terminal).
    is_stream: bool,
    /// Whether a write waits for the reader.
    pub(crate) blocking: bool,
}

impl LogDescriptor {
    pub(crate) fn new(file: File, blocking: bool) -> Self {
        let is_stream = file.metadata().is_ok_and(|metadata| !metadata.is_file());
        Self { file, is_stream, blocking }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Waits until a write is possible, or the reader is gone, at most for `longest`.
    pub(crate) fn wait_writable(&self, longest: Duration) {
        // The kernel is out of memory: the next write reports it.
        let _ = sys::wait_writable(self.file.as_fd(), longest);
    }
}

impl Write for LogDescriptor {
    /// Fails with [`ErrorKind::WouldBlock`] instead of waiting, unless the descriptor is blocking.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        if self.blocking || !self.is_stream {
            return self.file.write(lines);
        }
        if !sys::wait_writable(self.file.as_fd(), Duration::ZERO)? {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.file.write(first_lines(lines))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns as many complete lines as fit into [`MAX_WRITE`] bytes; a part of the first line if that is longer.
fn first_lines(lines: &[u8]) -> &[u8] {
    let most = &lines[..lines.len().min(MAX_WRITE)];
    if most.len() == lines.len() {
        return lines;
    }
    let end = most.iter().rposition(|&byte| byte == b'\n').map_or(most.len(), |at| at + 1);
    &most[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines_are_complete_where_possible() {
        assert_eq!(first_lines(b"one\ntwo\n"), b"one\ntwo\n");
        let mut lines = vec![b'x'; 3000];
        lines.push(b'\n');
        lines.extend([b'y'; 3000]);
        assert_eq!(first_lines(&lines).len(), 3001);
        assert_eq!(first_lines(&[b'z'; 9000]).len(), MAX_WRITE);
    }

    #[test]
    fn full_pipe_is_not_waited_for() {
        let (reader, writer) = io::pipe().unwrap();
        let mut descriptor = LogDescriptor::new(File::from(std::os::fd::OwnedFd::from(writer)), false);
        let line = [&[b'x'; 1000][..], b"\n"].concat();
        let mut written = 0;
        let error = loop {
            match descriptor.write(&line) {
                Ok(count) => written += count,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert!(written >= 16_000, "{written}");
        drop(reader);
        assert_eq!(descriptor.write(&line).unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}
