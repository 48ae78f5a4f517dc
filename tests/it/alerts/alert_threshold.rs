//! `--limit`: floods in few words, and nothing new or bad kept back.

use std::collections::HashMap;
use std::fs;
use std::net::Ipv4Addr;

use serde_json::Value;

use crate::support::program::smsentry;
use smsentry_generators::http_conversation::{Capture, request, response};

/// What a run said: its alerts without campaigns, and its counters.
struct Told {
    alerts: Vec<Value>,
    counters: HashMap<String, u64>,
}

fn replay(capture: &Capture, more: &[&str]) -> Told {
    let folder = tempfile::tempdir().unwrap();
    let (file, counters) = (folder.path().join("x.pcap"), folder.path().join("counters.json"));
    fs::write(&file, capture.pcap()).unwrap();
    let mut command = smsentry();
    command.args(["-q", "-r", file.to_str().unwrap(), "--counters", counters.to_str().unwrap()]).args(more);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let alerts = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    Told {
        alerts: alerts.filter(|alert| alert["alert"]["signature_id"].as_u64() >= Some(1_000_100)).collect(),
        counters: serde_json::from_str(&fs::read_to_string(&counters).unwrap()).unwrap(),
    }
}

impl Told {
    /// Port of the client, outcome, and how many the alert stands for.
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

/// One request after the other, each a second after the one before.
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
fn the_first_is_told_at_once_and_repeats_once_a_minute() {
    let capture = flood(&[("/sms/env", NOT_FOUND); 150]);
    assert_eq!(replay(&capture, &[]).alerts.len(), 150);
    let told = replay(&capture, &["--limit"]);
    // The minute begins with the first: 60 more come in it, then 60, and what is left at the end.
    let hits: Vec<_> = told.lines().iter().map(|line| line.2).collect();
    assert_eq!(hits.iter().sum::<u64>(), 150);
    assert_eq!(
        told.lines(),
        [(1000, "not_found", 1), (1059, "not_found", 59), (1119, "not_found", 60), (1149, "not_found", 30)]
    );
    assert_eq!((told.counters["alert.limited"], told.counters["alert.not_found"]), (149, 4));
    // After a minute without any, the next is the first again.
    let mut capture = flood(&[("/sms/env", NOT_FOUND); 3]);
    capture.now += 130_000;
    capture.exchange(2000, &request("GET", "/sms/env"), &response(NOT_FOUND));
    let told = replay(&capture, &["--limit"]);
    assert_eq!(told.lines(), [(1000, "not_found", 1), (1002, "not_found", 2), (2000, "not_found", 1)]);
    assert_eq!(told.counters["alert.limited"], 2);
}

#[test]
fn whatever_is_new_or_the_worst_is_told_at_once() {
    let proof =
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 21\r\n\r\n{\"api_key\":\"made up\"}";
    let mut capture = flood(&[("/sms/env", NOT_FOUND), ("/sms/env", NOT_FOUND), ("/sms/env", "403 Forbidden")]);
    capture.exchange(2000, &request("GET", "/twilio/.secrets"), &response(NOT_FOUND));
    for port in 2001..2004 {
        capture.exchange(port, &request("GET", "/sms_config.json"), proof);
    }
    capture.client = Ipv4Addr::new(198, 51, 100, 8).into();
    capture.exchange(3000, &request("GET", "/sms/env"), &response(NOT_FOUND));
    let told = replay(&capture, &["--limit"]);
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
    assert_eq!(told.lines(), expected);
}

/// Many kinds, all of which repeat, and room for few: nothing is lost but the wait.
#[test]
fn what_there_is_no_room_for_is_told_at_once() {
    let mut capture = Capture::at(1_750_000_000);
    for round in 0..5_u16 {
        for client in 0..40_u8 {
            capture.client = Ipv4Addr::new(198, 51, 100, client).into();
            capture.exchange(1000 + round, &request("GET", "/sms/env"), &response(NOT_FOUND));
        }
    }
    for set in ["limit.kinds=30", "limit.memory=12000"] {
        let told = replay(&capture, &["--limit", "--set", set]);
        assert!(told.counters["limit.given_up"] > 0, "{set}");
        assert_eq!(told.lines().iter().map(|line| line.2).sum::<u64>(), 200, "{set}");
    }
    let roomy = replay(&capture, &["--limit"]);
    assert_eq!((roomy.counters["limit.given_up"], roomy.alerts.len()), (0, 80));
    assert_eq!(replay(&capture, &["--limit", "--set", "limit.seconds=100000"]).alerts.len(), 80);
}
