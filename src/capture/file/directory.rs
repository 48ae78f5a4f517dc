//! The captures of a directory and of the directories below it, in the order of their first packets, and what is left
//! out of it. Files are read by [`super::reader`].

use std::fmt;
use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use super::compression::decoder;
use super::format_error::CONVERT;
use super::inputs::{Input, input_error, open, open_error};
use super::magic::{self, HEAD_LEN, Magic};
use super::natural_order;
use crate::capture::block::{Block, BlockSize};
use crate::capture::source::{FillStatus, PacketSource, SourceError};
use crate::time::Timestamp;

/// Directories below each other that are entered. Rationale: paths have at most 4096 bytes; no archive is this deep.
const MAX_DEPTH: usize = 64;
/// Bytes of a file that are searched for its first packet, about. Rationale: more than any block of secrets before it.
const MAX_SEARCH: u64 = 64 << 20;
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

    const fn describe(self) -> &'static str {
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

/// What a directory contains.
#[derive(Debug, Default)]
pub(in crate::capture) struct Walk {
    /// Captures that can be opened, in the order of their first packets.
    pub(in crate::capture) captures: Vec<Input>,
    pub(in crate::capture) errors: Vec<SourceError>,
    pub(in crate::capture) left_out: Vec<(LeftOutReason, PathBuf)>,
}

impl Walk {
    /// Walks a directory and those below it.
    pub(in crate::capture) fn of(directory: &Path) -> Self {
        let mut walk = Self::default();
        walk.enter(directory, 0);
        walk.captures = in_order(walk.captures);
        walk
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
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) => return self.errors.push(open_error(&path, &error)),
        };
        if !metadata.is_file() {
            return self.left_out.push((LeftOutReason::NotRegular, path));
        }
        match kind_of(&path) {
            Ok(None) => self.captures.push(Input::file(&path, &metadata)),
            Ok(Some(reason)) => self.left_out.push((reason, path)),
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
    let mut walk = Walk::of(directory);
    if walk.captures.is_empty() && walk.errors.is_empty() {
        inputs.push(Err(input_error(directory, "the directory contains no captures".to_owned(), CONVERT)));
    }
    walk.errors.sort_by(|a, b| natural_order::compare(a.input.as_bytes(), b.input.as_bytes()));
    inputs.extend(walk.errors.into_iter().map(Err));
    inputs.extend(walk.captures.into_iter().map(Ok));
    for reason in LeftOutReason::ALL {
        let of_reason = walk.left_out.iter().filter(|(found, _)| *found == reason);
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
        captures.into_iter().map(|input| (first_time(&input), input)).collect();
    timed.sort_by(|(a, left), (b, right)| {
        (a.is_none(), a).cmp(&(b.is_none(), b)).then_with(|| {
            natural_order::compare(left.name.as_bytes(), right.name.as_bytes())
        })
    });
    timed.into_iter().map(|(_, input)| input).collect()
}

/// Returns the time of a capture's first packet, if there is one.
fn first_time(input: &Input) -> Option<Timestamp> {
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

/// Returns why a file is left out, or `None` for a capture: decided by its first bytes, decompressed if it is
/// compressed. A capture in a format that cannot be read is one, and its error is reported when it is opened.
fn kind_of(path: &Path) -> std::io::Result<Option<LeftOutReason>> {
    let mut file = File::open(path)?;
    let mut head = Vec::new();
    file.by_ref().take(HEAD_LEN as u64).read_to_end(&mut head)?;
    let Magic::Compressed(compression) = Magic::of(&head) else {
        let is_capture = Magic::of(&head) != Magic::Unknown || magic::is_unsupported_capture(&head);
        let reason = if head.is_empty() { LeftOutReason::Empty } else { LeftOutReason::NotACapture };
        return Ok((!is_capture).then_some(reason));
    };
    let mut within = Vec::new();
    let mut reader = decoder(compression, Cursor::new(head).chain(file), std::sync::Arc::default());
    // If decompression fails, the file is a damaged capture, which is reported when it is opened, or no capture.
    let failed = reader.by_ref().take(HEAD_LEN as u64).read_to_end(&mut within).is_err();
    let is_capture = match Magic::of(&within) {
        Magic::Pcap(_) | Magic::PcapNg | Magic::Snoop => true,
        Magic::Compressed(_) => named_as_capture(path),
        Magic::Unknown => {
            magic::is_unsupported_capture(&within) || (failed && within.is_empty() && named_as_capture(path))
        }
    };
    Ok((!is_capture).then_some(LeftOutReason::NotACapture))
}

/// Returns whether the name of a file is that of a capture.
///
/// Rationale: only for a compressed file without a readable byte, where nothing but the name is known.
fn named_as_capture(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    [".pcap", ".cap", ".snoop", ".trc"].iter().any(|ending| name.contains(ending))
}
