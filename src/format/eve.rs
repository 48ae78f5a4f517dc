//! Records as Suricata EVE lines: the keys, their order and their types as Suricata 7 writes them, and no key that the
//! schema of 7.x or 8.x does not know. Sources: Suricata's `src/output-json.c`, `output-json-alert.c`
//! and `etc/schema.json`. Not `http`, the alert's `metadata`, nor
//! `stats`, which have files of their own.

use std::net::IpAddr;

use serde::{Serialize, Serializer};

use super::community_id::CommunityId;
use super::eve_campaign::CampaignMetadata;
use super::eve_http::Http;
use super::eve_metadata::Metadata;
use super::eve_stats;
use super::eve_time::EveTime;
use super::json::integer;
use super::line_budget::{LineBudget, append_line};
use super::redact::redacted_record;
use super::text::Text;
use super::{InputName, LineContext, json};
use crate::record::{Alert, Body, Campaign, FlowFacts, Record, Transaction};
use crate::segment::{Encapsulation, Endpoint, Tunnel, TunnelKind};

/// Appends the record as one line of EVE: pure ASCII, LF at the end, shorter than [`super::LINE_MAX`].
pub fn write_eve(record: &Record, context: &LineContext, out: &mut Vec<u8>) {
    match &redacted_record(record, context).body {
        Body::Alert(alert) => append_line(out, |fit, out| {
            let http = Http::new(&alert.transaction, fit);
            let line = Line::new(&alert.transaction, context, Some(http), fit);
            json::append(&line.with_alert(alert, fit), out);
        }),
        Body::Campaign(campaign) => append_line(out, |fit, out| {
            let line = Line::new(&campaign.transaction, context, None, fit);
            json::append(&line.with_campaign(campaign, fit), out);
        }),
        Body::Http(transaction) => append_line(out, |fit, out| {
            let http = Http::new(transaction, fit);
            json::append(&Line::new(transaction, context, Some(http), fit), out);
        }),
        Body::Stats(figures) => append_line(out, |fit, out| eve_stats::append(figures, context, fit, out)),
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
    /// The line of an `http` record, or what others have in common with it.
    fn new(
        transaction: &'a Transaction,
        context: &'a LineContext,
        http: Option<Http<'a>>,
        fit: &mut LineBudget,
    ) -> Self {
        let input = usize::try_from(transaction.input).ok().and_then(|at| context.inputs.get(at));
        let (interface, file) = match input {
            Some(InputName::Interface(name)) => (Some(fit.text("in_iface", Text::Plain(name))), None),
            Some(InputName::File(path)) => {
                (None, Some(fit.text("pcap_filename", Text::from_wire(path.as_os_str().as_encoded_bytes()))))
            }
            None => (None, None),
        };
        Self {
            timestamp: EveTime(transaction.timestamp),
            flow_id: transaction.flow.eve_id(),
            in_iface: interface,
            pcap_cnt: file.map(|_| integer(transaction.frame)),
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
            host: context.sensor_name.as_deref().map(|name| fit.text("host", Text::Plain(name))),
            pcap_filename: file,
        }
    }

    /// The line of an alert, whose metadata names what `fit` has cut from the rest.
    fn with_alert(self, alert: &'a Alert, fit: &mut LineBudget) -> Self {
        self.with_member(&alert.transaction, AlertMember::new(alert, fit))
    }

    /// The line of a campaign.
    fn with_campaign(self, campaign: &'a Campaign, fit: &mut LineBudget) -> Self {
        self.with_member(&campaign.transaction, AlertMember::of_campaign(campaign, fit))
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

/// The metadata of either kind of alert.
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
    #[serde(serialize_with = "with_first_word")]
    signature: Text<'a>,
    category: &'static str,
    severity: u8,
    source: End,
    target: End,
    metadata: AnyMetadata<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    xff: Option<IpAddr>,
}

impl<'a> AlertMember<'a> {
    fn new(alert: &'a Alert, fit: &mut LineBudget) -> Self {
        let title = fit.text("signature", Text::Plain(&alert.signature.title));
        Self {
            action: "allowed",
            gid: 1,
            signature_id: alert.signature.id,
            rev: alert.signature.rev,
            signature: title,
            category: category(alert),
            severity: alert.severity(),
            source: End::new(alert.transaction.client),
            target: End::new(alert.transaction.server),
            metadata: AnyMetadata::Probe(Box::new(Metadata::new(alert, fit))),
            xff: alert.forwarded_for,
        }
    }

    fn of_campaign(campaign: &'a Campaign, fit: &mut LineBudget) -> Self {
        Self {
            action: "allowed",
            gid: 1,
            signature_id: campaign.stage.sid(),
            rev: 1,
            signature: Text::Plain(campaign.stage.title()),
            category: SCAN,
            severity: campaign.severity(),
            source: End::new(campaign.transaction.client),
            target: End::new(campaign.transaction.server),
            metadata: AnyMetadata::Campaign(Box::new(CampaignMetadata::new(campaign, fit))),
            xff: None,
        }
    }
}

/// Security Onion takes the first word of a signature for its source.
fn with_first_word<S: Serializer>(title: &Text<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("SMSENTRY {title}"))
}

/// The text of the Suricata class type that fits: `network-scan` for who looks for an open proxy, else
/// `attempted-recon`.
fn category(alert: &Alert) -> &'static str {
    if alert.signature.proxy { SCAN } else { "Attempted Information Leak" }
}

const SCAN: &str = "Detection of a Network Scan";

#[derive(Serialize)]
struct End {
    ip: IpAddr,
    port: u16,
}

impl End {
    const fn new(end: Endpoint) -> Self {
        Self { ip: end.ip, port: end.port }
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
    /// Known only of the outermost packet, which came from the wire.
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
                _ => "UDP",
            },
            depth: tunnel.depth,
            pcap_cnt: frame,
            pkt_src: (tunnel.depth <= 1).then_some("wire/pcap"),
        }
    }
}

/// Suricata's name for where a packet came from (`src/decode.c`, `PktSrcToString`); it opens ERSPAN in its GRE decoder,
/// and has no name for GTP.
fn packet_source(encapsulation: &Encapsulation) -> &'static str {
    if encapsulation.fragmented {
        return "defrag";
    }
    match encapsulation.tunnel.map(|tunnel| tunnel.kind) {
        None => "wire/pcap",
        Some(TunnelKind::Gre | TunnelKind::Erspan) => "gre tunnel",
        Some(TunnelKind::Ipv4) => "ipv4 tunnel",
        Some(TunnelKind::Ipv6) => "ipv6 tunnel",
        Some(TunnelKind::Vxlan) => "vxlan encapsulation",
        Some(TunnelKind::Geneve) => "geneve encapsulation",
        Some(TunnelKind::Gtp) => "gtp tunnel",
        Some(TunnelKind::Teredo) => "teredo tunnel",
    }
}

/// The flow as of the settling packet.
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
    fn new(client: Endpoint, server: Endpoint, facts: &FlowFacts) -> Self {
        Self {
            pkts_toserver: integer(facts.packets_to_server),
            pkts_toclient: integer(facts.packets_to_client),
            bytes_toserver: integer(facts.bytes_to_server),
            bytes_toclient: integer(facts.bytes_to_client),
            start: EveTime(facts.start),
            src_ip: client.ip,
            dest_ip: server.ip,
            src_port: client.port,
            dest_port: server.port,
        }
    }
}
