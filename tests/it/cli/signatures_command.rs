//! The `smsentry signatures` command.

use std::fs;

use serde_json::Value;

use crate::signature::matching::entry;
use crate::support::program::run;

/// A file with this content.
fn file(directory: &tempfile::TempDir, name: &str, content: &str) -> String {
    let path = directory.path().join(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn lists_are_a_table_or_json() {
    let table = run(&["signatures", "list"]);
    table.is_quiet();
    let json = run(&["signatures", "list", "--json"]);
    json.is_quiet();
    let objects: Vec<Value> = json.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(table.out.lines().count(), objects.len() + 1);
    for (row, object) in table.out.lines().skip(1).zip(&objects) {
        let cells: Vec<&str> = row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        assert_eq!(cells[0], object["id"].to_string());
        assert_eq!(cells[3], object["status"].as_str().unwrap());
        assert!(cells.contains(&object["slug"].as_str().unwrap()) && row.ends_with(object["title"].as_str().unwrap()));
        let (file, line) = (object["file"].as_str().unwrap(), object["line"].as_u64().unwrap());
        let text = fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        assert!(text.lines().nth(line as usize - 1).unwrap().contains(&object["id"].to_string()), "{file}:{line}");
    }
}

#[test]
fn user_files_are_listed_too() {
    let directory = tempfile::tempdir().unwrap();
    let mine = file(
        &directory,
        "mine.toml",
        &entry(1_010_000, "match.path = \"/Mine/\"\nhits = [\"/mine\"]\nmisses = [\"/x\"]"),
    );
    let only = run(&["signatures", "list", "-S", &mine]);
    assert_eq!(only.out.lines().count(), 2, "{}", only.out);
    let all = run(&["signatures", "list", "-s", &mine]);
    assert!(all.out.lines().count() > 20 && all.out.contains("1010000"));
    let explained = run(&["signatures", "explain", "s1010000", "-S", &mine]);
    explained.is_quiet();
    for part in
        ["/Mine/, in normal form /mine", "GET \"/mine\"", "signature = 1010000", "low:", "severity", "mine.toml:2"]
    {
        assert!(explained.out.to_lowercase().contains(&part.to_lowercase()), "{part}: {}", explained.out);
    }
    let by_id = run(&["signatures", "explain", "1010000", "-S", &mine]);
    assert_eq!(by_id.out, explained.out);
    let exported = run(&["signatures", "export", "--to", "suricata", "--sid-offset", "5000000", "-S", &mine]);
    assert!(exported.out.contains("sid:6010000;"), "{}", exported.out);
    let place = directory.path().join("out.rules");
    let to_file = run(&["signatures", "export", "--to", "suricata", "-S", &mine, "-o", place.to_str().unwrap()]);
    assert_eq!((to_file.code, &*to_file.out), (0, ""));
    assert!(fs::read_to_string(place).unwrap().contains("sid:1010000;"));
}

#[test]
fn every_signature_can_be_explained() {
    let listed = run(&["signatures", "list", "--json"]);
    let slugs = listed.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["slug"].clone());
    for slug in slugs.step_by(9) {
        let ran = run(&["signatures", "explain", slug.as_str().unwrap()]);
        ran.is_quiet();
        assert!(ran.out.contains("[[suppress]]") && ran.out.contains("Must match"), "{}", ran.out);
    }
}

#[test]
fn usage_errors_of_signatures_exit_with_2() {
    let directory = tempfile::tempdir().unwrap();
    let broken = file(&directory, "broken.toml", "[[signature]]\nid = 5\n");
    run(&["signatures"]).complains_first(2);
    run(&["signatures", "nothing"]).complains_first(2);
    run(&["signatures", "export"]).complains_first(2);
    run(&["signatures", "export", "--to", "cobol"]).complains_first(2);
    run(&["signatures", "explain", "nobody"]).complains(2, &["nobody", "signatures list"]);
    for arguments in [
        vec!["signatures", "list", "-S", &broken],
        vec!["signatures", "check", &broken],
        vec!["signatures", "export", "--to", "sigma", "-s", &broken],
        vec!["signatures", "check", "/does/not/exist.toml"],
    ] {
        let ran = run(&arguments);
        assert_eq!((ran.code, &*ran.out), (2, ""), "{arguments:?}: {ran:?}");
        assert!(ran.err.contains("toml:"), "{ran:?}");
    }
    let help = run(&["signatures", "--help"]);
    assert_eq!((help.code, &*help.err), (0, ""));
    ["list", "check", "explain", "export"].iter().for_each(|word| assert!(help.out.contains(word)));
}

#[test]
fn check_reports_failing_examples_overlaps_and_shadowing() {
    let directory = tempfile::tempdir().unwrap();
    let good = file(
        &directory,
        "good.toml",
        &entry(1_010_000, "match.path = \"/q/w\"\nhits = [\"/q/w/\"]\nmisses = [\"/q\"]"),
    );
    let ran = run(&["signatures", "check", &good]);
    ran.is_quiet();
    assert_eq!(ran.out, "1 signature with 1 pattern; 0 examples fail\n");
    let wrong = file(
        &directory,
        "wrong.toml",
        &entry(1_010_001, "match.path = \"/q/w\"\nhits = [\"/q\"]\nmisses = [\"/q/w\"]"),
    );
    let ran = run(&["signatures", "check", &wrong]);
    assert_eq!((ran.code, ran.err.lines().count()), (2, 2), "{ran:?}");
    // The same path twice, once in capitals; and a suffix that covers another signature's path.
    let both = entry(1_010_002, "match.path = \"/Q/w/\"\nhits = [\"/q/w\"]\nmisses = [\"/q\"]")
        + &entry(1_010_003, "match.suffix = \"/w\"\nhits = [\"/a/w\"]\nmisses = [\"/x\"]");
    let both = file(&directory, "both.toml", &both);
    let ran = run(&["signatures", "check", &both, "-s", &good]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.out.contains("shadowed: 1010002 (s1010002): \"/Q/w/\" is never the best match: 1010000 (s1010000) is"),
        "{ran:?}"
    );
    assert!(
        ran.out.contains("overlap: GET \"/q/w/\" is reported as 1010000 (s1010000) and also matches 1010002"),
        "{ran:?}"
    );
    assert!(!ran.out.contains("shadowed: 1010003"), "{ran:?}");
    // The path of a built-in signature.
    let taken = file(
        &directory,
        "taken.toml",
        &entry(1_010_004, "match.path = \"/sms/env\"\nhits = [\"/sms/env\"]\nmisses = [\"/x\"]"),
    );
    let ran = run(&["signatures", "check", &taken]);
    assert!(ran.out.contains("shadowed: 1010004") && ran.out.contains("sms-env"), "{ran:?}");
}

#[test]
fn signatures_may_still_begin_a_capture_filter() {
    let ran = run(&["-T", "tcp", "port", "80"]);
    assert_eq!((ran.code, &*ran.err), (0, ""));
}

#[test]
fn suppress_entry_printed_by_explain_hides_the_alert() {
    let directory = tempfile::tempdir().unwrap();
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/pcaps/nginx-ipv4.pcap");
    let alerts = |more: &[&str]| -> Vec<(u64, String)> {
        let ran = run(&[&["-q", "--events", "alert", "-r", capture][..], more].concat());
        let of = |event: Value| {
            let host = event["http"]["hostname"].as_str().unwrap_or_default().to_owned();
            (event["alert"]["signature_id"].as_u64().unwrap(), host)
        };
        ran.out.lines().map(|line| of(serde_json::from_str(line).unwrap())).collect()
    };
    let (id, host) = alerts(&[]).into_iter().find(|(id, host)| *id > 1_000_099 && !host.is_empty()).unwrap();
    let page = run(&["signatures", "explain", &id.to_string()]).out;
    let lines: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    for head in ["[[suppress]]", "[[allow]]"] {
        let entry: Vec<&str> = lines
            .iter()
            .skip_while(|line| **line != head)
            .take_while(|line| **line == head || !line.starts_with("[["))
            .copied()
            .collect();
        assert!(entry.len() > 2, "{head}: {page}");
        let text = entry.join("\n").replace("www.example.org", &host);
        let written = file(&directory, "mine.toml", &text);
        assert!(alerts(&["--suppress", &written]).iter().all(|(other, at)| *other != id || *at != host), "{text}");
    }
}
