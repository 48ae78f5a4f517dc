//! `--limit`: floods are summarised, and nothing new or severe is held back.

use std::collections::HashMap;
use std::fs;
use std::net::Ipv4Addr;

use serde_json::Value;

use crate::support::program::smsentry;
use smsentry_generators::http_conversation::{Capture, request, response};

/// The alerts of a run without campaigns, and its counters.
struct Output {
    alerts: Vec<Value>,
    counters: HashMap<String, u64>,
}

fn replay(capture: &Capture, more: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let (file, counters) = (folder.path().join("x.pcap"), folder.path().join("counters.json"));
    fs::write(&file, capture.pcap()).unwrap();
    let mut command = smsentry();
    command.args(["-q", "-r", file.to_str().unwrap(), "--counters", counters.to_str().unwrap()]).args(more);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let alerts = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    Output {
        alerts: alerts.filter(|alert| alert["alert"]["signature_id"].as_u64() >= Some(1_000_100)).collect(),
        counters: serde_json::from_str(&fs::read_to_string(&counters).unwrap()).unwrap(),
    }
}

impl Output {
    /// The client's port, the outcome, and the number of hits that the alert counts.
    fn lines(&self) -> Vec<(u64, &str, u64)> {
        let line = |alert| {
            let alert: &Value = alert;
            let metadata = &alert["alert"]["metadata"];
            let hits = metadata["smsentry_hits"][0].as_str().map_or(1, |hits| hits.parse().unwrap());
            (alert["src_port"].as_u64().unwrap(), metadata["smsentry_outcome"][0].as_str().unwrap(), hits)
        };
        self.alerts.iter().map(line).collect()
    }
}

const NOT_FOUND: &str = "404 Not Found";

/// One request after the other, a second apart.
fn flood(requests: &[(&str, &str)]) -> Capture {
    let mut capture = Capture::at(1_750_000_000);
    for (port, (target, status)) in (1000..).zip(requests) {
        let begin = capture.now;
        capture.exchange(port, &request("GET", target), &response(status));
        capture.now = begin + 1000;
    }
    capture
}

#[test]
fn first_alert_is_immediate_and_repeats_come_once_a_minute() {
    let capture = flood(&[("/sms/env", NOT_FOUND); 150]);
    assert_eq!(replay(&capture, &[]).alerts.len(), 150);
    let output = replay(&capture, &["--limit"]);
    // The minute begins with the first: 60 more come in it, then 60, and the remainder at the end.
    let hits: Vec<_> = output.lines().iter().map(|line| line.2).collect();
    assert_eq!(hits.iter().sum::<u64>(), 150);
    assert_eq!(
        output.lines(),
        [(1000, "not_found", 1), (1059, "not_found", 59), (1119, "not_found", 60), (1149, "not_found", 30)]
    );
    assert_eq!((output.counters["alert.limited"], output.counters["alert.not_found"]), (149, 4));
    // After a minute without any, the next counts as the first again.
    let mut capture = flood(&[("/sms/env", NOT_FOUND); 3]);
    capture.now += 130_000;
    capture.exchange(2000, &request("GET", "/sms/env"), &response(NOT_FOUND));
    let output = replay(&capture, &["--limit"]);
    assert_eq!(output.lines(), [(1000, "not_found", 1), (1002, "not_found", 2), (2000, "not_found", 1)]);
    assert_eq!(output.counters["alert.limited"], 2);
}

#[test]
fn new_or_worst_outcomes_are_never_held_back() {
    let proof =
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 21\r\n\r\n{\"api_key\":\"made up\"}";
    let mut capture = flood(&[("/sms/env", NOT_FOUND), ("/sms/env", NOT_FOUND), ("/sms/env", "403 Forbidden")]);
    capture.exchange(2000, &request("GET", "/twilio/.secrets"), &response(NOT_FOUND));
    for port in 2001..2004 {
        capture.exchange(port, &request("GET", "/sms_config.json"), proof);
    }
    capture.client = Ipv4Addr::new(198, 51, 100, 8).into();
    capture.exchange(3000, &request("GET", "/sms/env"), &response(NOT_FOUND));
    let output = replay(&capture, &["--limit"]);
    let expected = [
        (1000, "not_found", 1),
        (1002, "refused", 1),
        (2000, "not_found", 1),
        (2001, "exposed", 1),
        (2002, "exposed", 1),
        (2003, "exposed", 1),
        (3000, "not_found", 1),
        (1001, "not_found", 1),
    ];
    assert_eq!(output.lines(), expected);
}

/// Many kinds, all of which repeat, and space for few of them: nothing is lost, only the delay.
#[test]
fn alerts_beyond_the_capacity_are_emitted_at_once() {
    let mut capture = Capture::at(1_750_000_000);
    for round in 0..5_u16 {
        for client in 0..40_u8 {
            capture.client = Ipv4Addr::new(198, 51, 100, client).into();
            capture.exchange(1000 + round, &request("GET", "/sms/env"), &response(NOT_FOUND));
        }
    }
    for set in ["limit.kinds=30", "limit.memory=12000"] {
        let output = replay(&capture, &["--limit", "--set", set]);
        assert!(output.counters["limit.given_up"] > 0, "{set}");
        assert_eq!(output.lines().iter().map(|line| line.2).sum::<u64>(), 200, "{set}");
    }
    let roomy = replay(&capture, &["--limit"]);
    assert_eq!((roomy.counters["limit.given_up"], roomy.alerts.len()), (0, 80));
    assert_eq!(replay(&capture, &["--limit", "--set", "limit.seconds=100000"]).alerts.len(), 80);
}
