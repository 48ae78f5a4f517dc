//! The cap on a flow's alerts: beyond it only new combinations of signature and outcome alert. Suppressed alerts still
//! count in campaigns.

use crate::outcome::Outcome;

/// Combinations remembered per flow; every alert beyond them counts as new. Rationale: far above what one client asks for,
/// and at most 32 KiB.
const MAX_PAIRS: usize = 4096;

/// The alerts emitted for a flow.
#[derive(Debug, Default)]
pub(super) struct FlowAlertCap {
    /// Signature id and outcome of the first alert. Rationale: nearly all flows with alerts have one.
    first: Option<Pair>,
    /// Those of the others, sorted.
    #[expect(clippy::box_collection, reason = "half-open flows have none, and are the cheapest to make")]
    others: Option<Box<Vec<Pair>>>,
    /// Number emitted: alerts, and hits of supporting signatures, which are capped separately.
    emitted: [u32; 2],
}

type Pair = (u32, Outcome);

impl FlowAlertCap {
    /// Counts an alert and returns whether it is emitted: always if it is the first of its signature and outcome or
    /// `exposed`, otherwise while fewer than `limit` were. `support` is whether its signature is a supporting one.
    pub(super) fn admit(&mut self, sid: u32, outcome: Outcome, support: bool, limit: usize) -> bool {
        let emitted = self.emitted[usize::from(support)];
        let new = self.is_new((sid, outcome));
        let admitted = new || outcome == Outcome::Exposed || (emitted as usize) < limit;
        self.emitted[usize::from(support)] = emitted.saturating_add(u32::from(admitted));
        admitted
    }

    /// Returns whether a combination is new, and remembers it if there is space.
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
        if others.len() < MAX_PAIRS {
            others.insert(at, pair);
        }
        true
    }

    /// Returns the heap memory in bytes.
    pub(super) fn memory(&self) -> usize {
        self.others.as_ref().map_or(0, |others| size_of_val(&**others) + others.capacity() * size_of::<Pair>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_repeated_alerts_are_capped() {
        let mut alert_cap = FlowAlertCap::default();
        let emitted = (0..100).filter(|_| alert_cap.admit(1, Outcome::NotFound, false, 10)).count();
        assert_eq!(emitted, 10);
        assert!(alert_cap.admit(2, Outcome::NotFound, false, 10), "another signature");
        assert!(alert_cap.admit(1, Outcome::Refused, false, 10), "another outcome");
        assert!(!alert_cap.admit(1, Outcome::Refused, false, 10));
        assert!((0..5).all(|_| alert_cap.admit(1, Outcome::Exposed, false, 10)), "exposed always passes");
        let supporting = (0..100).filter(|_| alert_cap.admit(3, Outcome::NotFound, true, 10)).count();
        assert_eq!(supporting, 10, "supporting signatures are capped separately");
    }

    #[test]
    fn remembered_combinations_are_bounded() {
        let mut alert_cap = FlowAlertCap::default();
        assert!((0..3 * MAX_PAIRS as u32).all(|sid| alert_cap.admit(sid, Outcome::NotFound, false, 10)));
        assert!(alert_cap.memory() <= 2 * MAX_PAIRS * 8 + 64);
    }
}
