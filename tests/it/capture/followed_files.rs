//! `--follow`: files that are read while they are written, and rings of files.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::compressors;
use crate::support::live_process::eventually;
use crate::support::program::{Ran, run, smsentry};
use smsentry_generators::http_conversation::{Capture, request, response};

/// A pcap file of one probe; each is a second later than the one before.
fn probe(number: u16) -> Vec<u8> {
    let mut capture = Capture::at(1_700_000_000 + i64::from(number));
    capture.exchange(40_000 + number, &request("GET", &format!("/sms/api/?{number}")), &response("404 Not Found"));
    capture.pcap()
}

/// Its records alone.
fn records(number: u16) -> Vec<u8> {
    probe(number)[24..].to_vec()
}

/// A directory, and a run that follows it.
struct Following {
    directory: tempfile::TempDir,
    child: Child,
}

impl Following {
    /// Starts with what `prepare` puts into the directory.
    fn start(prepare: impl FnOnce(&Path), more: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ring = directory.path().join("ring");
        fs::create_dir(&ring).unwrap();
        prepare(&ring);
        let output = |name| Stdio::from(fs::File::create(directory.path().join(name)).unwrap());
        let mut command = smsentry();
        command.arg("-r").arg(&ring).args(["--follow", "--events", "http", "--counters"]);
        command.arg(directory.path().join("counters.json")).args(more);
        let child = command.stdout(output("out")).stderr(output("err")).spawn().unwrap();
        Self { directory, child }
    }

    fn ring(&self, name: &str) -> PathBuf {
        self.directory.path().join("ring").join(name)
    }

    fn append(&self, name: &str, bytes: &[u8]) {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(self.ring(name)).unwrap();
        file.write_all(bytes).unwrap();
    }

    /// The requests so far, with the names of their files.
    fn requests(&self) -> Vec<(String, String)> {
        let out = fs::read_to_string(self.directory.path().join("out")).unwrap();
        let whole = out.rfind('\n').map_or("", |end| &out[..=end]);
        let records = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let text = |value: &Value| value.as_str().unwrap_or_default().rsplit('/').next().unwrap().to_owned();
        records.map(|record| (text(&record["http"]["url"]), text(&record["pcap_filename"]))).collect()
    }

    /// Waits for the requests of these numbers, in this order, from these files.
    fn expect(&self, expected: &[(u16, &str)]) {
        let expected: Vec<_> =
            expected.iter().map(|(number, name)| (format!("?{number}"), (*name).to_owned())).collect();
        eventually(2, || self.requests().len() >= expected.len(), || format!("{:?}", self.messages()));
        assert_eq!(self.requests(), expected, "{}", self.messages());
    }

    fn messages(&self) -> String {
        fs::read_to_string(self.directory.path().join("err")).unwrap()
    }

    fn wait_for(&self, words: &str) {
        eventually(2, || self.messages().contains(words), || self.messages());
    }

    /// Ends it by a signal. Returns its exit code and the time that took.
    fn stop(&mut self, signal: &str) -> (Option<i32>, Duration) {
        let begun = Instant::now();
        let id = self.child.id().to_string();
        assert!(std::process::Command::new("kill").args([signal, &id]).status().unwrap().success());
        (self.child.wait().unwrap().code(), begun.elapsed())
    }

    fn counter(&self, name: &str) -> u64 {
        let text = fs::read_to_string(self.directory.path().join("counters.json")).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()[name].as_u64().unwrap()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A moment in which a scan takes place, so that a change is seen as one.
fn pause() {
    std::thread::sleep(Duration::from_millis(700));
}

#[test]
fn growing_file_is_read_record_by_record() {
    let first = probe(0);
    let mut following = Following::start(|ring| fs::write(ring.join("a"), &first[..first.len() - 5]).unwrap(), &[]);
    following.expect(&[(0, "a")]);
    following.append("a", &first[first.len() - 5..]);
    // In pieces that end within records.
    for piece in records(1).chunks(150) {
        following.append("a", piece);
        std::thread::sleep(Duration::from_millis(120));
    }
    following.expect(&[(0, "a"), (1, "a")]);
    following.append("a", &records(2)[..70]);
    pause();
    let (code, took) = following.stop("-TERM");
    assert_eq!(code, Some(0), "{}", following.messages());
    assert!(took < Duration::from_secs(40), "took {took:?}");
    assert_eq!((following.counter("input.files"), following.counter("input.truncated_file")), (1, 0));
    assert!(!following.messages().contains("not read"), "{}", following.messages());
}

/// More packets than a block holds, and then no more bytes.
#[test]
fn file_of_many_blocks_is_read_to_its_end() {
    let mut file = probe(0);
    let record = file[24..].to_vec();
    while file.len() < 2 << 20 {
        file.extend(&record);
    }
    file.extend(records(1));
    let mut following = Following::start(|ring| fs::write(ring.join("a"), &file).unwrap(), &[]);
    eventually(2, || following.requests().last().is_some_and(|(url, _)| url == "?1"), || following.messages());
    assert_eq!(following.stop("-TERM").0, Some(0));
}

/// As by `tcpdump -C -W 3`: the oldest file is truncated and written again.
#[test]
fn ring_that_overwrites_its_files_in_place_is_followed() {
    let mut following = Following::start(|ring| fs::write(ring.join("r0"), probe(0)).unwrap(), &["--lanes", "2"]);
    let mut expected = vec![(0, "r0")];
    following.expect(&expected);
    for number in 1..8 {
        let name = ["r0", "r1", "r2"][usize::from(number) % 3];
        let file = probe(number);
        // The header first, as the recorder creates it.
        fs::write(following.ring(name), &file[..24]).unwrap();
        following.append(name, &file[24..99]);
        pause();
        following.append(name, &file[99..]);
        expected.push((number, name));
        following.expect(&expected);
    }
    assert_eq!(following.stop("-INT").0, Some(0), "{}", following.messages());
    assert_eq!((following.counter("input.files"), following.counter("input.overwritten_file")), (8, 0));
}

/// As by `dumpcap -b files:2`: the oldest file is removed, and new ones have new names.
#[test]
fn ring_that_removes_its_oldest_file_is_followed() {
    let mut following = Following::start(|_| {}, &[]);
    following.wait_for("following");
    let names = ["cap_00001", "cap_00002", "cap_00003", "cap_00004", "cap_00005"];
    let mut expected = Vec::new();
    for (number, name) in (0..).zip(names) {
        following.append(name, &probe(number));
        if let Some(oldest) = usize::from(number).checked_sub(2) {
            fs::remove_file(following.ring(names[oldest])).unwrap();
        }
        expected.push((number, name));
        following.expect(&expected);
    }
    // Replaced by another file of the same name.
    fs::write(following.ring("new"), probe(5)).unwrap();
    fs::rename(following.ring("new"), following.ring(names[4])).unwrap();
    eventually(10, || following.requests().len() == 6, || following.messages());
    assert_eq!(following.requests()[5].0, "?5");
    assert_eq!(following.stop("-TERM").0, Some(0), "{}", following.messages());
    assert_eq!(following.counter("input.overwritten_file"), 0);
}

/// Two recorders write into one directory, each its own file.
#[test]
fn two_growing_files_are_both_read() {
    let mut following = Following::start(
        |ring| {
            fs::write(ring.join("a"), probe(0)).unwrap();
            fs::write(ring.join("b"), probe(1)).unwrap();
        },
        &[],
    );
    let mut expected = vec![(0, "a"), (1, "b")];
    following.expect(&expected);
    for number in 2..6 {
        let name = ["a", "b"][usize::from(number) % 2];
        following.append(name, &records(number));
        expected.push((number, name));
        following.expect(&expected);
    }
    assert_eq!(following.stop("-TERM").0, Some(0));
    assert_eq!(following.counter("input.files"), 2);
}

/// As by `tcpdump -z gzip`: a file that was read comes back compressed. A new compressed one is read.
#[test]
fn compressed_copy_of_a_file_that_was_read_is_not_read_again() {
    let mut following = Following::start(
        |ring| {
            fs::write(ring.join("a"), probe(0)).unwrap();
            fs::write(ring.join("b"), probe(1)).unwrap();
        },
        &[],
    );
    following.expect(&[(0, "a"), (1, "b")]);
    fs::write(following.ring("a.gz"), compressors::gzip(&probe(0))).unwrap();
    fs::remove_file(following.ring("a")).unwrap();
    fs::write(following.ring("c.xz"), compressors::xz(&probe(2))).unwrap();
    following.wait_for("a.gz: left out (a copy of a capture that was read)");
    following.expect(&[(0, "a"), (1, "b"), (2, "c.xz")]);
    assert_eq!(following.stop("-TERM").0, Some(0));
    assert_eq!((following.counter("input.left_out_file"), following.counter("input.files")), (0, 3));
}

#[test]
fn what_is_not_read_of_a_ring_is_named_and_counted() {
    let mut following =
        Following::start(|ring| fs::write(ring.join("notes"), "just some notes, no packets").unwrap(), &[]);
    following.wait_for("notes: left out");
    // A damaged record, reported once although the file grows on.
    let mut damaged = probe(0);
    damaged.extend([0xff; 16]);
    following.append("a", &damaged);
    following.wait_for("more than the maximum");
    following.append("a", &[1; 100]);
    pause();
    // Removed within a record.
    let cut = probe(1);
    following.append("b", &cut[..cut.len() - 3]);
    following.expect(&[(0, "a"), (1, "b")]);
    fs::remove_file(following.ring("b")).unwrap();
    following.wait_for("b: after packet");
    assert_eq!(following.stop("-TERM").0, Some(1), "{}", following.messages());
    let messages = following.messages();
    assert_eq!(messages.matches("more than the maximum").count(), 1, "{messages}");
    assert!(messages.contains("2 files that could not be read to their ends; 1 file of a directory"), "{messages}");
    assert_eq!((following.counter("input.truncated_file"), following.counter("input.left_out_file")), (2, 1));
}

/// What a ring overwrites before it was read is lost, and said: here the run is stopped meanwhile.
#[test]
fn file_that_is_overwritten_within_a_record_is_reported() {
    let first = probe(0);
    let mut following = Following::start(|ring| fs::write(ring.join("a"), &first[..first.len() - 5]).unwrap(), &[]);
    following.expect(&[(0, "a")]);
    fs::write(following.ring("a"), &probe(1)[..300]).unwrap();
    following.wait_for("overwritten or removed before it was read to its end");
    following.append("a", &probe(1)[300..]);
    following.expect(&[(0, "a"), (1, "a")]);
    assert_eq!(following.stop("-TERM").0, Some(1));
    assert_eq!(following.counter("input.overwritten_file"), 1);
    assert!(following.messages().contains("1 file that was overwritten before it was read"));
}

#[test]
fn follow_is_for_files() {
    let reported = |ran: &Ran, words: &str| assert!(ran.code == 2 && ran.err.contains(words), "{ran:?}");
    reported(&run(&["--follow", "-r", "-"]), "leave out --follow");
    reported(&run(&["--follow", "-i", "no-such-if0"]), "--interface");
    reported(&run(&["--follow"]), "nothing to read");
    run(&["--follow", "-r", "no/such"]).complains(1, &["no/such"]);
}
