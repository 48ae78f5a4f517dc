//! HTTP/1 as servers read it: requests and responses split out of the two byte streams of a flow, bodies skipped to
//! find the next message, and every response paired with the request it answers.

mod body;
mod fields;
mod head;
mod line;
mod requests;
mod responses;
mod waiting;

pub use line::guess;

use requests::Requests;
use responses::Responses;
use waiting::{Answers, Entry, Kind, Waiting};

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client.
    ToServer,
    /// From the server.
    ToClient,
}

/// A request's head, borrowed: the first owned bytes are those of a request that is held.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Number of the request in its flow, from 0.
    pub tx_id: u32,
    /// Method as on the wire.
    pub method: &'a [u8],
    /// Request target as on the wire.
    pub target: &'a [u8],
    /// `HTTP/1.1` as on the wire; empty where the line has none (HTTP/0.9).
    pub protocol: &'a [u8],
    /// Value of the first `Host` field, blanks trimmed.
    pub host: Option<&'a [u8]>,
    /// Value of the first `User-Agent` field.
    pub user_agent: Option<&'a [u8]>,
    /// Value of the first `Referer` field.
    pub referrer: Option<&'a [u8]>,
    /// Value of the first `X-Forwarded-For` field.
    pub forwarded_for: Option<&'a [u8]>,
    /// Whether the head was cut by a limit, a gap or the end of the flow.
    pub truncated: bool,
}

/// A response's head, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// Status code, 100 to 999.
    pub status: u16,
    /// Reason phrase.
    pub reason: &'a [u8],
    /// Value of the first `Content-Type` field.
    pub content_type: Option<&'a [u8]>,
    /// Value of the first `Location` field.
    pub location: Option<&'a [u8]>,
    /// `Content-Length`, where there is a valid one.
    pub content_length: Option<u64>,
}

/// Who is told what is found in a flow.
pub trait Handler {
    /// A request's head ended, or was cut and is judged as it stands.
    fn request(&mut self, request: &Request<'_>);
    /// The body of a request ended, or can't be followed further; `body` bytes were seen.
    fn request_end(&mut self, tx_id: u32, body: u64);
    /// The final answer (or 101) of a request began.
    fn response(&mut self, tx_id: u32, response: &Response<'_>);
    /// That answer ended, or can't be followed further; `body` bytes of it were seen. Follows `response`.
    fn response_end(&mut self, tx_id: u32, body: u64);
    /// The answer of a request can no longer be known (gap, limit): `response` will not be called.
    fn unseen(&mut self, tx_id: u32);
}

crate::counters! {
    /// What this room counts.
    pub struct Counters {
        /// Requests found.
        requests: "http.requests",
        /// Responses found, interim ones included.
        responses: "http.responses",
        /// Requests that only the tolerant splitter takes.
        tolerant: "http.tolerant",
        /// Flows that turned out not to be HTTP/1.
        not_http: "http.not_http",
        /// Lines that were too long to be kept.
        line_truncated: "http.line_truncated",
        /// Heads that were too long.
        head_limit: "http.head_limit",
        /// Header lines without a name or a colon.
        bad_header_lines: "http.bad_header_lines",
        /// Bodies whose framing makes no sense.
        framing_errors: "http.framing_errors",
        /// Bodies with two framings that disagree.
        framing_conflicts: "http.framing_conflicts",
        /// Body bytes of requests that were passed over.
        body_bytes: "http.body_bytes_skipped",
        /// How often the way had to be found back into a stream.
        resync: "http.resync",
        /// Requests whose answer is not looked for because too many waited.
        waiting_limit: "http.waiting_limit",
        /// Responses that answer no request that was seen.
        unpaired_responses: "http.unpaired_responses",
    }
}

/// The limits of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes kept of a request line or status line; the rest of it is passed over.
    pub line: usize,
    /// Bytes of a head after which it is judged as it stands.
    pub head: usize,
    /// Requests that may wait for an answer; the answers of further ones are not looked for.
    pub waiting: usize,
}

impl Default for Limits {
    /// Rationale: servers take lines of 8 to 64 KiB and heads of up to 256 KiB.
    fn default() -> Self {
        Self { line: 64 << 10, head: 256 << 10, waiting: 256 }
    }
}

/// What a connection needs from outside while it takes bytes.
pub struct Scope<'s, H> {
    /// The limits.
    pub limits: &'s Limits,
    /// Where to count.
    pub counters: &'s mut Counters,
    /// Whom to tell.
    pub handler: &'s mut H,
}

/// Both directions of one HTTP/1 connection.
#[derive(Debug, Default)]
pub struct Connection {
    requests: Requests,
    responses: Responses,
    exchange: Exchange,
    /// Stream offsets behind what was taken: of the client, of the server.
    ends: [u64; 2],
}

/// What the two directions know of each other.
#[derive(Debug, Default)]
struct Exchange {
    waiting: Waiting,
    next_tx: u32,
    /// The request whose body passes.
    sending: Option<u32>,
    /// The request whose answer passes.
    answering: Option<u32>,
    /// Requests whose answers are not looked for any more because too many waited.
    untracked: u32,
    /// A response that was captured before the request it answers.
    early: Option<Box<Early>>,
    /// The client asked to speak something else (101), or a proxy to be a tunnel (CONNECT), and the server agreed.
    switched: bool,
    tunnel: bool,
}

/// A response to a request that was not captured yet: a mirror port may hand on the two directions out of order.
#[derive(Debug)]
struct Early {
    acked: u64,
    status: u16,
    reason: Box<[u8]>,
    content_type: Option<Box<[u8]>>,
    location: Option<Box<[u8]>>,
    content_length: Option<u64>,
    /// Bytes of its body, once that ended.
    content: Option<u64>,
}

impl Connection {
    /// Takes bytes of the client in order. `offset`: the stream offset of the first one; `acked`: how much of the
    /// server's stream the segment acknowledged that carried it.
    pub fn to_server<H: Handler>(&mut self, bytes: &[u8], offset: u64, acked: Option<u64>, scope: &mut Scope<'_, H>) {
        self.ends[0] = offset + bytes.len() as u64;
        let had_all = acked.is_some_and(|acked| acked >= self.ends[1] && acked > 0) && self.responses.is_between();
        let Scope { limits, counters, handler } = scope;
        let mut sink = ClientSide { exchange: &mut self.exchange, handler: *handler, had_all, limits, dropped: 0 };
        let mut tools = requests::Tools { limits, counters: *counters, sink: &mut sink };
        self.requests.feed(bytes, offset, &mut tools);
        let dropped = sink.dropped;
        counters.waiting_limit += dropped;
    }

    /// Takes bytes of the server in order. `acked`: how much of the client's stream the segment acknowledged that
    /// carried the first one.
    pub fn to_client<H: Handler>(&mut self, bytes: &[u8], offset: u64, acked: Option<u64>, scope: &mut Scope<'_, H>) {
        self.ends[1] = offset + bytes.len() as u64;
        let Scope { limits, counters, handler } = scope;
        let mut sink =
            ServerSide { exchange: &mut self.exchange, handler: *handler, client_end: self.ends[0], unpaired: 0 };
        let mut tools = responses::Tools { limits, counters: *counters, sink: &mut sink };
        self.responses.feed(bytes, acked, &mut tools);
        let unpaired = sink.unpaired;
        counters.unpaired_responses += unpaired;
        self.follow_switch(scope.handler);
    }

    /// `len` bytes of a direction were lost.
    pub fn gap<H: Handler>(&mut self, direction: Direction, len: u64, scope: &mut Scope<'_, H>) {
        let Scope { limits, counters, handler } = scope;
        match direction {
            Direction::ToServer => {
                let before = self.ends[0];
                self.ends[0] += len;
                let mut sink =
                    ClientSide { exchange: &mut self.exchange, handler: *handler, had_all: false, limits, dropped: 0 };
                let mut tools = requests::Tools { limits, counters: *counters, sink: &mut sink };
                if self.requests.gap(len, before, &mut tools) {
                    self.exchange.waiting.lost_requests(self.ends[0]);
                }
            }
            Direction::ToClient => {
                self.ends[1] += len;
                let mut sink = ServerSide {
                    exchange: &mut self.exchange,
                    handler: *handler,
                    client_end: self.ends[0],
                    unpaired: 0,
                };
                let mut tools = responses::Tools { limits, counters: *counters, sink: &mut sink };
                self.responses.gap(len, &mut tools);
            }
        }
    }

    /// A direction ended: its FIN was reached, or the flow is over.
    pub fn end<H: Handler>(&mut self, direction: Direction, scope: &mut Scope<'_, H>) {
        let Scope { limits, counters, handler } = scope;
        match direction {
            Direction::ToServer => {
                let mut sink =
                    ClientSide { exchange: &mut self.exchange, handler: *handler, had_all: false, limits, dropped: 0 };
                let mut tools = requests::Tools { limits, counters: *counters, sink: &mut sink };
                self.requests.end(self.ends[0], &mut tools);
            }
            Direction::ToClient => {
                let mut sink = ServerSide {
                    exchange: &mut self.exchange,
                    handler: *handler,
                    client_end: self.ends[0],
                    unpaired: 0,
                };
                let mut tools = responses::Tools { limits, counters: *counters, sink: &mut sink };
                if self.responses.end(&mut tools) {
                    // Half an answer is known to nobody.
                    self.exchange.waiting.answer(None, |tx_id| scope.handler.unseen(tx_id));
                }
            }
        }
    }

    /// Heap memory held, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.requests.memory()
            + self.responses.memory()
            + self.exchange.waiting.memory()
            + self.exchange.early.as_ref().map_or(0, |early| early.memory())
    }

    /// After 101 neither side speaks HTTP/1 any more; a tunnel may carry anything, HTTP too.
    fn follow_switch(&mut self, handler: &mut impl Handler) {
        if std::mem::take(&mut self.exchange.switched) {
            let content = self.requests.give_up();
            self.responses.give_up();
            if let Some(tx_id) = self.exchange.sending.take() {
                handler.request_end(tx_id, content);
            }
        }
        if std::mem::take(&mut self.exchange.tunnel) {
            self.requests.begin_again();
        }
    }
}

/// The handler as the client's side sees it.
struct ClientSide<'a, H> {
    exchange: &'a mut Exchange,
    handler: &'a mut H,
    had_all: bool,
    limits: &'a Limits,
    dropped: u64,
}

impl<H: Handler> requests::Sink for ClientSide<'_, H> {
    fn request(&mut self, found: &requests::Found<'_>, head_end: u64) {
        let tx_id = self.exchange.next_tx;
        self.exchange.next_tx = tx_id.wrapping_add(1);
        self.exchange.sending = Some(tx_id);
        let (line, fields) = (&found.line, &found.fields);
        self.handler.request(&Request {
            tx_id,
            method: line.method,
            target: line.target,
            protocol: line.protocol,
            host: fields.host,
            user_agent: fields.user_agent,
            referrer: fields.referrer,
            forwarded_for: fields.forwarded_for,
            truncated: found.truncated,
        });
        if self.exchange.answered_early(tx_id, head_end, self.handler) {
            return;
        }
        if self.exchange.untracked > 0 || self.exchange.waiting.len() >= self.limits.waiting {
            // Its place is kept as a number, so that later answers are not taken for earlier ones.
            self.exchange.untracked = self.exchange.untracked.saturating_add(1);
            self.dropped += 1;
            self.handler.unseen(tx_id);
            return;
        }
        let entry = Entry { tx_id: Some(tx_id), head_end, kind: Kind::of(line.method) };
        let handler = &mut *self.handler;
        self.exchange.waiting.add(entry, self.had_all, |tx_id| handler.unseen(tx_id));
        // Requests behind the first of a segment were not sent after its answer.
        self.had_all = false;
    }

    fn body_end(&mut self, content: u64) {
        if let Some(tx_id) = self.exchange.sending.take() {
            self.handler.request_end(tx_id, content);
        }
    }
}

/// The handler as the server's side sees it.
struct ServerSide<'a, H> {
    exchange: &'a mut Exchange,
    handler: &'a mut H,
    /// Stream offset behind what was seen of the client.
    client_end: u64,
    unpaired: u64,
}

impl<H: Handler> responses::Sink for ServerSide<'_, H> {
    fn response(&mut self, found: &responses::Found<'_>, acked: Option<u64>) -> Kind {
        let exchange = &mut *self.exchange;
        exchange.answering = None;
        let status = found.line.status;
        exchange.switched |= status == 101;
        let handler = &mut *self.handler;
        if exchange.waiting.len() == 0 && exchange.untracked > 0 {
            exchange.untracked -= 1;
            return Kind::Plain;
        }
        match exchange.waiting.answer(acked, |tx_id| handler.unseen(tx_id)) {
            Answers::One(Entry { tx_id: Some(tx_id), kind, .. }) => {
                exchange.answering = Some(tx_id);
                exchange.tunnel |= kind == Kind::Connect && (200..300).contains(&status);
                self.handler.response(
                    tx_id,
                    &Response {
                        status,
                        reason: found.line.reason,
                        content_type: found.fields.content_type,
                        location: found.fields.location,
                        content_length: found.content_length,
                    },
                );
                return kind;
            }
            Answers::One(_) | Answers::Several => {}
            Answers::Nobody => {
                self.unpaired += 1;
                exchange.early = acked
                    .filter(|&acked| acked > self.client_end && exchange.waiting.len() == 0)
                    .map(|acked| Box::new(Early::new(found, acked)));
            }
        }
        Kind::Plain
    }

    fn body_end(&mut self, content: u64) {
        if let Some(tx_id) = self.exchange.answering.take() {
            self.handler.response_end(tx_id, content);
        } else if let Some(early) = &mut self.exchange.early {
            early.content.get_or_insert(content);
        }
    }

    fn lost(&mut self) {
        self.exchange.waiting.lost_answers();
    }
}

impl Exchange {
    /// Whether the answer to this request was captured before it; tells it then.
    fn answered_early(&mut self, tx_id: u32, head_end: u64, handler: &mut impl Handler) -> bool {
        if self.waiting.len() > 0 || self.early.as_ref().is_none_or(|early| early.acked < head_end) {
            return false;
        }
        let Some(early) = self.early.take() else { return false };
        handler.response(
            tx_id,
            &Response {
                status: early.status,
                reason: &early.reason,
                content_type: early.content_type.as_deref(),
                location: early.location.as_deref(),
                content_length: early.content_length,
            },
        );
        match early.content {
            Some(content) => handler.response_end(tx_id, content),
            None => self.answering = Some(tx_id),
        }
        true
    }
}

impl Early {
    fn new(found: &responses::Found<'_>, acked: u64) -> Self {
        /// Rationale: everyday values are far shorter, and one is kept for each flow at most.
        const KEPT: usize = 256;
        let keep = |value: &[u8]| -> Box<[u8]> { value[..value.len().min(KEPT)].into() };
        Self {
            acked,
            status: found.line.status,
            reason: keep(found.line.reason),
            content_type: found.fields.content_type.map(keep),
            location: found.fields.location.map(keep),
            content_length: found.content_length,
            content: None,
        }
    }

    fn memory(&self) -> usize {
        let optional = |value: &Option<Box<[u8]>>| value.as_ref().map_or(0, |value| value.len());
        size_of::<Self>() + self.reason.len() + optional(&self.content_type) + optional(&self.location)
    }
}
