//! Parses two byte streams of one connection, whole and in pieces.

use smsentry::http::{BODY_BEGINNING, Connection, Counters, Direction, Handler, Limits, ParseScope, Request, Response};

use super::packet::Choices;

/// A call that the parser made to its handler.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    Request {
        tx_id: u32,
        line: [Vec<u8>; 3],
        fields: [Option<Vec<u8>>; 4],
        head: Vec<u8>,
        truncated: bool,
    },
    RequestEnd {
        tx_id: u32,
        body: u64,
    },
    Response {
        tx_id: u32,
        status: u16,
        reason: Vec<u8>,
        fields: [Option<Vec<u8>>; 3],
        length: Option<u64>,
    },
    /// The beginning of the body, joined from its pieces.
    Body {
        tx_id: u32,
        bytes: Vec<u8>,
    },
    ResponseEnd {
        tx_id: u32,
        body: u64,
    },
    Unseen {
        tx_id: u32,
    },
}

#[derive(Default)]
struct Recorder(Vec<Event>);

impl Handler for Recorder {
    fn request(&mut self, request: &Request<'_>) {
        let keep = |value: Option<&[u8]>| value.map(<[u8]>::to_vec);
        self.0.push(Event::Request {
            tx_id: request.tx_id,
            line: [request.method, request.target, request.protocol].map(<[u8]>::to_vec),
            fields: [request.host, request.user_agent, request.referrer, request.forwarded_for].map(keep),
            head: request.head.to_vec(),
            truncated: request.truncated,
        });
    }

    fn request_end(&mut self, tx_id: u32, body: u64) {
        self.0.push(Event::RequestEnd { tx_id, body });
    }

    fn response(&mut self, tx_id: u32, response: &Response<'_>) -> bool {
        self.0.push(Event::Response {
            tx_id,
            status: response.status,
            reason: response.reason.to_vec(),
            fields: [response.content_type, response.location, response.content_encoding]
                .map(|value| value.map(<[u8]>::to_vec)),
            length: response.content_length,
        });
        true
    }

    fn response_body(&mut self, tx_id: u32, bytes: &[u8]) -> bool {
        if !matches!(self.0.last(), Some(Event::Body { tx_id: known, .. }) if *known == tx_id) {
            self.0.push(Event::Body { tx_id, bytes: Vec::new() });
        }
        let Some(Event::Body { bytes: begun, .. }) = self.0.last_mut() else { return false };
        assert!(!bytes.is_empty() && begun.len() < BODY_BEGINNING, "only what is wanted");
        begun.extend_from_slice(bytes);
        begun.truncate(BODY_BEGINNING);
        begun.len() < BODY_BEGINNING
    }

    fn response_end(&mut self, tx_id: u32, body: u64) {
        self.0.push(Event::ResponseEnd { tx_id, body });
    }

    fn unseen(&mut self, tx_id: u32) {
        self.0.push(Event::Unseen { tx_id });
    }
}

/// A connection with its limits and recorder.
struct Rig {
    connection: Connection,
    limits: Limits,
    counters: Counters,
    recorder: Recorder,
}

impl Rig {
    fn new(limits: Limits) -> Self {
        Self { connection: Connection::default(), limits, counters: Counters::default(), recorder: Recorder::default() }
    }

    fn act(&mut self, act: impl FnOnce(&mut Connection, &mut ParseScope<'_, Recorder>)) {
        let Self { connection, limits, counters, recorder } = self;
        act(connection, &mut ParseScope { limits, counters, handler: recorder });
        // A head of each direction, early responses with the beginnings of their bodies, and the pending requests; each
        // buffer may have grown by doubling.
        let most = 2 * (2 * limits.head + 2 * limits.line + 64 * limits.pending) + (16 << 10) + 2 * (64 << 10);
        assert!(connection.memory() <= most, "{} bytes", connection.memory());
    }

    fn end(mut self) -> (Vec<Event>, Counters) {
        self.act(|connection, scope| connection.end(Direction::ToServer, scope));
        self.act(|connection, scope| connection.end(Direction::ToClient, scope));
        check_events(&self.recorder.0);
        (self.recorder.0, self.counters)
    }
}

/// The input is both streams, where they are split, and the order of the pieces. Checks that pieces in order give the
/// same result as the whole, and that in any order and with losses every request is reported once and answered at most
/// once.
pub fn http_stream(data: &[u8]) {
    let mut choices = Choices::new(data);
    let bits = choices.byte();
    let mut limits = Limits::default();
    if bits & 2 != 0 {
        limits = Limits { line: 1 + usize::from(choices.byte()), head: 1 + usize::from(choices.half()), pending: 2 };
    }
    let cuts: Vec<u16> = (0..choices.byte() % 16).map(|_| choices.half()).collect();
    let client_len = usize::from(choices.half());
    let bytes = choices.rest();
    let (client, server) = bytes.split_at(client_len.min(bytes.len()));
    if bits & 1 == 0 {
        let whole = one_after_the_other(limits, [client, server], &[]);
        let pieces = one_after_the_other(limits, [client, server], &cuts);
        assert_eq!(whole.0, pieces.0);
        assert_eq!((whole.1.requests, whole.1.responses), (pieces.1.requests, pieces.1.responses));
        let single: Vec<u16> = (0..bytes.len().min(300) as u16).collect();
        assert_eq!(whole.0, one_after_the_other(limits, [client, server], &single).0, "byte by byte");
    } else {
        in_any_order(limits, [client, server], &cuts);
    }
}

/// The client's bytes, then the server's, split at these positions.
fn one_after_the_other(limits: Limits, streams: [&[u8]; 2], cuts: &[u16]) -> (Vec<Event>, Counters) {
    let mut rig = Rig::new(limits);
    let [client, server] = streams;
    for (start, piece) in pieces(client, cuts) {
        rig.act(|connection, scope| connection.to_server(piece, start as u64, Some(0), scope));
    }
    for (_, piece) in pieces(server, cuts) {
        rig.act(|connection, scope| connection.to_client(piece, 0, Some(client.len() as u64), scope));
    }
    rig.end()
}

/// Pieces of both directions in the chosen order, some of them lost, with arbitrary acknowledgment numbers.
fn in_any_order(limits: Limits, streams: [&[u8]; 2], cuts: &[u16]) {
    let mut rig = Rig::new(limits);
    let mut at = [0_usize; 2];
    for cut in cuts {
        let side = usize::from(cut & 1);
        let rest = &streams[side][at[side]..];
        let len = rest.len().min(usize::from(cut >> 4) % 512);
        let (piece, start) = (&rest[..len], at[side] as u64);
        at[side] += len;
        let acked = match (cut >> 1) & 3 {
            0 => None,
            1 => Some(at[1 - side] as u64),
            2 => Some(0),
            _ => Some(u64::from(*cut)),
        };
        if piece.is_empty() {
            continue;
        }
        if cut & 8 != 0 {
            let direction = if side == 0 { Direction::ToServer } else { Direction::ToClient };
            rig.act(|connection, scope| connection.gap(direction, len as u64, scope));
        } else if side == 0 {
            rig.act(|connection, scope| connection.to_server(piece, start, acked, scope));
        } else {
            rig.act(|connection, scope| connection.to_client(piece, start, acked, scope));
        }
    }
    rig.end();
}

fn pieces<'a>(stream: &'a [u8], cuts: &[u16]) -> Vec<(usize, &'a [u8])> {
    let mut places: Vec<usize> = cuts.iter().map(|&cut| usize::from(cut) % (stream.len() + 1)).collect();
    places.extend([0, stream.len()]);
    places.sort_unstable();
    places.dedup();
    places.windows(2).map(|pair| (pair[0], &stream[pair[0]..pair[1]])).collect()
}

/// Checks that requests are numbered in order and that each ends once and has at most one response.
fn check_events(events: &[Event]) {
    let (mut asked, mut ended) = (0, Vec::new());
    let (mut answered, mut unseen, mut closed) = (Vec::new(), Vec::new(), Vec::new());
    let once = |list: &mut Vec<u32>, tx_id: u32, what: &str| {
        assert!(!list.contains(&tx_id), "{what} twice for {tx_id}: {events:?}");
        list.push(tx_id);
    };
    for event in events {
        match *event {
            Event::Request { tx_id, ref line, .. } => {
                assert_eq!(tx_id, asked);
                assert!(!line[1].is_empty(), "a request without target");
                asked += 1;
            }
            Event::RequestEnd { tx_id, .. } => once(&mut ended, tx_id, "the request's end"),
            Event::Response { tx_id, status, .. } => {
                assert!(tx_id < asked && (100..1000).contains(&status));
                assert!(!unseen.contains(&tx_id), "an answer after all");
                once(&mut answered, tx_id, "an answer");
            }
            Event::Body { tx_id, .. } => {
                assert!(answered.contains(&tx_id) && !closed.contains(&tx_id), "a body within its answer");
            }
            Event::ResponseEnd { tx_id, .. } => {
                assert!(answered.contains(&tx_id), "the end of no answer");
                once(&mut closed, tx_id, "the answer's end");
            }
            Event::Unseen { tx_id } => {
                assert!(tx_id < asked && !answered.contains(&tx_id));
                once(&mut unseen, tx_id, "unseen");
            }
        }
    }
    assert_eq!(ended.len(), asked as usize, "every request ends: {events:?}");
    assert_eq!(closed.len(), answered.len(), "every answer ends: {events:?}");
}
