//! The command line: its grammar, and how arguments become a [`Config`]. Does not run anything; see
//! [`smsentry::app::run`].

pub(crate) mod signatures;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};
use clap_complete::Shell;
use ipnet::IpNet;

use smsentry::app::config::{CaptureInput, Config, Events, Interface, SignatureFiles};
use smsentry::app::limits::{self, LIMITS};
use smsentry::capture::filter_file::read_expression;
use smsentry::capture::live;
use smsentry::flow::{ChecksumPolicy, OverlapPolicy, SHARDS};
use smsentry::format::Format;
use smsentry::pipeline::spare_cores;
use smsentry::sensor::Ports;
use smsentry::sys;

/// The command that the arguments request.
pub(crate) enum Command {
    /// Run the sensor.
    Run(Box<Config>),
    /// Check signatures, suppress files and filter, and print the counts.
    Check(Box<Config>),
    /// Run a subcommand of `smsentry signatures`.
    Signatures(signatures::SignaturesCommand),
    /// List the network interfaces.
    ListInterfaces,
    /// Print a shell completion script.
    Completions(Shell),
}

/// The reason why there is no command to run.
pub(crate) enum EarlyExit {
    /// Help or the version was requested: print this text and exit successfully.
    Information(String),
    /// The command line is wrong: one line with the reason.
    UsageError(String),
}

/// Detects probes for SMS gateways, SMS APIs and the credentials that send SMS in network traffic, and reports how the
/// server responded
#[derive(Debug, Parser)]
#[command(name = "smsentry", version, after_help = EXAMPLES, max_term_width = 110,
          override_usage = "smsentry [OPTIONS] [FILTER]...\n       smsentry signatures <COMMAND>")]
struct Arguments {
    /// Replay a capture file, a directory of captures, or - for standard input
    ///
    /// Reads pcap, pcapng and snoop, plain or compressed with gzip, zstd, xz, bzip2 or lz4. The captures of a directory
    /// and of those below it are read in the order of their first packets; hidden files are left out. May be given more
    /// than once.
    #[arg(short = 'r', long = "read", value_name = "PATH", help_heading = "Input")]
    read: Vec<PathBuf>,
    /// Capture live from an interface; 'any' captures from all interfaces
    #[arg(short = 'i', long, value_name = "IFACE", conflicts_with = "read", help_heading = "Input")]
    interface: Option<String>,
    /// Process only packets that match this BPF filter
    ///
    /// The syntax is that of tcpdump: see pcap-filter(7). Several words are joined with blanks, so quotes are needed
    /// only for characters that are special to the shell. VLAN-tagged packets that match pass too, unless the filter
    /// mentions VLANs.
    #[arg(value_name = "FILTER", help_heading = "Input")]
    filter_words: Vec<String>,
    /// Process only packets that match this BPF filter, given as one argument
    #[arg(short = 'f', long = "filter", value_name = "EXPR", help_heading = "Input")]
    filter: Option<String>,
    /// Read the BPF filter from a file; # begins a comment
    #[arg(short = 'F', long = "filter-file", value_name = "FILE", help_heading = "Input")]
    filter_file: Option<PathBuf>,
    /// Stop after N packets that pass the filter
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Input")]
    count: Option<u64>,
    /// Treat all files as one capture, whatever their timestamps
    ///
    /// Without this flag, a file continues the one before it only if it begins between 1 second before and 60 seconds
    /// after the last packet of that file.
    #[arg(long, help_heading = "Input")]
    continuous: bool,
    /// Read on when a file grows, and read new files of a directory, until a signal ends the run
    ///
    /// For files that another program is writing, such as the ring of tcpdump -C -W or dumpcap -b: files that are
    /// overwritten are read again. Implies --continuous.
    #[arg(long, conflicts_with = "interface", help_heading = "Input")]
    follow: bool,
    /// Live: size of the kernel's ring buffer in MiB
    #[arg(short = 'B', long = "ring", value_name = "MIB", default_value_t = 64, help_heading = "Input",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(live::MAX_RING_MIB)))]
    ring_mib: u32,
    /// Live: do not put the interface into promiscuous mode
    #[arg(short = 'p', long = "no-promiscuous", help_heading = "Input")]
    no_promiscuous: bool,
    /// Live: capture at most N bytes of each frame
    #[arg(long, value_name = "N", default_value_t = live::LiveOptions::MAX_SNAPLEN, help_heading = "Input",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(live::LiveOptions::MAX_SNAPLEN)))]
    snaplen: u32,
    /// List the network interfaces and exit
    #[arg(short = 'D', long = "list-interfaces", help_heading = "Input")]
    list_interfaces: bool,

    /// Append to log files in this directory instead of writing to standard output
    ///
    /// The files are eve.json, or Zeek's notice.log and http.log.
    #[arg(short = 'l', long = "log-dir", value_name = "DIR", help_heading = "Output")]
    directory: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value = "eve", help_heading = "Output")]
    format: FormatName,
    /// Record types to write, separated by commas: alert, http (one per request), stats
    ///
    /// Live capture with --format eve always writes stats as well; Zeek's formats have no stats.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "alert", help_heading = "Output",
          value_parser = PossibleValuesParser::new(["alert", "http", "stats"]))]
    events: Vec<String>,
    /// Live: seconds between stats records
    #[arg(long, value_name = "SECS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..),
          help_heading = "Output")]
    stats_interval: u64,
    /// Write all counters to a file, as one JSON object
    ///
    /// The file is written at the end of the run, on SIGUSR1 and with each stats record.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    counters: Option<PathBuf>,
    /// Name of the sensor in each record [default: the host name when live, none in replay]
    #[arg(long, value_name = "NAME", help_heading = "Output")]
    sensor_name: Option<String>,
    /// Replace secrets in URLs with REDACTED
    ///
    /// Secrets are the values of password-, key- and token-like parameters, phone numbers, message texts, and passwords
    /// before a host name.
    #[arg(long, help_heading = "Output")]
    redact: bool,
    /// Print only errors to standard error
    #[arg(short = 'q', long, help_heading = "Output")]
    quiet: bool,
    /// Print every counter that is not zero, at the end of the run
    #[arg(short = 'v', long, action = clap::ArgAction::Count, help_heading = "Output")]
    verbose: u8,

    /// Server ports that carry HTTP: numbers and ranges (80,8080,9000-9100), or 'any'
    ///
    /// With 'any', HTTP is recognised on every port by its first bytes; a flow that begins otherwise in both directions is
    /// passed over.
    #[arg(long, value_name = "PORTS", default_value = "any", value_parser = parse_ports, help_heading = "Detection")]
    ports: Ports,
    /// Load signatures from a file, in addition to the built-in ones
    ///
    /// May be given more than once.
    #[arg(short = 's', long = "signatures", value_name = "FILE", help_heading = "Detection")]
    add_signatures: Vec<PathBuf>,
    /// Load signatures from a file, instead of the built-in ones
    ///
    /// May be given more than once.
    #[arg(short = 'S', long = "only-signatures", value_name = "FILE", help_heading = "Detection")]
    only_signatures: Vec<PathBuf>,
    /// Suppress the alerts that match an entry of this file
    ///
    /// The file has [[suppress]] and [[allow]] entries. An alert that matches a [[suppress]] entry still counts in its
    /// source's campaign; one that matches an [[allow]] entry is legitimate use and does not. May be given more than
    /// once.
    #[arg(long, value_name = "FILE", help_heading = "Detection")]
    suppress: Vec<PathBuf>,
    /// Suppress nothing, but report what --suppress would have suppressed
    ///
    /// Each of these alerts names the entry that matches it. All entries are listed with their counts at the end of the
    /// run.
    #[arg(long, requires = "suppress", help_heading = "Detection")]
    dry_run: bool,
    /// Check signatures, suppress files and filter, print the counts and exit
    #[arg(short = 'T', long = "test", help_heading = "Detection")]
    test: bool,
    /// Seconds that an alert waits for the server's response; 0 writes the alert at the request
    #[arg(long, value_name = "SECS", default_value_t = 10.0, value_parser = parse_seconds,
          allow_negative_numbers = true, help_heading = "Detection")]
    outcome_timeout: f64,
    /// Write at most one alert per minute for the same signature, source, server and outcome
    ///
    /// The number of requests that such an alert represents is in its smsentry_hits. Alerts with the outcome exposed
    /// are never held back.
    #[arg(long, help_heading = "Detection")]
    limit: bool,
    /// Trust the X-Forwarded-For header of proxies in this network
    ///
    /// Takes a network (10.0.0.0/8) or an address, or several separated by commas. May be given more than once.
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = parse_network, help_heading = "Detection")]
    trusted_proxy: Vec<IpNet>,

    /// Treatment of packets with a wrong checksum
    #[arg(short = 'k', long = "checksums", value_enum, default_value = "auto", help_heading = "Packets and flows")]
    checksums: ChecksumName,
    /// Which copy of overlapping TCP data to use: that of an operating system, the first or the last
    #[arg(long, value_name = "POLICY", default_value = "linux", help_heading = "Packets and flows",
          value_parser = PossibleValuesParser::new(OverlapPolicy::NAMES.map(|(name, _)| name)))]
    overlap_policy: String,
    /// Keep flows in different VLANs apart, for tenants that share addresses
    #[arg(long, help_heading = "Packets and flows")]
    vlan_tracking: bool,
    /// Keep packets that a SPAN port duplicated
    #[arg(long, help_heading = "Packets and flows")]
    no_dedup: bool,
    /// Number of threads that process flows; 0 processes them on the thread that reads packets [default: 0 in replay,
    /// cores - 1 when live]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=SHARDS as i64),
          help_heading = "Packets and flows")]
    lanes: Option<u8>,
    /// Set a limit; '--set help' lists all limits
    #[arg(long = "set", value_name = "NAME=VALUE", help_heading = "Packets and flows")]
    limits: Vec<String>,

    /// Exit with code 3 if there was an alert of this severity or a more severe one
    ///
    /// Severities are 1 (most severe) to 3. Without a value, every alert counts.
    #[arg(long, value_name = "SEVERITY", num_args = 0..=1, require_equals = true, default_missing_value = "3",
          value_parser = clap::value_parser!(u8).range(1..=3), help_heading = "Exit code")]
    fail_on_alert: Option<u8>,
    /// Exit with code 4 if more than P percent of the packets were lost
    #[arg(long, value_name = "P", value_parser = parse_percent, allow_negative_numbers = true,
          help_heading = "Exit code")]
    max_drop_percent: Option<f64>,
    /// Print a shell completion script and exit
    #[arg(long, value_name = "SHELL", value_enum)]
    completions: Option<Shell>,
}

const EXAMPLES: &str = "\
Examples:
  smsentry -r capture.pcap                      write the alerts of a capture to standard output
  smsentry -r captures/ -l logs --events alert,http
  smsentry -i eth1 -l /var/log/smsentry         capture live
  smsentry -r big.pcapng.zst 'net 192.0.2.0/24' process the packets of one network
  smsentry -T -s mine.toml                      check a signature file
  smsentry signatures --help                    list, check, explain and export signatures

Exit codes, the first that applies:
  2  wrong usage, signatures or filter
  3  alerts, with --fail-on-alert
  1  an input could not be read to its end, or the output could not be written
  4  losses, with --max-drop-percent
  0  finished";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatName {
    /// Suricata EVE JSON
    Eve,
    /// Zeek logs as JSON
    ZeekJson,
    /// Zeek logs as tab-separated values; requires --log-dir
    ZeekTsv,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ChecksumName {
    /// Drop what a server would drop, but accept packets captured before the network card filled in the checksum
    Auto,
    /// Accept every packet
    None,
    /// Drop every packet with a wrong IPv4 header checksum, and every segment to the server with a wrong TCP checksum
    All,
}

/// Parses the command line.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, EarlyExit> {
    let early_exit = |error: clap::Error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => EarlyExit::Information(error.render().to_string()),
        _ => EarlyExit::UsageError(one_line(&error)),
    };
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // Not ambiguous: no BPF filter begins with this word.
    if arguments.get(1).is_some_and(|word| word == "signatures") {
        let command = signatures::parse(arguments.into_iter().skip(1)).map_err(early_exit)?;
        return Ok(Command::Signatures(command));
    }
    let arguments = Arguments::try_parse_from(arguments).map_err(early_exit)?;
    if let Some(shell) = arguments.completions {
        return Ok(Command::Completions(shell));
    }
    if arguments.list_interfaces {
        return Ok(Command::ListInterfaces);
    }
    if arguments.limits.iter().any(|limit| limit == "help") {
        return Err(EarlyExit::Information(limits_help()));
    }
    let test = arguments.test;
    let config = Box::new(config(arguments).map_err(EarlyExit::UsageError)?);
    Ok(if test { Command::Check(config) } else { Command::Run(config) })
}

/// Prints a shell's completion script to standard output.
pub(crate) fn print_completions(shell: Shell) {
    let mut script = Vec::new();
    let mut grammar = Arguments::command().subcommand(signatures::grammar());
    clap_complete::generate(shell, &mut grammar, "smsentry", &mut script);
    // A closed pipe is not an error.
    let _ = std::io::stdout().write_all(&script);
}

/// Returns the first paragraph of a clap error as one line.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let lines: Vec<&str> = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    let cause = lines.join(" ");
    format!("{} (see smsentry --help)", cause.strip_prefix("error: ").unwrap_or(&cause))
}

/// Converts the arguments to a configuration.
fn config(arguments: Arguments) -> Result<Config, String> {
    // Checked first: a file without -r would otherwise be reported as a missing input.
    let filter = filter(&arguments)?;
    let mut config = Config::new(capture_input(&arguments)?);
    let live = config.is_live();
    config.filter = filter;
    config.format = match arguments.format {
        FormatName::Eve => Format::Eve,
        FormatName::ZeekJson => Format::ZeekJson,
        FormatName::ZeekTsv => Format::ZeekTsv,
    };
    if config.format == Format::ZeekTsv && arguments.directory.is_none() {
        return Err("--format zeek-tsv writes two files (give a directory with -l DIR, or use zeek-json)".to_owned());
    }
    config.directory = arguments.directory;
    let selected = |name: &str| arguments.events.iter().any(|event| event == name);
    config.events = Events { alert: selected("alert"), http: selected("http"), stats: selected("stats") || live };
    config.stats_interval = Duration::from_secs(arguments.stats_interval);
    config.counters_file = arguments.counters;
    config.sensor_name = arguments.sensor_name.or_else(|| if live { sys::host_name() } else { None });
    config.redact = arguments.redact;
    (config.quiet, config.verbose) = (arguments.quiet, arguments.verbose);
    config.signatures = SignatureFiles { add: arguments.add_signatures, only: arguments.only_signatures };
    (config.suppress, config.dry_run) = (arguments.suppress, arguments.dry_run);
    config.lanes = arguments.lanes.map_or_else(|| if live { spare_cores() } else { 0 }, usize::from);
    (config.continuous, config.follow) = (arguments.continuous || arguments.follow, arguments.follow);
    config.count = arguments.count;
    config.alert_pipeline.merge_repeats = arguments.limit;
    config.decode.vlan_tracking = arguments.vlan_tracking;
    let sensor = &mut config.sensor;
    sensor.ports = arguments.ports;
    sensor.http_events = config.events.http;
    sensor.outcome_timeout = Duration::from_secs_f64(arguments.outcome_timeout);
    config.alert_pipeline.campaign.grace = sensor.outcome_timeout;
    sensor.trusted_proxies = arguments.trusted_proxy;
    sensor.flow.checksums = match arguments.checksums {
        ChecksumName::Auto => ChecksumPolicy::Auto,
        ChecksumName::None => ChecksumPolicy::None,
        ChecksumName::All => ChecksumPolicy::All,
    };
    let policy = OverlapPolicy::NAMES.iter().find(|(name, _)| *name == arguments.overlap_policy);
    sensor.flow.overlap = policy.map_or_else(OverlapPolicy::default, |&(_, policy)| policy);
    sensor.flow.keep_duplicates = arguments.no_dedup;
    for limit in &arguments.limits {
        let (name, value) = limit
            .split_once('=')
            .ok_or_else(|| format!("--set {limit}: not of the form NAME=VALUE (--set help lists all limits)"))?;
        limits::set(&mut config, name, value).map_err(|error| error.to_string())?;
    }
    config.fail_on_alert = arguments.fail_on_alert;
    config.max_drop_percent = arguments.max_drop_percent;
    Ok(config)
}

/// Returns the capture source. With `-T` it may be empty.
fn capture_input(arguments: &Arguments) -> Result<CaptureInput, String> {
    match (&arguments.interface, arguments.read.is_empty()) {
        (Some(name), _) => Ok(CaptureInput::Interface(Interface {
            name: name.clone(),
            ring_mib: arguments.ring_mib,
            promiscuous: !arguments.no_promiscuous,
            snaplen: arguments.snaplen,
        })),
        (None, _) if arguments.follow && arguments.read.iter().any(|path| path.as_os_str() == "-") => {
            Err("standard input is read until its writer ends it (leave out --follow)".into())
        }
        (None, true) if !arguments.test => {
            Err("nothing to read (give -r FILE for a capture file or -i IFACE for live capture; see smsentry --help)"
                .into())
        }
        _ => Ok(CaptureInput::Files(arguments.read.clone())),
    }
}

/// Returns the filter: trailing words, `-f` or the content of the `-F` file.
fn filter(arguments: &Arguments) -> Result<Option<String>, String> {
    let words = &arguments.filter_words;
    if let Some(file) = words.iter().find(|word| Path::new(word).is_file()) {
        return Err(format!("{file}: is a file, but a filter is expected here (to read the file, give -r {file})"));
    }
    let given = [!words.is_empty(), arguments.filter.is_some(), arguments.filter_file.is_some()];
    if given.into_iter().filter(|&given| given).count() > 1 {
        return Err("the filter is given more than once (use one of: trailing words, -f, -F)".to_owned());
    }
    if let Some(path) = &arguments.filter_file {
        return read_expression(path).map(Some).map_err(|error| error.to_string());
    }
    Ok(arguments.filter.clone().or_else(|| (!words.is_empty()).then(|| words.join(" "))))
}

fn parse_ports(text: &str) -> Result<Ports, String> {
    if text == "any" {
        return Ok(Ports::Any);
    }
    let port = |text: &str| match text.trim().parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("'{text}' is not a port; use numbers from 1 to 65535, ranges like 9000-9100, or 'any'")),
    };
    let range = |text: &str| {
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        let (from, to) = (port(from)?, port(to)?);
        if from <= to { Ok((from, to)) } else { Err(format!("the range {text} ends before it begins")) }
    };
    text.split(',').map(range).collect::<Result<_, _>>().map(Ports::Ranges)
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected a number of seconds from 0 to 86400".to_owned()),
    }
}

fn parse_percent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("expected a percentage from 0 to 100".to_owned()),
    }
}

/// Parses a network or a single address.
fn parse_network(text: &str) -> Result<IpNet, String> {
    text.parse()
        .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from))
        .map_err(|_| "expected a network such as 10.0.0.0/8, or an address".to_owned())
}

fn limits_help() -> String {
    let mut text = "Limits for --set NAME=VALUE:\n".to_owned();
    for (name, meaning) in LIMITS {
        text.push_str(&format!("  {name:<28} {meaning}\n"));
    }
    text
}

/// Formats a count with its noun: `1 signature`, `2 signatures`.
pub(crate) fn counted(count: usize, singular: &str, plural: &str) -> String {
    format!("{count} {}", if count == 1 { singular } else { plural })
}
