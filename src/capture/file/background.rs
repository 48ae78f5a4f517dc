//! Reads from another thread, so that the caller of a reader that cannot be interrupted, such as a decoder, is not kept
//! waiting by a quiet pipe. The bytes are not interpreted.

use std::io::{Error, ErrorKind, Read, Result};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use super::pipe::IDLE;
use crate::sys;

/// Bytes read at a time. Rationale: the size of a pipe.
const CHUNK: usize = 64 << 10;
/// Chunks read ahead.
const MAX_CHUNKS: usize = 4;

/// The receiving end. The thread ends at the end of its input, at an error, or when the receiving end is dropped and
/// the next bytes arrive.
pub(super) struct Background {
    chunks: Receiver<Result<Vec<u8>>>,
    chunk: Vec<u8>,
    at: usize,
}

impl Background {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system starts no more threads.
    pub(super) fn start(mut reader: impl Read + Send + 'static) -> Result<Self> {
        let (sender, chunks) = bounded(MAX_CHUNKS);
        std::thread::Builder::new().name("pipe".to_owned()).spawn(move || {
            sys::mask_signals();
            loop {
                let mut chunk = vec![0; CHUNK];
                let read = reader.read(&mut chunk);
                let last = !read.as_ref().is_ok_and(|&len| len > 0);
                let sent = sender.send(read.map(|len| {
                    chunk.truncate(len);
                    chunk
                }));
                if last || sent.is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { chunks, chunk: Vec::new(), at: 0 })
    }
}

impl Read for Background {
    /// Returns [`ErrorKind::Interrupted`] when nothing arrived for [`IDLE`].
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
        if self.at == self.chunk.len() {
            self.chunk = match self.chunks.recv_timeout(IDLE) {
                Ok(chunk) => chunk?,
                Err(RecvTimeoutError::Timeout) => return Err(ErrorKind::Interrupted.into()),
                // After the end or an error, or the decoder panicked.
                Err(RecvTimeoutError::Disconnected) => return Err(Error::other("the decoder ended")),
            };
            self.at = 0;
        }
        let len = bytes.len().min(self.chunk.len() - self.at);
        bytes[..len].copy_from_slice(&self.chunk[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two bytes at a time, then an error or the end.
    struct Slow(Vec<u8>, Option<ErrorKind>);

    impl Read for Slow {
        fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
            let len = self.0.len().min(2);
            if len == 0 {
                return self.1.take().map_or(Ok(0), |kind| Err(kind.into()));
            }
            bytes[..len].copy_from_slice(&self.0[..len]);
            self.0.drain(..len);
            Ok(len)
        }
    }

    #[test]
    fn bytes_and_errors_arrive_in_order() {
        let text: Vec<u8> = (0..99).collect();
        let mut read = Vec::new();
        Background::start(Slow(text.clone(), None)).unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, text);
        read.clear();
        let mut failing = Background::start(Slow(text.clone(), Some(ErrorKind::UnexpectedEof))).unwrap();
        assert_eq!(failing.read_to_end(&mut read).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(read, text);
    }
}
