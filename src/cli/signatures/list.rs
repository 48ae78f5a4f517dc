//! The list of signatures: a table for people, JSON for programs. Not what one signature means: see [`super::explain`].

use smsentry::format::write_signature;
use smsentry::signature::{Signature, Signatures};

/// One line each, columns as wide as they have to be.
pub(super) fn table(set: &Signatures) -> String {
    let head = ["ID", "REV", "FAMILY", "STATUS", "SEVERITY", "CONFIDENCE", "MATCH", "SLUG", "TITLE"].map(str::to_owned);
    let mut rows = vec![head];
    rows.extend(set.iter().map(|signature| row(signature)));
    let mut widths = [0; 9];
    for row in &rows {
        widths.iter_mut().zip(row).for_each(|(width, cell)| *width = cell.chars().count().max(*width));
    }
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn row(signature: &Signature) -> [String; 9] {
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

/// One object a line.
pub(super) fn json(set: &Signatures) -> String {
    let mut out = Vec::new();
    for (signature, place) in set.with_locations() {
        write_signature(&mut out, signature, place);
    }
    // The lines are ASCII.
    String::from_utf8_lossy(&out).into_owned()
}
