//! Decompresses captures while they are read: gzip, zstd, xz, bzip2 and lz4, each of any number of members (streams,
//! frames) one after the other. One member is decoded by the crate for its format.

use std::io::{BufRead, Error, ErrorKind, Read, Result};
use std::sync::Arc;

use bzip2::bufread::BzDecoder;
use flate2::bufread::GzDecoder;
use lz4_flex::frame::FrameDecoder as Lz4Decoder;
use lzma_rust2::XzReader;

use super::magic::{Compression, HEAD_LEN, Magic};
use super::peek_reader::{CompressedBytes, PeekReader};
use super::zstd::ZstdFrame;

/// The most memory that a member may require, in bytes: the window of zstd, the dictionary of xz.
///
/// Rationale: zstd's own default limit. `zstd --long=27` and `xz -9` stay below it; a small hostile file that declares
/// 4 GiB is refused.
pub(super) const MAX_MEMORY: u64 = 128 << 20;

/// What xz's decoder needs beside the dictionary, in KiB.
const XZ_OVERHEAD: u32 = 1024;

/// The most bytes that are decoded from xz at a time. Rationale: its decoder loses those that precede an error.
const XZ_PIECE: usize = 4096;

/// Returns a reader of the decompressed bytes; the bytes of the file are counted in `counts`.
pub(super) fn decoder<R>(compression: Compression, inner: R, counts: Arc<CompressedBytes>) -> Box<dyn Read + Send>
where
    R: Read + Send + 'static,
{
    Box::new(Members { compression, state: Some(State::Between(PeekReader::new(inner, counts))), first: true })
}

/// Describes a failed read of a compressed file: the cause, and the remedy if there is a special one.
pub(super) fn describe(compression: Compression, error: &Error) -> (String, Option<&'static str>) {
    match error.kind() {
        ErrorKind::UnexpectedEof => ("the compressed data are cut short".to_owned(), None),
        ErrorKind::OutOfMemory => {
            let limit = MAX_MEMORY >> 20;
            let remedy = match compression {
                Compression::Zstd => "decompress it in a pipe: zstd -dc --long=31 FILE | smsentry -r -",
                _ => "decompress it in a pipe: xz -dc FILE | smsentry -r -",
            };
            (format!("decompressing it takes more than {limit} MiB of memory"), Some(remedy))
        }
        _ => (format!("the compressed data are damaged: {error}"), None),
    }
}

/// A compressed file, member by member.
///
/// Invariant: `state` is `Some` outside of [`Members::advance`].
struct Members<R: Read> {
    compression: Compression,
    state: Option<State<R>>,
    /// Whether no member was begun yet.
    first: bool,
}

enum State<R: Read> {
    Between(PeekReader<R>),
    Within(Member<PeekReader<R>>),
    Ended,
}

/// The decoder of one member.
enum Member<S: BufRead> {
    Gzip(GzDecoder<S>),
    Zstd(Box<ZstdFrame<S>>),
    Xz(Box<XzReader<S>>),
    /// The decoder, and the error that follows the bytes decoded so far.
    Bzip2(BzDecoder<S>, Option<Error>),
    Lz4(Box<Lz4Decoder<S>>),
}

impl<S: BufRead> Member<S> {
    fn new(compression: Compression, source: S) -> Self {
        match compression {
            Compression::Gzip => Self::Gzip(GzDecoder::new(source)),
            Compression::Zstd => Self::Zstd(Box::new(ZstdFrame::new(source, MAX_MEMORY))),
            Compression::Xz => {
                let limit = (MAX_MEMORY >> 10) as u32 + XZ_OVERHEAD;
                Self::Xz(Box::new(XzReader::new_mem_limit(source, false, limit)))
            }
            Compression::Bzip2 => Self::Bzip2(BzDecoder::new(source), None),
            Compression::Lz4 => Self::Lz4(Box::new(Lz4Decoder::new(source))),
        }
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
        match self {
            Self::Gzip(decoder) => decoder.read(bytes),
            Self::Zstd(decoder) => decoder.read(bytes),
            Self::Xz(decoder) => decoder.read(bytes),
            Self::Bzip2(decoder, error) => read_bzip2(decoder, error, bytes),
            Self::Lz4(decoder) => decoder.read(bytes),
        }
    }

    fn into_source(self) -> S {
        match self {
            Self::Gzip(decoder) => decoder.into_inner(),
            Self::Zstd(decoder) => decoder.into_source(),
            Self::Xz(decoder) => decoder.into_inner(),
            Self::Bzip2(decoder, _) => decoder.into_inner(),
            Self::Lz4(decoder) => decoder.into_inner(),
        }
    }
}

impl<R: Read> Members<R> {
    /// Begins the next member, or ends the file: behind the last member, zeros are padding (of tapes and preallocated
    /// files; gzip(1) and xz(1) ignore them too), and anything else is counted.
    fn advance(&mut self) -> Result<()> {
        let Some(State::Between(mut source)) = self.state.take() else {
            self.state = Some(State::Ended);
            return Ok(());
        };
        let is_member = self.next_member(&mut source);
        self.state = Some(match is_member {
            Ok(true) => State::Within(Member::new(self.compression, source)),
            Ok(false) | Err(_) => State::Ended,
        });
        is_member.map(drop)
    }

    /// Skips what is no member. Returns whether a member follows.
    fn next_member(&mut self, source: &mut PeekReader<R>) -> Result<bool> {
        loop {
            let head = source.peek(HEAD_LEN)?;
            if let Some(length) = skippable(head).filter(|_| self.has_skippable_frames()) {
                skip(source, length)?;
                continue;
            }
            match (Magic::of(head), head.first()) {
                (_, None) => return Ok(false),
                (Magic::Compressed(found), _) if found == self.compression || self.first => {
                    (self.compression, self.first) = (found, false);
                    return Ok(true);
                }
                (_, Some(0)) => source.skip_zeros()?,
                _ => {
                    source.skip_trailing()?;
                    return Ok(false);
                }
            }
        }
    }

    const fn has_skippable_frames(&self) -> bool {
        matches!(self.compression, Compression::Zstd | Compression::Lz4)
    }
}

impl<R: Read> Read for Members<R> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
        let piece = if self.compression == Compression::Xz { bytes.len().min(XZ_PIECE) } else { bytes.len() };
        loop {
            match &mut self.state {
                Some(State::Within(member)) => match member.read(&mut bytes[..piece])? {
                    0 if piece == 0 => return Ok(0),
                    0 => {
                        let Some(State::Within(member)) = self.state.take() else { return Ok(0) };
                        let is_lz4 = matches!(member, Member::Lz4(_));
                        let source = member.into_source();
                        // The lz4 crate takes a cut between two blocks for the end of the frame.
                        let is_cut = is_lz4 && source.is_exhausted;
                        self.state = Some(if is_cut { State::Ended } else { State::Between(source) });
                        if is_cut {
                            return Err(ErrorKind::UnexpectedEof.into());
                        }
                    }
                    read => return Ok(read),
                },
                Some(State::Between(_)) => self.advance()?,
                Some(State::Ended) | None => return Ok(0),
            }
        }
    }
}

/// Reads from a bzip2 decoder, which returns an error instead of the bytes that it wrote before it found it.
fn read_bzip2<S: BufRead>(decoder: &mut BzDecoder<S>, failed: &mut Option<Error>, bytes: &mut [u8]) -> Result<usize> {
    if let Some(error) = failed.take() {
        return Err(error);
    }
    let before = decoder.total_out();
    decoder.read(bytes).or_else(|error| match (decoder.total_out() - before) as usize {
        0 => Err(error),
        written => {
            *failed = Some(error);
            Ok(written)
        }
    })
}

/// Returns the length of the skippable frame at the start of `head`, header included (RFC 8878 section 3.1.2; the lz4
/// frame format has the same).
fn skippable(head: &[u8]) -> Option<u64> {
    let &[0x50..=0x5f, 0x2a, 0x4d, 0x18, a, b, c, d, ..] = head else { return None };
    Some(8 + u64::from(u32::from_le_bytes([a, b, c, d])))
}

fn skip(source: &mut impl Read, length: u64) -> Result<()> {
    if std::io::copy(&mut source.take(length), &mut std::io::sink())? < length {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}
