//! The descriptor that lines are written to: one that is waited for (replay), or one that takes what it can take at once
//! (live, where nothing may wait for a reader). Not the keeping of lines, which `output` does.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use crate::sys;

/// A pipe that polls writable takes this many bytes without a wait, and takes them whole (PIPE_BUF, pipe(7)).
const PORTION: usize = 4096;

/// A descriptor for lines.
///
/// Rationale: not `O_NONBLOCK`, which belongs to the open file, and that of standard output may be a terminal's that
/// the shell goes on to use.
#[derive(Debug)]
pub(crate) struct LogDescriptor {
    file: File,
    /// Whether a reader decides how fast it takes (a pipe, a socket, a terminal).
    is_stream: bool,
    pub(crate) waits: bool,
}

impl LogDescriptor {
    pub(crate) fn new(file: File, waits: bool) -> Self {
        let is_stream = file.metadata().is_ok_and(|metadata| !metadata.is_file());
        Self { file, is_stream, waits }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Waits until there is room for more, or the reader is gone, at most for `longest`.
    pub(crate) fn wait_for_room(&self, longest: Duration) {
        // Out of memory in the kernel: the write will tell.
        let _ = sys::wait_writable(self.file.as_fd(), longest);
    }
}

impl Write for LogDescriptor {
    /// Fails with [`ErrorKind::WouldBlock`] where it would have to wait and must not.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        if self.waits || !self.is_stream {
            return self.file.write(lines);
        }
        if !sys::wait_writable(self.file.as_fd(), Duration::ZERO)? {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.file.write(portion(lines))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// As many whole lines as fit into a portion; a part of the first one if that is longer.
fn portion(lines: &[u8]) -> &[u8] {
    let most = &lines[..lines.len().min(PORTION)];
    if most.len() == lines.len() {
        return lines;
    }
    let whole = most.iter().rposition(|&byte| byte == b'\n').map_or(most.len(), |at| at + 1);
    &most[..whole]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_portion_is_whole_lines_where_it_can_be() {
        assert_eq!(portion(b"one\ntwo\n"), b"one\ntwo\n");
        let mut lines = vec![b'x'; 3000];
        lines.push(b'\n');
        lines.extend([b'y'; 3000]);
        assert_eq!(portion(&lines).len(), 3001);
        assert_eq!(portion(&[b'z'; 9000]).len(), PORTION);
    }

    #[test]
    fn a_full_pipe_is_not_waited_for() {
        let (reader, writer) = io::pipe().unwrap();
        let mut descriptor = LogDescriptor::new(File::from(std::os::fd::OwnedFd::from(writer)), false);
        let line = [&[b'x'; 1000][..], b"\n"].concat();
        let mut taken = 0;
        let error = loop {
            match descriptor.write(&line) {
                Ok(count) => taken += count,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert!(taken >= 16_000, "{taken}");
        drop(reader);
        assert_eq!(descriptor.write(&line).unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}
