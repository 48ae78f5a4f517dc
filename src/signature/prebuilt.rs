//! The built-in signatures as the build leaves them in the program: checked, with their tables built, so that a start need
//! not read a megabyte of TOML. Not for files of users, which are read as they are ([`super::load`]).

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::load::{Raw, Signatures};
use super::table::Table;
use super::words::Words;
use super::{BodyTest, MatchKind, Pattern, Signature};

/// Everything that a run asks of signatures. Not in it: their examples and word lists as written, which only the
/// commands for signatures show.
#[derive(Serialize, Deserialize)]
struct Prebuilt {
    list: Vec<Signature>,
    places: Vec<Box<str>>,
    table: Table,
    as_written: Vec<Box<[u8]>>,
    /// The owners of the `raw` patterns, which stand in the list.
    raw_owners: Vec<u32>,
    words: Words,
    weigh_pages: bool,
}

impl Signatures {
    /// What [`Signatures::from_prebuilt`] reads, in postcard's format.
    ///
    /// # Errors
    /// Never for signatures that were loaded.
    pub fn to_prebuilt(&self) -> Result<Vec<u8>, String> {
        let prebuilt = Prebuilt {
            list: self.list.iter().map(|signature| Signature::clone(signature)).collect(),
            places: self.places.clone(),
            table: self.table.clone(),
            as_written: self.as_written.clone(),
            raw_owners: self.raw.as_ref().map(|raw| raw.owners.clone()).unwrap_or_default(),
            words: self.words.clone(),
            weigh_pages: self.weigh_pages,
        };
        postcard::to_stdvec(&prebuilt).map_err(|error| error.to_string())
    }

    /// Signatures without examples and word lists as written; what they match is the same.
    ///
    /// # Errors
    /// Where the bytes are not what [`Signatures::to_prebuilt`] wrote.
    pub fn from_prebuilt(bytes: &[u8]) -> Result<Self, String> {
        let prebuilt: Prebuilt = postcard::from_bytes(bytes).map_err(|error| error.to_string())?;
        let Prebuilt { mut list, places, table, as_written, raw_owners, words, weigh_pages } = prebuilt;
        let raw = Raw::build(raw_patterns(&list), raw_owners).map_err(|error| error.to_string())?;
        share_body_tests(&mut list);
        let list = list.into_iter().map(Arc::new).collect();
        Ok(Self { list, places, table, as_written, raw, words, weigh_pages })
    }
}

/// All `raw` patterns, in the order of their signatures.
fn raw_patterns(list: &[Signature]) -> Vec<&str> {
    let mut all = Vec::new();
    for signature in list {
        if let Pattern::Text(MatchKind::Raw, patterns) = &signature.pattern {
            all.extend(patterns.iter().map(String::as_str));
        }
    }
    all
}

/// Makes equal tests one, which is compiled once.
fn share_body_tests(list: &mut [Signature]) {
    let mut known: HashMap<String, BodyTest> = HashMap::new();
    for test in list.iter_mut().flat_map(|signature| &mut signature.exposed.body) {
        match known.get(test.as_str()) {
            Some(same) => *test = same.clone(),
            None => drop(known.insert(test.as_str().to_owned(), test.clone())),
        }
    }
}
