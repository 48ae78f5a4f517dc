//! Damaged captures and tiny limits through the program: no panic, no hang, exit code 0 or 1, and every line is JSON.
//! What is read of a damaged file is tested in [`super::damaged_files`].

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use smsentry::app::limits::LIMITS;

use crate::support::capture_writer::Seeded;
use smsentry_generators::http_conversation::{self, From};

/// The bundled captures, and those of the shared evasion set if it is present.
fn captures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = std::env::var_os("SMSENTRY_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    let is_capture = |path: &PathBuf| {
        let name = path.to_string_lossy().into_owned();
        [".pcap", ".pcapng", ".pcap.gz"].iter().any(|ending| name.ends_with(ending))
    };
    let list = |directory: PathBuf| fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = list(root.join("pcaps")).filter(is_capture).collect();
    let bundled = paths.len();
    paths.extend(list(shared.join("evasion")).filter(is_capture));
    if paths.len() == bundled {
        println!("the shared evasion set is not here: the bundled captures only");
    }
    paths.sort();
    paths
}

/// Runs the program, and kills a run that does not end.
fn run(arguments: &[&str], files: &[PathBuf]) -> Output {
    let inputs = files.iter().flat_map(|file| ["-r".into(), file.clone().into_os_string()]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_smsentry"))
        .args(arguments)
        .args(inputs)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = collect(child.stdout.take().unwrap());
    let stderr = collect(child.stderr.take().unwrap());
    let begun = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if begun.elapsed() > Duration::from_secs(120) => {
                child.kill().unwrap();
                panic!("no end: {arguments:?} {files:?}");
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    Output { status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

/// Reads a pipe to its end on another thread.
fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// Checks what holds for every run.
fn check_run(output: &Output, what: &str) {
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(!complaints.contains("internal error") && !complaints.contains("panicked"), "{what}: {complaints}");
    assert!(matches!(output.status.code(), Some(0 | 1)), "{what}: {:?}: {complaints}", output.status);
    for line in output.stdout.split_inclusive(|&byte| byte == b'\n') {
        let text = line.strip_suffix(b"\n").expect("whole lines");
        assert!(line.len() < 16_000 && text.iter().all(|byte| (0x20..0x7f).contains(byte)), "{what}: {line:?}");
        let record: serde_json::Value = serde_json::from_slice(text).expect("JSON");
        assert!(record["timestamp"].is_string(), "{what}: {record}");
    }
}

/// A capture with bytes flipped, and sometimes truncated.
fn damaged(whole: &[u8], seeded: &mut Seeded) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    for _ in 0..1 << seeded.below(7) {
        // Half of them where the headers are.
        let end = if seeded.below(2) == 0 { bytes.len() } else { bytes.len().min(200) };
        bytes[seeded.below(end)] ^= 1 << seeded.below(8);
    }
    if seeded.below(3) == 0 {
        bytes.truncate(seeded.below(bytes.len() + 1));
    }
    bytes
}

/// 2,000 captures with bytes flipped or truncated, a hundred per run: 2,000 ends of files, and state left over by one
/// file when the next begins.
#[test]
fn two_thousand_damaged_captures_are_survived() {
    let mut seeded = Seeded(2026);
    let originals: Vec<Vec<u8>> = captures()
        .iter()
        .map(|path| fs::read(path).unwrap())
        .filter(|bytes| (1..300_000).contains(&bytes.len()))
        .collect();
    let directory = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let files: Vec<PathBuf> = (0..100)
            .map(|at| {
                let path = directory.path().join(format!("{round}-{at}"));
                fs::write(&path, damaged(&originals[seeded.below(originals.len())], &mut seeded)).unwrap();
                path
            })
            .collect();
        let lanes = ["0", "3"][round % 2];
        let arguments = ["-q", "--events", "alert,http,stats", "--ports", "any", "--lanes", lanes];
        let output = run(&arguments, &files);
        check_run(&output, &format!("round {round}"));
        assert_eq!(output.status.code(), Some(1), "round {round}: some of a hundred can't be read to their end");
        assert!(output.stdout.len() > 10_000, "round {round}: readable packets are reported");
        files.iter().for_each(|file| fs::remove_file(file).unwrap());
    }
}

/// The counters of each limit, one of which shows that the limit was reached; none where these captures can't show it
/// (block sizes, time spans).
const SHOWN_BY: [(&str, &[&str]); 35] = [
    (
        "flow.count",
        &["flow.evicted_halfopen", "flow.evicted_closing", "flow.evicted_waiting", "flow.evicted_established"],
    ),
    (
        "flow.memory",
        &["flow.evicted_halfopen", "flow.evicted_closing", "flow.evicted_waiting", "flow.evicted_established"],
    ),
    ("flow.timeout.new", &["flow.timeout"]),
    ("flow.timeout.established", &["flow.timeout"]),
    ("flow.timeout.waiting", &["flow.timeout"]),
    ("flow.timeout.closing", &["flow.timeout"]),
    ("tcp.queued", &["tcp.memcap_drops"]),
    ("tcp.queued_per_direction", &["tcp.segments_dropped", "tcp.gaps"]),
    ("tcp.segments_per_direction", &["tcp.segments_dropped", "tcp.gaps"]),
    ("tcp.syn_candidates", &[]),
    ("defrag.memory", &["defrag.memcap_drops"]),
    ("defrag.datagrams", &["defrag.memcap_drops"]),
    ("defrag.fragments", &["defrag.too_many_fragments"]),
    ("defrag.timeout.ipv4", &[]),
    ("defrag.timeout.ipv6", &[]),
    ("decode.layers", &["decode.too_many_layers"]),
    ("decode.tunnels", &["decode.too_many_layers"]),
    ("decode.labels", &["decode.too_many_layers"]),
    ("decode.extensions", &["decode.too_many_layers"]),
    ("http.line", &["http.line_truncated"]),
    ("http.head", &["http.head_limit"]),
    ("http.waiting", &["http.waiting_limit"]),
    ("alert.held", &["alert.held_limit"]),
    ("context.pages", &["context.page_limit"]),
    ("context.sources", &["context.source_limit"]),
    ("live.silence", &[]),
    ("alert.per_flow", &["alert.suppressed"]),
    ("campaign.sources", &["campaign.given_up"]),
    ("campaign.memory", &["campaign.given_up"]),
    ("campaign.window", &[]),
    ("limit.kinds", &["limit.given_up"]),
    ("limit.memory", &["limit.given_up"]),
    ("limit.seconds", &[]),
    ("block.packets", &[]),
    ("block.bytes", &[]),
];

/// One run over all captures; returns the counters at its end.
fn counters(more: &[&str], limits: &[String], files: &[PathBuf], directory: &Path) -> BTreeMap<String, u64> {
    let path = directory.join("counters.json");
    let place = path.display().to_string();
    let mut arguments = vec!["-q", "--limit", "--events", "alert,http", "--ports", "any", "--counters", &place];
    arguments.extend(more);
    arguments.extend(limits.iter().flat_map(|limit| ["--set", limit]));
    let output = run(&arguments, files);
    check_run(&output, &format!("{limits:?}"));
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// A client that repeats the same request, which none of the captures contains.
fn asked_again() -> Vec<u8> {
    let mut capture = http_conversation::Capture::at(1_760_000_000);
    let mut open = capture.open(40_000);
    for _ in 0..20 {
        capture.send(&mut open, From::Client, &http_conversation::request("GET", "/sms_config.json"));
        capture.send(&mut open, From::Server, &http_conversation::response("404 Not Found"));
    }
    capture.close(&mut open);
    capture.pcap()
}

#[test]
fn every_limit_can_be_tiny() {
    let mut files = captures();
    let shared = files.iter().any(|file| file.ends_with("t001_baseline.pcap"));
    let directory = tempfile::tempdir().unwrap();
    files.push(directory.path().join("again.pcap"));
    fs::write(files.last().unwrap(), asked_again()).unwrap();
    let names: Vec<&str> = LIMITS.iter().map(|&(name, _)| name).collect();
    assert_eq!(names, SHOWN_BY.map(|(name, _)| name), "a limit that this test does not know");
    let usual = counters(&[], &[], &files, directory.path());
    for (name, shown_by) in SHOWN_BY {
        for value in [1, 2, 16] {
            let found = counters(&[], &[format!("{name}={value}")], &files, directory.path());
            let sum = |counters: &BTreeMap<String, u64>| shown_by.iter().map(|name| counters[*name]).sum::<u64>();
            // Flows expire with the usual timeouts too.
            let before = if name.starts_with("flow.timeout") { 0 } else { sum(&usual) };
            let moved = shown_by.is_empty() || sum(&found) > before;
            println!("{name}={value}: {} {shown_by:?}", sum(&found));
            assert!(moved || value > 1 || !shared, "{name}={value} shows nowhere: {shown_by:?}");
        }
    }
    for value in [1, 2, 16] {
        let all: Vec<String> = names.iter().map(|name| format!("{name}={value}")).collect();
        counters(&[], &all, &files, directory.path());
        // As one capture, so that the flows of all are active together.
        counters(&["--continuous"], &all, &files, directory.path());
    }
}
