//! Checks signature files: runs their examples and finds overlaps with other signatures. Invalid files are refused when
//! they are loaded; see [`smsentry::app::load_signatures`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use smsentry::app::config::SignatureFiles;
use smsentry::app::{Exit, load_signatures};
use smsentry::signature::Signatures;

use super::CommandOutput;
use crate::cli::counted;

/// Checks `files` by themselves, then together with the signatures of `others`.
pub(super) fn execute(files: Vec<PathBuf>, others: SignatureFiles) -> CommandOutput {
    let alone = match load_signatures(&SignatureFiles { add: Vec::new(), only: files.clone() }) {
        Ok(set) => set,
        Err(errors) => return CommandOutput::load_errors(&errors),
    };
    let mut output = CommandOutput::text(String::new());
    output.messages = alone.failing_examples();
    if !output.messages.is_empty() {
        output.exit = Exit::Usage;
    }
    let ids: Vec<u32> = alone.iter().map(|signature| signature.id).collect();
    let all_files = SignatureFiles { add: others.add.into_iter().chain(files).collect(), only: others.only };
    let together = load_signatures(&all_files);
    if together.is_err() {
        output.text.push_str(
            "note: the files use ids or slugs of the other signatures, so only their own signatures are compared\n",
        );
    }
    append_notes(together.as_ref().unwrap_or(&alone), &ids, &mut output.text);
    output.text.push_str(&format!(
        "{} with {}; {}\n",
        counted(alone.len(), "signature", "signatures"),
        counted(alone.patterns(), "pattern", "patterns"),
        counted(output.messages.len(), "example fails", "examples fail"),
    ));
    output
}

/// Appends the overlaps and the shadowed patterns of the signatures `ids`. Neither is an error.
fn append_notes(set: &Signatures, ids: &[u32], text: &mut String) {
    for overlap in overlaps(set, ids) {
        text.push_str(&format!("overlap: {overlap}\n"));
    }
    for signature in set.iter().filter(|signature| ids.contains(&signature.id)) {
        for shadowed in set.shadowed(signature) {
            text.push_str(&format!("shadowed: {shadowed}\n"));
        }
    }
}

/// Returns the examples that several signatures match, one of `ids` among them. Examples with the same signatures in
/// the same order share a line.
pub(super) fn overlaps(set: &Signatures, ids: &[u32]) -> Vec<String> {
    let mut grouped: BTreeMap<Vec<u32>, (String, usize)> = BTreeMap::new();
    for overlap in set.overlaps().iter().filter(|overlap| overlap.involves(ids)) {
        let matches = overlap.matches.iter().map(|signature| signature.id).collect();
        grouped.entry(matches).or_insert_with(|| (overlap.to_string(), 0)).1 += 1;
    }
    let line = |(text, count): (String, usize)| match count - 1 {
        0 => text,
        more => format!("{text}; the same for {}", counted(more, "more example", "more examples")),
    };
    grouped.into_values().map(line).collect()
}
