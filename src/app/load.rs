//! Reads and loads signature files and suppress files, and reloads them while the sensor runs. Does not parse their
//! content; see [`crate::signature`] and [`crate::alerts::suppress`].

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::{Receiver, TryRecvError, bounded};

use crate::alerts::suppress::{self, Suppressions};
use crate::app::config::SignatureFiles;
use crate::signature::{SignatureFile, SignatureOrigin, Signatures, builtin};
use crate::sys;
use crate::time::Timestamp;

/// Loads the built-in signatures and the user's files, or the user's files alone.
///
/// # Errors
/// Returns all errors, one line each: file, line and cause.
pub fn load_signatures(files: &SignatureFiles) -> Result<Signatures, Vec<String>> {
    let mut texts = Vec::new();
    let mut errors = Vec::new();
    for path in files.only.iter().chain(&files.add) {
        match read(path, "see -s and -S") {
            Ok(text) => texts.push((path.display().to_string(), text)),
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut sources = if files.only.is_empty() { builtin().to_vec() } else { Vec::new() };
    sources.extend(texts.iter().map(|(name, text)| SignatureFile { name, text, origin: SignatureOrigin::User }));
    Signatures::load(&sources, &mut |name| read(Path::new(name), "see -s and -S"))
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

/// The built-in signatures as serialised by `build.rs`.
static PREBUILT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/signatures.bin"));

/// Loads the signatures of a run: without user files, the prebuilt built-in ones, which lack the fields that only the
/// signature commands print; otherwise the result of [`load_signatures`].
fn signatures_of_run(files: &SignatureFiles) -> Result<Signatures, Vec<String>> {
    if files.only.is_empty() && files.add.is_empty() {
        return Signatures::from_prebuilt(PREBUILT).map_err(|error| vec![format!("built-in signatures: {error}")]);
    }
    load_signatures(files)
}

/// Loads suppress files.
///
/// # Errors
/// Returns all errors, one line each: file, line and cause.
fn load_suppressions(files: &[PathBuf]) -> Result<Suppressions, Vec<String>> {
    let (mut texts, mut errors) = (Vec::new(), Vec::new());
    for path in files {
        match read(path, "see --suppress") {
            Ok(text) => texts.push((path.display().to_string(), text)),
            Err(error) => errors.push(error),
        }
    }
    let sources: Vec<_> = texts.iter().map(|(name, text)| suppress::SuppressFile { name, text }).collect();
    match Suppressions::load(&sources) {
        Ok(suppressions) if errors.is_empty() => Ok(suppressions),
        Ok(_) => Err(errors),
        Err(faults) => Err(errors.into_iter().chain(faults.iter().map(ToString::to_string)).collect()),
    }
}

/// Signatures and suppressions loaded from files.
pub type Loaded = (Arc<Signatures>, Suppressions);

/// Loads signatures and suppress files; returns neither if one of them has an error.
///
/// # Errors
/// Returns all errors, one line each: file, line and cause.
pub fn load(signatures: &SignatureFiles, suppress: &[PathBuf]) -> Result<Loaded, Vec<String>> {
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

/// Reads a text file. `see` names the option that the file was given with.
///
/// # Errors
/// Returns a line with the path, the cause and `see`.
fn read(path: &Path, see: &str) -> Result<String, String> {
    /// Size limit in bytes. Rationale: a million paths take about 50 MB; a larger file is a mistake (a device, a log).
    const MAX_LEN: u64 = 64 << 20;
    let describe = |cause: &dyn std::fmt::Display| format!("{}: cannot be read: {cause} ({see})", path.display());
    let metadata = std::fs::metadata(path).map_err(|error| describe(&error))?;
    if metadata.is_dir() {
        return Err(describe(&"it is a directory"));
    }
    if metadata.len() > MAX_LEN {
        return Err(describe(&"it is larger than 64 MiB"));
    }
    // The metadata of a device or a pipe do not contain its length.
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| describe(&error))?;
    file.take(MAX_LEN + 1).read_to_string(&mut text).map_err(|error| describe(&error))?;
    if text.len() as u64 > MAX_LEN { Err(describe(&"it is larger than 64 MiB")) } else { Ok(text) }
}

/// Reload of the files on a separate thread.
#[derive(Debug)]
pub(crate) struct Reload(Receiver<Result<Loaded, Vec<String>>>);

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
    pub(crate) fn result(&self) -> Option<Result<Loaded, Vec<String>>> {
        match self.0.try_recv() {
            Ok(result) => Some(result),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(vec![
                "signatures: cannot load: the reload thread ended without a result (reload again)".to_owned(),
            ])),
        }
    }
}
