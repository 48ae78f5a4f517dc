//! Formats EVE's `stats` record: the counters that dashboards show and that are in the schemas of both Suricata 7.x and
//! 8.x. All counters, by their own names: see [`super::counters`].

use serde::Serialize;

use super::eve_time::EveTime;
use super::json::clamp_to_i64;
use super::line_budget::LineBudget;
use super::text::Text;
use super::{LineContext, json};
use crate::record::{DecoderStats, FlowStats, Stats, TcpStats};

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
            decoder: Decoder::new(&stats.decoder),
            flow: Flow::new(&stats.flow),
            tcp: Tcp::new(&stats.tcp),
            detect: Detect {
                alert: clamp_to_i64(stats.alerts),
                alerts_suppressed: clamp_to_i64(stats.alerts_suppressed),
            },
            app_layer: AppLayer {
                flow: HttpCount { http: clamp_to_i64(stats.http_flows) },
                tx: HttpCount { http: clamp_to_i64(stats.http_transactions) },
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

/// Defines a struct that serialises the fields of `$source` under their own names.
macro_rules! members {
    ($name:ident of $source:ident { $($field:ident)* }) => {
        #[derive(Serialize)]
        struct $name {
            $($field: u64,)*
        }

        impl $name {
            fn new(stats: &$source) -> Self {
                // Destructured without `..`, so that a new field cannot be forgotten.
                let $source { $($field),* } = *stats;
                Self { $($field: clamp_to_i64($field)),* }
            }
        }
    };
}

members!(Decoder of DecoderStats {
    pkts bytes invalid ipv4 ipv6 ethernet tcp udp vlan vlan_qinq gre erspan vxlan geneve avg_pkt_size max_pkt_size
});
members!(Flow of FlowStats { total active tcp udp memuse spare });
members!(Tcp of TcpStats {
    sessions syn synack rst midstream_pickups invalid_checksum reassembly_gap overlap memuse reassembly_memuse
});
