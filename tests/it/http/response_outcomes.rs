//! Outcomes of responses: only what was seen counts, at the time it was decided.

use std::time::Duration;

use smsentry::record::{Alert, Body, EventKind, Record};

use crate::support::segment_builder::{Client, Conn, NOT_FOUND, Run, Seg, Server, get, options, run, run_with};

const EXPOSED: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 35\r\n\r\n{\"api_key\":\"secret1\",\"of\":\"a test\"}";

fn c() -> Conn {
    Conn::new(1)
}

/// A file that is proven by its type and its beginning.
fn config() -> String {
    get("/sms_config.json")
}

fn end() -> i64 {
    1 + config().len() as i64
}

fn asked() -> Vec<Seg> {
    [c().open(), vec![c().up(1, 1, config())]].concat()
}

fn outcomes(run: &Run) -> Vec<(&'static str, bool)> {
    alerts(run).iter().map(|(_, alert)| (alert.outcome.name(), alert.late.is_some())).collect()
}

fn alerts(run: &Run) -> Vec<(&Record, &Alert)> {
    run.records
        .iter()
        .filter_map(|record| match &record.body {
            Body::Alert(alert) => Some((record, &**alert)),
            _ => None,
        })
        .collect()
}

fn with(segs: &[Seg], more: Vec<Seg>) -> Run {
    run(&[segs.to_vec(), more].concat())
}

/// A packet of another flow, so that time passes.
fn later(seconds: i64) -> Seg {
    Conn::new(77).syn().seconds(seconds)
}

#[test]
fn no_response_needs_a_visible_server_and_an_end() {
    let ack = c().bare(Server, 1, end());
    // The connection has ended; the capture has ended; neither has.
    let closed = with(&asked(), [vec![ack.clone()], c().close(end(), 1)].concat());
    assert_eq!(outcomes(&closed), [("no_response", false)]);
    assert_eq!(outcomes(&with(&asked(), vec![ack.clone()])), [("unseen", false)]);
    assert_eq!(outcomes(&with(&asked(), vec![ack.clone(), later(20)])), [("pending", false)]);
    let reset = c().seg(Server, "RA", 1, end(), b"");
    assert_eq!(outcomes(&with(&asked(), vec![reset.clone()])), [("no_response", false)]);
    assert_eq!(outcomes(&with(&asked(), vec![reset, later(30)])), [("no_response", false)]);
    // A reset with a sequence number outside the stream ends nothing.
    let astray = c().seg(Server, "R", 7777, 0, b"");
    assert_eq!(outcomes(&with(&asked(), vec![ack, astray, later(20)])), [("pending", false)]);
    // The server was not seen at all.
    let only: Vec<Seg> = asked().into_iter().filter(|seg| seg.from == Client).collect();
    assert_eq!(outcomes(&with(&only, vec![])), [("unseen", false)]);
    assert_eq!(outcomes(&with(&only, vec![later(20)])), [("unseen", false)]);
    assert_eq!(outcomes(&with(&only, vec![c().seg(Client, "RA", end(), 1, b""), later(30)])), [("unseen", false)]);
}

#[test]
fn outcome_timeout_is_observed_at_the_deadline() {
    let run = with(&asked(), vec![c().bare(Server, 1, end()), later(60)]);
    let (record, alert) = alerts(&run)[0];
    let asked = alert.transaction.timestamp;
    assert_eq!(record.order.decided_at, asked.after(Duration::from_secs(10)));
    assert_eq!((record.order.decided_by, record.order.request), (0, 4));
    // At the request, if the timeout is zero; the proof still comes.
    let mut options = options();
    options.outcome_timeout = Duration::ZERO;
    let answer = c().down(1, end(), EXPOSED);
    let run = run_with(&[self::asked(), vec![answer.clone()]].concat(), options.clone());
    assert_eq!(outcomes(&run), [("pending", false), ("exposed", true)]);
    assert_eq!(alerts(&run)[0].0.order.decided_by, 4);
    options.outcome_timeout = Duration::from_secs(1);
    let run = run_with(&[self::asked(), vec![answer.seconds(2)]].concat(), options);
    assert_eq!(outcomes(&run), [("pending", false), ("exposed", true)]);
}

/// The client closes its window, waits until alerts are no longer held, and then reads the response.
#[test]
fn late_responses_are_reported_once_they_prove_an_outcome() {
    let mut shut = c().bare(Client, end(), 1);
    shut.window = 0;
    let probes: Vec<Seg> = (0..4).map(|_| c().down(0, end(), "x").seconds(4)).collect();
    let answer = c().down(1, end(), EXPOSED).seconds(1);
    let segs =
        [asked(), vec![c().bare(Server, 1, end()), shut], probes, vec![c().bare(Client, end(), 1), answer.clone()]];
    let run = self::run(&segs.concat());
    assert_eq!(outcomes(&run), [("pending", false), ("exposed", true)]);
    let [(_, first), (late, second)] = alerts(&run)[..] else { panic!("two alerts") };
    assert_eq!(first.transaction.timestamp, second.transaction.timestamp);
    assert_eq!(first.transaction.flow.id, second.transaction.flow.id);
    assert_eq!((first.transaction.tx_id, first.signature.id), (second.transaction.tx_id, second.signature.id));
    assert_eq!(run.counter("alert.late_answers"), 1);
    assert!(late.order.decided_at > alerts(&run)[0].0.order.decided_at);
    assert_eq!(second.transaction.response.as_ref().unwrap().status, 200);
    // Any proven outcome corrects the first alert, but not the end of the flow; and without waiting only an exposure is.
    let other = c().down(1, end(), NOT_FOUND).seconds(20);
    assert_eq!(outcomes(&with(&asked(), vec![other.clone()])), [("pending", false), ("not_found", true)]);
    let closed = [vec![c().bare(Server, 1, end()), later(20)], c().close(end(), 1)].concat();
    assert_eq!(outcomes(&with(&asked(), closed)), [("pending", false)]);
    let mut at_once = options();
    at_once.outcome_timeout = Duration::ZERO;
    let run = run_with(&[asked(), vec![other.clone()]].concat(), at_once);
    assert_eq!(outcomes(&run), [("pending", false)]);
    // Bytes of the server were lost, so the outcome is unseen; then the response comes.
    let hole = c().down(1, end(), "HTTP/1.1 100 Continue\r\n\r\n").ack(end());
    let cut = Seg { snaplen: 60, ..hole.clone() };
    let next = c().down(1 + hole.bytes.len() as i64, end(), NOT_FOUND).seconds(20);
    let run = with(&asked(), vec![cut, later(15), next]);
    assert!(
        outcomes(&run).iter().all(|(outcome, _)| ["unseen", "not_found"].contains(outcome)),
        "{:?}",
        outcomes(&run)
    );
    // Acknowledging what was never sent does not hide it.
    let lie = c().bare(Client, end(), 100_000);
    assert_eq!(outcomes(&with(&asked(), vec![lie, answer.seconds(20)])).last(), Some(&("exposed", true)));
}

#[test]
fn lost_responses_are_unseen() {
    let back = 1 + EXPOSED.len() as i64;
    // All of it: the FIN shows it, the client's acknowledgment shows it, the next data shows it.
    let close = c().close(end(), back);
    assert_eq!(
        outcomes(&with(&asked(), [vec![c().bare(Server, 1, end())], close.clone()].concat())),
        [("unseen", false)]
    );
    let fin = c().seg(Server, "FA", back, end(), b"");
    assert_eq!(outcomes(&with(&asked(), vec![fin, later(1)])), [("unseen", false)]);
    let ack = c().bare(Client, end(), back);
    let reset = c().seg(Client, "R", end(), 0, b"");
    assert_eq!(outcomes(&with(&asked(), vec![ack, reset])), [("unseen", false)]);
    // Its beginning; its middle; its end.
    let part = |from: usize, to: usize| c().down(1 + from as i64, end(), &EXPOSED[from..to]);
    let len = EXPOSED.len();
    for (parts, expected) in [
        (vec![part(10, len)], "unseen"),
        (vec![part(0, 10), part(30, len)], "unseen"),
        (vec![part(0, 10)], "unseen"),
        // The status line is whole, the type is not known.
        (vec![part(0, 20)], "unproven"),
        (vec![part(0, len - 5)], "exposed"),
        (vec![part(0, len - 10), part(len - 5, len)], "exposed"),
    ] {
        let run = with(&asked(), [parts, vec![c().bare(Client, end(), back)], close.clone()].concat());
        assert_eq!(outcomes(&run), [(expected, false)]);
    }
    // The capture ends in the response's head.
    assert_eq!(outcomes(&with(&asked(), vec![part(0, 16)])), [("unseen", false)]);
    assert_eq!(outcomes(&with(&asked(), vec![part(0, 20)])), [("unproven", false)]);
}

#[test]
fn response_that_acknowledges_less_answers_no_request() {
    // A server that sends first, as a mail server does; and one that answers before it has the head, which may be a
    // response (431) or not (408).
    // answer (431) or not (408).
    for (acked, expected) in [(1, "no_response"), (end() - 1, "unseen"), (end(), "exposed")] {
        let back = 1 + EXPOSED.len() as i64;
        let run = with(&asked(), [vec![c().down(1, acked, EXPOSED)], c().close(end(), back)].concat());
        assert_eq!(outcomes(&run), [(expected, false)], "{acked}");
    }
}

#[test]
fn http_records_follow_the_alerts() {
    let back = 1 + EXPOSED.len() as i64;
    for segs in [
        c().exchange(config(), EXPOSED),
        [asked(), vec![c().bare(Server, 1, end()), later(30), c().down(1, end(), EXPOSED)]].concat(),
        [asked(), vec![later(30)]].concat(),
        asked(),
        [asked(), c().close(end(), back)].concat(),
    ] {
        let run = run(&segs);
        let mut orders: Vec<_> = run.records.iter().map(|record| record.order).collect();
        orders.sort();
        let last = orders.last().unwrap();
        assert_eq!(last.kind, EventKind::Http, "{orders:?}");
        assert_eq!(run.requests().len(), 1);
        let Some(Body::Http(http)) = run.records.last().map(|record| &record.body) else { panic!("no http") };
        let (_, alert) = alerts(&run)[0];
        assert_eq!(http.timestamp, alert.transaction.timestamp);
        assert_eq!((http.flow.id, http.tx_id), (alert.transaction.flow.id, alert.transaction.tx_id));
    }
}

#[test]
fn flow_counters_are_those_of_the_deciding_packet() {
    let segs = c().exchange(config(), EXPOSED);
    let sizes = |from, upto: usize| -> (u64, u64) {
        let of: Vec<&Seg> = segs[..upto].iter().filter(|seg| seg.from == from).collect();
        (of.len() as u64, of.iter().map(|seg| u64::from(seg.frame(1).1)).sum())
    };
    let run = run(&segs);
    let (record, alert) = alerts(&run)[0];
    // The sixth packet carries the response.
    assert_eq!(record.order.decided_by, 6);
    let flow = &alert.transaction.flow;
    assert_eq!((flow.packets_to_server, flow.bytes_to_server), sizes(Client, 6));
    assert_eq!((flow.packets_to_client, flow.bytes_to_client), sizes(Server, 6));
    assert_eq!((alert.transaction.frame, record.order.request), (4, 4));
    // On a port that was used before the count begins at the second handshake, and so does the flow.
    let second = c().isn(70_000_000, 80_000_000);
    let both = [segs.clone(), second.exchange(config(), EXPOSED)].concat();
    let run = self::run(&both);
    let (_, alert) = alerts(&run)[1];
    let flow = &alert.transaction.flow;
    assert_eq!((flow.packets_to_server, flow.packets_to_client), (3, 3));
    assert_eq!(
        flow.start.micros(),
        crate::support::segment_builder::EPOCH * 1_000_000 + 1000 * (segs.len() as i64 + 1)
    );
    assert_ne!(flow.id, alerts(&run)[0].1.transaction.flow.id);
}

#[test]
fn limits_release_held_requests_as_unseen() {
    let mut options = options();
    options.held_memory = 4000;
    let mut segs = Vec::new();
    for number in 0..50 {
        let conn = Conn::new(number);
        segs.extend(conn.open());
        segs.extend([conn.up(1, 1, config()), conn.bare(Server, 1, end())]);
    }
    let run = run_with(&segs, options);
    assert!(outcomes(&run).iter().all(|outcome| outcome.0 == "unseen"));
    assert!(run.counter("alert.held_limit") > 30 && outcomes(&run).len() == 50);
    assert!(run.most[3] <= 4000);
}
