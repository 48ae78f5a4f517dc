//! Signals reach the flags of a process, and the second request to stop ends it.

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use smsentry::sys::{EventFd, Signals};

use crate::support::live_process::BINARY;

const INSIDE: &str = "SMSENTRY_TEST_SIGNALS";

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
        let came = (0..400).any(|_| taken(&signals) || (std::thread::sleep(Duration::from_millis(10)), false).1);
        assert!(came && !taken(&signals), "{signal}");
    }
    assert_eq!(signals.stop(), None);
    let (begun, quiet) = (Instant::now(), EventFd::new().unwrap());
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_millis(100));
        raise("-TERM");
    });
    while signals.stop().is_none() {
        signals.wait_readable(quiet.as_fd(), Duration::from_secs(15)).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(14), "a poll sleeps through a signal");
    }
    assert_eq!(signals.stop(), Some(15));
    eprintln!("the first was noted");
    raise("-INT");
    std::thread::sleep(Duration::from_secs(5));
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
            std::thread::sleep(Duration::from_millis(300));
            let signal = |name: &str| {
                assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
            };
            signal("-USR1");
            std::thread::sleep(Duration::from_millis(200));
            signal("-INT");
            let asked = Instant::now();
            while child.try_wait().unwrap().is_none() {
                if asked.elapsed() > Duration::from_secs(3) {
                    child.kill().unwrap();
                    panic!("{what}: it does not end");
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            let output = child.wait_with_output().unwrap();
            let messages = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{what}: {messages}");
            assert_eq!(!output.stdout.is_empty(), alerts, "{what}: {messages}");
            // Statistics when requested, if no decompressor is between, and at the end.
            let figures = if !alerts { 0 } else { 1 + usize::from(what != "gzip") };
            assert_eq!(messages.matches(" HTTP requests").count(), figures, "{what}: {messages}");
            drop(stdin);
        }
    }
}
