//! Our lines parsed by other readers: Suricata's schemas, and Python's `communityid`, `parsezeeklogs` and `zat`. Each
//! test is skipped with a message if its package or the schemas are missing; `SMSENTRY_PYTHON` names an interpreter
//! other than `python3`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use smsentry::format::{CommunityId, Format};
use smsentry::record::{Body, Record};
use smsentry::time::Timestamp;

use crate::support::random_records::{Random, alert, context, greedy, http, plain, stats};

pub(crate) fn python(package: &str) -> Option<Command> {
    let interpreter = std::env::var("SMSENTRY_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(&interpreter)
        .args(["-c", &format!("import {package}")])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        println!("skipped: {interpreter} has no package {package}");
    }
    found.then(|| Command::new(interpreter))
}

pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("SMSENTRY_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let file = root.join(path);
    if !file.exists() {
        println!("skipped: {} is not there", file.display());
        return None;
    }
    Some(file)
}

pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

fn records() -> Vec<Record> {
    let mut random = Random::new(17);
    let mut records: Vec<_> = (0..300).map(|_| random.record()).collect();
    records.extend((0..3).map(|_| stats(random.stats())));
    records.extend(greedy().into_iter().flat_map(|probe| [http(probe.transaction.clone()), alert(probe)]));
    records.extend([http(plain().transaction), alert(plain())]);
    records
}

fn log(format: Format, chosen: impl Fn(&Record) -> bool) -> Vec<u8> {
    let records: Vec<_> = records().into_iter().filter(chosen).collect();
    let mut out = Vec::new();
    let log = format.log(&records[0]).unwrap();
    format.header(log, Timestamp::ZERO, &mut out);
    records.iter().for_each(|record| format.write(record, &context(Some("sensor1")), &mut out));
    format.footer(log, Timestamp::ZERO, &mut out);
    out
}

#[test]
fn suricata_schemas_accept_every_line() {
    let (Some(assess), Some(mut python)) = (shared("reference/validate_eve.py"), python("jsonschema")) else { return };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("eve.json");
    fs::write(&file, log(Format::Eve, |_| true)).unwrap();
    let verdict = run(python.arg(assess).arg(&file));
    assert!(verdict.contains("315 records, 0 errors, 2 schemas"), "{verdict}");
}

#[test]
fn python_communityid_computes_the_same_ids() {
    let Some(mut python) = python("communityid") else { return };
    let mut random = Random::new(19);
    let flows: Vec<_> = (0..300).map(|_| random.transaction()).map(|one| (one.client, one.server)).collect();
    let asked: String = flows
        .iter()
        .map(|(client, server)| format!("{} {} {} {}\n", client.ip, server.ip, client.port, server.port))
        .collect();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("flows");
    fs::write(&file, asked).unwrap();
    let script = "import sys, communityid as c\n\
        for line in open(sys.argv[1]):\n    \
        a, b, p, q = line.split()\n    \
        print(c.CommunityID().calc(c.FlowTuple.make_tcp(a, b, int(p), int(q))))\n";
    let answer = run(python.args(["-c", script]).arg(file));
    let ours: Vec<_> = flows.iter().map(|&(client, server)| CommunityId::of_tcp(client, server)).collect();
    assert_eq!(answer.lines().collect::<Vec<_>>(), ours.iter().map(CommunityId::as_str).collect::<Vec<_>>());
}

/// Reads a log with a Python expression over `path` that yields the records as dictionaries.
fn read_back(package: &str, expression: &str, format: Format, name: &str) {
    let Some(mut python) = python(package) else { return };
    let is_http = name == "http.log";
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(name);
    let content = log(format, |record| match record.body {
        Body::Alert(_) => !is_http,
        Body::Http(_) => is_http,
        Body::Campaign(_) => !is_http,
        Body::Stats(_) => false,
    });
    let rows = content.split(|&byte| byte == b'\n').filter(|line| !line.is_empty() && line[0] != b'#').count();
    fs::write(&file, content).unwrap();
    let script = format!("import sys\npath = sys.argv[1]\nrows = {expression}\nprint(len(rows), rows[-1])\n");
    let answer = run(python.args(["-c", &script]).arg(file));
    // Readers may print messages of their own first.
    assert!(answer.lines().any(|line| line.starts_with(&format!("{rows} {{"))), "{rows} rows, but read: {answer}");
    let messages = if is_http { "/wp-content/plugins/sms-alert/css/admin.css" } else { "SMSENTRY::Probe" };
    assert!(answer.contains(messages), "{answer}");
}

#[test]
fn parsezeeklogs_reads_every_line() {
    for format in [Format::ZeekJson, Format::ZeekTsv] {
        for name in ["notice.log", "http.log"] {
            read_back("parsezeeklogs", "list(__import__('parsezeeklogs').read_zeek(path))", format, name);
        }
    }
}

/// TSV only: `zat` does not terminate on JSON.
#[test]
fn zat_reads_every_line_of_tsv() {
    let expression = "list(__import__('zat.zeek_log_reader', fromlist=['*']).ZeekLogReader(path).readrows())";
    for name in ["notice.log", "http.log"] {
        read_back("zat", expression, Format::ZeekTsv, name);
    }
}
