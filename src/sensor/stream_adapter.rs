//! The ear at the flows: their bytes handed to the HTTP parsers, their ends to the dockets. Not the judging of requests: see
//! [`super::transactions`].

use super::transactions::{FlowEnd, TransactionHandler};
use super::{FlowState, SensorCore};
use crate::flow::{Chunk, FlowView, Listener, Reason};
use crate::http::{self, Direction};
use crate::record::Record;
use crate::segment::{Encapsulation, Segment, Side};
use crate::signature::CachedMatcher;
use crate::table::ALLOCATION;

/// Parsers that are kept for flows that begin. Rationale: as many as end before others begin, and 8 KiB a shard at most.
const SPARE: usize = 16;

/// The ear at the flows, while one segment or deadline is handled.
pub(super) struct StreamAdapter<'a> {
    pub(super) core: &'a mut SensorCore,
    pub(super) segment: Option<&'a Segment<'a>>,
    pub(super) search: &'a mut CachedMatcher,
    pub(super) out: &'a mut Vec<Record>,
}

impl Listener for StreamAdapter<'_> {
    type State = FlowState;

    fn chunk(&mut self, flow: &FlowView<'_>, talk: &mut FlowState, side: Side, chunk: Chunk<'_>) {
        match chunk {
            Chunk::Data { bytes, offset, acked } => self.bytes(flow, talk, side, bytes, offset, acked),
            Chunk::Gap { len } => {
                let Some(client) = talk.role.client() else { return };
                self.parse(flow, talk, |http, scope| http.gap(direction(side, client), len, scope));
                if side != client {
                    self.hearing(flow, talk, |hearing| hearing.answers_lost());
                }
            }
        }
    }

    fn waits(&mut self, _flow: &FlowView<'_>, talk: &mut FlowState, side: Side) {
        // A deadline or the server may let its bytes go: the packet that carried them is this one.
        if talk.role.client().is_none_or(|client| client == side)
            && let Some(segment) = self.segment
        {
            talk.docket.note_packet(segment);
        }
    }

    fn end(&mut self, flow: &FlowView<'_>, talk: &mut FlowState, side: Side) {
        let Some(client) = talk.role.client() else { return };
        self.parse(flow, talk, |http, scope| http.end(direction(side, client), scope));
        if side != client {
            self.hearing(flow, talk, |hearing| hearing.no_more_answers(FlowEnd::Silent));
        }
    }

    fn closed(&mut self, flow: &FlowView<'_>, talk: &mut FlowState, reason: Reason) {
        if talk.http.is_some() {
            self.parse(flow, talk, |http, scope| {
                http.end(Direction::ToServer, scope);
                http.end(Direction::ToClient, scope);
            });
        }
        if talk.role.client().is_some() {
            self.core.bench.counters.ended += 1;
            self.core.bench.counters.one_sided += u64::from(flow.stats.packets.contains(&0));
        }
        let known = flow.stats.closed || matches!(reason, Reason::Timeout | Reason::Ended | Reason::Reused);
        let outlook = if known { FlowEnd::Silent } else { FlowEnd::Unknown };
        self.hearing(flow, talk, |hearing| hearing.no_more_answers(outlook));
        if let Some(mut http) = talk.http.take().filter(|_| self.core.spare.len() < SPARE) {
            http.renew();
            self.core.spare.push(http);
        }
    }

    fn memory(talk: &FlowState) -> usize {
        let wrapping = talk.docket.wrapping.as_ref().map_or(0, |_| size_of::<Encapsulation>());
        let http = talk.http.as_ref().map_or(0, |http| size_of::<http::Connection>() + ALLOCATION + http.memory());
        http + talk.docket.held.capacity() * size_of::<usize>() + wrapping + talk.docket.alert_cap.memory()
    }
}

impl StreamAdapter<'_> {
    fn bytes(
        &mut self,
        flow: &FlowView<'_>,
        talk: &mut FlowState,
        side: Side,
        bytes: &[u8],
        offset: u64,
        acked: Option<u64>,
    ) {
        let (client, corrected) = talk.role.learn(flow, side, bytes, &self.core.bench.options.ports);
        if corrected {
            self.core.bench.counters.role_corrected += 1;
            self.hearing(flow, talk, |hearing| hearing.no_more_answers(FlowEnd::Unknown));
            talk.http = None;
        }
        if side == client {
            if let Some(segment) = self.segment.filter(|segment| segment.head.side == side) {
                talk.docket.note_packet(segment);
            }
            self.parse(flow, talk, |http, scope| http.to_server(bytes, offset, acked, scope));
        } else {
            self.parse(flow, talk, |http, scope| http.to_client(bytes, offset, acked, scope));
        }
    }

    fn hearing(&mut self, flow: &FlowView<'_>, talk: &mut FlowState, act: impl FnOnce(&mut TransactionHandler<'_>)) {
        let Some(client) = talk.role.client() else { return };
        let bench = &mut self.core.bench;
        let (search, docket) = (&mut *self.search, &mut talk.docket);
        act(&mut TransactionHandler { bench, search, docket, flow, client, segment: self.segment, out: self.out });
    }

    /// Lets the flow's HTTP parser do something, with this flow's docket as its handler.
    fn parse(
        &mut self,
        flow: &FlowView<'_>,
        talk: &mut FlowState,
        parse: impl FnOnce(&mut http::Connection, &mut http::ParseScope<'_, TransactionHandler<'_>>),
    ) {
        let Some(client) = talk.role.client() else { return };
        let SensorCore { parsing, limits, spare, bench } = &mut *self.core;
        let (search, docket) = (&mut *self.search, &mut talk.docket);
        let mut hearing =
            TransactionHandler { bench, search, docket, flow, client, segment: self.segment, out: self.out };
        parse(
            talk.http.get_or_insert_with(|| spare.pop().unwrap_or_default()),
            &mut http::ParseScope { limits, counters: parsing, handler: &mut hearing },
        );
    }
}

/// The direction in which `side` sends.
fn direction(side: Side, client: Side) -> Direction {
    if side == client { Direction::ToServer } else { Direction::ToClient }
}
