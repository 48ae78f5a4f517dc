//! The row: what becomes of each record on its way to the pen. A function after the other over one ordered stream:
//! context, suppress, limit, campaign. Not the order itself, which the desk restores; not the writing.
//!
//! What happens here is a function of the stream and of the clock at its end. What falls due at D happens before the
//! first record that was settled at D or later; nothing that comes later was settled before the clock. So nothing
//! depends on where a load ends.

use crate::campaign::{self, Campaigns};
use crate::limit::{self, Limit};
use crate::record::{Alert, Body, Order, Record};
use crate::time::Timestamp;

crate::counters! {
    /// What the row itself counts.
    pub struct Own {
        /// Hits of `support` signatures, which are told of in campaigns only.
        support: "alert.support",
        /// Hits that are legitimate in their context: neither told nor counted in campaigns.
        discounted: "alert.discounted",
        /// Hits that a suppress file hides.
        hidden: "alert.hidden",
    }
}

/// What the row and its stages count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// The row's own.
    pub own: Own,
    /// The limit's.
    pub limit: limit::Counters,
    /// The campaigns'.
    pub campaign: campaign::Counters,
}

impl Counters {
    /// Calls `visit` with the published name and the value of every counter.
    pub fn each(&self, visit: &mut dyn FnMut(&'static str, u64)) {
        self.own.each(visit);
        self.limit.each(visit);
        self.campaign.each(visit);
    }

    /// Alerts that were kept back though they are probes.
    #[must_use]
    pub const fn silenced(&self) -> u64 {
        self.own.hidden + self.limit.limited
    }
}

/// What can be chosen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Whether repeats are told of together.
    pub limited: bool,
    /// The limit's.
    pub limit: limit::Options,
    /// The campaigns'.
    pub campaign: campaign::Options,
}

/// Where what is told goes.
type Tell<'a> = &'a mut dyn FnMut(&Record);

/// The row.
#[derive(Debug)]
pub(super) struct Row {
    limit: Option<Limit>,
    campaigns: Campaigns,
    counters: Own,
}

impl Row {
    /// `keys` key its tables.
    pub(super) fn new(options: &Options, keys: [u64; 2]) -> Self {
        Self {
            limit: options.limited.then(|| Limit::new(options.limit, keys)),
            campaigns: Campaigns::new(options.campaign, keys),
            counters: Own::default(),
        }
    }

    /// Takes the next record of the stream; `tell` gets what is to be written, in order.
    pub(super) fn take(&mut self, record: Record, tell: Tell<'_>) {
        self.advance(record.order.settled, tell);
        let Record { order, body } = record;
        match body {
            Body::Alert(alert) => self.alert(order, alert, tell),
            // Pages are for the context; they are never written.
            Body::Page(_) => {}
            body => tell(&Record { order, body }),
        }
    }

    /// Does what falls due up to `clock`, the earliest first.
    pub(super) fn advance(&mut self, clock: Timestamp, tell: Tell<'_>) {
        loop {
            let limit = self.limit.as_ref().map_or(Timestamp::MAX, Limit::next_deadline);
            let campaign = self.campaigns.next_deadline();
            let due = limit.min(campaign);
            if due > clock || due == Timestamp::MAX {
                return;
            }
            let told = match &mut self.limit {
                Some(stage) if limit == due => stage.fire(),
                _ => self.campaigns.fire(),
            };
            told.iter().for_each(&mut *tell);
        }
    }

    /// Tells what is still kept, because the input ended or the clock starts anew, and forgets everything.
    pub(super) fn finish(&mut self, tell: Tell<'_>) {
        while let Some(record) = self.limit.as_mut().and_then(Limit::finish) {
            tell(&record);
        }
        while let Some(record) = self.campaigns.finish() {
            tell(&record);
        }
    }

    /// All counters of the row.
    pub(super) fn counters(&self) -> Counters {
        Counters {
            own: self.counters,
            limit: self.limit.as_ref().map(|limit| *limit.counters()).unwrap_or_default(),
            campaign: *self.campaigns.counters(),
        }
    }

    fn alert(&mut self, order: Order, alert: Box<Alert>, tell: Tell<'_>) {
        // Context: a legitimate request ends here, neither told nor counted.
        // Suppress: a hidden one is not told.
        let hidden = false;
        self.counters.hidden += u64::from(hidden);
        self.counters.support += u64::from(alert.signature.support);
        let silent = hidden || alert.signature.support;
        // Whatever becomes of it, it counts in its campaign, which is told of after it.
        let campaign = self.campaigns.hit(order, &alert);
        if !silent {
            self.tell(order, alert, tell);
        }
        campaign.iter().for_each(tell);
    }

    /// Tells an alert, unless it is a repeat that is told of later.
    fn tell(&mut self, order: Order, alert: Box<Alert>, tell: Tell<'_>) {
        let mut before = Vec::new();
        let now = match &mut self.limit {
            Some(limit) => limit.take(order, alert, &mut before),
            None => Some(alert),
        };
        before.iter().for_each(&mut *tell);
        if let Some(alert) = now {
            tell(&Record { order, body: Body::Alert(alert) });
        }
    }
}
