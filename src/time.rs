//! Packet time: nanoseconds since the Unix epoch, with saturating arithmetic. Does not read any clock of the operating
//! system.

use std::time::Duration;

/// A point in packet time, in nanoseconds since 1970-01-01 00:00 UTC.
///
/// All arithmetic saturates, because time stamps come from the capture and may be out of range (libpcap passes
/// `tv_usec` 0xffff_ffff through).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

const NANOS_PER_SECOND: i64 = 1_000_000_000;

impl Timestamp {
    /// The Unix epoch.
    pub const ZERO: Self = Self(0);
    /// The latest time that can be represented; used for a deadline that is not set.
    pub const MAX: Self = Self(i64::MAX);

    /// Creates a time stamp from nanoseconds since the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Creates a time stamp from whole seconds and a fraction in nanoseconds; the fraction may exceed a second.
    #[must_use]
    pub const fn from_secs_nanos(seconds: i64, nanos: i64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND).saturating_add(nanos))
    }

    /// Returns the nanoseconds since the epoch.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Returns the microseconds since the epoch, rounded down: the resolution of EVE and of the flow id.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Returns this time plus `span`.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// Returns the duration from `earlier` to this time; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let end = Timestamp::from_secs_nanos(i64::MAX, i64::MAX);
        assert_eq!(end, Timestamp::MAX);
        assert_eq!(end.after(Duration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::ZERO.since(end), Duration::ZERO);
        assert_eq!(Timestamp::from_nanos(-1).micros(), -1);
    }
}
