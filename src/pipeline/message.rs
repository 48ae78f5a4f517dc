//! Messages from the lanes and the dispatcher to the output stage. Does not transport them; see
//! [`super::inbox`].

use std::sync::atomic::AtomicBool;

use crate::record::Record;
use crate::runtime::stats::{Census, PumpFigures};
use crate::time::Timestamp;

/// Something for the desk.
#[derive(Debug)]
pub(super) struct Envelope {
    /// The load it belongs to.
    pub(super) sequence: u64,
    pub(super) part: Part,
}

/// What is in an envelope.
#[derive(Debug)]
pub(super) enum Part {
    /// A lane did its share of a load.
    Settled {
        /// What it settled.
        records: Vec<Record>,
        /// Its figures, where the load asked for them.
        census: Option<Box<Census>>,
    },
    /// The only lane did a part of its share: nothing that comes later stands before these.
    Partly(Vec<Record>),
    /// The pump's part of a load.
    Notice(Notice),
    /// A lane is broken: the run ends. What it settled before is in an envelope of its own.
    Broken(String),
}

/// What the pump wants after a load.
#[derive(Debug, Default)]
pub(super) struct Notice {
    /// The pump's figures; given with every wish that needs figures.
    pub(super) figures: Option<Box<PumpFigures>>,
    pub(super) wish: Wish,
    /// The clock at the end of the load: every lane has settled what fell due up to here.
    pub(super) clock: Timestamp,
    /// Everything open was settled: the input is over, or the clock starts anew.
    pub(super) finished: bool,
}

/// What to do once a load is settled.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wish {
    /// Write a stats record, and the file of counters.
    pub(super) stats: bool,
    /// Say the figures (SIGUSR1), and write the file of counters.
    pub(super) print: bool,
    /// Close and open the logs (SIGHUP).
    pub(super) reopen: bool,
    /// Look for signs that the sensor sees nothing.
    pub(super) check: bool,
    /// It was the last load.
    pub(super) last: bool,
}

impl Wish {
    /// Whether there is nothing to do.
    pub(super) const fn is_none(self) -> bool {
        !(self.needs_census() || self.reopen)
    }

    /// Whether the lanes' figures are needed.
    pub(super) const fn needs_census(self) -> bool {
        self.stats || self.print || self.check || self.last
    }
}

/// What the desk and the pump say to each other outside the stream.
#[derive(Debug, Default)]
pub(super) struct Flags {
    /// Nobody reads the output any more.
    pub(super) closed: AtomicBool,
    /// A lane or the desk is broken.
    pub(super) broken: AtomicBool,
}
