//! The story of a source that asks for many things: told when it begins, as it grows, and when it is over. Not the
//! hits themselves, which are told of before; not the choice of what is a hit.
//!
//! A campaign begins with three distinct signatures within ten minutes. Times are those of the requests; the order in
//! which hits come is the desk's, so that a request whose answer is late may come after younger ones. Before it begins,
//! what is known of each signature stands by itself and is forgotten ten minutes after its last request.
//!
//! # The fingerprint
//!
//! `f-` and 16 hexadecimal digits: FNV-1a with 64 bits over the hash of the field names of the campaign's first request
//! ([`crate::record::RequestTraits::field_order`], 8 bytes) and the ids of its first three distinct signatures in the order of
//! their first requests (4 bytes each), all big-endian. No address, time or name is in it, so that it is the same for
//! the same tool at every sensor.

mod hit_stats;

use std::time::Duration;

use hit_stats::{HitStats, HitTime, ListKind, fnv};

use crate::outcome::Outcome;
use crate::record::{Alert, Body, Campaign, CampaignStage, Order, Record, RecordKind, Request, Transaction};
use crate::source_addr::SourceAddr;
use crate::table::{Slot, Table};
use crate::time::Timestamp;

/// What can be chosen.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Sources remembered.
    pub sources: usize,
    /// Bytes for what is known of them.
    pub memory: usize,
    /// How near three signatures have to be, and how long a source is quiet when its campaign is over.
    pub window: Duration,
    /// How long after its request a hit may come to the desk: the time an alert waits for the answer.
    pub grace: Duration,
}

impl Default for Options {
    /// Rationale: 48 MiB hold what is known of 65,536 sources with one or two requests each.
    fn default() -> Self {
        Self { sources: 65_536, memory: 48 << 20, window: Duration::from_secs(600), grace: Duration::from_secs(10) }
    }
}

crate::counters! {
    /// What this room counts.
    pub struct Counters {
        /// Hits that were counted.
        hits: "campaign.hits",
        /// Campaigns that began.
        begun: "campaign.begun",
        /// Campaigns that ended.
        ended: "campaign.ended",
        /// Sources given up for the limits; their campaigns are ended.
        given_up: "campaign.given_up",
    }
}

/// Signatures that make a campaign.
const BEGINS_AT: usize = 3;
/// Signatures at which it is told again.
const TOLD_AT: [(usize, CampaignStage); 3] =
    [(10, CampaignStage::Ten), (30, CampaignStage::Thirty), (100, CampaignStage::Hundred)];

/// Class of sources without a campaign.
const CANDIDATE: usize = 0;
/// Class of sources with one.
const BEGUN: usize = 1;

/// What is known of all sources.
#[derive(Debug)]
pub struct Campaigns {
    options: Options,
    /// By when the last hit came to the desk.
    stories: Table<SourceAddr, Box<SourceState>, 2>,
    memory: usize,
    /// The latest time at which a hit was settled.
    now: Timestamp,
    counters: Counters,
}

/// What is known of a source.
#[derive(Debug, Default)]
struct SourceState {
    /// Hits so far.
    seen: u64,
    /// What is counted for it, in bytes.
    memory: usize,
    /// Before it begins: at most two signatures and what is known of each.
    parts: Vec<SignatureHits>,
    campaign: Option<Box<CampaignState>>,
}

/// What is known of one signature before the campaign begins.
#[derive(Debug)]
struct SignatureHits {
    sid: u32,
    facts: HitStats,
}

/// A campaign.
#[derive(Debug)]
struct CampaignState {
    id: u64,
    fingerprint: u64,
    facts: HitStats,
    /// How many of [`TOLD_AT`] were told.
    told: usize,
    /// Its last request.
    last: (HitTime, Transaction),
}

impl Campaigns {
    /// Knows nothing; `keys` key its table.
    #[must_use]
    pub fn new(options: Options, keys: [u64; 2]) -> Self {
        let stories = Table::new(keys);
        Self { options, stories, memory: 0, now: BEFORE, counters: Counters::default() }
    }

    /// Counts a hit, which is an alert at its place in the order of the desk; what it leads to is returned in order.
    pub fn hit(&mut self, order: Order, alert: &Alert) -> Vec<Record> {
        let source = SourceAddr::of(alert.transaction.client.ip);
        let mut told = Vec::new();
        let known = self.stories.find(&source);
        if let Some(before) = alert.late {
            if let Some(slot) = known {
                self.change(slot, |source_state| source_state.worsen(before, alert));
            }
            return told;
        }
        self.counters.hits += 1;
        self.now = self.now.max(order.settled);
        let moment = HitTime::of(&alert.transaction, order.settled);
        let known = known.filter(|&slot| {
            let over = self
                .stories
                .get(slot)
                .is_some_and(|(_, source_state)| source_state.is_over(moment, self.options.window));
            if over {
                self.end(slot, order, &mut told);
            }
            !over
        });
        let slot = known.unwrap_or_else(|| self.stories.insert(source, Box::default(), CANDIDATE, self.now));
        let window = self.options.window;
        let stage = self.change(slot, |source_state| source_state.add(source, moment, alert, window)).flatten();
        let begun = self.stories.get(slot).and_then(|(_, source_state)| source_state.campaign.as_deref());
        if let (Some(stage), Some(campaign)) = (stage, begun) {
            told.push(campaign.record(source, stage, order, place(&alert.transaction)));
            self.counters.begun += u64::from(stage == CampaignStage::Begun);
        }
        let class = if begun.is_some() { BEGUN } else { CANDIDATE };
        self.stories.touch(slot, class, self.now);
        self.evict(order, &mut told);
        told
    }

    /// When something falls due: [`Timestamp::MAX`] for never.
    #[must_use]
    pub fn next_deadline(&self) -> Timestamp {
        self.next_due().map_or(Timestamp::MAX, |(_, due)| due)
    }

    /// What falls due next, and when. A candidate stays for requests that were asked within the window and whose answers
    /// are waited for; nobody is told when it goes. A campaign is over when nothing came for the window.
    fn next_due(&self) -> Option<(Slot, Timestamp)> {
        let Options { window, grace, .. } = self.options;
        let due = |(class, span)| self.stories.oldest(class).map(|(slot, touched)| (slot, touched.after(span)));
        let classes = [(CANDIDATE, window.saturating_add(grace)), (BEGUN, window)];
        classes.into_iter().filter_map(due).min_by_key(|&(_, due)| due)
    }

    /// Does what falls due next: ends a campaign, or forgets a source.
    pub fn fire(&mut self) -> Option<Record> {
        let (slot, due) = self.next_due()?;
        let order = at(due);
        let mut told = Vec::new();
        self.end(slot, order, &mut told);
        told.pop()
    }

    /// Ends the next campaign, because the input ended or the clock starts anew; forgets everything with the last.
    pub fn finish(&mut self) -> Option<Record> {
        let slot = self.stories.oldest(BEGUN).map(|(slot, _)| slot);
        let Some(slot) = slot else {
            while let Some((slot, _)) = self.stories.oldest(CANDIDATE) {
                self.remove(slot);
            }
            self.now = BEFORE;
            return None;
        };
        let mut told = Vec::new();
        self.end(slot, at(self.now), &mut told);
        told.pop()
    }

    /// Distinct signatures that a source asked for, as far as they are remembered.
    #[must_use]
    pub fn signatures_of(&self, source: SourceAddr) -> usize {
        let source_state = self.stories.find(&source).and_then(|slot| self.stories.get(slot));
        source_state.map_or(0, |(_, source_state)| {
            source_state.campaign.as_ref().map_or(source_state.parts.len(), |campaign| campaign.facts.signatures())
        })
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Sources, and bytes for what is known of them.
    #[must_use]
    pub fn usage(&self) -> [usize; 2] {
        [self.stories.len(), self.memory]
    }

    /// Changes a story and counts its memory.
    fn change<T>(&mut self, slot: Slot, act: impl FnOnce(&mut SourceState) -> T) -> Option<T> {
        let (_, source_state) = self.stories.get_mut(slot)?;
        let result = act(source_state);
        self.memory -= source_state.memory;
        source_state.memory = source_state.measure();
        self.memory += source_state.memory;
        Some(result)
    }

    /// The source that came to the desk least recently; of two, the one without a campaign.
    fn oldest(&self) -> Option<Slot> {
        let oldest = [CANDIDATE, BEGUN].into_iter().filter_map(|class| self.stories.oldest(class));
        oldest.min_by_key(|&(_, touched)| touched).map(|(slot, _)| slot)
    }

    /// Gives up sources while there are too many.
    fn evict(&mut self, order: Order, told: &mut Vec<Record>) {
        while self.stories.len() > self.options.sources || self.memory > self.options.memory {
            let Some(slot) = self.oldest() else { return };
            self.counters.given_up += 1;
            self.end(slot, order, told);
        }
    }

    fn end(&mut self, slot: Slot, order: Order, told: &mut Vec<Record>) {
        if let Some((source, source_state)) = self.remove(slot)
            && let Some(campaign) = source_state.campaign
        {
            self.counters.ended += 1;
            let last = campaign.last.1.clone();
            told.push(campaign.record(source, CampaignStage::Ended, order, last));
        }
    }

    fn remove(&mut self, slot: Slot) -> Option<(SourceAddr, Box<SourceState>)> {
        let (source, source_state) = self.stories.remove(slot)?;
        self.memory -= source_state.memory;
        Some((source, source_state))
    }
}

/// Before any packet.
const BEFORE: Timestamp = Timestamp::from_nanos(i64::MIN);

/// The place of what no record caused.
fn at(settled: Timestamp) -> Order {
    Order { settled, settled_by: 0, request: 0, tx_id: 0, kind: RecordKind::Campaign, sid: 0 }
}

/// A transaction without what was said in it.
fn place(transaction: &Transaction) -> Transaction {
    let Transaction { timestamp, frame, input, client, server, encapsulation, flow, tx_id, .. } = *transaction;
    let (request, response) = (Request::default(), None);
    Transaction { timestamp, frame, input, client, server, encapsulation, flow, tx_id, request, response }
}

impl SourceState {
    /// Adds a hit; says what is to be told of.
    fn add(&mut self, source: SourceAddr, moment: HitTime, alert: &Alert, window: Duration) -> Option<CampaignStage> {
        let seen = self.seen;
        self.seen += 1;
        if let Some(campaign) = &mut self.campaign {
            return campaign.add(seen, moment, alert);
        }
        // What is known of a signature does not reach over a pause.
        self.parts.retain(|part| moment.time.since(part.facts.last) <= window);
        let sid = alert.signature.id;
        let at = self.parts.iter().position(|part| part.sid == sid).unwrap_or_else(|| {
            self.parts.reserve_exact(1);
            self.parts.push(SignatureHits { sid, facts: HitStats::new(moment, alert.trace.field_order) });
            self.parts.len() - 1
        });
        self.parts[at].facts.add(seen, moment, alert);
        let latest = self.parts.iter().map(|part| part.facts.last).max().unwrap_or(moment.time);
        self.parts.retain(|part| latest.since(part.facts.last) <= window);
        if self.parts.len() < BEGINS_AT {
            return None;
        }
        let mut parts = std::mem::take(&mut self.parts);
        parts.sort_by_key(|part| part.facts.begin);
        let first = &parts[0].facts;
        let ids = parts.iter().take(BEGINS_AT).flat_map(|part| part.sid.to_be_bytes());
        let fingerprint = fnv(first.field_order.to_be_bytes().into_iter().chain(ids));
        let id = fnv(source.octets().into_iter().chain(first.first.micros().to_be_bytes()));
        let facts = HitStats::join(parts.into_iter().map(|part| part.facts).collect());
        let last = (moment, place(&alert.transaction));
        self.campaign = Some(Box::new(CampaignState { id, fingerprint, facts, told: 0, last }));
        Some(CampaignStage::Begun)
    }

    /// Whether a campaign was over before `next` was asked.
    fn is_over(&self, next: HitTime, window: Duration) -> bool {
        self.campaign.as_ref().is_some_and(|campaign| next.time.since(campaign.facts.last) > window)
    }

    /// A request that was told of before turns out to be worse.
    fn worsen(&mut self, before: Outcome, alert: &Alert) {
        let seen = self.seen;
        let facts = match &mut self.campaign {
            Some(campaign) => Some(&mut campaign.facts),
            None => self.parts.iter_mut().find(|part| part.sid == alert.signature.id).map(|part| &mut part.facts),
        };
        if let Some(facts) = facts {
            facts.worsen(seen, before, alert);
        }
    }

    /// Memory in bytes.
    fn measure(&self) -> usize {
        let parts: usize = self.parts.iter().map(|part| size_of::<SignatureHits>() + part.facts.heap()).sum();
        let campaign = self.campaign.as_ref().map_or(0, |campaign| size_of::<CampaignState>() + campaign.facts.heap());
        Table::<SourceAddr, Box<Self>, 2>::entry_size() + size_of::<Self>() + parts + campaign
    }
}

impl CampaignState {
    fn add(&mut self, seen: u64, moment: HitTime, alert: &Alert) -> Option<CampaignStage> {
        self.facts.add(seen, moment, alert);
        if moment >= self.last.0 {
            self.last = (moment, place(&alert.transaction));
        }
        let &(signatures, stage) = TOLD_AT.get(self.told)?;
        if self.facts.signatures() < signatures {
            return None;
        }
        self.told += 1;
        Some(stage)
    }

    fn record(&self, source: SourceAddr, stage: CampaignStage, order: Order, transaction: Transaction) -> Record {
        let order = Order { kind: RecordKind::Campaign, sid: stage.sid(), ..order };
        let facts = &self.facts;
        let outcomes: Vec<(Outcome, u64)> = facts.outcomes().collect();
        let campaign = Campaign {
            stage,
            source,
            transaction,
            id: self.id,
            fingerprint: self.fingerprint,
            hits: facts.hits,
            first: facts.first,
            last: facts.last,
            outcomes,
            signatures: facts.list(ListKind::Signatures),
            families: facts.list(ListKind::Families),
            targets: facts.list(ListKind::Targets),
            hosts: facts.list(ListKind::Hosts),
            exposed: facts.list(ListKind::Exposed),
            agents: facts.list(ListKind::Agents),
        };
        Record { order, body: Body::Campaign(Box::new(campaign)) }
    }
}
