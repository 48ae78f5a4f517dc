//! Expands the paths of `-r` to inputs. Directories are walked by [`super::directory`].

use std::fs;
use std::path::{Path, PathBuf};

use super::directory::{LeftOut, expand_directory};
use super::inputs::{Input, input_error, open_error};
use crate::capture::source::SourceError;

/// The inputs that the paths of the command line's `-r` name, and what is left out of directories.
#[derive(Debug)]
pub struct Expansion {
    /// The inputs in order. An error of one path does not affect the others.
    pub inputs: Vec<Result<Input, SourceError>>,
    /// Files of directories that are not read.
    pub left_out: Vec<LeftOut>,
}

impl Expansion {
    /// Expands paths: a file, a directory's captures, or `-` for standard input.
    ///
    /// A directory's captures are the regular files in it and in the directories below it that begin like a capture
    /// (compressed or not) and whose names do not begin with a dot. They are read in the order of their first packets;
    /// equal ones in the natural order of their names.
    #[must_use]
    pub fn new(paths: &[PathBuf]) -> Self {
        let (mut inputs, mut left_out) = (Vec::new(), Vec::new());
        for path in paths {
            if path.as_os_str() == "-" {
                inputs.push(stdin_once(&inputs));
                continue;
            }
            match fs::metadata(path) {
                Ok(metadata) if metadata.is_dir() => expand_directory(path, &mut inputs, &mut left_out),
                Ok(metadata) => inputs.push(Ok(Input::file(path, &metadata))),
                Err(error) => inputs.push(Err(open_error(path, &error))),
            }
        }
        Self { inputs, left_out }
    }
}

/// Returns the inputs that paths name: see [`Expansion::new`].
#[must_use]
pub fn expand(paths: &[PathBuf]) -> Vec<Result<Input, SourceError>> {
    Expansion::new(paths).inputs
}

/// Returns standard input as an input, which can be read only once.
fn stdin_once(before: &[Result<Input, SourceError>]) -> Result<Input, SourceError> {
    let is_repeated = before.iter().flatten().any(|input| input.path.is_none());
    if is_repeated {
        return Err(input_error(Path::new("-"), "standard input is named twice".to_owned(), "name it once"));
    }
    Ok(Input { name: "-".to_owned(), path: None, size: None })
}
