//! Outcomes of real servers' responses, with signatures of the test's own, so that they don't change with the built-in
//! ones. With any number of lanes and any block size.

use std::path::Path;

use serde_json::Value;

use crate::support::program::{root, run};

const FILE: &str = r#"
family = "test"
mitre = { tactic = "TA0006 Credential Access", technique = "T1552.001 Credentials In Files" }
[[signature]]
id = 1010001
rev = 1
slug = "files"
title = "files"
product = "files"
severity = 2
confidence = "high"
match.path = ["/twilio/.env", "/twilio/.secrets", "/sms_config.json"]
exposed.proof = ["application/octet-stream", "text/plain", "application/json", "none"]
exposed.body = ['(?m)^TWILIO_[A-Z_]+=', '\bAC[0-9a-f]{32}\b', '"auth_token"']
[[signature]]
id = 1010002
rev = 1
slug = "source"
title = "source"
product = "source"
severity = 2
confidence = "high"
match.path = "/twillio_creds.php"
exposed.body = ['<\?php']
[[signature]]
id = 1010003
rev = 1
slug = "actuator"
title = "actuator"
product = "actuator"
severity = 2
confidence = "high"
match.path = "/sms/actuator/env"
exposed.proof = ["application/vnd.spring-boot.actuator.v3+json", "application/json"]
exposed.body = ['"(activeProfiles|propertySources)"']
"#;

/// `method target status outcome` of every alert.
fn alert_lines(capture: &str, more: &[&str]) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("test.toml");
    std::fs::write(&file, FILE).unwrap();
    let capture = Path::new("pcaps").join(capture);
    let ran = run(&[&["-q", "-S", file.to_str().unwrap(), "-r", capture.to_str().unwrap()], more].concat());
    assert_eq!((ran.code, &*ran.err), (0, ""));
    assert!(!ran.out.contains("EXAMPLE") && !ran.out.contains("propertySources"), "no part of a body is reported");
    let events = ran.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let short = |event: Value| {
        let (http, outcome) = (&event["http"], &event["alert"]["metadata"]["smsentry_outcome"][0]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let [method, url, outcome] = [text(&http["http_method"]), text(&http["url"]), text(outcome)];
        format!("{method} {url} {} {outcome}", http["status"])
    };
    // Campaigns have requests, but are not requests.
    events.filter(|event| event["http"].is_object()).map(short).collect()
}

const BODIES: [&str; 17] = [
    "GET /twilio/.env 200 exposed",
    "GET /twilio/.secrets 200 present",
    "GET /sms_config.json 200 present",
    "GET /twillio_creds.php 200 exposed",
    "GET /sms/actuator/env 200 exposed",
    // gzip in chunks.
    "GET /twilio/.env 200 exposed",
    "GET /twilio/.secrets 200 present",
    "GET /sms/actuator/env 200 exposed",
    // gzip until the connection ends; HEAD; a range.
    "GET /twilio/.env 200 exposed",
    "HEAD /twilio/.env 200 present",
    "GET /twilio/.env 206 exposed",
    // Plain, deflate, gzip; br and zstd, which are not decoded.
    "GET /twilio/.env 200 exposed",
    "GET /twilio/.env 200 exposed",
    "GET /twilio/.env 200 exposed",
    "GET /twilio/.env 200 present",
    "GET /twilio/.env 200 present",
    "GET /twilio/.secrets 200 present",
];

#[test]
fn first_bytes_of_a_body_prove_exposure() {
    assert_eq!(alert_lines("bodies.pcap", &[]), BODIES);
}

#[test]
fn home_page_for_every_target_proves_nothing() {
    let expected = [
        "GET /twilio/.env 200 unproven",
        "GET /sms/actuator/env 200 unproven",
        "GET /sms_config.json 200 unproven",
        "GET /twillio_creds.php 200 unproven",
        "GET /twilio/.env 200 unproven",
        "HEAD /sms_config.json 200 unproven",
    ];
    assert_eq!(alert_lines("home-page.pcap", &[]), expected);
}

#[test]
fn lanes_and_events_change_nothing() {
    for more in [&["--lanes", "1"][..], &["--lanes", "5"], &["--lanes", "16"], &["--outcome-timeout", "1"]] {
        assert_eq!(alert_lines("bodies.pcap", more), BODIES, "{more:?}");
    }
    // At the request, and again where a body proves exposure.
    let late = alert_lines("bodies.pcap", &["--outcome-timeout", "0"]);
    assert_eq!(late.iter().filter(|line| line.ends_with(" pending")).count(), BODIES.len());
    let exposed = BODIES.iter().filter(|line| line.ends_with("exposed")).count();
    assert_eq!(late.len() - BODIES.len(), exposed);
}

/// The capture contains what the test needs: a visitor with Referer, and 304 the second time.
#[test]
fn visit_of_a_blog_is_as_expected() {
    let capture = root().join("pcaps/wordpress.pcap");
    let ran = run(&["-q", "--events", "http", "-r", capture.to_str().unwrap()]);
    let events: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let statuses: Vec<_> = events.iter().map(|event| event["http"]["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 304, 304, 304]);
    let sheets = events.iter().filter(|event| event["http"]["url"].as_str().unwrap().contains(".css"));
    assert!(sheets.into_iter().all(|event| event["http"]["http_refer"] == "http://www.example.org/"));
}
