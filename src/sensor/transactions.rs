//! The docket of one flow, opened for one segment or deadline: what its requests match, what becomes of those that are
//! held, and what is told. Not the pairing of answers, which the http room proves; here it is only told.

use std::time::Duration;

use super::deadlines::Deadline;
use super::flow_id::flow_id;
use super::pending::{BodySample, OVERHEAD, PendingTransaction, ProbeMatch, heap, intern_token};
use super::request_traits::trace;
use super::xff::rightmost_untrusted;
use super::{HeldRequests, PacketRef, SensorBench};
use crate::flow::FlowView;
use crate::http;
use crate::outcome::{Assessment, BodyCheck, Outcome, assess};
use crate::record::{
    Alert, Body, Event, EventKind, FlowFacts, Order, PageView, Record, Request, Response, Transaction,
};
use crate::segment::{Segment, Side};
use crate::signature::CachedMatcher;

/// What the end of the answers means for requests that have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FlowEnd {
    /// The connection is over: the server said nothing.
    Silent,
    /// The capture is over, or the flow was given up: nobody knows.
    Unknown,
}

/// How often a page of one flow is told of. Rationale: connections of proxies stay open for hours and show pages all the
/// time; a minute is little of the half hour for which a page is remembered.
const PAGES_EVERY: Duration = Duration::from_secs(60);

/// The docket of one flow, opened for one segment or deadline.
pub(super) struct TransactionHandler<'a> {
    pub(super) bench: &'a mut SensorBench,
    pub(super) search: &'a mut CachedMatcher,
    pub(super) docket: &'a mut HeldRequests,
    pub(super) flow: &'a FlowView<'a>,
    pub(super) client: Side,
    pub(super) segment: Option<&'a Segment<'a>>,
    pub(super) out: &'a mut Vec<Event>,
}

impl http::Handler for TransactionHandler<'_> {
    fn request(&mut self, request: &http::Request<'_>) {
        self.note_http();
        let found = self.search.find(request.method, request.target);
        let probe = found.map(|found| ProbeMatch {
            trace: trace(request, &found.signature),
            matched: found.matched,
            signature: found.signature,
            evasions: found.evasions,
            also: found.also.iter().map(|other| other.slug.clone()).collect(),
            told: None,
        });
        if probe.is_some() || self.bench.options.http_events {
            self.hold(request, probe);
        }
    }

    fn request_end(&mut self, tx_id: u32, body: u64) {
        if let Some(held) = self.find(tx_id) {
            held.transaction.request.body_len = body;
        }
    }

    fn response(&mut self, tx_id: u32, response: &http::Response<'_>) -> bool {
        self.note_http();
        self.note_page(tx_id, response);
        let http_events = self.bench.options.http_events;
        let Some(held) = self.find(tx_id) else { return false };
        // Nobody reads the words of an answer to a hit that is only counted.
        let read = http_events || held.probe.as_ref().is_none_or(|probe| !probe.signature.support);
        let owned = |value: Option<&[u8]>| value.filter(|_| read).map(<[u8]>::to_vec);
        let seen = Response {
            status: response.status,
            reason: owned(Some(response.reason)).unwrap_or_default(),
            content_type: owned(response.content_type),
            location: owned(response.location),
            content_length: response.content_length,
            body_len: 0,
        };
        let kept = [Some(&seen.reason), seen.content_type.as_ref(), seen.location.as_ref()];
        let added = kept.into_iter().flatten().map(Vec::len).sum::<usize>();
        held.memory += added;
        held.transaction.response = Some(seen);
        self.bench.waiting.memory += added;
        let verdict = self.find(tx_id).and_then(|held| {
            held.probe.as_ref().map(|probe| assess(&probe.signature, &held.transaction.request.method, response))
        });
        match verdict {
            Some(Assessment::NeedsBody(open)) => {
                self.read(tx_id, open);
                return true;
            }
            Some(Assessment::Final(outcome)) => self.emit_final(tx_id, outcome),
            None => {}
        }
        if !self.bench.options.http_events {
            self.remove(tx_id);
        }
        false
    }

    fn response_body(&mut self, tx_id: u32, bytes: &[u8]) -> bool {
        let more = self
            .find(tx_id)
            .and_then(|held| held.body_sample.as_mut())
            .is_some_and(|body_sample| body_sample.add(bytes));
        if !more {
            self.resolve_from_body(tx_id);
        }
        more
    }

    fn response_end(&mut self, tx_id: u32, body: u64) {
        let Some(held) = self.find(tx_id) else { return };
        if let Some(response) = &mut held.transaction.response {
            response.body_len = body;
        }
        self.resolve_from_body(tx_id);
        self.finish(tx_id);
    }

    fn unseen(&mut self, tx_id: u32) {
        self.emit_final(tx_id, Outcome::Unseen);
        self.finish(tx_id);
    }
}

impl TransactionHandler<'_> {
    /// The time for an answer is up; a later one may still prove the worst.
    pub(super) fn time_is_up(&mut self, tx_id: u32) {
        if self.find(tx_id).is_some_and(|held| held.transaction.response.is_some()) {
            return self.resolve_so_far(tx_id);
        }
        let facts = self.flow.facts;
        let lost = self.find(tx_id).is_some_and(|held| held.lost)
            || (facts.closed && facts.missing[self.client.other() as usize]);
        let outcome = match (self.server_was_seen() && !lost, facts.closed) {
            (false, _) => Outcome::Unseen,
            (true, true) => Outcome::NoResponse,
            (true, false) => Outcome::Pending,
        };
        self.emit(tx_id, outcome);
    }

    /// A held request takes room that others need.
    pub(super) fn release(&mut self, tx_id: u32) {
        if self.find(tx_id).is_some() {
            self.bench.counters.held_limit += 1;
            self.resolve_from_body(tx_id);
            self.emit_final(tx_id, Outcome::Unseen);
            self.finish(tx_id);
        }
    }

    /// Nothing more comes from the server.
    pub(super) fn no_more_answers(&mut self, outlook: FlowEnd) {
        let outcome = match outlook {
            FlowEnd::Silent if self.server_was_seen() => Outcome::NoResponse,
            _ => Outcome::Unseen,
        };
        while let Some(held) = self.docket.held.first() {
            let tx_id = held.tx_id();
            let outcome = if held.lost { Outcome::Unseen } else { outcome };
            match held.transaction.response {
                None => self.emit_final(tx_id, outcome),
                Some(_) => self.resolve_from_body(tx_id),
            }
            self.finish(tx_id);
        }
    }

    /// Bytes of the server were lost: whatever waits may have been answered by them.
    pub(super) fn answers_lost(&mut self) {
        for held in &mut self.docket.held {
            held.lost |= held.transaction.response.is_none();
        }
        while let Some(held) = self.docket.held.iter().find(|held| held.body_sample.is_some()) {
            self.resolve_from_body(held.tx_id());
        }
    }

    /// From now on the answer's body is read.
    fn read(&mut self, tx_id: u32, open: BodyCheck) {
        let Some(held) = self.find(tx_id) else { return };
        held.body_sample = Some(BodySample::new(open));
        held.memory += BodySample::MEMORY;
        self.bench.waiting.memory += BodySample::MEMORY;
    }

    /// Whatever was read of the answer's body is all there will be.
    fn resolve_from_body(&mut self, tx_id: u32) {
        let Some(held) = self.find(tx_id) else { return };
        let (Some(body_sample), Some(probe)) = (held.body_sample.take(), &held.probe) else { return };
        let outcome = body_sample.open.decide(&probe.signature, &body_sample.body);
        held.memory -= BodySample::MEMORY;
        self.bench.waiting.memory -= BodySample::MEMORY;
        self.emit_final(tx_id, outcome);
        if !self.bench.options.http_events {
            self.remove(tx_id);
        }
    }

    /// The time is up: what was read of the answer's body so far is told of, and what is still to come may prove the worst.
    fn resolve_so_far(&mut self, tx_id: u32) {
        let Some(held) = self.find(tx_id) else { return };
        let (Some(body_sample), Some(probe)) = (&held.body_sample, &held.probe) else { return };
        match body_sample.open.decide(&probe.signature, &body_sample.body) {
            Outcome::Exposed => self.resolve_from_body(tx_id),
            outcome => self.emit(tx_id, outcome),
        }
    }

    /// Tells of the flow's first page, and of a later one now and then, where signatures ask for it: not of one that
    /// answers a probe, since whatever a prober gets shows no visitor.
    fn note_page(&mut self, tx_id: u32, response: &http::Response<'_>) {
        let lately = |told| self.flow.at.clock.since(told) < PAGES_EVERY;
        if self.docket.paged.is_some_and(lately) || !self.search.signatures().weigh_pages() || !is_page(response) {
            return;
        }
        let held = self.find(tx_id);
        if held.as_ref().is_some_and(|held| held.probe.as_ref().is_some_and(|probe| !probe.signature.support)) {
            return;
        }
        let number = held.map(|held| held.number).unwrap_or_else(|| self.request_packet().number);
        let (at, key) = (self.flow.at, self.flow.key);
        self.docket.paged = Some(at.clock);
        let order = Order {
            decided_at: at.clock,
            decided_by: at.number,
            request: number,
            tx_id,
            kind: EventKind::PageView,
            sid: 0,
        };
        let page = PageView { client: key.end(self.client).ip, server: key.end(self.client.other()).ip };
        self.out.push(Event::PageView(order, page));
    }

    fn server_was_seen(&self) -> bool {
        self.flow.facts.packets[self.client.other() as usize] > 0
    }

    fn note_http(&mut self) {
        if !self.docket.is_http {
            self.docket.is_http = true;
            self.bench.counters.http_flows += 1;
        }
    }

    fn find(&mut self, tx_id: u32) -> Option<&mut PendingTransaction> {
        self.docket.held.iter_mut().find(|held| held.tx_id() == tx_id).map(|held| &mut **held)
    }

    fn hold(&mut self, request: &http::Request<'_>, probe: Option<ProbeMatch>) {
        let support = probe.as_ref().map(|probe| probe.signature.support);
        let transaction = self.transaction(request);
        let number = self.request_packet().number;
        let memory = size_of::<PendingTransaction>()
            + size_of::<Transaction>()
            + OVERHEAD
            + heap(&transaction.request)
            + probe.as_ref().map_or(0, ProbeMatch::heap);
        self.bench.counters.held += 1;
        self.bench.waiting.add(self.flow.slot, request.tx_id, memory);
        self.docket.held.push(Box::new(PendingTransaction {
            transaction,
            number,
            probe,
            body_sample: None,
            memory,
            lost: false,
        }));
        if let Some(support) = support {
            let counters = &mut self.bench.counters;
            *(if support { &mut counters.support } else { &mut counters.probes }) += 1;
            let timeout = self.bench.options.outcome_timeout;
            if timeout.is_zero() {
                self.emit(request.tx_id, Outcome::Pending);
            } else {
                let at = self.flow.at.clock.after(timeout);
                let deadline = Deadline { at, slot: self.flow.slot, tx_id: request.tx_id };
                self.bench.waiting.deadlines.push_back(deadline);
            }
        }
    }

    /// The packet that completed the request: the client's latest, or whatever made the flow give the bytes out.
    fn request_packet(&self) -> PacketRef {
        self.docket
            .latest
            .unwrap_or_else(|| self.segment.map_or_else(PacketRef::default, |segment| PacketRef::of(segment.head)))
    }

    fn transaction(&self, request: &http::Request<'_>) -> Box<Transaction> {
        let request_packet = self.request_packet();
        let owned = |value: Option<&[u8]>| value.map(<[u8]>::to_vec);
        Box::new(Transaction {
            timestamp: request_packet.time,
            frame: request_packet.frame,
            input: request_packet.input,
            client: self.flow.key.end(self.client),
            server: self.flow.key.end(self.client.other()),
            encapsulation: self.docket.wrapping.as_deref().copied().unwrap_or_default(),
            // Written when it is told of.
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
        let facts = self.flow.facts;
        FlowFacts {
            id: flow_id(self.flow.key, facts.start),
            start: facts.start,
            packets_to_server: facts.packets[to_server],
            packets_to_client: facts.packets[to_client],
            bytes_to_server: facts.bytes[to_server],
            bytes_to_client: facts.bytes[to_client],
        }
    }

    /// Tells of a probe: once, and once more if a late answer proves the worst.
    fn emit(&mut self, tx_id: u32, outcome: Outcome) {
        let Some(news) = self.news(tx_id, outcome) else { return };
        let order = self.order(tx_id, EventKind::Alert);
        let told = self.find(tx_id).and_then(|held| Some((held.transaction.clone(), held.probe.clone()?)));
        if let Some((transaction, probe)) = told {
            self.push(order, transaction, probe, news);
        }
    }

    /// Tells of a probe of which nothing more will be known; without http records the request is not held any more.
    fn emit_final(&mut self, tx_id: u32, outcome: Outcome) {
        if self.bench.options.http_events {
            return self.emit(tx_id, outcome);
        }
        let Some(news) = self.news(tx_id, outcome) else { return };
        let order = self.order(tx_id, EventKind::Alert);
        if let Some(PendingTransaction { transaction, probe: Some(probe), .. }) = self.remove(tx_id) {
            self.push(order, transaction, probe, news);
        }
    }

    /// What is new about a probe, if anything is; counted.
    fn news(&mut self, tx_id: u32, outcome: Outcome) -> Option<AlertUpdate> {
        let held = self.docket.held.iter_mut().find(|held| held.tx_id() == tx_id)?;
        let probe = held.probe.as_mut()?;
        let late = match probe.told {
            None => None,
            Some(Outcome::Exposed) => return None,
            before if outcome == Outcome::Exposed => before,
            Some(_) => return None,
        };
        probe.told = Some(outcome);
        let limit = self.bench.options.alerts_per_flow;
        let support = probe.signature.support;
        let suppressed = !self.docket.alert_cap.admit(probe.signature.id, outcome, support, limit);
        let counters = &mut self.bench.counters;
        match support {
            true => counters.support_suppressed += u64::from(suppressed),
            false => {
                counters.suppressed += u64::from(suppressed);
                counters.late_answers += u64::from(late.is_some());
            }
        }
        Some(AlertUpdate { outcome, late, suppressed })
    }

    fn push(&mut self, order: Order, mut transaction: Box<Transaction>, probe: ProbeMatch, news: AlertUpdate) {
        transaction.flow = self.flow_facts();
        let trusted = &self.bench.options.trusted_proxies;
        let forwarded_for = transaction.request.forwarded_for.as_deref();
        let ProbeMatch { signature, matched, evasions, also, trace, told: _ } = probe;
        let AlertUpdate { outcome, late, suppressed } = news;
        let alert = Alert {
            forwarded_for: forwarded_for.and_then(|value| rightmost_untrusted(value, trusted)),
            transaction,
            signature,
            outcome,
            matched,
            evasions,
            conflict: self.flow.facts.conflict,
            also,
            late,
            suppressed,
            traits: trace,
            context: Vec::new(),
            repeats: 1,
        };
        self.out.push(Record { order, body: Body::Alert(Box::new(alert)) }.into());
    }

    /// Nothing more will be known of a request.
    fn finish(&mut self, tx_id: u32) {
        if self.bench.options.http_events && self.find(tx_id).is_some() {
            let order = self.order(tx_id, EventKind::Http);
            let flow = self.flow_facts();
            if let Some(PendingTransaction { mut transaction, .. }) = self.remove(tx_id) {
                transaction.flow = flow;
                self.out.push(Record { order, body: Body::Http(transaction) }.into());
            }
        } else {
            self.remove(tx_id);
        }
    }

    fn remove(&mut self, tx_id: u32) -> Option<PendingTransaction> {
        let at = self.docket.held.iter().position(|held| held.tx_id() == tx_id)?;
        let held = self.docket.held.remove(at);
        self.bench.waiting.remove(held.memory);
        Some(*held)
    }

    fn order(&mut self, tx_id: u32, kind: EventKind) -> Order {
        let at = self.flow.at;
        let held = self.find(tx_id);
        let request = held.as_ref().map_or(0, |held| held.number);
        let sid = held.and_then(|held| held.probe.as_ref()).map_or(0, |probe| probe.signature.id);
        Order { decided_at: at.clock, decided_by: at.number, request, tx_id, kind, sid }
    }
}

/// What is told of a probe now.
#[derive(Clone, Copy, Debug)]
struct AlertUpdate {
    outcome: Outcome,
    late: Option<Outcome>,
    suppressed: bool,
}

/// Whether an answer is a page that a browser shows.
fn is_page(response: &http::Response<'_>) -> bool {
    let media_type = response.content_type.unwrap_or_default().split(|&byte| byte == b';').next().unwrap_or_default();
    let is = |known: &[u8]| media_type.trim_ascii().eq_ignore_ascii_case(known);
    (200..300).contains(&response.status) && (is(b"text/html") || is(b"application/xhtml+xml"))
}
