//! Messages from the lanes and the dispatcher to the output stage. Does not transport them; see
//! [`super::channel`].

use std::sync::atomic::AtomicBool;

use crate::record::Event;
use crate::stats::{DispatcherStats, LaneStats};
use crate::time::Timestamp;

/// Something for the desk.
#[derive(Debug)]
pub(crate) struct LaneMessage {
    /// The load it belongs to.
    pub(crate) sequence: u64,
    pub(crate) part: Payload,
}

/// What is in an envelope.
#[derive(Debug)]
pub(crate) enum Payload {
    /// A lane did its share of a load.
    Done {
        /// What it settled.
        records: Vec<Event>,
        /// Its figures, where the load asked for them.
        census: Option<Box<LaneStats>>,
    },
    /// The only lane did a part of its share: nothing that comes later stands before these.
    Partial(Vec<Event>),
    /// The pump's part of a load.
    BatchEnd(BatchEnd),
    /// A lane is broken: the run ends. What it settled before is in an envelope of its own.
    Panicked(String),
}

/// What the pump wants after a load.
#[derive(Debug, Default)]
pub(crate) struct BatchEnd {
    /// The pump's figures; given with every wish that needs figures.
    pub(crate) figures: Option<Box<DispatcherStats>>,
    pub(crate) wish: OutputRequest,
    /// The clock at the end of the load: every lane has settled what fell due up to here.
    pub(crate) clock: Timestamp,
    /// Everything open was settled: the input is over, or the clock starts anew.
    pub(crate) finished: bool,
}

/// What to do once a load is settled.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OutputRequest {
    /// Write a stats record, and the file of counters.
    pub(crate) stats: bool,
    /// Say the figures (SIGUSR1), and write the file of counters.
    pub(crate) print: bool,
    /// Close and open the logs (SIGHUP).
    pub(crate) reopen: bool,
    /// Look for signs that the sensor sees nothing.
    pub(crate) check: bool,
    /// It was the last load.
    pub(crate) last: bool,
}

impl OutputRequest {
    /// Whether there is nothing to do.
    pub(crate) const fn is_none(self) -> bool {
        !(self.needs_census() || self.reopen)
    }

    /// Whether the lanes' figures are needed.
    pub(crate) const fn needs_census(self) -> bool {
        self.stats || self.print || self.check || self.last
    }
}

/// What the desk and the pump say to each other outside the stream.
#[derive(Debug, Default)]
pub(crate) struct RunFlags {
    /// Nobody reads the output any more.
    pub(crate) closed: AtomicBool,
    /// A lane or the desk is broken.
    pub(crate) broken: AtomicBool,
}
