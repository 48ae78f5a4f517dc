//! The cap on a flow's alerts: after so many only what is new is told. Not a judgement of the request, which is counted
//! all the same.

use crate::outcome::Outcome;

/// Pairs remembered of one flow; whoever knows more of them than this is told of every time.
/// Rationale: far above what one client asks for, and 32 KiB at most.
const PAIRS: usize = 4096;

/// What a flow's alerts were about.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// Signature id and outcome, in order.
    seen: Vec<(u32, Outcome)>,
    told: usize,
}

impl Repeats {
    /// Whether an alert is to be told: always if it is the first of its signature and outcome or proves the worst, else
    /// while there were fewer than `limit`.
    pub(super) fn admit(&mut self, sid: u32, outcome: Outcome, limit: usize) -> bool {
        let pair = (sid, outcome);
        let new = match self.seen.binary_search(&pair) {
            Ok(_) => false,
            Err(at) => {
                if self.seen.len() < PAIRS {
                    self.seen.insert(at, pair);
                }
                true
            }
        };
        let admitted = new || outcome == Outcome::Exposed || self.told < limit;
        self.told += usize::from(admitted);
        admitted
    }

    /// Heap memory in bytes, this included.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.seen.capacity() * size_of::<(u32, Outcome)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_repeats_are_capped() {
        let mut repeats = Repeats::default();
        let told = (0..100).filter(|_| repeats.admit(1, Outcome::NotFound, 10)).count();
        assert_eq!(told, 10);
        assert!(repeats.admit(2, Outcome::NotFound, 10), "another signature");
        assert!(repeats.admit(1, Outcome::Refused, 10), "another outcome");
        assert!(!repeats.admit(1, Outcome::Refused, 10));
        assert!((0..5).all(|_| repeats.admit(1, Outcome::Exposed, 10)), "the worst, every time");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut repeats = Repeats::default();
        assert!((0..3 * PAIRS as u32).all(|sid| repeats.admit(sid, Outcome::NotFound, 10)));
        assert!(repeats.memory() <= 2 * PAIRS * 8 + 64);
    }
}
