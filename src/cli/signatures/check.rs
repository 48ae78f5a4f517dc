//! The check of files of signatures. Not the loading, which refuses what is broken.

use std::collections::BTreeMap;
use std::path::PathBuf;

use smsentry::app::config::SignatureFiles;
use smsentry::app::{Exit, load_signatures};
use smsentry::signature::Signatures;

use super::Answer;

/// Checks `files` by themselves, then beside the signatures of `others`.
pub(super) fn answer(files: Vec<PathBuf>, others: SignatureFiles) -> Answer {
    let alone = match load_signatures(&SignatureFiles { add: Vec::new(), only: files.clone() }) {
        Ok(set) => set,
        Err(errors) => return Answer::refusal(errors),
    };
    let mut answer = Answer::of(String::new());
    answer.messages = alone.failing_examples();
    if !answer.messages.is_empty() {
        answer.exit = Exit::Usage;
    }
    let ours: Vec<u32> = alone.iter().map(|signature| signature.id).collect();
    let together = SignatureFiles { add: others.add.into_iter().chain(files).collect(), only: others.only };
    let beside = load_signatures(&together);
    if beside.is_err() {
        answer.text.push_str(
            "note: the files share ids or slugs with the built-in signatures, so they are compared by themselves\n",
        );
    }
    notes(beside.as_ref().unwrap_or(&alone), &ours, &mut answer.text);
    answer.text.push_str(&format!(
        "{} signatures with {} patterns, {} of their examples fail\n",
        alone.len(),
        alone.patterns(),
        answer.messages.len()
    ));
    answer
}

/// What is no mistake, but good to know of `ours`.
fn notes(set: &Signatures, ours: &[u32], text: &mut String) {
    for overlap in overlaps(set, ours) {
        text.push_str(&format!("overlap: {overlap}\n"));
    }
    for signature in set.iter().filter(|signature| ours.contains(&signature.id)) {
        for shadowed in set.shadowed(signature) {
            text.push_str(&format!("shadowed: {shadowed}\n"));
        }
    }
}

/// Examples that more than one signature matches, if one of `ids` does: one line for the same signatures in the same order.
pub(super) fn overlaps(set: &Signatures, ids: &[u32]) -> Vec<String> {
    let mut grouped: BTreeMap<Vec<u32>, (String, usize)> = BTreeMap::new();
    for overlap in set.overlaps().iter().filter(|overlap| overlap.involves(ids)) {
        let matches = overlap.matches.iter().map(|signature| signature.id).collect();
        grouped.entry(matches).or_insert_with(|| (overlap.to_string(), 0)).1 += 1;
    }
    let line = |(text, count): (String, usize)| match count {
        1 => text,
        2 => format!("{text}; so is 1 more example"),
        more => format!("{text}; so are {} more examples", more - 1),
    };
    grouped.into_values().map(line).collect()
}
