//! Clock of a live capture: the time up to which all captured packets are in the queue. It is not packet time, and not
//! the clock of the dispatcher, which uses both.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Monotonic time since the start, and the time up to which all captured frames were queued.
///
/// Rationale: time may be reported as passed only when no frame from that time is still in the ring. Otherwise a caller
/// that lags behind would expire requests whose responses are already captured.
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

    /// Returns the time before which all captured frames are in the queue.
    pub(super) fn drained(&self) -> Duration {
        Duration::from_nanos(self.drained.load(Ordering::SeqCst))
    }

    /// Returns the time since the start.
    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Publishes that all frames captured before `drained` are in the queue.
    pub(super) fn publish(&self, drained: Duration) {
        self.drained.store(u64::try_from(drained.as_nanos()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drained_time_advances_only_when_published() {
        let clock = DrainClock::start();
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(clock.drained(), Duration::ZERO);
        clock.publish(clock.now());
        assert!(clock.drained() >= Duration::from_millis(2) && clock.drained() <= clock.now());
    }
}
