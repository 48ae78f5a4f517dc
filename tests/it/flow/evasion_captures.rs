//! The shared evasion captures through the program, compared with what a server behind the sensor would have read; and
//! the page that documents the choices, compared with the program.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::format::foreign_readers::shared;
use crate::support::program::{root, smsentry};

/// A reported request.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reported {
    method: String,
    target: String,
    host: Option<String>,
    probe: bool,
}

/// All requests reported for a capture, ordered by connection and request, and the counters.
fn read(capture: &Path, more: &[&str]) -> (Vec<Reported>, Value) {
    let directory = tempfile::tempdir().unwrap();
    let counters = directory.path().join("counters.json");
    let mut command = smsentry();
    command.args(["-q", "--events", "http,alert", "--ports", "any", "--counters"]).arg(&counters).args(more);
    let output = command.arg("-r").arg(capture).output().unwrap();
    // A damaged capture exits with 1, after everything readable was processed.
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}: {output:?}", capture.display());
    let mut requests: BTreeMap<(String, u64, u64), Reported> = BTreeMap::new();
    let mut probes = Vec::new();
    for line in output.stdout.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let event: Value = serde_json::from_slice(line).unwrap();
        let begun = event["timestamp"].as_str().unwrap().to_owned();
        let key = (begun, event["flow_id"].as_u64().unwrap(), event["tx_id"].as_u64().unwrap());
        if event["event_type"] == "alert" {
            probes.push(key);
            continue;
        }
        let text = |name: &str| event["http"][name].as_str().map(str::to_owned);
        let port = event["http"]["http_port"].as_u64().map(|port| format!(":{port}")).unwrap_or_default();
        let reported = Reported {
            method: text("http_method").unwrap_or_default(),
            target: text("url").unwrap_or_default(),
            host: text("hostname").map(|host| host + &port),
            probe: false,
        };
        assert!(requests.insert(key, reported).is_none(), "{}: reported twice", capture.display());
    }
    for key in probes {
        requests.get_mut(&key).expect("an alert's request has a record").probe = true;
    }
    let counters = serde_json::from_slice(&std::fs::read(&counters).unwrap()).unwrap();
    (requests.into_values().collect(), counters)
}

/// Expected bytes as EVE writes them: text, or with `\xhh` where it is not UTF-8.
fn written(bytes: Vec<u8>) -> String {
    let escaped = |byte: &u8| if byte.is_ascii() { char::from(*byte).to_string() } else { format!("\\x{byte:02x}") };
    String::from_utf8(bytes).unwrap_or_else(|error| error.as_bytes().iter().map(escaped).collect())
}

/// The set encodes bytes as Latin-1 characters.
fn latin(text: &Value) -> Vec<u8> {
    text.as_str().unwrap().chars().map(|character| character as u8).collect()
}

fn target(request: &Value) -> String {
    let digits = |hex: &str| -> Vec<u8> {
        let digits: Vec<u8> = hex.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    };
    written(request["target_hex"].as_str().map_or_else(|| latin(&request["target"]), digits))
}

fn same(reported: &Reported, wanted: &Value) -> bool {
    let target = target(wanted);
    let long = !wanted["target_len"].is_null();
    let anything = target == "*" && wanted["method"] != "OPTIONS";
    let host = wanted["host"].as_str();
    reported.method == written(latin(&wanted["method"]))
        && (anything || reported.target == target || (long && reported.target.starts_with(&target)))
        && (host == Some("*") || reported.host.as_deref() == host)
        && reported.probe == wanted["probe"].as_bool().unwrap()
}

/// Reports whether exactly these requests are found, in order within each connection.
fn agrees(reported: &[Reported], wanted: &Value) -> bool {
    let wanted = wanted.as_array().unwrap();
    let mut left: Vec<&Value> = wanted.iter().collect();
    reported.len() == wanted.len()
        && reported.iter().all(|reported| {
            let at = left.iter().position(|wanted| same(reported, wanted));
            at.map(|at| left.remove(at)).is_some()
        })
}

fn assess(folder: &Path, name: &str, case: &Value) -> Result<(), String> {
    // Only this case is about tenants that share addresses.
    let more: &[&str] = if name.starts_with("n027") { &["--vlan-tracking"] } else { &[] };
    let capture = folder.join(case["pcap"].as_str().unwrap());
    let (reported, counters) = read(&capture, more);
    let others = case["also_acceptable"].as_array().into_iter().flatten();
    if !std::iter::once(&case["requests"]).chain(others).any(|wanted| agrees(&reported, wanted)) {
        return Err(format!("{name}: {reported:?}, but {}", case["requests"]));
    }
    for (policy, wanted) in case["by_overlap_policy"].as_object().into_iter().flatten() {
        let (reported, _) = read(&capture, &["--overlap-policy", policy]);
        if !agrees(&reported, wanted) {
            return Err(format!("{name}, {policy}: {reported:?}, but {wanted}"));
        }
    }
    let at_least = |(counter, least): (&String, &Value)| {
        // The names are a suggestion.
        counters.get(counter).is_none_or(|value| value.as_u64() >= least.as_u64())
    };
    match case["counters_at_least"].as_object().into_iter().flatten().all(at_least) {
        true => Ok(()),
        false => Err(format!("{name}: {}", case["counters_at_least"])),
    }
}

#[test]
fn requests_are_those_that_a_server_would_have_read() {
    let Some(folder) = shared("evasion") else { return };
    let expected: Value = serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let mut count: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (name, case) in expected["cases"].as_object().unwrap() {
        if crate::uri::evasion_targets::is_meant(name) {
            continue;
        }
        let level = count.entry(case["level"].as_str().unwrap()).or_default();
        level[0] += 1;
        match assess(&folder, name, case) {
            Ok(()) => level[1] += 1,
            Err(reason) => wrong.push(reason),
        }
    }
    println!("cases and right ones: {count:?}\n{}", wrong.join("\n"));
    let share = |level: &str, percent: usize| count[level][1] * 100 >= count[level][0] * percent;
    assert!(share("must", 100) && share("should", 95) && share("policy", 100), "see above");
}

/// The lines of the page's table of choices: the case, and the documented result.
fn choices(page: &str) -> Vec<(&str, String)> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")).map(|row| row.split(" | ").collect::<Vec<_>>());
    rows.filter(|row| row.len() == 4 && row[0].ends_with('`'))
        .map(|row| (row[0].trim_end_matches('`'), row[2].to_owned()))
        .collect()
}

/// The notation of the page: `alert` or `request` and the line, joined by `, then`; or `nothing`.
fn in_words(reported: &[Reported]) -> String {
    let word = |reported: &Reported| {
        format!("{} `{} {}`", if reported.probe { "alert" } else { "request" }, reported.method, reported.target)
    };
    let words: Vec<String> = reported.iter().map(word).collect();
    if words.is_empty() { "nothing".to_owned() } else { words.join(", then ") }
}

#[test]
fn documented_choices_agree_with_the_program() {
    let page = std::fs::read_to_string(root().join("docs/what-we-read.md")).unwrap();
    let choices = choices(&page);
    assert_eq!(choices.len(), 17, "{choices:?}");
    let Some(folder) = shared("evasion") else { return };
    let expected: Value = serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let open: Vec<&str> = expected["cases"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, case)| case["level"] == "policy")
        .map(|(name, _)| name.split_once('_').unwrap().0)
        .collect();
    assert_eq!(choices.iter().map(|(name, _)| *name).collect::<Vec<_>>(), open);
    for (name, case) in expected["cases"].as_object().unwrap() {
        let Some((_, documented)) = choices.iter().find(|(choice, _)| name.split_once('_').unwrap().0 == *choice)
        else {
            continue;
        };
        let more: &[&str] = if name.starts_with("n027") { &["--vlan-tracking"] } else { &[] };
        let (reported, _) = read(&folder.join(case["pcap"].as_str().unwrap()), more);
        assert_eq!(&in_words(&reported), documented, "{name}");
    }
}
