//! A head that comes in pieces: its lines gathered until the blank one. Bounded, and every byte is looked at once.

use memchr::memchr;

/// The lines so far.
#[derive(Debug, Default)]
pub(super) struct HeadBuffer {
    bytes: Vec<u8>,
    line_start: usize,
    first_line_end: Option<usize>,
    /// Bytes of the head, kept or not.
    seen: usize,
    /// Whether a part of the first line was not kept.
    pub(super) cut: bool,
}

/// What adding bytes led to; with the number of bytes taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// All were taken, and the head goes on.
    All,
    /// The first line is complete.
    FirstLine(usize),
    /// The blank line came.
    Complete(usize),
    /// The head is longer than is kept.
    TooLong(usize),
}

impl HeadBuffer {
    /// All kept bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The first line, complete or not.
    pub(super) fn first_line(&self) -> &[u8] {
        &self.bytes[..self.first_line_end.unwrap_or(self.bytes.len())]
    }

    /// What follows the first line.
    pub(super) fn fields(&self) -> &[u8] {
        &self.bytes[self.first_line_end.unwrap_or(self.bytes.len())..]
    }

    pub(super) fn has_first_line(&self) -> bool {
        self.first_line_end.is_some()
    }

    /// Memory held, in bytes. Rationale: buffers that grow by turns leave gaps in the heap, a third of what they
    /// hold (`limits::memory_is_counted_as_it_is`).
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity() / 3 * 4 + size_of::<Self>()
    }

    /// Whether the last byte was in the middle of a line that is not blank.
    pub(super) fn is_within_line(&self) -> bool {
        self.first_line_end.is_none() || self.bytes[self.line_start..].iter().any(|&byte| byte != b'\r')
    }

    /// Adds bytes up to the next event. `line`: bytes kept of the first line; `head`: bytes of the whole head. Where
    /// the bytes are cut into pieces makes no difference.
    pub(super) fn add(&mut self, bytes: &[u8], line: usize, head: usize) -> Added {
        let mut taken = 0;
        while taken < bytes.len() {
            let space = head.saturating_sub(self.seen);
            if space == 0 {
                return Added::TooLong(taken);
            }
            let rest = &bytes[taken..bytes.len().min(taken.saturating_add(space))];
            let end = memchr(b'\n', rest).map(|end| end + 1);
            let part = &rest[..end.unwrap_or(rest.len())];
            taken += part.len();
            self.seen = self.seen.saturating_add(part.len());
            self.store(part, line);
            if end.is_some() {
                let blank = self.bytes[self.line_start..].iter().all(|byte| matches!(byte, b'\r' | b'\n'));
                self.line_start = self.bytes.len();
                if self.first_line_end.is_none() {
                    self.first_line_end = Some(self.bytes.len());
                    return Added::FirstLine(taken);
                }
                if blank {
                    return Added::Complete(taken);
                }
            }
        }
        Added::All
    }

    /// Keeps a part of a line; of the first line only so much.
    fn store(&mut self, part: &[u8], line: usize) {
        if self.first_line_end.is_some() {
            self.bytes.extend_from_slice(part);
            return;
        }
        let space = line.saturating_sub(self.bytes.len());
        self.cut |= part.len() > space;
        self.bytes.extend_from_slice(&part[..part.len().min(space)]);
    }
}

/// Whether a line without its line feed is the one that ends a head.
pub(super) fn is_blank_line(line: &[u8]) -> bool {
    line.iter().all(|&byte| byte == b'\r')
}

/// Where a head ends that is wholly there: behind its first blank line that is not at its beginning.
pub(super) fn find_end(bytes: &[u8]) -> Option<usize> {
    let mut line_start = 0;
    let mut first = true;
    while let Some(end) = memchr(b'\n', &bytes[line_start..]) {
        let line = &bytes[line_start..line_start + end];
        line_start += end + 1;
        if !first && is_blank_line(line) {
            return Some(line_start);
        }
        first = false;
    }
    None
}

/// Passes over lines up to a blank one. Says how many bytes, and whether it came. `line` is not 0 within a line that is
/// not blank.
pub(super) fn skip_lines(line: &mut u32, bytes: &[u8]) -> (usize, bool) {
    let mut at = 0;
    while let Some(end) = memchr(b'\n', &bytes[at..]) {
        let blank = *line == 0 && is_blank_line(&bytes[at..at + end]);
        at += end + 1;
        *line = 0;
        if blank {
            return (at, true);
        }
    }
    *line |= u32::from(bytes[at..].iter().any(|&byte| byte != b'\r'));
    (bytes.len(), false)
}
