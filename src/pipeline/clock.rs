//! The sensor's clock: monotonic packet time. Does not read the system time, which only advances the clock on a live
//! link.

use std::time::Duration;

use crate::time::Timestamp;

/// A forward jump by more than this is accepted only if the next packet confirms it.
/// Rationale: one wrong timestamp (a packet dated 2106) must not expire every flow. Captures also have real pauses, and
/// the packets after a pause confirm each other.
const MAX_JUMP: Duration = Duration::from_secs(600);

/// The running maximum of packet times; a forward jump of more than [`MAX_JUMP`] needs confirmation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    now: Option<Timestamp>,
    /// Packet time of an unconfirmed forward jump.
    unconfirmed: Option<Timestamp>,
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

    /// Advances the clock for a packet with this timestamp; returns the resulting time.
    pub fn tick(&mut self, time: Timestamp) -> Timestamp {
        let Some(now) = self.now else {
            self.now = Some(time);
            return time;
        };
        let unconfirmed = self.unconfirmed.take();
        if time <= now {
            return now;
        }
        if time > now.after(MAX_JUMP) {
            let confirmed = unconfirmed.is_some_and(|before| time.since(before).max(before.since(time)) <= MAX_JUMP);
            if !confirmed {
                self.unconfirmed = Some(time);
                return now;
            }
        }
        self.now = Some(time);
        time
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

    #[test]
    fn forward_jump_needs_a_second_packet() {
        let mut clock = Clock::default();
        assert_eq!(clock.tick(at(1000)), at(1000));
        assert_eq!(clock.tick(at(990)), at(1000), "never moves back");
        assert_eq!(clock.tick(at(4_294_967_295)), at(1000), "2106");
        assert_eq!(clock.tick(at(1001)), at(1001));
        assert_eq!(clock.tick(at(9000)), at(1001));
        assert_eq!(clock.tick(at(9001)), at(9001), "second packet confirms the jump");
        let later = clock.ahead(Duration::from_secs(2));
        assert_eq!(clock.tick(at(9002)), at(9002));
        clock.reach(later);
        assert_eq!(clock.now(), at(9003));
        clock.reach(Clock::default().ahead(Duration::from_secs(9)));
        assert_eq!(clock.now(), at(9003));
    }
}
