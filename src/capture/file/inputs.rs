//! Expands the paths of `-r` to inputs, and opens an input as a source. Files are read by [`super::reader`].

use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::background::Background;
use super::compression::decoder;
use super::format_error::CONVERT;
use super::magic::{HEAD_LEN, Magic};
use super::pipe::Pipe;
use super::reader::{FileSource, FrameFilter, ReadMode};
use crate::capture::block::BlockSize;
use crate::capture::source::SourceError;

/// One file to replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The path as given (for a directory: joined with the file's name); `-` for standard input.
    pub name: String,
    /// The file's path; [`None`] for standard input.
    pub path: Option<PathBuf>,
    /// Size in bytes of a regular file; [`None`] for a pipe.
    pub size: Option<u64>,
}

/// Expands the paths of the command line's `-r`: a file, a directory's captures in the order of their names, or `-` for
/// standard input.
///
/// A directory's captures are its regular files that begin like a capture (compressed or not); its sub-directories are
/// not entered. An error of one path does not affect the others.
#[must_use]
pub fn expand(paths: &[PathBuf]) -> Vec<Result<Input, SourceError>> {
    let mut inputs = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            inputs.push(stdin_once(&inputs));
            continue;
        }
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => add_directory(path, &mut inputs),
            Ok(metadata) => inputs.push(Ok(Input::file(path, &metadata))),
            Err(error) => inputs.push(Err(open_error(path, &error))),
        }
    }
    inputs
}

/// Opens an input; `index` is its index in the run's list.
///
/// # Errors
/// When it cannot be opened, is empty, or is not a capture.
pub fn open(
    input: &Input,
    index: u32,
    size: BlockSize,
    filter: Option<FrameFilter>,
) -> Result<FileSource, SourceError> {
    let Some(path) = &input.path else {
        let pipe = Pipe::stdin().map_err(|error| open_error(Path::new("-"), &error))?;
        return pipe_source(pipe, input, index, size, filter);
    };
    let metadata = fs::metadata(path).map_err(|error| open_error(path, &error))?;
    if metadata.is_dir() {
        return Err(input_error(path, "is a directory".to_owned(), "give it to -r to read its captures"));
    }
    let mut file = File::open(path).map_err(|error| open_error(path, &error))?;
    if !metadata.is_file() {
        return pipe_source(Pipe::new(file), input, index, size, filter);
    }
    let head = read_head(&mut file, input)?;
    source(head, Box::new(file), ReadMode::Full, input, index, size, filter)
}

impl Input {
    fn file(path: &Path, metadata: &fs::Metadata) -> Self {
        let size = metadata.is_file().then_some(metadata.len());
        Self { name: path.display().to_string(), path: Some(path.to_owned()), size }
    }
}

/// Opens a pipe as a source. Reads of an uncompressed capture may be interrupted, so that the caller can handle a signal
/// or a deadline; a decoder cannot continue after an interrupted read, and gets a thread of its own.
fn pipe_source(
    mut pipe: Pipe,
    input: &Input,
    index: u32,
    size: BlockSize,
    filter: Option<FrameFilter>,
) -> Result<FileSource, SourceError> {
    let head = read_head(&mut pipe, input)?;
    pipe.interruptible = !matches!(Magic::of(&head), Magic::Compressed(_));
    source(head, Box::new(pipe), ReadMode::Arriving, input, index, size, filter)
}

/// Reads enough bytes to detect a compression.
fn read_head(reader: &mut impl Read, input: &Input) -> Result<Vec<u8>, SourceError> {
    let mut head = Vec::new();
    match reader.take(4).read_to_end(&mut head) {
        Ok(_) => Ok(head),
        Err(error) => Err(input_error(Path::new(&input.name), format!("cannot read: {error}"), "")),
    }
}

/// Creates a source, with the decoder for the compression that `head` shows.
fn source(
    head: Vec<u8>,
    reader: Box<dyn Read + Send>,
    mode: ReadMode,
    input: &Input,
    index: u32,
    size: BlockSize,
    filter: Option<FrameFilter>,
) -> Result<FileSource, SourceError> {
    let Magic::Compressed(compression) = Magic::of(&head) else {
        return FileSource::with_head(head, reader, mode, input.name.clone(), index, size, filter);
    };
    let count = Arc::new(AtomicU64::new(0));
    let mut reader = decoder(compression, Cursor::new(head).chain(reader), Arc::clone(&count));
    if mode == ReadMode::Arriving {
        reader = Box::new(Background::start(reader).map_err(|error| open_error(Path::new(&input.name), &error))?);
    }
    let mut source =
        FileSource::with_head(Vec::new(), reader, mode, input.name.clone(), index, size, filter).map_err(|error| {
            SourceError { cause: format!("decompressed with {}, {}", compression.name(), error.cause), ..error }
        })?;
    source.compressed_bytes = Some(count);
    Ok(source)
}

/// Returns standard input as an input, which can be read only once.
fn stdin_once(before: &[Result<Input, SourceError>]) -> Result<Input, SourceError> {
    let is_repeated = before.iter().flatten().any(|input| input.path.is_none());
    if is_repeated {
        return Err(input_error(Path::new("-"), "standard input is named twice".to_owned(), "name it once"));
    }
    Ok(Input { name: "-".to_owned(), path: None, size: None })
}

/// Adds the captures of a directory.
fn add_directory(path: &Path, inputs: &mut Vec<Result<Input, SourceError>>) {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => return inputs.push(Err(open_error(path, &error))),
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort_unstable();
    let before = inputs.len();
    for path in paths {
        let Ok(metadata) = fs::metadata(&path) else { continue };
        if !metadata.is_file() {
            continue;
        }
        match begins_as_capture(&path) {
            Ok(true) => inputs.push(Ok(Input::file(&path, &metadata))),
            Ok(false) => {}
            Err(error) => inputs.push(Err(open_error(&path, &error))),
        }
    }
    if inputs.len() == before {
        inputs.push(Err(input_error(path, "the directory contains no captures".to_owned(), CONVERT)));
    }
}

/// Returns whether a file is a capture by its first bytes, decompressed if it is compressed.
fn begins_as_capture(path: &Path) -> std::io::Result<bool> {
    let mut file = File::open(path)?;
    let mut head = Vec::new();
    file.by_ref().take(HEAD_LEN as u64).read_to_end(&mut head)?;
    let Magic::Compressed(compression) = Magic::of(&head) else {
        return Ok(Magic::of(&head) != Magic::Unknown);
    };
    let mut within = Vec::new();
    let mut reader = decoder(compression, Cursor::new(head).chain(file), Arc::new(AtomicU64::new(0)));
    // If decompression fails, the file is a damaged capture, which is reported when it is opened, or no capture.
    let failed = reader.by_ref().take(HEAD_LEN as u64).read_to_end(&mut within).is_err();
    Ok(match Magic::of(&within) {
        Magic::Pcap(_) | Magic::PcapNg => true,
        Magic::Compressed(_) => false,
        Magic::Unknown => failed && within.is_empty() && named_as_capture(path),
    })
}

/// Returns whether the name of a file is that of a capture.
///
/// Rationale: only for a compressed file without a readable byte, where nothing but the name is known.
fn named_as_capture(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().to_ascii_lowercase().contains("pcap"))
}

/// Describes an error of opening a file.
fn open_error(path: &Path, error: &std::io::Error) -> SourceError {
    let (cause, remedy) = match error.kind() {
        std::io::ErrorKind::NotFound => ("no such file".to_owned(), "check the path"),
        std::io::ErrorKind::PermissionDenied => {
            ("permission denied".to_owned(), "run as a user who may read it, or change its permissions")
        }
        _ => (format!("cannot open: {error}"), ""),
    };
    input_error(path, cause, remedy)
}

fn input_error(path: &Path, cause: String, remedy: &'static str) -> SourceError {
    SourceError { input: path.display().to_string(), frames: 0, offset: None, cause, remedy }
}
