//! All output for real and hostile captures, parsed by strict readers: the tests' own types, and Suricata's schemas if
//! they are available.

use std::path::{Path, PathBuf};

use crate::format::eve::check_line;
use crate::format::foreign_readers::{python, shared};
use crate::support::program::{captures, root, smsentry};

/// The records of every capture below `folder` in one log; the program runs once per capture, so that a damaged one
/// does not affect others.
fn write(captures: &[PathBuf], directory: &Path) -> PathBuf {
    for capture in captures {
        let mut command = smsentry();
        command.args(["-q", "--events", "alert,http,stats", "--ports", "any", "--sensor-name", "sensor \u{e9}", "-r"]);
        let output = command.arg(capture).arg("-l").arg(directory).output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 1)), "{}: {output:?}", capture.display());
    }
    directory.join("eve.json")
}

/// Checks that there are at least so many records and that every reader accepts all of them.
pub(crate) fn assess(log: &Path, least: usize) {
    let text = std::fs::read_to_string(log).unwrap();
    assert!(text.lines().count() >= least, "only {} records", text.lines().count());
    text.lines().for_each(check_line);
    let (Some(assess), Some(mut python)) = (shared("reference/validate_eve.py"), python("jsonschema")) else { return };
    let verdict = crate::format::foreign_readers::run(python.arg(assess).arg(log));
    assert!(verdict.contains(" 0 errors, 2 schemas"), "{verdict}");
}

#[test]
fn records_of_the_bundled_captures_are_valid() {
    let temporary = tempfile::tempdir().unwrap();
    let captures: Vec<_> = captures().into_iter().map(|capture| root().join(capture)).collect();
    assess(&write(&captures, temporary.path()), 400);
}

#[test]
fn records_of_the_evasion_set_are_valid() {
    let Some(folder) = shared("evasion") else { return };
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut captures: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|extension| extension.to_str().unwrap() != "json"))
        .collect();
    captures.retain(|path| path.to_str().unwrap().contains("pcap"));
    captures.sort_unstable();
    let temporary = tempfile::tempdir().unwrap();
    assess(&write(&captures, temporary.path()), 500);
}
