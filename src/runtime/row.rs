//! The row: what becomes of each record on its way to the pen. A function after the other over one ordered stream:
//! context, suppress, limit, campaign. Not the order itself, which the desk restores; not the writing.
//!
//! What happens here is a function of the stream and of the clock at its end. What falls due at D happens before the
//! first record that was settled at D or later; nothing that comes later was settled before the clock. So nothing
//! depends on where a load ends.

use crate::context;
use crate::record::{Alert, Body, Order, Record};
use crate::runtime::screen::{Screen, Screened};
use crate::suppress;
use crate::time::Timestamp;

crate::counters! {
    /// What the row itself counts.
    pub struct Own {
        /// Hits of `support` signatures, which are told of in campaigns only.
        support: "alert.support",
    }
}

/// What the row and its stages count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// The row's own.
    pub own: Own,
    /// The context's.
    pub context: context::Counters,
    /// The suppress files'.
    pub suppress: suppress::Counters,
}

impl Counters {
    /// Calls `visit` with the published name and the value of every counter.
    pub fn each(&self, visit: &mut dyn FnMut(&'static str, u64)) {
        self.own.each(visit);
        self.context.each(visit);
        self.suppress.each(visit);
    }

    /// Alerts that were kept back though they match.
    #[must_use]
    pub const fn silenced(&self) -> u64 {
        self.suppress.suppressed + self.suppress.allowed
    }
}

/// Where what is told goes.
type Tell<'a> = &'a mut dyn FnMut(&Record);

/// The row.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) screen: Screen,
    counters: Own,
}

impl Row {
    pub(super) fn new(screen: Screen) -> Self {
        Self { screen, counters: Own::default() }
    }

    /// Takes the next record of the stream; `tell` gets what is to be written, in order.
    pub(super) fn take(&mut self, record: Record, tell: Tell<'_>) {
        self.advance(record.order.settled, tell);
        let Record { order, body } = record;
        match body {
            Body::Alert(alert) => self.alert(order, alert, tell),
            Body::Page(page) => self.screen.page(page, order.settled),
            body => tell(&Record { order, body }),
        }
    }

    /// Does what falls due up to `clock`.
    pub(super) fn advance(&mut self, _clock: Timestamp, _tell: Tell<'_>) {}

    /// Tells what is still kept, because the input ended or the clock starts anew, and forgets everything.
    pub(super) fn finish(&mut self, _tell: Tell<'_>) {
        self.screen.forget();
    }

    /// All counters of the row.
    pub(super) fn counters(&self) -> Counters {
        let (context, suppress) = self.screen.counters();
        Counters { own: self.counters, context, suppress }
    }

    fn alert(&mut self, order: Order, mut alert: Box<Alert>, tell: Tell<'_>) {
        let screened = self.screen.take(&mut alert, order.settled);
        if screened == Screened::Normal {
            return;
        }
        self.counters.support += u64::from(alert.signature.support);
        let silent = screened == Screened::Hidden || alert.signature.support;
        if !silent {
            tell(&Record { order, body: Body::Alert(alert) });
        }
    }
}
