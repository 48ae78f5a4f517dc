//! Buffers a head that arrives in pieces, up to its blank line. Bounded; inspects every byte once.

use memchr::{memchr, memrchr};

/// Lines of a head received so far.
#[derive(Debug, Default)]
pub(super) struct HeadBuffer {
    bytes: Vec<u8>,
    line_start: usize,
    first_line_end: Option<usize>,
    /// Bytes of the head, including those not kept.
    seen: usize,
    /// Whether a part of the first line was not kept.
    pub(super) cut: bool,
}

/// Result of adding bytes, with the number of bytes consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// All were consumed, and the head continues.
    All,
    /// The first line is complete.
    FirstLine(usize),
    /// The head is complete: its blank line was added.
    Complete(usize),
    /// The head exceeds the limit.
    TooLong(usize),
}

impl HeadBuffer {
    /// Returns all kept bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the first line, complete or not.
    pub(super) fn first_line(&self) -> &[u8] {
        &self.bytes[..self.first_line_end.unwrap_or(self.bytes.len())]
    }

    /// Returns the lines after the first line.
    pub(super) fn fields(&self) -> &[u8] {
        &self.bytes[self.first_line_end.unwrap_or(self.bytes.len())..]
    }

    /// Returns the lines after the first line, without a last one whose end is missing. Such a line may also be folded
    /// (RFC 9112 section 5.2): then the line that it continues is not complete either.
    pub(super) fn complete_fields(&self) -> &[u8] {
        let start = self.first_line_end.unwrap_or(self.bytes.len());
        let (mut end, bytes) = (self.line_start.max(start), &self.bytes);
        while end > start && matches!(bytes.get(end), Some(b' ' | b'\t')) {
            end = memrchr(b'\n', &bytes[start..end - 1]).map_or(start, |line| start + line + 1);
        }
        &bytes[start..end]
    }

    pub(super) fn has_first_line(&self) -> bool {
        self.first_line_end.is_some()
    }

    /// Returns the memory held, in bytes. Rationale: buffers that grow alternately fragment the heap; the gaps are a
    /// third of their size (`limits::memory_is_counted_as_it_is`).
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity() / 3 * 4 + size_of::<Self>()
    }

    /// Reports whether the last byte was within a line that is not blank.
    pub(super) fn is_within_line(&self) -> bool {
        self.first_line_end.is_none() || self.bytes[self.line_start..].iter().any(|&byte| byte != b'\r')
    }

    /// Adds bytes up to the next event. `line` limits the bytes kept of the first line, `head` the bytes of the whole
    /// head. The result does not depend on how the bytes are split into pieces.
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

    /// Stores a part of a line; of the first line at most `line` bytes.
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

/// Reports whether a line, given without its line feed, is the blank line that ends a head.
pub(super) fn is_blank_line(line: &[u8]) -> bool {
    line.iter().all(|&byte| byte == b'\r')
}

/// Returns the length of a complete head: up to and including its first blank line that is not the first line.
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

/// Skips lines up to a blank one. Returns the number of bytes skipped and whether the blank line was found. `line` is
/// not 0 within a line that is not blank.
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
