//! A pipe on which nothing arrives: deadlines fall due all the same.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::program::smsentry;
use crate::support::segment_builder::{Conn, get, pcap};

/// A probe without an answer.
fn unanswered() -> Vec<u8> {
    let conn = Conn::new(1);
    pcap(&[conn.open(), vec![conn.up(1, 1, get("/sms/api/"))]].concat())
}

/// A gzip stream that is not finished, with everything in it so far.
fn unfinished_gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.flush().unwrap();
    encoder.get_ref().clone()
}

/// Reads the first record of a run whose pipe stays open, and how long it took.
fn first_record(command: &mut Command, begin: impl FnOnce(&mut Child) -> Box<dyn Send>) -> (Value, Duration) {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    let open = begin(&mut child);
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let (sender, line) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        sender.send(line)
    });
    // A busy machine may be far slower than the deadline.
    let line = line.recv_timeout(Duration::from_secs(60));
    let took = began.elapsed();
    child.kill().unwrap();
    child.wait().unwrap();
    drop(open);
    (serde_json::from_str(&line.expect("a record while the pipe is open")).unwrap(), took)
}

#[test]
fn deadlines_fall_due_on_a_quiet_pipe() {
    let plain = unanswered();
    let gzip = unfinished_gzip(&plain);
    let half = [&plain[..], &[9; 5]].concat();
    for (what, bytes) in [("plain", &plain), ("a part of a record", &half), ("gzip", &gzip)] {
        for lanes in ["0", "2"] {
            for filter in [&[][..], &["tcp"]] {
                let mut command = smsentry();
                command.args(["-q", "-r", "-", "--outcome-timeout", "1", "--lanes", lanes]).args(filter);
                let (record, took) = first_record(command.stdin(Stdio::piped()), |child| {
                    let mut stdin = child.stdin.take().unwrap();
                    stdin.write_all(bytes).unwrap();
                    Box::new(stdin)
                });
                assert_eq!(record["alert"]["metadata"]["smsentry_outcome"][0], "pending", "{what}");
                assert!(took >= Duration::from_secs(1), "{what}, {lanes} lanes: early, after {took:?}");
            }
        }
    }
}

#[test]
fn deadlines_fall_due_on_a_quiet_named_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mut command = smsentry();
    command.args(["-q", "--outcome-timeout", "1", "-r"]).arg(&path);
    let (record, took) = first_record(&mut command, |_| {
        let mut pipe = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        pipe.write_all(&unanswered()).unwrap();
        Box::new(pipe)
    });
    assert_eq!(record["alert"]["metadata"]["smsentry_outcome"][0], "pending");
    assert!(took >= Duration::from_secs(1), "early, after {took:?}");
}

/// Packets that arrive and do not pass the filter are as good as none.
#[test]
fn filtered_packets_do_not_stop_the_time() {
    let noise = pcap(&[Conn::new(9).syn()])[24..].to_vec();
    let mut command = smsentry();
    command.args(["-q", "-r", "-", "--outcome-timeout", "1", "host", "198.51.0.1"]);
    let (record, took) = first_record(command.stdin(Stdio::piped()), |child| {
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&unanswered()).unwrap();
        std::thread::spawn(move || {
            while stdin.write_all(&noise).is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Box::new(())
    });
    assert_eq!(record["alert"]["metadata"]["smsentry_outcome"][0], "pending");
    assert!(took >= Duration::from_secs(1), "early, after {took:?}");
}
