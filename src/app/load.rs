//! Reads and loads signature files and suppress files, and reloads them while the sensor runs. Does not parse their
//! content; see [`crate::signature`] and [`crate::alerts::suppress`].

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::{Receiver, TryRecvError, bounded};

use crate::alerts::suppress::{self, Suppressions};
use crate::app::config::SignatureFiles;
use crate::signature::{self, PrebuiltError, SignatureFile, SignatureOrigin, Signatures, builtin};
use crate::sys;
use crate::time::Timestamp;

/// Error of a signature file or a suppress file. Displays as one line: file, line and cause.
#[derive(Debug)]
pub enum LoadError {
    /// A file cannot be read.
    Read(ReadError),
    /// A line of a file is wrong.
    Line(signature::LoadError),
    /// The built-in signatures cannot be read: the build is broken.
    Builtin(PrebuiltError),
    /// The thread that reloads ended without a result.
    NoResult,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Line(error) => error.fmt(f),
            Self::Builtin(error) => write!(f, "built-in signatures: {error}"),
            Self::NoResult => {
                f.write_str("signatures: cannot load: the reload thread ended without a result (reload again)")
            }
        }
    }
}

impl std::error::Error for LoadError {}

/// A file that cannot be read.
#[derive(Debug)]
pub struct ReadError {
    path: PathBuf,
    /// The options that name such files.
    options: &'static str,
    cause: ReadErrorCause,
}

/// Why a file cannot be read.
#[derive(Debug)]
enum ReadErrorCause {
    Io(io::Error),
    Directory,
    TooLarge,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, options, cause } = self;
        write!(f, "{}: cannot be read: ", path.display())?;
        match cause {
            ReadErrorCause::Io(error) => error.fmt(f)?,
            ReadErrorCause::Directory => f.write_str("it is a directory")?,
            ReadErrorCause::TooLarge => f.write_str("it is larger than 64 MiB")?,
        }
        write!(f, " (see {options})")
    }
}

impl std::error::Error for ReadError {}

/// The options that name signature files.
const SIGNATURE_OPTIONS: &str = "-s and -S";
/// The option that names suppress files.
const SUPPRESS_OPTION: &str = "--suppress";

/// Loads the built-in signatures and the user's files, or the user's files alone.
///
/// # Errors
/// Returns all errors.
pub fn load_signatures(files: &SignatureFiles) -> Result<Signatures, Vec<LoadError>> {
    let (texts, errors) = read_all(files.only.iter().chain(&files.add), SIGNATURE_OPTIONS);
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut sources = if files.only.is_empty() { builtin().to_vec() } else { Vec::new() };
    sources.extend(texts.iter().map(|(name, text)| SignatureFile { name, text, origin: SignatureOrigin::User }));
    Signatures::load(&sources, &mut |name| Ok(read(Path::new(name), SIGNATURE_OPTIONS)?))
        .map_err(|errors| errors.into_iter().map(LoadError::Line).collect())
}

/// The built-in signatures as serialised by `build.rs`.
static PREBUILT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/signatures.bin"));

/// Loads the signatures of a run: without user files, the prebuilt built-in ones, which lack the fields that only the
/// signature commands print; otherwise the result of [`load_signatures`].
fn signatures_of_run(files: &SignatureFiles) -> Result<Signatures, Vec<LoadError>> {
    if files.only.is_empty() && files.add.is_empty() {
        return Signatures::from_prebuilt(PREBUILT).map_err(|error| vec![LoadError::Builtin(error)]);
    }
    load_signatures(files)
}

/// Loads suppress files.
///
/// # Errors
/// Returns all errors.
fn load_suppressions(files: &[PathBuf]) -> Result<Suppressions, Vec<LoadError>> {
    let (texts, errors) = read_all(files, SUPPRESS_OPTION);
    let sources: Vec<_> = texts.iter().map(|(name, text)| suppress::SuppressFile { name, text }).collect();
    match Suppressions::load(&sources) {
        Ok(suppressions) if errors.is_empty() => Ok(suppressions),
        Ok(_) => Err(errors),
        Err(wrong) => Err(errors.into_iter().chain(wrong.into_iter().map(LoadError::Line)).collect()),
    }
}

/// Signatures and suppressions loaded from files.
pub type Loaded = (Arc<Signatures>, Suppressions);

/// Loads signatures and suppress files; returns neither if one of them has an error.
///
/// # Errors
/// Returns all errors.
pub fn load(signatures: &SignatureFiles, suppress: &[PathBuf]) -> Result<Loaded, Vec<LoadError>> {
    match (signatures_of_run(signatures), load_suppressions(suppress)) {
        (Ok(signatures), Ok(suppressions)) => Ok((Arc::new(signatures), suppressions)),
        (signatures, suppressions) => {
            Err([signatures.err(), suppressions.err()].into_iter().flatten().flatten().collect())
        }
    }
}

/// Returns the warnings about suppress files to emit before they are used: entries that have expired as of today, or
/// that never match.
#[must_use]
pub fn review(suppressions: &Suppressions, signatures: &Signatures) -> Vec<String> {
    let today = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    suppressions.review(signatures, Timestamp::ZERO.after(today))
}

/// Reads text files. Returns the name and the text of each, and the errors of those that cannot be read.
fn read_all<'a>(
    paths: impl IntoIterator<Item = &'a PathBuf>,
    options: &'static str,
) -> (Vec<(String, String)>, Vec<LoadError>) {
    let (mut texts, mut errors) = (Vec::new(), Vec::new());
    for path in paths {
        match read(path, options) {
            Ok(text) => texts.push((path.display().to_string(), text)),
            Err(error) => errors.push(LoadError::Read(error)),
        }
    }
    (texts, errors)
}

/// Reads a text file. `options` name such files on the command line.
///
/// # Errors
/// If the file cannot be read, or is not a text file of at most 64 MiB.
fn read(path: &Path, options: &'static str) -> Result<String, ReadError> {
    /// Size limit in bytes. Rationale: a million paths take about 50 MB; a larger file is a mistake (a device, a log).
    const MAX_LEN: u64 = 64 << 20;
    let error = |cause| ReadError { path: path.to_owned(), options, cause };
    let io_error = |cause| error(ReadErrorCause::Io(cause));
    let metadata = std::fs::metadata(path).map_err(io_error)?;
    if metadata.is_dir() {
        return Err(error(ReadErrorCause::Directory));
    }
    if metadata.len() > MAX_LEN {
        return Err(error(ReadErrorCause::TooLarge));
    }
    // The metadata of a device or a pipe do not contain its length.
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(io_error)?;
    file.take(MAX_LEN + 1).read_to_string(&mut text).map_err(io_error)?;
    if text.len() as u64 > MAX_LEN { Err(error(ReadErrorCause::TooLarge)) } else { Ok(text) }
}

/// Reload of the files on a separate thread.
#[derive(Debug)]
pub(crate) struct Reload(Receiver<Result<Loaded, Vec<LoadError>>>);

impl Reload {
    /// Starts the reload.
    pub(crate) fn begin(signatures: SignatureFiles, suppress: Vec<PathBuf>) -> Self {
        let (sender, receiver) = bounded(1);
        std::thread::spawn(move || {
            sys::mask_signals();
            // The receiver is gone if the run has ended.
            let _ = sender.send(load(&signatures, &suppress));
        });
        Self(receiver)
    }

    /// Returns the result once the reload has finished.
    pub(crate) fn result(&self) -> Option<Result<Loaded, Vec<LoadError>>> {
        match self.0.try_recv() {
            Ok(result) => Some(result),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(vec![LoadError::NoResult])),
        }
    }
}
