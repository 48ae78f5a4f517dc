//! The row: what becomes of each record on its way to the pen. A function after the other over one ordered stream:
//! context, suppress, limit, campaign. Not the order itself, which the desk restores; not the writing.
//!
//! What happens here is a function of the stream and of the clock at its end. What falls due at D happens before the
//! first record that was settled at D or later; nothing that comes later was settled before the clock. So nothing
//! depends on where a load ends.

use crate::record::{Alert, Body, Order, Record};
use crate::time::Timestamp;

crate::counters! {
    /// What the row counts.
    pub struct Counters {
        /// Hits of `support` signatures, which are told of in campaigns only.
        support: "alert.support",
        /// Hits that are legitimate in their context: neither told nor counted in campaigns.
        discounted: "alert.discounted",
        /// Hits that a suppress file hides.
        hidden: "alert.hidden",
    }
}

impl Counters {
    /// Alerts that were kept back though they are probes.
    #[must_use]
    pub const fn silenced(&self) -> u64 {
        self.hidden
    }
}

/// Where what is told goes.
type Tell<'a> = &'a mut dyn FnMut(&Record);

/// The row.
#[derive(Debug, Default)]
pub(super) struct Row {
    counters: Counters,
}

impl Row {
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

    /// Does what falls due up to `clock`.
    pub(super) fn advance(&mut self, _clock: Timestamp, _tell: Tell<'_>) {}

    /// Tells what is still kept, because the input ended or the clock starts anew, and forgets everything.
    pub(super) fn finish(&mut self, _tell: Tell<'_>) {}

    /// All counters of the row.
    pub(super) fn counters(&self) -> Counters {
        self.counters
    }

    fn alert(&mut self, order: Order, alert: Box<Alert>, tell: Tell<'_>) {
        // Context: a legitimate request goes no further.
        // Suppress: a hidden one is not told, but counted in its campaign.
        let hidden = false;
        self.counters.hidden += u64::from(hidden);
        let support = alert.signature.support;
        self.counters.support += u64::from(support);
        if hidden || support {
            return;
        }
        tell(&Record { order, body: Body::Alert(alert) });
    }
}
