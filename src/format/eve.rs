//! Formats records as Suricata EVE lines: the keys, their order and their types as in Suricata 7, and only keys that
//! are in the schemas of both 7.x and 8.x. Sources: Suricata's `src/output-json.c`, `output-json-alert.c` and
//! `etc/schema.json`.
//!
//! The members `http`, `metadata` and `stats` are in [`super::eve_http`], [`super::eve_metadata`],
//! [`super::eve_campaign`] and [`super::eve_stats`].

use std::net::IpAddr;

use serde::{Serialize, Serializer};

use super::community_id::CommunityId;
use super::eve_campaign::CampaignMetadata;
use super::eve_http::Http;
use super::eve_metadata::Metadata;
use super::eve_stats;
use super::eve_time::EveTime;
use super::json::clamp_to_i64;
use super::line_budget::{LineBudget, append_line};
use super::redact::redacted_record;
use super::text::Text;
use super::{InputName, LineContext, json};
use crate::record::{Alert, Body, Campaign, FlowFacts, Record, Transaction};
use crate::segment::{Encapsulation, Endpoint, Tunnel, TunnelKind};

/// Appends the record as one EVE line: pure ASCII, ending with LF, shorter than [`super::LINE_MAX`].
pub fn write_eve(record: &Record, context: &LineContext, out: &mut Vec<u8>) {
    match &redacted_record(record, context).body {
        Body::Alert(alert) => append_line(out, |budget, out| {
            let http = Http::new(&alert.transaction, budget);
            let line = Line::new(&alert.transaction, context, Some(http), budget);
            json::append(&line.with_alert(alert, budget), out);
        }),
        Body::Campaign(campaign) => append_line(out, |budget, out| {
            let line = Line::new(&campaign.transaction, context, None, budget);
            json::append(&line.with_campaign(campaign, budget), out);
        }),
        Body::Http(transaction) => append_line(out, |budget, out| {
            let http = Http::new(transaction, budget);
            json::append(&Line::new(transaction, context, Some(http), budget), out);
        }),
        Body::Stats(stats) => append_line(out, |budget, out| eve_stats::append(stats, context, budget, out)),
    }
}

#[derive(Serialize)]
struct Line<'a> {
    timestamp: EveTime,
    flow_id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_iface: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pcap_cnt: Option<u64>,
    event_type: &'static str,
    #[serde(skip_serializing_if = "<[u16]>::is_empty")]
    vlan: &'a [u16],
    src_ip: IpAddr,
    src_port: u16,
    dest_ip: IpAddr,
    dest_port: u16,
    proto: &'static str,
    pkt_src: &'static str,
    community_id: CommunityId,
    tx_id: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<AlertMember<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel: Option<TunnelMember>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<Http<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_proto: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flow: Option<Flow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pcap_filename: Option<Text<'a>>,
}

impl<'a> Line<'a> {
    /// Returns the line of an `http` record; alerts change some members.
    fn new(
        transaction: &'a Transaction,
        context: &'a LineContext,
        http: Option<Http<'a>>,
        budget: &mut LineBudget,
    ) -> Self {
        let input = usize::try_from(transaction.input).ok().and_then(|at| context.inputs.get(at));
        let (interface, file) = match input {
            Some(InputName::Interface(name)) => (Some(budget.text("in_iface", Text::Plain(name))), None),
            Some(InputName::File(path)) => {
                (None, Some(budget.text("pcap_filename", Text::from_wire(path.as_os_str().as_encoded_bytes()))))
            }
            None => (None, None),
        };
        Self {
            timestamp: EveTime(transaction.timestamp),
            flow_id: transaction.flow.eve_id(),
            in_iface: interface,
            pcap_cnt: file.map(|_| clamp_to_i64(transaction.frame)),
            event_type: "http",
            vlan: transaction.encapsulation.vlans.ids(),
            src_ip: transaction.client.ip,
            src_port: transaction.client.port,
            dest_ip: transaction.server.ip,
            dest_port: transaction.server.port,
            proto: "TCP",
            pkt_src: packet_source(&transaction.encapsulation),
            community_id: CommunityId::of_tcp(transaction.client, transaction.server),
            tx_id: transaction.tx_id,
            alert: None,
            tunnel: None,
            http,
            app_proto: None,
            direction: None,
            flow: None,
            host: context.sensor_name.as_deref().map(|name| budget.text("host", Text::Plain(name))),
            pcap_filename: file,
        }
    }

    /// Turns the line into an alert. Called last, because its metadata names what the budget truncated in the rest.
    fn with_alert(self, alert: &'a Alert, budget: &mut LineBudget) -> Self {
        self.with_member(&alert.transaction, AlertMember::new(alert, budget))
    }

    /// Turns the line into a campaign's alert.
    fn with_campaign(self, campaign: &'a Campaign, budget: &mut LineBudget) -> Self {
        self.with_member(&campaign.transaction, AlertMember::of_campaign(campaign, budget))
    }

    fn with_member(self, transaction: &Transaction, member: AlertMember<'a>) -> Self {
        Self {
            event_type: "alert",
            alert: Some(member),
            tunnel: transaction.encapsulation.tunnel.map(|tunnel| TunnelMember::new(&tunnel, self.pcap_cnt)),
            app_proto: Some("http"),
            direction: Some("to_server"),
            flow: Some(Flow::new(transaction.client, transaction.server, &transaction.flow)),
            ..self
        }
    }
}

/// `alert.metadata` of either kind of alert.
#[derive(Serialize)]
#[serde(untagged)]
enum AnyMetadata<'a> {
    Probe(Box<Metadata<'a>>),
    Campaign(Box<CampaignMetadata<'a>>),
}

#[derive(Serialize)]
struct AlertMember<'a> {
    action: &'static str,
    gid: u8,
    signature_id: u32,
    rev: u32,
    #[serde(serialize_with = "with_vendor_prefix")]
    signature: Text<'a>,
    category: &'static str,
    severity: u8,
    source: AddressPort,
    target: AddressPort,
    metadata: AnyMetadata<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    xff: Option<IpAddr>,
}

impl<'a> AlertMember<'a> {
    fn new(alert: &'a Alert, budget: &mut LineBudget) -> Self {
        let title = budget.text("signature", Text::Plain(&alert.signature.title));
        Self {
            action: "allowed",
            gid: 1,
            signature_id: alert.signature.id,
            rev: alert.signature.rev,
            signature: title,
            category: category(alert),
            severity: alert.severity(),
            source: AddressPort::new(alert.transaction.client),
            target: AddressPort::new(alert.transaction.server),
            metadata: AnyMetadata::Probe(Box::new(Metadata::new(alert, budget))),
            xff: alert.forwarded_for,
        }
    }

    fn of_campaign(campaign: &'a Campaign, budget: &mut LineBudget) -> Self {
        Self {
            action: "allowed",
            gid: 1,
            signature_id: campaign.stage.sid(),
            rev: 1,
            signature: Text::Plain(campaign.stage.title()),
            category: NETWORK_SCAN,
            severity: campaign.severity(),
            source: AddressPort::new(campaign.transaction.client),
            target: AddressPort::new(campaign.transaction.server),
            metadata: AnyMetadata::Campaign(Box::new(CampaignMetadata::new(campaign, budget))),
            xff: None,
        }
    }
}

/// Serialises a title behind the word SMSENTRY: Security Onion takes the first word of a signature as its source.
fn with_vendor_prefix<S: Serializer>(title: &Text<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("SMSENTRY {title}"))
}

/// Returns the description of the Suricata class type: `network-scan` for probes for an open proxy, else
/// `attempted-recon`.
fn category(alert: &Alert) -> &'static str {
    if alert.signature.proxy { NETWORK_SCAN } else { "Attempted Information Leak" }
}

const NETWORK_SCAN: &str = "Detection of a Network Scan";

#[derive(Serialize)]
struct AddressPort {
    ip: IpAddr,
    port: u16,
}

impl AddressPort {
    const fn new(endpoint: Endpoint) -> Self {
        Self { ip: endpoint.ip, port: endpoint.port }
    }
}

/// The packet just outside the innermost tunnel.
#[derive(Serialize)]
struct TunnelMember {
    src_ip: IpAddr,
    src_port: u16,
    dest_ip: IpAddr,
    dest_port: u16,
    proto: &'static str,
    depth: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pcap_cnt: Option<u64>,
    /// Set only if the packet is the outermost one, which was captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pkt_src: Option<&'static str>,
}

impl TunnelMember {
    fn new(tunnel: &Tunnel, frame: Option<u64>) -> Self {
        Self {
            src_ip: tunnel.source.ip,
            src_port: tunnel.source.port,
            dest_ip: tunnel.destination.ip,
            dest_port: tunnel.destination.port,
            proto: match tunnel.protocol {
                4 => "IPv4",
                41 => "IPv6",
                47 => "GRE",
                97 => "ETHERIP",
                115 => "L2TP",
                137 => "MPLS-in-IP",
                143 => "Ethernet",
                _ => "UDP",
            },
            depth: tunnel.depth,
            pcap_cnt: frame,
            pkt_src: (tunnel.depth <= 1).then_some("wire/pcap"),
        }
    }
}

/// Returns Suricata's name for a packet's source (`src/decode.c`, `PktSrcToString`). Suricata decodes ERSPAN in its GRE
/// decoder and has no name for GTP and the encapsulations below it in the list.
fn packet_source(encapsulation: &Encapsulation) -> &'static str {
    if encapsulation.fragmented {
        return "defrag";
    }
    match encapsulation.tunnel.map(|tunnel| tunnel.kind) {
        None => "wire/pcap",
        Some(TunnelKind::Gre | TunnelKind::Erspan) => "gre tunnel",
        Some(TunnelKind::Ipv4) => "ipv4 tunnel",
        Some(TunnelKind::Ipv6) => "ipv6 tunnel",
        Some(TunnelKind::Vxlan | TunnelKind::VxlanGpe) => "vxlan encapsulation",
        Some(TunnelKind::Geneve) => "geneve encapsulation",
        Some(TunnelKind::Gtp) => "gtp tunnel",
        Some(TunnelKind::Teredo) => "teredo tunnel",
        Some(TunnelKind::Tzsp) => "tzsp encapsulation",
        Some(TunnelKind::L2tp) => "l2tp tunnel",
        Some(TunnelKind::EtherIp) => "etherip tunnel",
        Some(TunnelKind::Capwap) => "capwap encapsulation",
        Some(TunnelKind::Mpls) => "mpls tunnel",
        Some(TunnelKind::Ethernet) => "ethernet tunnel",
    }
}

/// The flow up to the packet that decided the outcome.
#[derive(Serialize)]
struct Flow {
    pkts_toserver: u64,
    pkts_toclient: u64,
    bytes_toserver: u64,
    bytes_toclient: u64,
    start: EveTime,
    src_ip: IpAddr,
    dest_ip: IpAddr,
    src_port: u16,
    dest_port: u16,
}

impl Flow {
    fn new(client: Endpoint, server: Endpoint, flow: &FlowFacts) -> Self {
        Self {
            pkts_toserver: clamp_to_i64(flow.packets_to_server),
            pkts_toclient: clamp_to_i64(flow.packets_to_client),
            bytes_toserver: clamp_to_i64(flow.bytes_to_server),
            bytes_toclient: clamp_to_i64(flow.bytes_to_client),
            start: EveTime(flow.start),
            src_ip: client.ip,
            dest_ip: server.ip,
            src_port: client.port,
            dest_port: server.port,
        }
    }
}
