//! The output for the bundled captures, byte for byte, and what it must mean. `SMSENTRY_BLESS=1` rewrites the files;
//! the other assertions here cannot be blessed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::program::{captures, root, run};

/// The golden file beside a capture.
fn beside(capture: &Path) -> PathBuf {
    let name = capture.file_name().unwrap().to_str().unwrap();
    root().join("pcaps").join(format!("{}.eve.json", name.split_once(".pcap").unwrap().0))
}

fn eve(capture: &Path) -> String {
    let ran = run(&["-q", "--events", "alert,http", "-r", capture.to_str().unwrap()]);
    assert_eq!((ran.code, &*ran.err), (0, ""), "{}", capture.display());
    ran.out
}

#[test]
fn golden_records_of_every_capture_match() {
    let bless = std::env::var_os("SMSENTRY_BLESS").is_some();
    let mut differ = Vec::new();
    let captures = captures();
    for capture in &captures {
        let (file, now) = (beside(capture), eve(capture));
        let golden = fs::read_to_string(&file).unwrap_or_default();
        if golden == now {
            continue;
        }
        if bless {
            fs::write(&file, &now).unwrap();
            continue;
        }
        let at = golden.lines().zip(now.lines()).take_while(|(was, is)| was == is).count();
        let line = |text: &str| text.lines().nth(at).unwrap_or("(nothing)").to_owned();
        differ.push(format!("{}:{}\n  was {}\n  is  {}", file.display(), at + 1, line(&golden), line(&now)));
    }
    assert!(differ.is_empty(), "{}\nIf that is right: make bless, and read the diff.", differ.join("\n"));
    let golden = fs::read_dir(root().join("pcaps")).unwrap().map(|entry| entry.unwrap().path());
    let orphans: Vec<_> = golden
        .filter(|path| path.to_str().unwrap().ends_with(".eve.json"))
        .filter(|path| !captures.iter().any(|capture| beside(capture) == *path))
        .collect();
    assert!(orphans.is_empty(), "golden files without a capture: {orphans:?}");
}

/// An alert in short.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Alert {
    method: String,
    url: String,
    status: Option<u64>,
    outcome: String,
    severity: u64,
    evasion: Vec<String>,
    slug: String,
    vlan: Vec<u64>,
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|one| one.as_str().unwrap().to_owned()).collect()
}

fn parsed_alerts(name: &str) -> Vec<Alert> {
    let eve = eve(&Path::new("pcaps").join(name));
    let events = eve.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events
        .filter(|event| event["event_type"] == "alert" && event["http"].is_object())
        .map(|event| {
            let (metadata, http) = (&event["alert"]["metadata"], &event["http"]);
            Alert {
                method: http["http_method"].as_str().unwrap().to_owned(),
                url: http["url"].as_str().unwrap().to_owned(),
                status: http["status"].as_u64(),
                outcome: metadata["smsentry_outcome"][0].as_str().unwrap().to_owned(),
                severity: event["alert"]["severity"].as_u64().unwrap(),
                evasion: strings(&metadata["smsentry_evasion"]),
                slug: metadata["smsentry_signature"][0].as_str().unwrap().to_owned(),
                vlan: event["vlan"].as_array().into_iter().flatten().map(|id| id.as_u64().unwrap()).collect(),
            }
        })
        .collect()
}

fn diary() -> Vec<String> {
    fs::read_to_string(root().join("pcaps/diary.txt")).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn each_request_of_the_diary_is_found_once_by_its_own_signature() {
    let diary = diary();
    assert_eq!(diary.len(), 19);
    for name in ["nginx-ipv4.pcap", "nginx-ipv6.pcap", "apache-ipv4.pcap", "soft-404.pcap"] {
        let parsed_alerts = parsed_alerts(name);
        let urls: Vec<_> = parsed_alerts.iter().map(|parsed_alerts| parsed_alerts.url.clone()).collect();
        let expected: Vec<_> = diary.iter().cloned().chain(["sms-activate.org:443".to_owned()]).collect();
        assert_eq!(urls, expected, "{name}");
        assert!(
            parsed_alerts.iter().all(|parsed_alerts| parsed_alerts.evasion.is_empty()),
            "{name}: {parsed_alerts:?}"
        );
        let slugs: BTreeMap<_, _> =
            parsed_alerts[..19].iter().map(|parsed_alerts| (&parsed_alerts.slug, &parsed_alerts.url)).collect();
        assert_eq!(slugs.len(), 19, "{name}: a signature of its own for each: {slugs:?}");
    }
}

/// `method url status outcome severity`, for readable lists.
fn lines(parsed_alerts: &[Alert]) -> Vec<String> {
    let line = |parsed_alerts: &Alert| {
        let status = parsed_alerts.status.map_or("-".to_owned(), |status| status.to_string());
        format!(
            "{} {} {status} {} {}",
            parsed_alerts.method, parsed_alerts.url, parsed_alerts.outcome, parsed_alerts.severity
        )
    };
    parsed_alerts.iter().map(line).collect()
}

#[test]
fn outcomes_follow_from_the_responses() {
    let find = |name: &str, url: &str| {
        let parsed_alerts = parsed_alerts(name);
        lines(&parsed_alerts.into_iter().filter(|parsed_alerts| parsed_alerts.url.contains(url)).collect::<Vec<_>>())
    };
    for (name, url, expected) in [
        ("nginx-ipv4.pcap", "print.css", " 400 refused 3"),
        ("nginx-ipv4.pcap", "sms-activate.org:443", "CONNECT sms-activate.org:443 400 refused 3"),
        ("nginx-ipv4.pcap", "https:", "GET https://sms-activate.org 200 unproven 2"),
        ("nginx-ipv4.pcap", "/sms_config.json", " 200 exposed 1"),
        ("nginx-ipv4.pcap", "wp-sms/", " 200 present 2"),
        ("nginx-ipv4.pcap", "/sms/actuator/env", " 401 present 2"),
        ("nginx-ipv4.pcap", "/twillio_creds.php", " - no_response 2"),
        ("nginx-ipv4.pcap", "/sms.py", " 200 unproven 2"),
        ("nginx-ipv4.pcap", "/twilio/.secrets", " 403 refused 3"),
        ("apache-ipv4.pcap", "print.css", " 400 refused 3"),
        ("apache-ipv4.pcap", "sms-activate.org:443", "CONNECT sms-activate.org:443 405 refused 3"),
        ("apache-ipv4.pcap", "https:", "GET https://sms-activate.org 200 unproven 2"),
        ("open-proxy.pcap", "http://sms-activate.org/", " 200 unproven 2"),
        ("open-proxy.pcap", "sms-activate.org:443", "CONNECT sms-activate.org:443 200 exposed 1"),
    ] {
        let found = find(name, url);
        assert!(found.len() == 1 && found[0].ends_with(expected), "{name}, {url}: {found:?}");
    }
    let soft = parsed_alerts("soft-404.pcap");
    assert!(
        soft.iter().all(|parsed_alerts| parsed_alerts.status == Some(400) || parsed_alerts.outcome == "unproven"),
        "{soft:?}"
    );
    assert!(parsed_alerts("one-sided.pcap").iter().all(|parsed_alerts| parsed_alerts.outcome == "unseen"));
    assert_eq!(parsed_alerts("benign.pcap"), []);
    let proxies = parsed_alerts("proxy-test.pcap");
    assert!(
        proxies.len() == 14
            && proxies.iter().all(|parsed_alerts| !matches!(&*parsed_alerts.outcome, "exposed" | "present"))
    );
}

#[test]
fn only_disclosed_secrets_are_exposed() {
    let parsed_alerts = lines(&parsed_alerts("exposed.pcap"));
    let (exposed, others): (Vec<_>, Vec<_>) = parsed_alerts.iter().partition(|line| line.ends_with(" exposed 1"));
    assert_eq!(exposed.len(), 13, "{exposed:#?}");
    assert_eq!(
        others,
        [
            "HEAD /sms_config.json 200 present 2",
            "GET /sms_config.json 304 present 2",
            "GET /twilio/.secrets 403 refused 3",
        ]
    );
}

#[test]
fn six_requests_are_the_same_in_every_capture_format() {
    let six = |third: &str| {
        let css = "GET /wp-content/plugins/wp-sms/assets/css/admin-bar.css 200 present 2".to_owned();
        let (config, secrets) = ("GET /sms_config.json 200 exposed 1", "GET /twilio/.secrets 403 refused 3");
        vec![config.to_owned(), css, third.to_owned(), secrets.to_owned()]
    };
    let nginx = six("GET /sms/api/ 301 redirected 3");
    assert_eq!(lines(&parsed_alerts("apache-ipv6.pcap")), six("GET /sms/api/ 404 not_found 3"));
    for name in ["cooked.pcap", "cooked-v1.pcap", "mirrored-twice.pcap"] {
        assert_eq!(lines(&parsed_alerts(name)), nginx, "{name}");
    }
    for (name, vlan) in [("vlan.pcap", &[100][..]), ("qinq.pcap", &[200, 30]), ("raw-ip.pcap", &[])] {
        let parsed_alerts = parsed_alerts(name);
        assert_eq!(lines(&parsed_alerts), [&nginx[..], &nginx].concat(), "{name}");
        assert!(parsed_alerts.iter().all(|parsed_alerts| parsed_alerts.vlan == vlan), "{name}");
    }
}

#[test]
fn every_evasion_is_undone_and_named() {
    let parsed_alerts = parsed_alerts("disguises.pcap.gz");
    assert_eq!(parsed_alerts.len(), 30);
    let (nginx, apache) = parsed_alerts.split_at(15);
    let short = |parsed_alerts: &[Alert]| {
        parsed_alerts
            .iter()
            .map(|parsed_alerts| (parsed_alerts.url.clone(), parsed_alerts.evasion.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(short(nginx), short(apache));
    let all: Vec<_> = nginx.iter().flat_map(|parsed_alerts| parsed_alerts.evasion.clone()).collect();
    for name in
        ["percent", "double-percent", "case", "slashes", "dot-segments", "backslash", "path-parameter", "trailing"]
    {
        assert!(all.iter().any(|one| one == name), "{name}: {all:?}");
    }
}

#[test]
fn pipelined_requests_and_those_after_bodies_have_their_own_responses() {
    assert_eq!(
        lines(&parsed_alerts("pipelined.pcap")),
        [
            "GET /sms_config.json 200 exposed 1",
            "HEAD /sms_config.json 200 present 2",
            "GET /sms/env 502 error 2",
            "GET /sms/api/ 301 redirected 3",
            "GET /wp-content/plugins/wp-sms/assets/css/admin-bar.css 200 present 2",
            "GET /twilio/.secrets 403 refused 3",
            "GET /twilio-labs/configure-env 404 not_found 3",
            "GET /sms_config.json 200 exposed 1",
            "GET /sms_config.json 200 exposed 1",
            "GET /sms_config.json 200 exposed 1",
            "GET /sms_config.json 200 exposed 1",
            "GET /sms_config.json 200 exposed 1",
        ]
    );
}
