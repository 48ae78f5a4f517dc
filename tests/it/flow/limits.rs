//! Every limit is reached, counted and survived; memory under attack is bounded; and the cost of a byte does not grow.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, BufWriter};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::signature::matching::entry;
use smsentry_generators::attack_traffic;

/// The result of a run over an attack.
struct Outcome {
    /// Alert lines.
    alerts: Vec<String>,
    counters: HashMap<String, u64>,
    /// Peak memory in KiB.
    peak: u64,
}

impl Outcome {
    fn found_the_probe(&self) -> bool {
        self.alerts.iter().any(|line| line.contains(r#""src_ip":"198.51.100.200""#) && line.contains("not_found"))
    }
}

/// Replays `n` of a shape and keeps the alerts of the ordinary client.
fn replay(shape: &'static str, n: u64, arguments: &[&str]) -> Outcome {
    replay_with(&mut Command::new(env!("CARGO_BIN_EXE_smsentry")), shape, n, arguments, "198.51.100.200")
}

/// Replays `n` of a shape and keeps all lines.
fn replay_all(shape: &'static str, n: u64, arguments: &[&str]) -> Outcome {
    replay_with(&mut Command::new(env!("CARGO_BIN_EXE_smsentry")), shape, n, arguments, "")
}

fn replay_with(command: &mut Command, shape: &'static str, n: u64, arguments: &[&str], keep: &'static str) -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    let counters = directory.path().join("counters.json");
    let mut child = command
        .args(["-q", "-r", "-", "--counters"])
        .arg(&counters)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = BufWriter::with_capacity(1 << 20, child.stdin.take().unwrap());
    let writer = thread::spawn(move || attack_traffic::write(shape, n, &mut stdin).unwrap().unwrap());
    let mut stdout = child.stdout.take().unwrap();
    let reader = thread::spawn(move || {
        let lines = BufReader::new(&mut stdout).lines().map(Result::unwrap);
        lines.filter(|line| line.contains(keep)).collect()
    });
    let peak = watch(&mut child);
    writer.join().unwrap();
    let alerts = reader.join().unwrap();
    assert!(child.wait().unwrap().success(), "{shape}");
    let text = fs::read_to_string(&counters).unwrap();
    Outcome { alerts, counters: serde_json::from_str(&text).unwrap(), peak }
}

/// Waits for a child. Returns its peak memory in KiB, 0 where the system does not report it.
pub(crate) fn watch(child: &mut Child) -> u64 {
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(number.unwrap_or(0));
        thread::sleep(Duration::from_millis(2));
    }
    peak
}

/// Name and value for `--set`, the shape and its size, and the counter that increases.
const REACHED: &[(&str, &str, u64, &str)] = &[
    ("flow.count=64", "half-open", 2000, "flow.evicted_halfopen"),
    ("flow.count=64", "resets", 2000, "flow.evicted_closing"),
    ("flow.count=64", "half-request", 2000, "flow.evicted_established"),
    ("flow.memory=65536", "growing-heads", 100, "flow.evicted_established"),
    ("flow.memory=65536", "syn-data", 1000, "flow.evicted_halfopen"),
    ("flow.timeout.new=1", "half-open", 100, "flow.timeout"),
    ("flow.timeout.established=1", "half-request", 100, "flow.timeout"),
    ("flow.timeout.closing=1", "resets", 100, "flow.timeout"),
    ("tcp.segments_per_direction=16", "hole", 100, "tcp.segments_dropped"),
    ("tcp.queued_per_direction=16", "hole", 100, "tcp.segments_dropped"),
    ("tcp.queued=16384", "out-of-order", 10_000, "tcp.memcap_drops"),
    ("tcp.syn_candidates=1", "syns", 10, "tcp.syn_candidates_dropped"),
    ("tcp.syn_candidates=4", "far-away", 10, "tcp.out_of_window"),
    ("tcp.queued=1000000", "hole", 10, "tcp.gaps"),
    ("defrag.memory=65536", "fragments", 1000, "defrag.memcap_drops"),
    ("defrag.datagrams=16", "fragments", 1000, "defrag.memcap_drops"),
    ("defrag.fragments=16", "fragment-bits", 100, "defrag.too_many_fragments"),
    ("defrag.timeout.ipv4=5", "slow-fragments", 10, "defrag.timeouts"),
    ("decode.layers=4", "tunnels", 6, "decode.too_many_layers"),
    ("decode.tunnels=2", "tunnels", 6, "decode.too_many_layers"),
    ("decode.labels=2", "labels", 6, "decode.too_many_layers"),
    ("decode.extensions=2", "extensions", 6, "decode.too_many_layers"),
    ("http.line=100", "long-line", 2000, "http.line_truncated"),
    ("http.head=1000", "endless-header", 10, "http.head_limit"),
    ("http.waiting=8", "pipelined", 1000, "http.waiting_limit"),
    ("alert.held=65536", "held", 1000, "alert.held_limit"),
    ("alert.per_flow=10", "pipelined", 1000, "alert.suppressed"),
    ("campaign.sources=16", "held", 1000, "campaign.given_up"),
    ("campaign.memory=20000", "held", 1000, "campaign.given_up"),
    ("campaign.window=1", "mixed", 1000, "campaign.hits"),
    ("limit.kinds=16", "held", 1000, "limit.given_up"),
    ("limit.memory=1000", "mixed", 6000, "limit.given_up"),
    ("limit.seconds=1", "mixed", 6000, "limit.summaries"),
];

#[test]
fn every_limit_is_reached_counted_and_survived() {
    for &(set, shape, n, counter) in REACHED {
        let limited: &[&str] = if set.starts_with("limit.") { &["--limit"] } else { &[] };
        let outcome = replay(shape, n, &[&["--set", set], limited].concat());
        assert!(outcome.counters[counter] > 0, "{set} {shape}: {counter} does not move");
        assert!(outcome.found_the_probe(), "{set} {shape}: {:?}", outcome.alerts);
    }
}

/// With the defaults, the counter of a limit does not change as long as the limit is not reached.
#[test]
fn small_input_reaches_no_limit() {
    for &(_, shape, n, counter) in REACHED {
        let reached_at_any_rate =
            ["tcp.gaps", "tcp.out_of_window", "flow.timeout", "tcp.syn_candidates_dropped", "defrag.timeouts"];
        if n > 100 || reached_at_any_rate.contains(&counter) {
            continue;
        }
        let outcome = replay(shape, n, &[]);
        assert_eq!(outcome.counters[counter], 0, "{shape}: {counter}");
        assert!(outcome.found_the_probe(), "{shape}");
    }
}

/// Limits leave the output the same, byte for byte, with any number of lanes and any block size.
#[test]
fn limits_do_not_depend_on_lanes_or_blocks() {
    let tiny = [
        "flow.count=320",
        "flow.memory=160000",
        "tcp.queued=20000",
        "tcp.segments_per_direction=4",
        "http.waiting=4",
        "http.head=300",
        "alert.held=40000",
        "alert.per_flow=3",
    ];
    let tiny: Vec<String> = tiny.iter().map(|limit| format!("--set={limit}")).collect();
    let run = |more: &[&str]| {
        let arguments: Vec<&str> = tiny.iter().map(String::as_str).chain(more.iter().copied()).collect();
        replay_all("mixed", 6000, &[&["--events=alert,http"], &arguments[..]].concat())
    };
    let expected = run(&[]);
    let worked = ["flow.evicted_halfopen", "alert.held_limit", "alert.suppressed", "tcp.gaps"];
    for counter in worked {
        assert!(expected.counters[counter] > 0, "{counter}");
    }
    for more in [
        &["--lanes=1"] as &[&str],
        &["--lanes=5"],
        &["--lanes=16"],
        &["--set=block.packets=1"],
        &["--set=block.packets=7", "--lanes=3"],
    ] {
        let outcome = run(more);
        assert!(outcome.alerts == expected.alerts, "{more:?}");
        assert_eq!(outcome.counters, expected.counters, "{more:?}");
    }
}

/// Divisor of all limits that a run shares.
const SHARE: u64 = 16;

/// The peak memory of the program without traffic, in KiB. The largest of several runs, since a busy machine may miss
/// the peak of a short one.
fn peak_without_traffic(arguments: &[&str]) -> u64 {
    (0..4).map(|_| replay("nothing", 0, arguments).peak).max().unwrap()
}

/// With a sixteenth of every limit, memory stays within a sixteenth of 400 MiB beside what the program takes anyway.
/// With a lane, the queues between the threads come in addition: up to 16 MiB, as full as the machine is busy.
#[test]
fn memory_under_attack_is_bounded() {
    let sets = [
        ("flow.count", 262_144),
        ("flow.memory", 128 << 20),
        ("tcp.queued", 128 << 20),
        ("defrag.memory", 16 << 20),
        ("defrag.datagrams", 4096),
        ("alert.held", 64 << 20),
        ("campaign.memory", 48 << 20),
        ("limit.memory", 32 << 20),
        ("limit.kinds", 65_536),
        ("context.pages", 65_536),
        ("context.sources", 65_536),
    ];
    let sets: Vec<String> = sets.iter().map(|(name, value)| format!("--set={name}={}", value / SHARE)).collect();
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    let attacks = [
        ("half-open", 40_000),
        ("syn-data", 40_000),
        ("half-request", 30_000),
        ("growing-heads", 4000),
        ("held", 30_000),
        ("held-long", 8000),
        ("pipelined", 30_000),
        ("out-of-order", 200_000),
        ("fragments", 30_000),
        ("fragment-bits", 100_000),
        ("endless-header", 20_000),
    ];
    for (lanes, queues) in [("--lanes=0", 0), ("--lanes=1", 16 << 10)] {
        let arguments = [&sets[..], &[lanes]].concat();
        let most = peak_without_traffic(&arguments) + (400 << 10) / SHARE + queues;
        for (shape, n) in attacks {
            let outcome = replay(shape, n, &arguments);
            println!("{lanes} {shape:16} {:>6} KiB of {most}", outcome.peak);
            assert!(outcome.peak <= most, "{lanes} {shape} {n}: {} KiB, {most} KiB allowed", outcome.peak);
            assert!(outcome.found_the_probe(), "{shape}");
        }
    }
}

/// Counted memory and resident memory agree within a fifth. Inline, because the number of blocks in the queues between
/// threads, which no counter includes, depends on how busy the machine is.
#[test]
fn counted_memory_agrees_with_resident_memory() {
    const BYTES: u64 = 48 << 20;
    let everything = [format!("--set=defrag.memory={BYTES}"), "--set=defrag.datagrams=1000000".to_owned()];
    // Segments of evicted flows begin new ones, and would be queued there.
    let flows =
        [format!("--set=flow.memory={BYTES}"), "--set=flow.count=1000000".to_owned(), "--set=tcp.queued=1".to_owned()];
    let queued = [format!("--set=tcp.queued={BYTES}"), "--set=flow.count=1000000".to_owned()];
    let cases: [(_, _, &[String]); 6] = [
        ("half-open", 150_000, &flows),
        ("syn-data", 50_000, &flows),
        ("growing-heads", 6000, &flows),
        ("out-of-order", 300_000, &queued),
        ("fragments", 40_000, &everything),
        ("fragment-bits", 1_000_000, &everything),
    ];
    let quiet = peak_without_traffic(&["--lanes=0"]);
    for (shape, n, sets) in cases {
        let arguments: Vec<&str> = std::iter::once("--lanes=0").chain(sets.iter().map(String::as_str)).collect();
        let peak = replay(shape, n, &arguments).peak - quiet;
        let counted = BYTES >> 10;
        println!("{shape:16} {peak} KiB taken, {counted} counted");
        assert!((counted * 4 / 5..=counted * 6 / 5).contains(&peak), "{shape}: {peak} KiB taken, {counted} counted");
    }
}

/// The attacks in full, with the defaults: `make attack`.
#[test]
#[ignore = "takes minutes in release mode"]
fn memory_under_attack_in_full() {
    let attacks = [
        ("half-open", 5_000_000),
        ("syn-data", 1_000_000),
        ("half-request", 1_000_000),
        ("growing-heads", 300_000),
        ("held", 1_000_000),
        ("held-long", 300_000),
        ("pipelined", 2_000_000),
        ("queued-probes", 300_000),
        ("out-of-order", 20_000_000),
        ("fragments", 2_000_000),
        ("fragment-bits", 10_000_000),
        ("endless-header", 2_000_000),
    ];
    for (shape, n) in attacks {
        let outcome = replay(shape, n, &[]);
        println!("{shape:16} {n:>9} {:>8} KiB", outcome.peak);
        assert!(outcome.peak < 400 << 10, "{shape}: {} KiB", outcome.peak);
        assert!(outcome.found_the_probe(), "{shape}");
    }
}

/// The instructions that the program executes for `n` of a shape, by callgrind.
fn instructions(shape: &'static str, n: u64) -> u64 {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(format!("--log-file={}", log.display()));
    command.arg(env!("CARGO_BIN_EXE_smsentry"));
    // One signature: the cost of loading all of them is irrelevant here, and varies between runs.
    let signatures = directory.path().join("probe.toml");
    fs::write(&signatures, entry(1_010_000, r#"match.path = "/sms_config.json""#)).unwrap();
    // Inline, since threads that wait for each other execute more or fewer instructions.
    let arguments = ["--lanes=0", "-S", signatures.to_str().unwrap()];
    assert!(replay_with(&mut command, shape, n, &arguments, "198.51.100.200").found_the_probe());
    let text = fs::read_to_string(&log).unwrap();
    let line = text.lines().find_map(|line| line.split_once("Collected : ")).expect("callgrind's count");
    line.1.trim().parse().unwrap()
}

/// Twice the traffic costs at most 2.1 times the instructions, start-up not counted.
#[test]
fn cost_per_byte_does_not_grow() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("SKIPPED: valgrind is not installed");
        return;
    }
    let quiet = instructions("nothing", 0);
    // Enough to exceed what a flow may hold, so that limits are in effect.
    let shapes = [
        ("reversed", 600),
        ("hole", 600),
        ("header-bytes", 600),
        ("header-lines", 1800),
        ("folds", 600),
        ("fragments", 1500),
        ("fragment-bits", 1500),
    ];
    for (shape, n) in shapes {
        let counts = thread::scope(|scope| {
            let runs = [1, 2, 4].map(|times| scope.spawn(move || instructions(shape, times * n)));
            runs.map(|run| run.join().unwrap() - quiet)
        });
        let growth = [counts[1] as f64 / counts[0] as f64, counts[2] as f64 / counts[1] as f64];
        println!("{shape:16} {counts:?} {growth:.3?}");
        assert!(growth.iter().all(|&growth| growth <= 2.1), "{shape}: {counts:?}, {growth:.3?}");
    }
}
