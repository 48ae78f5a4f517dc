//! The alert threshold: the first alert of a signature, source, server and outcome is emitted at once, its repeats are
//! merged into one alert per minute. Only reduces output: alerts with outcome `exposed` are always emitted, and every
//! hit counts in its campaign.

use std::net::IpAddr;
use std::time::Duration;

use crate::outcome::Outcome;
use crate::record::{Alert, Body, Order, Record};
use crate::source_addr::SourceAddr;
use crate::table::{KeyedHasher, Slot, Table, TableKey};
use crate::time::Timestamp;

/// Options of the threshold.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Number of kinds of alerts remembered.
    pub kinds: usize,
    /// Memory for held-back alerts (the latest of each kind), in bytes.
    pub memory: usize,
    /// Time for which repeats are held back.
    pub interval: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { kinds: 65_536, memory: 32 << 20, interval: Duration::from_secs(60) }
    }
}

crate::counters! {
    /// Counters of the threshold.
    pub struct Counters {
        /// Alerts held back.
        limited: "alert.limited",
        /// Merged alerts emitted: each represents at least one alert that was held back.
        summaries: "limit.summaries",
        /// Kinds evicted by the limits before their interval was over; their held-back alerts are emitted.
        given_up: "limit.given_up",
    }
}

/// The kind of an alert: alerts with equal keys are repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AlertKey {
    sid: u32,
    source: SourceAddr,
    server: IpAddr,
    outcome: Outcome,
}

impl TableKey for AlertKey {
    fn hash(&self, hasher: &KeyedHasher) -> u64 {
        let mut packed = [0; 37];
        packed[..4].copy_from_slice(&self.sid.to_be_bytes());
        packed[4..20].copy_from_slice(&self.source.octets());
        packed[20..36].copy_from_slice(&match self.server {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => address.octets(),
        });
        packed[36] = self.outcome as u8;
        hasher.hash(&packed)
    }
}

/// The alerts of one kind held back in the current interval.
#[derive(Debug, Default)]
struct HeldBack {
    count: u64,
    latest: Option<(Order, Box<Alert>)>,
    memory: usize,
}

/// Holds back repeated alerts and emits them merged.
#[derive(Debug)]
pub struct Threshold {
    options: Options,
    /// Kinds, ordered by the start of their interval.
    kinds: Table<AlertKey, HeldBack, 1>,
    memory: usize,
    now: Timestamp,
    counters: Counters,
}

/// A time before any packet.
const BEFORE: Timestamp = Timestamp::from_nanos(i64::MIN);

impl Threshold {
    /// Returns a threshold without state; `keys` are the hash keys of its table.
    #[must_use]
    pub fn new(options: Options, keys: [u64; 2]) -> Self {
        Self { options, kinds: Table::new(keys), memory: 0, now: BEFORE, counters: Counters::default() }
    }

    /// Returns the alert if it is to be emitted now, or holds it back. Merged alerts of kinds that the limits evict are
    /// appended to `evicted`; they are to be emitted first.
    pub fn process(&mut self, order: Order, alert: Box<Alert>, evicted: &mut Vec<Record>) -> Option<Box<Alert>> {
        if alert.outcome == Outcome::Exposed {
            return Some(alert);
        }
        self.now = self.now.max(order.decided_at);
        let (client, server) = (alert.transaction.client.ip, alert.transaction.server.ip);
        let kind = AlertKey { sid: alert.signature.id, source: SourceAddr::of(client), server, outcome: alert.outcome };
        let emitted = match self.kinds.find(&kind) {
            None => {
                self.kinds.insert(kind, HeldBack::default(), 0, self.now);
                Some(alert)
            }
            Some(slot) => {
                self.hold_back(slot, order, alert);
                None
            }
        };
        while self.kinds.len() > self.options.kinds || self.memory > self.options.memory {
            let Some((slot, _)) = self.kinds.oldest(0) else { break };
            self.counters.given_up += 1;
            evicted.extend(self.take_summary(slot));
            self.kinds.discard(slot);
        }
        emitted
    }

    /// Returns the time of the next deadline: [`Timestamp::MAX`] if there is none.
    #[must_use]
    pub fn next_deadline(&self) -> Timestamp {
        self.kinds.oldest(0).map_or(Timestamp::MAX, |(_, start)| start.after(self.options.interval))
    }

    /// Ends the interval with the next deadline. Returns the merged alert and starts another interval; if nothing was
    /// held back, forgets the kind.
    pub fn fire(&mut self) -> Option<Record> {
        let due = self.next_deadline();
        let (slot, _) = self.kinds.oldest(0)?;
        let summary = self.take_summary(slot);
        match summary {
            Some(_) => self.kinds.touch(slot, 0, due),
            None => self.kinds.discard(slot),
        }
        summary
    }

    /// Returns the next merged alert, because the input ended or the clock restarts; `None` once all state is
    /// discarded.
    pub fn finish(&mut self) -> Option<Record> {
        while let Some((slot, _)) = self.kinds.oldest(0) {
            let summary = self.take_summary(slot);
            self.kinds.discard(slot);
            if summary.is_some() {
                return summary;
            }
        }
        self.now = BEFORE;
        None
    }

    /// Returns the counters.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn hold_back(&mut self, slot: Slot, order: Order, alert: Box<Alert>) {
        let Some((_, held)) = self.kinds.get_mut(slot) else { return };
        self.counters.limited += 1;
        self.memory -= held.memory;
        held.memory = alert.memory();
        self.memory += held.memory;
        held.count += 1;
        held.latest = Some((order, alert));
    }

    /// Removes the held-back alerts of a kind and returns them merged.
    fn take_summary(&mut self, slot: Slot) -> Option<Record> {
        let (_, held) = self.kinds.get_mut(slot)?;
        let HeldBack { count, latest, memory } = std::mem::take(held);
        self.memory -= memory;
        let (order, mut alert) = latest?;
        self.counters.summaries += 1;
        alert.repeats = count;
        Some(Record { order, body: Body::Alert(alert) })
    }
}
