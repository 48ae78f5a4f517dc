//! Signatures: what probes look like, read from TOML, checked, and found by a perfect hash of the normal form.

use crate::outcome::Outcome;

/// How sure one can be that a request which matches is a probe (EVE metadata `confidence`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Legitimate traffic may look the same.
    Low,
    /// Rarely legitimate.
    Medium,
    /// Nobody asks for this by accident.
    High,
}

/// A sample request of a signature, sent through the whole pipeline by the tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Request method; `GET` unless stated.
    pub method: String,
    /// Request target as on the wire.
    pub target: String,
}

/// One checked signature.
#[derive(Clone, Debug)]
pub struct Signature {
    /// Signature id (EVE `signature_id`), never reused.
    pub id: u32,
    /// Revision.
    pub rev: u32,
    /// Short name without spaces.
    pub slug: String,
    /// What was looked for, in a few words; `SMSENTRY ` is put before it in the output.
    pub title: String,
    /// The family: its file's subject.
    pub family: String,
    /// The product that is looked for.
    pub product: String,
    /// 2 or 3; 1 is reserved for `exposed`.
    pub severity: u8,
    /// How sure a match is.
    pub confidence: Confidence,
    /// Methods it is limited to, upper case; empty for any.
    pub methods: Vec<String>,
    /// Where it was seen and what it means: URLs.
    pub references: Vec<String>,
    /// CVE ids.
    pub cve: Vec<String>,
    /// Day it was written, `YYYY_MM_DD`.
    pub created_at: String,
    /// Day of its last change, `YYYY_MM_DD`.
    pub updated_at: String,
    /// What an answer means where it differs from the general table.
    pub exposed: Exposed,
    /// Requests it must match.
    pub hits: Vec<Example>,
    /// Requests that no signature... may take for this one.
    pub misses: Vec<Example>,
    /// Whether it is a `host` signature: CONNECT answered 2xx proves an open proxy.
    pub proxy: bool,
}

/// The signature's own test of an answer.
#[derive(Clone, Debug, Default)]
pub struct Exposed {
    /// Media types (without parameters, lower case; `text/*` style allowed) that a real answer has.
    pub content_types: Vec<String>,
    /// Outcomes for single status codes that differ from the general table.
    pub status: Vec<(u16, Outcome)>,
    /// Whether a 2xx of one of `content_types` is proof by itself; otherwise it is `present`.
    pub proven_by_type: bool,
}
