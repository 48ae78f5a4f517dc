//! A whole run: everything opened, the pump started, the end told, and what the process shall say of it. Not the command
//! line.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::alerts::context;
use crate::alerts::filter::AlertFilter;
use crate::alerts::pipeline::AlertPipeline;
use crate::alerts::suppress::Suppressions;
use crate::app::config::{CaptureInput, Config, Interface};
use crate::app::control::{Controller, SourceStatus};
use crate::app::load::{Loaded, load, review};
use crate::app::wiring::place;
use crate::capture::block::PacketSource;
use crate::capture::bpf::Filter;
use crate::capture::file;
use crate::capture::live::{LiveOptions, LiveSource};
use crate::capture::replay::Replay;
use crate::decode::Decoder;
use crate::flow::ChecksumPolicy;
use crate::format::{InputName, LineContext};
use crate::logs::log::LogSet;
use crate::output::stage::{OutputOptions, OutputStage};
use crate::output::writer::EventWriter;
use crate::pipeline::dispatcher::{Dispatcher, random_keys};
use crate::pipeline::lanes::panic_message;
use crate::pipeline::message::RunFlags;
use crate::sensor::Sensor;
use crate::signature::Signatures;
use crate::stats::{OutputStats, RunStats};
use crate::sys::Signals;
use crate::sys::console::Console;
use crate::time::Timestamp;

/// What the process shall end with; the first that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Finished.
    Finished = 0,
    /// An input could not be opened or not read to its end, or the live output is gone.
    Input = 1,
    /// Usage, configuration, signatures or filter.
    Usage = 2,
    /// Alerts, with `--fail-on-alert`.
    Alerts = 3,
    /// Losses above the limit.
    Losses = 4,
}

/// Runs until the input is at its end or a signal says so. Everything there is to say to a person goes to standard
/// error.
#[must_use]
pub fn run(config: Config) -> Exit {
    let console = Console::new(config.quiet);
    match prepare(&config, &console) {
        Ok(prepared) => match &config.origin {
            CaptureInput::Files(paths) => replay(&config, paths, prepared, console),
            CaptureInput::Interface(interface) => run_live(&config, interface, prepared, &console),
        },
        Err(exit) => exit,
    }
}

/// What both kinds of runs need.
struct Setup {
    signatures: Arc<Signatures>,
    suppressions: Suppressions,
    filter: Option<Filter>,
    signals: Signals,
}

fn prepare(config: &Config, console: &Console) -> Result<Setup, Exit> {
    let (signatures, suppressions) = load(&config.signatures, &config.suppress).map_err(|errors| {
        errors.iter().for_each(|error| console.error(error));
        Exit::Usage
    })?;
    let filter = config.filter.as_deref().map(Filter::new).transpose().map_err(|error| {
        console.error(&error.to_string());
        Exit::Usage
    })?;
    let signals = Signals::install().map_err(|error| {
        console.error(&format!("signals cannot be handled: {error}"));
        Exit::Input
    })?;
    review(&suppressions, &signatures).iter().for_each(|line| console.info(line));
    // The program ends with the run; to take all signatures apart first takes longer than a small capture.
    std::mem::forget(Arc::clone(&signatures));
    Ok(Setup { signatures, suppressions, filter, signals })
}

fn replay(config: &Config, paths: &[PathBuf], prepared: Setup, mut console: Console) -> Exit {
    let expanded = file::expand(paths);
    let size = expanded.iter().filter_map(|input| input.as_ref().ok()?.size).sum();
    console.show_progress(size);
    let mut source = Replay::new(expanded, config.block, prepared.filter, console.clone());
    if source.inputs().is_empty() {
        return Exit::Input;
    }
    let names = source.inputs().iter().map(|input| InputName::File(PathBuf::from(&input.name))).collect();
    let control = Controller::new(config, prepared.signals, console.clone(), prepared.signatures.len());
    let loaded = (prepared.signatures, prepared.suppressions);
    let Some(result) = run_pipeline(config, &mut source, names, loaded, control, None) else {
        return Exit::Input;
    };
    console.end_progress();
    finish(config, &result, source.had_errors() || result.fault, &console)
}

fn run_live(config: &Config, interface: &Interface, prepared: Setup, console: &Console) -> Exit {
    let options = LiveOptions {
        interface: interface.name.clone(),
        snaplen: interface.snaplen,
        promiscuous: interface.promiscuous,
        ring_mib: interface.ring_mib,
        filter: prepared.filter,
        block: config.block,
    };
    let mut source = match LiveSource::open(options, 0) {
        Ok(source) => source,
        Err(error) => {
            console.error(&error.to_string());
            return if error.exit_code() == 2 { Exit::Usage } else { Exit::Input };
        }
    };
    let description = source.description().to_string();
    description.lines().for_each(|line| console.info(line));
    console.info(&format!("{} signatures loaded", prepared.signatures.len()));
    let control = Controller::new(config, prepared.signals, console.clone(), prepared.signatures.len());
    let loaded = (prepared.signatures, prepared.suppressions);
    let names = vec![InputName::Interface(interface.name.clone())];
    let started = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let started = Timestamp::ZERO.after(started);
    let result = run_pipeline(config, &mut source, names, loaded, control, Some(started));
    let Some(result) = result else { return Exit::Input };
    if result.output_gone && !result.fault {
        console.error("standard output: nobody reads it any more, so the run ends");
    }
    finish(config, &result, result.fault || result.output_gone, console)
}

/// What a run left.
struct RunResult {
    figures: RunStats,
    /// How often the entries of suppress files held, a line each.
    hidden: Vec<String>,
    /// The source failed as a whole, or a part of the sensor broke.
    fault: bool,
    output_gone: bool,
}

/// Wires source, pump, lanes and desk, and runs them.
fn run_pipeline<S: PacketSource + SourceStatus>(
    config: &Config,
    source: &mut S,
    names: Vec<InputName>,
    (signatures, suppressions): Loaded,
    mut control: Controller,
    live_since: Option<Timestamp>,
) -> Option<RunResult> {
    let console = control.console.clone();
    let broke = |console: &Console, what: &str| {
        console
            .error(&format!("internal error, the run ends: {what} (please report this, with the capture if you can)"));
    };
    let opened = live_since.unwrap_or_default();
    let output = match &config.directory {
        None => LogSet::stdout(config.format),
        Some(directory) => LogSet::directory(config.format, directory, opened),
    };
    let mut output = output.inspect_err(|error| console.error(error)).ok()?;
    let flags = Arc::new(RunFlags::default());
    let live = live_since.is_some();
    if live {
        output.never_wait();
    }
    let options = OutputOptions {
        lanes: config.lanes.max(1),
        live,
        silence: config.silence,
        stats: config.events.stats,
        counters_file: config.counters_file.clone(),
    };
    let pen = EventWriter {
        format: config.format,
        context: LineContext {
            sensor_name: config.sensor_name.clone(),
            inputs: names,
            one_stream: !output.is_directory(),
            redact: config.redact,
        },
        alerts: config.events.alert,
        output,
        console: console.clone(),
        flags: Arc::clone(&flags),
        figures: OutputStats::default(),
    };
    let screen =
        AlertFilter::new(context::ContextTracker::new(random_keys(), config.context), suppressions, config.dry_run);
    control.renewal = Arc::clone(&screen.renewal);
    let desk = OutputStage::new(options, AlertPipeline::new(&config.row, screen, random_keys()), pen);
    let _hush = QuietPanicHook::begin();
    let sensor = || Sensor::new(config.sensor.clone(), random_keys());
    let (desk, lanes) = match place(config.lanes, live, desk, sensor) {
        Ok(placed) => placed,
        Err(error) => {
            console.error(&format!("threads cannot be started: {error} (try --lanes 0)"));
            return None;
        }
    };
    let mut decode = config.decode;
    decode.verify_ip_checksum = config.sensor.flow.checksums != ChecksumPolicy::None;
    let mut pump = Dispatcher::new(Decoder::new(decode, random_keys()), lanes, signatures, Arc::clone(&flags));
    pump.ports = config.sensor.ports.clone();
    pump.continuous = config.continuous;
    pump.count = config.count;
    pump.panic_at = config.panic_at;
    pump.live = live;
    if let Some(since) = live_since {
        pump.randomize_sharding();
        pump.clock.tick(since);
    }
    control.desk = Some(desk);
    let ran = catch_unwind(AssertUnwindSafe(|| pump.run(source, &mut control)));
    let closed = catch_unwind(AssertUnwindSafe(|| pump.finish(source, &mut control)));
    let mut fault = !matches!((&ran, &closed), (Ok(Ok(())), Ok(())));
    match (&ran, &closed) {
        (Err(panic), _) | (Ok(_), Err(panic)) => broke(&console, panic_message(&**panic)),
        (Ok(Err(error)), Ok(())) => console.error(&error.to_string()),
        (Ok(Ok(())), Ok(())) => {}
    }
    pump.lanes.stop();
    let mut desk = match control.desk.take()?.end() {
        Ok(Some(desk)) => desk,
        Ok(None) => {
            console.error("the output hangs: what was not written yet is lost");
            return Some(RunResult {
                figures: RunStats::default(),
                hidden: Vec::new(),
                fault: true,
                output_gone: true,
            });
        }
        Err(what) => {
            broke(&console, &what);
            return Some(RunResult {
                figures: RunStats::default(),
                hidden: Vec::new(),
                fault: true,
                output_gone: false,
            });
        }
    };
    if let Some(what) = &desk.fault {
        broke(&console, what);
        fault = true;
    }
    let hidden = desk.row.filter.report();
    Some(RunResult { figures: desk.figures, hidden, fault, output_gone: flags.closed.load(Ordering::Relaxed) })
}

/// Says the figures and chooses the exit code.
fn finish(config: &Config, result: &RunResult, input_fault: bool, console: &Console) -> Exit {
    // Of a run that read nothing there are no figures, only what was said of its inputs.
    let nothing_read = !config.is_live() && result.figures.pump.replay.files == 0;
    if !result.output_gone && !nothing_read {
        result.figures.summary().iter().for_each(|line| console.info(line));
        if config.verbose > 0 {
            result.figures.each(&mut |name, value| {
                if value > 0 {
                    console.info(&format!("{name} {value}"));
                }
            });
        }
    }
    if config.dry_run || config.verbose > 0 {
        result.hidden.iter().for_each(|line| console.info(line));
    }
    let severities = &result.figures.desk.severities;
    let lost_lines = !result.output_gone && result.figures.desk.output.dropped > 0;
    let alarming = config
        .fail_on_alert
        .is_some_and(|worst| severities.iter().take(usize::from(worst) + 1).any(|&count| count > 0));
    if alarming {
        Exit::Alerts
    } else if input_fault || lost_lines {
        Exit::Input
    } else if config.max_drop_percent.is_some_and(|limit| result.figures.drop_percent() > limit) {
        Exit::Losses
    } else {
        Exit::Finished
    }
}

/// Keeps panics from being told by anybody but who catches them, who tells them in one line.
struct QuietPanicHook(Option<PanicHook>);

type PanicHook = Box<dyn Fn(&std::panic::PanicHookInfo<'_>) + Send + Sync>;

impl QuietPanicHook {
    fn begin() -> Self {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        Self(Some(usual))
    }
}

impl Drop for QuietPanicHook {
    fn drop(&mut self) {
        if let Some(usual) = self.0.take().filter(|_| !std::thread::panicking()) {
            std::panic::set_hook(usual);
        }
    }
}
