//! Everything about one signature, for a person. Not for programs: see [`super::list`].

use smsentry::signature::{Confidence, MatchKind, Outcome, Pattern, Signature, Signatures};
use smsentry::uri::{NormalHost, NormalPath};

/// The explanation.
pub(super) fn text(set: &Signatures, signature: &Signature) -> String {
    let mut page = Page::default();
    page.line(&format!("{} revision {}: {}", signature.id, signature.rev, signature.slug));
    page.line(&signature.title);
    page.line("");
    page.item("Looked for", &format!("{} (family {})", signature.product, signature.family));
    if let Some((_, place)) = set.with_locations().find(|(other, _)| other.id == signature.id) {
        page.item("Stands in", place);
    }
    page.item(
        "Status",
        match signature.status() {
            "active" => "active: a match is an alert",
            _ => "support: never alerts alone, it only counts in a campaign",
        },
    );
    page.item(
        "Severity",
        &match signature.severity {
            2 => "2; 1 if the answer exposes, 3 if it came to nothing (not_found, refused)".to_owned(),
            other => format!("{other}; 1 if the answer exposes"),
        },
    );
    page.item(
        "Confidence",
        match signature.confidence {
            Confidence::Low => "low: legitimate traffic may look the same",
            Confidence::Medium => "medium: rarely legitimate",
            Confidence::High => "high: nobody asks for this by accident",
        },
    );
    matching(&mut page, signature);
    answers(&mut page, signature);
    legitimate(&mut page, signature);
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
    page.item("Written", &format!("{}, last changed {}", day(&signature.created_at), day(&signature.updated_at)));
    page.items("Must match", &signature.hits.iter().map(ToString::to_string).collect::<Vec<_>>());
    page.items("Must not", &signature.misses.iter().map(ToString::to_string).collect::<Vec<_>>());
    overlaps(&mut page, set, signature);
    page.line("");
    page.line(
        "To silence it, put this into a file for --suppress; without `signature` and with another key it hides others:",
    );
    page.line("");
    page.line(&format!(
        "  [[suppress]]\n  signature = {}\n  # source, destination, host or path = narrower than the signature\n  reason = \"why this is no probe here\"\n  # expires = the day to look at it again",
        signature.id
    ));
    page.line("");
    page.line("Where it is normal use of your own server, allow it there instead; `product` for all signatures of it:");
    page.line("");
    page.line(&format!(
        "  [[allow]]\n  signature = {}\n  host = \"www.example.org\"\n  reason = \"who runs what there\"",
        signature.id
    ));
    page.0
}

fn day(day: &str) -> String {
    if day.is_empty() { "on no stated day".to_owned() } else { day.replace('_', "-") }
}

/// What a request must be.
fn matching(page: &mut Page, signature: &Signature) {
    let what = match &signature.pattern {
        Pattern::Text(MatchKind::Path, _) => "the whole path, from the root",
        Pattern::Text(MatchKind::Suffix, _) => "the end of the path, below any directory",
        Pattern::Text(MatchKind::Prefix, _) => "the beginning of the path, whole segments",
        Pattern::Text(MatchKind::Host, _) => "the host of an absolute-form or CONNECT target, or a sub-domain of it",
        Pattern::Text(MatchKind::Raw, _) => "bytes of the target as it was sent, letter by letter",
        Pattern::Text(MatchKind::Words, _) | Pattern::Words(_) => {
            "one entry of each list, whole words (split at / . _ - ~)"
        }
        Pattern::PathFile(..) => "any path of a file, from the root",
    };
    page.item("Matches", &format!("{}: {what}", signature.pattern.kind_name()));
    let lines: Vec<String> = match &signature.pattern {
        Pattern::Text(kind, patterns) => patterns.iter().map(|pattern| with_normal_form(*kind, pattern)).collect(),
        Pattern::PathFile(name, count) => vec![format!("{name}, {count} paths")],
        Pattern::Words(lists) => lists.iter().map(|list| list.join(" | ")).collect(),
    };
    lines.iter().for_each(|line| page.more(line));
    let scope = &signature.scope;
    if let Some(last) = scope.last {
        let only = if scope.only { ", and those have no other words" } else { "" };
        page.more(&format!("all of it in the last {last} segments of the path{only}"));
    }
    if !scope.unless.is_empty() {
        page.item("Unless", &format!("the path has one of: {}", scope.unless.join(" | ")));
    }
    if !matches!(signature.pattern, Pattern::Text(MatchKind::Raw, _)) {
        page.more("compared in normal form: query cut, escapes undone, slashes and dots resolved, lower case");
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

/// What an answer means.
fn answers(page: &mut Page, signature: &Signature) {
    let exposed = &signature.exposed;
    let types = |types: &[String]| {
        let name = |name: &String| if name == "none" { "no Content-Type".to_owned() } else { name.clone() };
        types.iter().map(name).collect::<Vec<_>>().join(", ")
    };
    if signature.proxy {
        page.item("Exposed", "CONNECT answered with 2xx");
    }
    let bodies = || exposed.body.iter().map(|test| test.as_str().to_owned()).collect::<Vec<_>>();
    match (exposed.proven_by_type, exposed.body.is_empty()) {
        (true, true) => page.item("Exposed", &format!("2xx of type {}", types(&exposed.content_types))),
        (true, false) => {
            page.item(
                "Exposed",
                &format!("2xx of type {}, and the body begins with one of", types(&exposed.content_types)),
            );
            bodies().iter().for_each(|body| page.more(body));
        }
        (false, false) => {
            page.item("Exposed", "2xx of any type, and within the first 1024 bytes of the body one of");
            bodies().iter().for_each(|body| page.more(body));
        }
        (false, true)
            if !signature.proxy && !exposed.status.iter().any(|(_, outcome)| *outcome == Outcome::Exposed) =>
        {
            page.item("Exposed", "no answer proves it");
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
        page.item("Status", &format!("{status} is {}", outcome.name()));
    }
}

/// Who else asks.
fn legitimate(page: &mut Page, signature: &Signature) {
    let legitimate = &signature.legitimate;
    if legitimate.after_page {
        page.item("Legitimate", "visitors of a site that has it: with a Referer of the same site, after a page");
    }
    if let Some(webhook) = &legitimate.webhook {
        let fields = match webhook.fields.is_empty() {
            true => String::new(),
            false => format!(", with {}", webhook.fields.join(" and ")),
        };
        page.item("Legitimate", &format!("the provider: POST by {}{fields}", webhook.agents.join(" or ")));
    }
}

fn overlaps(page: &mut Page, set: &Signatures, signature: &Signature) {
    page.items("Overlaps", &super::check::overlaps(set, &[signature.id]));
    let this = set.iter().find(|other| other.id == signature.id);
    let shadowed = this.map(|signature| set.shadowed(signature)).unwrap_or_default();
    page.items("Shadowed", &shadowed.iter().map(ToString::to_string).collect::<Vec<_>>());
}

/// Text in two columns.
#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }

    fn item(&mut self, name: &str, text: &str) {
        self.line(&format!("{name:<14}{text}"));
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
