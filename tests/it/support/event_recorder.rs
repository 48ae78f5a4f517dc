//! Shared by the tests of the HTTP parser: a handler that records its calls, dialogues to feed, pseudo-random numbers.

use std::collections::BTreeMap;

use smsentry::http::{BODY_BEGINNING, Connection, Counters, Direction, Handler, Limits, ParseScope, Request, Response};

/// A request as it was reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reported {
    pub(crate) method: Vec<u8>,
    pub(crate) target: Vec<u8>,
    pub(crate) protocol: Vec<u8>,
    pub(crate) host: Option<Vec<u8>>,
    pub(crate) truncated: bool,
    pub(crate) body: Option<u64>,
    /// Status and the value of `Location`.
    pub(crate) answer: Option<(u16, Option<Vec<u8>>)>,
    pub(crate) answer_body: Option<u64>,
    /// The beginning of the response's body.
    pub(crate) begun: Vec<u8>,
    /// The lines after the request line.
    pub(crate) head: Vec<u8>,
    pub(crate) unseen: bool,
    /// The client that a PROXY header names.
    pub(crate) proxied_for: Option<std::net::IpAddr>,
}

/// A connection with everything that it reported.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) connection: Connection,
    pub(crate) limits: Limits,
    pub(crate) counters: Counters,
    pub(crate) reported: Book,
    offsets: [u64; 2],
}

/// The requests by number.
#[derive(Debug, Default)]
pub(crate) struct Book(pub(crate) BTreeMap<u32, Reported>);

impl Handler for Book {
    fn request(&mut self, request: &Request<'_>) {
        let reported = Reported {
            method: request.method.to_vec(),
            target: request.target.to_vec(),
            protocol: request.protocol.to_vec(),
            host: request.host.map(<[u8]>::to_vec),
            truncated: request.truncated,
            head: request.head.to_vec(),
            proxied_for: request.proxied_for,
            ..Reported::default()
        };
        assert_eq!(self.0.len(), request.tx_id as usize, "requests are numbered from 0");
        self.0.insert(request.tx_id, reported);
    }

    fn request_end(&mut self, tx_id: u32, body: u64) {
        let reported = self.0.get_mut(&tx_id).expect("a request before its end");
        assert_eq!(reported.body.replace(body), None, "one end");
    }

    fn response(&mut self, tx_id: u32, response: &Response<'_>) -> bool {
        let reported = self.0.get_mut(&tx_id).expect("a request before its answer");
        assert!(!reported.unseen, "an answer after it was given up: {reported:?}");
        let answer = (response.status, response.location.map(<[u8]>::to_vec));
        assert_eq!(reported.answer.replace(answer), None, "one answer");
        true
    }

    fn response_body(&mut self, tx_id: u32, bytes: &[u8]) -> bool {
        let reported = self.0.get_mut(&tx_id).expect("a request before its answer's body");
        assert!(reported.answer.is_some() && reported.answer_body.is_none(), "a body within its answer");
        assert!(!bytes.is_empty() && reported.begun.len() < BODY_BEGINNING, "only what is wanted");
        reported.begun.extend_from_slice(bytes);
        reported.begun.truncate(BODY_BEGINNING);
        reported.begun.len() < BODY_BEGINNING
    }

    fn response_end(&mut self, tx_id: u32, body: u64) {
        let reported = self.0.get_mut(&tx_id).expect("a request before its answer's end");
        assert!(reported.answer.is_some(), "an answer before its end");
        assert_eq!(reported.answer_body.replace(body), None, "one end");
    }

    fn unseen(&mut self, tx_id: u32) {
        let reported = self.0.get_mut(&tx_id).expect("a request before it is given up");
        assert!(reported.answer.is_none() && !reported.unseen, "given up once, and only unanswered: {reported:?}");
        reported.unseen = true;
    }
}

impl Recorder {
    pub(crate) fn with_limits(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    fn act(&mut self, act: impl FnOnce(&mut Connection, &mut ParseScope<'_, Book>)) {
        let Self { connection, limits, counters, reported, .. } = self;
        act(connection, &mut ParseScope { limits, counters, handler: reported });
    }

    /// The next bytes of the client, in one segment that acknowledges this much of the server's stream.
    pub(crate) fn client(&mut self, bytes: &[u8], acked: u64) {
        let offset = self.offsets[0];
        self.offsets[0] += bytes.len() as u64;
        self.act(|http, scope| http.to_server(bytes, offset, Some(acked), scope));
    }

    /// The next bytes of the server.
    pub(crate) fn server(&mut self, bytes: &[u8], acked: u64) {
        let offset = self.offsets[1];
        self.offsets[1] += bytes.len() as u64;
        self.act(|http, scope| http.to_client(bytes, offset, Some(acked), scope));
    }

    pub(crate) fn gap(&mut self, direction: Direction, len: u64) {
        self.offsets[usize::from(direction == Direction::ToClient)] += len;
        self.act(|http, scope| http.gap(direction, len, scope));
    }

    pub(crate) fn end(&mut self) {
        self.act(|http, scope| {
            http.end(Direction::ToServer, scope);
            http.end(Direction::ToClient, scope);
        });
    }

    /// How much of the client's and the server's streams has passed.
    pub(crate) fn offsets(&self) -> [u64; 2] {
        self.offsets
    }

    /// The requests in their order.
    pub(crate) fn requests(&self) -> Vec<Reported> {
        self.reported.0.values().cloned().collect()
    }

    /// Method, target and host of every request.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let host = |reported: &Reported| reported.host.as_deref().map_or("-".into(), text);
        self.reported.0.values().map(|t| format!("{} {} {}", text(&t.method), text(&t.target), host(t))).collect()
    }
}

/// Pseudo-random numbers, the same in every run.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound.max(1)
    }

    pub(crate) fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len() as u64) as usize]
    }
}
