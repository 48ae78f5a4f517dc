//! The captures of a directory and of the directories below it, in the order of their first packets, and what is left
//! out of it. Files are read by [`super::reader`].

use std::fmt;
use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use super::compression::decoder;
use super::format_error::CONVERT;
use super::inputs::{Input, input_error, open, open_error};
use super::magic::{self, Compression, HEAD_LEN, Magic};
use super::natural_order;
use crate::capture::block::{Block, BlockSize};
use crate::capture::source::{FillStatus, PacketSource, SourceError};
use crate::time::Timestamp;

/// Directories below each other that are entered. Rationale: paths have at most 4096 bytes; no archive is this deep.
const MAX_DEPTH: usize = 64;
/// Bytes of a file that are searched for its first packet, about. Rationale: more than any block of secrets before it.
const MAX_SEARCH: u64 = 64 << 20;
/// Bytes of a compressed file that are decompressed to see what it is.
const INSPECTED: u64 = 1024;
/// Names of files left out in one message, at most.
const MAX_NAMES: usize = 8;

/// Why a file of a directory is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeftOutReason {
    /// Its first bytes, decompressed if it is compressed, are not those of a capture.
    NotACapture,
    /// It has no bytes.
    Empty,
    /// Its name begins with a dot.
    Hidden,
    /// It is neither a regular file nor a directory, or a link to a directory.
    NotRegular,
    /// A directory too far below the one that was given.
    TooDeep,
}

impl LeftOutReason {
    const ALL: [Self; 5] = [Self::NotACapture, Self::Empty, Self::Hidden, Self::NotRegular, Self::TooDeep];

    pub(in crate::capture) const fn describe(self) -> &'static str {
        match self {
            Self::NotACapture => "no captures that can be read",
            Self::Empty => "empty",
            Self::Hidden => "hidden",
            Self::NotRegular => "no regular files",
            Self::TooDeep => "directories too deep",
        }
    }
}

/// Files of a directory that are not read, for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The directory as given.
    pub directory: String,
    /// The reason.
    pub reason: LeftOutReason,
    /// Number of files.
    pub count: u64,
    /// The names of the first of them, relative to the directory.
    pub names: Vec<String>,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { directory, reason, count, names } = self;
        write!(out, "{directory}: left out ({}): {}", reason.describe(), names.join(", "))?;
        match count - names.len() as u64 {
            0 => Ok(()),
            more => write!(out, " and {more} more"),
        }
    }
}

/// The files of a directory and of those below it.
#[derive(Debug, Default)]
pub(in crate::capture) struct Listing {
    /// Regular files.
    pub(in crate::capture) files: Vec<(PathBuf, fs::Metadata)>,
    pub(in crate::capture) errors: Vec<SourceError>,
    pub(in crate::capture) left_out: Vec<(LeftOutReason, PathBuf)>,
}

impl Listing {
    /// Adds a file, or the files of a directory.
    pub(in crate::capture) fn add_root(&mut self, path: &Path) {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => self.enter(path, 0),
            Ok(metadata) if metadata.is_file() => self.files.push((path.to_owned(), metadata)),
            Ok(_) => self.left_out.push((LeftOutReason::NotRegular, path.to_owned())),
            Err(error) => self.errors.push(open_error(path, &error)),
        }
    }

    fn enter(&mut self, directory: &Path, depth: usize) {
        if depth > MAX_DEPTH {
            return self.left_out.push((LeftOutReason::TooDeep, directory.to_owned()));
        }
        match fs::read_dir(directory) {
            Ok(entries) => entries.for_each(|entry| match entry {
                Ok(entry) => self.add(&entry, depth),
                Err(error) => self.errors.push(open_error(directory, &error)),
            }),
            Err(error) => self.errors.push(open_error(directory, &error)),
        }
    }

    fn add(&mut self, entry: &fs::DirEntry, depth: usize) {
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            return self.left_out.push((LeftOutReason::Hidden, path));
        }
        // Links to files are followed; links to directories may lead back.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            return self.enter(&path, depth + 1);
        }
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => self.files.push((path, metadata)),
            Ok(_) => self.left_out.push((LeftOutReason::NotRegular, path)),
            Err(error) => self.errors.push(open_error(&path, &error)),
        }
    }
}

/// Adds the captures of a directory given to `-r`, its errors, and what is left out of it.
pub(super) fn expand_directory(
    directory: &Path,
    inputs: &mut Vec<Result<Input, SourceError>>,
    left_out: &mut Vec<LeftOut>,
) {
    let mut listing = Listing::default();
    listing.enter(directory, 0);
    let mut captures = Vec::new();
    for (path, metadata) in &listing.files {
        match kind_of(path) {
            Ok(FileKind::LeftOut(reason)) => listing.left_out.push((reason, path.clone())),
            Ok(_) => captures.push(Input::file(path, metadata)),
            Err(error) => listing.errors.push(error),
        }
    }
    if captures.is_empty() && listing.errors.is_empty() {
        inputs.push(Err(input_error(directory, "the directory contains no captures".to_owned(), CONVERT)));
    }
    listing.errors.sort_by(|a, b| natural_order::compare(a.input.as_bytes(), b.input.as_bytes()));
    inputs.extend(listing.errors.into_iter().map(Err));
    inputs.extend(in_order(captures).into_iter().map(Ok));
    for reason in LeftOutReason::ALL {
        let of_reason = listing.left_out.iter().filter(|(found, _)| *found == reason);
        let mut names: Vec<String> =
            of_reason.map(|(_, path)| path.strip_prefix(directory).unwrap_or(path).display().to_string()).collect();
        if names.is_empty() {
            continue;
        }
        names.sort_by(|a, b| natural_order::compare(a.as_bytes(), b.as_bytes()));
        let count = names.len() as u64;
        names.truncate(MAX_NAMES);
        left_out.push(LeftOut { directory: directory.display().to_string(), reason, count, names });
    }
}

/// Sorts captures by their first packets, those without one last, and equal ones by name.
fn in_order(captures: Vec<Input>) -> Vec<Input> {
    let mut timed: Vec<(Option<Timestamp>, Input)> =
        captures.into_iter().map(|input| (first_packet_time(&input), input)).collect();
    timed.sort_by(|(a, left), (b, right)| {
        (a.is_none(), a)
            .cmp(&(b.is_none(), b))
            .then_with(|| natural_order::compare(left.name.as_bytes(), right.name.as_bytes()))
    });
    timed.into_iter().map(|(_, input)| input).collect()
}

/// Returns the time of a capture's first packet, if there is one.
pub(in crate::capture) fn first_packet_time(input: &Input) -> Option<Timestamp> {
    let mut source = open(input, 0, BlockSize { bytes: 1, packets: 1 }, None).ok()?;
    let mut block = Block::default();
    while source.bytes_read() < MAX_SEARCH {
        block.clear();
        let status = source.fill(&mut block).ok()?;
        if let Some(first) = block.packets.first() {
            return Some(first.time);
        }
        if status == FillStatus::End {
            break;
        }
    }
    None
}

/// What a file of a directory is.
#[derive(Debug)]
pub(in crate::capture) enum FileKind {
    /// A capture, or one in a format that cannot be read, whose error is reported when it is opened.
    Capture,
    /// A compressed capture.
    Compressed {
        /// Its first bytes, decompressed.
        head: Vec<u8>,
    },
    LeftOut(LeftOutReason),
}

/// Returns what a file is by its first bytes, decompressed if it is compressed.
pub(in crate::capture) fn kind_of(path: &Path) -> Result<FileKind, SourceError> {
    inspect(path).map_err(|error| open_error(path, &error))
}

fn inspect(path: &Path) -> std::io::Result<FileKind> {
    let mut file = File::open(path)?;
    let mut head = Vec::new();
    file.by_ref().take(HEAD_LEN as u64).read_to_end(&mut head)?;
    Ok(match Magic::of(&head) {
        Magic::Compressed(compression) => inspect_compressed(path, decoder_of(compression, head, file)),
        Magic::Unknown if head.is_empty() => FileKind::LeftOut(LeftOutReason::Empty),
        Magic::Unknown if !magic::is_unsupported_capture(&head) => FileKind::LeftOut(LeftOutReason::NotACapture),
        _ => FileKind::Capture,
    })
}

fn decoder_of(compression: Compression, head: Vec<u8>, file: File) -> Box<dyn Read + Send> {
    decoder(compression, Cursor::new(head).chain(file), std::sync::Arc::default())
}

fn inspect_compressed(path: &Path, reader: Box<dyn Read + Send>) -> FileKind {
    let mut head = Vec::new();
    // If decompression fails, the file is a damaged capture, which is reported when it is opened, or no capture.
    let failed = reader.take(INSPECTED).read_to_end(&mut head).is_err();
    let is_capture = match Magic::of(&head) {
        Magic::Pcap(_) | Magic::PcapNg | Magic::Snoop => true,
        Magic::Compressed(_) => named_as_capture(path),
        Magic::Unknown => magic::is_unsupported_capture(&head) || (failed && head.is_empty() && named_as_capture(path)),
    };
    if is_capture { FileKind::Compressed { head } } else { FileKind::LeftOut(LeftOutReason::NotACapture) }
}

/// Returns whether the name of a file is that of a capture.
///
/// Rationale: only for a compressed file without a readable byte, where nothing but the name is known.
fn named_as_capture(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    [".pcap", ".cap", ".snoop", ".trc"].iter().any(|ending| name.contains(ending))
}
