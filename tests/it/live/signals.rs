//! Signals reach the flags of a process, and the second request to stop ends it.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use smsentry::sys::{EventFd, Signals};

use crate::support::live_process::BINARY;

const INSIDE: &str = "SMSENTRY_TEST_SIGNALS";

/// The text of a pipe so far, and the thread that reads it.
type Collected = (Arc<Mutex<String>>, std::thread::JoinHandle<()>);

/// Reads a pipe to its end on another thread.
fn collect(pipe: impl Read + Send + 'static) -> Collected {
    let text = Arc::new(Mutex::new(String::new()));
    let shared = Arc::clone(&text);
    let thread = std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            shared.lock().unwrap().push_str(&format!("{line}\n"));
        }
    });
    (text, thread)
}

/// Waits until the condition holds, at most so many seconds. Returns whether it holds.
fn wait_until(seconds: u64, mut condition: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if begun.elapsed() > Duration::from_secs(seconds) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process has handlers for SIGINT (2) and SIGUSR1 (10).
fn handles_signals(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0");
    let caught = u64::from_str_radix(caught.trim(), 16).unwrap();
    [2, 10].iter().all(|signal| caught >> (signal - 1) & 1 == 1)
}

fn raise(signal: &str) {
    assert!(Command::new("kill").args([signal, &std::process::id().to_string()]).status().unwrap().success());
}

/// In a process of its own: a signal affects all tests of a process.
#[test]
fn signals_are_noted_and_the_second_stop_ends_the_process() {
    if std::env::var_os(INSIDE).is_none() {
        let test = format!(
            "{}::signals_are_noted_and_the_second_stop_ends_the_process",
            module_path!().split_once("::").unwrap().1
        );
        let itself = std::env::current_exe().unwrap();
        let output = Command::new(itself).args([&test, "--exact", "--nocapture"]).env(INSIDE, "1").output().unwrap();
        let messages = String::from_utf8_lossy(&output.stderr);
        assert!(messages.contains("the first was noted"), "{messages}");
        assert_eq!(output.status.signal(), Some(2), "{messages}");
        return;
    }
    let signals = Signals::install().unwrap();
    for (signal, taken) in [
        ("-HUP", Signals::take_hangup as fn(&Signals) -> bool),
        ("-USR1", Signals::take_statistics),
        ("-USR2", Signals::take_reload),
    ] {
        assert!(!taken(&signals), "{signal} before it came");
        raise(signal);
        // The thread that the system interrupts may have to wait for its turn.
        let came = (0..6000).any(|_| taken(&signals) || (std::thread::sleep(Duration::from_millis(10)), false).1);
        assert!(came && !taken(&signals), "{signal}");
    }
    assert_eq!(signals.stop(), None);
    let (begun, quiet) = (Instant::now(), EventFd::new().unwrap());
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_millis(100));
        raise("-TERM");
    });
    while signals.stop().is_none() {
        signals.wait_readable(quiet.as_fd(), Duration::from_secs(120)).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(110), "a poll sleeps through a signal");
    }
    assert_eq!(signals.stop(), Some(15));
    eprintln!("the first was noted");
    raise("-INT");
    std::thread::sleep(Duration::from_secs(60));
    panic!("lives on after the second");
}

/// An idle recorder on standard input must not keep the run from ending, or from printing its statistics.
#[test]
fn signals_work_while_standard_input_is_idle() {
    let capture = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/pcaps/nginx-ipv4.pcap")).unwrap();
    let mut compressed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    compressed.write_all(&capture).unwrap();
    let compressed = compressed.finish().unwrap();
    // Nothing; a part that ends within a record; everything, with the end of file still to come.
    for (what, begun, alerts) in [
        ("nothing", &[][..], false),
        ("two bytes", &capture[..2], false),
        ("half", &capture[..capture.len() / 2], true),
        ("all", &capture, true),
        ("gzip", &compressed, true),
    ] {
        for lanes in ["0", "2"] {
            let mut command = Command::new(BINARY);
            command.args(["-r", "-", "--lanes", lanes]).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(begun).unwrap();
            let (out, err) = (collect(child.stdout.take().unwrap()), collect(child.stderr.take().unwrap()));
            let messages = || err.0.lock().unwrap().clone();
            // Statistics when requested and at the end.
            let figures = if alerts { 2 } else { 0 };
            let count = || messages().matches(" HTTP requests").count();
            assert!(wait_until(60, || handles_signals(child.id())), "{what}: no signal handlers");
            // Until the input is read, as far as that can be seen from outside.
            wait_until(2, || figures == 2 && !out.0.lock().unwrap().is_empty());
            let signal = |name: &str| {
                assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
            };
            signal("-USR1");
            assert!(wait_until(60, || count() + 1 >= figures), "{what}: {}", messages());
            std::thread::sleep(Duration::from_millis(200));
            signal("-INT");
            if !wait_until(60, || child.try_wait().unwrap().is_some()) {
                child.kill().unwrap();
                panic!("{what}: it does not end");
            }
            let status = child.wait().unwrap();
            out.1.join().unwrap();
            err.1.join().unwrap();
            assert_eq!(status.code(), Some(0), "{what}: {}", messages());
            assert_eq!(!out.0.lock().unwrap().is_empty(), alerts, "{what}: {}", messages());
            assert_eq!(count(), figures, "{what}: {}", messages());
            drop(stdin);
        }
    }
}
