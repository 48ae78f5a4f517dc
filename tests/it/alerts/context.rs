//! Legitimate use and probes that resemble it, through the whole program: visitors and their pages, the provider's own
//! calls, and sources that request many different things.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::Value;
use smsentry::alerts::context::{ContextTag, ContextTracker, ContextVerdict, Limits, confidence};
use smsentry::record::{Alert, PageView};
use smsentry::signature::{Confidence, Legitimate, Signature};
use smsentry::time::Timestamp;

use crate::support::program::{Ran, run};
use crate::support::random_records::plain;
use crate::support::segment_builder::{Conn, Dice, Seg, pcap};

const HTML: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 6\r\n\r\n<html>";
const CSS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/css\r\nContent-Length: 4\r\n\r\na{}\n";
const SAME: &str = "HTTP/1.1 304 Not Modified\r\n\r\n";
const MISSING: &str = "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n";
const STYLE: &str = "/wp-content/plugins/acme-sms/style.css";

/// A style sheet, a webhook, eight more style sheets and four files that nobody requests by accident.
pub(crate) fn signatures() -> String {
    let mut text = format!(
        "family = \"test\"\n
        [[signature]]\nid = 1010000\nrev = 1\nslug = \"style\"\ntitle = \"Style\"\nproduct = \"Acme SMS\"\nseverity = 3
        confidence = \"medium\"\nmatch.suffix = \"{STYLE}\"\nlegitimate.after_page = true\nexposed.proof = [\"text/css\"]
        [[signature]]\nid = 1010001\nrev = 1\nslug = \"hook\"\ntitle = \"Hook\"\nproduct = \"Acme hook\"\nseverity = 2
        confidence = \"low\"\nmatch.path = \"/hook/sms\"
        legitimate.webhook = {{ agents = [\"AcmeProxy/\"], fields = [\"X-Acme-Signature\"] }}\n"
    );
    for number in 0..8 {
        write!(
            text,
            "[[signature]]\nid = {}\nrev = 1\nslug = \"style-{number}\"\ntitle = \"Style {number}\"
            product = \"Plugin {number}\"\nseverity = 3\nconfidence = \"medium\"\nmatch.suffix = \"/p{number}/style.css\"
            legitimate.after_page = true\n",
            1_010_010 + number
        )
        .unwrap();
    }
    for number in 0..4 {
        write!(
            text,
            "[[signature]]\nid = {}\nrev = 1\nslug = \"file-{number}\"\ntitle = \"File {number}\"
            product = \"File {number}\"\nfamily = \"files\"\nseverity = 2\nconfidence = \"high\"
            match.path = \"/files/keys-{number}.json\"\n",
            1_010_020 + number
        )
        .unwrap();
    }
    text
}

/// One request; `fields` are further header lines.
pub(crate) fn ask(method: &str, target: &str, fields: &[&str]) -> String {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    format!("{method} {target} HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: Mozilla/5.0\r\n{fields}\r\n")
}

/// Connections of one or several clients, each with its own port.
#[derive(Default)]
pub(crate) struct Traffic {
    pub(crate) segs: Vec<Seg>,
    port: u16,
    wait: i64,
}

impl Traffic {
    /// A request of client number `client` to the web server, and its response.
    pub(crate) fn asks(&mut self, client: u16, request: &str, answer: &str) -> &mut Self {
        self.asks_of(client, [192, 0, 2, 80], request, answer)
    }

    pub(crate) fn asks_of(&mut self, client: u16, server: [u8; 4], request: &str, answer: &str) -> &mut Self {
        let mut conn = Conn::new(client);
        self.port += 1;
        conn.hosts[1] = server;
        conn.ports[0] = 20_000 + self.port;
        let mut segs = conn.exchange(request, answer);
        segs[0].wait += self.wait;
        self.wait = 0;
        self.segs.extend(segs);
        self
    }

    pub(crate) fn wait(&mut self, seconds: i64) -> &mut Self {
        self.wait += seconds * 1_000_000;
        self
    }

    /// The alerts of the program for this traffic.
    pub(crate) fn replay(&self, more: &[&str]) -> (Ran, Vec<Value>) {
        replay(&pcap(&self.segs), more)
    }
}

/// A directory with the capture and the signatures.
pub(crate) fn directory(capture: &[u8]) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let (file, own) = (directory.path().join("a.pcap"), directory.path().join("own.toml"));
    std::fs::write(&file, capture).unwrap();
    std::fs::write(&own, signatures()).unwrap();
    (directory, file, own)
}

fn replay(capture: &[u8], more: &[&str]) -> (Ran, Vec<Value>) {
    let (_room, file, own) = directory(capture);
    let mut arguments = vec!["-q", "-S", own.to_str().unwrap(), "-r", file.to_str().unwrap()];
    arguments.extend(more);
    let ran = run(&arguments);
    assert_eq!((ran.code, &*ran.err), (0, ""));
    let alerts = alerts(&ran);
    (ran, alerts)
}

/// The alerts of a run, without campaigns.
pub(crate) fn alerts(ran: &Ran) -> Vec<Value> {
    let lines = ran.out.lines().filter(|line| line.starts_with('{'));
    let events = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["alert"]["metadata"]["smsentry_signature"].is_array()).collect()
}

fn words(alert: &Value) -> Vec<&str> {
    let context = alert["alert"]["metadata"]["smsentry_context"].as_array();
    context.into_iter().flatten().map(|word| word.as_str().unwrap()).collect()
}

fn slugs(alerts: &[Value]) -> Vec<&str> {
    alerts.iter().map(|alert| alert["alert"]["metadata"]["smsentry_signature"][0].as_str().unwrap()).collect()
}

#[test]
fn visitor_of_a_page_is_not_reported() {
    let from = "Referer: http://www.example.org/contact/";
    for (answer, referer) in [
        (CSS, from),
        (SAME, from),
        (MISSING, from),
        (CSS, "Referer: https://WWW.Example.ORG:8443"),
        (CSS, "Referer: http://www.example.org./?utm=1#x"),
    ] {
        let mut traffic = Traffic::default();
        traffic.asks(1, &ask("GET", "/contact/", &[]), HTML).asks(1, &ask("GET", STYLE, &[referer]), answer);
        // The page explains the style sheet for half an hour.
        traffic.wait(1700).asks(1, &ask("GET", &format!("{STYLE}?ver=2"), &[referer]), answer);
        assert_eq!(slugs(&traffic.replay(&[]).1), [""; 0], "{answer} {referer}");
    }
}

#[test]
fn page_on_the_same_connection_or_in_the_same_second_counts() {
    let (page, style) = (ask("GET", "/", &[]), ask("GET", STYLE, &["Referer: http://www.example.org/", "Cookie: a=b"]));
    let conn = Conn::new(1);
    let (one, two) = (1 + page.len() as i64, 1 + HTML.len() as i64);
    let mut segs = conn.open();
    segs.extend([conn.up(1, 1, &page), conn.down(1, one, HTML), conn.up(one, two, &style)]);
    let three = one + style.len() as i64;
    segs.push(conn.down(two, three, CSS));
    segs.extend(conn.close(three, two + CSS.len() as i64));
    assert_eq!(slugs(&replay(&pcap(&segs), &[]).1), [""; 0]);
}

#[test]
fn requests_that_only_resemble_a_visit_are_reported() {
    let page = ask("GET", "/", &[]);
    let same = "Referer: http://www.example.org/";
    let style = |fields: &[&str]| ask("GET", STYLE, fields);
    // The client of the page, the request, the delay in seconds, and the context words.
    for (viewer, fields, wait, expected, confidence) in [
        (1, &[][..], 0, &["no-referer", "after-page"][..], "Medium"),
        (2, &[], 0, &["no-referer", "no-page"], "High"),
        (1, &["Referer:"], 0, &["no-referer", "after-page"], "Medium"),
        (1, &["Referer: http://www.example.com/"], 0, &["other-site-referer", "after-page"], "Medium"),
        (1, &["Referer: http://example.org/"], 0, &["other-site-referer", "after-page"], "Medium"),
        (1, &["Referer: http://www.example.org@evil.example/"], 0, &["other-site-referer", "after-page"], "Medium"),
        (1, &["Referer: ftp://www.example.org/"], 0, &["other-site-referer", "after-page"], "Medium"),
        (1, &["Referer: www.example.org"], 0, &["other-site-referer", "after-page"], "Medium"),
        (
            1,
            &["Referer: http://www.example.org/x/../wp-content//plugins/acme-sms/style.css?a=b"],
            0,
            &["self-referer", "after-page"],
            "Medium",
        ),
        (2, &[same], 0, &["same-site-referer", "no-page"], "Medium"),
        (1, &[same], 1801, &["same-site-referer", "no-page"], "Medium"),
        (2, &["Cookie: a=b"], 0, &["no-referer", "no-page", "cookie"], "Medium"),
    ] {
        let mut traffic = Traffic::default();
        traffic.asks(viewer, &page, HTML).wait(wait).asks(1, &style(fields), CSS);
        let (_, alerts) = traffic.replay(&[]);
        assert_eq!(slugs(&alerts), ["style"], "{fields:?}");
        assert_eq!(words(&alerts[0]), expected, "{fields:?}");
        assert_eq!(alerts[0]["alert"]["metadata"]["confidence"][0], confidence, "{fields:?}");
    }
    // Before the page, of another server, after a response that is no page.
    let mut before = Traffic::default();
    before.asks(1, &style(&[same]), CSS).asks(1, &page, HTML);
    let mut elsewhere = Traffic::default();
    elsewhere.asks_of(1, [192, 0, 2, 81], &page, HTML).asks(1, &style(&[same]), CSS);
    let mut no_page = Traffic::default();
    no_page.asks(1, &page, MISSING).asks(1, &style(&[same]), CSS);
    for traffic in [before, elsewhere, no_page] {
        let (_, alerts) = traffic.replay(&[]);
        assert_eq!(alerts.iter().map(words).collect::<Vec<_>>(), [["same-site-referer", "no-page"]]);
    }
    // Leaked files have no visitors.
    let mut leak = Traffic::default();
    leak.asks(1, &page, HTML).asks(1, &ask("GET", "/files/keys-0.json", &[same, "Cookie: a=b"]), CSS);
    let (_, alerts) = leak.replay(&[]);
    assert_eq!((slugs(&alerts), words(&alerts[0])), (vec!["file-0"], vec![]));
}

#[test]
fn provider_calling_its_own_webhook_is_not_reported() {
    let call = |method, agent: &str, field: &str| {
        format!("{method} /hook/sms HTTP/1.1\r\nHost: a\r\nUser-Agent: {agent}\r\n{field}Content-Length: 0\r\n\r\n")
    };
    let signed = "X-Acme-Signature: x\r\n";
    let mut traffic = Traffic::default();
    traffic.asks(1, &call("POST", "AcmeProxy/1.1", signed), CSS);
    assert_eq!(slugs(&traffic.replay(&[]).1), [""; 0]);
    for (method, agent, field) in
        [("GET", "AcmeProxy/1.1", signed), ("POST", "curl/8", signed), ("POST", "AcmeProxy/1.1", "")]
    {
        let mut traffic = Traffic::default();
        traffic.asks(1, &call(method, agent, field), CSS);
        let (_, alerts) = traffic.replay(&[]);
        assert_eq!(slugs(&alerts), ["hook"], "{method} {agent} {field}");
        assert_eq!(words(&alerts[0]), ["unlike-provider"]);
        assert_eq!(alerts[0]["alert"]["metadata"]["confidence"][0], "Medium");
    }
}

#[test]
fn source_with_many_probes_gets_no_discount() {
    let same = "Referer: http://www.example.org/";
    let visit = |traffic: &mut Traffic| {
        traffic.asks(1, &ask("GET", "/", &[]), HTML);
    };
    // Three probes before; two, or three more than ten minutes ago, are not many.
    for (probes, wait, discount) in [(3, 0, false), (2, 0, true), (3, 601, true), (3, 590, false)] {
        let mut traffic = Traffic::default();
        visit(&mut traffic);
        for number in 0..probes {
            traffic.asks(1, &ask("GET", &format!("/files/keys-{number}.json"), &[]), MISSING);
        }
        traffic.wait(wait).asks(1, &ask("GET", STYLE, &[same]), CSS);
        let (_, alerts) = traffic.replay(&[]);
        assert_eq!(alerts.len(), probes + usize::from(!discount), "{probes} {wait}");
        if !discount {
            assert_eq!(words(&alerts[probes]), ["same-site-referer", "after-page", "many-signatures"]);
            assert_eq!(alerts[probes]["alert"]["metadata"]["confidence"][0], "High");
        }
    }
    // The same probe repeated counts once, and another client is another source.
    let mut traffic = Traffic::default();
    visit(&mut traffic);
    for _ in 0..6 {
        traffic.asks(1, &ask("GET", "/files/keys-0.json", &[]), MISSING);
    }
    for n in 0..4 {
        traffic.asks(2, &ask("GET", &format!("/files/keys-{n}.json"), &[]), MISSING);
    }
    traffic.asks(1, &ask("GET", STYLE, &[same]), CSS);
    assert!(!slugs(&traffic.replay(&[]).1).contains(&"style"));
    // A list of style sheets with forged Referers: the fifth and all later ones are reported, the first again too.
    let mut traffic = Traffic::default();
    visit(&mut traffic);
    for n in 0..8 {
        traffic.asks(1, &ask("GET", &format!("/p{n}/style.css"), &[same]), CSS);
    }
    traffic.asks(1, &ask("GET", "/p0/style.css", &[same]), CSS);
    let (_, alerts) = traffic.replay(&[]);
    assert_eq!(slugs(&alerts), ["style-4", "style-5", "style-6", "style-7", "style-0"]);
}

/// Many visitors and scanners at once: the same bytes with any number of lanes and any block size.
#[test]
fn context_does_not_depend_on_the_number_of_lanes() {
    let mut dice = Dice::new(7);
    let mut traffic = Traffic::default();
    for _ in 0..400 {
        let client = dice.below(12) as u16;
        let fields: &[&str] = dice.pick(&[&["Referer: http://www.example.org/"][..], &[]]);
        let target = match dice.below(6) {
            0 | 1 => "/".to_owned(),
            2 => format!("/files/keys-{}.json", dice.below(4)),
            3 => STYLE.to_owned(),
            _ => format!("/p{}/style.css", dice.below(8)),
        };
        let answer = if target == "/" { HTML } else { dice.pick(&[CSS, MISSING, SAME]) };
        traffic.wait(dice.below(40) as i64).asks(client, &ask("GET", &target, fields), answer);
    }
    // Except for the name of the file, which differs in each run.
    let lines = |ran: &Ran| {
        let events = ran.out.lines().map(|line| line.split(",\"pcap_filename").next().unwrap().to_owned());
        events.collect::<Vec<_>>()
    };
    let (expected, alerts) = traffic.replay(&[]);
    let known: BTreeSet<_> = alerts.iter().flat_map(|alert| words(alert)).collect();
    assert!(known.len() >= 5 && alerts.len() > 50, "{known:?}");
    for more in [
        &["--lanes", "2"][..],
        &["--lanes", "16"],
        &["--lanes", "3", "--set", "block.packets=7"],
        &["--set", "block.packets=1"],
    ] {
        let (found, expected) = (lines(&traffic.replay(more).0), lines(&expected));
        let differs = found.iter().zip(&expected).find(|(found, expected)| found != expected);
        assert_eq!((differs, found.len()), (None, expected.len()), "{more:?}");
    }
}

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_secs_nanos(1_750_000_000 + seconds, 0)
}

fn hit(client: &str, sid: u32) -> Alert {
    let mut alert = plain();
    alert.transaction.client.ip = client.parse().unwrap();
    alert.transaction.request.referrer = Some(b"http://www.example.com/".to_vec());
    let legitimate = Legitimate { after_page: true, webhook: None };
    alert.signature = Signature { id: sid, legitimate, ..(*alert.signature).clone() }.into();
    alert
}

fn page(client: &str) -> PageView {
    PageView { client: client.parse().unwrap(), server: plain().transaction.server.ip }
}

#[test]
fn context_memory_is_bounded_and_the_oldest_is_evicted_first() {
    let mut context = ContextTracker::new([1, 2], Limits { pages: 100, sources: 100 });
    let client = |number: u32| format!("10.0.{}.{}", number / 256, number % 256);
    for number in 0..200 {
        context.page(page(&client(number)), time(i64::from(number)));
    }
    for number in [99, 100, 199] {
        let evaluated = context.evaluate(&mut hit(&client(number), 1_010_000), time(200));
        assert_eq!(evaluated == ContextVerdict::Legitimate, number >= 100, "{number}");
    }
    assert_eq!((context.counters().pages, context.counters().page_limit), (200, 100));
    for number in 0..500 {
        context.evaluate(&mut hit(&client(number), 1_010_000), time(300));
    }
    assert!(context.counters().source_limit >= 400);
    context.forget();
    assert_eq!(context.evaluate(&mut hit(&client(199), 1_010_000), time(200)), ContextVerdict::Probe);
}

#[test]
fn source_is_an_address_or_a_network_of_64_bits() {
    for (first, second, same) in [
        ("2001:db8::1", "2001:db8::ffff:1", true),
        ("2001:db8::1", "2001:db8:0:1::1", false),
        ("192.0.2.1", "192.0.2.2", false),
    ] {
        let mut context = ContextTracker::new([1, 2], Limits::default());
        context.page(page(second), time(0));
        // Without a page they are probes.
        (0..3).for_each(|sid| {
            assert_eq!(context.evaluate(&mut hit(first, 1_010_000 + sid), time(1)), ContextVerdict::Probe)
        });
        let evaluated = context.evaluate(&mut hit(second, 1_010_009), time(2));
        assert_eq!(evaluated == ContextVerdict::Probe, same, "{first} {second}");
        // The page was requested by one address.
        assert_eq!(context.evaluate(&mut hit(first, 1_010_009), time(2)), ContextVerdict::Probe);
    }
}

#[test]
fn context_changes_confidence_by_one_step() {
    use ContextTag::*;
    let mut alert = plain();
    for (own, circumstances, expected) in [
        (Confidence::Low, &[NoReferer, NoPage][..], Confidence::Medium),
        (Confidence::High, &[NoReferer, NoPage], Confidence::High),
        (Confidence::High, &[SameSiteReferer, AfterPage, ManySignatures], Confidence::High),
        (Confidence::Low, &[SameSiteReferer, AfterPage, ManySignatures], Confidence::Medium),
        (Confidence::High, &[AfterPage, Cookie], Confidence::Medium),
        (Confidence::Medium, &[SameSiteReferer, NoPage], Confidence::Medium),
        (Confidence::Low, &[ProviderWebhook], Confidence::Low),
        (Confidence::Medium, &[], Confidence::Medium),
    ] {
        let signature = Signature { confidence: own, ..(*alert.signature).clone() };
        alert.signature = signature.into();
        alert.context = circumstances.iter().map(|word| word.name().to_owned()).collect();
        alert.context.push("suppress mine.toml:1 no-referer".to_owned());
        assert_eq!(confidence(&alert), expected, "{own:?} {circumstances:?}");
    }
    let names: BTreeSet<_> = ContextTag::ALL.map(ContextTag::name).into();
    assert_eq!(names.len(), ContextTag::ALL.len());
}
