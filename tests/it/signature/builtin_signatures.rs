//! The signatures of leaked configuration, attack tools, artefacts and open proxies: they are complete, match their own
//! examples and common variants of them, do not match ordinary paths, and prove outcomes correctly.

use std::collections::BTreeMap;

use smsentry::signature::{
    MatchKind, Outcome, Pattern, Signature, SignatureFile, SignatureOrigin, Signatures, builtin,
};
use smsentry::uri::Normaliser;

/// The families and the ids of their newer signatures; the first nineteen signatures are older.
const FAMILIES: [(&str, std::ops::RangeInclusive<u32>); 4] = [
    ("leaked-config", 1_001_000..=1_001_999),
    ("open-proxy", 1_006_000..=1_006_999),
    ("attack-tools", 1_007_000..=1_007_999),
    ("scanner-artefacts", 1_008_000..=1_008_999),
];
const FIRST: std::ops::RangeInclusive<u32> = 1_000_100..=1_000_119;

/// Paths of ordinary sites: blogs, manuals, shops, couriers, assets, routes of applications that send SMS.
const BENIGN: &str = include_str!("benign-paths.txt");

/// The files of these families alone, so that every match is theirs.
fn families_only() -> Signatures {
    let sources: Vec<SignatureFile<'_>> = (builtin().iter().copied())
        .filter(|source| FAMILIES.iter().any(|(family, _)| source.name.contains(family)))
        .collect();
    assert_eq!(sources.len(), FAMILIES.len());
    Signatures::load(&sources, &mut |name| Err(name.into())).expect("they load")
}

fn is_ours(signature: &Signature) -> bool {
    FAMILIES.iter().any(|(family, _)| *family == signature.family)
}

/// The best signature and the others.
fn find(set: &Signatures, method: &str, target: &str) -> Option<(std::sync::Arc<Signature>, Vec<String>)> {
    let mut normaliser = Normaliser::new();
    let candidates = normaliser.candidates(method.as_bytes(), target.as_bytes());
    let found = set.find(method.as_bytes(), target.as_bytes(), &candidates)?;
    Some((found.signature, found.also.iter().map(|also| also.slug.clone()).collect()))
}

fn slug(set: &Signatures, target: &str) -> String {
    find(set, "GET", target).map(|(signature, _)| signature.slug.clone()).unwrap_or_default()
}

#[test]
fn every_signature_has_all_fields() {
    let set = families_only();
    let mut count = BTreeMap::<&str, usize>::new();
    for signature in set.iter().filter(|signature| is_ours(signature)) {
        let name = &signature.slug;
        let (family, ids) = FAMILIES.iter().find(|(family, _)| *family == signature.family).expect("ours");
        assert!(ids.contains(&signature.id) || FIRST.contains(&signature.id), "{name}: id {}", signature.id);
        assert!(signature.hits.len() >= 2 && signature.misses.len() >= 2, "{name}: examples");
        assert!(!signature.references.is_empty(), "{name}: no reference");
        assert!(signature.mitre.is_some(), "{name}: no ATT&CK place");
        assert!(!signature.created_at.is_empty() && !signature.updated_at.is_empty(), "{name}: no day");
        assert!(!signature.support || signature.severity == 3, "{name}: support of severity 2");
        assert!(signature.references.iter().all(|reference| !reference.contains(' ')), "{name}");
        *count.entry(family).or_default() += 1;
    }
    assert!(count["leaked-config"] >= 100 && count["open-proxy"] >= 20, "{count:?}");
    assert!(count["attack-tools"] >= 12 && count["scanner-artefacts"] >= 12, "{count:?}");
}

#[test]
fn every_signature_has_a_reason_for_its_confidence_or_references() {
    for source in builtin().iter().filter(|source| FAMILIES.iter().any(|(family, _)| source.name.contains(family))) {
        assert_eq!(source.origin, SignatureOrigin::Builtin);
        let lines: Vec<&str> = source.text.lines().collect();
        for (at, _) in lines.iter().enumerate().filter(|(_, line)| **line == "[[signature]]") {
            assert!(lines[at - 1].starts_with("# "), "{}:{}: no comment", source.name, at + 1);
        }
    }
}

#[test]
fn every_signature_matches_its_own_examples() {
    let set = families_only();
    assert_eq!(set.failing_examples(), [""; 0]);
}

/// The best match is chosen by kind, then length, then id; two signatures with the same pattern and the same conditions
/// would be ordered by their arbitrary ids.
#[test]
fn no_two_signatures_are_the_same() {
    let set = families_only();
    let mut seen = BTreeMap::<String, String>::new();
    for signature in set.iter() {
        let patterns = match &signature.pattern {
            Pattern::Text(MatchKind::Raw, patterns) => patterns.clone(),
            Pattern::Text(_, patterns) => patterns.iter().map(|pattern| pattern.to_ascii_lowercase()).collect(),
            Pattern::Words(lists) => vec![format!("{lists:?}")],
            Pattern::PathFile(..) => Vec::new(),
        };
        let kind = match &signature.pattern {
            Pattern::Text(kind, _) => kind.name(),
            _ => "words",
        };
        let conditions = format!("{:?} {:?}", signature.methods, signature.query);
        for pattern in patterns {
            let key = format!("{kind} {pattern} {conditions}");
            if let Some(other) = seen.insert(key, signature.slug.clone()) {
                assert_eq!(other, signature.slug, "both claim {pattern}");
            }
        }
    }
}

#[test]
fn support_signatures_have_no_higher_rank() {
    let set = families_only();
    for signature in set.iter().filter(|signature| is_ours(signature) && signature.support) {
        for hit in &signature.hits {
            let (found, also) = find(&set, &hit.method, &hit.target).expect("a hit");
            assert!(found.support && also.is_empty(), "{hit}: reported as {} {also:?}", found.slug);
        }
    }
    for target in
        ["/.env", "/api/.env.local", "/actuator/env", "/env", "/twilio.js", "/sendgrid/.env", "/credentials.json"]
    {
        let found = find(&set, "GET", target).map(|(signature, _)| signature);
        assert!(
            found.as_ref().is_some_and(|signature| signature.support),
            "{target}: {:?}",
            found.map(|f| f.slug.clone())
        );
    }
}

#[test]
fn ordinary_paths_match_nothing() {
    let set = families_only();
    let paths: Vec<&str> = BENIGN.lines().collect();
    assert!(paths.len() >= 300, "{}", paths.len());
    let mut reported = Vec::new();
    for path in paths {
        if let Some((signature, _)) = find(&set, "GET", path).filter(|(signature, _)| is_ours(signature)) {
            reported.push(format!("{path}: {}", signature.slug));
        }
    }
    assert!(reported.is_empty(), "{reported:#?}");
}

/// Tests the rules, not the cases: any provider, any form of the file, any directory.
#[test]
fn files_of_every_provider_are_found_in_every_form() {
    let set = families_only();
    const PROVIDERS: [&str; 40] = [
        "twilio",
        "twillio",
        "nexmo",
        "vonage",
        "plivo",
        "messagebird",
        "sinch",
        "clickatell",
        "infobip",
        "textlocal",
        "msg91",
        "telnyx",
        "telesign",
        "signalwire",
        "smsapi",
        "bulksms",
        "kaleyra",
        "africastalking",
        "46elks",
        "textbelt",
        "ovhsms",
        "smsc",
        "gupshup",
        "routee",
        "esendex",
        "textmagic",
        "clicksend",
        "d7networks",
        "netgsm",
        "iletimerkezi",
        "termii",
        "arkesel",
        "unifonic",
        "kavenegar",
        "yunpian",
        "fast2sms",
        "smsaero",
        "zenvia",
        "smsglobal",
        "octopush",
    ];
    const FORMS: [&str; 34] = [
        "/.env.P",
        "/P.env",
        "/P/.env",
        "/.env-P",
        "/.env_P",
        "/P.env.bak",
        "/P/.env.local",
        "/P/.env.php",
        "/api/.env.P%20",
        "/backend/P/.env",
        "/P-api/.env",
        "/my_P/.env.production",
        "/P.json",
        "/P.yml",
        "/P.yaml",
        "/P.ini",
        "/P.conf",
        "/P.cfg",
        "/P.toml",
        "/P.properties",
        "/config/P.json",
        "/config/P.yml",
        "/P_config.json",
        "/P-config.yml",
        "/P_credentials.json",
        "/P-creds.txt",
        "/P_keys.json",
        "/P-secrets.yml",
        "/P/credentials.json",
        "/P/config.json",
        "/P/secrets.yaml",
        "/P.php.bak",
        "/P_config.php~",
        "/config/initializers/P.rb",
    ];
    let mut missed = Vec::new();
    for provider in PROVIDERS {
        for form in FORMS {
            for target in [form.replace('P', provider), form.replace('P', &provider.to_ascii_uppercase())] {
                let found = find(&set, "GET", &target).map(|(signature, _)| signature);
                if !found.is_some_and(|signature| !signature.support && signature.family == "leaked-config") {
                    missed.push(target);
                }
            }
        }
    }
    assert!(missed.is_empty(), "{} missed: {missed:?}", missed.len());
}

#[test]
fn pages_whose_subject_is_sms_do_not_match() {
    let set = families_only();
    for provider in ["twilio", "nexmo", "vonage", "plivo", "sinch", "sms", "otp", "bulksms", "smsapi"] {
        for form in [
            "/blog/P-secrets-management",
            "/blog/P.json",
            "/docs/P/credentials.html",
            "/tags/P",
            "/images/P.png",
            "/wiki/P_config.json",
            "/locales/en/P.json",
            "/icons/P.json",
            "/integrations/P",
            "/P",
            "/P/",
            "/P.html",
            "/help/P.txt",
            "/how-to-use-P.json",
            "/zotP/.envx",
            "/xP.env.html",
            "/P-environment",
            "/_next/data/x/P.json",
        ] {
            let target = form.replace('P', provider);
            let found = find(&set, "GET", &target).filter(|(signature, _)| is_ours(signature) && !signature.support);
            assert!(found.is_none(), "{target}: {}", found.map(|(s, _)| s.slug.clone()).unwrap_or_default());
        }
    }
}

/// The outcome of a response of this type with this beginning, by the signature's own test.
fn body_outcome(signature: &Signature, content_type: Option<&str>, body: &[u8]) -> Option<Outcome> {
    let by_type = signature.exposed.own_outcome(200, content_type.map(str::as_bytes));
    let tests = &signature.exposed.body;
    match by_type {
        Some(Outcome::Exposed) if !tests.is_empty() && !tests.iter().any(|test| test.matches(body)) => {
            Some(Outcome::Present)
        }
        other => other,
    }
}

#[test]
fn responses_prove_what_they_show() {
    let set = families_only();
    let env = b"APP_NAME=x\nTWILIO_ACCOUNT_SID=AC0\nTWILIO_AUTH_TOKEN=1\n".as_slice();
    let json = br#"{"provider":"twilio","account_sid":"AC0123","auth_token":"abcdef"}"#.as_slice();
    let yaml = b"twilio:\n  account_sid: AC0123\n  auth_token: abcdef\n".as_slice();
    let php = b"<?php\nreturn ['sid' => env('TWILIO_SID')];\n".as_slice();
    let page = b"<!DOCTYPE html>\n<html><head><title>Home</title></head>".as_slice();
    let (exposed, present) = (Some(Outcome::Exposed), Some(Outcome::Present));
    for (target, content_type, body, expected) in [
        ("/twilio/.env", Some("application/octet-stream"), env, exposed),
        ("/twilio/.env", None, env, exposed),
        ("/.env.nexmo", Some("text/plain; charset=utf-8"), env, exposed),
        ("/twilio/.env", Some("text/html"), env, None),
        ("/twilio/.env", Some("text/plain"), page, present),
        ("/twilio/.env", Some("text/plain"), b"".as_slice(), present),
        ("/twilio/.env", Some("text/plain"), b"export nexmo_key=1".as_slice(), present),
        ("/sms_config.json", Some("application/json"), json, exposed),
        ("/sms_config.json", Some("application/json"), br#"{"error":"not found"}"#.as_slice(), present),
        ("/sms_config.json", Some("text/html"), json, None),
        ("/twilio.json", Some("application/json"), json, exposed),
        ("/twilio.yml", Some("text/yaml"), yaml, exposed),
        ("/twilio.yml", Some("application/octet-stream"), yaml, exposed),
        ("/twilio.yml", None, page, present),
        ("/twillio_creds.php", None, php, exposed),
        ("/twillio_creds.php", Some("text/html"), php, None),
        ("/twillio_creds.php", Some("text/html"), b"".as_slice(), None),
        ("/config/twilio.php.bak", Some("application/x-trash"), php, exposed),
        ("/twilio/.secrets", Some("text/plain"), b"auth_token: abc".as_slice(), exposed),
        ("/twilio/.secrets", Some("text/plain"), b"nothing".as_slice(), present),
        (
            "/sms/actuator/env",
            Some("application/json"),
            br#"{"activeProfiles":["prod"],"propertySources":[]}"#,
            exposed,
        ),
        ("/sms/actuator/env", Some("application/json"), br#"{"status":404}"#, present),
        ("/sms/actuator/env", Some("text/html"), br#"{"activeProfiles":[]}"#, None),
        ("/api/sms/actuator/heapdump", Some("application/octet-stream"), b"JAVA PROFILE 1.0.2\0", exposed),
        ("/sms.zip", Some("application/zip"), b"PK\x03\x04\x14\0", exposed),
        ("/sms.zip", Some("application/octet-stream"), page, present),
        ("/sms_db.sql", Some("application/sql"), b"-- MySQL dump 10.13\n", exposed),
        ("/Sms_Bomber.exe", Some("application/octet-stream"), b"MZ\x90\0", exposed),
        ("/Sms_Bomber.exe", Some("application/octet-stream"), page, present),
        ("/Results/TWILIO.txt", Some("text/plain"), b"AC0123456789abcdef0123456789abcdef|x\n", exposed),
        ("/sms/.git/config", Some("text/plain"), b"[core]\n\trepositoryformatversion = 0\n", exposed),
        ("/kannel.conf", Some("text/plain"), b"group = core\nadmin-password = bar\n", exposed),
        ("/.twilio-cli/config.json", Some("application/json"), br#"{"email":{},"profiles":{"x":{}}}"#, exposed),
        ("/stubs/handler_api.php?action=getBalance", Some("text/html"), b"ACCESS_BALANCE:1.50", exposed),
        ("/stubs/handler_api.php?action=getBalance", Some("text/html"), page, present),
    ] {
        let (signature, _) = find(&set, "GET", target).unwrap_or_else(|| panic!("{target}"));
        let text = String::from_utf8_lossy(body);
        assert_eq!(
            body_outcome(&signature, content_type, body),
            expected,
            "{target} {}: {content_type:?} {text:?}",
            signature.slug
        );
    }
}

#[test]
fn pages_prove_nothing() {
    for signature in families_only().iter().filter(|signature| is_ours(signature) && signature.slug != "handler-api") {
        let exposed = &signature.exposed;
        assert_ne!(exposed.own_outcome(200, Some(b"text/html")), Some(Outcome::Exposed), "{}", signature.slug);
        let page =
            b"<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Not found</title></head><body>"
                .as_slice();
        assert!(!exposed.body.iter().any(|test| test.matches(page)), "{}: a page has it", signature.slug);
        assert!(!exposed.proven_by_type || !exposed.body.is_empty(), "{}: the type alone", signature.slug);
    }
}

#[test]
fn more_specific_signatures_are_preferred() {
    let set = families_only();
    for (target, expected) in [
        ("/twilio/.config/bin/aws/lib/.env", "twilio-deep-env"),
        ("/twilio/.env", "twilio-env"),
        ("/nexmo/.env.php", "nexmo-env"),
        ("/sms/.env", "sms-environment-file"),
        ("/sms_config.json", "sms-config-json"),
        ("/js/sms_config.json", "sms-config-file"),
        ("/sms/actuator/env", "sms-actuator-env"),
        ("/api/sms/actuator/env", "sms-actuator"),
        ("https://sms-activate.org/stubs/handler_api.php?action=getBalance", "proxy-sms-activate"),
        ("http://rent.example/stubs/handler_api.php?action=getBalance", "handler-api"),
    ] {
        assert_eq!(slug(&set, target), expected, "{target}");
    }
}
