//! A buffered reader of a compressed file: looks ahead without consuming, and counts the bytes read.

use std::io::{BufRead, Read, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Size of the buffer in bytes. Rationale: the size of a pipe.
const BUFFER: usize = 64 << 10;

/// Bytes of a compressed file, counted while it is read: shared with the source that reads its content.
#[derive(Debug, Default)]
pub(super) struct CompressedBytes {
    /// Compressed bytes read.
    pub(super) read: AtomicU64,
    /// Bytes behind the compressed data that are neither zeros nor compressed data.
    pub(super) trailing: AtomicU64,
}

/// Invariant: `buffer[from..to]` are the bytes that were read and not consumed.
pub(super) struct PeekReader<R> {
    inner: R,
    buffer: Box<[u8]>,
    from: usize,
    to: usize,
    /// Whether a decoder asked for bytes behind the end.
    pub(super) is_exhausted: bool,
    counts: Arc<CompressedBytes>,
}

impl<R: Read> PeekReader<R> {
    pub(super) fn new(inner: R, counts: Arc<CompressedBytes>) -> Self {
        Self { inner, buffer: vec![0; BUFFER].into(), from: 0, to: 0, is_exhausted: false, counts }
    }

    /// Returns the next `count` bytes, at most 64 KiB, or fewer at the end, without consuming them.
    pub(super) fn peek(&mut self, count: usize) -> Result<&[u8]> {
        while self.to - self.from < count && self.read_more()? {}
        Ok(&self.buffer[self.from..self.to.min(self.from + count)])
    }

    /// Consumes zero bytes up to the first other byte.
    pub(super) fn skip_zeros(&mut self) -> Result<()> {
        loop {
            let zeros = self.buffer[self.from..self.to].iter().take_while(|&&byte| byte == 0).count();
            self.from += zeros;
            if self.from < self.to || !self.read_more()? {
                return Ok(());
            }
        }
    }

    /// Consumes the rest, which is no compressed data, and counts it.
    pub(super) fn skip_trailing(&mut self) -> Result<()> {
        loop {
            let rest = (self.to - self.from) as u64;
            self.counts.trailing.fetch_add(rest, Ordering::Relaxed);
            self.from = self.to;
            if !self.read_more()? {
                return Ok(());
            }
        }
    }

    /// Reads once, behind the bytes of the buffer, which is not full. Returns false at the end.
    fn read_more(&mut self) -> Result<bool> {
        self.buffer.copy_within(self.from..self.to, 0);
        (self.from, self.to) = (0, self.to - self.from);
        let read = self.inner.read(&mut self.buffer[self.to..])?;
        self.to += read;
        self.counts.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read > 0)
    }
}

impl<R: Read> BufRead for PeekReader<R> {
    fn fill_buf(&mut self) -> Result<&[u8]> {
        if self.from == self.to && !self.read_more()? {
            self.is_exhausted = true;
        }
        Ok(&self.buffer[self.from..self.to])
    }

    fn consume(&mut self, count: usize) {
        self.from = self.to.min(self.from + count);
    }
}

impl<R: Read> Read for PeekReader<R> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let available = self.fill_buf()?;
        let count = available.len().min(bytes.len());
        bytes[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}
