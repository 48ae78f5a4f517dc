//! Feeds reassembled TCP data to each flow's HTTP parser and signals the end of its streams. Requests are matched and
//! responses evaluated in [`super::transactions`].

use super::transactions::{FlowEnd, TransactionHandler};
use super::{FlowState, ShardState};
use crate::flow::{Chunk, FlowView, Interest, Listener, Reason};
use crate::http::{self, Carries, Direction};
use crate::record::Event;
use crate::segment::{Encapsulation, FlowKey, Segment, Side};
use crate::signature::CachedMatcher;
use crate::table::ALLOCATION;

/// Parsers kept for new flows. Rationale: as many as end before others begin, and at most 8 KiB per shard.
const MAX_SPARE_PARSERS: usize = 16;

/// Receives the events of all flows while one segment or deadline is handled.
pub(super) struct StreamAdapter<'a> {
    pub(super) shard: &'a mut ShardState,
    /// The segment being handled; `None` for a deadline.
    pub(super) segment: Option<&'a Segment<'a>>,
    pub(super) matcher: &'a mut CachedMatcher,
    pub(super) out: &'a mut Vec<Event>,
}

impl Listener for StreamAdapter<'_> {
    type State = FlowState;

    fn chunk(&mut self, flow: &FlowView<'_>, state: &mut FlowState, side: Side, chunk: Chunk<'_>) {
        match chunk {
            Chunk::Data { bytes, offset, acked } => self.data(flow, state, side, bytes, offset, acked),
            Chunk::Gap { len } => {
                let Some(client) = state.role.client() else { return };
                self.parse(flow, state, |http, scope| http.gap(direction(side, client), len, scope));
                if side != client {
                    self.with_transactions(flow, state, |transactions| transactions.response_bytes_lost());
                }
            }
        }
    }

    fn waits(&mut self, _flow: &FlowView<'_>, state: &mut FlowState, side: Side) {
        // A deadline or the server may release its bytes later: this is the packet that carried them.
        if state.role.client().is_none_or(|client| client == side)
            && let Some(segment) = self.segment.filter(|segment| segment.head.side == side)
        {
            state.note_packet(segment);
        }
    }

    fn end(&mut self, flow: &FlowView<'_>, state: &mut FlowState, side: Side) {
        let Some(client) = state.role.client() else { return };
        self.parse(flow, state, |http, scope| http.end(direction(side, client), scope));
        if side != client {
            self.with_transactions(flow, state, |transactions| transactions.no_more_responses(FlowEnd::Closed));
        }
    }

    fn closed(&mut self, flow: &FlowView<'_>, state: &mut FlowState, reason: Reason) {
        if state.http.is_some() {
            self.parse(flow, state, |http, scope| {
                http.end(Direction::ToServer, scope);
                http.end(Direction::ToClient, scope);
            });
        }
        if state.role.client().is_some() {
            self.shard.counters.ended += 1;
            self.shard.counters.one_sided += u64::from(flow.stats.packets.contains(&0));
        }
        let known = flow.stats.closed || matches!(reason, Reason::Timeout | Reason::Ended | Reason::Reused);
        let end = if known { FlowEnd::Closed } else { FlowEnd::Unknown };
        self.with_transactions(flow, state, |transactions| transactions.no_more_responses(end));
        self.shard.payload.count_rest(flow.key, state);
        self.release_parser(state);
    }

    fn waits_for_peer(state: &FlowState) -> bool {
        // Responses come in the order of the requests.
        state.pending.last().is_some_and(|pending| pending.transaction.response.is_none())
    }

    fn memory(state: &FlowState) -> usize {
        let encapsulation = state.encapsulation.as_ref().map_or(0, |_| size_of::<Encapsulation>());
        let http = state.http.as_ref().map_or(0, |http| size_of::<http::Connection>() + ALLOCATION + http.memory());
        http + state.pending.capacity() * size_of::<usize>() + encapsulation + state.alert_cap.memory()
    }

    fn interest(state: &FlowState) -> Interest {
        state.interest
    }

    fn resumes_at(payload: &[u8]) -> bool {
        http::begins_message(payload)
    }

    fn passed_over(&mut self, key: &FlowKey, state: &mut FlowState, len: usize) {
        self.shard.payload.count(key, state, len);
    }
}

impl StreamAdapter<'_> {
    fn data(
        &mut self,
        flow: &FlowView<'_>,
        state: &mut FlowState,
        side: Side,
        bytes: &[u8],
        offset: u64,
        acked: Option<u64>,
    ) {
        let (client, corrected) = state.role.learn(flow, side, bytes, &self.shard.options.ports);
        if corrected {
            self.shard.counters.role_corrected += 1;
            self.with_transactions(flow, state, |transactions| transactions.no_more_responses(FlowEnd::Unknown));
            state.http = None;
            state.interest = Interest::High;
        }
        if side == client {
            if let Some(segment) = self.segment.filter(|segment| segment.head.side == side) {
                state.note_packet(segment);
            }
            self.parse(flow, state, |http, scope| http.to_server(bytes, offset, acked, scope));
        } else {
            self.parse(flow, state, |http, scope| http.to_client(bytes, offset, acked, scope));
        }
        self.update_interest(flow, state);
        self.shard.payload.count(flow.key, state, bytes.len());
    }

    /// Decides from the first bytes of both directions what is expected of the flow's further bytes.
    fn update_interest(&mut self, flow: &FlowView<'_>, state: &mut FlowState) {
        let Some(http) = &state.http else { return };
        let carries = http.carries();
        if carries == Carries::Http && state.carries == carries {
            return;
        }
        state.carries = carries;
        if matches!(state.carries, Carries::Undecided | Carries::Http) || !state.pending.is_empty() {
            state.interest = Interest::High;
            return;
        }
        state.interest = Interest::Low;
        // Only a handshake shows that the client's first byte is the first of the connection. Where copies of its bytes
        // differed, the server may have read the other one.
        let from_start = flow.stats.client.is_some() && flow.stats.client == state.role.client();
        if http.is_foreign(from_start) && !flow.stats.conflict {
            state.interest = Interest::None;
            self.release_parser(state);
        }
    }

    /// Keeps the parser of a flow that needs none any more for another flow.
    fn release_parser(&mut self, state: &mut FlowState) {
        if let Some(mut http) = state.http.take().filter(|_| self.shard.spare_parsers.len() < MAX_SPARE_PARSERS) {
            http.reset();
            self.shard.spare_parsers.push(http);
        }
    }

    /// Runs `act` on the flow's transactions, if its client is known.
    fn with_transactions(
        &mut self,
        flow: &FlowView<'_>,
        state: &mut FlowState,
        act: impl FnOnce(&mut TransactionHandler<'_>),
    ) {
        let Self { shard, segment, matcher, out } = self;
        if let Some((mut handler, ..)) = shard.transactions(state, flow, *segment, matcher, out) {
            act(&mut handler);
        }
    }

    /// Runs `act` on the flow's HTTP parser, with the flow's transactions as its handler.
    fn parse(
        &mut self,
        flow: &FlowView<'_>,
        state: &mut FlowState,
        act: impl FnOnce(&mut http::Connection, &mut http::ParseScope<'_, TransactionHandler<'_>>),
    ) {
        let Self { shard, segment, matcher, out } = self;
        // Taken out of the flow for as long as its handler has the rest of the state.
        let mut http = state.http.take().unwrap_or_else(|| shard.spare_parsers.pop().unwrap_or_default());
        if let Some((mut handler, limits, counters)) = shard.transactions(state, flow, *segment, matcher, out) {
            act(&mut http, &mut http::ParseScope { limits, counters, handler: &mut handler });
        }
        state.http = Some(http);
    }
}

/// Returns the direction in which `side` sends.
fn direction(side: Side, client: Side) -> Direction {
    if side == client { Direction::ToServer } else { Direction::ToClient }
}
