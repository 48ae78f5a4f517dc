//! The dispatcher: numbers packets, keeps the clock, decodes each block and lists the segments for each lane. Flows are
//! handled by the lanes; signals and reloads are handled by [`crate::app`], which calls the dispatcher once per block.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::batch::{Batch, BatchKind, SegmentRef};
use super::channel::OutputSender;
use super::clock::Clock;
use super::lanes::Lanes;
use super::message::{BatchEnd, LaneMessage, OutputRequest, Payload, RunFlags};
use crate::alerts::suppress::Suppressions;
use crate::capture::block::Block;
use crate::capture::source::{FillStatus, PacketSource, SourceError};
use crate::decode::Decoder;
use crate::flow::SHARDS;
use crate::segment::Side;
use crate::sensor::Ports;
use crate::signature::Signatures;
use crate::stats::traffic::TrafficStats;
use crate::stats::{DispatcherCounters, DispatcherStats, ReloadCounters};
use crate::time::Timestamp;

/// A file whose first packet is at most this much later than the last packet of the file before continues it.
/// Rationale: rotation loses less; a separate capture begins later.
const MAX_ROTATION_GAP: Duration = Duration::from_secs(60);
/// The same for an earlier first packet: packets near a rotation are not always in order.
const MAX_ROTATION_OVERLAP: Duration = Duration::from_secs(1);

/// Constants without a pattern: the fractional parts of the cube roots of the first primes.
const SHARD_FACTORS: [u64; 6] = [
    0x428a_2f98_d728_ae22,
    0x7137_4491_23ef_65cd,
    0xb5c0_fbcf_ec4d_3b2f,
    0xe9b5_dba5_8189_dbbc,
    0x3956_c25b_f348_b538,
    0x59f1_11f1_b605_d019,
];

/// What the application requests between two blocks.
#[derive(Debug, Default)]
pub(crate) struct ControlRequest {
    /// Work for the output stage at the end of the next batch.
    pub(crate) output: OutputRequest,
    /// Signatures to use from the next batch on.
    pub(crate) signatures: Option<Arc<Signatures>>,
    /// Suppressions to use from the next batch on.
    pub(crate) suppressions: Option<Box<Suppressions>>,
    /// Counters of signature reloads.
    pub(crate) reloads: ReloadCounters,
}

/// Options of a [`Dispatcher`].
#[derive(Clone, Debug)]
pub(crate) struct DispatcherOptions {
    /// Server ports taken for HTTP.
    pub(crate) ports: Ports,
    /// Whether packets come from an interface: shards are then chosen by random keys, and the output is never waited for.
    pub(crate) live: bool,
    /// Whether all files are one capture, whatever their times.
    pub(crate) continuous: bool,
    /// Stop after this many packets.
    pub(crate) count: Option<u64>,
    /// The packet at which a lane panics: set by tests only.
    pub(crate) panic_at: Option<u64>,
}

/// Whether the run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// There may be further blocks.
    Continue,
    /// The input ended, enough packets were read, or the output is gone.
    Stop,
}

/// Reads blocks from a packet source and distributes their segments.
pub(crate) struct Dispatcher {
    options: DispatcherOptions,
    decoder: Decoder,
    lanes: Lanes,
    output: OutputSender,
    flags: Arc<RunFlags>,
    signatures: Arc<Signatures>,
    clock: Clock,
    traffic: TrafficStats,
    counters: DispatcherCounters,
    reloads: ReloadCounters,
    /// Factors of the shard hash: the same in every replay.
    shard_factors: [u64; 6],
    /// Number of the last packet.
    number: u64,
    /// Sequence number of the next batch.
    sequence: u64,
    started: Instant,
    /// The clock at the first packet.
    first: Option<Timestamp>,
    /// Input and time of the last packet.
    last: Option<(u32, Timestamp)>,
    /// Number of kinds of frames that are not read of which the output stage knows.
    reported_unread: usize,
    /// A block that ends with a jump of the clock, until the packet after it is known.
    held: Option<Batch>,
}

impl Dispatcher {
    pub(crate) fn new(
        options: DispatcherOptions,
        decoder: Decoder,
        lanes: Lanes,
        output: OutputSender,
        signatures: Arc<Signatures>,
        flags: Arc<RunFlags>,
    ) -> Self {
        Self {
            // An attacker must not be able to choose the shard on a live link.
            shard_factors: if options.live { std::array::from_fn(|_| random_keys()[0]) } else { SHARD_FACTORS },
            options,
            decoder,
            lanes,
            output,
            flags,
            signatures,
            clock: Clock::default(),
            traffic: TrafficStats::default(),
            counters: DispatcherCounters::default(),
            reloads: ReloadCounters::default(),
            number: 0,
            sequence: 0,
            started: Instant::now(),
            first: None,
            last: None,
            reported_unread: 0,
            held: None,
        }
    }

    /// Starts the clock before the first packet (live capture).
    pub(crate) fn start_clock(&mut self, time: Timestamp) {
        self.clock.tick(time, || None);
    }

    /// Reads one block and hands it to the lanes.
    ///
    /// # Errors
    /// When the source fails as a whole; everything before was handled.
    pub(crate) fn run_block(
        &mut self,
        source: &mut impl PacketSource,
        request: ControlRequest,
    ) -> Result<Progress, SourceError> {
        if let Some(signatures) = request.signatures {
            self.signatures = signatures;
        }
        if let Some(suppressions) = request.suppressions {
            let payload = Payload::Suppressions(suppressions);
            self.output.send(LaneMessage { sequence: self.sequence, payload });
        }
        self.reloads = request.reloads;
        if self.flags.output_closed.load(Ordering::Relaxed) || self.flags.panicked.load(Ordering::Relaxed) {
            return Ok(Progress::Stop);
        }
        let mut batch = self.lanes.empty_batch();
        let (status, error) = match source.fill(&mut batch.block) {
            Ok(status) => (status, None),
            Err(error) => (FillStatus::End, Some(error)),
        };
        let waits = error.is_none() && status == FillStatus::More;
        let undecided = waits && batch.block.packets.is_empty() && batch.block.elapsed.is_zero();
        let enough = !undecided && self.release_held(&batch.block, source);
        if enough {
            self.lanes.recycle(batch);
            return error.map_or(Ok(Progress::Stop), Err);
        }
        self.start_new_capture_if_needed(&batch.block, source);
        if waits && self.clock.ends_with_jump(batch.block.packets.iter().map(|frame| frame.time)) {
            // What is requested does not wait.
            self.held = Some(batch);
            batch = self.lanes.empty_batch();
        }
        let enough = self.decode(&mut batch, None);
        let behind = self.options.live && self.output.is_full();
        if behind && request.output.is_empty() && status == FillStatus::More {
            self.counters.dropped += batch.shares.iter().map(Vec::len).sum::<usize>() as u64;
            self.lanes.recycle(batch);
            return Ok(Progress::Continue);
        }
        let accepted = self.dispatch(batch, request.output, source);
        match error {
            Some(error) => Err(error),
            None if accepted && status == FillStatus::More && !enough => Ok(Progress::Continue),
            None => Ok(Progress::Stop),
        }
    }

    /// Handles the block that was held, if any, now that the one after it is known. Returns whether enough packets were
    /// read.
    fn release_held(&mut self, next: &Block, source: &impl PacketSource) -> bool {
        let Some(mut held) = self.held.take() else { return false };
        // What another capture, or none, begins with contradicts nothing.
        let next = next.packets.first().filter(|_| self.continues(next)).map(|frame| frame.time);
        let enough = self.decode(&mut held, next);
        self.dispatch(held, OutputRequest::default(), source);
        enough
    }

    /// Finishes everything open and marks the last batch.
    pub(crate) fn finish(&mut self, source: &impl PacketSource) {
        self.release_held(&Block::default(), source);
        let mut batch = self.lanes.empty_batch();
        batch.kind = BatchKind::Finish;
        self.dispatch(batch, OutputRequest { stats: true, last: true, ..OutputRequest::default() }, source);
    }

    /// Ends the lanes' threads.
    pub(crate) fn stop(self) {
        self.lanes.stop();
    }

    /// At the first packet of another file: either it continues the capture, or everything open is finished and the clock
    /// starts anew.
    fn start_new_capture_if_needed(&mut self, next: &Block, source: &impl PacketSource) {
        let Some(last) = next.packets.last() else { return };
        if !self.continues(next) {
            let mut batch = self.lanes.empty_batch();
            batch.kind = BatchKind::Finish;
            self.dispatch(batch, OutputRequest::default(), source);
            self.decoder.clear();
            self.clock = Clock::default();
        }
        self.last = Some((next.input, last.time));
    }

    /// Returns whether a block belongs to the same capture as the packets before it.
    fn continues(&self, next: &Block) -> bool {
        let (Some((input, last)), Some(first)) = (self.last, next.packets.first()) else { return true };
        input == next.input
            || self.options.continuous
            || (first.time.since(last) <= MAX_ROTATION_GAP && last.since(first.time) <= MAX_ROTATION_OVERLAP)
    }

    /// Numbers and decodes the packets of the block and lists the segments by lane. `following` is the time of the packet
    /// after the block, if it is known. Returns whether enough packets were read (`--count`).
    fn decode(&mut self, batch: &mut Batch, following: Option<Timestamp>) -> bool {
        let lanes = self.lanes.count();
        // Once per batch: a division costs as much as the rest of the choice.
        let lane_of: [usize; SHARDS] = std::array::from_fn(|shard| shard % lanes);
        // The elapsed time counts from the end of the block: its packets may be older and are not late.
        let elapsed = self.clock.ahead(batch.block.elapsed);
        let Batch { block, extras, segments, shares, .. } = batch;
        let left = self.options.count.map_or(u64::MAX, |count| count.saturating_sub(self.number));
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(block.packets.len());
        let enough = left <= block.packets.len() as u64;
        if segments.len() < wanted {
            segments.resize(wanted, SegmentRef::default());
        }
        let mut next = 0;
        for (at, frame) in block.packets[..wanted].iter().enumerate() {
            self.number += 1;
            let packet = frame.packet(&block.bytes, self.number);
            let clock = self.clock.tick(packet.time, || block.packets.get(at + 1).map(|next| next.time).or(following));
            let segment = &mut segments[next];
            let Ok(span) = self.decoder.decode_into(&packet, clock, block.input, extras, &mut segment.head) else {
                continue;
            };
            let head = &mut segment.head;
            let tcp = span.reassembled.map_or(packet.bytes, |index| &extras.reassembled[index as usize]);
            let payload = &tcp[span.start as usize + usize::from(head.header_len)..span.end as usize];
            let [low, high] = [head.key.port(Side::Low), head.key.port(Side::High)];
            if !(self.options.ports.contains(low) || self.options.ports.contains(high)) {
                self.traffic.count(&head.key, payload);
                continue;
            }
            head.flow_hash = head.key.multilinear_hash(&self.shard_factors);
            let shard = (head.flow_hash >> 32) as u8 % SHARDS as u8;
            let base = if span.reassembled.is_none() { frame.start } else { 0 };
            (segment.reassembled, segment.start, segment.end) = (span.reassembled, base + span.start, base + span.end);
            segment.shard = shard;
            // A block has far fewer than 2^32 packets.
            shares[lane_of[usize::from(shard)]].push(next as u32);
            next += 1;
        }
        self.clock.reach(elapsed);
        if self.first.is_none() && self.clock.is_started() {
            self.first = Some(self.clock.now());
        }
        enough
    }

    /// Hands a batch to the lanes and its end to the output stage. Returns whether the stage accepts further messages.
    fn dispatch(&mut self, mut batch: Batch, request: OutputRequest, source: &impl PacketSource) -> bool {
        let (sequence, clock, finished) = (self.sequence, self.clock.now(), batch.kind == BatchKind::Finish);
        self.sequence += 1;
        batch.sequence = sequence;
        batch.clock = clock;
        batch.signatures = Arc::clone(&self.signatures);
        batch.lane_stats = request.needs_lane_stats();
        batch.panic_at = self.options.panic_at;
        self.counters.dropped += self.lanes.run(batch);
        let stats = (!request.is_empty()).then(|| Box::new(self.stats(source)));
        let new_unread = self.decoder.unread().kinds()[self.reported_unread..].to_vec();
        self.reported_unread += new_unread.len();
        let payload = Payload::BatchEnd(BatchEnd { stats, request, clock, finished, new_unread });
        self.output.send(LaneMessage { sequence, payload })
    }

    fn stats(&self, source: &impl PacketSource) -> DispatcherStats {
        let now = self.clock.now();
        let first = self.first.unwrap_or(now);
        DispatcherStats {
            decode: *self.decoder.counters(),
            unread: self.decoder.unread().clone(),
            max_packet: self.decoder.max_packet(),
            defrag_memory: self.decoder.defrag_memory(),
            traffic: self.traffic.clone(),
            counters: self.counters,
            source: source.stats(),
            reloads: self.reloads,
            signatures: self.signatures.len(),
            clock: [first, now],
            uptime: if self.options.live { self.started.elapsed() } else { now.since(first) },
        }
    }
}

/// Returns two unpredictable numbers from the operating system's randomness, by way of the standard library.
pub(crate) fn random_keys() -> [u64; 2] {
    let state = std::hash::RandomState::new();
    [state.hash_one(1_u8), state.hash_one(2_u8)]
}
