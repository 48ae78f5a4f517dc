//! The built-in signatures as the build compiles them into the program: checked, with their tables built, so that a
//! start need not parse a megabyte of TOML. User files are always read from source ([`super::load`]).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use aho_corasick::BuildError;
use serde::{Deserialize, Serialize};

use super::load::{Raw, Signatures};
use super::table::Table;
use super::words::Words;
use super::{BodyTest, MatchKind, Pattern, Signature};

/// Everything that a run needs of signatures. Without their examples and word lists as written, which only the
/// `signatures` commands show.
#[derive(Serialize, Deserialize)]
struct Prebuilt {
    list: Vec<Signature>,
    locations: Vec<Box<str>>,
    table: Table,
    as_written: Vec<Box<[u8]>>,
    /// The signatures of the `raw` patterns; the patterns themselves are in `list`.
    raw_owners: Vec<u32>,
    words: Words,
    needs_page_views: bool,
}

/// Prebuilt signatures cannot be written or read.
#[derive(Debug)]
pub enum PrebuiltError {
    /// The bytes are not in the expected format.
    Format(postcard::Error),
    /// The automaton of the `raw` patterns cannot be built.
    Raw(BuildError),
}

impl fmt::Display for PrebuiltError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(error) => error.fmt(f),
            Self::Raw(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PrebuiltError {}

impl Signatures {
    /// Serialises the signatures in postcard's format, for [`Signatures::from_prebuilt`].
    ///
    /// # Errors
    /// Never for signatures that were loaded.
    pub fn to_prebuilt(&self) -> Result<Vec<u8>, PrebuiltError> {
        let prebuilt = Prebuilt {
            list: self.list.iter().map(|signature| Signature::clone(signature)).collect(),
            locations: self.locations.clone(),
            table: self.table.clone(),
            as_written: self.as_written.clone(),
            raw_owners: self.raw.as_ref().map(|raw| raw.owners.clone()).unwrap_or_default(),
            words: self.words.clone(),
            needs_page_views: self.needs_page_views,
        };
        postcard::to_stdvec(&prebuilt).map_err(PrebuiltError::Format)
    }

    /// Reads signatures without their examples and word lists as written; they match the same requests.
    ///
    /// # Errors
    /// If [`Signatures::to_prebuilt`] did not write these bytes.
    pub fn from_prebuilt(bytes: &[u8]) -> Result<Self, PrebuiltError> {
        let prebuilt: Prebuilt = postcard::from_bytes(bytes).map_err(PrebuiltError::Format)?;
        let Prebuilt { mut list, locations, table, as_written, raw_owners, words, needs_page_views } = prebuilt;
        let raw = Raw::build(raw_patterns(&list), raw_owners).map_err(PrebuiltError::Raw)?;
        share_body_tests(&mut list);
        let list = list.into_iter().map(Arc::new).collect();
        Ok(Self { list, locations, table, as_written, raw, words, needs_page_views })
    }
}

/// Returns all `raw` patterns, in the order of their signatures.
fn raw_patterns(list: &[Signature]) -> Vec<&str> {
    let mut all = Vec::new();
    for signature in list {
        if let Pattern::Text(MatchKind::Raw, patterns) = &signature.pattern {
            all.extend(patterns.iter().map(String::as_str));
        }
    }
    all
}

/// Lets equal tests share one expression, so that it is compiled once.
fn share_body_tests(list: &mut [Signature]) {
    let mut known: HashMap<String, BodyTest> = HashMap::new();
    for test in list.iter_mut().flat_map(|signature| &mut signature.exposed.body) {
        match known.get(test.as_str()) {
            Some(same) => *test = same.clone(),
            None => drop(known.insert(test.as_str().to_owned(), test.clone())),
        }
    }
}
