//! Explains one signature to a person. Output for programs: see [`super::list`].

use smsentry::signature::{Confidence, MatchKind, Outcome, Pattern, Signature, Signatures};
use smsentry::uri::{NormalHost, NormalPath};

use crate::cli::counted;

/// Formats the explanation of a signature.
pub(super) fn text(set: &Signatures, signature: &Signature) -> String {
    let mut page = TwoColumns::default();
    page.line(&format!("{} revision {}: {}", signature.id, signature.rev, signature.slug));
    page.line(&signature.title);
    page.line("");
    classification(&mut page, set, signature);
    matching(&mut page, signature);
    responses(&mut page, signature);
    legitimate(&mut page, signature);
    origin(&mut page, signature);
    page.items("Must match", &signature.hits.iter().map(ToString::to_string).collect::<Vec<_>>());
    page.items("Must not match", &signature.misses.iter().map(ToString::to_string).collect::<Vec<_>>());
    overlaps(&mut page, set, signature);
    suppression(&mut page, signature);
    page.0
}

/// Describes what the signature is about and how its alerts are rated.
fn classification(page: &mut TwoColumns, set: &Signatures, signature: &Signature) {
    page.item("Product", &format!("{} (family {})", signature.product, signature.family));
    if let Some((_, location)) = set.with_locations().find(|(other, _)| other.id == signature.id) {
        page.item("Defined in", location);
    }
    page.item(
        "Status",
        match signature.status() {
            "active" => "active: a match is reported as an alert",
            _ => "support: never alerts alone, only counts in campaigns",
        },
    );
    page.item(
        "Severity",
        &match signature.severity {
            2 => "2; 1 if the outcome is exposed, 3 if it is not_found or refused".to_owned(),
            other => format!("{other}; 1 if the outcome is exposed"),
        },
    );
    page.item(
        "Confidence",
        match signature.confidence {
            Confidence::Low => "low: legitimate requests may look the same",
            Confidence::Medium => "medium: rarely legitimate",
            Confidence::High => "high: not requested by accident",
        },
    );
}

/// Lists ATT&CK technique, CVEs, references and dates.
fn origin(page: &mut TwoColumns, signature: &Signature) {
    if let Some(mitre) = &signature.mitre {
        let name = |name: &str| name.replace('_', " ");
        page.item(
            "MITRE ATT&CK",
            &format!(
                "{} {}, {} {}",
                mitre.tactic_id,
                name(&mitre.tactic_name),
                mitre.technique_id,
                name(&mitre.technique_name)
            ),
        );
    }
    page.items("CVE", &signature.cve);
    page.items("References", &signature.references);
    page.item("Created", &format!("{}, last changed {}", day(&signature.created_at), day(&signature.updated_at)));
}

fn day(day: &str) -> String {
    if day.is_empty() { "on an unknown day".to_owned() } else { day.replace('_', "-") }
}

/// Describes the requests that match.
fn matching(page: &mut TwoColumns, signature: &Signature) {
    let meaning = match &signature.pattern {
        Pattern::Text(MatchKind::Path, _) => "the whole path, from the root",
        Pattern::Text(MatchKind::Suffix, _) => "the end of the path, below any directory",
        Pattern::Text(MatchKind::Prefix, _) => "the beginning of the path, in whole segments",
        Pattern::Text(MatchKind::Host, _) => "the host of an absolute-form or CONNECT target, or a sub-domain of it",
        Pattern::Text(MatchKind::Raw, _) => "bytes of the request target as sent, case-sensitive",
        Pattern::Text(MatchKind::Words, _) | Pattern::Words(_) => {
            "one entry of each list, as whole words (split at / . _ - ~)"
        }
        Pattern::PathFile(..) => "any path that the file lists, from the root",
    };
    page.item("Matches", &format!("{}: {meaning}", signature.pattern.kind_name()));
    let lines: Vec<String> = match &signature.pattern {
        Pattern::Text(kind, patterns) => patterns.iter().map(|pattern| with_normal_form(*kind, pattern)).collect(),
        Pattern::PathFile(name, count) => vec![format!("{name}, {count} paths")],
        Pattern::Words(lists) => lists.iter().map(|list| list.join(" | ")).collect(),
    };
    lines.iter().for_each(|line| page.more(line));
    let scope = &signature.scope;
    if let Some(last) = scope.last {
        let only = if scope.only { ", which have no other words" } else { "" };
        let segments = counted(last.into(), "segment", "segments");
        page.more(&format!("all words in the last {segments} of the path{only}"));
    }
    if !scope.unless.is_empty() {
        page.item("Unless", &format!("the path contains one of: {}", scope.unless.join(" | ")));
    }
    if !matches!(signature.pattern, Pattern::Text(MatchKind::Raw, _)) {
        page.more("compared in normal form: no query, percent-encoding decoded, slashes and dots resolved, lower case");
    }
    let methods = if signature.methods.is_empty() { "any".to_owned() } else { signature.methods.join(", ") };
    page.item("Method", &methods);
    for condition in &signature.query {
        page.item(
            "Query",
            &match &condition.value {
                Some(value) => format!("{} is {value:?}", condition.key),
                None => format!("has {}", condition.key),
            },
        );
    }
}

fn with_normal_form(kind: MatchKind, pattern: &str) -> String {
    let normal = match kind {
        MatchKind::Raw => return pattern.to_owned(),
        MatchKind::Host => NormalHost::of(pattern.as_bytes()).host,
        _ => NormalPath::of(pattern.as_bytes()).path,
    };
    match String::from_utf8_lossy(&normal) {
        normal if normal == pattern => pattern.to_owned(),
        normal => format!("{pattern}, in normal form {normal}"),
    }
}

/// Describes the responses that decide the outcome.
fn responses(page: &mut TwoColumns, signature: &Signature) {
    let exposed = &signature.exposed;
    let types = |types: &[String]| {
        let name = |name: &String| if name == "none" { "no Content-Type".to_owned() } else { name.clone() };
        types.iter().map(name).collect::<Vec<_>>().join(", ")
    };
    if signature.proxy {
        page.item("Exposed", "a 2xx response to CONNECT");
    }
    let bodies = || exposed.body.iter().map(|test| test.as_str().to_owned()).collect::<Vec<_>>();
    match (exposed.proven_by_type, exposed.body.is_empty()) {
        (true, true) => page.item("Exposed", &format!("2xx of type {}", types(&exposed.content_types))),
        (true, false) => {
            page.item(
                "Exposed",
                &format!(
                    "2xx of type {}, if the first 1024 bytes of the body match one of",
                    types(&exposed.content_types)
                ),
            );
            bodies().iter().for_each(|body| page.more(body));
        }
        (false, false) => {
            page.item("Exposed", "2xx of any type, if the first 1024 bytes of the body match one of");
            bodies().iter().for_each(|body| page.more(body));
        }
        (false, true)
            if !signature.proxy && !exposed.status.iter().any(|(_, outcome)| *outcome == Outcome::Exposed) =>
        {
            page.item("Exposed", "never: no response proves it");
        }
        (false, true) => {}
    }
    let mut present = exposed.present_types.clone();
    if !exposed.proven_by_type {
        present.extend(exposed.content_types.iter().cloned());
    }
    page.item(
        "Present",
        &match present.is_empty() {
            true => "401 or 304".to_owned(),
            false => format!("401, 304, or 2xx of type {}", types(&present)),
        },
    );
    for (status, outcome) in &exposed.status {
        page.item("HTTP status", &format!("{status} is {}", outcome.name()));
    }
}

/// Describes the legitimate clients of the same requests.
fn legitimate(page: &mut TwoColumns, signature: &Signature) {
    let legitimate = &signature.legitimate;
    if legitimate.after_page {
        page.item(
            "Legitimate",
            "visitors of a site that uses the product: a Referer of the same site, after a page of that site",
        );
    }
    if let Some(webhook) = &legitimate.webhook {
        let fields = match webhook.fields.is_empty() {
            true => String::new(),
            false => format!(", with {}", webhook.fields.join(" and ")),
        };
        page.item(
            "Legitimate",
            &format!("the provider: POST by the user agent {}{fields}", webhook.agents.join(" or ")),
        );
    }
}

fn overlaps(page: &mut TwoColumns, set: &Signatures, signature: &Signature) {
    page.items("Overlaps", &super::check::overlaps(set, &[signature.id]));
    let shared = set.iter().find(|other| other.id == signature.id);
    let shadowed = shared.map(|signature| set.shadowed(signature)).unwrap_or_default();
    page.items("Shadowed", &shadowed.iter().map(ToString::to_string).collect::<Vec<_>>());
}

/// Shows the entries that suppress or allow the signature's requests.
fn suppression(page: &mut TwoColumns, signature: &Signature) {
    page.line("");
    page.line(
        "To suppress its alerts, put this into a file for --suppress. Without `signature`, an entry with other keys",
    );
    page.line("also suppresses the alerts of other signatures:");
    page.line("");
    page.line("  [[suppress]]");
    page.line(&format!("  signature = {}", signature.id));
    page.line("  # source, destination, host or path narrow it to some requests");
    page.line("  reason = \"why this is not a probe here\"");
    page.line("  # expires = last day of the entry, such as 2027-01-31");
    page.line("");
    page.line("If the requests are normal use of your own server, allow them there instead; `product` in place of");
    page.line("`signature` allows all signatures of that product:");
    page.line("");
    page.line("  [[allow]]");
    page.line(&format!("  signature = {}", signature.id));
    page.line("  host = \"www.example.org\"");
    page.line("  reason = \"which software runs there\"");
}

/// Text in two columns: names and values.
#[derive(Default)]
struct TwoColumns(String);

impl TwoColumns {
    fn line(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }

    fn item(&mut self, name: &str, text: &str) {
        self.line(&format!("{name:<16}{text}"));
    }

    fn more(&mut self, text: &str) {
        self.item("", text);
    }

    fn items(&mut self, name: &str, lines: &[String]) {
        for (number, line) in lines.iter().enumerate() {
            self.item(if number == 0 { name } else { "" }, line);
        }
    }
}
