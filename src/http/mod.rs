//! HTTP/1 as servers read it: requests and responses split out of the two byte streams of a flow, bodies skipped to
//! find the next message (and their beginnings told, where they are wanted), and every response paired with the request it answers.

mod body;
mod fields;
mod head;
mod line;
mod pairing;
mod queue;
mod requests;
mod responses;
mod transactions;

pub use line::guess;

use requests::Requests;
use responses::Responses;
use transactions::{ClientSide, ConnectionChange, ServerSide, Transactions};

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
    /// The lines of its fields as on the wire, as far as they are kept; the blank line may be among them.
    pub head: &'a [u8],
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
    /// Value of the first `Content-Encoding` field.
    pub content_encoding: Option<&'a [u8]>,
}

/// Bytes of a body that are at hand whatever the order in which the directions were captured; a handler that wants more
/// gets them only where the request came first.
pub const BODY_BEGINNING: usize = 1024;

/// Who is told what is found in a flow.
pub trait Handler {
    /// A request's head ended, or was cut and is judged as it stands.
    fn request(&mut self, request: &Request<'_>);
    /// The body of a request ended, or can't be followed further; `body` bytes were seen.
    fn request_end(&mut self, tx_id: u32, body: u64);
    /// The final answer (or 101) of a request began. Says whether the beginning of its body is wanted.
    fn response(&mut self, tx_id: u32, response: &Response<'_>) -> bool;
    /// The next bytes of that body, without the framing of chunks and as the content's coding left them; from the first
    /// one on, and none behind a gap. Follows a `response` that said so. Says whether more are wanted.
    fn response_body(&mut self, tx_id: u32, bytes: &[u8]) -> bool;
    /// That answer ended, or can't be followed further; `body` bytes of it were seen. Follows `response`.
    fn response_end(&mut self, tx_id: u32, body: u64);
    /// The answer of a request can no longer be known (gap, limit): `response` will not be called.
    fn unseen(&mut self, tx_id: u32);
}

/// A position in one direction's stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct StreamPosition {
    /// Stream offset, in bytes.
    offset: u64,
    /// How much of the other direction's stream the segment with this byte acknowledged.
    acked: Option<u64>,
}

/// What a stretch of a stream is parsed with.
struct ParseContext<'t, H> {
    limits: &'t Limits,
    counters: &'t mut Counters,
    handler: &'t mut H,
}

/// Watches that a stream is got through: a step that takes no byte changes the phase instead, so that a few in a row are
/// the most there can be. Should that ever not hold, a byte is passed over, because a sensor must not hang.
#[derive(Default)]
struct ProgressGuard(u8);

impl ProgressGuard {
    fn advance(&mut self, taken: usize, counters: &mut Counters) -> usize {
        /// Rationale: begin, gather and the body behind are three.
        const MAX_IDLE_STEPS: u8 = 8;
        self.0 = if taken == 0 { self.0 + 1 } else { 0 };
        if self.0 < MAX_IDLE_STEPS {
            return taken;
        }
        counters.stuck += 1;
        self.0 = 0;
        1
    }
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
        /// Bytes passed over because nothing else got the parser on: never, unless it is wrong.
        stuck: "http.stuck",
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
    pub pending: usize,
}

impl Default for Limits {
    /// Rationale: servers take lines of 8 to 64 KiB and heads of up to 256 KiB.
    fn default() -> Self {
        Self { line: 64 << 10, head: 256 << 10, pending: 256 }
    }
}

/// What a connection needs from outside while it takes bytes.
pub struct ParseScope<'s, H> {
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
    transactions: Transactions,
}

impl Connection {
    /// Takes bytes of the client in order. `offset`: the stream offset of the first one; `acked`: how much of the
    /// server's stream the segment acknowledged that carried it.
    pub fn to_server<H: Handler>(
        &mut self,
        bytes: &[u8],
        offset: u64,
        acked: Option<u64>,
        scope: &mut ParseScope<'_, H>,
    ) {
        self.transactions.advance_client(offset + bytes.len() as u64);
        self.with_requests(scope, |requests, context| requests.feed(bytes, offset, acked, context));
        self.apply_change(scope);
    }

    /// Takes bytes of the server in order. `acked`: how much of the client's stream the segment acknowledged that
    /// carried the first one.
    pub fn to_client<H: Handler>(
        &mut self,
        bytes: &[u8],
        offset: u64,
        acked: Option<u64>,
        scope: &mut ParseScope<'_, H>,
    ) {
        self.transactions.advance_server(offset, offset + bytes.len() as u64, acked);
        self.with_responses(scope, |responses, context| responses.feed(bytes, offset, acked, context));
        self.apply_change(scope);
    }

    /// `len` bytes of a direction were lost.
    pub fn gap<H: Handler>(&mut self, direction: Direction, len: u64, scope: &mut ParseScope<'_, H>) {
        match direction {
            Direction::ToServer => {
                let before = self.transactions.client_end;
                self.with_requests(scope, |requests, context| requests.gap(len, before, context));
                self.transactions.skip_client(before.saturating_add(len));
            }
            Direction::ToClient => {
                let before = self.transactions.server_end;
                self.transactions.server_end = before.saturating_add(len);
                self.with_responses(scope, |responses, context| responses.gap(len, before, context));
            }
        }
        self.apply_change(scope);
    }

    /// A direction ended: its FIN was reached, or the flow is over.
    pub fn end<H: Handler>(&mut self, direction: Direction, scope: &mut ParseScope<'_, H>) {
        match direction {
            Direction::ToServer => {
                let end = self.transactions.client_end;
                self.with_requests(scope, |requests, context| requests.end(end, context));
            }
            Direction::ToClient => {
                let end = self.transactions.server_end;
                let mut within_head = false;
                self.with_responses(scope, |responses, context| within_head = responses.end(end, context));
                // Half an answer is known to nobody.
                self.transactions.pending.end(end, within_head, |tx_id| scope.handler.unseen(tx_id));
            }
        }
    }

    /// Makes it as new, for another flow. What it holds for the requests of one flow it need not allocate again.
    pub fn reset(&mut self) {
        (self.requests, self.responses) = Default::default();
        self.transactions.reset();
    }

    /// Heap memory held, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.requests.memory() + self.responses.memory() + self.transactions.memory()
    }

    fn with_requests<H: Handler>(
        &mut self,
        scope: &mut ParseScope<'_, H>,
        parse: impl FnOnce(&mut Requests, &mut ParseContext<'_, ClientSide<'_, H>>),
    ) {
        let ParseScope { limits, counters, handler } = scope;
        let mut handler = ClientSide { transactions: &mut self.transactions, handler: *handler, limits, dropped: 0 };
        parse(&mut self.requests, &mut ParseContext { limits, counters, handler: &mut handler });
        counters.waiting_limit += handler.dropped;
    }

    fn with_responses<H: Handler>(
        &mut self,
        scope: &mut ParseScope<'_, H>,
        parse: impl FnOnce(&mut Responses, &mut ParseContext<'_, ServerSide<'_, H>>),
    ) {
        let ParseScope { limits, counters, handler } = scope;
        let known_end = self.requests.partial_head_start().unwrap_or(self.transactions.client_end);
        let mut handler =
            ServerSide { transactions: &mut self.transactions, handler: *handler, known_end, unpaired: 0 };
        parse(&mut self.responses, &mut ParseContext { limits, counters, handler: &mut handler });
        counters.unpaired_responses += handler.unpaired;
    }

    /// Does what one direction means for the other.
    fn apply_change<H: Handler>(&mut self, scope: &mut ParseScope<'_, H>) {
        match self.transactions.change.take() {
            None => {}
            // Neither side speaks HTTP/1 any more.
            Some(ConnectionChange::Switched) => {
                self.transactions.end_request(self.requests.body_len(), scope.handler);
                self.requests.stop();
                self.responses.stop();
            }
            // Anything may come through a tunnel, HTTP too.
            Some(ConnectionChange::Tunnel) => self.requests.restart(),
            Some(ConnectionChange::ResponseBeforeBody) => self.requests.response_before_body(),
            Some(ConnectionChange::Misread) => {
                let end = self.transactions.server_end;
                self.with_responses(scope, |responses, context| responses.enter_resync(end, context));
            }
        }
    }
}
