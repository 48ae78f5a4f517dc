//! Decodes one zstd frame (RFC 8878). Files of several frames are read by [`super::compression`].

use std::io::{BufRead, Error, ErrorKind, Read, Result};

use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// A frame in `source`. Not ruzstd's own reader: that one loses the bytes decoded before an error.
pub(super) struct ZstdFrame<R> {
    frame: FrameDecoder,
    source: R,
    state: State,
}

enum State {
    Header,
    Blocks,
    /// The error that follows the bytes decoded so far.
    Failed(Error),
    Done,
}

impl<R: BufRead> ZstdFrame<R> {
    pub(super) fn new(source: R, max_window: u64) -> Self {
        let mut frame = FrameDecoder::new();
        frame.set_max_window_size(max_window);
        Self { frame, source, state: State::Header }
    }

    pub(super) fn into_source(self) -> R {
        self.source
    }

    /// Decodes until bytes are available, or the frame is finished.
    fn decode(&mut self) {
        while self.frame.can_collect() == 0 && !self.frame.is_finished() {
            if let Err(error) = self.frame.decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1)) {
                self.state = State::Failed(io_error(error));
                self.flush_window();
                return;
            }
        }
    }

    /// After an error, makes the decoder release the decoded bytes that it holds back as the window of later blocks: by
    /// an empty last block (and a checksum, if the frame has one).
    fn flush_window(&mut self) {
        let last = [1, 0, 0, 0, 0, 0, 0];
        // If that fails too, nothing is released.
        let _ = self.frame.decode_blocks(last.as_slice(), BlockDecodingStrategy::UptoBlocks(1));
    }

    /// Ends the frame: returns its error, or checks its checksum.
    fn close(&mut self) -> Result<usize> {
        if let State::Failed(error) = std::mem::replace(&mut self.state, State::Done) {
            return Err(error);
        }
        match (self.frame.get_checksum_from_data(), self.frame.get_calculated_checksum()) {
            (Some(given), Some(found)) if given != found => Err(Error::other("wrong checksum")),
            _ => Ok(0),
        }
    }
}

impl<R: BufRead> Read for ZstdFrame<R> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
        match self.state {
            State::Done => return Ok(0),
            State::Header => {
                self.frame.reset(&mut self.source).map_err(io_error)?;
                self.state = State::Blocks;
            }
            State::Blocks | State::Failed(_) => {}
        }
        if bytes.is_empty() {
            return Ok(0);
        }
        if let State::Blocks = self.state {
            self.decode();
        }
        match self.frame.read(bytes)? {
            0 => self.close(),
            read => Ok(read),
        }
    }
}

/// Converts the decoder's error. A truncated file is reported as [`ErrorKind::UnexpectedEof`], which the decoder may
/// wrap several times; a window above the limit as [`ErrorKind::OutOfMemory`].
fn io_error(error: FrameDecoderError) -> Error {
    if let FrameDecoderError::WindowSizeTooBig { .. } = error {
        return Error::new(ErrorKind::OutOfMemory, error);
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        if inner.downcast_ref::<Error>().is_some_and(|inner| inner.kind() == ErrorKind::UnexpectedEof) {
            return ErrorKind::UnexpectedEof.into();
        }
        cause = inner.source();
    }
    Error::other(error)
}
