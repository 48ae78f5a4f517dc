//! EVE's `stats` record: the counters that dashboards draw and that the schemas of Suricata 7.x and 8.x both know. What
//! EVE has no slot for is told elsewhere, by the counters' own names.

use serde::Serialize;

use super::eve_time::EveTime;
use super::json::integer;
use super::line_budget::LineBudget;
use super::text::Text;
use super::{LineContext, json};
use crate::record::{FlowTotals, PacketTotals, Stats};

/// Appends the record, without its LF.
pub(super) fn append(stats: &Stats, context: &LineContext, fit: &mut LineBudget, out: &mut Vec<u8>) {
    let line = Line {
        timestamp: EveTime(stats.timestamp),
        event_type: "stats",
        host: context.sensor_name.as_deref().map(|name| fit.text("host", Text::Plain(name))),
        stats: Members {
            uptime: integer(stats.uptime),
            capture: stats.capture.map(|[kernel_packets, kernel_drops, kernel_ifdrops]| Capture {
                kernel_packets: integer(kernel_packets),
                kernel_drops: integer(kernel_drops),
                kernel_ifdrops: integer(kernel_ifdrops),
            }),
            decoder: Decoder::new(&stats.packets),
            flow: Flow::new(&stats.flows),
            tcp: Tcp::new(&stats.flows),
            detect: Detect { alert: integer(stats.alerts), alerts_suppressed: integer(stats.alerts_suppressed) },
            app_layer: AppLayer {
                flow: OfHttp { http: integer(stats.http_flows) },
                tx: OfHttp { http: integer(stats.http_requests) },
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
    stats: Members,
}

#[derive(Serialize)]
struct Members {
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
    flow: OfHttp,
    tx: OfHttp,
}

#[derive(Serialize)]
struct OfHttp {
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
            pkts: integer(packets.total),
            bytes: integer(packets.bytes),
            invalid: integer(packets.invalid),
            ipv4: integer(packets.ipv4),
            ipv6: integer(packets.ipv6),
            ethernet: integer(packets.ethernet),
            tcp: integer(packets.tcp),
            udp: integer(packets.udp),
            vlan: integer(packets.vlan),
            vlan_qinq: integer(packets.vlan_qinq),
            gre: integer(packets.gre),
            erspan: integer(packets.erspan),
            vxlan: integer(packets.vxlan),
            geneve: integer(packets.geneve),
            avg_pkt_size: integer(packets.bytes.checked_div(packets.total).unwrap_or(0)),
            max_pkt_size: integer(packets.longest),
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
        let total = integer(flows.total);
        Self { total, active: integer(flows.active), tcp: total, udp: 0, memuse: integer(flows.memory), spare: 0 }
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
            sessions: integer(flows.sessions),
            syn: integer(flows.syn),
            synack: integer(flows.syn_ack),
            rst: integer(flows.rst),
            midstream_pickups: integer(flows.midstream),
            invalid_checksum: integer(flows.bad_checksum),
            reassembly_gap: integer(flows.gaps),
            overlap: integer(flows.overlap),
            memuse: integer(flows.memory),
            reassembly_memuse: integer(flows.queued_memory),
        }
    }
}
