//! The cap on a flow's alerts: after so many only what is new is told. Not a judgement of the request, which is counted
//! all the same.

use crate::outcome::Outcome;

/// Pairs remembered of one flow; whoever knows more of them than this is told of every time.
/// Rationale: far above what one client asks for, and 32 KiB at most.
const PAIRS: usize = 4096;

/// What a flow's alerts were about.
#[derive(Debug, Default)]
pub(super) struct FlowAlertCap {
    /// Signature id and outcome of the first. Rationale: nearly all flows that have alerts have one.
    first: Option<Pair>,
    /// Those of the others, in order.
    #[expect(clippy::box_collection, reason = "half-open flows have none, and are the cheapest to make")]
    others: Option<Box<Vec<Pair>>>,
    /// How many were told of: alerts, and hits of signatures in support of others, which have a share of their own.
    told: [u32; 2],
}

type Pair = (u32, Outcome);

impl FlowAlertCap {
    /// Whether an alert is to be told: always if it is the first of its signature and outcome or proves the worst, else
    /// while there were fewer than `limit` of its kind. `support`: its signature supports others.
    pub(super) fn admit(&mut self, sid: u32, outcome: Outcome, support: bool, limit: usize) -> bool {
        let told = self.told[usize::from(support)];
        let new = self.is_new((sid, outcome));
        let admitted = new || outcome == Outcome::Exposed || (told as usize) < limit;
        self.told[usize::from(support)] = told.saturating_add(u32::from(admitted));
        admitted
    }

    /// Whether a pair was not there before; it is remembered if there is room.
    fn is_new(&mut self, pair: Pair) -> bool {
        let Some(first) = self.first else {
            self.first = Some(pair);
            return true;
        };
        if first == pair {
            return false;
        }
        let others = self.others.get_or_insert_default();
        let Err(at) = others.binary_search(&pair) else { return false };
        if others.len() < PAIRS {
            others.insert(at, pair);
        }
        true
    }

    /// Heap memory in bytes.
    pub(super) fn memory(&self) -> usize {
        self.others.as_ref().map_or(0, |others| size_of_val(&**others) + others.capacity() * size_of::<Pair>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_repeats_are_capped() {
        let mut alert_cap = FlowAlertCap::default();
        let told = (0..100).filter(|_| alert_cap.admit(1, Outcome::NotFound, false, 10)).count();
        assert_eq!(told, 10);
        assert!(alert_cap.admit(2, Outcome::NotFound, false, 10), "another signature");
        assert!(alert_cap.admit(1, Outcome::Refused, false, 10), "another outcome");
        assert!(!alert_cap.admit(1, Outcome::Refused, false, 10));
        assert!((0..5).all(|_| alert_cap.admit(1, Outcome::Exposed, false, 10)), "the worst, every time");
        let supporting = (0..100).filter(|_| alert_cap.admit(3, Outcome::NotFound, true, 10)).count();
        assert_eq!(supporting, 10, "those in support have a share of their own");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut alert_cap = FlowAlertCap::default();
        assert!((0..3 * PAIRS as u32).all(|sid| alert_cap.admit(sid, Outcome::NotFound, false, 10)));
        assert!(alert_cap.memory() <= 2 * PAIRS * 8 + 64);
    }
}
