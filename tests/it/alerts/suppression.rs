//! Suppress files through the whole program: every key, expired entries and entries that never match, errors, and the
//! dry run.

use std::fmt::Write as _;
use std::time::Duration;

use smsentry::alerts::suppress::{SuppressFile, Suppressions, Treatment};
use smsentry::signature::{SignatureFile, SignatureOrigin, Signatures};
use smsentry::time::Timestamp;

use crate::alerts::context::{Traffic, alerts, ask, directory, signatures};
use crate::support::cpu_time;
use crate::support::live_process::{Connection, Logs, Sensor, eventually, send};
use crate::support::program::{Ran, run};
use crate::support::random_records::plain;
use crate::support::segment_builder::{Dice, EPOCH, pcap};
use crate::support::virtual_link::{Sender, create_link, in_namespace};

const MISSING: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

/// Four probes of three clients to two servers; the last has its own host and another family.
fn traffic() -> Traffic {
    let mut traffic = Traffic::default();
    let other = "GET /Files//keys-1.json HTTP/1.1\r\nHost: SHOP.example.org:80\r\n\r\n";
    traffic
        .asks(1, &ask("GET", "/a/wp-content/plugins/acme-sms/style.css", &[]), MISSING)
        .asks(2, &ask("GET", "/hook/sms", &[]), MISSING)
        .asks(2, &ask("GET", "/files/keys-0.json?a=b", &[]), MISSING)
        .asks_of(3, [192, 0, 2, 81], other, MISSING);
    traffic
}

/// Replays the traffic with a suppress file. Returns which of the four are emitted, and the run.
fn with(entries: &str, more: &[&str]) -> (Vec<usize>, Ran) {
    let (directory, capture, own) = directory(&pcap(&traffic().segs));
    let file = directory.path().join("mine.toml");
    std::fs::write(&file, entries).unwrap();
    let [own, capture, file] = [&own, &capture, &file].map(|path| path.to_str().unwrap());
    let mut arguments = vec!["-S", own, "-r", capture, "--suppress", file];
    arguments.extend(more);
    let ran = run(&arguments);
    let slugs = ["style", "hook", "file-0", "file-1"];
    let reported = alerts(&ran).into_iter().map(|alert| {
        let slug = alert["alert"]["metadata"]["smsentry_signature"][0].as_str().unwrap().to_owned();
        slugs.iter().position(|known| *known == slug).unwrap()
    });
    let reported = reported.collect();
    (reported, ran)
}

fn entry(conditions: &str) -> String {
    format!("[[suppress]]\n{conditions}\nreason = \"test\"\n")
}

#[test]
fn every_key_suppresses() {
    for (conditions, hidden) in [
        ("signature = 1010000", &[0][..]),
        ("signature = \"hook\"", &[1]),
        ("signature = [1010000, \"file-1\"]", &[0, 3]),
        ("family = \"files\"", &[2, 3]),
        ("family = [\"files\", \"test\"]", &[0, 1, 2, 3]),
        ("product = \"ACME-sms\"", &[0]),
        ("source = \"198.51.0.2\"", &[1, 2]),
        ("source = \"198.51.0.2/31\"", &[1, 2, 3]),
        ("source = [\"198.51.0.3\", \"198.51.0.1/32\"]", &[0, 3]),
        ("source = \"0.0.0.0/0\"", &[0, 1, 2, 3]),
        ("source = \"::/0\"", &[]),
        ("destination = \"192.0.2.81\"", &[3]),
        ("destination = \"192.0.2.80/28\"", &[0, 1, 2, 3]),
        ("host = \"www.example.org\"", &[0, 1, 2]),
        ("host = \"Shop.Example.Org.\"", &[3]),
        ("host = \"example.org\"", &[]),
        ("host = \".example.org\"", &[0, 1, 2, 3]),
        ("host = \".xample.org\"", &[]),
        ("host = \".www.example.org\"", &[]),
        ("host = [\"a\", \".org\"]", &[0, 1, 2, 3]),
        ("path = \"/files\"", &[2, 3]),
        ("path = \"/files/\"", &[2, 3]),
        ("path = \"/FILES/x/../keys-0.json\"", &[2]),
        ("path = \"/file\"", &[]),
        ("path = \"/files/keys-0.jso\"", &[]),
        ("path = \"/wp-content\"", &[]),
        ("path = [\"/a/wp-content/plugins\", \"/hook\"]", &[0, 1]),
        ("path = \"/\"", &[0, 1, 2, 3]),
        ("family = \"files\"\nsource = \"198.51.0.2\"", &[2]),
        ("family = \"files\"\nsource = \"198.51.0.1\"", &[]),
        ("host = \".example.org\"\npath = \"/files\"\ndestination = \"192.0.2.81\"\nsignature = \"file-1\"", &[3]),
    ] {
        let (reported, ran) = with(&entry(conditions), &["-q"]);
        assert_eq!((ran.code, &*ran.err), (0, ""), "{conditions}");
        let expected: Vec<usize> = (0..4).filter(|at| !hidden.contains(at)).collect();
        assert_eq!(reported, expected, "{conditions}");
    }
}

#[test]
fn allow_by_product_signature_or_family_at_a_location() {
    for (conditions, hidden) in [
        ("product = \"Acme SMS\"\nhost = \"www.example.org\"", &[0][..]),
        ("signature = \"hook\"\ndestination = \"192.0.2.80\"", &[1]),
        ("family = \"files\"\nhost = \".example.org\"\ndestination = \"192.0.2.80\"", &[2]),
        ("product = \"Acme SMS\"\nhost = \"shop.example.org\"", &[]),
    ] {
        let (reported, _) = with(&format!("[[allow]]\n{conditions}\nreason = \"ours\"\n"), &["-q"]);
        let expected: Vec<usize> = (0..4).filter(|at| !hidden.contains(at)).collect();
        assert_eq!(reported, expected, "{conditions}");
    }
}

/// Three different signatures of one source are a campaign: suppressed hits count, allowed ones do not.
#[test]
fn suppressed_hits_count_in_campaigns_and_allowed_ones_do_not() {
    let mut traffic = Traffic::default();
    for number in 0..3 {
        traffic.asks(1, &ask("GET", &format!("/files/keys-{number}.json"), &[]), MISSING);
    }
    let (directory, capture, own) = directory(&pcap(&traffic.segs));
    let file = directory.path().join("mine.toml");
    let campaigns = |entries: &str| {
        std::fs::write(&file, entries).unwrap();
        let [own, capture, file] = [&own, &capture, &file].map(|path| path.to_str().unwrap());
        let counters = directory.path().join("counters.json");
        let ran = run(&["-q", "-S", own, "-r", capture, "--suppress", file, "--counters", counters.to_str().unwrap()]);
        let counters: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(counters).unwrap()).unwrap();
        let figures = ["suppress.suppressed", "suppress.allowed"].map(|name| counters[name].as_u64().unwrap());
        let reported = alerts(&ran).len();
        (reported, ran.out.lines().count() > reported, figures)
    };
    let place = "host = \"www.example.org\"\nreason = \"x\"\n";
    assert_eq!(campaigns(""), (3, true, [0, 0]));
    assert_eq!(campaigns(&format!("[[suppress]]\nfamily = \"files\"\n{place}")), (0, true, [3, 0]));
    assert_eq!(campaigns(&format!("[[allow]]\nsignature = \"file-1\"\n{place}")), (2, false, [0, 1]));
    // Allow entries are applied first, whatever their order in the file.
    let both = format!("[[suppress]]\nfamily = \"files\"\n{place}[[allow]]\nsignature = \"file-1\"\n{place}");
    assert_eq!(campaigns(&both), (0, false, [2, 1]));
}

/// The capture is of 2025-10-09; days end at midnight, UTC, by packet time.
#[test]
fn entry_expires_at_the_end_of_its_day() {
    assert_eq!(EPOCH, 1_760_000_000, "the day below");
    for (day, reported, words) in [
        ("2025-10-09", 0, "expired on 2025-10-09"),
        ("\"2025-10-09\"", 0, "expired on 2025-10-09"),
        ("2025-10-08", 4, "expired on 2025-10-08"),
        ("2999-01-01", 0, ""),
    ] {
        let (alerts, ran) = with(&entry(&format!("path = \"/\"\nexpires = {day}")), &[]);
        assert_eq!(alerts.len(), reported, "{day}");
        assert_eq!(ran.err.contains("mine.toml:1: expired on"), !words.is_empty(), "{}", ran.err);
        assert!(ran.err.contains(words), "{}", ran.err);
    }
}

fn loaded() -> Signatures {
    let text = signatures();
    let source = SignatureFile { name: "own.toml", text: &text, origin: SignatureOrigin::User };
    Signatures::load(&[source], &mut |name| Err(name.into())).unwrap()
}

fn review(entries: &str) -> Vec<String> {
    let set = Suppressions::load(&[SuppressFile { name: "mine.toml", text: entries }]).unwrap();
    set.review(&loaded(), Timestamp::ZERO)
}

#[test]
fn entries_that_never_match_are_reported() {
    for (conditions, expected) in [
        ("signature = 1010999", "signature 1010999 is not loaded"),
        ("signature = \"nobody\"", "signature \"nobody\" is not loaded"),
        ("family = \"nobody\"", "family \"nobody\" is not loaded"),
        ("product = [\"nobody\", \"no\"]", "product \"nobody\", product \"no\" is not loaded"),
        ("signature = \"hook\"\nfamily = \"files\"", "no loaded signature has all these names"),
        ("family = \"files\"\nproduct = \"Acme SMS\"", "no loaded signature has all these names"),
        ("signature = \"hook\"\npath = \"/files\"", "no path of these signatures begins with it"),
        ("family = \"files\"\npath = \"/files/keys\"", "no path of these signatures begins with it"),
        ("source = \"10.0.0.1\"\ndestination = \"2001:db8::/32\"", "of different IP versions"),
        ("source = \"224.0.0.0/8\"", "no host has such a source address"),
        ("destination = \"0.0.0.0/32\"", "no host has such a destination address"),
    ] {
        let lines = review(&entry(conditions));
        assert_eq!(lines.len(), 1, "{conditions}: {lines:?}");
        assert!(lines[0].starts_with("mine.toml:1: never matches: "), "{lines:?}");
        assert!(lines[0].contains(expected) && lines[0].ends_with("(test)"), "{lines:?}");
    }
    for conditions in [
        "signature = [\"hook\", 1010000]",
        "signature = \"style\"\npath = \"/blog\"",
        "family = \"files\"\npath = \"/files\"",
        "source = [\"10.0.0.1\", \"2001:db8::1\"]\ndestination = \"2001:db8::/32\"",
        "source = \"0.0.0.0/0\"",
        "path = \"/\"",
    ] {
        assert_eq!(review(&entry(conditions)), [""; 0], "{conditions}");
    }
    // One name of several.
    let lines = review(&entry("signature = [\"hook\", \"nobody\"]"));
    assert_eq!(lines, ["mine.toml:1: signature \"nobody\" is not loaded (test)"]);
}

#[test]
fn duplicate_entries_are_reported() {
    let first = entry("source = [\"10.0.0.1\", \"10.0.0.0/8\"]\nexpires = 2999-01-01");
    let again = entry("source = [\"10.9.9.9/8\", \"10.0.0.1\"]\nexpires = 2998-01-01");
    let longer = entry("source = [\"10.0.0.0/8\", \"10.0.0.1\"]");
    assert_eq!(
        review(&format!("{first}{again}{longer}")),
        ["mine.toml:5: never matches: the suppress entry at mine.toml:1 takes precedence (test)"]
    );
    let same = "signature = \"hook\"\nhost = \"a.b\"\nreason = \"r\"\n";
    assert_eq!(
        review(&format!("[[suppress]]\n{same}[[allow]]\n{same}[[allow]]\n{same}")),
        [
            "mine.toml:1: never matches: the allow entry at mine.toml:5 takes precedence (r)",
            "mine.toml:9: never matches: the allow entry at mine.toml:5 takes precedence (r)"
        ]
    );
}

/// At the start of a run, which continues, and with `-T`.
#[test]
fn ineffective_entries_are_reported_at_the_start() {
    let text = entry("signature = \"nobody\"");
    let (reported, ran) = with(&text, &[]);
    assert_eq!((reported.len(), ran.code), (4, 0));
    assert!(ran.err.contains("mine.toml:1: never matches: signature \"nobody\" is not loaded (test)"), "{}", ran.err);
    let (_, checked) = with(&text, &["-T"]);
    assert_eq!(checked.code, 0);
    assert!(checked.err.contains("never matches"), "{}", checked.err);
    assert!(checked.out.ends_with("1 suppress entry and 0 allow entries: no errors\n"), "{}", checked.out);
}

#[test]
fn broken_files_are_refused_with_every_line() {
    let text = "\
[[suppress]]
signature = []
host = [\"a b\", \"c:80\"]
color = \"red\"
reason = \"x\"

[[suppress]]
reason = \"everything\"

[[suppress]]
source = \"10.0.0.0/33\"
path = \"files?x\"
expires = \"tomorrow\"
reason = \"\"

[[allow]]
product = \"Acme\"
reason = \"where?\"

[[allow]]
host = \"a\"
expires = 2027-01-31T10:00:00
";
    let expected = [
        (2, "an empty list never matches"),
        (3, "\"a b\": write a host"),
        (3, "\"c:80\": write a host"),
        (4, "unknown key `color`"),
        (7, "it would hide everything"),
        (11, "\"10.0.0.0/33\": write an address"),
        (12, "\"files?x\": write a path"),
        (13, "expires \"tomorrow\""),
        (14, "reason: write one line"),
        (16, "must name what is normal use, and where"),
        (20, "must name what is normal use, and where"),
        (20, "missing key `reason`"),
        (22, "expires 2027-01-31T10:00:00"),
    ];
    let errors = Suppressions::load(&[SuppressFile { name: "mine.toml", text }]).unwrap_err();
    let mut found: Vec<_> = errors.iter().map(|error| (error.line, error.reason.clone())).collect();
    found.sort();
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (line, words) in expected {
        assert!(found.iter().any(|(at, reason)| *at == line && reason.contains(words)), "{line} {words}: {found:#?}");
    }
    for (text, line) in [
        ("\n[[suppress]\n", 2),
        ("[[hide]]\nhost = \"a\"\nreason = \"x\"\n", 1),
        ("[suppress]\nhost = \"a\"\nreason = \"x\"\n", 1),
        ("# nothing\n[[suppress]]\nhost = \"a\"\nhost = \"b\"\n", 4),
    ] {
        let errors = Suppressions::load(&[SuppressFile { name: "mine.toml", text }]).unwrap_err();
        assert_eq!((errors.len(), errors[0].line), (1, line), "{errors:?}");
    }
    assert!(Suppressions::load(&[SuppressFile { name: "mine.toml", text: "# nothing yet\n" }]).is_ok());
}

#[test]
fn broken_file_ends_the_run_before_it_begins() {
    for more in [&[][..], &["-T"], &["--dry-run"]] {
        let (reported, ran) = with("[[suppress]]\nhost = \"a\"\n\n[[suppress]]\nreason = \"x\"\n", more);
        assert_eq!((reported.len(), ran.code, ran.err.lines().count(), &*ran.out), (0, 2, 2, ""), "{}", ran.err);
        let lines: Vec<&str> = ran.err.lines().collect();
        assert!(lines[0].contains("mine.toml:1: missing key `reason`"), "{lines:?}");
        assert!(lines[1].contains("mine.toml:4: it would hide everything"), "{lines:?}");
    }
    run(&["-r", "pcaps", "--suppress", "/nowhere.toml"])
        .complains(2, &["/nowhere.toml", "cannot be read", "--suppress"]);
    run(&["-r", "pcaps", "--dry-run"]).complains(2, &["--suppress"]);
}

#[test]
fn dry_run_hides_nothing_and_reports_the_reasons() {
    let text = "\
[[suppress]]
family = \"files\"
reason = \"our scanner\"

[[suppress]]
source = \"10.0.0.0/8\"
reason = \"the office\"

[[allow]]
product = \"acme sms\"
host = \"www.example.org\"
reason = \"we run it\"
";
    let (reported, ran) = with(text, &["--dry-run"]);
    assert_eq!((reported, ran.code), (vec![0, 1, 2, 3], 0));
    let labels: Vec<_> = alerts(&ran)
        .iter()
        .map(|alert| {
            let words = alert["alert"]["metadata"]["smsentry_context"].as_array().cloned().unwrap_or_default();
            let words = words.iter().map(|word| word.as_str().unwrap().to_owned());
            words.filter(|word| word.contains("mine.toml")).collect::<Vec<_>>()
        })
        .collect();
    let ends = |at: usize, start: &str, end: &str| {
        assert_eq!(labels[at].len(), 1, "{labels:?}");
        assert!(labels[at][0].starts_with(start) && labels[at][0].ends_with(end), "{labels:?}");
    };
    ends(0, "allow ", "mine.toml:9 we run it");
    assert_eq!(labels[1].len(), 0);
    ends(2, "suppress ", "mine.toml:1 our scanner");
    ends(3, "suppress ", "mine.toml:1 our scanner");
    for line in [
        "mine.toml:1: suppress would apply to 2 alerts: our scanner",
        "mine.toml:5: suppress would apply to 0 alerts: the office",
        "mine.toml:9: allow would apply to 1 alert: we run it",
    ] {
        assert!(ran.err.contains(line), "{line}: {}", ran.err);
    }
    // The same with -v in a run that suppresses.
    let (reported, ran) = with(text, &["-v"]);
    assert_eq!(reported, [1]);
    for line in [
        "mine.toml:1: suppress applied to 2 alerts: our scanner",
        "mine.toml:5: suppress applied to 0 alerts",
        "allow applied to 1",
    ] {
        assert!(ran.err.contains(line), "{line}: {}", ran.err);
    }
    assert!(!with(text, &[]).1.err.contains("mine.toml"), "reported without -v");
}

/// Compared with a linear search over many generated entries and alerts.
#[test]
fn index_agrees_with_a_linear_search() {
    let mut dice = Dice::new(3);
    let hosts = ["a.example", "b.a.example", "c.b.a.example", "x.org", "example"];
    let paths = ["/", "/a", "/a/b", "/a/b/c.css", "/ab"];
    let address = |dice: &mut Dice| format!("10.0.{}.{}", dice.below(2), dice.below(4));
    for round in 0..60 {
        let mut texts = Vec::new();
        for number in 0..1 + dice.below(30) {
            let mut text = String::from(if number % 3 == 0 { "[[allow]]\n" } else { "[[suppress]]\n" });
            let allow = number % 3 == 0;
            if allow || dice.one_in(3) {
                writeln!(text, "signature = {}", 1_010_000 + dice.below(4)).unwrap();
            }
            if dice.one_in(3) {
                writeln!(text, "source = \"{}/{}\"", address(&mut dice), dice.pick(&[0, 8, 24, 30, 32])).unwrap();
            }
            if dice.one_in(3) {
                writeln!(text, "path = \"{}\"", dice.pick(&paths)).unwrap();
            }
            let dot = dice.pick(&["", "."]);
            writeln!(text, "host = \"{dot}{}\"\nreason = \"{number}\"", dice.pick(&hosts)).unwrap();
            texts.push(text);
        }
        let whole = texts.concat();
        let all = Suppressions::load(&[SuppressFile { name: "f", text: &whole }]).unwrap();
        let single: Vec<_> =
            texts.iter().map(|text| Suppressions::load(&[SuppressFile { name: "f", text }]).unwrap()).collect();
        for _ in 0..40 {
            let mut alert = plain();
            let id = 1_010_000 + dice.below(5) as u32;
            alert.signature = smsentry::signature::Signature { id, ..(*alert.signature).clone() }.into();
            alert.transaction.client.ip = address(&mut dice).parse().unwrap();
            alert.transaction.request.host = Some(dice.pick(&hosts).as_bytes().to_vec());
            alert.matched = dice.pick(&paths).as_bytes().to_vec();
            let holding: Vec<_> = (0..texts.len()).filter(|&at| single[at].find(&alert).is_some()).collect();
            let first = holding.iter().find(|&&at| at % 3 == 0).or(holding.first());
            let expected = first.map(|&at| (at, if at % 3 == 0 { Treatment::Allow } else { Treatment::Suppress }));
            assert_eq!(all.find(&alert), expected, "round {round}: {whole}");
        }
    }
}

/// Thousands of entries that share all but one condition, and a host that is expensive to look up.
#[test]
fn many_entries_do_not_slow_down_alerts() {
    let common = "host = \".example.org\"\nsource = \"10.0.0.0/8\"\nsignature = 1010000\n";
    let different: [&dyn Fn(u32) -> String; 4] = [
        &|n| format!("path = \"/a/{n}\"\nhost = \".example.org\"\nsource = \"10.0.0.0/8\"\n"),
        &|n| format!("signature = {}\nhost = \".example.org\"\nsource = \"10.0.0.0/8\"\n", 1_010_000 + n),
        &|n| format!("source = \"10.0.{}.{}\"\nhost = \".example.org\"\nfamily = \"plugin\"\n", n / 256, n % 256),
        &|n| format!("host = \"www{n}.example.org\"\nsource = \"10.0.0.0/8\"\nfamily = \"plugin\"\n"),
    ];
    let time = |text: &str| {
        let set = Suppressions::load(&[SuppressFile { name: "f", text }]).unwrap();
        let mut alert = plain();
        alert.transaction.client.ip = "10.200.0.1".parse().unwrap();
        alert.transaction.request.host = Some([&b"a.".repeat(30_000)[..], b"example.org"].concat());
        cpu_time::used_by(|| (0..20).for_each(|_| assert_eq!(set.find(&alert), None)))
    };
    let few = time(&format!("[[suppress]]\n{common}reason = \"x\"\n")).max(Duration::from_millis(2));
    for make in different {
        let mut text = String::new();
        (0..5_000).for_each(|n| write!(text, "[[suppress]]\n{}reason = \"x\"\n", make(n)).unwrap());
        let many = time(&text);
        assert!(many < few * 20, "{many:?}, with one entry {few:?}");
    }
}

/// SIGUSR2 also reloads suppress files; broken ones change nothing.
#[test]
fn suppress_files_are_reloaded_with_the_signatures() {
    in_namespace(|| {
        create_link();
        let logs = Logs::new();
        let file = logs.file("mine.toml");
        std::fs::write(&file, entry("path = \"/other\"")).unwrap();
        let sensor = Sensor::start(&["-v", "-i", "probe0", "-l", logs.path(), "--suppress", file.to_str().unwrap()]);
        let mut sender = Sender::on("probe1");
        let mut probe = |port, target: &str| send(&mut sender, Connection::whole(port, target));
        let seen = |count: usize| {
            eventually(3, || logs.records("alert").len() == count, || format!("{:?}", logs.records("alert")))
        };
        probe(40_001, "/sms_config.json");
        seen(1);
        std::fs::write(&file, entry("path = \"/sms_config.json\"")).unwrap();
        sensor.signal("-USR2");
        sensor.wait_for("signatures reloaded", 3);
        probe(40_002, "/sms_config.json");
        probe(40_003, "/sms_bomber.exe");
        seen(2);
        std::fs::write(&file, "[[suppress]]\n").unwrap();
        sensor.signal("-USR2");
        sensor.wait_for("mine.toml:1: it would hide everything", 3);
        sensor.wait_for("are kept", 3);
        probe(40_004, "/sms_config.json");
        probe(40_005, "/sms_bomber.exe");
        seen(3);
        let messages = sensor.finish();
        assert!(messages.contains("mine.toml:1: suppress applied to 2 alerts: test"), "{messages}");
    });
}
