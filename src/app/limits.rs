//! Maps the names that `--set` accepts to the limits of a run. Does not enforce limits; each module enforces its own.

use std::fmt;

use crate::app::config::Config;
use crate::flow::SHARDS;

/// All limits: the name, and the unit with what is limited.
pub const LIMITS: &[(&str, &str)] = &[
    ("flow.count", "flows"),
    ("flow.memory", "bytes for flows and their state"),
    ("flow.timeout.new", "seconds without a packet for a flow without data"),
    ("flow.timeout.established", "seconds without a packet for a flow with data"),
    ("flow.timeout.waiting", "seconds without a packet for a flow with an unanswered request"),
    ("flow.timeout.closing", "seconds after a reset or both FINs"),
    ("tcp.queued", "bytes of out-of-order segments"),
    ("tcp.queued_per_direction", "bytes of out-of-order segments in one direction"),
    ("tcp.segments_per_direction", "out-of-order segments in one direction"),
    ("tcp.syn_candidates", "sequence numbers of unanswered SYNs in one direction"),
    ("defrag.memory", "bytes of fragments"),
    ("defrag.datagrams", "datagrams in reassembly"),
    ("defrag.fragments", "fragments of a datagram"),
    ("defrag.timeout.ipv4", "seconds for the reassembly of an IPv4 datagram"),
    ("defrag.timeout.ipv6", "seconds for the reassembly of an IPv6 datagram"),
    ("decode.layers", "layers in a frame"),
    ("decode.tunnels", "tunnels in a frame"),
    ("decode.labels", "VLAN tags and MPLS labels in a frame"),
    ("decode.extensions", "IPv6 extension headers in a frame"),
    ("http.line", "bytes of a request line"),
    ("http.head", "bytes of a message head"),
    ("http.waiting", "pending requests of a flow"),
    ("alert.held", "bytes of pending transactions"),
    ("context.pages", "client and server pairs with a page view"),
    ("context.sources", "source addresses whose recent alerts are stored, to evaluate which traffic looks legitimate"),
    ("live.silence", "seconds without an HTTP request before a live run warns"),
    ("alert.per_flow", "alerts of a flow, after which only new pairs of signature and outcome are reported"),
    ("campaign.sources", "source addresses whose recent alerts are stored"),
    ("campaign.memory", "bytes for source state"),
    (
        "campaign.window",
        "seconds within which three signatures start a campaign, and without a hit after which one ends",
    ),
    ("limit.kinds", "kinds of alerts whose repeats are aggregated"),
    ("limit.memory", "bytes of aggregated alerts"),
    ("limit.seconds", "seconds for which repeats are aggregated"),
    ("block.packets", "packets of a block"),
    ("block.bytes", "bytes of a block"),
];

/// Error of a `--set NAME=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError {
    /// The value is not a whole number.
    Value {
        /// The limit.
        name: String,
        /// Its value as written.
        value: String,
    },
    /// There is no limit of this name.
    Name(String),
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value { name, value } => write!(f, "--set {name}={value}: the value is not a whole number"),
            Self::Name(name) => {
                let names: Vec<&str> = LIMITS.iter().map(|&(name, _)| name).collect();
                write!(f, "--set {name}: unknown limit (known limits: {})", names.join(", "))
            }
        }
    }
}

impl std::error::Error for SetError {}

/// Sets the limit `name` of `config`.
///
/// # Errors
/// If there is no such limit, or `value` is not a whole number.
pub fn set(config: &mut Config, name: &str, value: &str) -> Result<(), SetError> {
    let Ok(number) = value.parse::<usize>() else {
        return Err(SetError::Value { name: name.to_owned(), value: value.to_owned() });
    };
    let number = number.max(1);
    // Limits shared by all flows are divided among the shards.
    let share = number.div_ceil(SHARDS);
    let seconds = std::time::Duration::from_secs(number as u64);
    let (flow, timeouts) = (&mut config.sensor.flow.limits, &mut config.sensor.flow.timeouts);
    let decode = &mut config.decode.limits;
    match name {
        "flow.count" => flow.flows = share,
        "flow.memory" => flow.flow_memory = share,
        "flow.timeout.new" => timeouts.new = seconds,
        "flow.timeout.established" => timeouts.established = seconds,
        "flow.timeout.waiting" => timeouts.waiting = seconds,
        "flow.timeout.closing" => timeouts.closing = seconds,
        "tcp.queued" => flow.queued_memory = share,
        "tcp.queued_per_direction" => flow.queued_per_half = number,
        "tcp.segments_per_direction" => flow.segments_per_half = number,
        "tcp.syn_candidates" => flow.candidates = number,
        "defrag.memory" => decode.fragment_bytes = number,
        "defrag.datagrams" => decode.datagrams = number,
        "defrag.fragments" => decode.fragments_per_datagram = u32::try_from(number).unwrap_or(u32::MAX),
        "defrag.timeout.ipv4" => decode.timeout_v4 = seconds,
        "defrag.timeout.ipv6" => decode.timeout_v6 = seconds,
        "decode.layers" => decode.layers = u8::try_from(number).unwrap_or(u8::MAX),
        "decode.tunnels" => decode.tunnels = u8::try_from(number).unwrap_or(u8::MAX),
        "decode.labels" => decode.labels = u8::try_from(number).unwrap_or(u8::MAX),
        "decode.extensions" => decode.extensions = u8::try_from(number).unwrap_or(u8::MAX),
        "http.line" => config.sensor.http.line = number,
        "http.head" => config.sensor.http.head = number,
        "http.waiting" => config.sensor.http.pending = number,
        "context.pages" => config.context.pages = number,
        "context.sources" => config.context.sources = number,
        "alert.held" => config.sensor.held_memory = share,
        "live.silence" => config.silence = seconds,
        "alert.per_flow" => config.sensor.alerts_per_flow = number,
        "campaign.sources" => config.alert_pipeline.campaign.sources = number,
        "campaign.memory" => config.alert_pipeline.campaign.memory = number,
        "campaign.window" => config.alert_pipeline.campaign.window = seconds,
        "limit.kinds" => config.alert_pipeline.threshold.kinds = number,
        "limit.memory" => config.alert_pipeline.threshold.memory = number,
        "limit.seconds" => config.alert_pipeline.threshold.interval = seconds,
        "block.packets" => config.block.packets = number,
        "block.bytes" => config.block.bytes = number,
        _ => return Err(SetError::Name(name.to_owned())),
    }
    Ok(())
}
