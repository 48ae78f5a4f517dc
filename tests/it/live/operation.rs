//! Long runs of the program: signals on busy and idle links, outputs that block, close or fill up, losses, and the
//! messages that explain missing traffic.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::support::live_process::{
    Connection, Logs, Sensor, below, eventually, metadata, of_type, prompt, records_of, send,
};
use crate::support::virtual_link::{Sender, create_link, in_namespace};

/// Sends numbered probes without a pause until it is stopped.
struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU32>,
    thread: std::thread::JoinHandle<()>,
}

impl Load {
    fn begin(filler: usize) -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (asked, counter) = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = std::thread::spawn(move || {
            let (mut sender, filler) = (Sender::on("probe1"), "x".repeat(filler));
            while !asked.load(Ordering::SeqCst) {
                let number = counter.load(Ordering::SeqCst);
                let port = u16::try_from(1025 + number % 60_000).unwrap();
                let frames = Connection::whole(port, &format!("/sms_config.json?n={number}&{filler}"));
                send(&mut sender, frames);
                counter.fetch_add(1, Ordering::SeqCst);
                // As many as a machine with many tests on it can follow.
                std::thread::sleep(Duration::from_micros(500));
            }
        });
        Self { stop, sent, thread }
    }

    fn sent(&self) -> u32 {
        self.sent.load(Ordering::SeqCst)
    }

    fn end(self) -> u32 {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap();
        self.sent.load(Ordering::SeqCst)
    }
}

#[test]
fn rotation_under_load_loses_no_line() {
    in_namespace(|| {
        create_link();
        let run = |lanes: &str| {
            let logs = Logs::new();
            let counters = logs.file("counters.json");
            let arguments = ["-i", "probe0", "-l", logs.path(), "--lanes", lanes, "--counters"];
            let sensor = Sensor::start(&[&arguments[..], &[counters.to_str().unwrap()]].concat());
            let load = Load::begin(0);
            for rotation in 0..10 {
                std::thread::sleep(Duration::from_millis(150));
                std::fs::rename(logs.file("eve.json"), logs.file(&format!("eve.json.{rotation}"))).unwrap();
                sensor.signal("-HUP");
                eventually(2, || logs.file("eve.json").exists(), || sensor.messages());
            }
            // The link is busy until the end, and packets sent before the signal are still processed.
            let sent = load.sent();
            let messages = sensor.finish();
            load.end();
            let dropped = logs.counter("capture.kernel_drops") + logs.counter("pipeline.dropped");
            let mut seen: BTreeMap<u32, u32> = BTreeMap::new();
            let mut files: Vec<_> = (0..10).map(|rotation| logs.file(&format!("eve.json.{rotation}"))).collect();
            files.push(logs.file("eve.json"));
            for file in files {
                let records = records_of(&file);
                assert!(!records.is_empty(), "{}", file.display());
                for alert in of_type(&records, "alert") {
                    let url = alert["http"]["url"].as_str().unwrap();
                    let number = url.split(['=', '&']).nth(1).unwrap().parse().unwrap();
                    *seen.entry(number).or_default() += 1;
                }
            }
            assert!(seen.values().all(|&count| count == 1), "some line is there twice");
            // A starved sensor loses packets rightly, and counts them.
            if dropped > 0 {
                return Err(messages);
            }
            let missing: Vec<_> = (0..sent).filter(|number| !seen.contains_key(number)).collect();
            assert!(missing.is_empty(), "{missing:?} of {sent}: {messages}");
            Ok(())
        };
        prompt(|| run("0"));
        prompt(|| run("2"));
    });
}

/// Far more than a block, all of it in the ring when the signal comes.
#[test]
fn packets_in_the_ring_at_a_stop_are_still_processed() {
    in_namespace(|| {
        create_link();
        for lanes in ["0", "2"] {
            prompt(|| {
                let logs = Logs::new();
                let sensor = Sensor::start(&["-i", "probe0", "-l", logs.path(), "--lanes", lanes]);
                sensor.signal("-STOP");
                let mut sender = Sender::on("probe1");
                (0..2000).for_each(|number| send(&mut sender, Connection::whole(1025 + number, "/sms_config.json")));
                sensor.signal("-TERM");
                let begun = Instant::now();
                sensor.signal("-CONT");
                let (code, messages) = sensor.ended_within(Duration::from_secs(3));
                let end = begun.elapsed();
                assert_eq!((code, logs.records("alert").len()), (Some(0), 2000), "{messages}");
                below(end, Duration::from_secs(3), "the end")
            });
        }
    });
}

#[test]
fn signals_work_on_an_idle_link() {
    in_namespace(|| {
        create_link();
        let run = |lanes: &[&'static str], last: &str| {
            let mut times = Vec::new();
            let mut reacts = |signal: &'static str, since: Instant| times.push((signal, since.elapsed()));
            let logs = Logs::new();
            let (counters, extra) = (logs.file("counters.json"), logs.file("extra.toml"));
            std::fs::write(&extra, signature("one", "")).unwrap();
            let (counters, extra) = (counters.to_str().unwrap(), extra.to_str().unwrap());
            let mut arguments = vec!["-i", "probe0", "-l", logs.path(), "--counters", counters, "-s", extra];
            arguments.extend(lanes);
            let sensor = Sensor::start(&arguments);
            let loaded = |messages: &str| {
                let line = messages
                    .lines()
                    .rfind(|line| line.ends_with("loaded") && line.contains(" signatures "))
                    .unwrap()
                    .to_owned();
                line.split(' ').nth(1).unwrap().parse::<u32>().unwrap()
            };
            let before = loaded(&sensor.messages());
            std::fs::rename(logs.file("eve.json"), logs.file("eve.json.1")).unwrap();
            let since = Instant::now();
            sensor.signal("-HUP");
            eventually(2, || logs.file("eve.json").exists(), || sensor.messages());
            reacts("SIGHUP", since);
            let since = Instant::now();
            sensor.signal("-USR1");
            sensor.wait_for("0 packets, 0 bytes", 2);
            sensor.wait_for("packets received, 0 dropped by the kernel", 2);
            eventually(2, || logs.file("counters.json").exists(), || sensor.messages());
            reacts("SIGUSR1", since);
            assert_eq!(logs.counter("signature.loaded"), u64::from(before));
            std::fs::write(extra, signature("one", "") + &signature("two", "").replace("1010001", "1010002")).unwrap();
            let since = Instant::now();
            sensor.signal("-USR2");
            sensor.wait_for("signatures reloaded", 2);
            reacts("SIGUSR2", since);
            assert_eq!(loaded(&sensor.messages()), before + 1);
            std::fs::write(extra, "[[signature]\n").unwrap();
            let since = Instant::now();
            sensor.signal("-USR2");
            sensor.wait_for("the signatures and suppressions in use are kept", 2);
            reacts("SIGUSR2", since);
            assert!(sensor.messages().contains("extra.toml"), "{}", sensor.messages());
            std::thread::sleep(Duration::from_millis(300));
            let since = Instant::now();
            let (code, messages) = sensor.end(last, 2.0);
            reacts("the last signal", since);
            assert_eq!(code, Some(0), "{messages}");
            assert!(messages.contains("no alerts"), "{messages}");
            assert_eq!((logs.counter("signature.reloads"), logs.counter("signature.refused_reloads")), (1, 1));
            assert_eq!(logs.records("stats").len(), 1);
            times.into_iter().try_for_each(|(signal, time)| below(time, Duration::from_secs(2), signal))
        };
        prompt(|| run(&["--lanes", "0"], "-INT"));
        prompt(|| run(&[], "-TERM"));
    });
}

fn signature(title: &str, more: &str) -> String {
    format!(
        r#"
[[signature]]
id = 1010001
rev = 1
slug = "test-{title}"
family = "test"
title = "{title}"
product = "Test"
severity = 2
confidence = "high"
match.path = "/{more}probe-of-the-test"
hits = ["/{more}probe-of-the-test"]
"#
    )
}

#[test]
fn held_request_keeps_the_signatures_that_matched_it() {
    in_namespace(|| {
        create_link();
        let logs = Logs::new();
        let extra = logs.file("extra.toml");
        std::fs::write(&extra, signature("one", "")).unwrap();
        let counters = logs.file("counters.json");
        let arguments = ["-i", "probe0", "-l", logs.path(), "-s", extra.to_str().unwrap(), "--counters"];
        let sensor = Sensor::start(&[&arguments[..], &[counters.to_str().unwrap()]].concat());
        let mut sender = Sender::on("probe1");
        let mut old = Connection::new(40_001);
        send(&mut sender, old.open());
        sender.send(&old.ask("/probe-of-the-test"));
        sensor.wait_for_counter(&logs, "http.requests", 1);
        std::fs::write(&extra, signature("two", "")).unwrap();
        sensor.signal("-USR2");
        sensor.wait_for("signatures reloaded", 3);
        // The next block has the new signatures.
        std::thread::sleep(Duration::from_millis(1500));
        sender.send(&old.answer("404 Not Found"));
        sender.send(&old.ask("/probe-of-the-test"));
        sender.send(&old.answer("404 Not Found"));
        eventually(3, || logs.records("alert").len() == 2, || sensor.messages());
        let slugs: Vec<_> =
            logs.records("alert").iter().map(|alert| metadata(alert, "smsentry_signature").to_owned()).collect();
        assert_eq!(slugs, ["test-one", "test-two"]);
        sensor.finish();
    });
}

/// Neither a pipe without a reading process nor one that is never opened blocks the capture, or the end.
#[test]
fn blocked_output_is_never_waited_for() {
    in_namespace(|| {
        create_link();
        let run = |place: &str, lanes: &str| {
            let logs = Logs::new();
            let (counters, log) = (logs.file("counters.json"), tempfile::tempdir().unwrap());
            let mut arguments = vec!["-i", "probe0", "--events", "alert,http", "--lanes", lanes, "--counters"];
            arguments.push(counters.to_str().unwrap());
            if place == "eve.json" {
                let fifo = log.path().join("eve.json");
                assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
                arguments.extend(["-l", log.path().to_str().unwrap()]);
            }
            let sensor = Sensor::start(&arguments);
            // Each conversation is reported twice, with 1,300 bytes that are escaped.
            let load = Load::begin(1200);
            let begun = Instant::now();
            while !sensor.messages().contains("records are dropped") {
                assert!(begun.elapsed() < Duration::from_secs(250), "{} sent: {}", load.sent(), sensor.messages());
                std::thread::sleep(Duration::from_millis(50));
            }
            // It still captures.
            sensor.signal("-USR1");
            sensor.wait_for("packets received", 2);
            let before = load.sent();
            let (code, messages) = sensor.end("-TERM", 5.0);
            load.end();
            assert_eq!(code, Some(1), "{messages}");
            assert!(
                messages.contains(place) && messages.contains("lines could not be written and are lost"),
                "{messages}"
            );
            assert_eq!(messages.matches("records are dropped").count(), 1, "{messages}");
            assert!(logs.counter("output.dropped") > 1000, "{}", logs.counter("output.dropped"));
            // A starved sensor loses packets rightly; one that waits for its output loses them every time.
            let dropped = logs.counter("capture.kernel_drops") + logs.counter("pipeline.dropped");
            if dropped > 0 {
                return Err(format!("{dropped} packets lost: {messages}"));
            }
            assert!(logs.counter("http.requests") >= u64::from(before), "{messages}");
            Ok(())
        };
        prompt(|| run("standard output", "1"));
        prompt(|| run("eve.json", "0"));
    });
}

/// A disk that hangs, simulated by a file that cannot even be opened: the capture continues, and the run can be ended.
#[test]
fn hanging_disk_does_not_keep_the_run_from_ending() {
    in_namespace(|| {
        create_link();
        let run = |lanes: &str| {
            let logs = Logs::new();
            let fifo = logs.file("counters.json");
            assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
            let arguments = ["-i", "probe0", "-l", logs.path(), "--lanes", lanes, "--counters", fifo.to_str().unwrap()];
            let sensor = Sensor::start(&arguments);
            sensor.signal("-USR1");
            let load = Load::begin(0);
            std::thread::sleep(Duration::from_secs(1));
            let begun = Instant::now();
            let (code, messages) = sensor.end("-TERM", 5.0);
            let end = begun.elapsed();
            load.end();
            assert_eq!(code, Some(1), "{messages}");
            assert!(messages.contains("the output does not respond"), "{messages}");
            below(end, Duration::from_secs(5), "the end")
        };
        prompt(|| run("0"));
        prompt(|| run("1"));
    });
}

#[test]
fn slow_reader_gets_every_line_complete() {
    in_namespace(|| {
        create_link();
        let mut sensor = Sensor::start(&["-i", "probe0", "--lanes", "0"]);
        let load = Load::begin(1000);
        // Far more than a pipe holds.
        while load.sent() < 500 {
            std::thread::sleep(Duration::from_millis(10));
        }
        let sent = load.end();
        std::thread::sleep(Duration::from_millis(500));
        let mut stdout = sensor.stdout.take().unwrap();
        let reader = std::thread::spawn(move || {
            let (mut text, mut part) = (Vec::new(), [0; 3000]);
            while let Ok(count @ 1..) = stdout.read(&mut part) {
                text.extend_from_slice(&part[..count]);
                std::thread::sleep(Duration::from_micros(200));
            }
            String::from_utf8(text).unwrap()
        });
        std::thread::sleep(Duration::from_millis(100));
        sensor.finish();
        let text = reader.join().unwrap();
        let records: Vec<_> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(of_type(&records, "alert").len(), sent as usize);
    });
}

#[test]
fn closed_output_ends_the_run() {
    in_namespace(|| {
        create_link();
        let run = |lanes: &str| {
            let mut sensor = Sensor::start(&["-i", "probe0", "--lanes", lanes]);
            drop(sensor.stdout.take());
            send(&mut Sender::on("probe1"), Connection::whole(40_001, "/sms_config.json"));
            let begun = Instant::now();
            let (code, messages) = sensor.ended_within(Duration::from_secs(3));
            let end = begun.elapsed();
            assert_eq!(code, Some(1), "{messages}");
            assert_eq!(
                messages.lines().filter(|line| line.contains("standard output: the reader closed it")).count(),
                1,
                "{messages}"
            );
            below(end, Duration::from_secs(3), "the end")
        };
        prompt(|| run("0"));
        prompt(|| run("1"));
    });
}

#[test]
fn full_disk_is_reported_once_and_retried() {
    in_namespace(|| {
        create_link();
        let logs = Logs::new();
        std::os::unix::fs::symlink("/dev/full", logs.file("eve.json")).unwrap();
        let sensor = Sensor::start(&["-i", "probe0", "-l", logs.path(), "--stats-interval", "1"]);
        let mut sender = Sender::on("probe1");
        for port in 40_001..40_006 {
            send(&mut sender, Connection::whole(port, "/sms_config.json"));
            std::thread::sleep(Duration::from_millis(300));
        }
        sensor.wait_for("No space left on device", 2);
        assert_eq!(sensor.messages().matches("No space left").count(), 1, "{}", sensor.messages());
        // Space is available again, under the same name.
        std::fs::remove_file(logs.file("eve.json")).unwrap();
        sensor.signal("-HUP");
        eventually(2, || logs.records("alert").len() == 5, || sensor.messages());
        sensor.finish();
    });
}

#[test]
fn missing_traffic_is_explained() {
    in_namespace(|| {
        create_link();
        let logs = Logs::new();
        let arguments =
            ["-i", "probe0", "-l", logs.path(), "--ports", "80", "--stats-interval", "1", "--set", "live.silence=2"];
        let begun = Instant::now();
        let sensor = Sensor::start(&arguments);
        let mut sender = Sender::on("probe1");
        let mut elsewhere = Connection::new(40_001);
        elsewhere.server_port = 8080;
        send(&mut sender, elsewhere.open());
        send(&mut sender, [elsewhere.ask("/sms_config.json"), elsewhere.answer("200 OK")]);
        sensor.wait_for("warning: no HTTP request for 2 seconds (HTTP was seen on other ports: --ports 80,8080)", 5);
        std::thread::sleep(Duration::from_millis(2500));
        let (stats, passed) = (logs.records("stats"), begun.elapsed().as_secs() as usize);
        assert!((3..=passed + 1).contains(&stats.len()), "{} stats records in {passed} s", stats.len());
        assert!(stats.iter().all(|record| record["stats"]["capture"]["kernel_drops"] == 0), "{stats:?}");
        sensor.signal("-USR1");
        sensor.wait_for("HTTP was seen on ports that are not in --ports: 8080", 2);
        assert_eq!(sensor.finish().matches("warning:").count(), 1);
        // A tap that shows only what clients send.
        let sensor = Sensor::start(&arguments);
        for port in 40_001..40_031 {
            let mut connection = Connection::new(port);
            let mut frames = connection.open();
            frames.remove(1);
            frames.push(connection.ask("/index.html"));
            send(&mut sender, frames);
        }
        sensor.wait_for("warning: every flow shows one direction only", 4);
        assert_eq!(sensor.finish().matches("one direction only").count(), 1);
    });
}

#[test]
fn losses_are_counted_reported_and_set_the_exit_code() {
    in_namespace(|| {
        create_link();
        for (limit, expected) in [("1", 4), ("99.9", 0)] {
            let logs = Logs::new();
            let counters = logs.file("counters.json");
            let mut arguments = vec!["-i", "probe0", "-B", "1", "-l", logs.path(), "--max-drop-percent", limit];
            arguments.extend(["--counters", counters.to_str().unwrap()]);
            let sensor = Sensor::start(&arguments);
            sensor.signal("-STOP");
            let mut sender = Sender::on("probe1");
            for number in 0..1500_u16 {
                send(&mut sender, Connection::whole(1025 + number, &format!("/{}", "x".repeat(1000))));
            }
            sensor.signal("-CONT");
            std::thread::sleep(Duration::from_millis(200));
            let (code, messages) = sensor.end("-TERM", 3.0);
            assert_eq!(code, Some(expected), "{messages}");
            let (received, lost) = (logs.counter("capture.kernel_packets"), logs.counter("capture.kernel_drops"));
            assert_eq!(received, 7500, "{messages}");
            assert!(lost > 1000, "{lost}");
            assert!(
                messages.contains(&format!("{received} packets received, {lost} dropped by the kernel")),
                "{messages}"
            );
            assert_eq!(logs.counter("decode.packets") + lost, received);
            let stats = logs.records("stats").pop().unwrap();
            assert_eq!(stats["stats"]["capture"]["kernel_drops"].as_u64(), Some(lost), "{stats}");
        }
    });
}
