//! The sensor's clock: monotonic packet time. Does not read the system time, which only advances the clock on a live
//! link.

use std::time::Duration;

use crate::time::Timestamp;

/// A forward jump by more than this counts unless the next packet contradicts it.
/// Rationale: one wrong timestamp (a packet dated 2106) must not expire every flow. Real pauses are as long, and the packet
/// that ends one may be a request on an idle connection: it must have its own time, or it would time out with the next one.
const MAX_JUMP: Duration = Duration::from_secs(600);

/// The running maximum of packet times; a forward jump of more than 600 s counts unless the next packet goes back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    now: Option<Timestamp>,
}

impl Clock {
    /// Returns the current packet time; the epoch before the first packet.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now.unwrap_or_default()
    }

    /// Reports whether the clock has a time yet.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.now.is_some()
    }

    /// Returns whether a packet with this timestamp is a forward jump, which the next packet may contradict. The first
    /// packet is one.
    #[inline]
    #[must_use]
    pub fn is_jump(&self, time: Timestamp) -> bool {
        self.now.is_none_or(|now| time > now.after(MAX_JUMP))
    }

    /// Advances the clock for a packet with this timestamp; returns the resulting time. `next` returns the timestamp of
    /// the packet after it, if there is one, and is called only for a jump. A jump from which the next packet goes back
    /// by more than 600 s does not count.
    #[inline]
    pub fn tick(&mut self, time: Timestamp, next: impl FnOnce() -> Option<Timestamp>) -> Timestamp {
        if self.is_jump(time)
            && let Some(next) = next().filter(|next| time > next.after(MAX_JUMP))
        {
            return *self.now.get_or_insert(next);
        }
        let now = self.now.map_or(time, |now| now.max(time));
        self.now = Some(now);
        now
    }

    /// Returns whether the last of these timestamps is a forward jump once the clock was advanced for those before it.
    #[must_use]
    pub fn ends_with_jump(&self, times: impl DoubleEndedIterator<Item = Timestamp> + Clone) -> bool {
        let mut before = times.clone();
        // The clock never goes back: no further look at nearly every block.
        let Some(last) = before.next_back().filter(|&last| self.is_jump(last)) else { return false };
        let (mut clock, mut following) = (*self, times.skip(1));
        for time in before {
            let next = following.next();
            clock.tick(time, || next);
        }
        clock.is_jump(last)
    }

    /// Returns the current time plus `span`, if the clock has a time yet.
    #[must_use]
    pub fn ahead(&self, span: Duration) -> Option<Timestamp> {
        self.now.map(|now| now.after(span))
    }

    /// Advances the clock to at least this time, without the jump check.
    pub fn reach(&mut self, time: Option<Timestamp>) {
        self.now = self.now.max(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs_nanos(seconds, 0)
    }

    /// Advances a new clock for these seconds; returns the time after each.
    fn times(seconds: &[i64]) -> Vec<i64> {
        let mut clock = Clock::default();
        let next = |index: usize| seconds.get(index + 1).map(|&next| at(next));
        (0..seconds.len()).map(|index| clock.tick(at(seconds[index]), || next(index)).nanos() / 1_000_000_000).collect()
    }

    #[test]
    fn forward_jump_counts_unless_the_next_packet_contradicts_it() {
        assert_eq!(times(&[1000, 990, 1001]), [1000, 1000, 1001], "never moves back");
        assert_eq!(times(&[1000, 9000, 9001]), [1000, 9000, 9001]);
        assert_eq!(times(&[1000, 9000, 8401]), [1000, 9000, 9000], "reordered");
        assert_eq!(times(&[1000, 9000]), [1000, 9000], "nothing contradicts the last one");
        assert_eq!(times(&[0, 700, 1400, 2100]), [0, 700, 1400, 2100], "one packet in eleven minutes");
        let wrong = 4_294_967_295;
        assert_eq!(times(&[1000, wrong, 1001, 9000, wrong, 9001]), [1000, 1000, 1001, 9000, 9000, 9001], "2106");
        assert_eq!(times(&[1000, 9000, 0, 9001]), [1000, 1000, 1000, 9001], "1970 contradicts it");
        assert_eq!(times(&[1000, 9000, 2000, 2001]), [1000, 1000, 2000, 2001]);
        assert_eq!(times(&[wrong, 1000, 1001]), [1000, 1000, 1001], "the first packet");
        assert_eq!(times(&[1000, 0, 1001, 1002]), [0, 0, 1001, 1002]);
    }

    #[test]
    fn time_moves_on_without_packets() {
        let mut clock = Clock::default();
        clock.reach(Clock::default().ahead(Duration::from_secs(9)));
        assert!(!clock.is_started());
        clock.tick(at(1000), || None);
        let later = clock.ahead(Duration::from_secs(2));
        assert_eq!(clock.tick(at(1001), || None), at(1001));
        clock.reach(later);
        assert_eq!(clock.now(), at(1002));
    }

    #[test]
    fn jump_at_the_end_is_found_behind_wrong_timestamps() {
        let mut clock = Clock::default();
        let ends = |clock: &Clock, seconds: &[i64]| clock.ends_with_jump(seconds.iter().map(|&second| at(second)));
        assert!(ends(&clock, &[9000]), "the first packet");
        assert!(!ends(&clock, &[9000, 9001]));
        clock.tick(at(1000), || None);
        assert!(!ends(&clock, &[]));
        assert!(!ends(&clock, &[1600]));
        assert!(ends(&clock, &[1601]));
        assert!(!ends(&clock, &[1601, 1602]), "confirmed within the block");
        assert!(ends(&clock, &[4_294_967_295, 1700]), "the packet before it does not count");
        assert!(!ends(&clock, &[9000, 1001]));
    }
}
