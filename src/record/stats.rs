//! The record of statistics: counters of a whole run at one time. They are collected by `stats` and get their names in
//! the output from `format`.

use crate::time::Timestamp;

/// The counters of a run that a stats record contains; all cumulative.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// The clock.
    pub timestamp: Timestamp,
    /// Seconds since the start; in replay, of packet time.
    pub uptime: u64,
    /// Packets seen by the kernel, dropped by the kernel, dropped by the interface; `None` in replay.
    pub capture: Option<[u64; 3]>,
    /// Totals of the decoder.
    pub packets: PacketTotals,
    /// Flows and TCP.
    pub flows: FlowTotals,
    /// Alerts and campaigns, whether written or not.
    pub alerts: u64,
    /// Alerts suppressed.
    pub alerts_suppressed: u64,
    /// Flows that carried HTTP.
    pub http_flows: u64,
    /// HTTP requests.
    pub http_requests: u64,
}

/// Totals of the decoder; tunnels and fragments can make the headers of a protocol outnumber the packets.
#[derive(Clone, Copy, Debug, Default)]
pub struct PacketTotals {
    /// All packets.
    pub total: u64,
    /// Bytes of all packets.
    pub bytes: u64,
    /// Length of the longest packet, in bytes.
    pub longest: u64,
    /// Malformed headers.
    pub invalid: u64,
    /// IPv4 headers.
    pub ipv4: u64,
    /// IPv6 headers.
    pub ipv6: u64,
    /// Ethernet headers.
    pub ethernet: u64,
    /// TCP segments.
    pub tcp: u64,
    /// UDP headers.
    pub udp: u64,
    /// Frames with a VLAN tag.
    pub vlan: u64,
    /// Frames with a second VLAN tag.
    pub vlan_qinq: u64,
    /// GRE headers.
    pub gre: u64,
    /// ERSPAN headers.
    pub erspan: u64,
    /// VXLAN headers.
    pub vxlan: u64,
    /// Geneve headers.
    pub geneve: u64,
}

/// Totals of the flow table and of TCP reassembly.
#[derive(Clone, Copy, Debug, Default)]
pub struct FlowTotals {
    /// All flows, which are TCP.
    pub total: u64,
    /// Flows that have not ended.
    pub active: u64,
    /// Completed TCP handshakes.
    pub sessions: u64,
    /// SYN segments.
    pub syn: u64,
    /// SYN-ACK segments.
    pub syn_ack: u64,
    /// RST segments.
    pub rst: u64,
    /// Flows picked up without their beginning.
    pub midstream: u64,
    /// Segments with a wrong or unproven checksum.
    pub bad_checksum: u64,
    /// Gaps in the reassembled streams.
    pub gaps: u64,
    /// Segments that share bytes with queued ones.
    pub overlap: u64,
    /// Memory of flows, in bytes.
    pub memory: u64,
    /// Memory of out-of-order segments, in bytes.
    pub queued_memory: u64,
}
