//! EVE's `stats` record: the counters that dashboards draw and that the schemas of Suricata 7.x and 8.x both know. What
//! EVE has no slot for is told elsewhere, by the counters' own names.

use serde::Serialize;

use super::eve_time::EveTime;
use super::json::integer;
use super::line_budget::LineBudget;
use super::text::Text;
use super::{LineContext, json};
use crate::record::{DecoderStats, FlowStats, Stats, TcpStats};

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
            decoder: Decoder::new(&stats.decoder),
            flow: Flow::new(&stats.flow),
            tcp: Tcp::new(&stats.tcp),
            detect: Detect { alert: integer(stats.alerts), alerts_suppressed: integer(stats.alerts_suppressed) },
            app_layer: AppLayer {
                flow: OfHttp { http: integer(stats.http_flows) },
                tx: OfHttp { http: integer(stats.http_transactions) },
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

/// A struct of figures that is written member by member under the names of the record's own struct.
macro_rules! members {
    ($name:ident of $source:ident { $($field:ident)* }) => {
        #[derive(Serialize)]
        struct $name {
            $($field: u64,)*
        }

        impl $name {
            fn new(figures: &$source) -> Self {
                // Taken apart by name, so that a new figure can't be forgotten.
                let $source { $($field),* } = *figures;
                Self { $($field: integer($field)),* }
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
