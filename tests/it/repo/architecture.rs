//! The architecture rules: imports go one way between the top-level modules, each external crate is imported by the
//! modules that own it, and files, threads, clocks and `unsafe` stay in the modules that touch the system. Circles
//! between files are the subject of [`crate::repo::import_cycles`].

use std::collections::BTreeSet;
use std::fs;

use crate::support::source_imports::{SourceFile, root, source_files};

/// Every top-level module and its layer: a module may import modules of lower layers, and itself.
const LAYERS: [(&str, u8); 26] = [
    ("time", 0),
    ("counters", 1),
    ("packet", 2),
    ("segment", 3),
    ("table", 4),
    ("source_addr", 5),
    ("decode", 6),
    ("flow", 6),
    ("http", 7),
    ("uri", 8),
    ("signature", 9),
    ("outcome", 10),
    ("record", 11),
    ("sensor", 12),
    ("alerts", 13),
    ("export", 14),
    ("format", 14),
    ("sys", 15),
    ("capture", 16),
    ("logs", 16),
    ("stats", 17),
    ("pipeline", 18),
    ("output", 19),
    ("app", 20),
    ("cli", 21),
    ("main", 22),
];

/// Every external crate, and the modules or files that may import it.
const CRATES: [(&str, &[&str]); 28] = [
    ("aho_corasick", &["signature"]),
    ("base64", &["format"]),
    ("bzip2", &["capture"]),
    ("clap", &["cli", "main"]),
    ("clap_complete", &["cli", "main"]),
    ("crossbeam_channel", &["capture", "pipeline", "output", "app"]),
    ("etherparse", &["decode"]),
    // Compressed captures, and compressed response bodies.
    ("flate2", &["outcome", "capture"]),
    ("hashbrown", &["table"]),
    ("httparse", &["http"]),
    ("indicatif", &["sys"]),
    // Networks in options and suppress files.
    ("ipnet", &["sensor", "alerts", "cli"]),
    ("itoa", &["format"]),
    ("jiff", &["format"]),
    ("libc", &["sys"]),
    ("lz4_flex", &["capture"]),
    ("lzma_rust2", &["capture"]),
    ("memchr", &["http", "uri", "signature", "export", "format", "sensor"]),
    ("mimalloc", &["main"]),
    ("pcap", &["capture"]),
    // The built-in signatures, as compiled by the build script.
    ("postcard", &["signature"]),
    // Body tests of signatures.
    ("regex", &["signature"]),
    ("rustix", &["sys"]),
    ("ruzstd", &["capture"]),
    // Derives on plain types, in modules that read or write a format.
    ("serde", &["signature", "alerts", "format"]),
    ("serde_json", &["format"]),
    ("sha1", &["format"]),
    // Keyed hashes.
    ("siphasher", &["table", "decode", "flow", "sensor", "pipeline"]),
];
/// Files that users write: signatures and suppress files.
const TOML: (&str, &[&str]) = ("toml", &["signature", "alerts"]);

/// The lowest layer that may touch the system.
const SYSTEM_LAYER: u8 = 15;
/// Files that may contain `unsafe`: system calls, and libpcap functions that the `pcap` crate does not wrap.
const UNSAFE: [&str; 2] = ["sys/", "capture/libpcap_ffi.rs"];

/// Paths that touch the system, or differ between runs. Not listed: `Duration`, addresses, the traits `Read` and
/// `Write`.
const SYSTEM: [&str; 15] = [
    "std::env",
    "std::fs",
    "std::hash::RandomState",
    "std::collections::hash_map::RandomState",
    "std::io::stderr",
    "std::io::stdin",
    "std::io::stdout",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
];

fn layer(module: &str) -> Option<u8> {
    LAYERS.iter().find(|(name, _)| *name == module).map(|&(_, layer)| layer)
}

/// The breaches of the rules in one file, a line each.
fn breaches(path: &str, text: &str) -> Vec<String> {
    let file = SourceFile::parse(path, text);
    let mut found = Vec::new();
    if file.top() == "lib" {
        found.extend((file.other_items > 0).then(|| "has more than the list of modules".to_owned()));
    } else {
        file.names.iter().for_each(|name| check_path(&file, &name.segments, name.within.len(), &mut found));
        let touches_system = layer(file.top()).is_some_and(|layer| layer >= SYSTEM_LAYER) && file.top() != "cli";
        if file.prints > 0 && !touches_system {
            found.push("prints".to_owned());
        }
        if file.unsafe_count > 0 && !UNSAFE.iter().any(|allowed| file.path.starts_with(allowed)) {
            found.push(format!("has unsafe, which only {UNSAFE:?} may"));
        }
        if file.extern_crates > 0 {
            found.push("has extern crate; use `use`".to_owned());
        }
    }
    found.into_iter().map(|breach| format!("{path}: {breach}")).collect()
}

fn check_path(file: &SourceFile, path: &[String], depth: usize, found: &mut Vec<String>) {
    let Some(first) = path.first() else { return };
    match &**first {
        "crate" | "smsentry" => check_layer(file, path.get(1).map_or("*", String::as_str), found),
        "super" => check_super(path, depth, found),
        "std" | "core" | "alloc" => check_system(file, path, found),
        first => {
            // A crate, unless a module of that name is beside the file.
            if let Some((name, allowed)) = CRATES.iter().chain([&TOML]).find(|(name, _)| *name == first)
                && !allowed.contains(&file.top())
                && !allowed.contains(&file.path.as_str())
            {
                found.push(format!("imports the crate {name}, which only {allowed:?} may"));
            }
        }
    }
}

fn check_layer(file: &SourceFile, module: &str, found: &mut Vec<String>) {
    // `crate::counters!` is a macro at the root; `crate` itself and `crate::*` are everything at once.
    match (layer(file.top()), layer(module)) {
        (Some(own), Some(other)) if module == file.top() || other < own => {}
        (Some(_), Some(_)) => found.push(format!("imports {module}, which is not below it")),
        _ => found.push(format!("imports crate::{module}, which is no module")),
    }
}

fn check_super(path: &[String], depth: usize, found: &mut Vec<String>) {
    let steps = path.iter().take_while(|segment| *segment == "super").count();
    if steps > 1 {
        found.push(format!("climbs by {}; use crate::", path.join("::")));
    }
    if steps >= depth {
        found.push(format!("reaches the root by {}; use crate::", path.join("::")));
    }
}

fn check_system(file: &SourceFile, path: &[String], found: &mut Vec<String>) {
    // The command line writes requested text to standard output: help, completions.
    let cli_output = file.top() == "cli" && path.len() > 1 && path[1] == "io";
    if file.top() != "cli" && layer(file.top()).is_some_and(|layer| layer >= SYSTEM_LAYER) || cli_output {
        return;
    }
    let path = path.join("::").replacen("core::", "std::", 1).replacen("alloc::", "std::", 1);
    let within =
        |system: &&str| path == **system || path.strip_prefix(*system).is_some_and(|rest| rest.starts_with("::"));
    if SYSTEM.iter().any(within) {
        found.push(format!("names {path}, which only modules from sys upwards may"));
    }
}

#[test]
fn imports_go_one_way_and_each_crate_has_its_modules() {
    let mut found = Vec::new();
    let mut modules = BTreeSet::new();
    for file in source_files() {
        modules.insert(file.top().to_owned());
        found.extend(breaches(&file.path, &fs::read_to_string(root().join("src").join(&file.path)).unwrap()));
    }
    assert!(found.is_empty(), "{} breaches:\n{}", found.len(), found.join("\n"));
    modules.remove("lib");
    assert_eq!(modules, LAYERS.iter().map(|(module, _)| (*module).to_owned()).collect::<BTreeSet<_>>());
}

#[test]
fn every_dependency_is_listed() {
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let dependencies = manifest["dependencies"].as_table().unwrap();
    let named: BTreeSet<_> = dependencies.keys().map(|name| name.replace('-', "_")).collect();
    let listed: BTreeSet<_> = CRATES.iter().chain([&TOML]).map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(named, listed);
}

#[test]
fn planted_breaches_are_found() {
    for (path, code, expected) in [
        ("flow/mod.rs", "use crate::decode::Decoder;", "imports decode"),
        ("decode/ip.rs", "use crate::flow::Flows;", "imports flow"),
        ("http/head.rs", "fn f() { crate::signature::builtin(); }", "imports signature"),
        ("http/head.rs", "fn f(x: &crate::uri::Target) {}", "imports uri"),
        ("signature/mod.rs", "use crate::{time::Timestamp, outcome::judge};", "imports outcome"),
        ("table/mod.rs", "use super::flow::Flows;", "reaches the root"),
        ("flow/half.rs", "use super::super::http::Head;", "climbs"),
        ("flow/half.rs", "mod inner { use super::super::Flows; }", "climbs"),
        ("uri/path.rs", "fn f() { assert!(crate::app::run(x)); }", "imports app"),
        ("logs/log.rs", "use crate::pipeline::clock::Clock;", "imports pipeline"),
        ("pipeline/lanes.rs", "use crate::output::stage::Stage;", "imports output"),
        ("counters.rs", "macro_rules! m { () => { $crate::app::run } }", "imports app"),
        ("sensor/mod.rs", "use crate as me;", "imports crate::*"),
        ("sensor/mod.rs", "use crate::*;", "imports crate::*"),
        ("sensor/mod.rs", "use crate::story::Story;", "no module"),
        ("app/run.rs", "use smsentry::cli::parse;", "imports cli"),
        ("sensor/mod.rs", "extern crate libc;", "extern crate"),
        ("app/run.rs", "use libc::poll;", "imports the crate libc"),
        ("format/eve.rs", "fn f() { toml::from_str(x) }", "imports the crate toml"),
        (
            "record/mod.rs",
            "#[derive(serde::Serialize)] struct S; fn f() -> serde_json::Value {}",
            "imports the crate serde_json",
        ),
        ("uri/mod.rs", "use std::{thread, time::Duration};", "names std::thread"),
        ("flow/mod.rs", "use std::time::{Duration, Instant};", "names std::time::Instant"),
        ("flow/mod.rs", "fn f() { let now = std::time::SystemTime::now(); }", "names std::time::SystemTime"),
        ("signature/load.rs", "use std::fs::File;", "names std::fs::File"),
        ("cli/mod.rs", "fn f() { std::fs::read(x); }", "names std::fs::read"),
        ("table/mod.rs", "use std::hash::RandomState;", "names std::hash::RandomState"),
        ("http/mod.rs", "fn f() { unsafe { g() } }", "has unsafe"),
        ("output/stage.rs", "unsafe fn f() {}", "has unsafe"),
        ("output/stage.rs", "unsafe impl Send for S {}", "has unsafe"),
        ("table/mod.rs", "fn f() { println!(\"x\"); }", "prints"),
        ("lib.rs", "pub mod time; pub use time::Timestamp;", "more than the list"),
    ] {
        let found = breaches(path, code);
        assert!(found.iter().any(|breach| breach.contains(expected)), "{path}: {code}: {found:?}");
    }
}

#[test]
fn allowed_code_is_no_breach() {
    for (path, code) in [
        (
            "flow/half.rs",
            "pub(crate) fn f() {} use super::{Flows, queue::Queue}; use crate::{segment, time::Timestamp};",
        ),
        ("table/mod.rs", "use hashbrown::HashTable; use std::{hash::Hasher, time::Duration}; crate::counters! { x }"),
        ("capture/file/mod.rs", "mod pcap; use self::pcap::Pcap; fn f() { std::fs::read(pcap::NAME); }"),
        ("sys/poll.rs", "fn f() { unsafe { libc::poll() } }"),
        ("main.rs", "mod cli; use cli::Command; use smsentry::app::run;"),
        ("http/mod.rs", "#[cfg(test)] mod tests { use crate::sensor::Sensor; use std::fs; }"),
        ("format/eve_time.rs", "mod inner { use super::EveTime; }"),
    ] {
        assert_eq!(breaches(path, code), Vec::<String>::new(), "{code}");
    }
}
