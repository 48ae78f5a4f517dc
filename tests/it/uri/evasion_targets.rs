//! The expected requests of the shared evasion captures: every target that is a probe matches, no other does.

use std::path::PathBuf;

use serde_json::Value;
use smsentry::signature::Signatures;
use smsentry::uri::Normaliser;

/// `expected.json` of the evasion set, if present.
fn expected() -> Option<Value> {
    let shared = std::env::var_os("SMSENTRY_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let text = std::fs::read_to_string(shared.join("evasion/expected.json")).ok()?;
    Some(serde_json::from_str(&text).expect("expected.json is JSON"))
}

/// The raw bytes of a request's target, if listed in full.
fn target(request: &Value) -> Option<Vec<u8>> {
    // A lone `*` with any host replaces a target that the set does not spell out.
    if !request["target_len"].is_null() || (request["target"] == "*" && request["host"] == "*") {
        return None;
    }
    if let Some(hex) = request["target_hex"].as_str() {
        let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
        return Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect());
    }
    request["target"].as_str().map(|text| text.chars().map(|c| c as u8).collect())
}

/// Near misses of single signatures that other built-in signatures match.
pub(crate) fn is_meant(case: &str) -> bool {
    ["h096_", "h097_", "h102_"].iter().any(|near_miss| case.starts_with(near_miss))
}

#[test]
fn every_expected_probe_is_found_and_no_other() {
    let Some(expected) = expected() else {
        println!("skipped: the shared evasion set is not here");
        return;
    };
    let set = Signatures::builtin().expect("the built-in signatures load");
    let mut normaliser = Normaliser::new();
    let mut seen = 0;
    for (id, case) in expected["cases"].as_object().expect("cases by id") {
        if case["level"] == "policy" || is_meant(id) {
            continue;
        }
        for request in case["requests"].as_array().into_iter().flatten() {
            let (Some(target), Some(method)) = (target(request), request["method"].as_str()) else { continue };
            let candidates = normaliser.candidates(method.as_bytes(), &target);
            let found = set.find(method.as_bytes(), &target, &candidates);
            let reported = found.is_some_and(|found| !found.signature.support);
            assert_eq!(Some(reported), request["probe"].as_bool(), "{id}: {request}");
            seen += 1;
        }
    }
    assert!(seen > 200, "only {seen} requests");
}
