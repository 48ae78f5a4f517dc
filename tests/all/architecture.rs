//! The rooms of the crate and the doors between them: imports go one way, each crate of others has its room, and what
//! touches the world stands in `runtime/`. Read from the source, test modules left out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

/// Every room and its layer: a room may name rooms of lower layers, and itself.
const ROOMS: [(&str, u8); 20] = [
    ("time", 0),
    ("counters", 1),
    ("packet", 2),
    ("segment", 3),
    ("table", 4),
    ("source", 5),
    ("decode", 5),
    ("flow", 5),
    ("http", 6),
    ("uri", 7),
    ("signature", 8),
    ("outcome", 9),
    ("record", 10),
    ("sensor", 11),
    ("alerts", 12),
    ("export", 12),
    ("format", 13),
    ("runtime", 14),
    ("cli", 15),
    ("main", 16),
];

/// Every crate of others, and where it may be named: rooms, or files.
const DOORS: [(&str, &[&str]); 25] = [
    ("aho_corasick", &["signature"]),
    ("base64", &["format"]),
    ("clap", &["cli", "main"]),
    ("clap_complete", &["cli", "main"]),
    ("crossbeam_channel", &["runtime"]),
    ("etherparse", &["decode"]),
    // Compressed captures, and compressed bodies of answers.
    ("flate2", &["outcome", "runtime"]),
    ("hashbrown", &["table"]),
    ("httparse", &["http"]),
    ("indicatif", &["runtime"]),
    // Networks, where users write them.
    ("ipnet", &["sensor", "alerts", "cli"]),
    ("itoa", &["format"]),
    ("jiff", &["format"]),
    ("libc", &["runtime/sys.rs"]),
    // A search within bytes, wherever bytes are searched.
    ("memchr", &["http", "uri", "signature", "export", "format", "sensor"]),
    ("mimalloc", &["main"]),
    ("pcap", &["runtime"]),
    ("pcap_parser", &["runtime"]),
    // What the build leaves of the built-in signatures.
    ("postcard", &["signature"]),
    // The tests of bodies, which signatures write.
    ("regex", &["signature"]),
    ("ruzstd", &["runtime"]),
    // Derived on plain types, by those who read or write a format.
    ("serde", &["signature", "alerts", "format"]),
    ("serde_json", &["format"]),
    ("sha1", &["format"]),
    // A keyed hash of whatever is keyed there.
    ("siphasher", &["table", "decode", "flow", "sensor", "runtime"]),
];
/// What users write: signatures, and what they do not want to be told.
const TOML: (&str, &[&str]) = ("toml", &["signature", "alerts"]);

/// What touches the world, or differs from run to run. Not here: `Duration`, addresses, `Read` and `Write` themselves.
const WORLDLY: [&str; 14] = [
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
];
const CLOCK: &str = "std::time::SystemTime";
const TALKING: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];

/// A source file: its place below `src/`, and what was found.
struct Reading<'a> {
    place: &'a str,
    room: &'a str,
    /// Modules from the crate's root, the file's own included.
    module: Vec<String>,
    breaches: Vec<String>,
}

impl Reading<'_> {
    fn breach(&mut self, what: impl AsRef<str>) {
        self.breaches.push(format!("{}: {}", self.place, what.as_ref()));
    }

    fn allowed(&self, places: &[&str]) -> bool {
        places.contains(&self.room) || places.contains(&self.place)
    }

    /// A whole path as written, segment by segment.
    fn path(&mut self, path: &[String]) {
        let Some(first) = path.first() else { return };
        let second = path.get(1).map(String::as_str);
        match &**first {
            "crate" | "smsentry" => self.names(second.unwrap_or("*")),
            "super" => self.climbs(path),
            "std" | "core" | "alloc" => self.worldly(path),
            first if first == TOML.0 => self.door(TOML.0, TOML.1),
            first => {
                // A crate, unless a module of that name stands beside it.
                let door = DOORS.iter().find(|(name, _)| *name == first);
                if let Some((name, places)) = door {
                    self.door(name, places);
                }
            }
        }
    }

    fn door(&mut self, name: &str, places: &[&str]) {
        if !self.allowed(places) {
            self.breach(format!("names the crate {name}, which only {places:?} may"));
        }
    }

    fn names(&mut self, room: &str) {
        let layer = |name: &str| ROOMS.iter().find(|(room, _)| *room == name).map(|&(_, layer)| layer);
        // `crate::counters!` is a macro at the root; `crate` itself and `crate::*` are everything at once.
        let (Some(mine), Some(theirs)) = (layer(self.room), layer(room)) else {
            return self.breach(format!("names crate::{room}, which is no room"));
        };
        if room != self.room && theirs >= mine {
            self.breach(format!("names {room}, which is not below it"));
        }
    }

    fn climbs(&mut self, path: &[String]) {
        let steps = path.iter().take_while(|segment| *segment == "super").count();
        if steps > 1 {
            self.breach(format!("climbs by {}; say crate::", path.join("::")));
        }
        if steps >= self.module.len() {
            self.breach(format!("reaches the root by {}; say crate::", path.join("::")));
        }
    }

    fn worldly(&mut self, path: &[String]) {
        if matches!(self.room, "runtime" | "main") {
            return;
        }
        let path = path.join("::").replacen("core::", "std::", 1).replacen("alloc::", "std::", 1);
        // The command line prints what was asked for: help, completions.
        let talks = self.room == "cli" && path.starts_with("std::io");
        let within = |world: &str| path == world || path.strip_prefix(world).is_some_and(|rest| rest.starts_with("::"));
        if !talks && WORLDLY.into_iter().chain([CLOCK]).any(within) {
            self.breach(format!("names {path}, which only runtime may"));
        }
    }

    fn tree(&mut self, begun: &mut Vec<String>, tree: &UseTree) {
        match tree {
            UseTree::Path(path) => {
                begun.push(path.ident.to_string());
                self.tree(begun, &path.tree);
                begun.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(begun, tree)),
            UseTree::Name(name) => self.leaf(begun, &name.ident.to_string()),
            UseTree::Rename(rename) => self.leaf(begun, &rename.ident.to_string()),
            UseTree::Glob(_) => self.leaf(begun, "*"),
        }
    }

    fn leaf(&mut self, begun: &mut Vec<String>, last: &str) {
        // `use a::{self}` is `use a`.
        if last != "self" || begun.is_empty() {
            begun.push(last.to_owned());
            self.path(begun);
            begun.pop();
        } else {
            self.path(begun);
        }
    }

    /// The body of a macro call or definition, as text: paths are words joined by `::`.
    fn tokens(&mut self, text: &str) {
        let text = text.replace(" :: ", "::").replace(":: ", "::").replace(" ::", "::").replace('$', " ");
        let word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        for path in text.split(|c| !word(c)).map(|path| path.trim_matches(':')) {
            if path.contains("::") {
                self.path(&path.split("::").map(str::to_owned).collect::<Vec<_>>());
            } else if path == "unsafe" {
                self.is_unsafe();
            }
        }
    }

    fn is_unsafe(&mut self) {
        if self.place != "runtime/sys.rs" {
            self.breach("has unsafe, which only runtime/sys.rs may");
        }
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

impl<'ast> Visit<'ast> for Reading<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Mod(module) if is_test(&module.attrs) => {}
            Item::Mod(module) => {
                self.module.push(module.ident.to_string());
                visit::visit_item(self, item);
                self.module.pop();
            }
            Item::Use(import) => self.tree(&mut Vec::new(), &import.tree),
            Item::ExternCrate(_) => self.breach("has extern crate; say use"),
            item => visit::visit_item(self, item),
        }
    }

    /// `pub(crate)` names nothing.
    fn visit_vis_restricted(&mut self, _visibility: &'ast syn::VisRestricted) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.path(&path.segments.iter().map(|segment| segment.ident.to_string()).collect::<Vec<_>>());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        let is_talk = mac.path.get_ident().is_some_and(|name| TALKING.iter().any(|talk| name == talk));
        if is_talk && self.room != "runtime" {
            self.breach("prints");
        }
        self.tokens(&mac.tokens.to_string());
        visit::visit_macro(self, mac);
    }

    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.is_unsafe();
        visit::visit_expr_unsafe(self, block);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        if matches!(signature.safety, syn::Safety::Unsafe(_)) {
            self.is_unsafe();
        }
        visit::visit_signature(self, signature);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if item.unsafety.is_some() {
            self.is_unsafe();
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        if item.unsafety.is_some() {
            self.is_unsafe();
        }
        visit::visit_item_trait(self, item);
    }

    fn visit_item_foreign_mod(&mut self, item: &'ast syn::ItemForeignMod) {
        self.is_unsafe();
        visit::visit_item_foreign_mod(self, item);
    }
}

/// What is wrong with the file at `place` below `src/`.
fn breaches(place: &str, text: &str) -> Vec<String> {
    let stem = place.trim_end_matches(".rs").trim_end_matches("/mod");
    let module: Vec<String> = stem.split('/').map(str::to_owned).collect();
    let room = stem.split('/').next().unwrap();
    let mut reading = Reading { place, room, module, breaches: Vec::new() };
    let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{place}: {error}"));
    if room == "lib" {
        // Only the list of rooms.
        let others = file.items.iter().filter(|item| !matches!(item, Item::Mod(module) if module.content.is_none()));
        others.for_each(|_| reading.breach("has more than the list of rooms"));
    } else {
        reading.visit_file(&file);
    }
    reading.breaches
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn imports_go_one_way_and_every_crate_has_one_door() {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    assert!(files.len() > 50, "only {} files", files.len());
    let mut all = Vec::new();
    let mut rooms = BTreeSet::new();
    for file in &files {
        let place = file.strip_prefix(root().join("src")).unwrap().to_str().unwrap();
        rooms.insert(place.split(['/', '.']).next().unwrap().to_owned());
        all.extend(breaches(place, &fs::read_to_string(file).unwrap()));
    }
    assert!(all.is_empty(), "{} breaches:\n{}", all.len(), all.join("\n"));
    rooms.remove("lib");
    assert_eq!(rooms, ROOMS.iter().map(|(room, _)| (*room).to_owned()).collect::<BTreeSet<_>>(), "the rooms");
}

#[test]
fn every_dependency_has_a_door() {
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let dependencies = manifest["dependencies"].as_table().unwrap();
    let named: BTreeSet<_> = dependencies.keys().map(|name| name.replace('-', "_")).collect();
    let doors: BTreeSet<_> = DOORS.iter().chain([&TOML]).map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(named, doors);
}

#[test]
fn planted_breaches_are_found() {
    for (place, code, expected) in [
        ("flow/mod.rs", "use crate::decode::Decoder;", "names decode"),
        ("decode/ip.rs", "use crate::flow::Flows;", "names flow"),
        ("http/head.rs", "fn f() { crate::signature::builtin(); }", "names signature"),
        ("http/head.rs", "fn f(x: &crate::uri::Target) {}", "names uri"),
        ("signature/mod.rs", "use crate::{time::Timestamp, outcome::judge};", "names outcome"),
        ("table.rs", "use super::flow::Flows;", "reaches the root"),
        ("flow/half.rs", "use super::super::http::Head;", "climbs"),
        ("flow/half.rs", "mod inner { use super::super::Flows; }", "climbs"),
        ("uri/path.rs", "fn f() { assert!(crate::runtime::run(x)); }", "names runtime"),
        ("counters.rs", "macro_rules! m { () => { $crate::runtime::run } }", "names runtime"),
        ("sensor.rs", "use crate as me;", "names crate::*"),
        ("sensor.rs", "use crate::*;", "names crate::*"),
        ("sensor.rs", "use crate::story::Story;", "no room"),
        ("runtime/run.rs", "use smsentry::cli::parse;", "names cli"),
        ("sensor.rs", "extern crate libc;", "extern crate"),
        ("runtime/run.rs", "use libc::poll;", "names the crate libc"),
        ("format/eve.rs", "fn f() { toml::from_str(x) }", "names the crate toml"),
        (
            "record.rs",
            "#[derive(serde::Serialize)] struct S; fn f() -> serde_json::Value {}",
            "names the crate serde_json",
        ),
        ("uri/mod.rs", "use std::{thread, time::Duration};", "names std::thread"),
        ("flow/mod.rs", "use std::time::{Duration, Instant};", "names std::time::Instant"),
        ("flow/mod.rs", "fn f() { let now = std::time::SystemTime::now(); }", "names std::time::SystemTime"),
        ("signature/load.rs", "use std::fs::File;", "names std::fs::File"),
        ("cli.rs", "fn f() { std::fs::read(x); }", "names std::fs::read"),
        ("table.rs", "use std::hash::RandomState;", "names std::hash::RandomState"),
        ("http/mod.rs", "fn f() { unsafe { g() } }", "has unsafe"),
        ("runtime/desk.rs", "unsafe fn f() {}", "has unsafe"),
        ("runtime/desk.rs", "unsafe impl Send for S {}", "has unsafe"),
        ("table.rs", "fn f() { println!(\"x\"); }", "prints"),
        ("lib.rs", "pub mod time; pub use time::Timestamp;", "more than the list"),
    ] {
        let found = breaches(place, code);
        assert!(found.iter().any(|breach| breach.contains(expected)), "{place}: {code}: {found:?}");
    }
}

#[test]
fn what_is_right_is_no_breach() {
    for (place, code) in [
        (
            "flow/half.rs",
            "pub(crate) fn f() {} use super::{Flows, queue::Queue}; use crate::{segment, time::Timestamp};",
        ),
        ("table.rs", "use hashbrown::HashTable; use std::{hash::Hasher, time::Duration}; crate::counters! { x }"),
        ("runtime/file.rs", "mod pcap; use self::pcap::Pcap; fn f() { std::fs::read(pcap::NAME); }"),
        ("runtime/sys.rs", "fn f() { unsafe { libc::poll() } }"),
        ("main.rs", "mod cli; use cli::Command; use smsentry::runtime::run;"),
        ("http/mod.rs", "#[cfg(test)] mod tests { use crate::sensor::Sensor; use std::fs; }"),
        ("format/stamp.rs", "mod inner { use super::Stamp; }"),
    ] {
        assert_eq!(breaches(place, code), Vec::<String>::new(), "{code}");
    }
}
