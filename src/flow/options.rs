//! Options of the flow module: policies, limits and timeouts. Does not apply them; see [`super::Flows`].

use std::time::Duration;

use super::OverlapPolicy;
use super::deadline::Hole;

/// The policy for wrong TCP checksums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChecksumPolicy {
    /// Verified towards the server, except in a half stream that has not had a segment with a correct checksum yet.
    #[default]
    Auto,
    /// Not verified.
    None,
    /// Verified towards the server without exception.
    All,
}

/// The limits of one shard.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Number of flows.
    pub flows: usize,
    /// Memory of flows and their state, in bytes.
    pub flow_memory: usize,
    /// Memory of queued segments, in bytes.
    pub queued_memory: usize,
    /// Bytes queued in one direction.
    pub queued_per_half: usize,
    /// Segments queued in one direction.
    pub segments_per_half: usize,
    /// Candidate initial sequence numbers, from unanswered SYNs of one direction, beside the stream's own.
    pub candidates: usize,
}

/// Number of shards that share the limits of the whole sensor.
pub const SHARDS: usize = 16;

impl Default for Limits {
    fn default() -> Self {
        Self {
            flows: 262_144 / SHARDS,
            flow_memory: (128 << 20) / SHARDS,
            queued_memory: (128 << 20) / SHARDS,
            queued_per_half: 256 << 10,
            segments_per_half: 512,
            candidates: 4,
        }
    }
}

/// Times after which a flow without a packet is closed.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Only a handshake was seen so far.
    pub new: Duration,
    /// Data was seen.
    pub established: Duration,
    /// Data was seen, both directions were, and the listener waits for the peer ([`super::Listener::waits_for_peer`]).
    pub waiting: Duration,
    /// After a reset or the end of both directions.
    pub closing: Duration,
}

impl Default for Timeouts {
    /// Rationale: middleboxes keep an idle connection for at least 2 hours and 4 minutes (RFC 5382 REQ-5), because its
    /// ends check every 2 hours whether it still lives (RFC 1122 section 4.2.3.6): after that time without a packet it
    /// does not.
    fn default() -> Self {
        Self {
            new: Duration::from_secs(30),
            established: Duration::from_secs(300),
            waiting: Duration::from_secs(7440),
            closing: Duration::from_secs(10),
        }
    }
}

/// Options of the flow module.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Checksum policy.
    pub checksums: ChecksumPolicy,
    /// Overlap policy.
    pub overlap: OverlapPolicy,
    /// Whether duplicates made by a SPAN port are kept (`--no-dedup`).
    pub keep_duplicates: bool,
    /// Limits of this shard.
    pub limits: Limits,
    /// Timeouts.
    pub timeouts: Timeouts,
}

impl Options {
    /// Returns the shortest time after which a deadline of this module is set.
    #[must_use]
    pub fn shortest_span(&self) -> Duration {
        // A flow that waits longer was idle for `established` before.
        let Timeouts { new, established, closing, waiting: _ } = self.timeouts;
        new.min(established).min(closing).min(Hole::Acknowledged.timeout())
    }
}
