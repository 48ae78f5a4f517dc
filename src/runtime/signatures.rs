//! Signature files from disk: read, loaded, and loaded again while the sensor runs. Not what is in them: see
//! [`crate::signature`].

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use crossbeam_channel::{Receiver, TryRecvError, bounded};

use crate::runtime::config::SignatureFiles;
use crate::runtime::sys;
use crate::signature::{Origin, Signatures, Source, builtin};

/// Loads the built-in signatures and the user's files, or the user's files alone.
///
/// # Errors
/// Everything that is wrong, a line each: file, line and reason.
pub fn load_signatures(files: &SignatureFiles) -> Result<Signatures, Vec<String>> {
    let mut texts = Vec::new();
    let mut errors = Vec::new();
    for path in files.only.iter().chain(&files.add) {
        match read(path) {
            Ok(text) => texts.push((path.display().to_string(), text)),
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut sources = if files.only.is_empty() { builtin().to_vec() } else { Vec::new() };
    sources.extend(texts.iter().map(|(name, text)| Source { name, text, origin: Origin::User }));
    Signatures::load(&sources, &mut |name| read(Path::new(name)))
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn read(path: &Path) -> Result<String, String> {
    /// Rationale: a million paths take about 50 MB; more is a mistake (a device, a log).
    const MOST: u64 = 64 << 20;
    let describe =
        |cause: &dyn std::fmt::Display| format!("{}: cannot be read: {cause} (see -s and -S)", path.display());
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
pub(super) struct Reload(Receiver<Result<Signatures, Vec<String>>>);

impl Reload {
    /// Begins to load.
    pub(super) fn begin(files: SignatureFiles) -> Self {
        let (sender, receiver) = bounded(1);
        std::thread::spawn(move || {
            sys::mask_signals();
            // Nobody waits for it any more when the run is over.
            let _ = sender.send(load_signatures(&files));
        });
        Self(receiver)
    }

    /// What came of it, once it did.
    pub(super) fn result(&self) -> Option<Result<Arc<Signatures>, Vec<String>>> {
        match self.0.try_recv() {
            Ok(result) => Some(result.map(Arc::new)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(vec!["loading the signatures failed".to_owned()])),
        }
    }
}
