//! Messages from the lanes and the dispatcher to the output stage. They are transported by [`super::channel`].

use std::sync::atomic::AtomicBool;

use crate::alerts::suppress::Suppressions;
use crate::decode::Unread;
use crate::record::Event;
use crate::stats::{DispatcherStats, LaneStats};
use crate::time::Timestamp;

/// A message to the output stage about one batch.
#[derive(Debug)]
pub(crate) struct LaneMessage {
    /// Sequence number of the batch, from 0.
    pub(crate) sequence: u64,
    pub(crate) payload: Payload,
}

/// Content of a [`LaneMessage`].
#[derive(Debug)]
pub(crate) enum Payload {
    /// A lane finished its share of the batch.
    Done {
        /// Records decided by this share, in no particular order.
        records: Vec<Event>,
        /// The lane's counters, if the batch asked for them.
        stats: Option<Box<LaneStats>>,
    },
    /// The only lane decided these records and goes on with the same batch; no later record sorts before them.
    Partial(Vec<Event>),
    /// Reloaded suppressions, in force from the first record of this batch on.
    Suppressions(Box<Suppressions>),
    /// The dispatcher finished the batch.
    BatchEnd(BatchEnd),
    /// A lane panicked and the run ends. The records it had decided before follow in [`Payload::Done`].
    Panicked(String),
}

/// The dispatcher's part of a batch.
#[derive(Debug, Default)]
pub(crate) struct BatchEnd {
    /// The dispatcher's counters; present with every request that needs them.
    pub(crate) stats: Option<Box<DispatcherStats>>,
    pub(crate) request: OutputRequest,
    /// The clock at the end of the batch: every lane has handled all deadlines up to here.
    pub(crate) clock: Timestamp,
    /// Whether everything open was finished, because the input ended or the clock starts anew.
    pub(crate) finished: bool,
    /// Kinds of frames that are not read and were seen for the first time, in this batch.
    pub(crate) new_unread: Vec<Unread>,
}

/// What the output stage shall do once a batch is complete.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OutputRequest {
    /// Write a stats record and the counters file.
    pub(crate) stats: bool,
    /// Print statistics to the console (SIGUSR1) and write the counters file.
    pub(crate) print: bool,
    /// Close and reopen the logs (SIGHUP).
    pub(crate) reopen: bool,
    /// Check whether the sensor sees traffic it can analyse.
    pub(crate) check: bool,
    /// This was the last batch.
    pub(crate) last: bool,
}

impl OutputRequest {
    /// Returns whether nothing is requested.
    pub(crate) const fn is_empty(self) -> bool {
        !(self.needs_lane_stats() || self.reopen)
    }

    /// Returns whether the lanes' counters are needed.
    pub(crate) const fn needs_lane_stats(self) -> bool {
        self.stats || self.print || self.check || self.last
    }
}

/// State that the output stage reports back to the dispatcher.
#[derive(Debug, Default)]
pub(crate) struct RunFlags {
    /// The reader of the output is gone (EPIPE).
    pub(crate) output_closed: AtomicBool,
    /// A lane panicked.
    pub(crate) panicked: AtomicBool,
}
