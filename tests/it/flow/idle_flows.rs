//! Idle flows with a request that waits for its response: kept for as long as the connection may live, and no longer.

use std::time::Duration;

use crate::support::segment_builder::{Client, Conn, Run, Seg, Server, get, options, run, run_with};

const PROBE: &str = "/sms_config.json";
const SECRET: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 56\r\n\r\n\
                      {\"gateway\":\"example\",\"api_key\":\"0123456789abcdef01234567\"}";

fn end() -> i64 {
    1 + get(PROBE).len() as i64
}

/// A request, silence, the response.
fn late(conn: Conn, seconds: i64) -> Vec<Seg> {
    let mut segs = conn.open();
    segs.extend([conn.up(1, 1, get(PROBE)), conn.bare(Server, 1, end())]);
    segs.extend([conn.down(1, end(), SECRET).seconds(seconds), conn.bare(Client, end(), 1 + SECRET.len() as i64)]);
    segs
}

fn outcomes(run: &Run) -> Vec<&'static str> {
    run.alerts().into_iter().map(|(_, outcome)| outcome).collect()
}

#[test]
fn late_response_belongs_to_the_request_that_waits() {
    for seconds in [11, 299, 301, 310, 3600, 7439] {
        for conn in [Conn::new(1), Conn { v6: true, ..Conn::new(1) }] {
            let run = run(&late(conn, seconds));
            assert_eq!(outcomes(&run), ["pending", "exposed"], "{seconds} s");
            assert_eq!((run.counter("flow.total"), run.counter("flow.timeout")), (1, 0), "{seconds} s");
        }
    }
}

#[test]
fn wait_for_a_response_is_bounded() {
    let after = late(Conn::new(1), 7441);
    assert_eq!((outcomes(&run(&after)), run(&after).counter("flow.timeout")), (vec!["pending"], 1));
    // By the option.
    let waiting = |seconds: u64, late: i64| {
        let mut options = options();
        options.flow.timeouts.waiting = Duration::from_secs(seconds);
        outcomes(&run_with(&self::late(Conn::new(1), late), options)).len()
    };
    assert_eq!([waiting(400, 399), waiting(400, 401), waiting(300, 310), waiting(1, 310)], [2, 1, 1, 1]);
}

#[test]
fn only_flows_that_can_be_answered_are_kept() {
    let other = |segs: &mut Vec<Seg>, seconds| segs.push(Conn::new(2).syn().seconds(seconds));
    let conn = Conn::new(1);
    let expired = |mut segs: Vec<Seg>, seconds| {
        other(&mut segs, seconds);
        run(&segs).counter("flow.timeout")
    };
    let asked = late(conn, 0)[..5].to_vec();
    assert_eq!(expired(asked.clone(), 310), 0);
    // Answered; of one direction only; closed; reset; not requested yet.
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(expired([asked.clone(), vec![conn.down(1, end(), ok)]].concat(), 310), 1);
    assert_eq!(expired(vec![conn.syn(), conn.up(1, 1, get(PROBE))], 310), 1);
    let fins = [conn.seg(Client, "FA", end(), 1, b""), conn.seg(Server, "FA", 1 + 500, end() + 1, b"")];
    assert_eq!(expired([asked.clone(), fins.to_vec()].concat(), 11), 1);
    assert_eq!(expired([asked, vec![conn.seg(Server, "RA", 1, end(), b"")]].concat(), 11), 1);
    assert_eq!(expired([conn.open(), vec![conn.up(1, 1, "GET /sms")]].concat(), 310), 1);
}

/// At the limit of flows those that wait give way to those that were used lately.
#[test]
fn waiting_flows_are_bounded_by_the_limit_of_flows() {
    let mut options = options();
    options.flow.limits.flows = 16;
    let mut segs = Vec::new();
    for number in 0..10 {
        segs.extend(late(Conn::new(number), 0)[..5].to_vec());
    }
    let busy = Conn::new(100);
    segs.extend(busy.exchange(get("/"), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")[..6].to_vec());
    segs[50].wait = 310_000_000;
    for number in 200..214 {
        segs.extend(late(Conn::new(number), 0)[..5].to_vec());
    }
    let end = 1 + get("/").len() as i64;
    segs.push(busy.up(end, 39, get("/again")));
    let run = run_with(&segs, options);
    assert!(run.most[0] <= 16);
    assert_eq!(run.counter("flow.evicted_waiting"), 9);
    assert_eq!(run.counter("flow.evicted_established"), 0);
    assert_eq!(run.requests().len(), 10 + 1 + 14 + 1);
}
