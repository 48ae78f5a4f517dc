//! The records and events that the sensor and the alert pipeline produce: plain owned data, complete enough to be
//! written in any format. Knows no output format; see [`crate::format`].

mod campaign;
mod list;
mod stats;

pub use campaign::{Campaign, CampaignStage};
pub use list::List;
pub use stats::{FlowTotals, PacketTotals, Stats};

use std::borrow::Cow;
use std::sync::Arc;

use crate::outcome::Outcome;
use crate::segment::{Encapsulation, Endpoint};
use crate::signature::Signature;
use crate::time::Timestamp;
use crate::uri::Evasions;

/// An output item of the sensor and an input item of the alert pipeline.
#[derive(Clone, Debug)]
pub enum Event {
    /// A record.
    Record(Record),
    /// A web page was shown to a client. Never written; the alert pipeline evaluates the client's later requests with
    /// it.
    PageView(Order, PageView),
}

impl Event {
    /// Returns the event's position in the order of processing.
    #[must_use]
    pub const fn order(&self) -> Order {
        match self {
            Self::Record(Record { order, .. }) | Self::PageView(order, _) => *order,
        }
    }

    /// Returns the record, if the event is one.
    #[must_use]
    pub const fn record(&self) -> Option<&Record> {
        match self {
            Self::Record(record) => Some(record),
            Self::PageView(..) => None,
        }
    }
}

impl From<Record> for Event {
    fn from(record: Record) -> Self {
        Self::Record(record)
    }
}

/// A record to be written, with its position in the output.
#[derive(Clone, Debug)]
pub struct Record {
    /// Position in the output.
    pub order: Order,
    /// Contents.
    pub body: Body,
}

/// The contents of a record.
#[derive(Clone, Debug)]
pub enum Body {
    /// An alert for one probe.
    Alert(Box<Alert>),
    /// A request, whether or not it matched, and its response.
    Http(Box<Transaction>),
    /// The probes of one source, correlated into a campaign.
    Campaign(Box<Campaign>),
    /// The periodic counters.
    Stats(Box<Stats>),
}

/// Position of an event in the order of processing: total, and independent of lanes, blocks and table keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order {
    /// Time of the decision: the clock at the packet that decided it, or the deadline that passed.
    pub decided_at: Timestamp,
    /// Running number of the deciding packet; 0 for a deadline.
    pub decided_by: u64,
    /// Running number of the packet that completed the request.
    pub request: u64,
    /// Index of the request in its flow, from 0.
    pub tx_id: u32,
    /// Kind of event; alerts come before http records.
    pub kind: EventKind,
    /// Signature id; 0 if there is none.
    pub sid: u32,
}

/// A web page sent as a response: the first of its flow, then at most one per minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageView {
    /// Client that received the page.
    pub client: std::net::IpAddr,
    /// Server that sent the page.
    pub server: std::net::IpAddr,
}

/// The kind of an event, in the order of processing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventKind {
    /// [`Event::PageView`].
    PageView,
    /// [`Body::Alert`].
    Alert,
    /// [`Body::Campaign`]: follows the record that caused it.
    Campaign,
    /// [`Body::Http`].
    Http,
    /// [`Body::Stats`].
    Stats,
}

/// A request with what is known of its response and its flow.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// Time of the packet that completed the request's head.
    pub timestamp: Timestamp,
    /// Number of that packet in its input, from 1 (`pcap_cnt`).
    pub frame: u64,
    /// Index of the input in the run's list of inputs.
    pub input: u32,
    /// Client address and port.
    pub client: Endpoint,
    /// Server address and port.
    pub server: Endpoint,
    /// Encapsulation of that packet.
    pub encapsulation: Encapsulation,
    /// The flow as of the deciding packet.
    pub flow: FlowFacts,
    /// Index of the request in its flow, from 0.
    pub tx_id: u32,
    /// The request.
    pub request: Request,
    /// The response, if one was seen.
    pub response: Option<Response>,
}

impl Transaction {
    /// Returns the size of its heap allocations, in bytes.
    #[must_use]
    pub fn heap(&self) -> usize {
        let length = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, Vec::len);
        let request = &self.request;
        let fields = [&request.host, &request.user_agent, &request.referrer, &request.forwarded_for].map(length);
        let response = self
            .response
            .as_ref()
            .map_or(0, |response| response.reason.len() + length(&response.content_type) + length(&response.location));
        let line = request.method.len() + request.target.len() + request.protocol.len();
        line + fields.iter().sum::<usize>() + response
    }
}

/// The properties of a flow that records contain.
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
    /// Returns EVE's `flow_id`: 51 bits, so that JavaScript represents it exactly.
    #[must_use]
    pub const fn eve_id(&self) -> u64 {
        // 51 bits fit in 64.
        (self.id & ((1 << 51) - 1)) as u64
    }
}

/// A request as on the wire: bytes chosen by the remote peer.
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
    /// Whether a limit, a gap or the end of the flow cut the head.
    pub truncated: bool,
}

impl Request {
    /// Returns the protocol version as written; `HTTP/0.9` for a complete request without one, `None` if the head was
    /// cut before it.
    #[must_use]
    pub fn version(&self) -> Option<&[u8]> {
        match &*self.protocol {
            b"" if self.truncated => None,
            b"" => Some(b"HTTP/0.9"),
            protocol => Some(protocol),
        }
    }
}

/// A response as on the wire.
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
    /// `Content-Length`, if there is a valid one.
    pub content_length: Option<u64>,
    /// Body bytes seen so far.
    pub body_len: u64,
}

/// An alert: a request that matched a signature, and its outcome.
#[derive(Clone, Debug)]
pub struct Alert {
    /// The request and its response.
    pub transaction: Box<Transaction>,
    /// The signature with the best match.
    pub signature: Arc<Signature>,
    /// Outcome of the request.
    pub outcome: Outcome,
    /// The normal form that matched.
    pub matched: Vec<u8>,
    /// The evasions that normalisation undid.
    pub evasions: Evasions,
    /// Whether copies of the flow's bytes disagreed (`tcp-conflict`).
    pub conflict: bool,
    /// Slugs of the other signatures that match.
    pub also: Vec<String>,
    /// Outcome already reported for the same request, if a later response, or a later part of it, proved this one
    /// (`smsentry_update: late-answer`).
    pub late: Option<Outcome>,
    /// Whether it exceeds its flow's limit of repeated alerts: it only counts in its campaign.
    pub suppressed: bool,
    /// The rightmost untrusted address of `X-Forwarded-For`, if trusted proxies are configured.
    pub forwarded_for: Option<std::net::IpAddr>,
    /// Properties of the request's head that identify the sender's software.
    pub traits: RequestTraits,
    /// Reasons why the confidence was raised or lowered (`smsentry_context`).
    pub context: Vec<String>,
    /// Number of alerts that this one represents, itself included; more than 1 only if repeated alerts are merged.
    pub repeats: u64,
}

/// Properties of a request's head that identify the sender's software, apart from the field values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestTraits {
    /// A published hash of the field names in their order, lower case: the same on every sensor.
    pub field_order: u64,
    /// Whether there is a `Cookie` field.
    pub cookie: bool,
    /// Whether it looks like the provider's own webhook calls, as the signature describes them.
    pub webhook: bool,
}

impl Alert {
    /// Returns EVE's severity, 1 (high) to 3: 1 is reserved for `exposed`; `not_found` and `refused` are always 3.
    #[must_use]
    pub fn severity(&self) -> u8 {
        match self.outcome {
            Outcome::Exposed => 1,
            Outcome::NotFound | Outcome::Refused => 3,
            _ => self.signature.severity.clamp(2, 3),
        }
    }

    /// Returns its memory in bytes, as far as a remote peer controls the length.
    #[must_use]
    pub fn memory(&self) -> usize {
        let lists = self.also.iter().chain(&self.context);
        let listed: usize = lists.map(|member| size_of::<String>() + member.len()).sum();
        let transaction = size_of::<Transaction>() + self.transaction.heap();
        size_of::<Self>() + transaction + self.matched.len() + listed
    }
}
