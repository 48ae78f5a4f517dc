//! Formats EVE's `stats` record: the counters that dashboards show and that are in the schemas of both Suricata 7.x and
//! 8.x. All counters, by their own names: see [`super::counters`].

use serde::Serialize;

use super::eve_time::EveTime;
use super::json::clamp_to_i64;
use super::line_budget::LineBudget;
use super::text::Text;
use super::{LineContext, json};
use crate::record::{FlowTotals, PacketTotals, Stats};

/// Appends the record, without LF.
pub(super) fn append(stats: &Stats, context: &LineContext, budget: &mut LineBudget, out: &mut Vec<u8>) {
    let line = Line {
        timestamp: EveTime(stats.timestamp),
        event_type: "stats",
        host: context.sensor_name.as_deref().map(|name| budget.text("host", Text::Plain(name))),
        stats: StatsMember {
            uptime: clamp_to_i64(stats.uptime),
            capture: stats.capture.map(|[kernel_packets, kernel_drops, kernel_ifdrops]| Capture {
                kernel_packets: clamp_to_i64(kernel_packets),
                kernel_drops: clamp_to_i64(kernel_drops),
                kernel_ifdrops: clamp_to_i64(kernel_ifdrops),
            }),
            decoder: Decoder::new(&stats.packets),
            flow: Flow::new(&stats.flows),
            tcp: Tcp::new(&stats.flows),
            detect: Detect {
                alert: clamp_to_i64(stats.alerts),
                alerts_suppressed: clamp_to_i64(stats.alerts_suppressed),
            },
            app_layer: AppLayer {
                flow: HttpCount { http: clamp_to_i64(stats.http_flows) },
                tx: HttpCount { http: clamp_to_i64(stats.http_requests) },
            },
        },
    };
    json::append(&line, out);
}

#[derive(Serialize)]
struct Line<'a> {
    timestamp: EveTime,
    event_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<Text<'a>>,
    stats: StatsMember,
}

#[derive(Serialize)]
struct StatsMember {
    uptime: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    capture: Option<Capture>,
    decoder: Decoder,
    flow: Flow,
    tcp: Tcp,
    detect: Detect,
    app_layer: AppLayer,
}

#[derive(Serialize)]
struct Capture {
    kernel_packets: u64,
    kernel_drops: u64,
    kernel_ifdrops: u64,
}

#[derive(Serialize)]
struct Detect {
    alert: u64,
    alerts_suppressed: u64,
}

#[derive(Serialize)]
struct AppLayer {
    flow: HttpCount,
    tx: HttpCount,
}

#[derive(Serialize)]
struct HttpCount {
    http: u64,
}

/// The members of `stats.decoder`.
#[derive(Serialize)]
struct Decoder {
    pkts: u64,
    bytes: u64,
    invalid: u64,
    ipv4: u64,
    ipv6: u64,
    ethernet: u64,
    tcp: u64,
    udp: u64,
    vlan: u64,
    vlan_qinq: u64,
    gre: u64,
    erspan: u64,
    vxlan: u64,
    geneve: u64,
    avg_pkt_size: u64,
    max_pkt_size: u64,
}

impl Decoder {
    fn new(packets: &PacketTotals) -> Self {
        Self {
            pkts: clamp_to_i64(packets.total),
            bytes: clamp_to_i64(packets.bytes),
            invalid: clamp_to_i64(packets.invalid),
            ipv4: clamp_to_i64(packets.ipv4),
            ipv6: clamp_to_i64(packets.ipv6),
            ethernet: clamp_to_i64(packets.ethernet),
            tcp: clamp_to_i64(packets.tcp),
            udp: clamp_to_i64(packets.udp),
            vlan: clamp_to_i64(packets.vlan),
            vlan_qinq: clamp_to_i64(packets.vlan_qinq),
            gre: clamp_to_i64(packets.gre),
            erspan: clamp_to_i64(packets.erspan),
            vxlan: clamp_to_i64(packets.vxlan),
            geneve: clamp_to_i64(packets.geneve),
            avg_pkt_size: clamp_to_i64(packets.bytes.checked_div(packets.total).unwrap_or(0)),
            max_pkt_size: clamp_to_i64(packets.longest),
        }
    }
}

/// The members of `stats.flow`. All flows are TCP.
#[derive(Serialize)]
struct Flow {
    total: u64,
    active: u64,
    tcp: u64,
    udp: u64,
    memuse: u64,
    spare: u64,
}

impl Flow {
    fn new(flows: &FlowTotals) -> Self {
        let total = clamp_to_i64(flows.total);
        Self {
            total,
            active: clamp_to_i64(flows.active),
            tcp: total,
            udp: 0,
            memuse: clamp_to_i64(flows.memory),
            spare: 0,
        }
    }
}

/// The members of `stats.tcp`.
#[derive(Serialize)]
struct Tcp {
    sessions: u64,
    syn: u64,
    synack: u64,
    rst: u64,
    midstream_pickups: u64,
    invalid_checksum: u64,
    reassembly_gap: u64,
    overlap: u64,
    memuse: u64,
    reassembly_memuse: u64,
}

impl Tcp {
    fn new(flows: &FlowTotals) -> Self {
        Self {
            sessions: clamp_to_i64(flows.sessions),
            syn: clamp_to_i64(flows.syn),
            synack: clamp_to_i64(flows.syn_ack),
            rst: clamp_to_i64(flows.rst),
            midstream_pickups: clamp_to_i64(flows.midstream),
            invalid_checksum: clamp_to_i64(flows.bad_checksum),
            reassembly_gap: clamp_to_i64(flows.gaps),
            overlap: clamp_to_i64(flows.overlap),
            memuse: clamp_to_i64(flows.memory),
            reassembly_memuse: clamp_to_i64(flows.queued_memory),
        }
    }
}
