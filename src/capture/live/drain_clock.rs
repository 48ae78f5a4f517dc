//! A lower bound of the time that passed for a live capture. Packet time is kept by [`crate::pipeline::clock`], which
//! combines both.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Monotonic time since the start, and the time up to which all captured packets are delivered.
///
/// Rationale: time may be reported as passed only when no packet of that time is still in the ring; otherwise requests
/// would time out although their responses are captured, when the caller lags behind.
#[derive(Debug)]
pub(super) struct DrainClock {
    start: Instant,
    drained: AtomicU64,
}

impl DrainClock {
    /// Starts a clock at zero.
    pub(super) fn start() -> Self {
        Self { start: Instant::now(), drained: AtomicU64::new(0) }
    }

    /// Returns a time before which everything captured is in the queue.
    pub(super) fn drained(&self) -> Duration {
        Duration::from_nanos(self.drained.load(Ordering::SeqCst))
    }

    /// Returns the time since the start.
    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Publishes that everything captured before `drained` is in the queue.
    pub(super) fn publish(&self, drained: Duration) {
        self.drained.store(u64::try_from(drained.as_nanos()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drained_time_is_the_published_time() {
        let clock = DrainClock::start();
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(clock.drained(), Duration::ZERO);
        clock.publish(clock.now());
        assert!(clock.drained() >= Duration::from_millis(2) && clock.drained() <= clock.now());
    }
}
