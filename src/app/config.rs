//! What a run is asked to do, parsed and checked: plain data. Not the command line's grammar, which `cli` has.

use std::path::PathBuf;
use std::time::Duration;

use crate::alerts::context;
use crate::alerts::pipeline;
use crate::capture::block::BlockSize;
use crate::decode;
use crate::format::Format;
use crate::sensor;

/// Where packets come from.
#[derive(Clone, Debug)]
pub enum CaptureInput {
    /// Files, directories, and `-` for standard input, in this order.
    Files(Vec<PathBuf>),
    /// An interface.
    Interface(Interface),
}

/// A live interface.
#[derive(Clone, Debug)]
pub struct Interface {
    /// Its name, or `any`.
    pub name: String,
    /// Ring size in MiB.
    pub ring_mib: u32,
    /// Whether frames to other stations are asked for.
    pub promiscuous: bool,
    /// Bytes kept of each frame.
    pub snaplen: u32,
}

/// What is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Events {
    /// Probes.
    pub alert: bool,
    /// Every request.
    pub http: bool,
    /// Figures.
    pub stats: bool,
}

/// Everything that can be chosen for a run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where packets come from.
    pub origin: CaptureInput,
    /// A filter in libpcap's language.
    pub filter: Option<String>,
    /// Directory for the logs; standard output without one.
    pub directory: Option<PathBuf>,
    /// The output's format.
    pub format: Format,
    /// What is told of.
    pub events: Events,
    /// Time between stats records, live.
    pub stats_interval: Duration,
    /// File for all counters.
    pub counters_file: Option<PathBuf>,
    /// Files of signatures.
    pub signatures: SignatureFiles,
    /// Suppress files.
    pub suppress: Vec<PathBuf>,
    /// Whether suppress files hide nothing and it is only said what they would hide.
    pub dry_run: bool,
    /// What the context remembers.
    pub context: context::Limits,
    /// Threads that handle flows; 0: none but the one that reads.
    pub lanes: usize,
    /// The decoder's options.
    pub decode: decode::Options,
    /// The sensor's options; its limits are those of one shard.
    pub sensor: sensor::Options,
    /// What is done with records before they are written.
    pub alert_pipeline: pipeline::Options,
    /// Size of blocks.
    pub block: BlockSize,
    /// Whether all files are one capture, whatever their times.
    pub continuous: bool,
    /// Stop after so many packets.
    pub count: Option<u64>,
    /// The sensor's name in the output.
    pub sensor_name: Option<String>,
    /// Leave secrets in URLs out of the output.
    pub redact: bool,
    /// Say errors only.
    pub quiet: bool,
    /// Say every counter that moved at the end.
    pub verbose: u8,
    /// Alerts of this severity or worse make the exit code 3.
    pub fail_on_alert: Option<u8>,
    /// Losses above this make the exit code 4.
    pub max_drop_percent: Option<f64>,
    /// Live: how long a link may be without an HTTP request before that is told.
    pub silence: Duration,
    /// The packet at which a lane shall panic: for tests of what happens then.
    #[doc(hidden)]
    pub panic_at: Option<u64>,
}

/// Which signatures are loaded.
#[derive(Clone, Debug, Default)]
pub struct SignatureFiles {
    /// Files in addition.
    pub add: Vec<PathBuf>,
    /// Files instead of the built-in ones.
    pub only: Vec<PathBuf>,
}

impl Config {
    /// A run over `origin` with the defaults of the command line, alerts on standard output.
    #[must_use]
    pub fn new(origin: CaptureInput) -> Self {
        let block = match origin {
            CaptureInput::Files(_) => BlockSize::OF_FILES,
            CaptureInput::Interface(_) => BlockSize::default(),
        };
        Self {
            origin,
            filter: None,
            directory: None,
            format: Format::default(),
            events: Events { alert: true, http: false, stats: false },
            stats_interval: Duration::from_secs(60),
            counters_file: None,
            signatures: SignatureFiles::default(),
            suppress: Vec::new(),
            dry_run: false,
            context: context::Limits::default(),
            lanes: 0,
            decode: decode::Options::default(),
            sensor: sensor::Options::default(),
            alert_pipeline: pipeline::Options::default(),
            block,
            continuous: false,
            count: None,
            sensor_name: None,
            redact: false,
            quiet: false,
            verbose: 0,
            fail_on_alert: None,
            max_drop_percent: None,
            silence: Duration::from_secs(300),
            panic_at: None,
        }
    }

    /// Whether the run captures from an interface.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        matches!(self.origin, CaptureInput::Interface(_))
    }
}
