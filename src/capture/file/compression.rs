//! Decompresses gzip and zstd captures while they are read, and counts the compressed bytes.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::magic::Compression;

/// Size of the read buffer in bytes. Rationale: the size of a pipe.
const BUFFER: usize = 64 << 10;

/// Counts the bytes that are read through it.
pub(super) struct CountingReader<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for CountingReader<R> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
        let read = self.inner.read(bytes)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Returns a reader of the decompressed bytes; `count` is increased by the number of compressed bytes read.
pub(super) fn decoder<R>(compression: Compression, inner: R, count: Arc<AtomicU64>) -> Box<dyn Read + Send>
where
    R: Read + Send + 'static,
{
    let source = BufReader::with_capacity(BUFFER, CountingReader { inner, count });
    match compression {
        Compression::Gzip => Box::new(MultiGzDecoder::new(source)),
        Compression::Zstd => Box::new(Zstd::new(source)),
    }
}

/// Reads a zstd file of any number of frames; ruzstd's own reader supports only one.
struct Zstd<R> {
    frame: FrameDecoder,
    source: R,
    /// Whether a frame was begun and is not finished.
    in_frame: bool,
    /// The error that follows the bytes decoded so far.
    error: Option<Error>,
}

impl<R: BufRead> Zstd<R> {
    fn new(source: R) -> Self {
        Self { frame: FrameDecoder::new(), source, in_frame: false, error: None }
    }

    /// Begins the next frame. Returns false at the end of the file.
    fn next_frame(&mut self) -> Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.frame.reset(&mut self.source) {
                Ok(()) => {
                    self.in_frame = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    let length = u64::from(length);
                    if std::io::copy(&mut self.source.by_ref().take(length), &mut std::io::sink())? < length {
                        return Err(ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io_error(error)),
            }
        }
        Ok(false)
    }

    /// Decodes until bytes are available, or the frame is finished.
    fn decode(&mut self) {
        while self.frame.can_collect() == 0 && !self.frame.is_finished() {
            if let Err(error) = self.frame.decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1)) {
                self.error = Some(io_error(error));
                self.flush_window();
                return;
            }
        }
    }

    /// After an error, makes the decoder release the decoded bytes that it holds back as the window of later blocks: by
    /// an empty last block (and a checksum, if the frame has one).
    fn flush_window(&mut self) {
        let last = [1, 0, 0, 0, 0, 0, 0];
        if self.frame.decode_blocks(last.as_slice(), BlockDecodingStrategy::UptoBlocks(1)).is_err() {
            self.in_frame = false;
        }
    }

    /// Ends a frame: returns its error, or checks its checksum.
    fn close(&mut self) -> Result<()> {
        self.in_frame = false;
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        match (self.frame.get_checksum_from_data(), self.frame.get_calculated_checksum()) {
            (Some(given), Some(found)) if given != found => Err(Error::other("wrong checksum")),
            _ => Ok(()),
        }
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.in_frame {
                if let Some(error) = self.error.take() {
                    return Err(error);
                }
                if !self.next_frame()? {
                    return Ok(0);
                }
            }
            self.decode();
            match self.frame.read(bytes)? {
                0 => self.close()?,
                read => return Ok(read),
            }
        }
    }
}

/// Converts the decoder's error. A truncated file is reported as [`ErrorKind::UnexpectedEof`], which the decoder may
/// wrap several times.
fn io_error(error: FrameDecoderError) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        if inner.downcast_ref::<Error>().is_some_and(|inner| inner.kind() == ErrorKind::UnexpectedEof) {
            return ErrorKind::UnexpectedEof.into();
        }
        cause = inner.source();
    }
    Error::other(error)
}
