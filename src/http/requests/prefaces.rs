//! Skips prefaces at the beginning of the client's stream. Their formats are those of [`crate::http::preface`].

use super::{Phase, Prefaces, RequestHandler, Requests};
use crate::http::preface::{Kind, Parsed, Preface, PrefaceBuffer, of_client};
use crate::http::{ParseContext, StreamPosition};

impl Requests {
    /// Looks for a preface where one may begin. Returns the number of bytes consumed.
    pub(super) fn start_preface(
        &mut self,
        bytes: &[u8],
        here: StreamPosition,
        context: &mut ParseContext<'_, impl RequestHandler>,
    ) -> usize {
        match self.parse_preface(bytes) {
            Parsed::Absent => {
                self.prefaces = Prefaces::None;
                0
            }
            Parsed::Incomplete => {
                self.phase = Phase::Preface(Box::new(PrefaceBuffer { bytes: bytes.to_vec(), start: here }));
                bytes.len()
            }
            Parsed::Complete(preface) => self.enter_preface(preface, 0, bytes.len(), context),
        }
    }

    /// Adds bytes to what may become a preface. Returns the number of bytes consumed.
    pub(super) fn buffer_preface(
        &mut self,
        bytes: &[u8],
        context: &mut ParseContext<'_, impl RequestHandler>,
    ) -> usize {
        let Phase::Preface(buffer) = std::mem::take(&mut self.phase) else { return 0 };
        let PrefaceBuffer { bytes: mut buffered, start } = *buffer;
        let before = buffered.len();
        // More bytes than can be incomplete are not needed.
        buffered.extend_from_slice(&bytes[..bytes.len().min(PrefaceBuffer::MAX_LEN)]);
        match self.parse_preface(&buffered) {
            Parsed::Absent => {
                self.prefaces = Prefaces::None;
                self.parse(&buffered[..before], start.offset, start.acked, context);
                0
            }
            Parsed::Incomplete => {
                self.phase = Phase::Preface(Box::new(PrefaceBuffer { bytes: buffered, start }));
                bytes.len()
            }
            Parsed::Complete(preface) => self.enter_preface(preface, before, bytes.len(), context),
        }
    }

    fn parse_preface(&self, bytes: &[u8]) -> Parsed {
        match of_client(bytes) {
            Parsed::Complete(Preface { kind: Kind::Proxy, .. }) if self.prefaces != Prefaces::Any => Parsed::Absent,
            parsed => parsed,
        }
    }

    /// Skips a preface of which `before` bytes were consumed before, and `available` more are there now. Returns how
    /// many of those are consumed.
    fn enter_preface(
        &mut self,
        preface: Preface,
        before: usize,
        available: usize,
        context: &mut ParseContext<'_, impl RequestHandler>,
    ) -> usize {
        context.counters.prefaces += 1;
        if let Some(source) = preface.source {
            context.handler.proxied(source);
        }
        self.prefaces = match preface.kind {
            Kind::Proxy => Prefaces::OnlySocks,
            Kind::Socks => Prefaces::None,
        };
        let taken = (preface.len - before).min(available);
        let rest = preface.len - before - taken;
        self.phase = if rest > 0 { Phase::PrefaceRest(rest) } else { Phase::Start };
        taken
    }
}
