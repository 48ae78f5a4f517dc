//! A run: opens the inputs and outputs, wires the pipeline, drives it block by block, and chooses the exit code.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::config::{CaptureInput, Config, Interface};
use super::control::Controller;
use super::load::{Loaded, load, review};
use super::wiring::{OutputFailure, OutputHandle, spawn_stages};
use crate::alerts::context::ContextTracker;
use crate::alerts::filter::AlertFilter;
use crate::alerts::pipeline::AlertPipeline;
use crate::alerts::suppress::Suppressions;
use crate::capture::bpf::Filter;
use crate::capture::file::Expansion;
use crate::capture::follow::Follow;
use crate::capture::live::{LiveOptions, LiveSource};
use crate::capture::replay::Replay;
use crate::capture::source::{PacketSource, SourceError};
use crate::decode::Decoder;
use crate::flow::ChecksumPolicy;
use crate::format::{InputName, LineContext};
use crate::logs::log::LogSet;
use crate::output::new_inputs::NewInputs;
use crate::output::stage::{OutputOptions, OutputStage};
use crate::output::writer::EventWriter;
use crate::pipeline::dispatcher::{Dispatcher, DispatcherOptions, Progress, random_keys};
use crate::pipeline::lane::panic_message;
use crate::pipeline::message::RunFlags;
use crate::sensor::Sensor;
use crate::stats::{OutputStats, RunStats};
use crate::sys::Signals;
use crate::sys::console::Console;
use crate::time::Timestamp;

/// Exit status of the process; of several, the first in the order 2, 3, 1, 4, 0.
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

/// Runs until the input ends or a signal stops it. Messages for the user go to standard error.
#[must_use]
pub fn run(config: Config) -> Exit {
    let console = Console::new(config.quiet);
    match prepare(&config, &console) {
        Ok(setup) => match &config.origin {
            CaptureInput::Files(paths) if config.follow => run_follow(&config, paths, setup, &console),
            CaptureInput::Files(paths) => run_replay(&config, paths, setup, console),
            CaptureInput::Interface(interface) => run_live(&config, interface, setup, &console),
        },
        Err(exit) => exit,
    }
}

/// What replay and live capture both need.
struct Setup {
    loaded: Loaded,
    filter: Option<Filter>,
    signals: Signals,
}

fn prepare(config: &Config, console: &Console) -> Result<Setup, Exit> {
    let (signatures, suppressions) = load(&config.signatures, &config.suppress).map_err(|errors| {
        errors.iter().for_each(|error| console.error(&error.to_string()));
        Exit::Usage
    })?;
    let filter = config.filter.as_deref().map(Filter::new).transpose().map_err(|error| {
        console.error(&error.to_string());
        Exit::Usage
    })?;
    let signals = Signals::install().map_err(|error| {
        console.error(&format!("cannot handle signals: {error}"));
        Exit::Input
    })?;
    review(&suppressions, &signatures).iter().for_each(|line| console.info(line));
    // Leaked on purpose: the process ends with the run, and freeing all signatures takes longer than a small capture.
    std::mem::forget(Arc::clone(&signatures));
    Ok(Setup { loaded: (signatures, suppressions), filter, signals })
}

fn run_replay(config: &Config, paths: &[PathBuf], setup: Setup, mut console: Console) -> Exit {
    let expansion = Expansion::new(paths);
    let size = expansion.inputs.iter().filter_map(|input| input.as_ref().ok()?.size).sum();
    console.show_progress(size);
    let mut source = Replay::new(expansion, config.block, setup.filter, console.clone());
    if source.inputs().is_empty() {
        return Exit::Input;
    }
    let names = source.inputs().iter().map(|input| InputName::File(PathBuf::from(&input.name))).collect();
    let inputs = Inputs { names, ..Inputs::default() };
    let controller = Controller::new(config, setup.signals, console.clone());
    let Some(result) = run_pipeline(config, &mut source, inputs, setup.loaded, controller, None, &console) else {
        return Exit::Input;
    };
    console.end_progress();
    finish(config, &result, source.had_errors() || result.fault, &console)
}

/// Replays files and directories, and what is added to them, until a signal stops the run.
fn run_follow(config: &Config, paths: &[PathBuf], setup: Setup, console: &Console) -> Exit {
    for path in paths {
        if let Err(error) = std::fs::metadata(path) {
            console.error(&format!("{}: {error} (check the path)", path.display()));
            return Exit::Input;
        }
    }
    let inputs = Inputs::default();
    let later = Arc::clone(&inputs.later);
    let on_input = Box::new(move |number, name| later.add(number, name));
    let mut source = match Follow::new(paths, config.block, setup.filter, console.clone(), on_input) {
        Ok(source) => source,
        Err(error) => {
            console.error(&format!("cannot follow files: {error}"));
            return Exit::Input;
        }
    };
    console.info("following; SIGINT or SIGTERM ends the run");
    let controller = Controller::new(config, setup.signals, console.clone());
    let result = run_pipeline(config, &mut source, inputs, setup.loaded, controller, None, console);
    let had_errors = source.had_errors();
    source.close();
    let Some(result) = result else { return Exit::Input };
    finish(config, &result, had_errors || result.fault, console)
}

fn run_live(config: &Config, interface: &Interface, setup: Setup, console: &Console) -> Exit {
    let options = LiveOptions {
        interface: interface.name.clone(),
        snaplen: interface.snaplen,
        promiscuous: interface.promiscuous,
        ring_mib: interface.ring_mib,
        filter: setup.filter,
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
    console.info(&format!("{} signatures loaded", setup.loaded.0.len()));
    let controller = Controller::new(config, setup.signals, console.clone());
    let inputs = Inputs { names: vec![InputName::Interface(interface.name.clone())], ..Inputs::default() };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let started = Timestamp::ZERO.after(now);
    let result = run_pipeline(config, &mut source, inputs, setup.loaded, controller, Some(started), console);
    let Some(result) = result else { return Exit::Input };
    if result.output_gone && !result.fault {
        console.error("standard output: the reader closed it, so the run ends");
    }
    finish(config, &result, result.fault || result.output_gone, console)
}

/// Names of the inputs.
#[derive(Default)]
struct Inputs {
    /// Those that are known at the start.
    names: Vec<InputName>,
    /// Those that are begun later.
    later: Arc<NewInputs>,
}

/// What a run leaves.
#[derive(Default)]
struct RunResult {
    stats: RunStats,
    /// A line for each suppress entry: how often it applied.
    suppress_report: Vec<String>,
    /// Whether the source failed as a whole, or a part of the sensor panicked or hung.
    fault: bool,
    output_gone: bool,
}

/// Wires source, dispatcher, lanes and output stage, and runs them to the end. `None` if they cannot be started.
fn run_pipeline(
    config: &Config,
    source: &mut impl PacketSource,
    inputs: Inputs,
    (signatures, suppressions): Loaded,
    mut controller: Controller,
    live_since: Option<Timestamp>,
    console: &Console,
) -> Option<RunResult> {
    let live = live_since.is_some();
    let flags = Arc::new(RunFlags::default());
    let writer = open_writer(config, inputs, live_since, &flags, console)?;
    let stage = output_stage(config, suppressions, live, writer);
    let _quiet = QuietPanicHook::install();
    let shard = || Sensor::new(config.sensor.clone(), random_keys());
    let spawned = spawn_stages(config.lanes, live, stage, shard);
    let (handle, sender, lanes) =
        spawned.inspect_err(|error| console.error(&format!("cannot start threads: {error} (try --lanes 0)"))).ok()?;
    let options = DispatcherOptions {
        ports: config.sensor.ports.clone(),
        live,
        continuous: config.continuous,
        count: config.count,
        panic_at: config.panic_at,
    };
    let mut decode = config.decode;
    decode.verify_ip_checksum = config.sensor.flow.checksums != ChecksumPolicy::None;
    let decoder = Decoder::new(decode, random_keys());
    let mut dispatcher = Dispatcher::new(options, decoder, lanes, sender, signatures, Arc::clone(&flags));
    if let Some(since) = live_since {
        dispatcher.start_clock(since);
    }
    let intact = drive(&mut dispatcher, source, &mut controller, console);
    dispatcher.stop();
    let mut result = end_output(handle, console);
    result.fault |= !intact;
    result.output_gone |= flags.output_closed.load(Ordering::Relaxed);
    Some(result)
}

/// Opens the logs and creates the event writer; `None` if a log cannot be opened.
fn open_writer(
    config: &Config,
    inputs: Inputs,
    live_since: Option<Timestamp>,
    flags: &Arc<RunFlags>,
    console: &Console,
) -> Option<EventWriter> {
    let logs = match &config.directory {
        None => LogSet::stdout(config.format),
        Some(directory) => LogSet::directory(config.format, directory, live_since.unwrap_or_default()),
    };
    let mut logs = logs.inspect_err(|error| console.error(&error.to_string())).ok()?;
    if live_since.is_some() {
        logs.set_nonblocking();
    }
    let context = LineContext {
        sensor_name: config.sensor_name.clone(),
        inputs: inputs.names,
        one_stream: !logs.is_directory(),
        redact: config.redact,
    };
    Some(EventWriter {
        format: config.format,
        context,
        alerts: config.events.alert,
        logs,
        console: console.clone(),
        flags: Arc::clone(flags),
        stats: OutputStats::default(),
        new_inputs: inputs.later,
    })
}

fn output_stage(config: &Config, suppressions: Suppressions, live: bool, writer: EventWriter) -> OutputStage {
    let options = OutputOptions {
        lanes: config.lanes.max(1),
        live,
        max_http_silence: config.silence,
        stats: config.events.stats,
        counters_file: config.counters_file.clone(),
    };
    let context = ContextTracker::new(random_keys(), config.context);
    let filter = AlertFilter::new(context, suppressions, config.dry_run);
    OutputStage::new(options, AlertPipeline::new(&config.alert_pipeline, filter, random_keys()), writer)
}

/// Runs the dispatcher block by block, then finishes what is open. Returns false if the source failed or a panic ended
/// the run.
fn drive<S: PacketSource>(
    dispatcher: &mut Dispatcher,
    source: &mut S,
    controller: &mut Controller,
    console: &Console,
) -> bool {
    let read = catch_unwind(AssertUnwindSafe(|| -> Result<(), SourceError> {
        while let Some(request) = controller.poll(source) {
            if dispatcher.run_block(source, request)? == Progress::Stop {
                break;
            }
        }
        Ok(())
    }));
    let finished = catch_unwind(AssertUnwindSafe(|| dispatcher.finish(source)));
    match (&read, &finished) {
        (Err(panic), _) | (Ok(_), Err(panic)) => report_panic(console, panic_message(&**panic)),
        (Ok(Err(error)), Ok(())) => console.error(&error.to_string()),
        (Ok(Ok(())), Ok(())) => return true,
    }
    false
}

/// Ends the output stage.
fn end_output(handle: OutputHandle, console: &Console) -> RunResult {
    match handle.end() {
        Ok(summary) => {
            let fault = summary.panic.is_some();
            summary.panic.iter().for_each(|text| report_panic(console, text));
            RunResult { stats: summary.stats, suppress_report: summary.suppress_report, fault, output_gone: false }
        }
        Err(OutputFailure::Hung) => {
            console.error("the output does not respond: records not written yet are lost");
            RunResult { fault: true, output_gone: true, ..RunResult::default() }
        }
        Err(OutputFailure::Panicked(text)) => {
            report_panic(console, &text);
            RunResult { fault: true, ..RunResult::default() }
        }
    }
}

fn report_panic(console: &Console, text: &str) {
    console.error(&format!("internal error, the run ends: {text} (please report this, with the capture if you can)"));
}

/// Prints the statistics and chooses the exit status.
fn finish(config: &Config, result: &RunResult, input_fault: bool, console: &Console) -> Exit {
    // If no input could be read there are no statistics, only the errors.
    let nothing_read = !config.is_live() && result.stats.dispatcher.source.replay.files == 0;
    if !result.output_gone && !nothing_read {
        result.stats.summary().iter().for_each(|line| console.info(line));
        if config.verbose > 0 {
            result.stats.each(&mut |name, value| {
                if value > 0 {
                    console.info(&format!("{name} {value}"));
                }
            });
            result.stats.each_unread(&mut |name, value| console.info(&format!("{name} {value}")));
        }
    }
    if config.dry_run || config.verbose > 0 {
        result.suppress_report.iter().for_each(|line| console.info(line));
    }
    let severities = &result.stats.output.severities;
    let lost_lines = !result.output_gone && result.stats.output.logs.dropped > 0;
    let alerted = config
        .fail_on_alert
        .is_some_and(|worst| severities.iter().take(usize::from(worst) + 1).any(|&count| count > 0));
    if alerted {
        Exit::Alerts
    } else if input_fault || lost_lines {
        Exit::Input
    } else if config.max_drop_percent.is_some_and(|limit| result.stats.drop_percent() > limit) {
        Exit::Losses
    } else {
        Exit::Finished
    }
}

/// Suppresses the default panic hook, because caught panics are reported on one line. Restores the hook on drop.
struct QuietPanicHook(Option<PanicHook>);

type PanicHook = Box<dyn Fn(&std::panic::PanicHookInfo<'_>) + Send + Sync>;

impl QuietPanicHook {
    fn install() -> Self {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        Self(Some(previous))
    }
}

impl Drop for QuietPanicHook {
    fn drop(&mut self) {
        if let Some(previous) = self.0.take().filter(|_| !std::thread::panicking()) {
            std::panic::set_hook(previous);
        }
    }
}
