//! Writes rules of Suricata 7. Snort's sticky buffers and options differ; see [`super::snort3`].

use super::bytes::{common, content};
use super::path::{PCRE, Test, tests};
use super::unsupported::Unsupported;
use super::{Rule, ids};
use crate::signature::{MatchKind, Pattern, Signature};

/// Measured with Suricata 7.0.10 and its default personality of libhtp.
pub(super) const DIFFERENCES: &[&str] = &[
    "A rule matches the request, whatever the response: it has no outcome (smsentry_outcome).",
    "Every matching rule fires, not only the best.",
    "http.uri is decoded once: double percent-encoding, %uHHHH, overlong and full-width letters are left as they are.",
    "A request target ends at its first blank; what follows is not matched.",
    "Dot segments are resolved before other evasions are undone: /x/..;/ or \\..\\ remain, and // counts as a segment.",
    "A target that does not begin with / is parsed as scheme:rest up to its first colon; the scheme is not matched.",
    "A decoded ? or # ends the path, like one that was sent undecoded.",
];

/// Maximum length of a rule, in bytes. Source: DETECT_MAX_RULE_SIZE of Suricata 7 is 8192 with the NUL.
const MAX_RULE: usize = 8191;

/// Writes a signature as one rule, in one line.
pub(super) fn rule(signature: &Signature, id: u32) -> Result<Rule, Unsupported> {
    let mut text = format!(
        "alert http any any -> any any (msg:\"{}\"; flow:established,to_server; ",
        quoted(&ids::message(signature))
    );
    text.push_str(&methods(&signature.methods));
    text.push_str(&target(signature)?);
    text.push_str(&format!("classtype:{}; priority:{}; target:dest_ip; ", ids::class(signature), signature.severity));
    text.push_str(&ids::reference_options(signature));
    let metadata: Vec<String> = ids::metadata(signature).iter().map(|(key, value)| format!("{key} {value}")).collect();
    text.push_str(&format!("metadata:{}; sid:{id}; rev:{};)\n", metadata.join(", "), signature.rev));
    if text.len() > MAX_RULE {
        return Err(Unsupported::RuleTooLong(text.len(), MAX_RULE));
    }
    Ok(Rule { text, missing: ids::missing_unless(signature).into_iter().collect() })
}

/// Writes all conditions on the request target.
fn target(signature: &Signature) -> Result<String, Unsupported> {
    let mut text = match &signature.pattern {
        Pattern::Text(MatchKind::Raw, patterns) => raw(patterns, "http.uri.raw")?,
        Pattern::Text(MatchKind::Host, patterns) => {
            let texts: Vec<Vec<u8>> = patterns.iter().map(|host| host.to_ascii_lowercase().into_bytes()).collect();
            let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
            let scheme = r"(?:[^ ]+ +[a-z][a-z0-9+.-]*:\/\/|connect +(?![\/\x5c])(?![a-z][a-z0-9+.-]*:\/\/))";
            let test = Test { expression: PCRE.host(patterns, scheme), content: common(&texts, b""), negated: false };
            format!("http.request_line; {}", options(&[test]))
        }
        _ => format!("http.uri; {}", options(&tests(signature, &PCRE)?)),
    };
    let queries: Vec<Test> = (signature.query.iter())
        .map(|condition| {
            let expression = PCRE.query(condition, true);
            Test { expression, content: Vec::new(), negated: false }
        })
        .collect();
    if !queries.is_empty() {
        // After `http.uri` the sticky buffer is still selected.
        let other_buffer = matches!(signature.pattern, Pattern::Text(MatchKind::Raw | MatchKind::Host, _));
        text.push_str(&format!("{}{}", if other_buffer { "http.uri; " } else { "" }, options(&queries)));
    }
    Ok(text)
}

/// Writes tests as options of one buffer; the longest content is the fast pattern.
fn options(tests: &[Test]) -> String {
    /// Minimum length of a fast pattern. Rationale: shorter ones occur in every other request.
    const MIN_FAST: usize = 3;
    let longest = tests.iter().map(|test| &test.content).max_by_key(|content| content.len());
    let mut text = match longest.filter(|content| content.len() >= MIN_FAST) {
        Some(bytes) => format!("content:\"{}\"; nocase; fast_pattern; ", content(bytes)),
        None => String::new(),
    };
    for test in tests {
        let not = if test.negated { "!" } else { "" };
        text.push_str(&format!("pcre:{not}\"/{}/i\"; ", test.expression));
    }
    text
}

/// Writes a test for bytes of the undecoded target.
pub(super) fn raw(patterns: &[String], buffer: &str) -> Result<String, Unsupported> {
    if let Some(pattern) = patterns.iter().find(|pattern| pattern.contains([' ', '\t'])) {
        return Err(Unsupported::Blank(pattern.clone()));
    }
    let texts: Vec<&[u8]> = patterns.iter().map(String::as_bytes).collect();
    match *texts.as_slice() {
        [only] if only.len() <= 255 => Ok(format!("{buffer}; content:\"{}\"; fast_pattern; ", content(only))),
        _ => {
            let any = PCRE.any(&texts.iter().map(|text| PCRE.literal(text)).collect::<Vec<_>>());
            let bytes = common(&texts, b"");
            let first = match bytes.len() {
                0..3 => String::new(),
                _ => format!("content:\"{}\"; fast_pattern; ", content(&bytes)),
            };
            Ok(format!("{buffer}; {first}pcre:\"/{any}/\"; "))
        }
    }
}

/// Writes a test for the methods, case-insensitive like lenient servers.
fn methods(methods: &[String]) -> String {
    match methods {
        [] => String::new(),
        all => format!("http.method; pcre:\"/^(?:{})$/i\"; ", all.join("|")),
    }
}

/// Escapes a text for use between quotes.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    for c in text.chars() {
        if matches!(c, '"' | ';' | '\\' | ':') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted
}
