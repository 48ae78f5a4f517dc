//! Counts TCP payload by kind of traffic: HTTP on the configured ports, TLS, HTTP on other ports, and the rest, so that
//! a run without alerts can be explained. Classifies single packets; it is not a protocol detector.

use crate::http;
use crate::sensor::Ports;

crate::counters! {
    /// TCP payload bytes by kind, and HTTP messages on other ports.
    pub struct Counters {
        /// Payload bytes on the configured HTTP ports.
        http_bytes: "traffic.http_bytes",
        /// Payload bytes that are TLS, by the record header or the port.
        tls_bytes: "traffic.tls_bytes",
        /// Other TCP payload bytes.
        other_bytes: "traffic.other_bytes",
        /// HTTP messages on ports that are not configured for HTTP.
        http_elsewhere: "traffic.http_elsewhere",
    }
}

/// Ports stored in `elsewhere`, at most.
const MAX_PORTS: usize = 8;

/// Classifies TCP payload by kind of traffic.
#[derive(Clone, Debug, Default)]
pub struct TrafficStats {
    /// Payload bytes and messages by kind.
    pub counters: Counters,
    /// The first ports, up to eight, on which HTTP was seen although they are not configured for it.
    pub elsewhere: Vec<u16>,
}

impl TrafficStats {
    /// Classifies and counts a TCP payload; returns whether one of its ports is configured for HTTP.
    pub fn classify(&mut self, ports: &Ports, low: u16, high: u16, payload: &[u8]) -> bool {
        let len = payload.len() as u64;
        if ports.contains(low) || ports.contains(high) {
            self.counters.http_bytes += len;
            return true;
        }
        if is_tls(payload) || low == 443 || high == 443 {
            self.counters.tls_bytes += len;
        } else {
            self.counters.other_bytes += len;
            if http::guess(payload).is_some() {
                self.note_elsewhere(low.min(high));
            }
        }
        false
    }

    fn note_elsewhere(&mut self, port: u16) {
        self.counters.http_elsewhere += 1;
        if self.elsewhere.len() < MAX_PORTS && !self.elsewhere.contains(&port) {
            self.elsewhere.push(port);
        }
    }
}

/// Reports whether the payload begins with a TLS record header (RFC 8446 section 5.1).
fn is_tls(payload: &[u8]) -> bool {
    matches!(payload, [20..=23, 3, 0..=4, ..])
}
