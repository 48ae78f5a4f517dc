//! Configuration of a run: plain data, parsed and checked. Does not parse the command line; see `cli`.

use std::path::PathBuf;
use std::time::Duration;

use crate::alerts::context;
use crate::alerts::pipeline;
use crate::capture::block::BlockSize;
use crate::decode;
use crate::format::Format;
use crate::sensor;

/// Source of packets.
#[derive(Clone, Debug)]
pub enum CaptureInput {
    /// Files, directories, and `-` for standard input, in this order.
    Files(Vec<PathBuf>),
    /// A live interface.
    Interface(Interface),
}

/// Options of a live interface.
#[derive(Clone, Debug)]
pub struct Interface {
    /// Name of the interface, or `any`.
    pub name: String,
    /// Ring size in MiB.
    pub ring_mib: u32,
    /// Whether the interface is put into promiscuous mode, to receive frames for other stations.
    pub promiscuous: bool,
    /// Bytes captured of each frame, at most.
    pub snaplen: u32,
}

/// Record types that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Events {
    /// Alerts for probes.
    pub alert: bool,
    /// A record for every HTTP request.
    pub http: bool,
    /// Stats records.
    pub stats: bool,
}

/// All options of a run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Source of packets.
    pub origin: CaptureInput,
    /// Capture filter in libpcap's filter syntax.
    pub filter: Option<String>,
    /// Whether files are read on while they are written, and directories are watched for new files.
    pub follow: bool,
    /// Directory for the logs; `None` for standard output.
    pub directory: Option<PathBuf>,
    /// Format of the log lines.
    pub format: Format,
    /// Record types that are written.
    pub events: Events,
    /// Time between stats records in live mode.
    pub stats_interval: Duration,
    /// File that all counters are written to.
    pub counters_file: Option<PathBuf>,
    /// Signature files.
    pub signatures: SignatureFiles,
    /// Suppress files.
    pub suppress: Vec<PathBuf>,
    /// Whether suppress files suppress nothing, and the alerts that they would suppress are only reported.
    pub dry_run: bool,
    /// Limits of the alert context.
    pub context: context::Limits,
    /// Threads that process flows; with 0, the reading thread processes them.
    pub lanes: usize,
    /// Options of the decoder.
    pub decode: decode::Options,
    /// Options of the sensor; its limits apply to one shard.
    pub sensor: sensor::Options,
    /// Options of the alert pipeline, which processes records before they are written.
    pub alert_pipeline: pipeline::Options,
    /// Size limits for a block.
    pub block: BlockSize,
    /// Whether all files are processed as one capture, regardless of their timestamps.
    pub continuous: bool,
    /// Number of packets after which the run stops.
    pub count: Option<u64>,
    /// Sensor name that is written to the records.
    pub sensor_name: Option<String>,
    /// Whether secrets in URLs are removed from the output.
    pub redact: bool,
    /// Whether only errors are written to the console.
    pub quiet: bool,
    /// Verbosity; above 0, every non-zero counter is written at the end.
    pub verbose: u8,
    /// Severity: alerts of this severity or worse make the exit code 3.
    pub fail_on_alert: Option<u8>,
    /// Packet loss in percent above which the exit code is 4.
    pub max_drop_percent: Option<f64>,
    /// Time that a live link may be without an HTTP request before a warning is emitted.
    pub silence: Duration,
    /// Packet at which a lane panics, for tests of panic handling.
    #[doc(hidden)]
    pub panic_at: Option<u64>,
}

/// Signature files to load.
#[derive(Clone, Debug, Default)]
pub struct SignatureFiles {
    /// Files loaded in addition to the built-in signatures.
    pub add: Vec<PathBuf>,
    /// Files loaded instead of the built-in signatures.
    pub only: Vec<PathBuf>,
}

impl Config {
    /// Creates the configuration of a run over `origin` with the command-line defaults: alerts on standard output.
    #[must_use]
    pub fn new(origin: CaptureInput) -> Self {
        let block = match origin {
            CaptureInput::Files(_) => BlockSize::OF_FILES,
            CaptureInput::Interface(_) => BlockSize::default(),
        };
        Self {
            origin,
            filter: None,
            follow: false,
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

    /// Reports whether the run captures from an interface.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        matches!(self.origin, CaptureInput::Interface(_))
    }
}
