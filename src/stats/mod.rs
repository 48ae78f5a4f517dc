//! Statistics of a run: combines the counters of all modules into EVE's `stats` record, one JSON object, and the
//! closing summary lines. Each module counts for itself; this one counts traffic by kind.

pub mod traffic;
mod unread_files;
pub mod unread_frames;
pub mod visibility;

use std::time::Duration;

use crate::alerts::pipeline;
use crate::capture::source::SourceStats;
use crate::decode;
use crate::flow;
use crate::http;
use crate::logs::log;
use crate::outcome::Outcome;
use crate::record::{Alert, Campaign, FlowTotals, PacketTotals, Stats};
use crate::sensor;
use crate::stats::traffic::TrafficStats;
use crate::time::Timestamp;

crate::counters! {
    /// Counters of the dispatcher.
    pub struct DispatcherCounters {
        /// Segments lost because a lane was full or the output was behind (live).
        dropped: "pipeline.dropped",
    }
}

crate::counters! {
    /// Counters of signature reloads.
    pub struct ReloadCounters {
        /// Signature sets loaded since the start.
        reloads: "signature.reloads",
        /// Signature sets that were refused.
        refused_reloads: "signature.refused_reloads",
    }
}

/// Stats of the dispatcher.
#[derive(Clone, Debug, Default)]
pub struct DispatcherStats {
    /// Counters of the decoder.
    pub decode: decode::Counters,
    /// Frames that were not read, by kind.
    pub unread: decode::UnreadFrames,
    /// Length of the longest packet.
    pub max_packet: u32,
    /// Memory of buffered fragments, in bytes.
    pub defrag_memory: usize,
    /// TCP payload by kind of traffic.
    pub traffic: TrafficStats,
    /// Counters of the dispatcher.
    pub counters: DispatcherCounters,
    /// Counters of the packet source.
    pub source: SourceStats,
    /// Signature reloads.
    pub reloads: ReloadCounters,
    /// Number of signatures in use.
    pub signatures: usize,
    /// Clock at the start of the run, and now.
    pub clock: [Timestamp; 2],
    /// Time since the start: packet time in replay.
    pub uptime: Duration,
}

/// Stats of a lane, summed over its shards.
#[derive(Clone, Copy, Debug, Default)]
pub struct LaneStats {
    /// Counters of the flow module.
    pub flow: flow::Counters,
    /// Counters of the http module.
    pub http: http::Counters,
    /// Counters of the sensor.
    pub sensor: sensor::Counters,
    /// TCP payload by what its flow carries.
    pub payload: sensor::PayloadCounters,
    /// Number of active flows; then memory in bytes of flows, of out-of-order segments, and of pending transactions.
    pub usage: [usize; 4],
}

impl LaneStats {
    /// Adds the stats of another lane.
    pub fn merge(&mut self, other: &Self) {
        self.flow.merge(&other.flow);
        self.http.merge(&other.http);
        self.sensor.merge(&other.sensor);
        self.payload.merge(&other.payload);
        for (sum, value) in self.usage.iter_mut().zip(other.usage) {
            *sum += value;
        }
    }
}

/// Stats of the output stage.
#[derive(Clone, Copy, Debug, Default)]
pub struct OutputStats {
    /// Alerts by outcome, in the order of [`OUTCOMES`].
    pub outcomes: [u64; OUTCOMES.len()],
    /// Campaign records.
    pub campaigns: u64,
    /// Alerts and campaign records by severity; the index is the severity.
    pub severities: [u64; 5],
    /// Counters of the alert pipeline.
    pub alert_pipeline: pipeline::Counters,
    /// Counters of the log set.
    pub logs: log::Counters,
}

/// The outcomes, worst first.
pub const OUTCOMES: [Outcome; 10] = Outcome::WORST_FIRST;

impl OutputStats {
    /// Counts an alert.
    pub fn count(&mut self, alert: &Alert) {
        if let Some(at) = OUTCOMES.iter().position(|&outcome| outcome == alert.outcome) {
            self.outcomes[at] += 1;
        }
        self.severities[usize::from(alert.severity()).min(4)] += 1;
    }

    /// Counts a campaign record.
    pub fn count_campaign(&mut self, campaign: &Campaign) {
        self.campaigns += 1;
        self.severities[usize::from(campaign.severity()).min(4)] += 1;
    }

    /// Returns the total number of alerts, without campaign records.
    #[must_use]
    pub fn alerts(&self) -> u64 {
        self.outcomes.iter().sum()
    }
}

/// All stats of a run.
#[derive(Clone, Debug, Default)]
pub struct RunStats {
    /// Stats of the dispatcher.
    pub dispatcher: DispatcherStats,
    /// Stats of all lanes.
    pub lanes: LaneStats,
    /// Stats of the output stage.
    pub output: OutputStats,
}

impl RunStats {
    /// Returns EVE's `stats` record.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let (decode, flow) = (&self.dispatcher.decode, &self.lanes.flow);
        let [active, flow_memory, queued, _] = self.lanes.usage.map(|usage| usage as u64);
        Stats {
            timestamp: self.dispatcher.clock[1],
            uptime: self.dispatcher.uptime.as_secs(),
            capture: self
                .dispatcher
                .source
                .live
                .map(|capture| [capture.received, capture.kernel_drops, capture.interface_drops]),
            packets: PacketTotals {
                total: decode.packets,
                bytes: decode.bytes,
                longest: u64::from(self.dispatcher.max_packet),
                invalid: decode.invalid,
                ipv4: decode.ipv4,
                ipv6: decode.ipv6,
                ethernet: decode.ethernet,
                tcp: decode.tcp,
                udp: decode.udp,
                vlan: decode.vlan,
                vlan_qinq: decode.vlan_qinq,
                gre: decode.gre,
                erspan: decode.erspan,
                vxlan: decode.vxlan,
                geneve: decode.geneve,
            },
            flows: FlowTotals {
                total: flow.flows,
                active,
                sessions: flow.sessions,
                syn: flow.syn,
                syn_ack: flow.syn_ack,
                rst: flow.rst,
                midstream: flow.midstream,
                bad_checksum: flow.bad_checksum + flow.unproven_checksum,
                gaps: flow.gaps,
                overlap: flow.overlap,
                memory: flow_memory,
                queued_memory: queued,
            },
            alerts: self.output.alerts() + self.output.campaigns,
            alerts_suppressed: self.lanes.sensor.suppressed + self.output.alert_pipeline.suppressed(),
            http_flows: self.lanes.sensor.http_flows,
            http_requests: self.lanes.http.requests,
        }
    }

    /// Returns the TCP payload by kind of traffic, on all ports.
    #[must_use]
    pub fn payload(&self) -> sensor::PayloadCounters {
        let mut payload = self.dispatcher.traffic.payload;
        payload.merge(&self.lanes.payload);
        payload
    }

    /// Calls `visit` with the name and value of every counter.
    pub fn each(&self, visit: &mut dyn FnMut(&'static str, u64)) {
        self.dispatcher.source.replay.each(visit);
        self.dispatcher.counters.each(visit);
        self.dispatcher.reloads.each(visit);
        self.dispatcher.decode.each(visit);
        visit("decode.max_packet", u64::from(self.dispatcher.max_packet));
        visit("defrag.memuse", self.dispatcher.defrag_memory as u64);
        self.payload().each(visit);
        self.dispatcher.traffic.counters.each(visit);
        self.lanes.flow.each(visit);
        let names = ["flow.active", "flow.memuse", "tcp.reassembly_memuse", "alert.held_memuse"];
        for (name, value) in names.into_iter().zip(self.lanes.usage) {
            visit(name, value as u64);
        }
        self.lanes.http.each(visit);
        self.lanes.sensor.each(visit);
        for (outcome, count) in OUTCOMES.into_iter().zip(self.output.outcomes) {
            visit(outcome_counter(outcome), count);
        }
        visit("campaign.records", self.output.campaigns);
        self.output.alert_pipeline.each(visit);
        self.output.logs.each(visit);
        visit("signature.loaded", self.dispatcher.signatures as u64);
        // In replay too, so that the keys are the same in every run.
        self.dispatcher.source.live.unwrap_or_default().each(visit);
    }

    /// Calls `visit` with the name and value of the counters of frames that were not read, which exist only if there
    /// are any.
    pub fn each_unread(&self, visit: &mut dyn FnMut(String, u64)) {
        unread_frames::each(&self.dispatcher.unread, visit);
    }

    /// Returns the share of lost packets, in percent of all packets that the sensor should have received.
    #[must_use]
    pub fn drop_percent(&self) -> f64 {
        let capture = self.dispatcher.source.live.unwrap_or_default();
        let lost = capture.kernel_drops + capture.interface_drops + self.own_drops();
        percent(lost, capture.received.max(self.dispatcher.decode.packets) + capture.interface_drops)
    }

    /// Returns the number of packets that this process dropped after the kernel had delivered them.
    fn own_drops(&self) -> u64 {
        self.dispatcher.counters.dropped + self.dispatcher.source.live.unwrap_or_default().own_drops
    }

    /// Returns the summary lines that are written at the end of a run and on SIGUSR1.
    #[must_use]
    pub fn summary(&self) -> Vec<String> {
        let (dispatcher, flow) = (&self.dispatcher, &self.lanes.flow);
        let mut unread = unread_files::phrases(self);
        unread.extend(unread_frames::phrases(&dispatcher.unread));
        let mut lines = vec![self.alert_line(unread.is_empty())];
        if !unread.is_empty() {
            lines.push(format!("not read: {}", unread.join("; ")));
        }
        lines.push(format!(
            "{} packets, {} bytes; {} flows, {} HTTP requests",
            dispatcher.decode.packets, dispatcher.decode.bytes, flow.flows, self.lanes.http.requests
        ));
        let traffic = &dispatcher.traffic.counters;
        let payload = self.payload();
        let total = payload.http_bytes + payload.tls_bytes + payload.other_bytes;
        let sensor = &self.lanes.sensor;
        lines.push(format!(
            "TCP payload: {:.0} % HTTP, {:.0} % TLS, {:.0} % other; {:.0} % of ended flows one-sided; {} gaps; \
             {} bad checksums; {} copies of packets removed",
            percent(payload.http_bytes, total),
            percent(payload.tls_bytes, total),
            percent(payload.other_bytes, total),
            percent(sensor.one_sided, sensor.ended),
            flow.gaps,
            flow.bad_checksum + dispatcher.decode.ip_bad_checksum,
            flow.duplicates
        ));
        if traffic.http_elsewhere > 0 {
            let ports: Vec<String> = dispatcher.traffic.elsewhere.iter().map(u16::to_string).collect();
            lines.push(format!(
                "HTTP was seen on ports that are not in --ports: {} ({} messages)",
                ports.join(", "),
                traffic.http_elsewhere
            ));
        }
        if let Some(capture) = dispatcher.source.live {
            lines.push(format!(
                "{} packets received, {} dropped by the kernel, {} dropped by the interface, {} dropped by smsentry",
                capture.received,
                capture.kernel_drops,
                capture.interface_drops,
                self.own_drops()
            ));
        }
        if self.output.logs.dropped > 0 {
            lines.push(format!("{} records lost, because the output was too slow or failed", self.output.logs.dropped));
        }
        lines
    }

    /// Returns the line about alerts; of input that was not read completely, it does not say that it has none.
    fn alert_line(&self, is_complete: bool) -> String {
        let outcomes = OUTCOMES.into_iter().zip(self.output.outcomes).filter(|&(_, count)| count > 0);
        let parts: Vec<String> = outcomes.map(|(outcome, count)| format!("{count} {}", outcome.name())).collect();
        let alerts = match (self.output.alerts(), parts.join(", ")) {
            (0, _) if is_complete => "no alerts".to_owned(),
            (0, _) => "no alerts in what was read, which is not everything".to_owned(),
            (1, parts) => format!("1 alert: {parts}"),
            (count, parts) => format!("{count} alerts: {parts}"),
        };
        match self.output.alert_pipeline.campaign.begun {
            0 => alerts,
            1 => format!("{alerts}; 1 campaign"),
            count => format!("{alerts}; {count} campaigns"),
        }
    }
}

const fn outcome_counter(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Exposed => "alert.exposed",
        Outcome::Present => "alert.present",
        Outcome::Unproven => "alert.unproven",
        Outcome::Redirected => "alert.redirected",
        Outcome::Refused => "alert.refused",
        Outcome::NotFound => "alert.not_found",
        Outcome::Error => "alert.error",
        Outcome::NoResponse => "alert.no_response",
        Outcome::Pending => "alert.pending",
        Outcome::Unseen => "alert.unseen",
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}
