//! Lists signatures: a table for people, JSON for programs. Does not explain them; see [`super::explain`].

use smsentry::format::write_signature;
use smsentry::signature::{Signature, Signatures};

/// Formats one line per signature, with columns as wide as their content.
pub(super) fn table(set: &Signatures) -> String {
    let header =
        ["ID", "REV", "FAMILY", "STATUS", "SEVERITY", "CONFIDENCE", "MATCH", "SLUG", "TITLE"].map(str::to_owned);
    let mut rows = vec![header];
    rows.extend(set.iter().map(|signature| cells(signature)));
    let mut widths = [0; 9];
    for row in &rows {
        widths.iter_mut().zip(row).for_each(|(width, cell)| *width = cell.chars().count().max(*width));
    }
    let mut text = String::new();
    for row in &rows {
        let padded: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn cells(signature: &Signature) -> [String; 9] {
    [
        signature.id.to_string(),
        signature.rev.to_string(),
        signature.family.clone(),
        signature.status().to_owned(),
        signature.severity.to_string(),
        signature.confidence.name().to_owned(),
        signature.pattern.kind_name().to_owned(),
        signature.slug.clone(),
        signature.title.clone(),
    ]
}

/// Formats one JSON object per line and signature.
pub(super) fn json(set: &Signatures) -> String {
    let mut out = Vec::new();
    for (signature, location) in set.with_locations() {
        write_signature(&mut out, signature, location);
    }
    // The lines are pure ASCII.
    String::from_utf8_lossy(&out).into_owned()
}
