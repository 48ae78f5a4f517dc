//! Reads a capture file with the file reader.

use std::io::Read;

use smsentry::capture::block::{Block, BlockSize};
use smsentry::capture::file::{self, FileSource};
use smsentry::capture::source::{FillStatus, PacketSource};
use smsentry::packet::Link;
use smsentry::time::Timestamp;

/// The frames and the error that a reader returned.
#[derive(Debug, PartialEq)]
struct ReadResult {
    frames: Vec<Frame>,
    /// Frames before the error, its offset and its cause; [`None`] at a clean end.
    fault: Option<(u64, Option<u64>, String)>,
}

#[derive(Debug, PartialEq)]
struct Frame {
    number: u64,
    link: Link,
    time: Timestamp,
    wire_len: u32,
    bytes: Vec<u8>,
}

/// Compressed data can expand to far more than the input; at most this many bytes are read.
const MOST: usize = 16 << 20;

/// The input is a style and the file. Checks that blocks of any size, readers that return a few bytes at a time and a
/// file on disk give the same frames and the same error, and that reading ends.
pub fn capture_file(data: &[u8]) {
    let [style, file @ ..] = data else { return };
    // A Zstandard file may contain skippable frames (RFC 8878 section 3.1.2).
    let skippable = file.get(1..4) == Some(&[0x2a, 0x4d, 0x18]) && file[0] >> 4 == 5;
    let packed = skippable || file.starts_with(&[0x1f, 0x8b]) || file.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
    if packed {
        let _ = on_disk(file, BlockSize::default());
        return;
    }
    let whole = read(file, BlockSize::default());
    let size = BlockSize { bytes: 1 << (style & 15), packets: 1 + usize::from(style >> 4) };
    assert_eq!(whole, read(file, size), "blocks of {size:?}");
    let trickle = Trickle { rest: file, step: 1 + usize::from(*style) };
    assert_eq!(whole, read(trickle, size), "a reader that gives few bytes");
    if style & 1 != 0 {
        assert_eq!(whole, on_disk(file, size), "on disk");
    }
}

fn read<R: Read>(reader: R, size: BlockSize) -> ReadResult {
    match FileSource::new(reader, String::new(), 0, size, None) {
        Ok(source) => drain(source),
        Err(error) => ReadResult { frames: Vec::new(), fault: Some((error.frames, error.offset, error.cause)) },
    }
}

fn on_disk(file: &[u8], size: BlockSize) -> ReadResult {
    let thread = format!("{:?}", std::thread::current().id()).replace(['(', ')'], "");
    let path = std::env::temp_dir().join(format!("smsentry-fuzz-{}-{thread}", std::process::id()));
    std::fs::write(&path, file).expect("the directory for temporary files can be written");
    let inputs = file::expand(std::slice::from_ref(&path));
    let input = inputs[0].as_ref().expect("the file is there");
    let result = match file::open(input, 0, size, None) {
        Ok(source) => drain(source),
        Err(error) => ReadResult { frames: Vec::new(), fault: Some((error.frames, error.offset, error.cause)) },
    };
    std::fs::remove_file(&path).expect("the file is there");
    result
}

fn drain<R: Read>(mut source: FileSource<R>) -> ReadResult {
    let mut result = ReadResult { frames: Vec::new(), fault: None };
    let (mut block, mut seen, mut idle) = (Block::default(), 0, 0);
    loop {
        block.clear();
        let status = source.fill(&mut block);
        for captured in &block.packets {
            assert!(captured.wire_len >= captured.len);
            assert!(
                result.frames.last().is_none_or(|last| last.number < captured.frame),
                "frames are numbered in order"
            );
            let (start, len) = (captured.start as usize, captured.len as usize);
            result.frames.push(Frame {
                number: captured.frame,
                link: captured.link,
                time: captured.time,
                wire_len: captured.wire_len,
                bytes: block.bytes[start..start + len].to_vec(),
            });
            seen += len;
        }
        idle = if block.packets.is_empty() { idle + 1 } else { 0 };
        assert!(idle < 1 << 16, "a reader that gives nothing and does not end");
        match status {
            Ok(FillStatus::More) if seen < MOST => {}
            Ok(FillStatus::More) => return result,
            Ok(FillStatus::End) => break,
            Err(error) => {
                assert!(block.packets.is_empty(), "what was read comes before the fault");
                result.fault = Some((error.frames, error.offset, error.cause));
                break;
            }
        }
    }
    block.clear();
    let after = source.fill(&mut block);
    assert!(matches!(after, Ok(FillStatus::End)) && block.packets.is_empty(), "the end stays the end: {after:?}");
    result
}

/// A reader that returns a few bytes at a time, as a slow pipe does.
struct Trickle<'a> {
    rest: &'a [u8],
    step: usize,
}

impl Read for Trickle<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let count = bytes.len().min(self.step);
        self.rest.read(&mut bytes[..count])
    }
}
