//! What the server's answer means for a signature: the table from status and content type to an outcome. Not the
//! pairing of answers with requests, which is the business of [`crate::http`].

use crate::http::Response;
use crate::signature::Signature;

pub use crate::signature::Outcome;

/// What the final answer to a request means for the signature that the request matched.
///
/// Status codes are those of RFC 9110 section 15; the signature's own overrides come first.
#[must_use]
pub fn judge(signature: &Signature, method: &[u8], answer: &Response<'_>) -> Outcome {
    let exposed = &signature.exposed;
    if let Some(&(_, outcome)) = exposed.status.iter().find(|(status, _)| *status == answer.status) {
        return outcome;
    }
    match answer.status {
        200..=299 if signature.proxy && method == b"CONNECT" => Outcome::Exposed,
        200..=299 => success(signature, method, answer),
        401 | 304 => Outcome::Present,
        300..=399 => Outcome::Redirected,
        404 | 410 => Outcome::NotFound,
        408 | 429 | 500..=599 => Outcome::Error,
        400..=499 => Outcome::Refused,
        _ => Outcome::Unproven,
    }
}

/// A 2xx proves something only if it is of the type that the thing looked for has, and carries it.
fn success(signature: &Signature, method: &[u8], answer: &Response<'_>) -> Outcome {
    // 204 and 205 carry nothing (RFC 9110 section 15.3.5, 15.3.6), and an executed script leaves an empty page.
    if answer.content_length == Some(0) || matches!(answer.status, 204 | 205) {
        return Outcome::Unproven;
    }
    match signature.exposed.verdict(answer.status, answer.content_type) {
        // The answer to HEAD says what there is, and gives nothing away (RFC 9110 section 9.3.2).
        Some(Outcome::Exposed) if method.eq_ignore_ascii_case(b"HEAD") => Outcome::Present,
        Some(outcome) => outcome,
        None => Outcome::Unproven,
    }
}
