//! The pump: numbers packets, keeps the clock, decodes, and lists for each lane its segments. Between two blocks it does
//! what the user asked for by signals. Not the handling of flows, which the lanes do.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::capture::block::{FillStatus, PacketSource, SourceError};
use crate::capture::replay;
use crate::decode::Decoder;
use crate::flow::SHARDS;
use crate::pipeline::clock::Clock;
use crate::pipeline::lanes::{Batch, BatchKind, Lanes, SegmentRef};
use crate::pipeline::message::{BatchEnd, LaneMessage, OutputRequest, Payload, RunFlags};
use crate::segment::Side;
use crate::sensor::Ports;
use crate::signature::Signatures;
use crate::stats::traffic::TrafficStats;
use crate::stats::{DispatcherCounters, DispatcherStats, ReloadCounters};
use crate::time::Timestamp;

/// A file that begins at most this long after the last packet of the one before continues it.
/// Rationale: rotation loses less; another capture begins later.
const CONTINUES_WITHIN: Duration = Duration::from_secs(60);
/// And at most this long before it: packets near a rotation are not always in order.
const CONTINUES_BEFORE: Duration = Duration::from_secs(1);

/// Constants without a pattern: the fractional parts of the cube roots of the first primes.
const SHARD_FACTORS: [u64; 6] = [
    0x428a_2f98_d728_ae22,
    0x7137_4491_23ef_65cd,
    0xb5c0_fbcf_ec4d_3b2f,
    0xe9b5_dba5_8189_dbbc,
    0x3956_c25b_f348_b538,
    0x59f1_11f1_b605_d019,
];

/// What the pump is asked to do between two blocks.
#[derive(Debug, Default)]
pub(crate) struct ControlRequest {
    /// End the run.
    pub(crate) stop: bool,
    /// Live: the desk is so far behind that nothing more shall be begun.
    pub(crate) behind: bool,
    /// What the desk shall do.
    pub(crate) wish: OutputRequest,
    /// Use these signatures from now on.
    pub(crate) signatures: Option<Arc<Signatures>>,
}

/// Who asks the pump, and whom it tells.
pub(crate) trait Surroundings<S> {
    /// What is asked between two blocks. `idle`: the last block was empty.
    fn asked(&mut self, source: &mut S) -> ControlRequest;
    /// What the source says of itself.
    fn source_figures(&self, source: &S, figures: &mut DispatcherStats);
    /// An envelope for the desk. Says whether the desk took its last.
    fn deliver(&mut self, envelope: LaneMessage) -> bool;
}

/// The pump.
pub(crate) struct Dispatcher {
    pub(crate) decoder: Decoder,
    pub(crate) lanes: Lanes,
    pub(crate) ports: Ports,
    pub(crate) flags: Arc<RunFlags>,
    pub(crate) signatures: Arc<Signatures>,
    pub(crate) clock: Clock,
    pub(crate) live: bool,
    pub(crate) continuous: bool,
    pub(crate) count: Option<u64>,
    pub(crate) panic_at: Option<u64>,
    pub(crate) traffic: TrafficStats,
    pub(crate) counters: DispatcherCounters,
    /// What shards are chosen by: the same in every replay.
    shard: [u64; 6],
    number: u64,
    sequence: u64,
    started: Instant,
    first: Option<Timestamp>,
    last: Option<(u32, Timestamp)>,
}

impl Dispatcher {
    pub(crate) fn new(decoder: Decoder, lanes: Lanes, signatures: Arc<Signatures>, flags: Arc<RunFlags>) -> Self {
        Self {
            decoder,
            lanes,
            ports: Ports::default(),
            flags,
            signatures,
            clock: Clock::default(),
            live: false,
            continuous: false,
            count: None,
            panic_at: None,
            traffic: TrafficStats::default(),
            counters: DispatcherCounters::default(),
            shard: SHARD_FACTORS,
            number: 0,
            sequence: 0,
            started: Instant::now(),
            first: None,
            last: None,
        }
    }

    /// Live: nobody may choose his shard.
    pub(crate) fn randomize_sharding(&mut self) {
        self.shard = std::array::from_fn(|_| random_keys()[0]);
    }

    /// Runs until the source is at its end, or somebody asks to stop, or the output is gone. [`Dispatcher::finish`] closes
    /// the run.
    ///
    /// # Errors
    /// When the source fails as a whole; everything before was handled.
    pub(crate) fn run<S: PacketSource>(
        &mut self,
        source: &mut S,
        around: &mut impl Surroundings<S>,
    ) -> Result<(), SourceError> {
        let mut result = Ok(());
        loop {
            let asked = around.asked(source);
            if let Some(signatures) = asked.signatures {
                self.signatures = signatures;
            }
            let gone = self.flags.closed.load(Ordering::Relaxed) || self.flags.broken.load(Ordering::Relaxed);
            if asked.stop || gone {
                break;
            }
            let mut load = self.lanes.empty();
            let status = source.fill(&mut load.block).unwrap_or_else(|error| {
                result = Err(error);
                FillStatus::End
            });
            self.join_or_settle(&load, source, around);
            let full = self.decode(&mut load);
            if asked.behind && asked.wish.is_none() && status == FillStatus::More {
                self.counters.dropped += load.work.iter().map(Vec::len).sum::<usize>() as u64;
                self.lanes.give_back(load);
                continue;
            }
            if self.hand_on(load, asked.wish, source, around) || status == FillStatus::End || full {
                break;
            }
        }
        result
    }

    /// Settles everything that is open, and says that it was the last.
    pub(crate) fn finish<S>(&mut self, source: &S, around: &mut impl Surroundings<S>) {
        let mut load = self.lanes.empty();
        load.job = BatchKind::Finish;
        self.hand_on(load, OutputRequest { stats: true, last: true, ..OutputRequest::default() }, source, around);
    }

    /// At the first packet of another file: the same capture goes on, or everything is settled and the clock starts
    /// anew.
    fn join_or_settle<S>(&mut self, next: &Batch, source: &S, around: &mut impl Surroundings<S>) {
        let Some(first) = next.block.packets.first() else { return };
        if let Some((input, last)) = self.last
            && input != next.block.input
            && !self.continuous
        {
            let continues = first.time.since(last) <= CONTINUES_WITHIN && last.since(first.time) <= CONTINUES_BEFORE;
            if !continues {
                let mut load = self.lanes.empty();
                load.job = BatchKind::Finish;
                self.hand_on(load, OutputRequest::default(), source, around);
                self.decoder.clear();
                self.clock = Clock::default();
            }
        }
        self.last = next.block.packets.last().map(|last| (next.block.input, last.time));
    }

    /// Numbers and decodes the block's packets and lists the segments. Says whether enough packets were seen.
    fn decode(&mut self, load: &mut Batch) -> bool {
        let lanes = self.lanes.count();
        // Once a load: a division costs as much as the rest of the choice.
        let lane_of: [usize; SHARDS] = std::array::from_fn(|shard| shard % lanes);
        // What passed is known for the block's end: its packets may be older, and are not late.
        let passed = self.clock.ahead(load.block.elapsed);
        let Batch { block, extras, segments, work, .. } = load;
        let left = self.count.map_or(u64::MAX, |count| count.saturating_sub(self.number));
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(block.packets.len());
        let full = wanted < block.packets.len();
        if segments.len() < wanted {
            segments.resize(wanted, SegmentRef::default());
        }
        let mut next = 0;
        for captured in &block.packets[..wanted] {
            self.number += 1;
            let packet = captured.packet(&block.bytes, self.number);
            let clock = self.clock.tick(packet.time);
            let entry = &mut segments[next];
            let Ok(span) = self.decoder.decode_into(&packet, clock, block.input, extras, &mut entry.head) else {
                continue;
            };
            let head = &mut entry.head;
            let tcp = span.reassembled.map_or(packet.bytes, |at| &extras.reassembled[at as usize]);
            let payload = &tcp[span.start as usize + usize::from(head.header_len)..span.end as usize];
            let [low, high] = [head.key.port(Side::Low), head.key.port(Side::High)];
            if !self.traffic.classify(&self.ports, low, high, payload) {
                continue;
            }
            head.flow_hash = head.key.multilinear_hash(&self.shard);
            let shard = (head.flow_hash >> 32) as u8 % SHARDS as u8;
            let begin = if span.reassembled.is_none() { captured.start } else { 0 };
            (entry.whole, entry.start, entry.end) = (span.reassembled, begin + span.start, begin + span.end);
            entry.shard = shard;
            // A block has far fewer than 2^32 packets.
            work[lane_of[usize::from(shard)]].push(next as u32);
            next += 1;
        }
        self.clock.reach(passed);
        if self.first.is_none() && self.clock.is_started() {
            self.first = Some(self.clock.now());
        }
        full
    }

    /// Gives a load to the lanes and the pump's part to the desk. Says whether the desk is done.
    fn hand_on<S>(
        &mut self,
        mut load: Batch,
        wish: OutputRequest,
        source: &S,
        around: &mut impl Surroundings<S>,
    ) -> bool {
        load.sequence = self.sequence;
        let (clock, finished) = (self.clock.now(), load.job == BatchKind::Finish);
        load.clock = clock;
        load.signatures = Arc::clone(&self.signatures);
        load.census = wish.needs_census();
        load.panic_at = self.panic_at;
        self.sequence += 1;
        let sequence = load.sequence;
        let mut done = false;
        let (settled, lost) = self.lanes.run(load, &mut |envelope| done |= around.deliver(envelope));
        self.counters.dropped += lost;
        for envelope in settled.into_iter().flatten() {
            done |= around.deliver(envelope);
        }
        let wanted = wish.needs_census() || wish.reopen;
        let figures = wanted.then(|| Box::new(self.figures(source, around)));
        done |= around
            .deliver(LaneMessage { sequence, part: Payload::BatchEnd(BatchEnd { figures, wish, clock, finished }) });
        done
    }

    fn figures<S>(&self, source: &S, around: &impl Surroundings<S>) -> DispatcherStats {
        let now = self.clock.now();
        let first = self.first.unwrap_or(now);
        let mut figures = DispatcherStats {
            decode: *self.decoder.counters(),
            max_packet: self.decoder.max_packet(),
            defrag_memory: self.decoder.defrag_memory(),
            traffic: self.traffic.clone(),
            dispatcher: self.counters,
            replay: replay::Counters::default(),
            capture: None,
            reloads: ReloadCounters::default(),
            signatures: self.signatures.len(),
            clock: [first, now],
            uptime: if self.live { self.started.elapsed() } else { now.since(first) },
        };
        around.source_figures(source, &mut figures);
        figures
    }
}

/// Two numbers nobody can guess, from the operating system's randomness by way of the standard library.
pub(crate) fn random_keys() -> [u64; 2] {
    let state = std::hash::RandomState::new();
    [state.hash_one(1_u8), state.hash_one(2_u8)]
}
