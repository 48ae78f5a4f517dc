//! How much time certainly passed for a live capture. Not packet time, and not the clock of the pump, which takes both.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Monotonic time since the start, and up to when everything captured was handed on.
///
/// Rationale: time may only be said to have passed when nothing from that time is still in the ring, or a caller who
/// lags behind would let answers expire that are already captured.
#[derive(Debug)]
pub(super) struct DrainClock {
    start: Instant,
    drained: AtomicU64,
}

impl DrainClock {
    /// Starts at zero.
    pub(super) fn start() -> Self {
        Self { start: Instant::now(), drained: AtomicU64::new(0) }
    }

    /// Everything captured before this moment is in the queue.
    pub(super) fn drained(&self) -> Duration {
        Duration::from_nanos(self.drained.load(Ordering::SeqCst))
    }

    /// The time since the start.
    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Says that everything captured before `drained` is in the queue.
    pub(super) fn publish(&self, drained: Duration) {
        self.drained.store(u64::try_from(drained.as_nanos()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_published_has_passed() {
        let clock = DrainClock::start();
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(clock.drained(), Duration::ZERO);
        clock.publish(clock.now());
        assert!(clock.drained() >= Duration::from_millis(2) && clock.drained() <= clock.now());
    }
}
