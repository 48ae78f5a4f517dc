//! What can be chosen for flows: policies, limits and timeouts. Not what they do.

use std::time::Duration;

use super::OverlapPolicy;
use super::deadline::Hole;

/// Whether TCP checksums are believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChecksumPolicy {
    /// Verified towards the server, except in a half-flow none of whose segments had a right one yet.
    #[default]
    Auto,
    /// Not looked at.
    None,
    /// Verified towards the server without exception.
    All,
}

/// The limits of one shard.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Flows.
    pub flows: usize,
    /// Memory of flows and what is kept for them, in bytes.
    pub flow_memory: usize,
    /// Memory of segments that wait, in bytes.
    pub queued_memory: usize,
    /// Bytes that wait in one direction.
    pub queued_per_half: usize,
    /// Segments that wait in one direction.
    pub segments_per_half: usize,
    /// Initial sequence numbers that unanswered SYNs of one direction offered, beside the stream's own.
    pub candidates: usize,
}

/// How many shards share the limits of the whole.
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

/// How long flows are kept without a packet.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Nothing but a handshake so far.
    pub new: Duration,
    /// Data was seen.
    pub established: Duration,
    /// After a reset or the end of both directions.
    pub closing: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { new: Duration::from_secs(30), established: Duration::from_secs(300), closing: Duration::from_secs(10) }
    }
}

/// What can be chosen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Checksums.
    pub checksums: ChecksumPolicy,
    /// Overlapping segments.
    pub overlap: OverlapPolicy,
    /// Whether copies made by a SPAN port are kept (`--no-dedup`).
    pub keep_duplicates: bool,
    /// Limits of this shard.
    pub limits: Limits,
    /// Timeouts.
    pub timeouts: Timeouts,
}

impl Options {
    /// The shortest span after which a deadline of this room is set.
    #[must_use]
    pub fn shortest_span(&self) -> Duration {
        let Timeouts { new, established, closing } = self.timeouts;
        new.min(established).min(closing).min(Hole::Acknowledged.timeout())
    }
}
