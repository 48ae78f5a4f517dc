//! What kind of traffic there was, so that silence is readable: HTTP where it was looked for, TLS, HTTP elsewhere, and
//! the rest. A glance at single packets, not a protocol detector.

use crate::http;
use crate::sensor::Ports;

crate::counters! {
    /// TCP payload bytes by kind, and HTTP messages on other ports.
    pub struct Counters {
        /// Payload bytes on the ports taken for HTTP.
        http_bytes: "traffic.http_bytes",
        /// Payload bytes that are TLS, by the record header or the port.
        tls_bytes: "traffic.tls_bytes",
        /// Other TCP payload bytes.
        other_bytes: "traffic.other_bytes",
        /// HTTP messages on ports that are not taken for HTTP.
        http_elsewhere: "traffic.http_elsewhere",
    }
}

/// Ports remembered by name.
const REMEMBERED: usize = 8;

/// The glance.
#[derive(Clone, Debug, Default)]
pub struct TrafficStats {
    /// What was counted.
    pub counters: Counters,
    /// The first ports on which HTTP was seen though they are not taken for it.
    pub elsewhere: Vec<u16>,
}

impl TrafficStats {
    /// Looks at a TCP payload; says whether its ports are taken for HTTP.
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
        if self.elsewhere.len() < REMEMBERED && !self.elsewhere.contains(&port) {
            self.elsewhere.push(port);
        }
    }
}

/// Whether the payload begins with a TLS record header (RFC 8446 section 5.1).
fn is_tls(payload: &[u8]) -> bool {
    matches!(payload, [20..=23, 3, 0..=4, ..])
}
