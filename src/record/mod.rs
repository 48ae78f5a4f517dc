//! What the sensor tells: plain, owned data, complete enough to be written in any format. Not a format.

mod list;

pub use list::List;

use std::borrow::Cow;
use std::sync::Arc;

use crate::outcome::Outcome;
use crate::segment::{Encapsulation, Endpoint};
use crate::signature::Signature;
use crate::source_addr::SourceAddr;
use crate::time::Timestamp;
use crate::uri::Evasions;

/// One thing to tell, with its place in the output.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its place in the output.
    pub order: Order,
    /// What it tells.
    pub body: Body,
}

/// What a record tells.
#[derive(Clone, Debug)]
pub enum Body {
    /// A probe.
    Alert(Box<Alert>),
    /// A request, matching or not, and its answer.
    Http(Box<Transaction>),
    /// Many probes of one source as one story.
    Campaign(Box<Campaign>),
    /// A page was shown to a client: not told, but weighed with what the client asks for next.
    PageView(PageView),
    /// The counters that dashboards draw.
    Stats(Box<Stats>),
}

/// The place of a record in the output: total, and independent of lanes, blocks and table keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order {
    /// When it was settled: the clock at the packet that settled it, or the deadline that passed.
    pub settled: Timestamp,
    /// Running number of the settling packet; 0 for a deadline.
    pub settled_by: u64,
    /// Running number of the packet that completed the request.
    pub request: u64,
    /// The request's number in its flow, from 0.
    pub tx_id: u32,
    /// Alerts before http records.
    pub kind: RecordKind,
    /// Signature id; 0 where there is none.
    pub sid: u32,
}

/// A web page as an answer, the first of its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageView {
    /// Who got it.
    pub client: std::net::IpAddr,
    /// Who gave it.
    pub server: std::net::IpAddr,
}

/// The kind of a record, in the order of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordKind {
    /// [`Body::PageView`].
    PageView,
    /// [`Body::Alert`].
    Alert,
    /// [`Body::Campaign`]: it follows the record that caused it.
    Campaign,
    /// [`Body::Http`].
    Http,
    /// [`Body::Stats`].
    Stats,
}

/// A request with what is known of its answer and its flow.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// Time of the packet that completed the request's head.
    pub timestamp: Timestamp,
    /// Number of that packet in its input, from 1 (`pcap_cnt`).
    pub frame: u64,
    /// Index of the input in the run's list.
    pub input: u32,
    /// Who asked.
    pub client: Endpoint,
    /// Who was asked.
    pub server: Endpoint,
    /// How that packet was wrapped.
    pub encapsulation: Encapsulation,
    /// The flow as of the settling packet.
    pub flow: FlowFacts,
    /// The request's number in its flow, from 0.
    pub tx_id: u32,
    /// The request.
    pub request: Request,
    /// The answer, if it was seen.
    pub response: Option<Response>,
}

impl Transaction {
    /// Memory outside, in bytes.
    #[must_use]
    pub fn heap(&self) -> usize {
        let length = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, Vec::len);
        let request = &self.request;
        let asked = [&request.host, &request.user_agent, &request.referrer, &request.forwarded_for].map(length);
        let answered = self
            .response
            .as_ref()
            .map_or(0, |response| response.reason.len() + length(&response.content_type) + length(&response.location));
        let line = request.method.len() + request.target.len() + request.protocol.len();
        line + asked.iter().sum::<usize>() + answered
    }
}

/// What is told of a flow.
#[derive(Clone, Copy, Debug, Default)]
pub struct FlowFacts {
    /// 96 bits from the published keyed hash of the flow: Zeek's `uid`; its low 51 bits are EVE's `flow_id`.
    pub id: u128,
    /// Time of the first packet.
    pub start: Timestamp,
    /// Packets from client to server.
    pub packets_to_server: u64,
    /// Packets from server to client.
    pub packets_to_client: u64,
    /// Bytes on the wire from client to server.
    pub bytes_to_server: u64,
    /// Bytes on the wire from server to client.
    pub bytes_to_client: u64,
}

impl FlowFacts {
    /// EVE's `flow_id`: 51 bits, so that JavaScript holds it exactly.
    #[must_use]
    pub const fn eve_id(&self) -> u64 {
        // 51 bits fit in 64.
        (self.id & ((1 << 51) - 1)) as u64
    }
}

/// A request as on the wire: bytes that a stranger chose.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Method.
    pub method: Cow<'static, [u8]>,
    /// Request target, undecoded.
    pub target: Vec<u8>,
    /// Protocol version as written (`HTTP/1.1`); empty for HTTP/0.9.
    pub protocol: Cow<'static, [u8]>,
    /// First `Host` value.
    pub host: Option<Vec<u8>>,
    /// First `User-Agent` value.
    pub user_agent: Option<Vec<u8>>,
    /// First `Referer` value.
    pub referrer: Option<Vec<u8>>,
    /// First `X-Forwarded-For` value.
    pub forwarded_for: Option<Vec<u8>>,
    /// Body bytes seen so far.
    pub body_len: u64,
    /// Whether a limit, a gap or the flow's end cut the head.
    pub truncated: bool,
}

impl Request {
    /// The protocol version as written; `HTTP/0.9` for a whole request without one, `None` where the head was cut before
    /// it.
    #[must_use]
    pub fn version(&self) -> Option<&[u8]> {
        match &*self.protocol {
            b"" if self.truncated => None,
            b"" => Some(b"HTTP/0.9"),
            protocol => Some(protocol),
        }
    }
}

/// An answer as on the wire.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Reason phrase.
    pub reason: Vec<u8>,
    /// First `Content-Type` value.
    pub content_type: Option<Vec<u8>>,
    /// First `Location` value.
    pub location: Option<Vec<u8>>,
    /// `Content-Length`, where there is a valid one.
    pub content_length: Option<u64>,
    /// Body bytes seen so far.
    pub body_len: u64,
}

/// A probe.
#[derive(Clone, Debug)]
pub struct Alert {
    /// The request and its answer.
    pub transaction: Box<Transaction>,
    /// The signature that matched best.
    pub signature: Arc<Signature>,
    /// What came of it.
    pub outcome: Outcome,
    /// The normal form that matched.
    pub matched: Vec<u8>,
    /// The disguises that were undone.
    pub evasions: Evasions,
    /// Whether copies of the flow's bytes disagreed (`tcp-conflict`).
    pub conflict: bool,
    /// Slugs of the other signatures that match.
    pub also: Vec<String>,
    /// What was told of the same request before, where a later part of the answer proved the worst
    /// (`smsentry_update: late-answer`).
    pub late: Option<Outcome>,
    /// Whether it repeats what its flow was told of often enough: it only counts in its campaign.
    pub suppressed: bool,
    /// The rightmost untrusted address of `X-Forwarded-For`, where trusted proxies are configured.
    pub forwarded_for: Option<std::net::IpAddr>,
    /// What the request's head says of who sent it.
    pub trace: RequestTraits,
    /// What raised or lowered the confidence (`smsentry_context`).
    pub context: Vec<String>,
    /// How many like it this one stands for, itself included: more than one only where repeats are told together.
    pub repeats: u64,
}

/// What the head of a request says of its sender beside its values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestTraits {
    /// A published hash of the field names in their order, lower case: the same on every sensor.
    pub field_order: u64,
    /// Whether there is a `Cookie` field.
    pub cookie: bool,
    /// Whether it is a call as the signature says the provider's own webhook calls look.
    pub webhook: bool,
}

impl Alert {
    /// EVE's severity, 1 (high) to 3: 1 is reserved for what was given away, and what is not there is never above 3.
    #[must_use]
    pub fn severity(&self) -> u8 {
        match self.outcome {
            Outcome::Exposed => 1,
            Outcome::NotFound | Outcome::Refused => 3,
            _ => self.signature.severity.clamp(2, 3),
        }
    }

    /// Memory in bytes, as far as a stranger can make it long.
    #[must_use]
    pub fn memory(&self) -> usize {
        let lists = self.also.iter().chain(&self.context);
        let listed: usize = lists.map(|member| size_of::<String>() + member.len()).sum();
        let transaction = size_of::<Transaction>() + self.transaction.heap();
        size_of::<Self>() + transaction + self.matched.len() + listed
    }
}

/// Many probes of one source as one story, up to here.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// Why it is told now.
    pub stage: CampaignStage,
    /// Whose probes they are.
    pub source: SourceAddr,
    /// The request that is the reason for telling, or the last one; nothing of what was said in it.
    pub transaction: Transaction,
    /// The same in all records of the campaign.
    pub id: u64,
    /// The same for the same tool, at every sensor (see [`crate::alerts::campaign`]).
    pub fingerprint: u64,
    /// Requests.
    pub hits: u64,
    /// Time of the first request.
    pub first: Timestamp,
    /// Time of the last request.
    pub last: Timestamp,
    /// What came of them, and how often; the worst first.
    pub outcomes: Vec<(Outcome, u64)>,
    /// Slugs of the signatures.
    pub signatures: List,
    /// The signatures' families.
    pub families: List,
    /// Servers that were asked: address and port.
    pub targets: List,
    /// `Host` values.
    pub hosts: List,
    /// Request targets that proved `exposed`.
    pub exposed: List,
    /// `User-Agent` values.
    pub agents: List,
}

impl Campaign {
    /// EVE's severity: 1 if anything was given away, else 2.
    #[must_use]
    pub fn severity(&self) -> u8 {
        if self.worst() == Some(Outcome::Exposed) { 1 } else { 2 }
    }

    /// The worst outcome.
    #[must_use]
    pub fn worst(&self) -> Option<Outcome> {
        self.outcomes.first().map(|&(outcome, _)| outcome)
    }
}

/// Why a campaign is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CampaignStage {
    /// Three distinct signatures within ten minutes.
    Begun,
    /// 10 distinct signatures.
    Ten,
    /// 30 distinct signatures.
    Thirty,
    /// 100 distinct signatures.
    Hundred,
    /// It was quiet for ten minutes, or the input ended, or its room was needed.
    Ended,
}

impl CampaignStage {
    /// Every stage.
    pub const ALL: [Self; 5] = [Self::Begun, Self::Ten, Self::Thirty, Self::Hundred, Self::Ended];

    /// Its signature id.
    #[must_use]
    pub const fn sid(self) -> u32 {
        match self {
            Self::Begun => 1_000_001,
            Self::Ten => 1_000_002,
            Self::Thirty => 1_000_003,
            Self::Hundred => 1_000_004,
            Self::Ended => 1_000_005,
        }
    }

    /// What it says, as the title of a signature.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Begun => "campaign: one source asks for 3 different things within 10 minutes",
            Self::Ten => "campaign: one source asked for 10 different things",
            Self::Thirty => "campaign: one source asked for 30 different things",
            Self::Hundred => "campaign: one source asked for 100 different things",
            Self::Ended => "campaign: what one source asked for in all",
        }
    }
}

/// The counters that EVE's `stats` holds in every version; all cumulative.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// When: the clock.
    pub timestamp: Timestamp,
    /// Seconds since the start; in replay, of packet time.
    pub uptime: u64,
    /// `capture`: kernel packets, kernel drops, interface drops; absent in replay.
    pub capture: Option<[u64; 3]>,
    /// `decoder` figures.
    pub decoder: DecoderStats,
    /// `flow` figures.
    pub flow: FlowStats,
    /// `tcp` figures.
    pub tcp: TcpStats,
    /// `detect.alert`: alerts written.
    pub alerts: u64,
    /// `detect.alerts_suppressed`.
    pub alerts_suppressed: u64,
    /// `app_layer.flow.http`.
    pub http_flows: u64,
    /// `app_layer.tx.http`.
    pub http_transactions: u64,
}

/// The members of EVE's `stats.decoder`.
#[expect(missing_docs, reason = "the names are EVE's own")]
#[derive(Clone, Copy, Debug, Default)]
pub struct DecoderStats {
    pub pkts: u64,
    pub bytes: u64,
    pub invalid: u64,
    pub ipv4: u64,
    pub ipv6: u64,
    pub ethernet: u64,
    pub tcp: u64,
    pub udp: u64,
    pub vlan: u64,
    pub vlan_qinq: u64,
    pub gre: u64,
    pub erspan: u64,
    pub vxlan: u64,
    pub geneve: u64,
    pub avg_pkt_size: u64,
    pub max_pkt_size: u64,
}

/// The members of EVE's `stats.flow`.
#[expect(missing_docs, reason = "the names are EVE's own")]
#[derive(Clone, Copy, Debug, Default)]
pub struct FlowStats {
    pub total: u64,
    pub active: u64,
    pub tcp: u64,
    pub udp: u64,
    pub memuse: u64,
    pub spare: u64,
}

/// The members of EVE's `stats.tcp`.
#[expect(missing_docs, reason = "the names are EVE's own")]
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpStats {
    pub sessions: u64,
    pub syn: u64,
    pub synack: u64,
    pub rst: u64,
    pub midstream_pickups: u64,
    pub invalid_checksum: u64,
    pub reassembly_gap: u64,
    pub overlap: u64,
    pub memuse: u64,
    pub reassembly_memuse: u64,
}
