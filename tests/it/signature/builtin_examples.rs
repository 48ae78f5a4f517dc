//! The hits and misses of every built-in signature as packets through the whole program.

use std::collections::BTreeMap;

use serde_json::Value;
use smsentry::signature::Signatures;

use crate::support::program::run;
use smsentry_generators::http_conversation::{Capture, request, response};

#[test]
fn hits_and_misses_of_every_signature_hold() {
    let signatures = Signatures::builtin().unwrap();
    let mut capture = Capture::at(1_750_000_000);
    let mut asked = Vec::new();
    for signature in signatures.iter().filter(|signature| !signature.support) {
        assert!(!signature.hits.is_empty() && !signature.misses.is_empty(), "{} has no examples", signature.slug);
        let examples = signature.hits.iter().map(|hit| (hit, true)).chain(signature.misses.iter().map(|m| (m, false)));
        for (example, hit) in examples {
            let port = 10_000 + u16::try_from(asked.len()).unwrap();
            capture.exchange(port, &request(&example.method, &example.target), &response("404 Not Found"));
            asked.push((port, signature.slug.clone(), example, hit));
        }
    }
    assert!(asked.len() > 100, "only {} examples", asked.len());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("examples.pcap");
    std::fs::write(&file, capture.pcap()).unwrap();
    let ran = run(&["-q", "--events", "alert,http", "-r", file.to_str().unwrap()]);
    ran.is_quiet();
    let (mut found, mut requests) = (BTreeMap::<u64, Vec<String>>::new(), BTreeMap::<u64, String>::new());
    for line in ran.out.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let port = event["src_port"].as_u64().unwrap();
        if event["event_type"] == "http" {
            requests.insert(port, event["http"]["url"].as_str().unwrap().to_owned());
            continue;
        }
        let metadata = &event["alert"]["metadata"];
        if metadata["smsentry_campaign"].is_array() {
            continue;
        }
        assert_eq!(metadata["smsentry_outcome"][0], "not_found", "{line}");
        let names = ["smsentry_signature", "smsentry_also"].map(|key| metadata[key].as_array().cloned());
        let slugs = names.into_iter().flatten().flatten().map(|slug| slug.as_str().unwrap().to_owned());
        assert!(found.insert(port, slugs.collect()).is_none(), "two alerts for one request: {line}");
    }
    for (port, slug, example, hit) in asked {
        let port = u64::from(port);
        assert_eq!(requests.get(&port), Some(&example.target), "the request was not seen");
        let reported = found.get(&port).is_some_and(|slugs| slugs.contains(&slug));
        assert_eq!(reported, hit, "{slug}: {} {}: {:?}", example.method, example.target, found.get(&port));
    }
}
