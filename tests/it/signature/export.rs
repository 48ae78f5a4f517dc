//! Exports of signatures for other tools: nothing is dropped silently, no pattern escapes from its quotes, and the
//! expressions match what the signatures match. `tests/exports.py` runs the tools themselves.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use regex::bytes::Regex;
use smsentry::export::{Export, Language, Omission, Options, export};
use smsentry::signature::{Example, MatchKind, Pattern, Signature, SignatureFile, SignatureOrigin, Signatures};
use smsentry::uri::{Evasion, NormalPath, Normaliser};

use crate::support::program::run;

fn written(set: &Signatures, language: Language, options: Options) -> Export {
    export(language, set.iter().map(|signature| &**signature), &options)
}

/// The ids of the rules in a text.
fn ids(language: Language, text: &str) -> Vec<u32> {
    let number = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap();
    let after = |mark: &'static str| text.match_indices(mark).map(|(at, _)| number(&text[at + mark.len()..])).collect();
    match language {
        Language::Suricata | Language::Snort3 => after("; sid:"),
        Language::Zeek => after("\nsignature smsentry-"),
        Language::ZeekIntel => {
            let id = |line: &str| number(line.split(" [").nth(1).unwrap());
            // A signature with several hosts has several lines.
            text.lines().skip(1).map(id).collect::<BTreeSet<u32>>().into_iter().collect()
        }
        Language::Sigma => {
            let id = |line: &str| line.strip_prefix("id: ").map(|id| u32::from_str_radix(&id[24..], 16).unwrap());
            text.lines().filter_map(id).collect()
        }
    }
}

#[test]
fn every_signature_is_written_or_listed() {
    let set = Signatures::builtin().unwrap();
    for language in Language::ALL {
        for (sid_offset, with_support) in [(0, false), (0, true), (2_000_000_000, false), (u32::MAX - 1_000_200, false)]
        {
            let export = written(&set, language, Options { sid_offset, with_support });
            let ids = ids(language, &export.text);
            assert_eq!(ids.len(), export.exported, "{language:?}");
            let rules: BTreeSet<u32> = ids.iter().map(|id| id - sid_offset).collect();
            assert_eq!(rules.len(), ids.len(), "{language:?}: an id stands twice");
            let left_out: BTreeSet<u32> = export.omissions.iter().filter(|gap| gap.no_rule).map(|gap| gap.id).collect();
            assert_eq!(left_out.len(), export.left_out());
            assert!(rules.is_disjoint(&left_out), "{language:?}");
            let all: BTreeSet<u32> = set.iter().map(|signature| signature.id).collect();
            assert_eq!(rules.union(&left_out).copied().collect::<BTreeSet<_>>(), all, "{language:?}");
            assert!(export.omissions.iter().all(|gap| !gap.reason.is_empty() && !gap.slug.is_empty()));
            let support = set.iter().filter(|signature| signature.support);
            assert!(with_support || support.into_iter().all(|signature| left_out.contains(&signature.id)));
        }
        let export = written(&set, language, Options::default());
        // Few may be left out, or the export is useless.
        let active = set.iter().filter(|signature| !signature.support).count();
        // Suricata limits rules to 8191 bytes, and long lists fit into them.
        let active_left_out =
            export.omissions.iter().filter(|gap| gap.no_rule && !gap.reason.starts_with("has status support")).count();
        assert!(language != Language::Suricata || active_left_out == 0, "{active_left_out} left out");
        if language != Language::ZeekIntel {
            assert!(export.exported * 10 >= active * 9, "{language:?}: {} of {active}", export.exported);
        }
        assert!(export.text.is_ascii() || language == Language::Sigma);
    }
}

/// Splits a rule as Suricata and Snort do: options end at a semicolon that is not escaped by a backslash.
fn options(rule: &str) -> Vec<(String, String)> {
    let inside = &rule[rule.find('(').unwrap() + 1..rule.rfind(')').unwrap()];
    let (mut all, mut option, mut escaped, mut quoted) = (Vec::new(), String::new(), false, false);
    for c in inside.chars() {
        match c {
            ';' if !escaped => {
                assert!(!quoted, "an option ends within quotes: {rule}");
                all.push(std::mem::take(&mut option));
            }
            c => {
                quoted ^= c == '"' && !escaped;
                option.push(c);
            }
        }
        escaped = c == '\\' && !escaped;
    }
    assert_eq!(option.trim(), "", "{rule}");
    all.iter()
        .map(|option| match option.trim().split_once(':') {
            Some((key, value)) => (key.to_owned(), value.to_owned()),
            None => (option.trim().to_owned(), String::new()),
        })
        .collect()
}

fn unquoted(value: &str) -> String {
    let inside = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).expect(value);
    let mut text = String::new();
    let mut characters = inside.chars();
    while let Some(c) = characters.next() {
        text.push(if c == '\\' { characters.next().unwrap() } else { c });
    }
    text
}

/// The bytes of a `content`.
fn bytes(value: &str) -> Vec<u8> {
    let inside = value.split("\",").next().unwrap().trim_matches('"');
    assert!(!inside.contains(['"', ';', ':', '\\', ',']), "{value}");
    let mut out = Vec::new();
    for (number, part) in inside.split('|').enumerate() {
        match number % 2 {
            0 => out.extend(part.bytes()),
            _ => out.extend(part.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap())),
        }
    }
    out
}

/// A TOML string.
fn toml_string(text: &str) -> String {
    format!("\"{}\"", text.chars().map(|c| format!("\\U{:08x}", u32::from(c))).collect::<String>())
}

/// A set of one signature.
fn one(title: &str, kind: &str, pattern: &str) -> Option<Signatures> {
    let pattern = match kind {
        "words" => format!("[[{}], [\"twilio\"]]", toml_string(pattern)),
        _ => toml_string(pattern),
    };
    let text = format!(
        "[[signature]]\nid = 1010000\nrev = 1\nslug = \"s\"\ntitle = {}\nfamily = \"f\"\nproduct = {}\nseverity = 2\n\
         confidence = \"low\"\nmatch.{kind} = {pattern}\nreferences = [\"https://www.example.org/a;b|c,d\"]\n",
        toml_string(title),
        toml_string(title)
    );
    let source = SignatureFile { name: "test.toml", text: &text, origin: SignatureOrigin::User };
    Signatures::load(&[source], &mut |name| Err(name.into())).ok()
}

fn hostile() -> impl Strategy<Value = String> {
    "([a-zA-Z]{0,3}[\"';|\\\\:.*+?(){}\\[\\]^$#,%=&~!@<> _-]{0,3}[a-z/é]{1,4}){1,4}"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn hostile_patterns_do_not_escape_from_their_quotes(
        title in hostile(),
        pattern in hostile(),
        kind in prop::sample::select(vec!["path", "suffix", "prefix", "raw", "words", "host"]),
    ) {
        let pattern = if matches!(kind, "path" | "suffix" | "prefix") { format!("/{pattern}") } else { pattern };
        let Some(set) = one(&title, kind, &pattern) else { return Ok(()) };
        for language in [Language::Suricata, Language::Snort3] {
            let export = written(&set, language, Options::default());
            let rules: Vec<&str> = export.text.lines().filter(|line| !line.starts_with('#')).collect();
            prop_assert_eq!(rules.len(), export.exported);
            prop_assert_eq!(export.exported + export.left_out(), 1);
            let Some(rule) = rules.first() else { continue };
            let options = options(rule);
            let value = |key: &str| options.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
            prop_assert_eq!(unquoted(value("msg").unwrap()), format!("SMSENTRY {title}"));
            prop_assert_eq!(value("sid"), Some("1010000"));
            prop_assert_eq!(options.iter().filter(|(name, _)| name == "msg" || name == "sid").count(), 2);
            for (name, value) in &options {
                if name == "content" {
                    let bytes = bytes(value);
                    prop_assert!(!bytes.is_empty());
                    let normal = match kind {
                        "raw" => pattern.clone().into_bytes(),
                        "words" => format!("{pattern} twilio").into_bytes(),
                        "host" => pattern.to_lowercase().into_bytes(),
                        _ => NormalPath::of(pattern.as_bytes()).path,
                    };
                    let lower = normal.to_ascii_lowercase();
                    prop_assert!(memmem(&lower, &bytes.to_ascii_lowercase()), "{} in {}", value, pattern);
                    if kind == "raw" {
                        prop_assert_eq!(&bytes, &normal);
                    }
                }
                if name == "pcre" {
                    let inside = value.trim_start_matches('!').trim_matches('"');
                    prop_assert!(!inside.contains(['"', ';']) && inside.is_ascii(), "{}", inside);
                    let body = inside.strip_prefix('/').unwrap().rsplit_once('/').unwrap().0;
                    prop_assert!(!has_bare_slash(body), "{}", inside);
                }
                if name == "metadata" {
                    for pair in value.split(',') {
                        prop_assert_eq!(pair.trim().split(' ').count(), 2, "{}", pair);
                    }
                }
            }
        }
    }

    #[test]
    fn zeek_expressions_find_the_pattern_itself(
        pattern in hostile(),
        kind in prop::sample::select(vec!["path", "suffix", "prefix"]),
    ) {
        let pattern = format!("/{pattern}");
        let Some(set) = one("t", kind, &pattern) else { return Ok(()) };
        let export = written(&set, Language::Zeek, Options::default());
        for expression in zeek_expressions(&export.text) {
            prop_assert!(!has_bare_slash(&expression) && !expression.contains('/') && !expression.contains('"'));
            let found = Regex::new(&format!("(?-u){expression}")).unwrap();
            let normal = NormalPath::of(pattern.as_bytes()).path;
            prop_assert!(found.is_match(&normal), "{} in the normal form of {}", expression, pattern);
            // Zeek does not resolve dot segments, as the export's header says.
            let climbs = |segment: &str| segment.split(';').next() == Some("..");
            if !pattern.split(['/', '\\']).any(climbs) {
                prop_assert!(found.is_match(pattern.as_bytes()), "{} in {}", expression, pattern);
            }
            prop_assert!(!found.is_match(b"/something/else"));
        }
    }

    #[test]
    fn yaml_is_read_back(title in hostile(), pattern in hostile()) {
        let pattern = format!("/{pattern}");
        let Some(set) = one(&title, "path", &pattern) else { return Ok(()) };
        let export = written(&set, Language::Sigma, Options::default());
        let line = |key: &str| export.text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        let read = |text: &str| text.strip_prefix('\'').unwrap().strip_suffix('\'').unwrap().replace("''", "'");
        prop_assert_eq!(read(line("title: ")), format!("SMSENTRY {title}"));
        let normal = String::from_utf8_lossy(&NormalPath::of(pattern.as_bytes()).path).into_owned();
        let escaped: String = normal.chars().flat_map(|c| {
            let wild = matches!(c, '*' | '?' | '\\').then_some('\\');
            wild.into_iter().chain([c])
        }).collect();
        prop_assert_eq!(read(line("      - ")), escaped);
    }
}

fn memmem(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Reports whether there is a slash without a backslash before it.
fn has_bare_slash(expression: &str) -> bool {
    let mut escaped = false;
    expression.chars().any(|c| {
        let bare = c == '/' && !escaped;
        escaped = c == '\\' && !escaped;
        bare
    })
}

fn zeek_expressions(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("  http-request /"));
    lines.map(|line| line.strip_suffix('/').unwrap().to_owned()).collect()
}

/// Decoded once, as Zeek does.
fn decoded(target: &str) -> Vec<u8> {
    let bytes = target.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let digits = target.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => (out.push(byte), at += 3),
            None => (out.push(bytes[at]), at += 1),
        };
    }
    out
}

/// Reports whether a request matches a signature; `None` if only through an evasion that Zeek does not undo.
fn matches(set: &Signatures, signature: &Signature, example: &Example) -> Option<bool> {
    let mut normaliser = Normaliser::new();
    let (method, target) = (example.method.as_bytes(), example.target.as_bytes());
    let candidates = normaliser.candidates(method, target);
    let Some(found) = set.find(method, target, &candidates) else { return Some(false) };
    let lost = [Evasion::DoublePercent, Evasion::Unicode, Evasion::Nul, Evasion::Whitespace, Evasion::DotSegments];
    let ours = found.signature.id == signature.id || found.also.iter().any(|also| also.id == signature.id);
    (!ours || !lost.into_iter().any(|evasion| found.evasions.has(evasion))).then_some(ours)
}

#[test]
fn zeek_expressions_match_what_the_signatures_match() {
    let set = Signatures::builtin().unwrap();
    let (mut hits, mut misses) = (0, 0);
    for signature in set.iter().filter(|signature| !signature.support) {
        let export = export(Language::Zeek, [&**signature], &Options::default());
        let expressions: Vec<Regex> = zeek_expressions(&export.text)
            .iter()
            .map(|expression| {
                assert!(!expression.contains("(?:") && !expression.contains("/"), "{expression}");
                Regex::new(&format!("(?-u){expression}")).unwrap()
            })
            .collect();
        if expressions.is_empty() {
            continue;
        }
        let of_several = |gap: &Omission| gap.reason.ends_with("several requests of one connection");
        let one_request_says_all = export.omissions.iter().all(of_several);
        let all = |target: &str| expressions.iter().all(|expression| expression.is_match(&decoded(target)));
        for example in signature.hits.iter().chain(&signature.misses) {
            match matches(&set, signature, example) {
                Some(true) => {
                    assert!(all(&example.target), "{}: {example}", signature.slug);
                    hits += 1;
                }
                Some(false) if one_request_says_all => {
                    assert!(!all(&example.target), "{}: {example}", signature.slug);
                    misses += 1;
                }
                _ => {}
            }
        }
    }
    assert!(hits > 30 && misses > 30, "{hits} hits, {misses} misses");
}

#[test]
fn intelligence_file_has_tabs_and_its_field_names() {
    let set = Signatures::builtin().unwrap();
    let export = written(&set, Language::ZeekIntel, Options::default());
    let lines: Vec<Vec<&str>> = export.text.lines().map(|line| line.split('\t').collect()).collect();
    let fields = ["#fields", "indicator", "indicator_type", "meta.source", "meta.desc", "meta.url", "meta.do_notice"];
    assert_eq!(lines[0], fields);
    let hosts: usize = (set.iter().filter(|signature| !signature.support))
        .map(|signature| match &signature.pattern {
            Pattern::Text(MatchKind::Host, hosts) => hosts.len(),
            _ => 0,
        })
        .sum();
    assert!(hosts > 0 && lines.len() == hosts + 1, "{lines:?}");
    for line in &lines[1..] {
        assert_eq!((line.len(), line[1], line[5]), (6, "Intel::DOMAIN", "T"), "{line:?}");
        assert!(line.iter().all(|field| !field.is_empty()) && line[0].contains('.'), "{line:?}");
    }
}

#[test]
fn inexpressible_signatures_are_listed_and_counted() {
    let ran = run(&["signatures", "export", "--to", "zeek-intel"]);
    assert_eq!(ran.code, 0);
    assert!(ran.out.starts_with("#fields\tindicator\t"));
    let set = Signatures::builtin().unwrap();
    let reported = |part: &str| ran.err.lines().filter(|line| line.contains(part)).count();
    let hosts = set.iter().filter(|signature| signature.proxy && !signature.support).count();
    assert_eq!(reported(" left out: "), set.len() - hosts);
    let last = ran.err.lines().last().unwrap();
    assert!(last.contains(&format!("{hosts} of {} signatures", set.len())), "{last}");
    assert!(last.ends_with(&format!("{} left out", set.len() - hosts)), "{last}");
}

#[test]
fn exports_agree_with_the_installed_tools() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exports.py");
    let python = std::env::var("SMSENTRY_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let ran = Command::new(python).arg(script).arg(env!("CARGO_BIN_EXE_smsentry")).output();
    let Ok(ran) = ran else { return println!("skipped: there is no Python (SMSENTRY_PYTHON)") };
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    if ran.status.code() == Some(77) {
        return println!("skipped: {out}");
    }
    assert!(ran.status.success(), "{out}{err}");
    println!("{out}");
}
