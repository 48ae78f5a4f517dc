//! A panic in a lane: the run ends with one line and exit code 1, and everything found before it is written. Each run
//! is a process of its own (this test binary again), since its panic hook and signal handlers belong to the process.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use smsentry::app::config::{CaptureInput, Config};
use smsentry::capture::block::BlockSize;

use crate::support::program::{Ran, root};

/// Set for the child: lanes, packets per block, the packet at which to panic, the directory for the logs.
const PLAN: &str = "SMSENTRY_TEST_PANIC";

#[test]
#[ignore = "it is run by the other test, as a process of its own"]
fn child() {
    let Ok(plan) = std::env::var(PLAN) else { return };
    let mut words = plan.splitn(4, ' ');
    let mut number = || words.next().unwrap().parse::<usize>().unwrap();
    let (lanes, packets, at) = (number(), number(), number());
    let mut config = Config::new(CaptureInput::Files(vec![PathBuf::from("pcaps/nginx-ipv4.pcap")]));
    config.directory = Some(PathBuf::from(words.next().unwrap()));
    config.lanes = lanes;
    config.block = BlockSize { packets, ..BlockSize::default() };
    config.quiet = true;
    config.panic_at = Some(at as u64);
    let exit = smsentry::app::run(config);
    std::process::exit(exit as i32);
}

/// Runs the child, which must end by itself.
fn run(plan: &str) -> Ran {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["cli::worker_panic::child", "--exact", "--ignored", "--nocapture"])
        .env(PLAN, plan)
        .current_dir(root())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > Duration::from_secs(300) {
            child.kill().unwrap();
            panic!("{plan}: hangs: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap().into()
}

/// The alerts in a log, without the fields that the end of the flow adds.
fn alerts(directory: &std::path::Path) -> Vec<(u64, String)> {
    let text = std::fs::read_to_string(directory.join("eve.json")).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "a torn line");
    let events = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    events
        .map(|event| {
            let outcome = event["alert"]["metadata"]["smsentry_outcome"][0].to_string();
            (event["pcap_cnt"].as_u64().unwrap(), outcome)
        })
        .collect()
}

#[test]
fn panic_is_reported_in_one_line_and_earlier_alerts_are_written() {
    let temporary = tempfile::tempdir().unwrap();
    let whole = {
        let directory = temporary.path().join("whole");
        let ran =
            crate::support::program::run(&["-q", "-r", "pcaps/nginx-ipv4.pcap", "-l", directory.to_str().unwrap()]);
        ran.is_quiet();
        alerts(&directory)
    };
    let last = whole.last().unwrap().0;
    for lanes in [0, 1, 5] {
        for packets in [7, 4096] {
            for at in [1, last / 2, last] {
                let directory = temporary.path().join(format!("{lanes}-{packets}-{at}"));
                let ran = run(&format!("{lanes} {packets} {at} {}", directory.display()));
                let planted = format!("planted at packet {at} ");
                ran.complains(1, &["internal error", "lane", &planted]);
                // Requests answered before that packet are there, except those that the failed shard still held.
                let found: BTreeSet<_> = alerts(&directory).into_iter().collect();
                let expected = whole.iter().filter(|(frame, _)| frame + 8 < at).cloned().collect::<BTreeSet<_>>();
                let missing: Vec<_> = expected.difference(&found).collect();
                assert!(missing.is_empty(), "{lanes} lanes, panic at {at}: {missing:?} of {whole:?}, found {found:?}");
            }
        }
    }
}
