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
use crate::app::config::{Config, Interface, Origin};
use crate::app::control::{Control, Reports};
use crate::app::load::{Loaded, load, review};
use crate::app::wiring::place;
use crate::capture::block::Source;
use crate::capture::bpf::Filter;
use crate::capture::file;
use crate::capture::live::{LiveOptions, LiveSource};
use crate::capture::replay::Replay;
use crate::decode::Decoder;
use crate::flow::ChecksumPolicy;
use crate::format::{Context, InputName};
use crate::logs::log::Output;
use crate::output::stage::{Desk, DeskOptions};
use crate::output::writer::Pen;
use crate::pipeline::dispatcher::{Pump, random_keys};
use crate::pipeline::lanes::panic_message;
use crate::pipeline::message::Flags;
use crate::sensor::Sensor;
use crate::signature::Signatures;
use crate::stats::{DeskFigures, Figures};
use crate::sys::Signals;
use crate::sys::console::Voice;
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
    let voice = Voice::new(config.quiet);
    match prepare(&config, &voice) {
        Ok(prepared) => match &config.origin {
            Origin::Files(paths) => replay(&config, paths, prepared, voice),
            Origin::Interface(interface) => watch(&config, interface, prepared, &voice),
        },
        Err(exit) => exit,
    }
}

/// What both kinds of runs need.
struct Prepared {
    signatures: Arc<Signatures>,
    suppressions: Suppressions,
    filter: Option<Filter>,
    signals: Signals,
}

fn prepare(config: &Config, voice: &Voice) -> Result<Prepared, Exit> {
    let (signatures, suppressions) = load(&config.signatures, &config.suppress).map_err(|errors| {
        errors.iter().for_each(|error| voice.complain(error));
        Exit::Usage
    })?;
    let filter = config.filter.as_deref().map(Filter::new).transpose().map_err(|error| {
        voice.complain(&error.to_string());
        Exit::Usage
    })?;
    let signals = Signals::install().map_err(|error| {
        voice.complain(&format!("signals cannot be handled: {error}"));
        Exit::Input
    })?;
    review(&suppressions, &signatures).iter().for_each(|line| voice.say(line));
    // The program ends with the run; to take all signatures apart first takes longer than a small capture.
    std::mem::forget(Arc::clone(&signatures));
    Ok(Prepared { signatures, suppressions, filter, signals })
}

fn replay(config: &Config, paths: &[PathBuf], prepared: Prepared, mut voice: Voice) -> Exit {
    let expanded = file::expand(paths);
    let size = expanded.iter().filter_map(|input| input.as_ref().ok()?.size).sum();
    voice.show_progress(size);
    let mut source = Replay::new(expanded, config.block, prepared.filter, voice.clone());
    if source.inputs().is_empty() {
        return Exit::Input;
    }
    let names = source.inputs().iter().map(|input| InputName::File(PathBuf::from(&input.name))).collect();
    let control = Control::new(config, prepared.signals, voice.clone(), prepared.signatures.len());
    let loaded = (prepared.signatures, prepared.suppressions);
    let Some(result) = conduct(config, &mut source, names, loaded, control, None) else {
        return Exit::Input;
    };
    voice.end_progress();
    close(config, &result, source.had_errors() || result.fault, &voice)
}

fn watch(config: &Config, interface: &Interface, prepared: Prepared, voice: &Voice) -> Exit {
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
            voice.complain(&error.to_string());
            return if error.exit_code() == 2 { Exit::Usage } else { Exit::Input };
        }
    };
    let description = source.description().to_string();
    description.lines().for_each(|line| voice.say(line));
    voice.say(&format!("{} signatures loaded", prepared.signatures.len()));
    let control = Control::new(config, prepared.signals, voice.clone(), prepared.signatures.len());
    let loaded = (prepared.signatures, prepared.suppressions);
    let names = vec![InputName::Interface(interface.name.clone())];
    let started = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let started = Timestamp::ZERO.after(started);
    let result = conduct(config, &mut source, names, loaded, control, Some(started));
    let Some(result) = result else { return Exit::Input };
    if result.output_gone && !result.fault {
        voice.complain("standard output: nobody reads it any more, so the run ends");
    }
    close(config, &result, result.fault || result.output_gone, voice)
}

/// What a run left.
struct Conducted {
    figures: Figures,
    /// How often the entries of suppress files held, a line each.
    hidden: Vec<String>,
    /// The source failed as a whole, or a part of the sensor broke.
    fault: bool,
    output_gone: bool,
}

/// Wires source, pump, lanes and desk, and runs them.
fn conduct<S: Source + Reports>(
    config: &Config,
    source: &mut S,
    names: Vec<InputName>,
    (signatures, suppressions): Loaded,
    mut control: Control,
    live_since: Option<Timestamp>,
) -> Option<Conducted> {
    let voice = control.voice.clone();
    let broke = |voice: &Voice, what: &str| {
        voice.complain(&format!(
            "internal error, the run ends: {what} (please report this, with the capture if you can)"
        ));
    };
    let opened = live_since.unwrap_or_default();
    let output = match &config.directory {
        None => Output::stdout(config.format),
        Some(directory) => Output::directory(config.format, directory, opened),
    };
    let mut output = output.inspect_err(|error| voice.complain(error)).ok()?;
    let flags = Arc::new(Flags::default());
    let live = live_since.is_some();
    if live {
        output.never_wait();
    }
    let options = DeskOptions {
        lanes: config.lanes.max(1),
        live,
        silence: config.silence,
        stats: config.events.stats,
        counters_file: config.counters_file.clone(),
    };
    let pen = Pen {
        format: config.format,
        context: Context {
            sensor_name: config.sensor_name.clone(),
            inputs: names,
            one_stream: !output.is_directory(),
            redact: config.redact,
        },
        alerts: config.events.alert,
        output,
        voice: voice.clone(),
        flags: Arc::clone(&flags),
        figures: DeskFigures::default(),
    };
    let screen = AlertFilter::new(context::Context::new(random_keys(), config.context), suppressions, config.dry_run);
    control.renewal = Arc::clone(&screen.renewal);
    let desk = Desk::new(options, AlertPipeline::new(&config.row, screen, random_keys()), pen);
    let _hush = Hush::begin();
    let sensor = || Sensor::new(config.sensor.clone(), random_keys());
    let (desk, lanes) = match place(config.lanes, live, desk, sensor) {
        Ok(placed) => placed,
        Err(error) => {
            voice.complain(&format!("threads cannot be started: {error} (try --lanes 0)"));
            return None;
        }
    };
    let mut decode = config.decode;
    decode.verify_ip_checksum = config.sensor.flow.checksums != ChecksumPolicy::None;
    let mut pump = Pump::new(Decoder::new(decode, random_keys()), lanes, signatures, Arc::clone(&flags));
    pump.ports = config.sensor.ports.clone();
    pump.continuous = config.continuous;
    pump.count = config.count;
    pump.panic_at = config.panic_at;
    pump.live = live;
    if let Some(since) = live_since {
        pump.hide_shards();
        pump.clock.tick(since);
    }
    control.desk = Some(desk);
    let ran = catch_unwind(AssertUnwindSafe(|| pump.run(source, &mut control)));
    let closed = catch_unwind(AssertUnwindSafe(|| pump.finish(source, &mut control)));
    let mut fault = !matches!((&ran, &closed), (Ok(Ok(())), Ok(())));
    match (&ran, &closed) {
        (Err(panic), _) | (Ok(_), Err(panic)) => broke(&voice, panic_message(&**panic)),
        (Ok(Err(error)), Ok(())) => voice.complain(&error.to_string()),
        (Ok(Ok(())), Ok(())) => {}
    }
    pump.lanes.stop();
    let mut desk = match control.desk.take()?.end() {
        Ok(Some(desk)) => desk,
        Ok(None) => {
            voice.complain("the output hangs: what was not written yet is lost");
            return Some(Conducted { figures: Figures::default(), hidden: Vec::new(), fault: true, output_gone: true });
        }
        Err(what) => {
            broke(&voice, &what);
            return Some(Conducted {
                figures: Figures::default(),
                hidden: Vec::new(),
                fault: true,
                output_gone: false,
            });
        }
    };
    if let Some(what) = &desk.fault {
        broke(&voice, what);
        fault = true;
    }
    let hidden = desk.row.screen.report();
    Some(Conducted { figures: desk.figures, hidden, fault, output_gone: flags.closed.load(Ordering::Relaxed) })
}

/// Says the figures and chooses the exit code.
fn close(config: &Config, result: &Conducted, input_fault: bool, voice: &Voice) -> Exit {
    // Of a run that read nothing there are no figures, only what was said of its inputs.
    let nothing_read = !config.is_live() && result.figures.pump.replay.files == 0;
    if !result.output_gone && !nothing_read {
        result.figures.summary().iter().for_each(|line| voice.say(line));
        if config.verbose > 0 {
            result.figures.each(&mut |name, value| {
                if value > 0 {
                    voice.say(&format!("{name} {value}"));
                }
            });
        }
    }
    if config.dry_run || config.verbose > 0 {
        result.hidden.iter().for_each(|line| voice.say(line));
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
struct Hush(Option<PanicHook>);

type PanicHook = Box<dyn Fn(&std::panic::PanicHookInfo<'_>) + Send + Sync>;

impl Hush {
    fn begin() -> Self {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        Self(Some(usual))
    }
}

impl Drop for Hush {
    fn drop(&mut self) {
        if let Some(usual) = self.0.take().filter(|_| !std::thread::panicking()) {
            std::panic::set_hook(usual);
        }
    }
}
