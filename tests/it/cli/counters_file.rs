//! `--counters FILE` compared with the sources: every counter that a module declares is a key of the file, in replay as
//! live.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

use crate::support::program::{root, run};

/// The published names in every `counters!` block below `folder`.
fn declared(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            declared(&path, names);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines = text.lines();
        while lines.any(|line| line == "crate::counters! {") {
            let block = lines.by_ref().take_while(|line| *line != "}");
            let fields = block.filter_map(|line| line.trim().strip_suffix("\",")?.split_once(": \""));
            for (field, name) in fields {
                assert!(names.insert(name.to_owned()), "{}: {field}: {name:?} is declared twice", path.display());
            }
        }
    }
}

#[test]
fn every_declared_counter_is_in_the_file() {
    let mut names = BTreeSet::new();
    declared(&root().join("src"), &mut names);
    assert!(names.len() > 120, "{} counters", names.len());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("counters.json");
    run(&["-q", "-r", "pcaps/nginx-ipv4.pcap", "--counters", file.to_str().unwrap()]);
    let written: Map<String, Value> = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert!(written.values().all(Value::is_u64), "{written:?}");
    let missing: Vec<_> = names.iter().filter(|name| !written.contains_key(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
