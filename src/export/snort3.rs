//! Writes rules of Snort 3. Suricata's are in [`super::suricata`].

use super::bytes::{common, content};
use super::path::{PCRE, Test, tests};
use super::suricata::quoted;
use super::unsupported::Unsupported;
use super::{Rule, ids};
use crate::signature::{MatchKind, Pattern, Signature};

pub(super) const DIFFERENCES: &[&str] = &[
    "A rule matches the request, whatever the response: it has no outcome (smsentry_outcome).",
    "Every matching rule fires, not only the best.",
    "http_uri is the target as normalised by the inspector http_inspect with its own settings (percent_u,",
    "  utf8_bare_byte, iis_double_decode, backslash_to_slash, simplify_path); evasions that it is configured to leave",
    "  do not match, except for repeated slashes, backslashes, parameters and trailing characters.",
    "A decoded ? or # ends the path, like one that was sent undecoded.",
];

/// Writes a signature as one rule, in one line.
pub(super) fn rule(signature: &Signature, id: u32) -> Result<Rule, Unsupported> {
    let mut missing = Vec::new();
    let mut text = format!("alert http ( msg:\"{}\"; flow:to_server,established; ", quoted(&ids::message(signature)));
    if !signature.methods.is_empty() {
        text.push_str(&format!("http_method; pcre:\"/^(?:{})$/i\"; ", signature.methods.join("|")));
    }
    text.push_str(&target(signature, &mut missing)?);
    text.push_str(&format!("classtype:{}; priority:{}; ", ids::class(signature), signature.severity));
    text.push_str(&ids::reference_options(signature));
    let metadata: Vec<String> = ids::metadata(signature).iter().map(|(key, value)| format!("{key} {value}")).collect();
    text.push_str(&format!("metadata:{}; sid:{id}; rev:{}; )\n", metadata.join(","), signature.rev));
    missing.extend(ids::missing_unless(signature));
    Ok(Rule { text, missing })
}

/// Writes all conditions on the request target.
fn target(signature: &Signature, missing: &mut Vec<String>) -> Result<String, Unsupported> {
    let mut text = match &signature.pattern {
        Pattern::Text(MatchKind::Raw, patterns) => raw(patterns)?,
        Pattern::Text(MatchKind::Host, patterns) => {
            missing
                .push("a target that is only this host is taken for a CONNECT target, whatever the method".to_owned());
            let texts: Vec<Vec<u8>> = patterns.iter().map(|host| host.to_ascii_lowercase().into_bytes()).collect();
            let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
            let expression = PCRE.host(patterns, r"(?:[a-z][a-z0-9+.-]*:\/\/)?");
            format!("http_raw_uri; {}", options(&[Test { expression, content: common(&texts, b""), negated: false }]))
        }
        _ => format!("http_uri; {}", options(&tests(signature, &PCRE)?)),
    };
    if !signature.query.is_empty() {
        let other_buffer = matches!(signature.pattern, Pattern::Text(MatchKind::Raw | MatchKind::Host, _));
        text.push_str(if other_buffer { "http_uri; " } else { "" });
        for condition in &signature.query {
            text.push_str(&format!("pcre:\"/{}/i\"; ", PCRE.query(condition, true)));
        }
    }
    Ok(text)
}

/// Writes tests as options of one buffer; the longest content is the fast pattern.
fn options(tests: &[Test]) -> String {
    let longest = tests.iter().map(|test| &test.content).max_by_key(|content| content.len());
    let mut text = match longest.filter(|content| content.len() >= 3) {
        Some(bytes) => format!("content:\"{}\",fast_pattern,nocase; ", content(bytes)),
        None => String::new(),
    };
    for test in tests {
        let not = if test.negated { "!" } else { "" };
        text.push_str(&format!("pcre:{not}\"/{}/i\"; ", test.expression));
    }
    text
}

/// Writes a test for bytes of the undecoded target.
fn raw(patterns: &[String]) -> Result<String, Unsupported> {
    if let Some(pattern) = patterns.iter().find(|pattern| pattern.contains([' ', '\t'])) {
        return Err(Unsupported::Blank(pattern.clone()));
    }
    match patterns {
        [only] => Ok(format!("http_raw_uri; content:\"{}\",fast_pattern; ", content(only.as_bytes()))),
        _ => {
            let any = PCRE.any(&patterns.iter().map(|text| PCRE.literal(text.as_bytes())).collect::<Vec<_>>());
            Ok(format!("http_raw_uri; pcre:\"/{any}/\"; "))
        }
    }
}
