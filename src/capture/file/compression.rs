//! Compressed captures: gzip and zstd undone on the way, and the count of what was read of the file itself.
//! Not a format of captures.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::magic::Compression;

/// Rationale: as much as a pipe gives at a time.
const BUFFER: usize = 64 << 10;

/// A reader that tells how many bytes went through it.
pub(super) struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
        let read = self.inner.read(bytes)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Undoes `compression`; `count` gets the compressed bytes that were read.
pub(super) fn decoder<R>(compression: Compression, inner: R, count: Arc<AtomicU64>) -> Box<dyn Read + Send>
where
    R: Read + Send + 'static,
{
    let source = BufReader::with_capacity(BUFFER, Counted { inner, count });
    match compression {
        Compression::Gzip => Box::new(MultiGzDecoder::new(source)),
        Compression::Zstd => Box::new(Zstd::new(source)),
    }
}

/// A zstd file: frames one after the other, where ruzstd's own reader knows one.
struct Zstd<R> {
    frame: FrameDecoder,
    source: R,
    /// Within a frame.
    open: bool,
    /// Why the file can't be read beyond what was decoded.
    fault: Option<Error>,
}

impl<R: BufRead> Zstd<R> {
    fn new(source: R) -> Self {
        Self { frame: FrameDecoder::new(), source, open: false, fault: None }
    }

    /// Begins the next frame; false at the end of the file.
    fn next_frame(&mut self) -> Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.frame.reset(&mut self.source) {
                Ok(()) => {
                    self.open = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    let length = u64::from(length);
                    if std::io::copy(&mut self.source.by_ref().take(length), &mut std::io::sink())? < length {
                        return Err(ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(told(error)),
            }
        }
        Ok(false)
    }

    /// Decodes until there is something to hand on, or the frame is done.
    fn decode(&mut self) {
        while self.frame.can_collect() == 0 && !self.frame.is_finished() {
            if let Err(error) = self.frame.decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1)) {
                self.fault = Some(told(error));
                self.let_go();
                return;
            }
        }
    }

    /// After a fault: what is already decoded is held back as the window of blocks that will never come. An empty
    /// last block (and a checksum, if the frame wants one) makes the decoder hand it on.
    fn let_go(&mut self) {
        let last = [1, 0, 0, 0, 0, 0, 0];
        if self.frame.decode_blocks(last.as_slice(), BlockDecodingStrategy::UptoBlocks(1)).is_err() {
            self.open = false;
        }
    }

    /// At the end of a frame: the fault it ended with, or its checksum.
    fn close(&mut self) -> Result<()> {
        self.open = false;
        if let Some(error) = self.fault.take() {
            return Err(error);
        }
        match (self.frame.get_checksum_from_data(), self.frame.get_calculated_checksum()) {
            (Some(given), Some(found)) if given != found => Err(Error::other("its checksum is wrong")),
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
            if !self.open {
                if let Some(error) = self.fault.take() {
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

/// The decoder's error; a file that ends too early is told apart, however deep the decoder hides it.
fn told(error: FrameDecoderError) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        if inner.downcast_ref::<Error>().is_some_and(|inner| inner.kind() == ErrorKind::UnexpectedEof) {
            return ErrorKind::UnexpectedEof.into();
        }
        cause = inner.source();
    }
    Error::other(error)
}
