//! A signature's own test of responses: status codes, media types and body tests. The general table is in `outcome`.

use serde::{Deserialize, Serialize};

use super::body_test::BodyTest;
use super::media_type::media_type;
use super::outcome::Outcome;

/// Test of a response. A media type is in lower case and without parameters; `text/*` means every subtype, `none` a
/// response without Content-Type (Apache sends none for an unknown extension).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exposed {
    /// Media types of a genuine response.
    pub content_types: Vec<String>,
    /// Outcomes for single status codes that differ from the general table.
    pub status: Vec<(u16, Outcome)>,
    /// Whether a 2xx of one of `content_types` is proof by itself; otherwise it is `present`.
    pub proven_by_type: bool,
    /// Further media types that a genuine response may have, never proof: a 2xx of one of them is `present`.
    pub present_types: Vec<String>,
    /// Tests of the beginning of a body; a match of any of them is proof. Empty: the media type is enough.
    pub body: Vec<BodyTest>,
}

impl Exposed {
    /// Returns the signature's own outcome for a response: the one assigned to the status, else [`Outcome::Exposed`] or
    /// [`Outcome::Present`] for a 2xx of an expected type. `None` leaves the response to the general table.
    /// `content_type` is the raw field value.
    #[must_use]
    pub fn own_outcome(&self, status: u16, content_type: Option<&[u8]>) -> Option<Outcome> {
        if let Some(&(_, outcome)) = self.status.iter().find(|(code, _)| *code == status) {
            return Some(outcome);
        }
        if (200..300).contains(&status) { self.outcome_by_type(content_type) } else { None }
    }

    /// Returns the outcome that the type of a 2xx implies: [`Outcome::Exposed`] if it is proof, alone or together with
    /// the body.
    #[must_use]
    pub fn outcome_by_type(&self, content_type: Option<&[u8]>) -> Option<Outcome> {
        if self.content_types.iter().any(|expected| is_type(expected, content_type)) {
            return Some(if self.proven_by_type { Outcome::Exposed } else { Outcome::Present });
        }
        self.present_types.iter().any(|expected| is_type(expected, content_type)).then_some(Outcome::Present)
    }
}

/// Reports whether a Content-Type value (RFC 9110 section 8.3) has the media type `expected`.
fn is_type(expected: &str, content_type: Option<&[u8]>) -> bool {
    let media_type = media_type(content_type.unwrap_or_default());
    if media_type.is_empty() {
        return expected == "none";
    }
    match expected.strip_suffix('*') {
        Some(main) => media_type.get(..main.len()).is_some_and(|head| head.eq_ignore_ascii_case(main.as_bytes())),
        None => media_type.eq_ignore_ascii_case(expected.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_outcome_depends_on_status_and_type() {
        let exposed = Exposed {
            content_types: vec!["text/plain".into(), "none".into()],
            status: vec![(405, Outcome::Present)],
            proven_by_type: true,
            present_types: vec!["application/*".into()],
            body: Vec::new(),
        };
        for (status, content_type, expected) in [
            (200, Some("text/plain"), Some(Outcome::Exposed)),
            (206, Some(" Text/Plain ; charset=utf-8"), Some(Outcome::Exposed)),
            (200, None, Some(Outcome::Exposed)),
            (200, Some("application/json"), Some(Outcome::Present)),
            (200, Some("text/html"), None),
            (200, Some("text/plainer"), None),
            (404, Some("text/plain"), None),
            (304, None, None),
            (405, Some("text/html"), Some(Outcome::Present)),
        ] {
            let outcome = exposed.own_outcome(status, content_type.map(str::as_bytes));
            assert_eq!(outcome, expected, "{status} {content_type:?}");
        }
    }
}
