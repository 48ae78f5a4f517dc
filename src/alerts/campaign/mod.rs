//! Campaigns: correlates one source's hits, and emits a record when a campaign begins, as it grows, and when it ends.
//! Does not emit the alerts themselves, which come before, and does not decide what is a hit.
//!
//! A campaign begins with three distinct signatures within ten minutes. Times are those of the requests; hits arrive in
//! the order of the output stage, so that a request with a late response may arrive after younger ones. Before a
//! campaign begins, statistics are kept per signature and discarded ten minutes after the signature's last request.
//!
//! # The fingerprint
//!
//! `f-` and 16 hexadecimal digits: 64-bit FNV-1a over the hash of the field names of the campaign's first request
//! ([`crate::record::RequestTraits::field_order`], 8 bytes) and the ids of its first three distinct signatures in the
//! order of their first requests (4 bytes each), all big-endian. It contains no address, time or name, so that it is
//! the same for the same tool on every sensor.

mod hit_stats;

use std::time::Duration;

use hit_stats::{HitStats, HitTime, ListKind, fnv};

use crate::outcome::Outcome;
use crate::record::{Alert, Body, Campaign, CampaignStage, EventKind, Order, Record, Request, Transaction};
use crate::source_addr::SourceAddr;
use crate::table::{Slot, Table};
use crate::time::Timestamp;

/// Options of the campaigns.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Maximum number of sources remembered.
    pub sources: usize,
    /// Memory for the state of all sources, in bytes.
    pub memory: usize,
    /// Maximum distance of the three signatures that begin a campaign, and time without a hit after which it ends.
    pub window: Duration,
    /// Maximum delay of a hit after its request: the time an alert waits for the response.
    pub grace: Duration,
}

impl Default for Options {
    /// Rationale: 48 MiB hold the state of 65,536 sources with one or two requests each.
    fn default() -> Self {
        Self { sources: 65_536, memory: 48 << 20, window: Duration::from_secs(600), grace: Duration::from_secs(10) }
    }
}

crate::counters! {
    /// Counters of the campaigns.
    pub struct Counters {
        /// Hits counted.
        hits: "campaign.hits",
        /// Campaigns begun.
        begun: "campaign.begun",
        /// Campaigns ended.
        ended: "campaign.ended",
        /// Sources evicted by the limits; their campaigns end.
        given_up: "campaign.given_up",
    }
}

/// Number of distinct signatures that begin a campaign.
const BEGIN_SIGNATURES: usize = 3;
/// Numbers of distinct signatures at which a further record is emitted.
const MILESTONES: [(usize, CampaignStage); 3] =
    [(10, CampaignStage::Ten), (30, CampaignStage::Thirty), (100, CampaignStage::Hundred)];

/// Table class of sources without a campaign.
const CANDIDATE: usize = 0;
/// Table class of sources with a campaign.
const BEGUN: usize = 1;

/// The state of all sources.
#[derive(Debug)]
pub struct Campaigns {
    options: Options,
    /// Sources, ordered by the arrival of their last hit.
    sources: Table<SourceAddr, Box<SourceState>, 2>,
    memory: usize,
    /// The latest time at which a hit was decided.
    now: Timestamp,
    counters: Counters,
}

/// The state of one source.
#[derive(Debug, Default)]
struct SourceState {
    /// Number of hits so far.
    seen: u64,
    /// Memory accounted for this source, in bytes.
    memory: usize,
    /// Before a campaign begins: statistics of at most two signatures.
    signatures: Vec<SignatureHits>,
    campaign: Option<Box<CampaignState>>,
}

/// Statistics of one signature before the campaign begins.
#[derive(Debug)]
struct SignatureHits {
    sid: u32,
    stats: HitStats,
}

/// The state of a campaign.
#[derive(Debug)]
struct CampaignState {
    id: u64,
    fingerprint: u64,
    stats: HitStats,
    /// Number of [`MILESTONES`] reached.
    milestones: usize,
    /// Its last request.
    last: (HitTime, Transaction),
}

impl Campaigns {
    /// Returns campaigns without state; `keys` are the hash keys of the table.
    #[must_use]
    pub fn new(options: Options, keys: [u64; 2]) -> Self {
        let sources = Table::new(keys);
        Self { options, sources, memory: 0, now: BEFORE, counters: Counters::default() }
    }

    /// Counts a hit, which is an alert at its position in the output stage's order; returns the resulting records in
    /// order.
    pub fn hit(&mut self, order: Order, alert: &Alert) -> Vec<Record> {
        let source = SourceAddr::of(alert.transaction.client.ip);
        let mut records = Vec::new();
        let known = self.sources.find(&source);
        if let Some(before) = alert.late {
            if let Some(slot) = known {
                self.change(slot, |state| state.worsen(before, alert));
            }
            return records;
        }
        self.counters.hits += 1;
        self.now = self.now.max(order.decided_at);
        let at = HitTime::of(&alert.transaction, order.decided_at);
        let window = self.options.window;
        let known = known.filter(|&slot| {
            let over = self.sources.get(slot).is_some_and(|(_, state)| state.is_over(at, window));
            if over {
                self.end(slot, order, &mut records);
            }
            !over
        });
        let slot = known.unwrap_or_else(|| self.sources.insert(source, Box::default(), CANDIDATE, self.now));
        let stage = self.change(slot, |state| state.add(source, at, alert, window)).flatten();
        let campaign = self.sources.get(slot).and_then(|(_, state)| state.campaign.as_deref());
        if let (Some(stage), Some(campaign)) = (stage, campaign) {
            records.push(campaign.record(source, stage, order, without_contents(&alert.transaction)));
            self.counters.begun += u64::from(stage == CampaignStage::Begun);
        }
        let class = if campaign.is_some() { BEGUN } else { CANDIDATE };
        self.sources.touch(slot, class, self.now);
        self.evict(order, &mut records);
        records
    }

    /// Returns the time of the next deadline: [`Timestamp::MAX`] if there is none.
    #[must_use]
    pub fn next_deadline(&self) -> Timestamp {
        self.next_due().map_or(Timestamp::MAX, |(_, due)| due)
    }

    /// Returns the source with the next deadline, and the deadline. A candidate is kept for requests made within the
    /// window whose responses are pending, and is discarded without a record. A campaign ends after a window without a
    /// hit.
    fn next_due(&self) -> Option<(Slot, Timestamp)> {
        let Options { window, grace, .. } = self.options;
        let due = |(class, span)| self.sources.oldest(class).map(|(slot, touched)| (slot, touched.after(span)));
        let classes = [(CANDIDATE, window.saturating_add(grace)), (BEGUN, window)];
        classes.into_iter().filter_map(due).min_by_key(|&(_, due)| due)
    }

    /// Processes the next deadline: ends a campaign, or discards a source.
    pub fn fire(&mut self) -> Option<Record> {
        let (slot, due) = self.next_due()?;
        let mut records = Vec::new();
        self.end(slot, deadline_order(due), &mut records);
        records.pop()
    }

    /// Ends the next campaign, because the input ended or the clock restarts; `None` once all state is discarded.
    pub fn finish(&mut self) -> Option<Record> {
        let slot = self.sources.oldest(BEGUN).map(|(slot, _)| slot);
        let Some(slot) = slot else {
            while let Some((slot, _)) = self.sources.oldest(CANDIDATE) {
                self.remove(slot);
            }
            self.now = BEFORE;
            return None;
        };
        let mut records = Vec::new();
        self.end(slot, deadline_order(self.now), &mut records);
        records.pop()
    }

    /// Returns the number of distinct signatures that a source hit, as far as they are remembered.
    #[must_use]
    pub fn signatures_of(&self, source: SourceAddr) -> usize {
        let state = self.sources.find(&source).and_then(|slot| self.sources.get(slot));
        state.map_or(0, |(_, state)| {
            state.campaign.as_ref().map_or(state.signatures.len(), |campaign| campaign.stats.signatures())
        })
    }

    /// Returns the counters.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Returns the number of sources, and the memory of their state in bytes.
    #[must_use]
    pub fn usage(&self) -> [usize; 2] {
        [self.sources.len(), self.memory]
    }

    /// Changes the state of a source and accounts for its memory.
    fn change<T>(&mut self, slot: Slot, act: impl FnOnce(&mut SourceState) -> T) -> Option<T> {
        let (_, state) = self.sources.get_mut(slot)?;
        let result = act(state);
        self.memory -= state.memory;
        state.memory = state.measure();
        self.memory += state.memory;
        Some(result)
    }

    /// Returns the source whose last hit arrived first; of two, the one without a campaign.
    fn oldest(&self) -> Option<Slot> {
        let oldest = [CANDIDATE, BEGUN].into_iter().filter_map(|class| self.sources.oldest(class));
        oldest.min_by_key(|&(_, touched)| touched).map(|(slot, _)| slot)
    }

    /// Evicts sources while the limits are exceeded.
    fn evict(&mut self, order: Order, records: &mut Vec<Record>) {
        while self.sources.len() > self.options.sources || self.memory > self.options.memory {
            let Some(slot) = self.oldest() else { return };
            self.counters.given_up += 1;
            self.end(slot, order, records);
        }
    }

    fn end(&mut self, slot: Slot, order: Order, records: &mut Vec<Record>) {
        if let Some((source, state)) = self.remove(slot)
            && let Some(campaign) = state.campaign
        {
            self.counters.ended += 1;
            let last = campaign.last.1.clone();
            records.push(campaign.record(source, CampaignStage::Ended, order, last));
        }
    }

    fn remove(&mut self, slot: Slot) -> Option<(SourceAddr, Box<SourceState>)> {
        let (source, state) = self.sources.remove(slot)?;
        self.memory -= state.memory;
        Some((source, state))
    }
}

/// A time before any packet.
const BEFORE: Timestamp = Timestamp::from_nanos(i64::MIN);

/// Returns the position of a record that no other record caused.
fn deadline_order(decided_at: Timestamp) -> Order {
    Order { decided_at, decided_by: 0, request: 0, tx_id: 0, kind: EventKind::Campaign, sid: 0 }
}

/// Returns a transaction without the contents of its request and response.
fn without_contents(transaction: &Transaction) -> Transaction {
    let Transaction { timestamp, frame, input, client, server, encapsulation, flow, tx_id, .. } = *transaction;
    let (request, response) = (Request::default(), None);
    Transaction { timestamp, frame, input, client, server, encapsulation, flow, tx_id, request, response }
}

impl SourceState {
    /// Adds a hit; returns the stage that a record is to be emitted for.
    fn add(&mut self, source: SourceAddr, at: HitTime, alert: &Alert, window: Duration) -> Option<CampaignStage> {
        let seen = self.seen;
        self.seen += 1;
        if let Some(campaign) = &mut self.campaign {
            return campaign.add(seen, at, alert);
        }
        // The statistics of a signature do not survive a pause.
        self.signatures.retain(|known| at.time.since(known.stats.last) <= window);
        let sid = alert.signature.id;
        let index = self.signatures.iter().position(|one| one.sid == sid).unwrap_or_else(|| {
            self.signatures.reserve_exact(1);
            self.signatures.push(SignatureHits { sid, stats: HitStats::new(at, alert.traits.field_order) });
            self.signatures.len() - 1
        });
        self.signatures[index].stats.add(seen, at, alert);
        let latest = self.signatures.iter().map(|one| one.stats.last).max().unwrap_or(at.time);
        self.signatures.retain(|known| latest.since(known.stats.last) <= window);
        if self.signatures.len() < BEGIN_SIGNATURES {
            return None;
        }
        let mut signatures = std::mem::take(&mut self.signatures);
        signatures.sort_by_key(|one| one.stats.begin);
        let first = &signatures[0].stats;
        let ids = signatures.iter().take(BEGIN_SIGNATURES).flat_map(|one| one.sid.to_be_bytes());
        let fingerprint = fnv(first.field_order.to_be_bytes().into_iter().chain(ids));
        let id = fnv(source.octets().into_iter().chain(first.first.micros().to_be_bytes()));
        let stats = HitStats::merge(signatures.into_iter().map(|one| one.stats).collect());
        let last = (at, without_contents(&alert.transaction));
        self.campaign = Some(Box::new(CampaignState { id, fingerprint, stats, milestones: 0, last }));
        Some(CampaignStage::Begun)
    }

    /// Reports whether the source's campaign was over before the request of the hit `next`.
    fn is_over(&self, next: HitTime, window: Duration) -> bool {
        self.campaign.as_ref().is_some_and(|campaign| next.time.since(campaign.stats.last) > window)
    }

    /// Replaces the outcome `before` of a hit already counted with the alert's worse one.
    fn worsen(&mut self, before: Outcome, alert: &Alert) {
        let seen = self.seen;
        let stats = match &mut self.campaign {
            Some(campaign) => Some(&mut campaign.stats),
            None => self.signatures.iter_mut().find(|one| one.sid == alert.signature.id).map(|known| &mut known.stats),
        };
        if let Some(stats) = stats {
            stats.worsen(seen, before, alert);
        }
    }

    /// Returns the memory of the state, in bytes.
    fn measure(&self) -> usize {
        let signatures: usize =
            self.signatures.iter().map(|known| size_of::<SignatureHits>() + known.stats.heap()).sum();
        let campaign = self.campaign.as_ref().map_or(0, |campaign| size_of::<CampaignState>() + campaign.stats.heap());
        Table::<SourceAddr, Box<Self>, 2>::entry_size() + size_of::<Self>() + signatures + campaign
    }
}

impl CampaignState {
    fn add(&mut self, seen: u64, at: HitTime, alert: &Alert) -> Option<CampaignStage> {
        self.stats.add(seen, at, alert);
        if at >= self.last.0 {
            self.last = (at, without_contents(&alert.transaction));
        }
        let &(signatures, stage) = MILESTONES.get(self.milestones)?;
        if self.stats.signatures() < signatures {
            return None;
        }
        self.milestones += 1;
        Some(stage)
    }

    fn record(&self, source: SourceAddr, stage: CampaignStage, order: Order, transaction: Transaction) -> Record {
        let order = Order { kind: EventKind::Campaign, sid: stage.sid(), ..order };
        let stats = &self.stats;
        let outcomes: Vec<(Outcome, u64)> = stats.outcomes().collect();
        let campaign = Campaign {
            stage,
            source,
            transaction,
            id: self.id,
            fingerprint: self.fingerprint,
            hits: stats.hits,
            first: stats.first,
            last: stats.last,
            outcomes,
            signatures: stats.list(ListKind::Signatures),
            families: stats.list(ListKind::Families),
            targets: stats.list(ListKind::Targets),
            hosts: stats.list(ListKind::Hosts),
            exposed: stats.list(ListKind::Exposed),
            agents: stats.list(ListKind::Agents),
        };
        Record { order, body: Body::Campaign(Box::new(campaign)) }
    }
}
