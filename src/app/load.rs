//! Signature files and suppress files from disk: read, loaded, and loaded again while the sensor runs. Not what is in
//! them: see [`crate::signature`] and [`crate::alerts::suppress`].

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
/// Everything that is wrong, a line each: file, line and reason.
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

/// The built-in signatures as `build.rs` left them.
static PREBUILT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/signatures.bin"));

/// The signatures of a run: the built-in ones without what only the commands for signatures show, or as
/// [`load_signatures`] has them.
fn signatures_of_run(files: &SignatureFiles) -> Result<Signatures, Vec<String>> {
    if files.only.is_empty() && files.add.is_empty() {
        return Signatures::from_prebuilt(PREBUILT).map_err(|error| vec![format!("built-in signatures: {error}")]);
    }
    load_signatures(files)
}

/// Loads suppress files.
///
/// # Errors
/// Everything that is wrong, a line each: file, line and reason.
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

/// What is loaded from files.
pub type Loaded = (Arc<Signatures>, Suppressions);

/// Loads signatures and suppress files; neither, if there is something wrong with one of them.
///
/// # Errors
/// Everything that is wrong, a line each: file, line and reason.
pub fn load(signatures: &SignatureFiles, suppress: &[PathBuf]) -> Result<Loaded, Vec<String>> {
    match (signatures_of_run(signatures), load_suppressions(suppress)) {
        (Ok(signatures), Ok(suppressions)) => Ok((Arc::new(signatures), suppressions)),
        (signatures, suppressions) => {
            Err([signatures.err(), suppressions.err()].into_iter().flatten().flatten().collect())
        }
    }
}

/// What is to be told of suppress files before they are used: entries that are over today, or never match.
#[must_use]
pub fn review(suppressions: &Suppressions, signatures: &Signatures) -> Vec<String> {
    let today = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    suppressions.review(signatures, Timestamp::ZERO.after(today))
}

/// `see`: where the file was named.
fn read(path: &Path, see: &str) -> Result<String, String> {
    /// Rationale: a million paths take about 50 MB; more is a mistake (a device, a log).
    const MOST: u64 = 64 << 20;
    let describe = |cause: &dyn std::fmt::Display| format!("{}: cannot be read: {cause} ({see})", path.display());
    let metadata = std::fs::metadata(path).map_err(|error| describe(&error))?;
    if metadata.is_dir() {
        return Err(describe(&"it is a directory"));
    }
    if metadata.len() > MOST {
        return Err(describe(&"it is larger than 64 MiB"));
    }
    // A device or a pipe does not say how long it is.
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| describe(&error))?;
    file.take(MOST + 1).read_to_string(&mut text).map_err(|error| describe(&error))?;
    if text.len() as u64 > MOST { Err(describe(&"it is larger than 64 MiB")) } else { Ok(text) }
}

/// A reload on a thread of its own.
#[derive(Debug)]
pub(crate) struct Reload(Receiver<Result<Loaded, Vec<String>>>);

impl Reload {
    /// Begins to load.
    pub(crate) fn begin(signatures: SignatureFiles, suppress: Vec<PathBuf>) -> Self {
        let (sender, receiver) = bounded(1);
        std::thread::spawn(move || {
            sys::mask_signals();
            // Nobody waits for it any more when the run is over.
            let _ = sender.send(load(&signatures, &suppress));
        });
        Self(receiver)
    }

    /// What came of it, once it did.
    pub(crate) fn result(&self) -> Option<Result<Loaded, Vec<String>>> {
        match self.0.try_recv() {
            Ok(result) => Some(result),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(vec!["loading the signatures failed".to_owned()])),
        }
    }
}
