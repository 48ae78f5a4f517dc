//! The command line: its grammar, and how it becomes a [`Config`]. Not what a run does with it.

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
use smsentry::capture::bpf::read_expression;
use smsentry::capture::live;
use smsentry::flow::{ChecksumPolicy, OverlapPolicy, SHARDS};
use smsentry::format::Format;
use smsentry::pipeline::spare_cores;
use smsentry::sensor::Ports;
use smsentry::sys;

/// What the process shall do.
pub(crate) enum Command {
    /// Run the sensor.
    Run(Box<Config>),
    /// Check signatures (and the filter), say the counts.
    Check(Box<Config>),
    /// Look at signatures.
    Signatures(signatures::Request),
    /// List the interfaces.
    ListInterfaces,
    /// Print a completion script.
    Completions(Shell),
}

/// Why there is nothing to do.
pub(crate) enum Refusal {
    /// Help or version was asked for: print it and finish.
    Information(String),
    /// The command line is wrong: one line that says how.
    Usage(String),
}

/// Tells that somebody looks for SMS gateways, SMS APIs or the credentials that send SMS, and whether they found them.
#[derive(Debug, Parser)]
#[command(name = "smsentry", version, after_help = EXAMPLES, max_term_width = 110)]
struct Arguments {
    /// Replay a capture: a file, a directory (its captures in name order) or - for standard input; pcap or pcapng,
    /// plain, gzip or zstd. May be repeated
    #[arg(short = 'r', long = "read", value_name = "PATH", help_heading = "Input")]
    read: Vec<PathBuf>,
    /// Capture from an interface; `any` for all
    #[arg(short = 'i', long, value_name = "IFACE", conflicts_with = "read", help_heading = "Input")]
    interface: Option<String>,
    /// A filter in libpcap's language (see pcap-filter(7)); VLAN-tagged traffic is looked at too
    #[arg(value_name = "FILTER", help_heading = "Input")]
    filter_words: Vec<String>,
    /// The filter as one argument
    #[arg(short = 'f', long = "filter", value_name = "EXPR", help_heading = "Input")]
    filter: Option<String>,
    /// The filter from a file; # begins a comment
    #[arg(short = 'F', long = "filter-file", value_name = "FILE", help_heading = "Input")]
    filter_file: Option<PathBuf>,
    /// Stop after so many packets that pass the filter
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Input")]
    count: Option<u64>,
    /// Take all files as one capture, whatever their times
    #[arg(long, help_heading = "Input")]
    continuous: bool,
    /// Live: size of the kernel's ring in MiB
    #[arg(short = 'B', long = "ring", value_name = "MIB", default_value_t = 64, help_heading = "Input",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(live::MAX_RING_MIB)))]
    ring_mib: u32,
    /// Live: do not ask for frames to other stations (no promiscuous mode)
    #[arg(short = 'p', long = "no-promiscuous", help_heading = "Input")]
    no_promiscuous: bool,
    /// Live: bytes kept of each frame
    #[arg(long, value_name = "N", default_value_t = live::LiveOptions::MAX_SNAPLEN, help_heading = "Input",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(live::LiveOptions::MAX_SNAPLEN)))]
    snaplen: u32,
    /// List the interfaces and finish
    #[arg(short = 'D', long = "list-interfaces", help_heading = "Input")]
    list_interfaces: bool,

    /// Write logs into this directory (eve.json, or Zeek's notice.log and http.log), appending; without it NDJSON goes
    /// to standard output
    #[arg(short = 'l', long = "log-dir", value_name = "DIR", help_heading = "Output")]
    directory: Option<PathBuf>,
    /// Format of the records
    #[arg(long, value_enum, default_value = "eve", help_heading = "Output")]
    format: FormatName,
    /// What is told of: alert, http (every request), stats; live adds stats
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "alert", help_heading = "Output",
          value_parser = PossibleValuesParser::new(["alert", "http", "stats"]))]
    events: Vec<String>,
    /// Live: seconds between stats records
    #[arg(long, value_name = "SECS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..),
          help_heading = "Output")]
    stats_interval: u64,
    /// Write all counters as one JSON object: at the end, on SIGUSR1 and with each stats record
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    counters: Option<PathBuf>,
    /// The sensor's name in the records [default: the host's name live, none in replay]
    #[arg(long, value_name = "NAME", help_heading = "Output")]
    sensor_name: Option<String>,
    /// Write REDACTED for the values of password-, key- and token-like parameters in URLs, for phone numbers and texts
    /// of messages, and for passwords before a host
    #[arg(long, help_heading = "Output")]
    redact: bool,
    /// Say errors only
    #[arg(short = 'q', long, help_heading = "Output")]
    quiet: bool,
    /// Say every counter that moved when the run ends
    #[arg(short = 'v', long, action = clap::ArgAction::Count, help_heading = "Output")]
    verbose: u8,

    /// Server ports taken for HTTP: numbers and ranges (80,8080,9000-9100), or `any` to know HTTP by its first bytes
    #[arg(long, value_name = "PORTS", default_value = "80", value_parser = parse_ports, help_heading = "Detection")]
    ports: Ports,
    /// Load signatures in addition to the built-in ones. May be repeated
    #[arg(short = 's', long = "signatures", value_name = "FILE", help_heading = "Detection")]
    add_signatures: Vec<PathBuf>,
    /// Load signatures instead of the built-in ones. May be repeated
    #[arg(short = 'S', long = "only-signatures", value_name = "FILE", help_heading = "Detection")]
    only_signatures: Vec<PathBuf>,
    /// What not to tell: a file of [[suppress]] and [[allow]] entries. May be repeated
    #[arg(long, value_name = "FILE", help_heading = "Detection")]
    suppress: Vec<PathBuf>,
    /// Hide nothing, but say in each alert and at the end what --suppress would have hidden
    #[arg(long, requires = "suppress", help_heading = "Detection")]
    dry_run: bool,
    /// Check signatures, suppress files and filter, say the counts and finish
    #[arg(short = 'T', long = "test", help_heading = "Detection")]
    test: bool,
    /// Seconds an alert waits for the server's answer; 0: none
    #[arg(long, value_name = "SECS", default_value_t = 10.0, value_parser = parse_seconds,
          allow_negative_numbers = true, help_heading = "Detection")]
    outcome_timeout: f64,
    /// Tell repeats of a signature, source, server and outcome together, once a minute; what proves `exposed` at once
    #[arg(long, help_heading = "Detection")]
    limit: bool,
    /// Networks of proxies whose X-Forwarded-For is believed. May be repeated
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = parse_network, help_heading = "Detection")]
    trusted_proxy: Vec<IpNet>,

    /// Checksums: auto drops what a server would drop, none looks at none, all drops every wrong one
    #[arg(short = 'k', long = "checksums", value_enum, default_value = "auto", help_heading = "Wire")]
    checksums: ChecksumName,
    /// Whose answer to overlapping segments is imitated
    #[arg(long, value_name = "POLICY", default_value = "linux", help_heading = "Wire",
          value_parser = PossibleValuesParser::new(OverlapPolicy::NAMES.map(|(name, _)| name)))]
    overlap_policy: String,
    /// Keep flows in different VLANs apart (tenants that share addresses)
    #[arg(long, help_heading = "Wire")]
    vlan_tracking: bool,
    /// Keep copies of packets that a SPAN port made
    #[arg(long, help_heading = "Wire")]
    no_dedup: bool,
    /// Threads that handle flows; 0: all in one [default: 0 in replay, cores - 1 live]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=SHARDS as i64),
          help_heading = "Wire")]
    lanes: Option<u8>,
    /// Set a limit; `--set help` lists them
    #[arg(long = "set", value_name = "NAME=VALUE", help_heading = "Wire")]
    limits: Vec<String>,

    /// Exit with 3 if there were alerts of this severity or worse (1 to 3)
    #[arg(long, value_name = "SEVERITY", num_args = 0..=1, require_equals = true, default_missing_value = "3",
          value_parser = clap::value_parser!(u8).range(1..=3), help_heading = "Exit code")]
    fail_on_alert: Option<u8>,
    /// Exit with 4 if more than this share of the packets was lost
    #[arg(long, value_name = "P", value_parser = parse_percent, allow_negative_numbers = true, help_heading = "Exit code")]
    max_drop_percent: Option<f64>,
    /// Print a completion script for a shell
    #[arg(long, value_name = "SHELL", value_enum)]
    completions: Option<Shell>,
}

const EXAMPLES: &str = "\
Examples:
  smsentry -r capture.pcap                      alerts of a capture on standard output
  smsentry -r captures/ -l logs --events alert,http
  smsentry -i eth1 -l /var/log/smsentry         live
  smsentry -r big.pcapng.zst 'net 192.0.2.0/24' only this network
  smsentry -T -s mine.toml                      check a file of signatures
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
    /// Zeek logs as TSV (needs -l)
    ZeekTsv,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ChecksumName {
    Auto,
    None,
    All,
}

/// Reads the command line.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, Refusal> {
    let refuse = |error: clap::Error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Refusal::Information(error.render().to_string()),
        _ => Refusal::Usage(one_line(&error)),
    };
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // No filter begins so.
    if arguments.get(1).is_some_and(|word| word == "signatures") {
        let request = signatures::parse(arguments.into_iter().skip(1)).map_err(refuse)?;
        return Ok(Command::Signatures(request));
    }
    let arguments = Arguments::try_parse_from(arguments).map_err(refuse)?;
    if let Some(shell) = arguments.completions {
        return Ok(Command::Completions(shell));
    }
    if arguments.list_interfaces {
        return Ok(Command::ListInterfaces);
    }
    if arguments.limits.iter().any(|limit| limit == "help") {
        return Err(Refusal::Information(limits_help()));
    }
    let test = arguments.test;
    let config = Box::new(config(arguments).map_err(Refusal::Usage)?);
    Ok(if test { Command::Check(config) } else { Command::Run(config) })
}

/// Writes the completion script of a shell to standard output.
pub(crate) fn print_completions(shell: Shell) {
    let mut script = Vec::new();
    let mut grammar = Arguments::command().subcommand(signatures::grammar());
    clap_complete::generate(shell, &mut grammar, "smsentry", &mut script);
    // A closed pipe is no reason to complain.
    let _ = std::io::stdout().write_all(&script);
}

/// What clap has to say, without its layout.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let first: Vec<&str> = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    let what = first.join(" ");
    format!("{} (see smsentry --help)", what.strip_prefix("error: ").unwrap_or(&what))
}

fn config(arguments: Arguments) -> Result<Config, String> {
    // First, since a file without -r looks like a filter without an input.
    let filter = filter(&arguments)?;
    let mut config = Config::new(origin(&arguments)?);
    let live = config.is_live();
    config.filter = filter;
    config.format = match arguments.format {
        FormatName::Eve => Format::Eve,
        FormatName::ZeekJson => Format::ZeekJson,
        FormatName::ZeekTsv => Format::ZeekTsv,
    };
    if config.format == Format::ZeekTsv && arguments.directory.is_none() {
        return Err("--format zeek-tsv makes two files: give -l DIR, or use zeek-json".to_owned());
    }
    config.directory = arguments.directory;
    let told = |name: &str| arguments.events.iter().any(|event| event == name);
    config.events = Events { alert: told("alert"), http: told("http"), stats: told("stats") || live };
    config.stats_interval = Duration::from_secs(arguments.stats_interval);
    config.counters_file = arguments.counters;
    config.sensor_name = arguments.sensor_name.or_else(|| if live { sys::host_name() } else { None });
    config.redact = arguments.redact;
    (config.quiet, config.verbose) = (arguments.quiet, arguments.verbose);
    config.signatures = SignatureFiles { add: arguments.add_signatures, only: arguments.only_signatures };
    (config.suppress, config.dry_run) = (arguments.suppress, arguments.dry_run);
    config.lanes = arguments.lanes.map_or_else(|| if live { spare_cores() } else { 0 }, usize::from);
    config.continuous = arguments.continuous;
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
        let (name, value) = limit.split_once('=').ok_or_else(|| format!("--set {limit}: give NAME=VALUE"))?;
        limits::set(&mut config, name, value)?;
    }
    config.fail_on_alert = arguments.fail_on_alert;
    config.max_drop_percent = arguments.max_drop_percent;
    Ok(config)
}

fn origin(arguments: &Arguments) -> Result<CaptureInput, String> {
    match (&arguments.interface, arguments.read.is_empty()) {
        (Some(name), _) => Ok(CaptureInput::Interface(Interface {
            name: name.clone(),
            ring_mib: arguments.ring_mib,
            promiscuous: !arguments.no_promiscuous,
            snaplen: arguments.snaplen,
        })),
        (None, true) if !arguments.test => {
            Err("nothing to read: give -r FILE for a capture or -i IFACE for an interface (see smsentry --help)".into())
        }
        _ => Ok(CaptureInput::Files(arguments.read.clone())),
    }
}

/// The filter, from wherever it was given.
fn filter(arguments: &Arguments) -> Result<Option<String>, String> {
    let words = &arguments.filter_words;
    if let Some(file) = words.iter().find(|word| Path::new(word).is_file()) {
        return Err(format!("{file}: is a file, but stands where a filter stands; give it as -r {file}"));
    }
    let given = [!words.is_empty(), arguments.filter.is_some(), arguments.filter_file.is_some()];
    if given.into_iter().filter(|&given| given).count() > 1 {
        return Err("the filter is given more than once: use trailing words, -f or -F".to_owned());
    }
    if let Some(path) = &arguments.filter_file {
        return read_expression(path).map(Some);
    }
    Ok(arguments.filter.clone().or_else(|| (!words.is_empty()).then(|| words.join(" "))))
}

fn parse_ports(text: &str) -> Result<Ports, String> {
    if text == "any" {
        return Ok(Ports::Any);
    }
    let port = |text: &str| match text.trim().parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("'{text}' is no port; give numbers from 1 to 65535, ranges like 9000-9100, or any")),
    };
    let range = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = (port(from)?, port(to)?);
        if from <= to { Ok((from, to)) } else { Err(format!("the range {part} ends before it begins")) }
    };
    text.split(',').map(range).collect::<Result<_, _>>().map(Ports::Ranges)
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("give seconds from 0 to 86400".to_owned()),
    }
}

fn parse_percent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("give percent from 0 to 100".to_owned()),
    }
}

/// A network, or a single address.
fn parse_network(text: &str) -> Result<IpNet, String> {
    text.parse()
        .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from))
        .map_err(|_| "give a network like 10.0.0.0/8 or an address".to_owned())
}

fn limits_help() -> String {
    let mut text = "Limits for --set NAME=VALUE:\n".to_owned();
    for (name, what) in LIMITS {
        text.push_str(&format!("  {name:<28} {what}\n"));
    }
    text
}
