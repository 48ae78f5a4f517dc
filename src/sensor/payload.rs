//! Counts the TCP payload of flows by what they carry. Does not decide what that is; see [`crate::http`].

use super::FlowState;
use crate::http::Carries;
use crate::segment::{FlowKey, Side};

crate::counters! {
    /// TCP payload in bytes by what its flow carries.
    pub struct PayloadCounters {
        /// Payload of flows in which HTTP was found.
        http_bytes: "traffic.http_bytes",
        /// Payload of flows that carry TLS, by the first record header or the port.
        tls_bytes: "traffic.tls_bytes",
        /// Payload of other flows.
        other_bytes: "traffic.other_bytes",
    }
}

/// The port on which bytes that are nothing else count as TLS: a capture may begin within a record.
pub(crate) const TLS_PORT: u16 = 443;

impl PayloadCounters {
    /// Counts payload as it is delivered or passed over. That of a flow of which nothing is known is counted once something
    /// is.
    #[inline]
    pub(super) fn count(&mut self, key: &FlowKey, state: &mut FlowState, len: usize) {
        if state.carries == Carries::Http && state.uncounted == 0 {
            self.http_bytes += len as u64;
            return;
        }
        state.uncounted = state.uncounted.saturating_add(len as u64);
        if state.carries != Carries::Undecided {
            self.count_rest(key, state);
        }
    }

    /// Counts what was not counted yet, at the latest when the flow ends.
    pub(super) fn count_rest(&mut self, key: &FlowKey, state: &mut FlowState) {
        let total = match state.carries {
            Carries::Http => &mut self.http_bytes,
            Carries::Tls => &mut self.tls_bytes,
            _ if key.port(Side::Low) == TLS_PORT || key.port(Side::High) == TLS_PORT => &mut self.tls_bytes,
            Carries::Undecided | Carries::Other => &mut self.other_bytes,
        };
        *total += std::mem::take(&mut state.uncounted);
    }
}
