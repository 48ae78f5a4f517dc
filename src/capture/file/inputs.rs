//! Opens an input as a source. Files are read by [`super::reader`].

use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::background::Background;
use super::compression::decoder;
use super::magic::Magic;
use super::peek_reader::CompressedBytes;
use super::pipe::Pipe;
use super::reader::FileSource;
use super::source_options::{FrameFilter, ReadMode, SourceOptions};
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
    open_as(
        input,
        SourceOptions { name: input.name.clone(), index, size, filter, mode: ReadMode::Full, compressed: None },
    )
}

/// Opens a regular file that may grow: its end is not the end of the source, unless it is compressed. Returns a second
/// handle of it, too.
pub(in crate::capture) fn open_growing(
    input: &Input,
    index: u32,
    size: BlockSize,
    filter: Option<FrameFilter>,
) -> Result<(FileSource, File), SourceError> {
    let path = Path::new(&input.name);
    let path = input.path.as_deref().unwrap_or(path);
    let mut file = File::open(path).map_err(|error| open_error(path, &error))?;
    let second = file.try_clone().map_err(|error| open_error(path, &error))?;
    let head = read_head(&mut file, input)?;
    let mode = ReadMode::Growing;
    let options = SourceOptions { name: input.name.clone(), index, size, filter, mode, compressed: None };
    Ok((source(head, Box::new(file), options)?, second))
}

fn open_as(input: &Input, options: SourceOptions) -> Result<FileSource, SourceError> {
    let Some(path) = &input.path else {
        let pipe = Pipe::stdin().map_err(|error| open_error(Path::new("-"), &error))?;
        return pipe_source(pipe, input, options);
    };
    let metadata = fs::metadata(path).map_err(|error| open_error(path, &error))?;
    if metadata.is_dir() {
        return Err(input_error(path, "is a directory".to_owned(), "give it to -r to read its captures"));
    }
    let mut file = File::open(path).map_err(|error| open_error(path, &error))?;
    if !metadata.is_file() {
        return pipe_source(Pipe::new(file), input, options);
    }
    let head = read_head(&mut file, input)?;
    source(head, Box::new(file), options)
}

impl Input {
    pub(in crate::capture) fn file(path: &Path, metadata: &fs::Metadata) -> Self {
        let size = metadata.is_file().then_some(metadata.len());
        Self { name: path.display().to_string(), path: Some(path.to_owned()), size }
    }
}

/// Opens a pipe as a source. Reads of an uncompressed capture may be interrupted, so that the caller can handle a signal
/// or a deadline; a decoder cannot continue after an interrupted read, and gets a thread of its own.
fn pipe_source(mut pipe: Pipe, input: &Input, mut options: SourceOptions) -> Result<FileSource, SourceError> {
    let head = read_head(&mut pipe, input)?;
    pipe.interruptible = !matches!(Magic::of(&head), Magic::Compressed(_));
    options.mode = ReadMode::Arriving;
    source(head, Box::new(pipe), options)
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
fn source(head: Vec<u8>, reader: Box<dyn Read + Send>, mut options: SourceOptions) -> Result<FileSource, SourceError> {
    let Magic::Compressed(compression) = Magic::of(&head) else {
        return FileSource::with_head(head, reader, options);
    };
    let bytes = Arc::new(CompressedBytes::default());
    let mut reader = decoder(compression, Cursor::new(head).chain(reader), Arc::clone(&bytes));
    if options.mode == ReadMode::Arriving {
        reader = Box::new(Background::start(reader).map_err(|error| open_error(Path::new(&options.name), &error))?);
    }
    options.compressed = Some((compression, bytes));
    if options.mode == ReadMode::Growing {
        options.mode = ReadMode::Full;
    }
    FileSource::with_head(Vec::new(), reader, options)
}

/// Describes an error of opening a file.
pub(super) fn open_error(path: &Path, error: &std::io::Error) -> SourceError {
    let (cause, remedy) = match error.kind() {
        std::io::ErrorKind::NotFound => ("no such file".to_owned(), "check the path"),
        std::io::ErrorKind::PermissionDenied => {
            ("permission denied".to_owned(), "run as a user who may read it, or change its permissions")
        }
        _ => (format!("cannot open: {error}"), ""),
    };
    input_error(path, cause, remedy)
}

pub(super) fn input_error(path: &Path, cause: String, remedy: &'static str) -> SourceError {
    SourceError { input: path.display().to_string(), frames: 0, offset: None, cause, remedy }
}
