//! Parses HTTP/1 as servers do: splits both byte streams of a flow into requests and responses, skips bodies to find
//! the next message (passing on the beginning of a response body on request), and pairs each response with its request.

mod body;
mod early;
mod fields;
mod head;
mod line;
mod opening;
mod pairing;
mod preface;
mod queue;
mod requests;
mod responses;
mod transactions;

use std::net::IpAddr;

pub use line::{begins_message, guess};
pub use opening::{Carries, is_tls_record};

use opening::Opening;
use requests::Requests;
use responses::Responses;
use transactions::{ClientSide, ConnectionChange, ServerSide, Transactions};

/// Direction of the bytes in a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From client to server.
    ToServer,
    /// From server to client.
    ToClient,
}

/// A request's head, borrowed from the stream; it is copied only when a handler holds the request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Number of the request in its flow, from 0.
    pub tx_id: u32,
    /// Method as sent.
    pub method: &'a [u8],
    /// Request target as sent.
    pub target: &'a [u8],
    /// `HTTP/1.1` as sent; empty if the line has no version (HTTP/0.9).
    pub protocol: &'a [u8],
    /// Value of the first `Host` field, without surrounding whitespace.
    pub host: Option<&'a [u8]>,
    /// Value of the first `User-Agent` field.
    pub user_agent: Option<&'a [u8]>,
    /// Value of the first `Referer` field.
    pub referrer: Option<&'a [u8]>,
    /// Value of the first `X-Forwarded-For` field.
    pub forwarded_for: Option<&'a [u8]>,
    /// Client that a PROXY protocol header in front of the first request names.
    pub proxied_for: Option<IpAddr>,
    /// Whether the head was cut by a limit, a gap or the end of the flow.
    pub truncated: bool,
    /// The field lines as sent, as far as they were kept; may include the blank line.
    pub head: &'a [u8],
}

/// A response's head, borrowed from the stream.
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
    /// Value of `Content-Length`, if valid.
    pub content_length: Option<u64>,
    /// Value of the first `Content-Encoding` field.
    pub content_encoding: Option<&'a [u8]>,
    /// Whether the head was cut by a limit, a gap or the end of the flow, so that fields may be missing.
    pub truncated: bool,
}

/// Bytes of a body that are available regardless of the order in which the two directions were captured. A handler that
/// wants more gets them only if the request was captured first.
pub const BODY_BEGINNING: usize = 1024;

/// Receives the HTTP events of a flow.
pub trait Handler {
    /// A request's head is complete, or was cut and is evaluated as far as it was received.
    fn request(&mut self, request: &Request<'_>);
    /// The body of a request ended, or can no longer be followed; `body` is the number of body bytes seen.
    fn request_end(&mut self, tx_id: u32, body: u64);
    /// The final response (or 101) to a request began. Returns whether the beginning of its body is wanted.
    fn response(&mut self, tx_id: u32, response: &Response<'_>) -> bool;
    /// Receives the next bytes of that body, with chunked framing removed and content coding left in place: from its
    /// first byte on, and none after a gap. Only called if `response` returned `true`. Returns whether more bytes are
    /// wanted.
    fn response_body(&mut self, tx_id: u32, bytes: &[u8]) -> bool;
    /// That response ended, or can no longer be followed; `body` is the number of its body bytes seen. Follows
    /// `response`.
    fn response_end(&mut self, tx_id: u32, body: u64);
    /// The response to a request can no longer be determined (gap, limit): `response` will not be called.
    fn unseen(&mut self, tx_id: u32);
}

/// A position in one direction's stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct StreamPosition {
    /// Stream offset, in bytes.
    offset: u64,
    /// Bytes of the other direction's stream acknowledged by the segment with this byte.
    acked: Option<u64>,
}

/// The limits, counters and handler that a piece of a stream is parsed with.
struct ParseContext<'t, H> {
    limits: &'t Limits,
    counters: &'t mut Counters,
    handler: &'t mut H,
}

/// Guarantees progress through a stream. A step that consumes no byte must change the phase instead, so only a few such
/// steps can follow each other. If that ever fails, one byte is skipped, because a sensor must not hang.
#[derive(Default)]
struct ProgressGuard(u8);

impl ProgressGuard {
    /// Returns the number of bytes to advance by after a step that consumed `taken` bytes.
    fn advance(&mut self, taken: usize, counters: &mut Counters) -> usize {
        /// Rationale: three can follow each other: starting a message, buffering its head, entering its body.
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
    /// Counters of the HTTP parser.
    pub struct Counters {
        /// Requests found.
        requests: "http.requests",
        /// Responses found, including interim ones.
        responses: "http.responses",
        /// Requests that only the tolerant parser accepts.
        tolerant: "http.tolerant",
        /// Flows that turned out not to be HTTP/1.
        not_http: "http.not_http",
        /// Lines too long to be kept whole.
        line_truncated: "http.line_truncated",
        /// Heads longer than the limit.
        head_limit: "http.head_limit",
        /// Header lines without a name or a colon.
        bad_header_lines: "http.bad_header_lines",
        /// Bodies with invalid framing.
        framing_errors: "http.framing_errors",
        /// Bodies with two framings that contradict each other.
        framing_conflicts: "http.framing_conflicts",
        /// Request body bytes skipped.
        body_bytes: "http.body_bytes_skipped",
        /// Prefaces of proxies in front of the first request: PROXY protocol and SOCKS.
        prefaces: "http.prefaces",
        /// Times that a parser lost its position in a stream and had to resynchronise.
        resync: "http.resync",
        /// Bytes skipped because the parser made no progress; always 0 unless the parser has a bug.
        stuck: "http.stuck",
        /// Requests whose response is not looked up because too many were pending.
        waiting_limit: "http.waiting_limit",
        /// Responses that match no request seen.
        unpaired_responses: "http.unpaired_responses",
    }
}

/// Limits of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes kept of a request line or status line; the rest is skipped.
    pub line: usize,
    /// Bytes of a head after which it is evaluated without waiting for its end.
    pub head: usize,
    /// Requests that may wait for a response; responses to further ones are not looked up.
    pub pending: usize,
}

impl Default for Limits {
    /// Rationale: servers accept lines of 8 to 64 KiB and heads of up to 256 KiB.
    fn default() -> Self {
        Self { line: 64 << 10, head: 256 << 10, pending: 256 }
    }
}

/// Resources that a connection borrows from its owner while it processes bytes.
pub struct ParseScope<'s, H> {
    /// The limits.
    pub limits: &'s Limits,
    /// Counters to add to.
    pub counters: &'s mut Counters,
    /// Receiver of the events.
    pub handler: &'s mut H,
}

/// Parser state of both directions of one HTTP/1 connection.
#[derive(Debug, Default)]
pub struct Connection {
    requests: Requests,
    responses: Responses,
    transactions: Transactions,
}

impl Connection {
    /// Processes the next bytes of the client's stream. `offset` is the stream offset of the first one; `acked` is how
    /// much of the server's stream their segment acknowledged.
    pub fn to_server<H: Handler>(
        &mut self,
        bytes: &[u8],
        offset: u64,
        acked: Option<u64>,
        scope: &mut ParseScope<'_, H>,
    ) {
        self.transactions.advance_client(offset + bytes.len() as u64);
        self.with_requests(scope, |requests, context| requests.feed(bytes, offset, acked, context));
        self.note_server_protocol();
        self.apply_change(scope);
    }

    /// Processes the next bytes of the server's stream. `offset` is the stream offset of the first one; `acked` is how
    /// much of the client's stream the segment with the first one acknowledged.
    pub fn to_client<H: Handler>(
        &mut self,
        bytes: &[u8],
        offset: u64,
        acked: Option<u64>,
        scope: &mut ParseScope<'_, H>,
    ) {
        self.transactions.advance_server(offset, offset + bytes.len() as u64, acked);
        self.with_responses(scope, |responses, context| responses.feed(bytes, offset, acked, context));
        if let Some(end) = self.transactions.answered.take().filter(|_| self.requests.waits_for_answer()) {
            self.with_requests(scope, |requests, context| requests.answered(end, context));
        }
        self.note_server_protocol();
        self.apply_change(scope);
    }

    /// Notifies the client's side if the server sends responses.
    fn note_server_protocol(&mut self) {
        if self.responses.opening() == Opening::Message {
            self.requests.server_speaks_http();
        }
    }

    /// Notes that `len` bytes of a direction were lost.
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

    /// Notes that a direction ended: its FIN was reached, or the flow is over.
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
                // A response cut within its head is not evaluated.
                self.transactions.pending.end(end, within_head, |tx_id| scope.handler.unseen(tx_id));
            }
        }
    }

    /// Returns what the connection carries, as far as its first bytes show.
    #[must_use]
    pub fn carries(&self) -> Carries {
        Opening::carries(self.requests.opening(), self.responses.opening())
    }

    /// Returns whether no further byte can be HTTP/1: the client began with something that is no request, and the server
    /// with something that is no response. `from_start` is whether the client's first byte is the first of the
    /// connection; a capture that begins later may begin within two bodies, but hardly at a TLS record of both sides.
    ///
    /// An HTTP server that receives anything else answers with status 400 and closes (RFC 9112 section 2.2): its first
    /// bytes would be a response. That the client's bytes are no request proves nothing by itself, because the server
    /// may never have received them.
    #[must_use]
    pub fn is_foreign(&self, from_start: bool) -> bool {
        match (self.requests.opening(), self.responses.opening()) {
            (Opening::Tls, Opening::Tls) | (Opening::Left, Opening::Left) => true,
            (client, server) => from_start && client.is_foreign() && server.is_foreign(),
        }
    }

    /// Resets it for another flow. Keeps the memory for the pending requests of one flow.
    pub fn reset(&mut self) {
        (self.requests, self.responses) = Default::default();
        self.transactions.reset();
    }

    /// Returns the heap memory held, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.requests.memory() + self.responses.memory() + self.transactions.memory()
    }

    /// Runs `parse` on the client's side.
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

    /// Runs `parse` on the server's side.
    fn with_responses<H: Handler>(
        &mut self,
        scope: &mut ParseScope<'_, H>,
        parse: impl FnOnce(&mut Responses, &mut ParseContext<'_, ServerSide<'_, H>>),
    ) {
        let ParseScope { limits, counters, handler } = scope;
        let known_end = self.requests.partial_head_start().unwrap_or(self.transactions.client_end);
        let request_end = self.requests.message_end();
        let mut handler = ServerSide {
            request_end,
            transactions: &mut self.transactions,
            handler: *handler,
            known_end,
            limits,
            unpaired: 0,
        };
        parse(&mut self.responses, &mut ParseContext { limits, counters, handler: &mut handler });
        counters.unpaired_responses += handler.unpaired;
    }

    /// Applies to one direction what the other one implies.
    fn apply_change<H: Handler>(&mut self, scope: &mut ParseScope<'_, H>) {
        match self.transactions.change.take() {
            None => {}
            // Both sides have left HTTP/1.
            Some(ConnectionChange::Switched) => {
                self.transactions.end_request(self.requests.body_len(), scope.handler);
                self.requests.stop();
                self.responses.stop();
            }
            // A tunnel may carry anything, including HTTP.
            Some(ConnectionChange::Tunnel) => {
                self.requests.restart();
                self.responses.restart();
            }
            Some(ConnectionChange::ResponseBeforeBody) => self.requests.response_before_body(),
            Some(ConnectionChange::Misread) => {
                let end = self.transactions.server_end;
                self.with_responses(scope, |responses, context| responses.enter_resync(end, context));
            }
        }
    }
}
