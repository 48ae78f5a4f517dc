//! Campaigns, from sweeps in captures to the records of the program.

use std::collections::HashMap;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use serde_json::Value;

use crate::support::program::smsentry;
use crate::support::segment_builder::Dice;
use smsentry_generators::http_conversation::{Capture, From, request, response};

/// A capture of requests by one client: times in milliseconds, targets, and statuses of the immediate responses.
fn sweep(requests: &[(i64, &str, &str)]) -> Vec<u8> {
    let mut capture = Capture::at(1_750_000_000);
    let begin = capture.now;
    for (number, &(millis, target, status)) in requests.iter().enumerate() {
        capture.now = begin + millis;
        capture.exchange(20_000 + number as u16, &request("GET", target), &response(status));
    }
    capture.pcap()
}

/// Requests of so many sources in turn, some of them IPv6, some repeated, some never answered, with pauses.
fn sweeps(seed: u64, sources: usize, requests: u16) -> Vec<u8> {
    let dice = &mut Dice::new(seed);
    let mut capture = Capture::at(1_750_000_000);
    let statuses = ["404 Not Found", "403 Forbidden", "200 OK", "500 No"];
    for number in 0..requests {
        // Sources come in waves, so that others are quiet.
        let source = (usize::from(number) / 60 + dice.below(8)) % sources;
        capture.client = match source % 3 {
            0 => Ipv6Addr::new(0x2001, 0xdb8, source as u16, 0, dice.next() as u16, 0, 0, 1).into(),
            _ => Ipv4Addr::new(198, 51, 100, source as u8).into(),
        };
        let target = format!("/test/{}", if dice.one_in(3) { dice.below(3) } else { dice.below(40) });
        if dice.one_in(6) {
            let mut silent = capture.open(1024 + number);
            capture.send(&mut silent, From::Client, &request("GET", &target));
        } else {
            capture.exchange(1024 + number, &request("GET", &target), &response(dice.pick(&statuses)));
        }
        capture.now += dice.pick(&[1, 50, 3000, 8000]);
        if dice.one_in(150) {
            capture.now += 11 * MINUTE;
        }
    }
    capture.pcap()
}

/// So many signatures in a file, and the target that each of them matches.
fn signatures(count: usize) -> (String, Vec<String>) {
    let one = |number: usize| {
        let status = if number % 5 == 4 { "support" } else { "active" };
        format!(
            "[[signature]]\nid = {}\nrev = 1\nslug = \"test-{number}\"\ntitle = \"Test {number}\"\nproduct = \"Test\"\n\
             severity = 2\nconfidence = \"high\"\nstatus = \"{status}\"\nmatch.path = \"/test/{number}\"\n\
             exposed.proof = [\"text/plain\"]\n",
            1_010_000 + number
        )
    };
    let file = format!("family = \"test\"\n{}", (0..count).map(one).collect::<String>());
    (file, (0..count).map(|number| format!("/test/{number}")).collect())
}

/// The alert lines of a replay with the test's signatures.
fn replay(capture: &[u8], count: usize, more: &[&str]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    lines(folder.path(), &[capture], count, more)
}

fn lines(folder: &Path, captures: &[&[u8]], count: usize, more: &[&str]) -> Vec<Value> {
    text(folder, captures, count, more).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text(folder: &Path, captures: &[&[u8]], count: usize, more: &[&str]) -> String {
    let toml = folder.join("test.toml");
    fs::write(&toml, signatures(count).0).unwrap();
    let mut command = smsentry();
    command.args(["-q", "-S", toml.to_str().unwrap()]).args(more);
    for (number, capture) in captures.iter().enumerate() {
        let file = folder.join(format!("{number}.pcap"));
        fs::write(&file, capture).unwrap();
        command.arg("-r").arg(file);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn sid(event: &Value) -> u64 {
    event["alert"]["signature_id"].as_u64().unwrap()
}

/// The campaign records among them.
fn campaigns(events: &[Value]) -> Vec<Value> {
    events.iter().filter(|event| sid(event) < 1_000_100).cloned().collect()
}

fn sids(events: &[Value]) -> Vec<u64> {
    events.iter().map(sid).collect()
}

fn metadata<'a>(event: &'a Value, key: &str) -> Vec<&'a str> {
    event["alert"]["metadata"][key].as_array().into_iter().flatten().map(|item| item.as_str().unwrap()).collect()
}

const MINUTE: i64 = 60_000;
const NONE: [u64; 0] = [];

#[test]
fn campaign_is_emitted_at_3_10_30_and_100_signatures_and_at_its_end() {
    let (_, targets) = signatures(120);
    let requests: Vec<_> =
        targets.iter().enumerate().map(|(at, target)| (at as i64 * 1000, &**target, "404 Not Found")).collect();
    let events = replay(&sweep(&requests), 120, &[]);
    let campaigns = campaigns(&events);
    assert_eq!(sids(&campaigns), [1_000_001, 1_000_002, 1_000_003, 1_000_004, 1_000_005]);
    for (campaign, count) in campaigns.iter().zip([3, 10, 30, 100, 120]) {
        assert_eq!(metadata(campaign, "smsentry_hits"), [count.to_string()]);
        assert_eq!(metadata(campaign, "smsentry_signatures")[0], count.to_string());
        assert_eq!(metadata(campaign, "smsentry_signatures").len(), 1 + count.min(20));
        assert_eq!(metadata(campaign, "smsentry_outcomes"), [format!("not_found={count}")]);
        assert_eq!(metadata(campaign, "smsentry_targets"), ["1", "192.0.2.10:80"]);
        assert_eq!(metadata(campaign, "smsentry_hosts"), ["1", "www.example.org"]);
        assert_eq!(metadata(campaign, "smsentry_families"), ["1", "test"]);
        assert_eq!(metadata(campaign, "smsentry_agents"), ["1", "test"]);
        assert_eq!(campaign["alert"]["severity"], 2);
        assert_eq!(campaign["src_port"], 20_000 + count as u64 - 1);
        let at = campaign["timestamp"].as_str().unwrap();
        assert_eq!(metadata(campaign, "smsentry_last"), [at]);
        for key in ["smsentry_campaign", "smsentry_fingerprint", "smsentry_first"] {
            assert_eq!(metadata(campaign, key), metadata(&campaigns[0], key), "{key}");
        }
    }
    // Support hits are not emitted; every other one is, and the campaign record follows the hit that caused it.
    assert_eq!(events.len(), 120 - 24 + 5);
    let at = events.iter().position(|event| sid(event) == 1_000_001).unwrap();
    for key in ["timestamp", "flow_id", "tx_id", "src_ip", "src_port", "dest_ip", "dest_port", "pcap_cnt"] {
        assert_eq!(events[at][key], events[at - 1][key], "{key}");
    }
}

#[test]
fn three_signatures_must_be_within_ten_minutes() {
    let at = |times: [i64; 3]| {
        let targets = ["/test/0", "/test/1", "/test/2"];
        let requests: Vec<_> = times.into_iter().zip(targets).map(|(time, target)| (time, target, "404 No")).collect();
        sids(&campaigns(&replay(&sweep(&requests), 3, &[])))
    };
    assert_eq!(at([0, 5 * MINUTE, 10 * MINUTE]), [1_000_001, 1_000_005]);
    assert_eq!(at([0, 5 * MINUTE, 10 * MINUTE + 1]), NONE);
    assert_eq!(at([0, 11 * MINUTE, 12 * MINUTE]), NONE);
    // A fourth within ten minutes of the second: the first does not count.
    let requests = [(0, "/test/0"), (6, "/test/1"), (12, "/test/2"), (14, "/test/3")]
        .map(|(minute, target)| (minute * MINUTE, target, "404 No"));
    let reported = campaigns(&replay(&sweep(&requests), 4, &[]));
    assert_eq!(metadata(&reported[0], "smsentry_signatures"), ["3", "test-1", "test-2", "test-3"]);
    // Repeats of the same signature are no campaign.
    let targets = ["/test/0", "/test/1"];
    let requests: Vec<_> = (0..50).map(|number| (number * 1000, targets[number as usize % 2], "404 No")).collect();
    assert_eq!(campaigns(&replay(&sweep(&requests), 3, &[])).len(), 0);
}

/// Hits older than the window are not part of it, even if they were repeated.
#[test]
fn campaign_begins_with_hits_of_the_last_ten_minutes() {
    let requests = [(0, "/test/0"), (8, "/test/1"), (16, "/test/0"), (17, "/test/2")];
    let requests = requests.map(|(minutes, target)| (minutes * MINUTE, target, "404 No"));
    for campaign in campaigns(&replay(&sweep(&requests), 3, &[])) {
        assert_eq!(metadata(&campaign, "smsentry_hits"), ["3"]);
        assert_eq!(metadata(&campaign, "smsentry_signatures"), ["3", "test-1", "test-0", "test-2"]);
        assert_eq!(metadata(&campaign, "smsentry_first")[0][11..16], "15:14:40"[..5]);
    }
}

#[test]
fn support_hits_count_and_are_never_emitted() {
    // Only 4, 9 and 14 of them are support.
    let requests = [(0, "/test/4", "404 No"), (10, "/test/9", "404 No"), (20, "/test/14", "200 OK")];
    let events = replay(&sweep(&requests), 15, &[]);
    assert_eq!(sids(&events), [1_000_001, 1_000_005]);
    assert_eq!(metadata(&events[0], "smsentry_signatures"), ["3", "test-4", "test-9", "test-14"]);
}

#[test]
fn quiet_source_ends_its_campaign_in_time_and_may_begin_another() {
    let mut requests: Vec<_> =
        (0..3).map(|number| (number * 1000, ["/test/0", "/test/1", "/test/2"][number as usize], "404 No")).collect();
    // Two requests of another source, eleven and twelve minutes later, advance the clock.
    requests.extend([(11 * MINUTE, "/nothing", "404 No"), (12 * MINUTE, "/nothing", "404 No")]);
    requests.extend(
        (0..3).map(|number| (13 * MINUTE + number, ["/test/2", "/test/1", "/test/0"][number as usize], "404 No")),
    );
    let events = replay(&sweep(&requests), 3, &["--events", "alert,http"]);
    let reported: Vec<_> = events.iter().filter_map(|event| event["alert"]["signature_id"].as_u64()).collect();
    assert_eq!(
        reported,
        [1_010_000, 1_010_001, 1_010_002, 1_000_001, 1_000_005, 1_010_002, 1_010_001, 1_010_000, 1_000_001, 1_000_005]
    );
    let end = events.iter().position(|event| event["alert"]["signature_id"] == 1_000_005).unwrap();
    let nothing = |event: &Value| event["http"]["url"] == "/nothing" && event["event_type"] == "http";
    assert!(nothing(&events[end + 1]) && !nothing(&events[end - 1]), "before the first record of a later time");
    let campaigns: Vec<_> = events.iter().filter(|e| e["event_type"] == "alert" && sid(e) < 1_000_100).collect();
    let id = |at: usize| metadata(campaigns[at], "smsentry_campaign");
    assert!(id(0) == id(1) && id(2) == id(3) && id(0) != id(2));
    let print = |at: usize| metadata(campaigns[at], "smsentry_fingerprint");
    assert_ne!(print(0), print(2), "another order of paths");
    assert_eq!(metadata(campaigns[1], "smsentry_hits"), ["3"]);
    assert_eq!(campaigns[1]["src_port"], 20_002, "its last request");
}

/// The third was emitted when its outcome timeout passed; the source was quiet ten minutes after the request.
#[test]
fn quiet_time_is_measured_from_requests() {
    let end = |wait: i64| {
        let mut capture = Capture::at(1_750_000_000);
        for (port, target) in [(1, "/test/0"), (2, "/test/1")] {
            capture.exchange(port, &request("GET", target), &response("404 Not Found"));
        }
        let mut silent = capture.open(3);
        capture.send(&mut silent, From::Client, &request("GET", "/test/2"));
        capture.now += wait;
        capture.exchange(4, &request("GET", "/test/3"), &response("404 Not Found"));
        let reported = campaigns(&replay(&capture.pcap(), 4, &[]));
        assert_eq!(sids(&reported), [1_000_001, 1_000_005]);
        metadata(&reported[1], "smsentry_hits")[0].to_owned()
    };
    assert_eq!((&*end(9 * MINUTE), &*end(10 * MINUTE + 5000)), ("4", "3"));
}

/// The third was requested within ten minutes, and emitted when its outcome timeout passed.
#[test]
fn source_with_pending_hit_is_not_forgotten() {
    let reported = |seconds: i64, timeout: &str| {
        let mut capture = Capture::at(1_750_000_000);
        for (port, target) in [(1, "/test/0"), (2, "/test/1")] {
            capture.exchange(port, &request("GET", target), &response("404 Not Found"));
        }
        capture.now += seconds * 1000;
        let mut silent = capture.open(3);
        capture.send(&mut silent, From::Client, &request("GET", "/test/2"));
        capture.now += MINUTE;
        capture.exchange(4, &request("GET", "/nothing"), &response("404 Not Found"));
        sids(&campaigns(&replay(&capture.pcap(), 3, &["--outcome-timeout", timeout])))
    };
    for timeout in ["10", "30", "0"] {
        assert_eq!(reported(599, timeout), [1_000_001, 1_000_005], "{timeout}");
        assert_eq!(reported(601, timeout), NONE, "{timeout}");
    }
}

/// Repeats beyond a flow's alert cap still count as requests.
#[test]
fn capped_hits_count_in_campaigns() {
    let mut capture = Capture::at(1_750_000_000);
    let mut connection = capture.open(1);
    for number in 0..20 {
        let target = if number == 18 { "/test/1" } else { "/test/0" };
        capture.send(&mut connection, From::Client, &request("GET", target));
        capture.send(&mut connection, From::Server, &response("404 Not Found"));
        capture.now += 100_000;
    }
    capture.exchange(2, &request("GET", "/test/2"), &response("404 Not Found"));
    let events = replay(&capture.pcap(), 3, &["--set", "alert.per_flow=5"]);
    assert_eq!(events.len(), 5 + 1 + 1 + 2, "the flow's share, and what is new");
    for campaign in campaigns(&events) {
        assert_eq!(metadata(&campaign, "smsentry_hits"), ["21"]);
        assert_eq!(metadata(&campaign, "smsentry_outcomes"), ["not_found=21"]);
    }
}

#[test]
fn exposed_signatures_are_listed_and_raise_the_severity() {
    let mut capture = Capture::at(1_750_000_000);
    let proof = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
    capture.exchange(1, &request("GET", "/test/0"), &response("404 Not Found"));
    capture.exchange(2, &request("GET", "/test/1?a=b"), proof);
    capture.exchange(3, &request("GET", "/test/2"), &response("403 Forbidden"));
    let reported = campaigns(&replay(&capture.pcap(), 3, &[]));
    assert_eq!(reported[0]["alert"]["severity"], 1);
    assert_eq!(metadata(&reported[0], "smsentry_outcomes"), ["exposed=1", "refused=1", "not_found=1"]);
    assert_eq!(metadata(&reported[0], "smsentry_exposed"), ["1", "/test/1?a=b"]);
}

/// A request that was emitted as `pending` and then proves `exposed` is one hit.
#[test]
fn late_response_raises_the_outcome_without_a_new_hit() {
    let mut capture = Capture::at(1_750_000_000);
    for (port, target) in [(1, "/test/0"), (2, "/test/1")] {
        capture.exchange(port, &request("GET", target), &response("404 Not Found"));
    }
    let mut slow = capture.open(3);
    capture.send(&mut slow, From::Client, &request("GET", "/test/2"));
    capture.now += 20_000;
    let proof = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
    capture.send(&mut slow, From::Server, proof);
    let reported = campaigns(&replay(&capture.pcap(), 3, &[]));
    assert_eq!(metadata(&reported[0], "smsentry_outcomes"), ["not_found=2", "pending=1"]);
    assert_eq!(metadata(&reported[1], "smsentry_outcomes"), ["exposed=1", "not_found=2"]);
    assert_eq!(metadata(&reported[1], "smsentry_hits"), ["3"]);
    assert_eq!(metadata(&reported[1], "smsentry_exposed"), ["1", "/test/2"]);
    assert_eq!((&reported[0]["alert"]["severity"], &reported[1]["alert"]["severity"]), (&2.into(), &1.into()));
}

/// The same holds for a response that began in time and was emitted as `present`, if the rest of it proves `exposed`.
#[test]
fn slow_body_raises_the_outcome() {
    let mut capture = Capture::at(1_750_000_000);
    let mut slow = capture.open(3);
    capture.send(&mut slow, From::Client, &request("GET", "/slow"));
    capture.send(
        &mut slow,
        From::Server,
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nTOK",
    );
    for (port, target) in [(1, "/test/0"), (2, "/test/1")] {
        let mut silent = capture.open(port);
        capture.send(&mut silent, From::Client, &request("GET", target));
    }
    capture.now += 20_000;
    capture.send(&mut slow, From::Server, b"EN=");
    let folder = tempfile::tempdir().unwrap();
    let toml = folder.path().join("slow.toml");
    let slow = "family = \"slow\"\n[[signature]]\nid = 1010900\nrev = 1\nslug = \"slow\"\ntitle = \"Slow\"\nproduct = \"Test\"\n\
                severity = 2\nconfidence = \"high\"\nmatch.path = \"/slow\"\nexposed.proof = [\"text/plain\"]\n\
                exposed.body = ['TOKEN=']\n";
    fs::write(&toml, slow).unwrap();
    for more in [&[][..], &["--events", "alert,http"]] {
        let events = replay(&capture.pcap(), 2, &[&["-S", toml.to_str().unwrap()][..], more].concat());
        let events: Vec<Value> = events.into_iter().filter(|event| event["event_type"] == "alert").collect();
        assert_eq!(sids(&events), [1_010_900, 1_010_000, 1_010_001, 1_000_001, 1_010_900, 1_000_005]);
        assert_eq!(metadata(&events[0], "smsentry_outcome"), ["present"]);
        assert_eq!(metadata(&events[3], "smsentry_outcomes"), ["present=1", "pending=2"]);
        assert_eq!(metadata(&events[4], "smsentry_outcome"), ["exposed"]);
        assert_eq!(metadata(&events[4], "smsentry_update"), ["late-answer"]);
        assert_eq!(metadata(&events[5], "smsentry_outcomes"), ["exposed=1", "pending=2"]);
        for key in ["timestamp", "flow_id", "tx_id"] {
            assert_eq!(events[0][key], events[4][key], "{key}");
        }
    }
}

/// Files that do not continue each other are evaluated separately, whatever the clock was before.
#[test]
fn campaigns_end_with_the_clock() {
    let folder = tempfile::tempdir().unwrap();
    let requests = [(0, "/test/0", "404 No"), (10, "/test/1", "404 No"), (20, "/test/2", "404 No")];
    let half = sweep(&requests[..2]);
    let whole = sweep(&requests);
    let mut early = whole.clone();
    // The same a year before: the seconds of every packet are 4 bytes.
    let mut at = 24;
    while at < early.len() {
        let seconds = u32::from_le_bytes(early[at..at + 4].try_into().unwrap()) - 31_536_000;
        early[at..at + 4].copy_from_slice(&seconds.to_le_bytes());
        at += 16 + u32::from_le_bytes(early[at + 8..at + 12].try_into().unwrap()) as usize;
    }
    let reported = |captures: &[&[u8]]| sids(&campaigns(&lines(folder.path(), captures, 3, &[])));
    assert_eq!(reported(&[&whole, &early, &whole]), [1_000_001, 1_000_005, 1_000_001, 1_000_005, 1_000_001, 1_000_005]);
    assert_eq!(reported(&[&half, &half[..]]), Vec::<u64>::new(), "two signatures, twice");
    // Begins before the end of the previous file, so the clock starts anew and the state of the source is cleared.
    let first = sweep(&[(0, "/test/0", "404 No"), (2 * MINUTE, "/test/1", "404 No")]);
    let second = sweep(&[(MINUTE, "/test/2", "404 No")]);
    assert_eq!(reported(&[&first, &second]), NONE);
    let more = ["--lanes=3", "--limit"];
    assert_eq!(sids(&campaigns(&lines(folder.path(), &[&early, &whole], 3, &more))).len(), 4);
}

/// Sweeps of 40 sources with pauses that end campaigns, with any number of lanes and any block size, with limits
/// reached or not.
#[test]
fn campaigns_do_not_depend_on_lanes_blocks_or_keys() {
    let folder = tempfile::tempdir().unwrap();
    let capture = sweeps(7, 40, 1500);
    let counters = folder.path().join("counters.json");
    for (set, moved) in [
        (&[][..], "campaign.ended"),
        (&["--limit"][..], "alert.limited"),
        (&["--set=campaign.sources=8", "--limit", "--set=limit.kinds=6"], "campaign.given_up"),
        (
            &["--set=campaign.memory=20000", "--limit", "--set=limit.memory=2500", "--events=alert,http"],
            "limit.given_up",
        ),
    ] {
        let run = |more: &[&str]| text(folder.path(), &[&capture], 40, &[set, more].concat());
        let expected = run(&["--counters", counters.to_str().unwrap()]);
        let counted: HashMap<String, u64> = serde_json::from_str(&fs::read_to_string(&counters).unwrap()).unwrap();
        assert!(counted[moved] > 0 && counted["campaign.begun"] > 5, "{set:?}: {moved}");
        assert_eq!(counted["campaign.begun"], counted["campaign.ended"]);
        for more in [
            &["--lanes=1"][..],
            &["--lanes=4"],
            &["--lanes=16"],
            &["--set=block.packets=1"],
            &["--set=block.packets=7", "--lanes=3"],
        ] {
            assert!(run(more) == expected, "{set:?} {more:?}");
        }
    }
}

/// The least recently seen source is evicted first, with or without a campaign; a campaign is emitted then.
#[test]
fn least_recent_source_is_evicted() {
    let mut capture = Capture::at(1_750_000_000);
    let asked = [(1, 0), (1, 1), (1, 2), (2, 0), (3, 0), (2, 1), (2, 2)];
    for (port, (source, number)) in (1000..).zip(asked) {
        capture.client = Ipv4Addr::new(198, 51, 100, source).into();
        capture.exchange(port, &request("GET", &format!("/test/{number}")), &response("404 Not Found"));
    }
    let folder = tempfile::tempdir().unwrap();
    let events = lines(folder.path(), &[&capture.pcap()], 3, &["--set=campaign.sources=2"]);
    let reported: Vec<_> =
        events.iter().map(|event| (sid(event) % 1000, event["src_port"].as_u64().unwrap())).collect();
    let expected = [
        (0, 1000),
        (1, 1001),
        (2, 1002),
        (1, 1002),
        (0, 1003),
        (0, 1004),
        // Emitted after the record that evicted it, at the position of its own last request.
        (5, 1002),
        (1, 1005),
        (2, 1006),
        (1, 1006),
        (5, 1006),
    ];
    assert_eq!(reported, expected);
}

/// Emitted and counted hits agree, whatever `--limit` holds back.
#[test]
fn limited_hits_count_in_campaigns() {
    let folder = tempfile::tempdir().unwrap();
    let capture = sweeps(9, 6, 700);
    let reported = |more: &[&str]| {
        let events = lines(folder.path(), &[&capture], 40, more);
        campaigns(&events)
    };
    assert_eq!(reported(&[]), reported(&["--limit"]));
    assert!(reported(&[]).len() > 10);
}

#[test]
fn source_is_an_ipv4_address_or_an_ipv6_network() {
    let reported = |clients: [&str; 3]| {
        let mut capture = Capture::at(1_750_000_000);
        for (number, client) in clients.into_iter().enumerate() {
            capture.client = client.parse().unwrap();
            let port = 1000 + number as u16;
            capture.exchange(port, &request("GET", &format!("/test/{number}")), &response("404 Not Found"));
        }
        campaigns(&replay(&capture.pcap(), 3, &[]))
    };
    let one = reported(["2001:db8:1:2::1", "2001:db8:1:2:ffff::1", "2001:db8:1:2::77:8"]);
    assert_eq!(sids(&one), [1_000_001, 1_000_005]);
    assert_eq!(one[0]["src_ip"], "2001:0db8:0001:0002:0000:0000:0077:0008".parse::<Ipv6Addr>().unwrap().to_string());
    assert_eq!(metadata(&one[0], "smsentry_targets"), ["1", "[2001:db8:fff::a]:80"]);
    assert_eq!(reported(["2001:db8:1:2::1", "2001:db8:1:3::1", "2001:db8:1:2::2"]).len(), 0);
    assert_eq!(reported(["198.51.100.7", "198.51.100.8", "198.51.100.7"]).len(), 0);
}

/// The fingerprint does not depend on addresses and times.
#[test]
fn same_tool_has_the_same_fingerprint_everywhere() {
    let print = |client: &str, second: i64, order: [usize; 4], gap: i64| {
        let mut capture = Capture::at(second);
        capture.client = client.parse().unwrap();
        for (port, number) in order.into_iter().enumerate() {
            let target = format!("/test/{number}");
            capture.exchange(3000 + port as u16, &request("GET", &target), &response("404 Not Found"));
            capture.now += gap;
        }
        let reported = campaigns(&replay(&capture.pcap(), 4, &[]));
        assert_eq!(metadata(&reported[0], "smsentry_fingerprint"), metadata(&reported[1], "smsentry_fingerprint"));
        metadata(&reported[0], "smsentry_fingerprint")[0].to_owned()
    };
    let usual = print("198.51.100.7", 1_750_000_000, [0, 1, 2, 3], 10);
    assert_eq!(usual.len(), 18);
    assert_eq!(usual, print("2001:db8::9", 1_640_000_000, [0, 1, 2, 3], 60_000));
    assert_ne!(usual, print("198.51.100.7", 1_750_000_000, [0, 2, 1, 3], 10));
}

/// Long strings of arbitrary bytes, chosen by an attacker, in every list.
#[test]
fn hostile_strings_are_truncated_and_lists_hold_twenty() {
    let mut capture = Capture::at(1_750_000_000);
    let proof = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
    for number in 0..60_u16 {
        let odd = ["\u{1}", "\u{1b}[31m", "\"\\", "\u{202e}", "x"][usize::from(number) % 5].repeat(400);
        let head = format!(
            "GET /test/{}?{number}={} HTTP/1.1\r\nHost: {number}.example.org\r\nUser-Agent: {number} {odd}\r\n\r\n",
            number % 40,
            "%ff\u{e9}".repeat(300)
        );
        capture.exchange(1000 + number, head.as_bytes(), proof);
    }
    let capture = capture.pcap();
    let folder = tempfile::tempdir().unwrap();
    for format in ["eve", "zeek-json"] {
        let text = text(folder.path(), &[&capture], 40, &["--format", format]);
        assert!(text.is_ascii() && !text.contains('\u{1b}'));
        assert!(text.lines().all(|line| line.len() < 15_999), "{format}");
        if format == "eve" {
            let events: Vec<_> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let reported = campaigns(&events);
            let last = reported.last().unwrap();
            for (key, total) in [("signatures", "40"), ("hosts", "60"), ("agents", "60"), ("exposed", "60")] {
                let list = metadata(last, &format!("smsentry_{key}"));
                assert_eq!(list[0], total, "{key}");
                assert!((5..=21).contains(&list.len()), "{key}: {}", list.len());
            }
            assert_eq!(metadata(last, "smsentry_hosts").len(), 21);
            let cut = metadata(last, "smsentry_truncated");
            assert_eq!(cut, ["smsentry_exposed", "smsentry_agents"]);
            let log = folder.path().join("eve.json");
            fs::write(&log, &text).unwrap();
            crate::format::eve_schemas::assess(&log, 50);
        }
    }
}

#[test]
fn zeek_writes_a_campaign_as_a_notice() {
    let folder = tempfile::tempdir().unwrap();
    let requests = [(0, "/test/0", "404 No"), (10, "/test/1", "404 No"), (20, "/test/2", "404 No")];
    let notices = lines(folder.path(), &[&sweep(&requests)], 3, &["--format=zeek-json"]);
    let campaigns: Vec<_> = notices.iter().filter(|notice| notice["note"] == "SMSENTRY::Campaign").collect();
    assert_eq!(campaigns.len(), 2);
    assert_eq!(campaigns[0]["n"], 3);
    assert_eq!(campaigns[0]["sub"], "signatures: test-0, test-1, test-2");
    let message = campaigns[0]["msg"].as_str().unwrap();
    assert!(
        message.starts_with("198.51.100.7 asked for 3 different things in 3 requests of 1 server: not_found"),
        "{message}"
    );
    assert_eq!(campaigns[0]["uid"], notices[2]["uid"]);
}
