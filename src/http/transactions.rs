//! State shared by the two directions of a connection: pending requests, responses captured before their requests, and
//! the events passed to the [`Handler`]. Does not contain the pairing rules; see [`super::pairing`].

use std::collections::VecDeque;

use super::pairing::{MethodClass, PairResult, PendingRequest, PendingRequests};
use super::requests::{self, HeadPosition};
use super::responses;
use super::{BODY_BEGINNING, Handler, Limits, Request, Response, StreamPosition};

/// State shared by the two directions of a connection.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    pub(super) pending: PendingRequests,
    next_tx: u32,
    /// Request whose body is being received.
    open_request: Option<u32>,
    /// Request whose response is being received.
    open_response: Option<u32>,
    /// Request whose response body the handler wants.
    body_wanted_for: Option<u32>,
    /// Responses captured before the requests they belong to, in order: a mirror port may reorder packets between the
    /// directions. Used only while the pairing is unambiguous.
    early: Option<Box<EarlyResponses>>,
    /// Stream offsets after the last bytes processed of the server and of the client.
    pub(super) server_end: u64,
    pub(super) client_end: u64,
    /// Stream offset up to which segments with server bytes acknowledged the client's stream.
    server_acked: u64,
    /// Stream offset after the last client bytes lost.
    client_lost_end: u64,
    /// Stream offset at which the server began to acknowledge client bytes not seen yet.
    server_ahead_at: Option<u64>,
    /// Change to apply to the connection after the current bytes are processed.
    pub(super) change: Option<ConnectionChange>,
}

/// Effect of one direction on the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionChange {
    /// The client requested a protocol switch, and the server agreed (101).
    Switched,
    /// The client requested a tunnel (CONNECT), and the proxy agreed.
    Tunnel,
    /// The response began before the client sent the request's body.
    ResponseBeforeBody,
    /// A response was framed for a request with another method.
    Misread,
}

/// Early responses that may be remembered.
///
/// Rationale: reordering spans a few packets; without pipelining one is enough.
const MAX_EARLY: usize = 4;

/// Early responses in order. Boxed by the owner because they are rare: without any, only a pointer is stored.
#[derive(Debug, Default)]
struct EarlyResponses(VecDeque<Early>);

/// A response captured before its request.
#[derive(Debug)]
struct Early {
    /// Bytes of the client's stream acknowledged by the segment in which it begins.
    acked: u64,
    /// Stream offset at which the previous response ended.
    previous_end: u64,
    status: u16,
    reason: Box<[u8]>,
    content_type: Option<Box<[u8]>>,
    location: Option<Box<[u8]>>,
    content_length: Option<u64>,
    content_encoding: Option<Box<[u8]>>,
    /// The beginning of its body.
    body: Vec<u8>,
    /// Content bytes of its body, once it has ended.
    body_len: Option<u64>,
}

/// Handles the events of the client's stream.
pub(super) struct ClientSide<'a, H> {
    pub(super) transactions: &'a mut Transactions,
    pub(super) handler: &'a mut H,
    pub(super) limits: &'a Limits,
    /// Requests not added to the pending ones because of the limit.
    pub(super) dropped: u64,
}

/// Handles the events of the server's stream.
pub(super) struct ServerSide<'a, H> {
    pub(super) transactions: &'a mut Transactions,
    pub(super) handler: &'a mut H,
    /// Stream offset up to which the client's requests are parsed.
    pub(super) known_end: u64,
    /// Responses that belong to no request seen.
    pub(super) unpaired: u64,
}

impl Transactions {
    /// Resets the state; keeps capacity for a few pending requests.
    pub(super) fn reset(&mut self) {
        let mut pending = std::mem::take(&mut self.pending);
        pending.reset();
        *self = Self { pending, ..Self::default() };
    }

    pub(super) fn memory(&self) -> usize {
        self.pending.memory()
            + self.early.as_ref().map_or(0, |early| {
                size_of::<EarlyResponses>()
                    + early.0.capacity() * size_of::<Early>()
                    + early.0.iter().map(Early::memory).sum::<usize>()
            })
    }

    /// Notes that client bytes up to `end` were processed.
    pub(super) fn advance_client(&mut self, end: u64) {
        self.client_end = end;
        self.server_ahead_at = None;
    }

    /// Notes that a server segment from `offset` to `end` acknowledged the client's stream up to `acked`.
    pub(super) fn advance_server(&mut self, offset: u64, end: u64, acked: Option<u64>) {
        self.server_end = end;
        self.server_acked = self.server_acked.max(acked.unwrap_or(0));
        if acked.is_some_and(|acked| acked > self.client_end) {
            self.server_ahead_at.get_or_insert(offset);
        }
    }

    /// Notes that client bytes that were not captured may have held requests.
    pub(super) fn lost_requests(&mut self) {
        // The server sent its data from this offset on after it had received a part of them, so the client had not read
        // that data when it sent them.
        self.pending.lost_requests(self.server_ahead_at.unwrap_or(self.server_end));
        self.early = None;
    }

    /// Notes that client bytes up to `end` were not captured.
    pub(super) fn skip_client(&mut self, end: u64) {
        self.advance_client(end);
        self.client_lost_end = end;
    }

    /// Ends the request whose body is being received.
    pub(super) fn end_request(&mut self, body_len: u64, handler: &mut impl Handler) {
        if let Some(tx_id) = self.open_request.take() {
            handler.request_end(tx_id, body_len);
        }
    }

    /// Reports the response to a request that was captured after it. Returns whether there was one; `None` if unknown.
    fn pair_early_response(&mut self, pending: &PendingRequest, handler: &mut impl Handler) -> Option<bool> {
        while let Some(early) = self.early.as_mut().and_then(|early| early.0.pop_front()) {
            if early.acked <= pending.start {
                continue;
            }
            let Some(tx_id) = pending.tx_id.filter(|_| early.acked >= pending.head_end) else {
                self.early = None;
                return None;
            };
            self.pending.paired_early(pending.read, early.previous_end);
            let mut wanted = handler.response(tx_id, &early.response());
            // For methods other than plain ones it is not known yet whether the response has a body.
            if wanted && pending.class == MethodClass::Plain && !early.body.is_empty() {
                wanted = handler.response_body(tx_id, &early.body) && early.body.len() < BODY_BEGINNING;
            }
            self.body_wanted_for = Some(tx_id).filter(|_| wanted && early.body_len.is_none());
            match early.body_len {
                Some(body_len) => handler.response_end(tx_id, body_len),
                None => self.open_response = Some(tx_id),
            }
            self.change = match (pending.class, early.status) {
                (_, 101) => Some(ConnectionChange::Switched),
                (MethodClass::Connect, 200..300) => Some(ConnectionChange::Tunnel),
                (MethodClass::Head | MethodClass::Connect, _) if early.body_len != Some(0) => {
                    Some(ConnectionChange::Misread)
                }
                _ => self.change,
            };
            return Some(true);
        }
        self.early = None;
        Some(false)
    }
}

impl<H: Handler> requests::RequestHandler for ClientSide<'_, H> {
    fn request(&mut self, head: &requests::RequestHead<'_>, position: HeadPosition) {
        let transactions = &mut *self.transactions;
        let tx_id = transactions.next_tx;
        transactions.next_tx = tx_id.wrapping_add(1);
        transactions.open_request = Some(tx_id);
        let (line, fields) = (&head.line, &head.fields);
        self.handler.request(&Request {
            tx_id,
            method: line.method,
            target: line.target,
            protocol: line.protocol,
            host: fields.host,
            user_agent: fields.user_agent,
            referrer: fields.referrer,
            forwarded_for: fields.forwarded_for,
            truncated: head.truncated,
            acknowledged_before: transactions.server_acked >= position.head_end,
            head: head.field_lines,
        });
        let mut pending =
            PendingRequest::new(tx_id, position.start, position.head_end, position.acked, MethodClass::of(line.method));
        pending.fragment = position.start == transactions.client_lost_end && !line.has_known_method();
        match transactions.pair_early_response(&pending, self.handler) {
            Some(true) => {}
            Some(false) => {
                if !transactions.pending.add(pending, transactions.server_end, self.limits.pending) {
                    self.dropped += 1;
                    self.handler.unseen(tx_id);
                }
            }
            None => {
                transactions.pending.lost_requests(transactions.server_end);
                self.handler.unseen(tx_id);
            }
        }
    }

    fn body_end(&mut self, body_len: u64) {
        self.transactions.end_request(body_len, self.handler);
    }

    fn lost(&mut self) {
        self.transactions.lost_requests();
    }
}

impl<H: Handler> responses::ResponseHandler for ServerSide<'_, H> {
    fn expected(&self) -> Option<StreamPosition> {
        self.transactions.pending.expected()
    }

    fn unanswered(&mut self) {
        self.transactions.pending.unanswered(|tx_id| self.handler.unseen(tx_id));
    }

    fn interim(&mut self, start: StreamPosition, end: u64) {
        self.transactions.pending.interim(start, end);
    }

    fn response(&mut self, head: &responses::ResponseHead<'_>, start: StreamPosition) -> (Option<MethodClass>, bool) {
        let transactions = &mut *self.transactions;
        transactions.body_wanted_for = None;
        let handler = &mut *self.handler;
        let status = head.line.status;
        match transactions.pending.pair(start, |tx_id| handler.unseen(tx_id)) {
            PairResult::Matched(PendingRequest { tx_id: Some(tx_id), class, .. }) => {
                transactions.open_response = Some(tx_id);
                if status == 101 {
                    transactions.change = Some(ConnectionChange::Switched);
                } else if class == MethodClass::Connect && (200..300).contains(&status) {
                    transactions.change = Some(ConnectionChange::Tunnel);
                } else if transactions.open_request == Some(tx_id) {
                    transactions.change = Some(ConnectionChange::ResponseBeforeBody);
                }
                let wanted = self.handler.response(tx_id, &head.response());
                transactions.body_wanted_for = Some(tx_id).filter(|_| wanted);
                return (Some(class), wanted);
            }
            PairResult::Matched(_) | PairResult::Ambiguous => self.unpaired += 1,
            PairResult::NoRequest => {
                self.unpaired += 1;
                let acked = start.acked.filter(|&acked| acked > self.known_end);
                if let (Some(acked), true) = (acked, transactions.pending.is_in_step()) {
                    let early = transactions.early.get_or_insert_default();
                    if early.0.len() < MAX_EARLY {
                        early.0.push_back(Early::new(head, acked, transactions.pending.last_end()));
                        return (None, true);
                    } else {
                        transactions.lost_requests();
                    }
                }
            }
        }
        (None, false)
    }

    fn body(&mut self, bytes: &[u8]) -> bool {
        if let Some(tx_id) = self.transactions.body_wanted_for {
            return self.handler.response_body(tx_id, bytes);
        }
        let early = self.transactions.early.as_mut().and_then(|early| early.0.back_mut());
        early.filter(|early| early.body_len.is_none()).is_some_and(|early| early.store_body(bytes))
    }

    fn body_end(&mut self, body_len: u64, at: u64) {
        self.transactions.body_wanted_for = None;
        self.transactions.pending.response_ended(at);
        if let Some(tx_id) = self.transactions.open_response.take() {
            self.handler.response_end(tx_id, body_len);
        } else if let Some(early) = self.transactions.early.as_mut().and_then(|early| early.0.back_mut()) {
            early.body_len.get_or_insert(body_len);
        }
    }

    fn lost(&mut self, end: u64) {
        self.transactions.early = None;
        self.transactions.pending.lost_responses(end, |tx_id| self.handler.unseen(tx_id));
    }
}

impl Early {
    fn new(head: &responses::ResponseHead<'_>, acked: u64, previous_end: u64) -> Self {
        /// Rationale: usual values are far shorter, and a flow keeps only a few.
        const MAX_VALUE: usize = 256;
        let keep = |value: &[u8]| -> Box<[u8]> { value[..value.len().min(MAX_VALUE)].into() };
        Self {
            acked,
            previous_end,
            status: head.line.status,
            reason: keep(head.line.reason),
            content_type: head.fields.content_type.map(keep),
            location: head.fields.location.map(keep),
            content_length: head.content_length,
            content_encoding: head.fields.content_encoding.map(keep),
            body: Vec::new(),
            body_len: None,
        }
    }

    /// Stores the beginning of its body. Returns whether there is space for more.
    fn store_body(&mut self, bytes: &[u8]) -> bool {
        let space = BODY_BEGINNING.saturating_sub(self.body.len());
        self.body.extend_from_slice(&bytes[..bytes.len().min(space)]);
        self.body.len() < BODY_BEGINNING
    }

    fn response(&self) -> Response<'_> {
        Response {
            status: self.status,
            reason: &self.reason,
            content_type: self.content_type.as_deref(),
            location: self.location.as_deref(),
            content_length: self.content_length,
            content_encoding: self.content_encoding.as_deref(),
        }
    }

    fn memory(&self) -> usize {
        let optional = |value: &Option<Box<[u8]>>| value.as_ref().map_or(0, |value| value.len());
        self.reason.len()
            + optional(&self.content_type)
            + optional(&self.location)
            + optional(&self.content_encoding)
            + self.body.capacity()
    }
}
