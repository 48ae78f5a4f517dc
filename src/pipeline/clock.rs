//! The sensor's clock: packet time made monotone. Not the computer's time, which only moves it on a live link.

use std::time::Duration;

use crate::time::Timestamp;

/// A jump ahead by more than this counts only if the next packet agrees.
/// Rationale: one wrong time stamp (a packet dated 2106) must not expire every flow; captures have real pauses too, and
/// after those the packets agree with each other.
const DOUBTFUL: Duration = Duration::from_secs(600);

/// The running maximum of packet times.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    now: Option<Timestamp>,
    doubtful: Option<Timestamp>,
}

impl Clock {
    /// The time; the epoch before the first packet.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now.unwrap_or_default()
    }

    /// Whether it shows anything yet.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.now.is_some()
    }

    /// A packet of this time came: the time it is then.
    pub fn tick(&mut self, time: Timestamp) -> Timestamp {
        let Some(now) = self.now else {
            self.now = Some(time);
            return time;
        };
        let doubtful = self.doubtful.take();
        if time <= now {
            return now;
        }
        if time > now.after(DOUBTFUL) {
            let agreed = doubtful.is_some_and(|before| time.since(before).max(before.since(time)) <= DOUBTFUL);
            if !agreed {
                self.doubtful = Some(time);
                return now;
            }
        }
        self.now = Some(time);
        time
    }

    /// The time in so long, if it shows any yet.
    #[must_use]
    pub fn ahead(&self, span: Duration) -> Option<Timestamp> {
        self.now.map(|now| now.after(span))
    }

    /// It is at least this time, for certain.
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

    #[test]
    fn one_absurd_time_stamp_changes_nothing_and_a_real_pause_counts() {
        let mut clock = Clock::default();
        assert_eq!(clock.tick(at(1000)), at(1000));
        assert_eq!(clock.tick(at(990)), at(1000), "never back");
        assert_eq!(clock.tick(at(4_294_967_295)), at(1000), "2106");
        assert_eq!(clock.tick(at(1001)), at(1001));
        assert_eq!(clock.tick(at(9000)), at(1001));
        assert_eq!(clock.tick(at(9001)), at(9001), "two agree");
        let later = clock.ahead(Duration::from_secs(2));
        assert_eq!(clock.tick(at(9002)), at(9002));
        clock.reach(later);
        assert_eq!(clock.now(), at(9003));
        clock.reach(Clock::default().ahead(Duration::from_secs(9)));
        assert_eq!(clock.now(), at(9003));
    }
}
