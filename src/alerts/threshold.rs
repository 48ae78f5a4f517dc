//! Floods told in few words: the first alert of a signature, source, server and outcome at once, its repeats together
//! once a minute. Not a judgement: what proves `exposed` is always told, and every hit counts in its campaign.

use std::net::IpAddr;
use std::time::Duration;

use crate::outcome::Outcome;
use crate::record::{Alert, Body, Order, Record};
use crate::source_addr::SourceAddr;
use crate::table::{KeyedHasher, Slot, Table, TableKey};
use crate::time::Timestamp;

/// What can be chosen.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Kinds of alerts remembered.
    pub kinds: usize,
    /// Bytes for the alerts kept, of each kind the latest.
    pub memory: usize,
    /// How long repeats are kept back.
    pub every: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { kinds: 65_536, memory: 32 << 20, every: Duration::from_secs(60) }
    }
}

crate::counters! {
    /// What this room counts.
    pub struct Counters {
        /// Alerts kept back.
        limited: "alert.limited",
        /// Those that were told of together: each stands for at least one that was kept back.
        summaries: "limit.summaries",
        /// Kinds given up for the limits before their minute was over; what was kept of them is told.
        given_up: "limit.given_up",
    }
}

/// A kind of alert: alerts that differ in nothing of this are repeats.
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

/// What was kept back of a kind in its minute.
#[derive(Debug, Default)]
struct HeldBack {
    count: u64,
    latest: Option<(Order, Box<Alert>)>,
    memory: usize,
}

/// Who keeps repeats back.
#[derive(Debug)]
pub struct Threshold {
    options: Options,
    /// By when their minutes began.
    kinds: Table<AlertKey, HeldBack, 1>,
    memory: usize,
    now: Timestamp,
    counters: Counters,
}

/// Before any packet.
const BEFORE: Timestamp = Timestamp::from_nanos(i64::MIN);

impl Threshold {
    /// Remembers nothing; `keys` key its table.
    #[must_use]
    pub fn new(options: Options, keys: [u64; 2]) -> Self {
        Self { options, kinds: Table::new(keys), memory: 0, now: BEFORE, counters: Counters::default() }
    }

    /// Gives an alert back that is to be told of now, or keeps it. What has to be told of first for want of room is
    /// added to `told`.
    pub fn take(&mut self, order: Order, alert: Box<Alert>, told: &mut Vec<Record>) -> Option<Box<Alert>> {
        if alert.outcome == Outcome::Exposed {
            return Some(alert);
        }
        self.now = self.now.max(order.settled);
        let (client, server) = (alert.transaction.client.ip, alert.transaction.server.ip);
        let kind = AlertKey { sid: alert.signature.id, source: SourceAddr::of(client), server, outcome: alert.outcome };
        let back = match self.kinds.find(&kind) {
            None => {
                self.kinds.insert(kind, HeldBack::default(), 0, self.now);
                Some(alert)
            }
            Some(slot) => {
                self.keep(slot, order, alert);
                None
            }
        };
        while self.kinds.len() > self.options.kinds || self.memory > self.options.memory {
            let Some((slot, _)) = self.kinds.oldest(0) else { break };
            self.counters.given_up += 1;
            told.extend(self.open(slot));
            self.kinds.discard(slot);
        }
        back
    }

    /// When something falls due: [`Timestamp::MAX`] for never.
    #[must_use]
    pub fn next_deadline(&self) -> Timestamp {
        self.kinds.oldest(0).map_or(Timestamp::MAX, |(_, begun)| begun.after(self.options.every))
    }

    /// Ends the minute that is over next: what was kept back in it is told, and another begins; or the kind is forgotten.
    pub fn fire(&mut self) -> Option<Record> {
        let due = self.next_deadline();
        let (slot, _) = self.kinds.oldest(0)?;
        let summary = self.open(slot);
        match summary {
            Some(_) => self.kinds.touch(slot, 0, due),
            None => self.kinds.discard(slot),
        }
        summary
    }

    /// The next of what is kept back, because the input ended or the clock starts anew; everything is forgotten with the
    /// last.
    pub fn finish(&mut self) -> Option<Record> {
        while let Some((slot, _)) = self.kinds.oldest(0) {
            let summary = self.open(slot);
            self.kinds.discard(slot);
            if summary.is_some() {
                return summary;
            }
        }
        self.now = BEFORE;
        None
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn keep(&mut self, slot: Slot, order: Order, alert: Box<Alert>) {
        let Some((_, kept)) = self.kinds.get_mut(slot) else { return };
        self.counters.limited += 1;
        self.memory -= kept.memory;
        kept.memory = alert.memory();
        self.memory += kept.memory;
        kept.count += 1;
        kept.latest = Some((order, alert));
    }

    /// Takes out what was kept back.
    fn open(&mut self, slot: Slot) -> Option<Record> {
        let (_, kept) = self.kinds.get_mut(slot)?;
        let HeldBack { count, latest, memory } = std::mem::take(kept);
        self.memory -= memory;
        let (order, mut alert) = latest?;
        self.counters.summaries += 1;
        alert.repeats = count;
        Some(Record { order, body: Body::Alert(alert) })
    }
}
