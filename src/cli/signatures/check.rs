//! The check of files of signatures. Not the loading, which refuses what is broken.

use std::path::PathBuf;

use smsentry::runtime::config::SignatureFiles;
use smsentry::runtime::{Exit, load_signatures};
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
    for overlap in set.overlaps().iter().filter(|overlap| overlap.among(ours)) {
        text.push_str(&format!("overlap: {overlap}\n"));
    }
    for shadowed in set.shadowed().iter().filter(|shadowed| ours.contains(&shadowed.signature.id)) {
        text.push_str(&format!("shadowed: {shadowed}\n"));
    }
}
