//! Compares real captures of another project with tshark's list: every request that it lists is in our `http` events
//! with the same method, target and host, and there are no others. All differences have a known reason.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// Method, target and host of a request, and its count.
type Requests = BTreeMap<[String; 3], usize>;

/// The reason for a difference in a capture. Our result is correct in all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// tshark ends the target at its first blank, or reports none if there are two; servers take the last blank before
    /// the version as the end (lighttpd) or skip further blanks (nginx).
    Blanks,
    /// Requests that tshark does not dissect: on an unknown port, or before data that never comes.
    Undissected,
    /// tshark lists a request again for each retransmitted segment.
    Retransmitted,
    /// A request line without a version: HTTP/0.9, which has no fields (nginx, Apache httpd).
    NoFields,
    /// Two different Content-Length fields: which part of the body is a request depends on the server. tshark takes the
    /// last, we take the first and see what a server behind a proxy may see.
    Disputed,
    /// The host is longer than a record holds.
    Cut,
}

const DIFFERENCES: [(&str, Reason); 21] = [
    ("bug-5392__TPWhite-carved-out-7787-s1.pcap", Reason::Undissected),
    ("bug-5437-01__input.pcap", Reason::Blanks),
    ("bug-5437-02__input.pcap", Reason::Blanks),
    ("detect-absent-negated-content__no_referer.pcap", Reason::Undissected),
    ("detect-app-layer-protocol-03__input.pcap", Reason::Undissected),
    ("detect-pcre__detect-pcre-04__input.pcap", Reason::Blanks),
    ("detect-pcre__detect-pcre-05__input.pcap", Reason::Blanks),
    ("filestore-5408__input.pcap", Reason::Retransmitted),
    ("http-missing-protocol__input.pcap", Reason::NoFields),
    ("http-multiple-cl__input.pcap", Reason::Disputed),
    ("http-uri-spaces__input.pcap", Reason::Blanks),
    ("output-eve-anomaly-02__input.pcap", Reason::Undissected),
    ("output-eve-ftp-data__input.pcap", Reason::Undissected),
    ("tcp-rst-unacked-stream-07-http__input.pcap", Reason::Undissected),
    ("tcp-rst-unacked-stream-08-http-ips__input.pcap", Reason::Undissected),
    ("tcp-urgp-01-oob__tcp-urgent1.pcap", Reason::Undissected),
    ("tcp-urgp-02-drop-ips__tcp-urgent1.pcap", Reason::Undissected),
    ("tcp-urgp-03-inline__tcp-urgent1.pcap", Reason::Undissected),
    ("tcp-urgp-04-2byte-XY__tcp-urgent-2byte-XY.pcap", Reason::Undissected),
    ("transform-dotprefix-uaf-8537__input.pcap", Reason::Cut),
    ("uricontent__detect-uricontent-02__input.pcap", Reason::Undissected),
];

fn corpus() -> Option<PathBuf> {
    let shared = std::env::var_os("SMSENTRY_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    Some(shared.join("corpus")).filter(|path| path.is_dir())
}

/// The requests that tshark lists, by capture. It joins the requests of one packet with ` | `.
fn listed(text: &str) -> BTreeMap<&str, Requests> {
    let mut all: BTreeMap<&str, Requests> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [file, .., method, target, host] = fields[..] else { continue };
        let [methods, targets, hosts] = [method, target, host].map(|field| field.split(" | ").collect::<Vec<_>>());
        for (at, method) in methods.iter().enumerate() {
            // Where one of them lacks a part the rest is ambiguous.
            let part = |parts: &[&str]| parts.get(at).copied().unwrap_or_default().to_owned();
            let request = [(*method).to_owned(), part(&targets), part(&hosts)];
            *all.entry(file).or_default().entry(request).or_default() += 1;
        }
    }
    all
}

fn ours(capture: &std::path::Path) -> Requests {
    let run = Command::new(env!("CARGO_BIN_EXE_smsentry"))
        .args(["-q", "--events", "http", "--ports", "any", "-r"])
        .arg(capture)
        .output()
        .unwrap();
    assert!(run.status.success(), "{capture:?}: {}", String::from_utf8_lossy(&run.stderr));
    let mut requests = Requests::new();
    for line in run.stdout.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let event: Value = serde_json::from_slice(line).unwrap();
        let http = &event["http"];
        let text = |key: &str| http[key].as_str().unwrap_or_default().to_owned();
        let port = http["http_port"].as_u64().map(|port| format!(":{port}")).unwrap_or_default();
        *requests.entry([text("http_method"), text("url"), text("hostname") + &port]).or_default() += 1;
    }
    requests
}

/// The requests that occur more often in `these` than in `those`.
fn beyond(these: &Requests, those: &Requests) -> Requests {
    let more = |(request, &count): (&[String; 3], &usize)| {
        let left = count.saturating_sub(those.get(request).copied().unwrap_or(0));
        (left > 0).then(|| (request.clone(), left))
    };
    these.iter().filter_map(more).collect()
}

/// Reports whether a difference is of the kind that its reason explains.
fn explains(reason: Reason, theirs: &Requests, ours: &Requests) -> bool {
    let same_method_and = |same: &dyn Fn(&[String; 3], &[String; 3]) -> bool| {
        theirs.len() == ours.len() && theirs.keys().all(|a| ours.keys().any(|b| a[0] == b[0] && same(a, b)))
    };
    match reason {
        Reason::Blanks => same_method_and(&|a, b| a[2] == b[2] && b[1].starts_with(&a[1])),
        Reason::Undissected => theirs.is_empty() && !ours.is_empty(),
        Reason::Retransmitted => !theirs.is_empty() && ours.is_empty(),
        Reason::NoFields => same_method_and(&|a, b| a[1] == b[1] && b[2].is_empty()),
        Reason::Disputed => theirs.values().sum::<usize>() == 1 && ours.values().sum::<usize>() == 1,
        Reason::Cut => same_method_and(&|a, b| a[1] == b[1] && a[2].starts_with(&b[2])),
    }
}

#[test]
fn every_request_that_tshark_lists_is_found() {
    let Some(corpus) = corpus() else {
        println!("skipped: the shared corpus is not here");
        return;
    };
    let index = std::fs::read_to_string(corpus.join("index.tsv")).unwrap();
    let requests = String::from_utf8_lossy(&std::fs::read(corpus.join("requests.tsv")).unwrap()).into_owned();
    let listed = listed(&requests);
    let mut wrong = Vec::new();
    let mut captures = 0;
    for file in index.lines().skip(1).filter_map(|line| line.split('\t').next()) {
        captures += 1;
        let theirs = listed.get(file).cloned().unwrap_or_default();
        let ours = ours(&corpus.join(file));
        let (missing, more) = (beyond(&theirs, &ours), beyond(&ours, &theirs));
        let known = DIFFERENCES.iter().find(|(name, _)| *name == file).map(|(_, reason)| *reason);
        let right = match known {
            Some(reason) => explains(reason, &missing, &more),
            None => missing.is_empty() && more.is_empty(),
        };
        if !right {
            wrong.push(format!("{file} ({known:?}): only tshark {missing:?}, only ours {more:?}"));
        }
    }
    assert!(captures > 290, "{captures} captures");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
