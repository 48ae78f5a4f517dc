//! Writes Sigma rules for the logs of web servers, one YAML document each. Rules for a particular log store are made
//! from them by `sigma convert`.

use super::path::{SIGMA, tests};
use super::unsupported::Unsupported;
use super::{Rule, ids};
use crate::signature::{Confidence, MatchKind, Pattern, Signature};
use crate::uri::{NormalHost, NormalPath};

pub(super) const DIFFERENCES: &[&str] = &[
    "Logs contain the target as the server writes it: some decode it, some do not, and evasions match as logged.",
    "Every matching rule fires, not only the best, and the comparison is case-insensitive.",
    "cs-uri-stem is assumed to be the path without query; sc-status is not tested: pay attention to 200.",
];

/// Writes a signature as one document.
pub(super) fn rule(signature: &Signature, id: u32) -> Result<Rule, Unsupported> {
    let mut missing = Vec::new();
    let mut detection = detection(signature, &mut missing)?;
    let mut all = detection.names.clone();
    if !signature.methods.is_empty() {
        detection.add("method", "cs-method", &signature.methods);
        all.push("method".to_owned());
    }
    for (number, condition) in (1..).zip(&signature.query) {
        let name = format!("query_{number}");
        detection.add(&name, "cs-uri-query|re|i", &[SIGMA.query(condition, false)]);
        all.push(name);
    }
    let mut condition = all.join(" and ");
    if let Some(either) = &detection.either {
        condition = [format!("1 of {either}_*")].into_iter().chain(all).collect::<Vec<_>>().join(" and ");
    }
    if detection.ruled_out {
        condition.push_str(" and not unless");
    }
    let text = format!("---\n{}detection:\n{}  condition: {condition}\n{}", header(signature, id), detection.text, {
        format!("falsepositives:\n  - {}\nlevel: {}\n", quoted(false_positives(signature)), level(signature))
    });
    Ok(Rule { text, missing })
}

/// The `detection` section of a rule.
#[derive(Default)]
struct Detection {
    text: String,
    /// Selections that must all hold.
    names: Vec<String>,
    /// Common prefix of the names of the selections of which one must hold.
    either: Option<&'static str>,
    /// Whether there is a selection `unless`, which must not hold.
    ruled_out: bool,
}

impl Detection {
    /// Adds a selection: a field that has one of `values`.
    fn add(&mut self, name: &str, field: &str, values: &[String]) {
        self.text.push_str(&format!("  {name}:\n    {}:\n", field));
        values.iter().for_each(|value| self.text.push_str(&format!("      - {}\n", quoted(value))));
    }

    /// Adds a selection that must hold.
    fn require(&mut self, name: &str, field: &str, values: &[String]) {
        self.add(name, field, values);
        self.names.push(name.to_owned());
    }
}

fn detection(signature: &Signature, missing: &mut Vec<String>) -> Result<Detection, Unsupported> {
    let mut detection = Detection::default();
    let paths = |patterns: &[String], endings: &[&str]| -> Vec<String> {
        let path = |pattern: &String| String::from_utf8_lossy(&NormalPath::of(pattern.as_bytes()).path).into_owned();
        let ended = |pattern: &String| {
            let path = path(pattern);
            endings
                .iter()
                .map(move |ending| escaped(&format!("{}{ending}", path.trim_end_matches('/'))))
                .collect::<Vec<_>>()
        };
        patterns.iter().flat_map(ended).collect()
    };
    match &signature.pattern {
        Pattern::Text(MatchKind::Path, patterns) => {
            detection.require("path", "cs-uri-stem", &paths(patterns, &["", "/"]))
        }
        Pattern::Text(MatchKind::Suffix, patterns) => {
            detection.require("path", "cs-uri-stem|endswith", &paths(patterns, &["", "/"]));
        }
        Pattern::Text(MatchKind::Prefix, patterns) => {
            detection.add("path_itself", "cs-uri-stem", &paths(patterns, &[""]));
            detection.add("path_below", "cs-uri-stem|startswith", &paths(patterns, &["/"]));
            detection.either = Some("path");
        }
        Pattern::Text(MatchKind::Raw, patterns) => {
            let values: Vec<String> = patterns.iter().map(|pattern| escaped(pattern)).collect();
            detection.add("raw_path", "cs-uri-stem|contains", &values);
            detection.add("raw_query", "cs-uri-query|contains", &values);
            detection.either = Some("raw");
            missing.push(
                "a server that logs the decoded target does not show it, and the comparison is case-insensitive"
                    .to_owned(),
            );
        }
        Pattern::Text(MatchKind::Host, patterns) => {
            let hosts = |dot: &str| -> Vec<String> {
                let host = |pattern: &String| NormalHost::of(pattern.as_bytes()).host;
                patterns.iter().map(|name| escaped(&format!("{dot}{}", String::from_utf8_lossy(&host(name))))).collect()
            };
            detection.add("host_itself", "cs-host", &hosts(""));
            detection.add("host_below", "cs-host|endswith", &hosts("."));
            let target = SIGMA.host(patterns, "([a-z][a-z0-9+.-]*://)?");
            detection.add("host_target", "cs-uri-stem|re|i", &[target]);
            detection.either = Some("host");
            missing.push("a Host field with this host is taken for a target with this host".to_owned());
        }
        Pattern::Text(MatchKind::Words, _) | Pattern::Words(_) | Pattern::PathFile(..) => {
            let tests = tests(signature, &SIGMA)?;
            // Some stores need a plain text besides expressions.
            if let Some(texts) = plain_texts(&signature.pattern) {
                detection.require("words", "cs-uri-stem|contains", &texts);
            }
            for (number, test) in (1..).zip(tests.iter().filter(|test| !test.negated)) {
                detection.require(
                    &format!("words_{number}"),
                    "cs-uri-stem|re|i",
                    std::slice::from_ref(&test.expression),
                );
            }
        }
    }
    if !signature.scope.unless.is_empty() {
        let expression = SIGMA.unless(&signature.scope.unless);
        detection.add("unless", "cs-uri-stem|re|i", &[expression]);
        detection.ruled_out = true;
    }
    Ok(detection)
}

/// Returns plain texts of which every match contains at least one: those of the shortest list of words in which every
/// entry has a text.
fn plain_texts(pattern: &Pattern) -> Option<Vec<String>> {
    let Pattern::Words(lists) = pattern else { return None };
    let plain = lists.iter().filter(|list| !list.iter().any(|entry| entry == "/"));
    let list = plain.min_by_key(|list| list.len())?;
    let text = |entry: &String| {
        let entry = entry.trim_end_matches('/');
        entry.rsplit('/').next().unwrap_or(entry).to_ascii_lowercase()
    };
    let texts: std::collections::BTreeSet<String> = list.iter().map(text).map(|text| escaped(&text)).collect();
    Some(texts.into_iter().collect())
}

/// Writes the sections before `detection`.
fn header(signature: &Signature, id: u32) -> String {
    // The UUID depends on the id only, so that an edited rule keeps it.
    let mut text =
        format!("title: {}\nid: 5f1c9a64-7d0e-4b7c-8c51-{id:012x}\n", quoted(&cut(&ids::message(signature))));
    text.push_str("status: experimental\n");
    let description = format!(
        "{}. Product: {}; signature {} revision {}.",
        signature.title, signature.product, signature.slug, signature.rev
    );
    text.push_str(&format!("description: {}\n", quoted(&description)));
    let mut references: Vec<&String> = Vec::new();
    signature.references.iter().for_each(|url| {
        if !references.contains(&url) {
            references.push(url)
        }
    });
    if !references.is_empty() {
        text.push_str("references:\n");
        references.iter().for_each(|url| text.push_str(&format!("  - {}\n", quoted(url))));
    }
    text.push_str("author: smsentry\n");
    for (key, day) in [("date", &signature.created_at), ("modified", &signature.updated_at)] {
        if is_day(day) {
            text.push_str(&format!("{key}: {}\n", day.replace('_', "-")));
        }
    }
    let tags = tags(signature);
    if !tags.is_empty() {
        text.push_str("tags:\n");
        tags.iter().for_each(|tag| text.push_str(&format!("  - {tag}\n")));
    }
    text.push_str("logsource:\n  category: webserver\n");
    text
}

/// Reports whether the schema accepts a day.
fn is_day(day: &str) -> bool {
    let parts: Vec<Option<u32>> = day.split('_').map(|part| part.parse().ok()).collect();
    matches!(*parts, [Some(_), Some(1..=12), Some(1..=31)])
}

fn tags(signature: &Signature) -> Vec<String> {
    let plain = |text: &str| {
        let keep = |c: char| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '-' };
        text.to_ascii_lowercase().chars().map(keep).collect::<String>()
    };
    let mut tags = Vec::new();
    if let Some(mitre) = &signature.mitre {
        tags.push(format!("attack.{}", plain(&mitre.tactic_name)));
        tags.push(format!("attack.{}", plain(&mitre.technique_id)));
    }
    tags.extend(signature.cve.iter().map(|cve| format!("cve.{}", plain(cve.trim_start_matches("CVE-")))));
    let mut seen = std::collections::BTreeSet::new();
    tags.retain(|tag| seen.insert(tag.clone()));
    tags
}

fn level(signature: &Signature) -> &'static str {
    match (signature.severity, signature.confidence) {
        (3.., _) => Confidence::Low.name(),
        (_, confidence) => confidence.name(),
    }
}

fn false_positives(signature: &Signature) -> &'static str {
    if signature.legitimate.webhook.is_some() {
        "Calls of the provider itself"
    } else if signature.legitimate.after_page {
        "Visitors of a site that runs the product"
    } else if signature.confidence == Confidence::High {
        "Unlikely"
    } else {
        "Sites that run the product"
    }
}

/// Returns a title cut to the maximum of 256 characters.
fn cut(text: &str) -> String {
    text.chars().take(256).collect()
}

/// Escapes the wildcards in a value.
fn escaped(text: &str) -> String {
    let mut value = String::new();
    for c in text.chars() {
        if matches!(c, '*' | '?' | '\\') {
            value.push('\\');
        }
        value.push(c);
    }
    value
}

/// Returns a YAML string in single quotes, in which only those are special; in double quotes if there is a control
/// character.
fn quoted(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
