//! From what `-r` names to inputs, and from an input to a source. Not the reading itself.

use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::compression::decoder;
use super::magic::{LOOK, Magic};
use super::stdin::Stdin;
use super::{CONVERT, FileSource, FrameFilter, ReadMode};
use crate::capture::block::BlockSize;
use crate::capture::source::SourceError;

/// One file to replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The path as given (for a directory: joined with the file's name); `-` for standard input.
    pub name: String,
    /// Where it is; [`None`] for standard input.
    pub path: Option<PathBuf>,
    /// Size in bytes of a regular file; [`None`] for a pipe.
    pub size: Option<u64>,
}

/// What the command line's `-r` names, one by one: a file, a directory's captures in the order of their names, `-`
/// for standard input.
///
/// A directory's captures are its regular files that begin as one (compressed or not); its sub-directories are not
/// entered. One bad entry does not stop the others.
#[must_use]
pub fn expand(paths: &[PathBuf]) -> Vec<Result<Input, SourceError>> {
    let mut inputs = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            inputs.push(stdin_once(&inputs));
            continue;
        }
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => directory(path, &mut inputs),
            Ok(metadata) => inputs.push(Ok(Input::file(path, &metadata))),
            Err(error) => inputs.push(Err(refused(path, &error))),
        }
    }
    inputs
}

/// Opens an input; `index` is its place in the run's list.
///
/// # Errors
/// When it can't be opened, is empty, or is not a capture.
pub fn open(
    input: &Input,
    index: u32,
    size: BlockSize,
    filter: Option<FrameFilter>,
) -> Result<FileSource, SourceError> {
    let Some(path) = &input.path else {
        let stdin = Stdin::open().map_err(|error| refused(Path::new("-"), &error))?;
        return stdin_source(stdin, input, index, size, filter);
    };
    let metadata = fs::metadata(path).map_err(|error| refused(path, &error))?;
    if metadata.is_dir() {
        return Err(failure(path, "is a directory".to_owned(), "name it with -r, and its captures are read"));
    }
    let mut file = File::open(path).map_err(|error| refused(path, &error))?;
    let pace = if metadata.is_file() { ReadMode::Full } else { ReadMode::Arriving };
    let head = read_head(&mut file, input)?;
    source(head, Box::new(file), pace, input, index, size, filter)
}

impl Input {
    fn file(path: &Path, metadata: &fs::Metadata) -> Self {
        let size = metadata.is_file().then_some(metadata.len());
        Self { name: path.display().to_string(), path: Some(path.to_owned()), size }
    }
}

/// Between two reads of a capture that is not compressed, the caller may look at signals; a decoder may not be
/// interrupted.
fn stdin_source(
    mut stdin: Stdin,
    input: &Input,
    index: u32,
    size: BlockSize,
    filter: Option<FrameFilter>,
) -> Result<FileSource, SourceError> {
    let head = read_head(&mut stdin, input)?;
    stdin.interruptible = !matches!(Magic::of(&head), Magic::Compressed(_));
    source(head, Box::new(stdin), ReadMode::Arriving, input, index, size, filter)
}

/// Enough bytes to know a compression by.
fn read_head(reader: &mut impl Read, input: &Input) -> Result<Vec<u8>, SourceError> {
    let mut head = Vec::new();
    match reader.take(4).read_to_end(&mut head) {
        Ok(_) => Ok(head),
        Err(error) => Err(failure(Path::new(&input.name), format!("can't be read: {error}"), "")),
    }
}

/// Looks at the first bytes and puts the decoder between that they ask for.
fn source(
    head: Vec<u8>,
    reader: Box<dyn Read + Send>,
    pace: ReadMode,
    input: &Input,
    index: u32,
    size: BlockSize,
    filter: Option<FrameFilter>,
) -> Result<FileSource, SourceError> {
    let Magic::Compressed(compression) = Magic::of(&head) else {
        return FileSource::with_head(head, reader, pace, input.name.clone(), index, size, filter);
    };
    let count = Arc::new(AtomicU64::new(0));
    let reader = decoder(compression, Cursor::new(head).chain(reader), Arc::clone(&count));
    let mut source =
        FileSource::with_head(Vec::new(), reader, pace, input.name.clone(), index, size, filter).map_err(|error| {
            SourceError { cause: format!("decompressed with {}, {}", compression.name(), error.cause), ..error }
        })?;
    source.compressed = Some(count);
    Ok(source)
}

/// Standard input can be read only once.
fn stdin_once(before: &[Result<Input, SourceError>]) -> Result<Input, SourceError> {
    let twice = before.iter().flatten().any(|input| input.path.is_none());
    if twice {
        return Err(failure(Path::new("-"), "standard input is named twice".to_owned(), "name it once"));
    }
    Ok(Input { name: "-".to_owned(), path: None, size: None })
}

fn directory(path: &Path, inputs: &mut Vec<Result<Input, SourceError>>) {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => return inputs.push(Err(refused(path, &error))),
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
            Err(error) => inputs.push(Err(refused(&path, &error))),
        }
    }
    if inputs.len() == before {
        inputs.push(Err(failure(path, "the directory holds no captures".to_owned(), CONVERT)));
    }
}

/// Whether a file is a capture by its first bytes; of a compressed one by the first bytes within.
fn begins_as_capture(path: &Path) -> std::io::Result<bool> {
    let mut file = File::open(path)?;
    let mut head = Vec::new();
    file.by_ref().take(LOOK as u64).read_to_end(&mut head)?;
    let Magic::Compressed(compression) = Magic::of(&head) else {
        return Ok(Magic::of(&head) != Magic::Unknown);
    };
    let mut within = Vec::new();
    let mut reader = decoder(compression, Cursor::new(head).chain(file), Arc::new(AtomicU64::new(0)));
    // What can't be decompressed is a damaged capture or none at all; the first is told when it is opened.
    let broken = reader.by_ref().take(LOOK as u64).read_to_end(&mut within).is_err();
    Ok(match Magic::of(&within) {
        Magic::Pcap(_) | Magic::PcapNg => true,
        Magic::Compressed(_) => false,
        Magic::Unknown => broken && within.is_empty() && named_as_capture(path),
    })
}

/// Rationale: only for a compressed file without a readable byte, where its name is all there is to go by.
fn named_as_capture(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().to_ascii_lowercase().contains("pcap"))
}

fn refused(path: &Path, error: &std::io::Error) -> SourceError {
    let (cause, remedy) = match error.kind() {
        std::io::ErrorKind::NotFound => ("no such file".to_owned(), "check the path"),
        std::io::ErrorKind::PermissionDenied => {
            ("may not be read".to_owned(), "run as a user who may, or change the file's permissions")
        }
        _ => (format!("can't be opened: {error}"), ""),
    };
    failure(path, cause, remedy)
}

fn failure(path: &Path, cause: String, remedy: &'static str) -> SourceError {
    SourceError { input: path.display().to_string(), frames: 0, offset: None, cause, remedy }
}
