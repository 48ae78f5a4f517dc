//! Outcome of a probe from the server's response: maps status code, content type and the first bytes of the body to an
//! [`Outcome`]. Does not pair responses with requests; see [`crate::http`].

mod content_coding;

use crate::http::Response;
use crate::signature::Signature;

pub use crate::signature::Outcome;
pub use content_coding::ContentCoding;

/// Assessment of a response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assessment {
    /// The outcome, regardless of the body.
    Final(Outcome),
    /// The body decides.
    NeedsBody(BodyCheck),
}

/// Check of a response body that decides the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyCheck {
    /// Content coding of the body.
    coding: ContentCoding,
    /// Outcome if no test of the signature matches the body.
    otherwise: Outcome,
}

impl BodyCheck {
    /// Returns the outcome for the beginning of the body as transferred, still content-coded.
    #[must_use]
    pub fn decide(self, signature: &Signature, body: &[u8]) -> Outcome {
        let tests = &signature.exposed.body;
        let proven = self.coding.with_decoded(body, |decoded| tests.iter().any(|test| test.matches(decoded)));
        if proven { Outcome::Exposed } else { self.otherwise }
    }
}

/// Assesses the head of the final response to a request that `signature` matched.
///
/// Status codes are those of RFC 9110 section 15; the signature's own overrides come first.
#[must_use]
pub fn assess(signature: &Signature, method: &[u8], response: &Response<'_>) -> Assessment {
    let exposed = &signature.exposed;
    let own = exposed.status.iter().find(|(status, _)| *status == response.status).map(|&(_, outcome)| outcome);
    if let Some(outcome) = own.filter(|&outcome| outcome != Outcome::Exposed || exposed.body.is_empty()) {
        return Assessment::Final(outcome);
    }
    let connected = signature.proxy && method == b"CONNECT";
    let (otherwise, may_prove) = match response.status {
        200..=299 if connected => return Assessment::Final(Outcome::Exposed),
        200..=299 => assess_success(signature, method, response),
        401 | 304 => (Outcome::Present, false),
        300..=399 => (Outcome::Redirected, false),
        404 | 410 => (Outcome::NotFound, false),
        408 | 429 | 500..=599 => (Outcome::Error, false),
        400..=499 => (Outcome::Refused, false),
        _ => (Outcome::Unproven, false),
    };
    match ContentCoding::from_header(response.content_encoding) {
        Some(coding) if (may_prove || own.is_some()) && has_body(method, response) => {
            Assessment::NeedsBody(BodyCheck { coding, otherwise })
        }
        _ => Assessment::Final(otherwise),
    }
}

/// Returns the outcome of a 2xx without its body, and whether the body may prove more. A body is proof only if the
/// response has the media type that the signature expects and a body test matches.
fn assess_success(signature: &Signature, method: &[u8], response: &Response<'_>) -> (Outcome, bool) {
    let exposed = &signature.exposed;
    // A script that was executed, not disclosed, usually returns an empty page.
    if response.content_length == Some(0) || matches!(response.status, 204 | 205) {
        return (Outcome::Unproven, false);
    }
    // Where the head was cut, a type that is not there is not known to be absent.
    let known = response.content_type.is_some() || !response.truncated;
    let by_type = known.then(|| exposed.outcome_by_type(response.content_type)).flatten();
    let may_prove = !exposed.body.is_empty() && (!exposed.proven_by_type || by_type == Some(Outcome::Exposed));
    let otherwise = match by_type {
        // The response to HEAD shows that the resource exists and discloses nothing (RFC 9110 section 9.3.2).
        Some(Outcome::Exposed) if may_prove || method.eq_ignore_ascii_case(b"HEAD") => Outcome::Present,
        Some(outcome) => outcome,
        None => Outcome::Unproven,
    };
    (otherwise, may_prove)
}

/// Reports whether a response has a body (RFC 9112 section 6.3; RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5).
fn has_body(method: &[u8], response: &Response<'_>) -> bool {
    let is = |known: &[u8]| method.eq_ignore_ascii_case(known);
    let tunnel = is(b"CONNECT") && (200..300).contains(&response.status);
    !(is(b"HEAD") || tunnel || response.content_length == Some(0) || matches!(response.status, 101 | 204 | 205 | 304))
}
