//! Handles the HTTP transactions of one flow: matches requests, holds them until the response is known or times out, and
//! emits records. Responses are paired with requests by [`crate::http`].

use std::time::Duration;

use super::deadlines::{Deadline, PendingIndex};
use super::flow_id::flow_id;
use super::pending::{BodySample, OVERHEAD, PendingTransaction, ProbeMatch, heap, intern_token};
use super::request_traits::request_traits;
use super::xff::real_client;
use super::{Counters, FlowState, Options, PacketRef};
use crate::flow::{EventTime, FlowView};
use crate::http;
use crate::outcome::{Assessment, BodyCheck, Outcome, assess};
use crate::record::{
    Alert, Body, Event, EventKind, FlowFacts, Order, PageView, Record, Request, Response, Transaction,
};
use crate::segment::{Segment, Side};
use crate::signature::{CachedMatcher, media_type};

/// What the end of a flow means for requests without a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FlowEnd {
    /// The connection ended: the server sent no response.
    Closed,
    /// The capture ended or the flow was evicted: the response is unknown.
    Unknown,
}

/// Minimum time between two page views of one flow. Rationale: a proxy's connection stays open for hours and carries pages
/// all the time; a minute is little of the half hour for which a page view is remembered.
const PAGE_VIEW_INTERVAL: Duration = Duration::from_secs(60);

/// The transactions of one flow while one segment or deadline is handled.
pub(super) struct TransactionHandler<'a> {
    pub(super) options: &'a Options,
    pub(super) counters: &'a mut Counters,
    pub(super) index: &'a mut PendingIndex,
    pub(super) matcher: &'a mut CachedMatcher,
    pub(super) state: &'a mut FlowState,
    pub(super) flow: &'a FlowView<'a>,
    pub(super) client: Side,
    /// The segment being handled; `None` for a deadline.
    pub(super) segment: Option<&'a Segment<'a>>,
    pub(super) out: &'a mut Vec<Event>,
}

impl http::Handler for TransactionHandler<'_> {
    fn request(&mut self, request: &http::Request<'_>) {
        self.note_http();
        let found = self.matcher.find(request.method, request.target);
        let probe = found.map(|found| ProbeMatch {
            traits: request_traits(request, &found.signature),
            matched: found.matched,
            signature: found.signature,
            evasions: found.evasions,
            also: found.also.iter().map(|other| other.slug.clone()).collect(),
            proxied_for: request.proxied_for,
            reported: None,
        });
        if probe.is_some() || self.options.http_events {
            self.hold(request, probe);
        }
    }

    fn request_end(&mut self, tx_id: u32, body: u64) {
        if let Some(at) = self.position(tx_id) {
            self.state.pending[at].transaction.request.body_len = body;
        }
    }

    fn response(&mut self, tx_id: u32, response: &http::Response<'_>) -> bool {
        self.note_http();
        let found = self.position(tx_id);
        self.note_page_view(tx_id, found, response);
        let Some(at) = found else { return false };
        let pending = &mut *self.state.pending[at];
        // The strings of a response to a hit that is only counted are never read.
        let read = self.options.http_events || pending.probe.as_ref().is_none_or(|probe| !probe.signature.support);
        let owned = |value: Option<&[u8]>| value.filter(|_| read).map(<[u8]>::to_vec);
        let seen = Response {
            status: response.status,
            reason: owned(Some(response.reason)).unwrap_or_default(),
            content_type: owned(response.content_type),
            location: owned(response.location),
            content_length: response.content_length,
            body_len: 0,
        };
        let strings = [Some(&seen.reason), seen.content_type.as_ref(), seen.location.as_ref()];
        let added = strings.into_iter().flatten().map(Vec::len).sum::<usize>();
        pending.memory += added;
        pending.transaction.response = Some(seen);
        self.index.memory += added;
        let method = &pending.transaction.request.method;
        let assessment = pending.probe.as_ref().map(|probe| assess(&probe.signature, method, response));
        match assessment {
            Some(Assessment::NeedsBody(check)) => {
                self.sample_body(at, check);
                return true;
            }
            Some(Assessment::Final(outcome)) => self.emit_final(at, outcome),
            None if self.options.http_events => {}
            None => {
                self.remove(at);
            }
        }
        false
    }

    fn response_body(&mut self, tx_id: u32, bytes: &[u8]) -> bool {
        let Some(at) = self.position(tx_id) else { return false };
        let more = self.state.pending[at].body_sample.as_mut().is_some_and(|sample| sample.add(bytes));
        if !more {
            self.resolve_from_body(at);
        }
        more
    }

    fn response_end(&mut self, tx_id: u32, body: u64) {
        let Some(at) = self.position(tx_id) else { return };
        if let Some(response) = &mut self.state.pending[at].transaction.response {
            response.body_len = body;
        }
        self.resolve_from_body(at);
        self.finish(tx_id);
    }

    fn unseen(&mut self, tx_id: u32) {
        let Some(at) = self.position(tx_id) else { return };
        self.emit_final(at, Outcome::Unseen);
        self.finish(tx_id);
    }
}

impl TransactionHandler<'_> {
    /// Handles the outcome timeout of a request; a later response may still prove `exposed`.
    pub(super) fn timeout(&mut self, tx_id: u32) {
        let Some(at) = self.position(tx_id) else { return };
        let pending = &self.state.pending[at];
        if pending.transaction.response.is_some() {
            return self.resolve_so_far(at);
        }
        let stats = self.flow.stats;
        let lost = pending.lost || (stats.closed && stats.missing[self.client.other() as usize]);
        let outcome = match (self.server_was_seen() && !lost, stats.closed) {
            (false, _) => Outcome::Unseen,
            (true, true) => Outcome::NoResponse,
            (true, false) => Outcome::Pending,
        };
        self.emit(at, outcome);
    }

    /// Releases a pending request because of the memory limit.
    pub(super) fn release(&mut self, tx_id: u32) {
        let Some(at) = self.position(tx_id) else { return };
        self.counters.held_limit += 1;
        self.resolve_from_body(at);
        if let Some(at) = self.position(tx_id) {
            self.emit_final(at, Outcome::Unseen);
        }
        self.finish(tx_id);
    }

    /// Finishes all pending requests, because the server sends nothing more.
    pub(super) fn no_more_responses(&mut self, end: FlowEnd) {
        let outcome = match end {
            FlowEnd::Closed if self.server_was_seen() => Outcome::NoResponse,
            _ => Outcome::Unseen,
        };
        while let Some(pending) = self.state.pending.first() {
            let tx_id = pending.tx_id();
            let outcome = if pending.lost { Outcome::Unseen } else { outcome };
            match pending.transaction.response {
                None => self.emit_final(0, outcome),
                Some(_) => self.resolve_from_body(0),
            }
            self.finish(tx_id);
        }
    }

    /// Handles lost bytes of the server: they may have held the response to any pending request.
    pub(super) fn response_bytes_lost(&mut self) {
        for pending in &mut self.state.pending {
            pending.lost |= pending.transaction.response.is_none();
        }
        while let Some(at) = self.state.pending.iter().position(|pending| pending.body_sample.is_some()) {
            self.resolve_from_body(at);
        }
    }

    /// Starts to collect the beginning of the response's body.
    fn sample_body(&mut self, at: usize, check: BodyCheck) {
        let pending = &mut self.state.pending[at];
        pending.body_sample = Some(BodySample::new(check));
        pending.memory += BodySample::MEMORY;
        self.index.memory += BodySample::MEMORY;
    }

    /// Decides the outcome from the body bytes collected so far, if they were waited for.
    fn resolve_from_body(&mut self, at: usize) {
        let pending = &mut *self.state.pending[at];
        let (Some(sample), Some(probe)) = (pending.body_sample.take(), &pending.probe) else { return };
        let outcome = sample.check.decide(&probe.signature, &sample.body);
        pending.memory -= BodySample::MEMORY;
        self.index.memory -= BodySample::MEMORY;
        self.emit_final(at, outcome);
    }

    /// Emits the outcome of the body bytes collected so far; further bytes may still prove `exposed`.
    fn resolve_so_far(&mut self, at: usize) {
        let pending = &self.state.pending[at];
        let (Some(sample), Some(probe)) = (&pending.body_sample, &pending.probe) else { return };
        match sample.check.decide(&probe.signature, &sample.body) {
            Outcome::Exposed => self.resolve_from_body(at),
            outcome => self.emit(at, outcome),
        }
    }

    /// Emits a page view for the flow's first page, and for later ones at intervals, where signatures use them. A page in
    /// response to a probe does not count: whatever a scanner gets is no sign of a visitor.
    fn note_page_view(&mut self, tx_id: u32, found: Option<usize>, response: &http::Response<'_>) {
        let recent = |last| self.flow.at.clock.since(last) < PAGE_VIEW_INTERVAL;
        if self.state.last_page.is_some_and(recent)
            || !self.matcher.signatures().needs_page_views()
            || !is_page(response)
        {
            return;
        }
        let pending = found.map(|at| &self.state.pending[at]);
        let probe = pending.and_then(|pending| pending.probe.as_ref());
        if probe.is_some_and(|probe| !probe.signature.support) {
            return;
        }
        let request = pending.map_or_else(|| self.request_packet().number, |pending| pending.number);
        let (at, key) = (self.flow.at, self.flow.key);
        self.state.last_page = Some(at.clock);
        let kind = EventKind::PageView;
        let order = Order { decided_at: at.clock, decided_by: at.number, request, tx_id, kind, sid: 0 };
        let page = PageView { client: key.end(self.client).ip, server: key.end(self.client.other()).ip };
        self.out.push(Event::PageView(order, page));
    }

    fn server_was_seen(&self) -> bool {
        self.flow.stats.packets[self.client.other() as usize] > 0
    }

    fn note_http(&mut self) {
        if !self.state.is_http {
            self.state.is_http = true;
            self.counters.http_flows += 1;
        }
    }

    /// Returns the position of a pending transaction.
    fn position(&self, tx_id: u32) -> Option<usize> {
        self.state.pending.iter().position(|pending| pending.tx_id() == tx_id)
    }

    /// Holds a request until its response is known.
    fn hold(&mut self, request: &http::Request<'_>, probe: Option<ProbeMatch>) {
        let support = probe.as_ref().map(|probe| probe.signature.support);
        let transaction = self.transaction(request);
        let number = self.request_packet().number;
        let memory = size_of::<PendingTransaction>()
            + size_of::<Transaction>()
            + OVERHEAD
            + heap(&transaction.request)
            + probe.as_ref().map_or(0, ProbeMatch::heap);
        self.counters.held += 1;
        self.index.add(self.flow.slot, request.tx_id, memory);
        let stats = self.flow.stats;
        let lost = request.tx_id == 0 && stats.late_start == Some(self.client);
        let pending = PendingTransaction { transaction, number, probe, body_sample: None, memory, lost };
        self.state.pending.push(Box::new(pending));
        let Some(support) = support else { return };
        *(if support { &mut self.counters.support } else { &mut self.counters.probes }) += 1;
        let timeout = self.options.outcome_timeout;
        if timeout.is_zero() {
            self.emit(self.state.pending.len() - 1, Outcome::Pending);
        } else {
            let at = self.flow.at.clock.after(timeout);
            self.index.deadlines.push_back(Deadline { at, slot: self.flow.slot, tx_id: request.tx_id });
        }
    }

    /// Returns the packet that completed the request: the client's last one, or the one that made the flow release the
    /// bytes.
    fn request_packet(&self) -> PacketRef {
        let handled = || self.segment.map_or_else(PacketRef::default, |segment| PacketRef::of(segment.head));
        Some(self.state.latest).filter(|latest| latest.number > 0).unwrap_or_else(handled)
    }

    fn transaction(&self, request: &http::Request<'_>) -> Box<Transaction> {
        let packet = self.request_packet();
        let owned = |value: Option<&[u8]>| value.map(<[u8]>::to_vec);
        Box::new(Transaction {
            timestamp: packet.time,
            frame: packet.frame,
            input: packet.input,
            client: self.flow.key.end(self.client),
            server: self.flow.key.end(self.client.other()),
            encapsulation: self.state.encapsulation.as_deref().copied().unwrap_or_default(),
            // Filled in when the record is emitted.
            flow: FlowFacts::default(),
            tx_id: request.tx_id,
            request: Request {
                method: intern_token(request.method),
                target: request.target.to_vec(),
                protocol: intern_token(request.protocol),
                host: owned(request.host),
                user_agent: owned(request.user_agent),
                referrer: owned(request.referrer),
                forwarded_for: owned(request.forwarded_for),
                body_len: 0,
                truncated: request.truncated,
            },
            response: None,
        })
    }

    fn flow_facts(&self) -> FlowFacts {
        let (to_server, to_client) = (self.client as usize, self.client.other() as usize);
        let stats = self.flow.stats;
        FlowFacts {
            id: flow_id(self.flow.key, stats.start),
            start: stats.start,
            packets_to_server: stats.packets[to_server],
            packets_to_client: stats.packets[to_client],
            bytes_to_server: stats.bytes[to_server],
            bytes_to_client: stats.bytes[to_client],
        }
    }

    /// Emits an alert: once, and again if a late response proves more.
    fn emit(&mut self, at: usize, outcome: Outcome) {
        let Some(update) = self.update(at, outcome) else { return };
        let order = self.order(at, EventKind::Alert);
        let PendingTransaction { transaction, probe, .. } = &*self.state.pending[at];
        if let (transaction, Some(probe)) = (transaction.clone(), probe.clone()) {
            self.push(order, transaction, probe, update);
        }
    }

    /// Emits the last alert of a request; without http records the request is then no longer held.
    fn emit_final(&mut self, at: usize, outcome: Outcome) {
        if self.options.http_events {
            return self.emit(at, outcome);
        }
        let update = self.update(at, outcome);
        let order = self.order(at, EventKind::Alert);
        if let (PendingTransaction { transaction, probe: Some(probe), .. }, Some(update)) = (self.remove(at), update) {
            self.push(order, transaction, probe, update);
        }
    }

    /// Returns what an outcome adds to what was emitted for a request before, if anything, and counts it.
    fn update(&mut self, at: usize, outcome: Outcome) -> Option<AlertUpdate> {
        let probe = self.state.pending[at].probe.as_mut()?;
        let late = match probe.reported {
            None => None,
            Some(before) if self.options.is_update(before, outcome) => Some(before),
            Some(_) => return None,
        };
        probe.reported = Some(outcome);
        let (sid, support) = (probe.signature.id, probe.signature.support);
        let suppressed = !self.state.alert_cap.admit(sid, outcome, support, self.options.alerts_per_flow);
        if support {
            self.counters.support_suppressed += u64::from(suppressed);
        } else {
            self.counters.suppressed += u64::from(suppressed);
            self.counters.late_answers += u64::from(late.is_some());
        }
        Some(AlertUpdate { outcome, late, suppressed })
    }

    fn push(&mut self, order: Order, mut transaction: Box<Transaction>, probe: ProbeMatch, update: AlertUpdate) {
        transaction.flow = self.flow_facts();
        let trusted = &self.options.trusted_proxies;
        let forwarded_for = transaction.request.forwarded_for.as_deref();
        let ProbeMatch { signature, matched, evasions, also, traits, proxied_for, reported: _ } = probe;
        let AlertUpdate { outcome, late, suppressed } = update;
        let alert = Alert {
            forwarded_for: real_client(transaction.client.ip, proxied_for, forwarded_for, trusted),
            transaction,
            signature,
            outcome,
            matched,
            evasions,
            conflict: self.flow.stats.conflict,
            also,
            late,
            suppressed,
            traits,
            context: Vec::new(),
            repeats: 1,
        };
        self.out.push(Record { order, body: Body::Alert(Box::new(alert)) }.into());
    }

    /// Ends a transaction of which nothing more will be known: emits its http record, if wanted.
    fn finish(&mut self, tx_id: u32) {
        let Some(at) = self.position(tx_id) else { return };
        let order = self.order(at, EventKind::Http);
        let PendingTransaction { mut transaction, .. } = self.remove(at);
        if self.options.http_events {
            transaction.flow = self.flow_facts();
            self.out.push(Record { order, body: Body::Http(transaction) }.into());
        }
    }

    fn remove(&mut self, at: usize) -> PendingTransaction {
        let pending = self.state.pending.remove(at);
        self.index.remove(pending.memory);
        *pending
    }

    fn order(&self, at: usize, kind: EventKind) -> Order {
        let pending = &self.state.pending[at];
        let sid = pending.probe.as_ref().map_or(0, |probe| probe.signature.id);
        let EventTime { clock, number } = self.flow.at;
        Order { decided_at: clock, decided_by: number, request: pending.number, tx_id: pending.tx_id(), kind, sid }
    }
}

/// What an alert adds to what was emitted for its request before.
#[derive(Clone, Copy, Debug)]
struct AlertUpdate {
    outcome: Outcome,
    late: Option<Outcome>,
    suppressed: bool,
}

impl Options {
    /// Returns whether `outcome` is reported although `before` was: once a response proves what could not be known, and
    /// always if it proves `exposed`. Whoever does not wait for outcomes learns of exposures only.
    fn is_update(&self, before: Outcome, outcome: Outcome) -> bool {
        let unknown = |outcome| matches!(outcome, Outcome::Unseen | Outcome::Pending | Outcome::NoResponse);
        let proven = unknown(before) && !unknown(outcome) && !self.outcome_timeout.is_zero();
        before != Outcome::Exposed && (outcome == Outcome::Exposed || proven)
    }
}

/// Returns whether a response is a page that a browser shows.
fn is_page(response: &http::Response<'_>) -> bool {
    let media_type = media_type(response.content_type.unwrap_or_default());
    let is = |known: &[u8]| media_type.eq_ignore_ascii_case(known);
    (200..300).contains(&response.status) && (is(b"text/html") || is(b"application/xhtml+xml"))
}
