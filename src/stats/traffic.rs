//! Counts the TCP payload on ports that are not in `--ports` by kind of traffic: TLS, HTTP, and the rest, so that a run
//! without alerts can be explained. Classifies single packets and remembers the flows of TLS; it is not a protocol
//! detector. The payload on the configured ports is counted by [`crate::sensor`].

use crate::http;
use crate::segment::{FlowKey, Side};
use crate::sensor::{PayloadCounters, TLS_PORT};
use crate::table::{KeyedHasher, TableKey};

crate::counters! {
    /// HTTP messages on other ports.
    pub struct Counters {
        /// HTTP messages on ports that are not configured for HTTP.
        http_elsewhere: "traffic.http_elsewhere",
    }
}

/// Ports stored in `elsewhere`, at most.
const MAX_PORTS: usize = 8;

/// Flows of TLS remembered. Rationale: a collision only lets a few packets count as other traffic; 16 KiB stay in the
/// cache.
const FLOWS: usize = 4096;

/// Classifies TCP payload by kind of traffic.
#[derive(Clone, Debug, Default)]
pub struct TrafficStats {
    /// Messages by kind.
    pub counters: Counters,
    /// Payload bytes by kind.
    pub payload: PayloadCounters,
    /// The first ports, up to eight, on which HTTP was seen although they are not configured for it.
    pub elsewhere: Vec<u16>,
    /// Hashes of flows in which a TLS record began a packet, on other ports than 443. Empty until there is one.
    tls_flows: Vec<u32>,
}

impl TrafficStats {
    /// Classifies and counts a TCP payload between ports that are not configured for HTTP.
    pub fn count(&mut self, key: &FlowKey, payload: &[u8]) {
        let len = payload.len() as u64;
        if len == 0 {
            return;
        }
        let [low, high] = [key.port(Side::Low), key.port(Side::High)];
        if low == TLS_PORT || high == TLS_PORT || self.is_tls(payload, key) {
            self.payload.tls_bytes += len;
            return;
        }
        self.payload.other_bytes += len;
        if http::guess(payload).is_some() {
            self.note_elsewhere(low.min(high));
        }
    }

    /// Returns whether a payload begins with a TLS record, or its flow had one that did.
    fn is_tls(&mut self, payload: &[u8], key: &FlowKey) -> bool {
        let record = http::is_tls_record(payload);
        if !record && self.tls_flows.is_empty() {
            return false;
        }
        // Without a secret key: a collision that was made on purpose changes a share of these statistics, nothing else.
        let hash = key.hash(&KeyedHasher::new());
        // Zero marks an empty entry.
        let (at, tag) = ((hash >> 32) as usize % FLOWS, hash as u32 | 1);
        if record {
            self.tls_flows.resize(FLOWS, 0);
            self.tls_flows[at] = tag;
        }
        self.tls_flows[at] == tag
    }

    fn note_elsewhere(&mut self, port: u16) {
        self.counters.http_elsewhere += 1;
        if self.elsewhere.len() < MAX_PORTS && !self.elsewhere.contains(&port) {
            self.elsewhere.push(port);
        }
    }
}
