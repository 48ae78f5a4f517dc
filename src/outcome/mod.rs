//! What the server's answer means for a signature: the table from status, content type and the first bytes of the body
//! to an outcome. Not the pairing of answers with requests, which is the business of [`crate::http`].

mod content;

use crate::http::Response;
use crate::signature::Signature;

pub use crate::signature::Outcome;
pub use content::Coding;

/// What the head of an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assessment {
    /// Whatever the body is.
    Final(Outcome),
    /// The body decides.
    NeedsBody(BodyCheck),
}

/// An outcome that is known once the body was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyCheck {
    /// How the body is coded.
    coding: Coding,
    /// What the answer means if the body proves nothing.
    otherwise: Outcome,
}

impl BodyCheck {
    /// What the answer means with this beginning of its body, as on the wire.
    #[must_use]
    pub fn decide(self, signature: &Signature, body: &[u8]) -> Outcome {
        let proven = self.coding.decoded(body, |body| signature.exposed.body.iter().any(|test| test.matches(body)));
        if proven { Outcome::Exposed } else { self.otherwise }
    }
}

/// What the head of the final answer to a request means for the signature that the request matched.
///
/// Status codes are those of RFC 9110 section 15; the signature's own overrides come first.
#[must_use]
pub fn assess(signature: &Signature, method: &[u8], answer: &Response<'_>) -> Assessment {
    let exposed = &signature.exposed;
    let own = exposed.status.iter().find(|(status, _)| *status == answer.status).map(|&(_, outcome)| outcome);
    if let Some(outcome) = own.filter(|&outcome| outcome != Outcome::Exposed || exposed.body.is_empty()) {
        return Assessment::Final(outcome);
    }
    let connected = signature.proxy && method == b"CONNECT";
    let (otherwise, may_prove) = match answer.status {
        200..=299 if connected => return Assessment::Final(Outcome::Exposed),
        200..=299 => success(signature, method, answer),
        401 | 304 => (Outcome::Present, false),
        300..=399 => (Outcome::Redirected, false),
        404 | 410 => (Outcome::NotFound, false),
        408 | 429 | 500..=599 => (Outcome::Error, false),
        400..=499 => (Outcome::Refused, false),
        _ => (Outcome::Unproven, false),
    };
    match Coding::of(answer.content_encoding) {
        Some(coding) if (may_prove || own.is_some()) && has_body(method, answer) => {
            Assessment::NeedsBody(BodyCheck { coding, otherwise })
        }
        _ => Assessment::Final(otherwise),
    }
}

/// What a 2xx means whose body was not looked at, and whether the body may prove more. It proves something only if it is
/// of the type that the thing looked for has, and carries it.
fn success(signature: &Signature, method: &[u8], answer: &Response<'_>) -> (Outcome, bool) {
    let exposed = &signature.exposed;
    // An executed script leaves an empty page.
    if answer.content_length == Some(0) || matches!(answer.status, 204 | 205) {
        return (Outcome::Unproven, false);
    }
    let by_type = exposed.by_type(answer.content_type);
    let may_prove = !exposed.body.is_empty() && (!exposed.proven_by_type || by_type == Some(Outcome::Exposed));
    let otherwise = match by_type {
        // The answer to HEAD says what there is, and gives nothing away (RFC 9110 section 9.3.2).
        Some(Outcome::Exposed) if may_prove || method.eq_ignore_ascii_case(b"HEAD") => Outcome::Present,
        Some(outcome) => outcome,
        None => Outcome::Unproven,
    };
    (otherwise, may_prove)
}

/// Whether an answer has a body to look at (RFC 9112 section 6.3; RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5).
fn has_body(method: &[u8], answer: &Response<'_>) -> bool {
    let is = |known: &[u8]| method.eq_ignore_ascii_case(known);
    let tunnel = is(b"CONNECT") && (200..300).contains(&answer.status);
    !(is(b"HEAD") || tunnel || answer.content_length == Some(0) || matches!(answer.status, 101 | 204 | 205 | 304))
}
