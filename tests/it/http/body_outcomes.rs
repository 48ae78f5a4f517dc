//! Outcomes that the first bytes of a body decide, through the whole sensor: with any split, framing and coding, with
//! losses and limits; support hits, page views and request traits, which lanes pass to the output stage.

use std::io::Write;
use std::sync::{Arc, LazyLock};

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;
use smsentry::record::{Alert, Body};
use smsentry::sensor::Options;
use smsentry::signature::{SignatureFile, SignatureOrigin, Signatures};

use crate::support::segment_builder::{Client, Conn, Run, Seg, Server, get, options, run_against};

const FILE: &str = r#"
family = "test"
mitre = { tactic = "TA0006 Credential Access", technique = "T1552.001 Credentials In Files" }
[[signature]]
id = 1010001
rev = 1
slug = "keys"
title = "keys"
product = "keys"
severity = 2
confidence = "high"
match.path = "/keys"
exposed.proof = ["text/plain", "none"]
exposed.present = ["application/json"]
exposed.status = { 405 = "exposed", 402 = "present" }
exposed.body = ['TWILIO_[A-Z_]+=', 'AC[0-9a-f]{32}']
legitimate.after_page = true
legitimate.webhook = { agents = ["TwilioProxy/"], fields = ["X-Twilio-Signature"] }
[[signature]]
id = 1010002
rev = 1
slug = "any-type"
title = "any type"
product = "keys"
severity = 2
confidence = "high"
match.path = "/any"
exposed.present = ["application/json"]
exposed.body = ['TWILIO_[A-Z_]+=']
[[signature]]
id = 1010003
rev = 1
slug = "below"
title = "below"
product = "keys"
severity = 2
confidence = "low"
match.suffix = "/keys"
status = "support"
[[signature]]
id = 1010004
rev = 1
slug = "env"
title = "env"
product = "env"
severity = 3
confidence = "low"
match.suffix = "/.env"
status = "support"
exposed.proof = ["text/plain"]
"#;

static SIGNATURES: LazyLock<Arc<Signatures>> = LazyLock::new(|| {
    let source = SignatureFile { name: "test.toml", text: FILE, origin: SignatureOrigin::User };
    Arc::new(Signatures::load(&[source], &mut |name| Err(name.into())).unwrap())
});

const KEYS: &[u8] = b"APP_ENV=prod\nTWILIO_AUTH_TOKEN=EXAMPLE-NOT-A-TOKEN\n";

fn c() -> Conn {
    Conn::new(1)
}

fn run(segs: &[Seg]) -> Run {
    run_against(segs, options(), &SIGNATURES)
}

fn alert_lines(run: &Run) -> Vec<(&'static str, bool)> {
    alerts(run).map(|alert| (alert.outcome.name(), alert.late.is_some())).collect()
}

fn alerts(run: &Run) -> impl Iterator<Item = &Alert> {
    run.records.iter().filter_map(|record| match &record.body {
        Body::Alert(alert) => Some(&**alert),
        _ => None,
    })
}

fn answer(status: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

fn outcome(request: &str, answer: &[u8]) -> &'static str {
    let run = run(&c().exchange(request, answer));
    let alert_lines = alert_lines(&run);
    assert_eq!(alert_lines.len(), 1, "{alert_lines:?}");
    assert!(!alert_lines[0].1);
    alert_lines[0].0
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut to = GzEncoder::new(Vec::new(), Compression::default());
    to.write_all(text).unwrap();
    to.finish().unwrap()
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut to = ZlibEncoder::new(Vec::new(), Compression::default());
    to.write_all(text).unwrap();
    to.finish().unwrap()
}

fn deflate(text: &[u8]) -> Vec<u8> {
    let mut to = DeflateEncoder::new(Vec::new(), Compression::default());
    to.write_all(text).unwrap();
    to.finish().unwrap()
}

/// The body in chunks of so many bytes.
fn chunked(head: &str, body: &[u8], size: usize) -> Vec<u8> {
    let mut out = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for chunk in body.chunks(size) {
        out.extend_from_slice(format!("{:x};ext=1\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\nX: y\r\n\r\n");
    out
}

const PLAIN: &str = "Content-Type: text/plain; charset=utf-8\r\n";
const HTML: &str = "Content-Type: text/html\r\n";
const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn type_and_body_together_are_proof() {
    let page = b"<html>TWILIO docs</html>";
    let filler = |len: usize| [vec![b'#'; len], KEYS.to_vec()].concat();
    for (target, status, fields, body, expected) in [
        ("/keys", "200 OK", PLAIN, KEYS, "exposed"),
        ("/keys", "206 Partial Content", PLAIN, KEYS, "exposed"),
        ("/keys", "200 OK", "", KEYS, "exposed"),
        ("/keys", "200 OK", PLAIN, b"sid: AC0123456789abcdef0123456789abcdef", "exposed"),
        ("/keys", "200 OK", PLAIN, page, "present"),
        ("/keys", "200 OK", JSON, KEYS, "present"),
        ("/keys", "200 OK", HTML, KEYS, "unproven"),
        ("/keys", "200 OK", HTML, page, "unproven"),
        ("/keys", "200 OK", PLAIN, b"", "unproven"),
        ("/keys", "402 Payment Required", PLAIN, KEYS, "present"),
        ("/keys", "405 Method Not Allowed", HTML, KEYS, "exposed"),
        ("/keys", "405 Method Not Allowed", HTML, page, "refused"),
        ("/keys", "405 Method Not Allowed", HTML, b"", "refused"),
        ("/keys", "404 Not Found", PLAIN, KEYS, "not_found"),
        ("/keys", "500 Oops", PLAIN, KEYS, "error"),
        ("/any", "200 OK", HTML, KEYS, "exposed"),
        ("/any", "200 OK", HTML, page, "unproven"),
        ("/any", "200 OK", JSON, page, "present"),
        ("/any", "200 OK", JSON, KEYS, "exposed"),
        // The first 1024 bytes are examined, and they must contain the whole match.
        ("/keys", "200 OK", PLAIN, &filler(1024 - 31), "exposed"),
        ("/keys", "200 OK", PLAIN, &filler(1024 - 30), "present"),
        ("/any", "200 OK", HTML, &filler(1024 - 30), "unproven"),
    ] {
        let case = format!("{target} {status} {fields}");
        assert_eq!(outcome(&get(target), &answer(status, fields, body)), expected, "{case}");
    }
}

#[test]
fn unreadable_bodies_prove_nothing() {
    let head = |method: &str| get("/keys").replacen("GET", method, 1);
    assert_eq!(outcome(&head("POST"), &answer("200 OK", PLAIN, KEYS)), "exposed");
    for (fields, body) in [
        ("Content-Encoding: br\r\n", KEYS.to_vec()),
        ("Content-Encoding: zstd\r\n", KEYS.to_vec()),
        ("Content-Encoding: gzip, gzip\r\n", gzip(&gzip(KEYS))),
        ("Content-Encoding: gzip\r\n", KEYS.to_vec()),
        ("Content-Encoding: deflate\r\n", gzip(KEYS)),
    ] {
        assert_eq!(outcome(&get("/keys"), &answer("200 OK", &[PLAIN, fields].concat(), &body)), "present", "{fields}");
    }
    for (fields, body) in [
        ("Content-Encoding: gzip\r\n", gzip(KEYS)),
        ("Content-Encoding: X-GZIP\r\n", gzip(KEYS)),
        ("Content-Encoding: identity\r\n", KEYS.to_vec()),
        ("Content-Encoding: deflate\r\n", zlib(KEYS)),
        ("Content-Encoding: deflate\r\n", deflate(KEYS)),
    ] {
        assert_eq!(outcome(&get("/keys"), &answer("200 OK", &[PLAIN, fields].concat(), &body)), "exposed", "{fields}");
    }
    // A response to HEAD has no body, whatever its length field; the next response is not its body.
    let next = answer("200 OK", PLAIN, KEYS);
    let segs = [
        c().open(),
        vec![c().up(1, 1, [head("HEAD"), get("/")].concat())],
        vec![c().down(
            1,
            1 + (head("HEAD").len() + get("/").len()) as i64,
            [&b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 50\r\n\r\n"[..], &next].concat(),
        )],
    ];
    assert_eq!(alert_lines(&run(&segs.concat())), [("present", false)]);
}

#[test]
fn body_is_assessed_when_no_more_of_it_comes() {
    let whole = answer("200 OK", PLAIN, &[KEYS, &[b'#'; 4000]].concat());
    let head = whole.len() - 4000 - KEYS.len();
    let end = 1 + get("/keys").len() as i64;
    let asked = || [c().open(), vec![c().up(1, 1, get("/keys"))]].concat();
    let part = |from: usize, to: usize| c().down(1 + from as i64, end, &whole[from..to]);
    let later = |seconds| Conn::new(77).syn().seconds(seconds);
    let enough = head + KEYS.len();
    for (name, more, expected) in [
        ("the capture ends", vec![part(0, enough)], "exposed"),
        ("too early", vec![part(0, head + 20)], "present"),
        ("with the head", vec![part(0, head)], "present"),
        ("the time is up", vec![part(0, enough), later(20)], "exposed"),
        ("reset", vec![part(0, enough), c().seg(Server, "RA", 1 + enough as i64, end, b"")], "exposed"),
        (
            "a gap",
            vec![part(0, enough), part(enough + 10, whole.len()), c().bare(Client, end, 1 + whole.len() as i64)],
            "exposed",
        ),
        (
            "a gap before the proof",
            vec![part(0, head + 5), part(head + 10, whole.len()), c().bare(Client, end, 1 + whole.len() as i64)],
            "present",
        ),
        ("enough", vec![part(0, head + 1024)], "exposed"),
    ] {
        let run = run(&[asked(), more].concat());
        assert_eq!(alert_lines(&run), [(expected, false)], "{name}");
        // The record of the request follows, once.
        assert!(matches!(&run.records[..], [a, b] if a.order < b.order && matches!(b.body, Body::Http(_))), "{name}");
    }
    // A late body may still prove `exposed`; no other outcome causes a second alert.
    let slowly = |to: usize| run(&[asked(), vec![part(0, head + 20), later(20), part(head + 20, to)]].concat());
    assert_eq!(alert_lines(&slowly(enough)), [("present", false), ("exposed", true)]);
    assert_eq!(alert_lines(&slowly(head + 21)), [("present", false)]);
    assert_eq!(slowly(enough).counter("alert.late_answers"), 1);
    // Limits: assessed with what is there, and dropped.
    let tiny = Options { held_memory: 1500, ..options() };
    let run = run_against(&[asked(), vec![part(0, enough)]].concat(), tiny, &SIGNATURES);
    assert!(matches!(alert_lines(&run)[..], [("unseen" | "exposed", false)]));
    assert!(run.most[3] <= 1500);
}

#[test]
fn enough_of_the_body_decides_before_its_end() {
    let whole = answer("200 OK", PLAIN, &[KEYS, &[b'#'; 4000]].concat());
    let end = 1 + get("/keys").len() as i64;
    let mut segs = [c().open(), vec![c().up(1, 1, get("/keys"))]].concat();
    for (at, piece) in whole.chunks(400).enumerate() {
        segs.push(c().down(1 + 400 * at as i64, end, piece));
    }
    let run = run(&segs);
    let alert = run.records.iter().find(|record| matches!(record.body, Body::Alert(_))).unwrap();
    // The head has under 100 bytes: the third piece brings the 1024th byte.
    assert_eq!(alert.order.decided_by, 4 + 3);
    assert!(run.most[3] < 3500, "{:?}", run.most);
    // Without records of requests nothing is held from then on.
    let run = run_against(&segs, Options { http_events: false, ..options() }, &SIGNATURES);
    assert_eq!(alert_lines(&run), [("exposed", false)]);
}

#[test]
fn late_response_is_proven_by_its_body() {
    let end = 1 + get("/keys").len() as i64;
    let whole = answer("200 OK", PLAIN, KEYS);
    let asked = || [c().open(), vec![c().up(1, 1, get("/keys")), c().bare(Server, 1, end)]].concat();
    let half = whole.len() - 10;
    let late = |body: &[u8]| {
        let whole = answer("200 OK", PLAIN, body);
        let segs = vec![
            c().down(1, end, &whole[..half]).seconds(20),
            c().down(1 + half as i64, end, &whole[half..]).seconds(20),
        ];
        alert_lines(&run(&[asked(), segs].concat()))
    };
    assert_eq!(late(KEYS), [("pending", false), ("exposed", true)]);
    assert_eq!(late(&vec![b'#'; KEYS.len()]), [("pending", false), ("present", true)]);
    for http_events in [false, true] {
        let options = Options { outcome_timeout: std::time::Duration::ZERO, http_events, ..options() };
        let run = run_against(&[asked(), vec![c().down(1, end, &whole)]].concat(), options, &SIGNATURES);
        assert_eq!(alert_lines(&run), [("pending", false), ("exposed", true)]);
    }
}

#[test]
fn response_captured_before_its_request_is_assessed() {
    let whole = answer("200 OK", PLAIN, KEYS);
    let (end, back) = (1 + get("/keys").len() as i64, 1 + whole.len() as i64);
    let request = c().up(1, 1, get("/keys"));
    for cut in [whole.len(), whole.len() - 5, whole.len() - KEYS.len() - 3, 10] {
        let (first, rest) = (c().down(1, end, &whole[..cut]), c().down(1 + cut as i64, end, &whole[cut..]));
        let segs = [c().open(), vec![first, request.clone(), rest], c().close(end, back)].concat();
        assert_eq!(alert_lines(&run(&segs)), [("exposed", false)], "{cut}");
    }
    // At most a kilobyte of it is kept.
    let long = answer("200 OK", PLAIN, &[KEYS, &[b'#'; 4000]].concat());
    let mut segs = c().open();
    for (at, piece) in long.chunks(1000).enumerate() {
        segs.push(c().down(1 + 1000 * at as i64, end, piece));
    }
    segs.push(request);
    let run = run(&segs);
    assert_eq!(alert_lines(&run), [("exposed", false)]);
    assert!(run.most[1] < 8 << 10, "{:?}", run.most);
}

/// A request and its response in pieces.
fn pieces(request: &str, answer: &[u8], cuts: &[prop::sample::Index]) -> Vec<Seg> {
    let end = 1 + request.len() as i64;
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(answer.len() + 1)).collect();
    places.extend([0, answer.len()]);
    places.sort_unstable();
    places.dedup();
    let down = places.windows(2).map(|pair| c().down(1 + pair[0] as i64, end, &answer[pair[0]..pair[1]]));
    let mut segs = c().open();
    segs.push(c().up(1, 1, request));
    segs.extend(down);
    segs.extend(c().close(end, 1 + answer.len() as i64));
    segs
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn splits_framing_and_coding_do_not_matter(
        before in 0_usize..1100,
        after in 0_usize..1500,
        noise in 1_u64..255,
        coding in 0_usize..4,
        framing in 0_usize..3,
        size in 1_usize..1200,
        swapped in any::<prop::sample::Index>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let filler = |len: usize| (0..len as u64).map(|at| b'a' + (at.wrapping_mul(noise) % 7) as u8).collect::<Vec<u8>>();
        let text = [filler(before), KEYS.to_vec(), filler(after)].concat();
        let (name, body) = match coding {
            0 => ("identity", text.clone()),
            1 => ("gzip", gzip(&text)),
            2 => ("deflate", zlib(&text)),
            _ => ("deflate", deflate(&text)),
        };
        let fields = format!("{PLAIN}Content-Encoding: {name}\r\n");
        let whole = match framing {
            0 => answer("200 OK", &fields, &body),
            1 => chunked(&format!("HTTP/1.1 200 OK\r\n{fields}"), &body, size),
            _ => [format!("HTTP/1.0 200 OK\r\n{fields}\r\n").as_bytes(), &body].concat(),
        };
        // As specified: the match has to end within 1024 decoded bytes, encoded in the first 1024 on the wire.
        let needed = before + b"APP_ENV=prod\nTWILIO_AUTH_TOKEN=".len();
        let expected = if needed <= 1024 { "exposed" } else { "present" };
        prop_assert!(coding == 0 || body.len() <= 1024);
        let request = get("/keys");
        let mut segs = pieces(&request, &whole, &cuts);
        let run = run(&segs);
        prop_assert_eq!(alert_lines(&run), [(expected, false)]);
        // The order of two neighbours does not matter either.
        let at = swapped.index(segs.len() - 5) + 3;
        if at + 1 < segs.len() - 3 {
            segs.swap(at, at + 1);
            prop_assert_eq!(alert_lines(&self::run(&segs)), [(expected, false)]);
        }
    }
}

#[test]
fn support_hits_are_recorded_but_never_beside_the_best() {
    let run = run(&c().exchange(get("/x/keys"), answer("200 OK", PLAIN, KEYS)));
    let found: Vec<_> = alerts(&run).map(|alert| (alert.signature.slug.as_str(), alert.also.len())).collect();
    assert_eq!(found, [("below", 0)]);
    assert!(run.reported().is_empty() && run.alerts().is_empty());
    assert_eq!((run.counter("alert.probes"), run.counter("alert.support")), (0, 1));
    // An active one is better, and the other is not listed beside it.
    let run = self::run(&c().exchange(get("/keys"), answer("200 OK", PLAIN, KEYS)));
    let found: Vec<_> = alerts(&run).map(|alert| (alert.signature.slug.as_str(), alert.also.len())).collect();
    assert_eq!(found, [("keys", 0)]);
    assert_eq!((run.counter("alert.probes"), run.counter("alert.support")), (1, 0));
    // It has an outcome like any other.
    let run = self::run(&c().exchange(get("/a/.env"), answer("200 OK", PLAIN, KEYS)));
    assert_eq!(alert_lines(&run), [("exposed", false)]);
}

/// Requests on one connection, each answered before the next.
fn dialogue(exchanges: &[(String, Vec<u8>)]) -> Vec<Seg> {
    let mut segs = c().open();
    let (mut there, mut back) = (1, 1);
    for (request, answer) in exchanges {
        segs.push(c().up(there, back, request));
        there += request.len() as i64;
        segs.push(c().down(back, there, answer));
        back += answer.len() as i64;
    }
    segs.extend(c().close(there, back));
    segs
}

#[test]
fn first_page_view_of_a_flow_is_recorded() {
    let page = answer("200 OK", "Content-Type: Text/HTML; charset=utf-8\r\n", b"<html>");
    let other = answer("404 Not Found", HTML, b"<html>");
    let css = answer("200 OK", "Content-Type: text/css\r\n", b"a{}");
    let exchanges = [
        (get("/no"), other.clone()),
        (get("/a.css"), css.clone()),
        (get("/keys"), page.clone()),
        (get("/"), page.clone()),
        (get("/two"), page.clone()),
        (get("/keys"), css.clone()),
    ];
    for http_events in [false, true] {
        let run = run_against(&dialogue(&exchanges), Options { http_events, ..options() }, &SIGNATURES);
        let [(order, page)] = run.page_views[..] else { panic!("{:?}", run.page_views) };
        assert_eq!([page.client.to_string(), page.server.to_string()], ["198.51.0.1", "192.0.2.80"]);
        // Not by the response to a probe; decided by the packet of the response.
        assert_eq!((order.tx_id, order.decided_by), (3, 3 + 8));
        let last = run.records.iter().filter(|record| matches!(record.body, Body::Alert(_))).max_by_key(|r| r.order);
        assert!(order < last.unwrap().order);
    }
    // A connection that stays open has page views for a long time.
    let hours: Vec<Seg> =
        dialogue(&exchanges[3..5]).into_iter().enumerate().map(|(at, seg)| seg.seconds(at as i64 * 30)).collect();
    assert_eq!(run(&hours).page_views.len(), 2);
    // No page views where no signature requests them.
    let source = FILE.replace("legitimate.after_page = true", "");
    let source = SignatureFile { name: "test.toml", text: &source, origin: SignatureOrigin::User };
    let without = Arc::new(Signatures::load(&[source], &mut |name| Err(name.into())).unwrap());
    assert!(run_against(&dialogue(&exchanges), options(), &without).page_views.is_empty());
}

#[test]
fn request_traits_are_those_of_the_request() {
    let call = "POST /keys HTTP/1.1\r\nHost: a\r\nUser-Agent: TwilioProxy/1.1\r\nX-Twilio-Signature: x\r\n\
                Content-Length: 0\r\n\r\n";
    let trace = |request: &str, cuts: &[usize]| {
        let mut segs = c().open();
        let mut places = [cuts, &[0, request.len()]].concat();
        places.sort_unstable();
        segs.extend(places.windows(2).map(|pair| c().up(1 + pair[0] as i64, 1, &request[pair[0]..pair[1]])));
        let run = run(&segs);
        alerts(&run).next().map(|alert| alert.traits).unwrap()
    };
    let whole = trace(call, &[]);
    assert!(whole.webhook && !whole.cookie);
    for cuts in [&[1][..], &[20], &[21, 22, 40], &[call.len() - 1]] {
        assert_eq!(trace(call, cuts), whole, "{cuts:?}");
    }
    let browser = get("/keys").replace("\r\n\r\n", "\r\nCookie: a=b\r\n\r\n");
    assert!(trace(&browser, &[]).cookie && !trace(&browser, &[]).webhook);
    assert_ne!(trace(&browser, &[]).field_order, trace(&get("/keys"), &[]).field_order);
    // Values don't matter, and lenient spelling does not.
    let other = get("/keys").replace("victim.example", "other.example").replace("Host: ", "hOST:");
    assert_eq!(trace(&other, &[]).field_order, trace(&get("/keys"), &[]).field_order);
}
