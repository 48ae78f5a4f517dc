//! State shared by the two directions of a connection: pending requests, responses captured before their requests, and
//! the events passed to the [`Handler`]. Does not contain the pairing rules; see [`super::pairing`].

use std::net::IpAddr;

use super::early::{Early, EarlyResponses};
use super::pairing::{MethodClass, PairResult, PendingRequest, PendingRequests};
use super::requests::{self, HeadPosition};
use super::responses;
use super::{BODY_BEGINNING, Handler, Limits, Request, StreamPosition};

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
    /// Responses captured before the requests they belong to, in order.
    early: Option<Box<EarlyResponses>>,
    /// Stream offsets after the last bytes processed of the server and of the client.
    pub(super) server_end: u64,
    pub(super) client_end: u64,
    /// Stream offset after the last client bytes lost.
    client_lost_end: u64,
    /// How far the server acknowledged client bytes that were not seen yet, and where its first segment that did begins.
    server_ahead: Option<StreamPosition>,
    /// Where the last complete response ended, and how much of the client's stream its first segment acknowledged.
    last_answer: StreamPosition,
    /// How much of the client's stream the first segment of the current response acknowledged.
    answer_acked: Option<u64>,
    /// How much of the client's stream the latest answer acknowledged, until that is applied to the requests.
    pub(super) answered: Option<u64>,
    /// Client that a PROXY header names.
    proxied_for: Option<IpAddr>,
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
    /// Stream offset at which the client's last complete request ends.
    pub(super) request_end: u64,
    pub(super) limits: &'a Limits,
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
        self.pending.memory() + self.early.as_ref().map_or(0, |early| early.memory())
    }

    /// Notes that client bytes up to `end` were processed.
    pub(super) fn advance_client(&mut self, end: u64) {
        self.client_end = end;
        self.server_ahead = self.server_ahead.filter(|ahead| ahead.acked > Some(end));
    }

    /// Notes that a server segment from `offset` to `end` acknowledged the client's stream up to `acked`.
    pub(super) fn advance_server(&mut self, offset: u64, end: u64, acked: Option<u64>) {
        self.server_end = end;
        if acked > self.server_ahead.map_or(Some(self.client_end), |ahead| ahead.acked) {
            self.server_ahead = Some(StreamPosition { offset, acked });
        }
    }

    /// Notes that client bytes up to `end` that were not captured may have held requests.
    fn lost_requests(&mut self, end: u64) {
        // Data that the server sent after it had received all of them was not read by the client when it sent them.
        let early = self.early.as_ref().and_then(|early| early.start_of_acknowledging(end));
        let ahead = || self.server_ahead.filter(|ahead| ahead.acked >= Some(end)).map(|ahead| ahead.offset);
        self.pending.lost_requests(early.or_else(ahead).unwrap_or(self.server_end));
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
        let Some(early) = self.early.as_mut().and_then(|early| early.pop_behind(pending.start)) else {
            if self.early.take().is_some_and(|early| early.overflowed) {
                self.pending.dropped_early_responses();
            }
            return Some(false);
        };
        let Some(tx_id) = pending.tx_id.filter(|_| early.start.acked >= Some(pending.head_end)) else {
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
                // What followed was framed wrongly, too.
                self.early = None;
                Some(ConnectionChange::Misread)
            }
            _ => self.change,
        };
        Some(true)
    }

    /// Keeps a response whose request was not captured yet. Returns whether the beginning of its body is wanted.
    fn keep_early(&mut self, early: Early, limit: usize) -> bool {
        let responses = self.early.get_or_insert_default();
        responses.overflowed |= responses.len() >= limit;
        if !responses.overflowed {
            responses.push(early);
        }
        !responses.overflowed
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
            proxied_for: transactions.proxied_for,
            truncated: head.truncated,
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
                transactions.pending.lost_requests(position.acked.unwrap_or(transactions.server_end));
                self.handler.unseen(tx_id);
            }
        }
    }

    fn body_end(&mut self, body_len: u64) {
        self.transactions.end_request(body_len, self.handler);
    }

    fn proxied(&mut self, source: IpAddr) {
        self.transactions.proxied_for = Some(source);
    }

    fn skipped(&mut self, acked: Option<u64>) {
        self.transactions.pending.skipped(acked.unwrap_or(0));
    }

    fn lost(&mut self, acked: Option<u64>) {
        // Without a segment of the server the client had read nothing.
        self.transactions.pending.lost_requests(acked.unwrap_or(0));
        self.transactions.early = None;
    }

    fn gap(&mut self, end: u64) {
        self.transactions.lost_requests(end);
    }

    fn is_behind_answer(&self, here: StreamPosition, before: Option<u64>, since: u64) -> bool {
        let answer = self.transactions.last_answer;
        let end = Some(answer.offset);
        answer.acked > Some(since) && here.acked >= end && before < end
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
        transactions.answer_acked = start.acked;
        transactions.answered = start.acked;
        let handler = &mut *self.handler;
        let status = head.line.status;
        match transactions.pending.pair(start, self.request_end, |tx_id| handler.unseen(tx_id)) {
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
                if start.acked > Some(self.known_end) && transactions.pending.is_in_step() {
                    let early = Early::new(head, start, transactions.pending.last_end());
                    return (None, transactions.keep_early(early, self.limits.pending));
                }
            }
        }
        (None, false)
    }

    fn body(&mut self, bytes: &[u8]) -> bool {
        if let Some(tx_id) = self.transactions.body_wanted_for {
            return self.handler.response_body(tx_id, bytes);
        }
        self.transactions.early.as_mut().is_some_and(|early| early.store_body(bytes))
    }

    fn body_end(&mut self, body_len: u64, at: u64) {
        self.transactions.body_wanted_for = None;
        self.transactions.pending.response_ended(at);
        self.transactions.last_answer = StreamPosition { offset: at, acked: self.transactions.answer_acked.take() };
        if let Some(tx_id) = self.transactions.open_response.take() {
            self.handler.response_end(tx_id, body_len);
        } else if let Some(early) = &mut self.transactions.early {
            early.body_end(body_len);
        }
    }

    fn lost(&mut self, end: u64) {
        self.transactions.early = None;
        self.transactions.pending.lost_responses(end, |tx_id| self.handler.unseen(tx_id));
    }
}
