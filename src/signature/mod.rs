//! Signatures: what probes look like, read from TOML, checked, and found by a perfect hash of the normal form. Not the
//! normal form itself ([`crate::uri`]), and not what an answer means (`outcome`).
//!
//! Where what is done: `file.rs` and `pattern.rs` read one file, `load.rs` checks all of them together, `table.rs` and
//! `perfect_hash.rs` hold `path`, `suffix`, `prefix` and `host` patterns, `words.rs` the word lists, `prebuilt.rs` what the build
//! makes of the built-in files, `find.rs` asks them all and chooses, `search.rs` remembers
//! what it said, `outcome.rs` has the words for what came of it, `examples.rs` runs a signature's own examples.
//!
//! A signature file has a `family`, a `mitre` place (both may stand in a signature instead), `lists` of words and
//! `answers` that its signatures share, and signatures:
//!
//! ```
//! # use smsentry::signature::{SignatureFile, SignatureOrigin, Signatures};
//! # let text = r#"
//! family = "leaked-config"
//! mitre = { tactic = "TA0006 Credential Access", technique = "T1552.001 Credentials In Files" }
//! lists.documents = [".html", ".pdf"]   # `$documents` in a list of words
//! answers.json = { proof = ["application/json"], body = ['^\s*[{\[]'] }
//!
//! [[signature]]
//! id = 1010000                          # 1010000 to 1999999, never reused
//! rev = 1
//! slug = "acme-sms-keys"
//! title = "ACME SMS key file probe"
//! product = "ACME SMS"
//! severity = 2                          # 2 or 3
//! confidence = "high"                   # low, medium, high
//! match.path = "/acme/keys.json"        # path, suffix, prefix, host, raw: a string or a list; words: lists; path_file
//! ## Entries of words: `word`, `.ending`, `/word` of the last name, `/NAME/` a whole name, `/NAME/word` a word of the name
//! ## right below it, `/` no ending, `$name` a list of the file. Write the rarest words into the first list.
//! ## From here on everything may be left out.
//! match.unless = ["blog", "$documents"] # words and endings that rule a match out, beside every kind but host and raw
//! ## Beside `words` only: match.last = 1 (the words stand in the last segment; endings always do), and with it
//! ## match.only = true (and that segment has no other words).
//! status = "active"                     # or "support": never alerts alone
//! methods = ["GET"]
//! query = ["account", "format=full"]    # all must hold
//! exposed.like = "json"                 # one of `answers` of the file fills in what is not said here
//! exposed.proof = ["application/json"]  # a 2xx of this type is exposed; "none" is no Content-Type, "text/*" any text
//! exposed.present = ["text/plain"]      # a 2xx of this type is present
//! exposed.status = { 405 = "present" }
//! exposed.body = ['"api_?key"\s*:']    # regular expressions over the first 1024 bytes: proof needs one of them too
//! legitimate.after_page = true          # visitors fetch it too: with a Referer of the same site, after a page
//! legitimate.webhook = { agents = ["AcmeProxy/"], fields = ["X-Acme-Signature"] } # so does the provider, by POST
//! references = ["https://www.example.org/advisory"]
//! cve = ["CVE-2025-0001"]
//! created_at = "2025_05_01"
//! updated_at = "2025_05_01"
//! hits = ["/acme/keys.json?account=1&format=full"]
//! misses = ["/acme/keys.json", "POST /acme/keys.json"]
//! # "#;
//! # let source = SignatureFile { name: "acme.toml", text, origin: SignatureOrigin::User };
//! # let set = Signatures::load(&[source], &mut |name| Err(name.to_owned())).unwrap();
//! # assert_eq!((set.len(), set.failing_examples().len()), (1, 0));
//! ```

mod bloom;
mod diagnostics;
mod examples;
mod file;
mod load;
mod match_cache;
mod matcher;
mod outcome;
mod overlap;
mod pattern;
mod perfect_hash;
mod prebuilt;
mod source;
mod table;
mod words;

use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

pub use load::{Signatures, builtin};
pub use match_cache::{CachedMatcher, MatchResult};
pub use matcher::Match;
pub use outcome::Outcome;
pub use overlap::{Overlap, Shadowed};
pub use source::{LoadError, SignatureFile, SignatureOrigin};

/// How a pattern is compared; the better match first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum MatchKind {
    /// The whole path, at the root.
    Path,
    /// The end of the path at a segment boundary, below any directory.
    Suffix,
    /// The beginning of the path at a segment boundary.
    Prefix,
    /// The host of an absolute-form or CONNECT target, or a parent domain of it.
    Host,
    /// Bytes of the undecoded target, letter by letter.
    Raw,
    /// A word of each of several lists.
    Words,
}

impl MatchKind {
    /// Every kind, the better match first.
    pub const ALL: [Self; 6] = [Self::Path, Self::Suffix, Self::Prefix, Self::Host, Self::Raw, Self::Words];

    /// Its name in signature files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Suffix => "suffix",
            Self::Prefix => "prefix",
            Self::Host => "host",
            Self::Raw => "raw",
            Self::Words => "words",
        }
    }

    /// Whether its patterns stand in the perfect-hash table.
    const fn in_table(self) -> bool {
        matches!(self, Self::Path | Self::Suffix | Self::Prefix | Self::Host)
    }
}

/// What a signature's patterns look like, as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pattern {
    /// Patterns of one kind; any of them matches. Never [`MatchKind::Words`].
    Text(MatchKind, Vec<String>),
    /// A file of paths, one a line, and how many it had.
    PathFile(String, usize),
    /// Word lists; one entry of each matches: a word, `.ending`, `/` (the last name has no ending), `/WORD` (of the last
    /// name), `/NAME/` (a whole name), `/NAME/WORD` (a word of the name right below that one).
    Words(#[serde(skip)] Vec<WordList>),
}

impl Pattern {
    /// The name of its key below `match` in signature files.
    #[must_use]
    pub const fn kind_name(&self) -> &'static str {
        match self {
            Self::Text(kind, _) => kind.name(),
            Self::PathFile(..) => "path_file",
            Self::Words(_) => "words",
        }
    }
}

/// A list of words; signatures that are written with the same one share it.
pub type WordList = Arc<[String]>;

/// Where the words of a path may stand, and which may not be there. Words and endings are written and compared as in
/// [`Pattern::Words`]: whole words, lower case, `.env` an ending of the last segment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WordScope {
    /// Words and endings that rule a match out, wherever in the path they stand. Beside every kind of pattern but
    /// [`MatchKind::Host`] and [`MatchKind::Raw`].
    #[serde(skip)]
    pub unless: WordList,
    /// How many of the path's last segments the words have to stand in; `None` for the whole path. Beside
    /// [`Pattern::Words`] only.
    pub last: Option<u8>,
    /// Whether these segments have no words but those of the lists. Only with `last`.
    pub only: bool,
}

/// A condition on the query: the key is there, and where a value is given, with that value. Both are compared decoded
/// once and without regard to ASCII case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryCondition {
    /// The key.
    pub key: String,
    /// The value, if it matters.
    pub value: Option<String>,
}

/// The place of a signature in MITRE ATT&CK; names with underscores for blanks, as in EVE metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mitre {
    /// `TA0043`.
    pub tactic_id: String,
    /// `Reconnaissance`.
    pub tactic_name: String,
    /// `T1595.003`.
    pub technique_id: String,
    /// `Wordlist_Scanning`.
    pub technique_name: String,
}

/// How sure one can be that a request which matches is a probe (EVE metadata `confidence`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Legitimate traffic may look the same.
    Low,
    /// Rarely legitimate.
    Medium,
    /// Nobody asks for this by accident.
    High,
}

impl Confidence {
    /// Its name in signature files: `low`, `medium`, `high`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// Its value in the metadata of rules and EVE alerts: `Low`, `Medium`, `High`.
    #[must_use]
    pub const fn metadata_value(self) -> &'static str {
        match self {
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High => "High",
        }
    }
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
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    /// What it matches, as written.
    pub pattern: Pattern,
    /// What else it asks of the words of a path.
    pub scope: WordScope,
    /// Methods it is limited to, upper case; empty for any. Compared without regard to case, as lenient servers do.
    pub methods: Vec<String>,
    /// Conditions on the query; all must hold.
    pub query: Vec<QueryCondition>,
    /// `status = "support"`: never alerts alone, only counts in a campaign.
    pub support: bool,
    /// Where it was seen and what it means: URLs.
    pub references: Vec<String>,
    /// CVE ids.
    pub cve: Vec<String>,
    /// Its place in MITRE ATT&CK.
    pub mitre: Option<Mitre>,
    /// Day it was written, `YYYY_MM_DD`.
    pub created_at: String,
    /// Day of its last change, `YYYY_MM_DD`.
    pub updated_at: String,
    /// What an answer means where it differs from the general table.
    pub exposed: Exposed,
    /// Who else asks for it.
    pub legitimate: Legitimate,
    /// Requests it must match.
    #[serde(skip)]
    pub hits: Vec<Example>,
    /// Requests it must not match.
    #[serde(skip)]
    pub misses: Vec<Example>,
    /// Whether it is a `host` signature: CONNECT answered 2xx proves an open proxy.
    pub proxy: bool,
}

impl Signature {
    /// Its status in signature files: `active` or `support`.
    #[must_use]
    pub const fn status(&self) -> &'static str {
        if self.support { "support" } else { "active" }
    }
}

/// Requests that look the same and are no probes. What is weighed is the context of a request, so this is no proof.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Legitimate {
    /// Visitors of a site that has the product fetch it: with a Referer of the same site, after a page.
    pub after_page: bool,
    /// The provider calls it.
    pub webhook: Option<Webhook>,
}

/// What a provider's own call looks like: a POST by one of these agents with all of these fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Beginnings of `User-Agent` values; any of them.
    pub agents: Vec<String>,
    /// Names of fields, lower case; all of them.
    pub fields: Vec<String>,
}

/// A regular expression over the first bytes of a body. Clones share what was compiled.
#[derive(Clone, Debug)]
pub struct BodyTest(Arc<Expression>);

/// An expression, compiled when it is first needed: most are never, and all together take longer than the rest of a
/// start.
#[derive(Debug)]
struct Expression {
    pattern: String,
    /// `None` if it is none, which only [`BodyTest::trusted`] lets in.
    compiled: OnceLock<Option<regex::bytes::Regex>>,
}

impl BodyTest {
    /// Compiles a regular expression; `.` and classes are bytes, not characters.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn new(pattern: &str) -> Result<Self, String> {
        let compiled = OnceLock::from(Some(compile(pattern)?));
        Ok(Self(Arc::new(Expression { pattern: pattern.to_owned(), compiled })))
    }

    /// Takes an expression that is known to be good: it is compiled when a body is first looked at.
    pub(super) fn trusted(pattern: &str) -> Self {
        Self(Arc::new(Expression { pattern: pattern.to_owned(), compiled: OnceLock::new() }))
    }

    /// Whether it is found in `body`.
    #[must_use]
    pub fn matches(&self, body: &[u8]) -> bool {
        let compiled = self.0.compiled.get_or_init(|| compile(&self.0.pattern).ok());
        compiled.as_ref().is_some_and(|expression| expression.is_match(body))
    }

    /// The expression as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.pattern
    }
}

fn compile(pattern: &str) -> Result<regex::bytes::Regex, String> {
    /// Rationale: a hundred alternatives fit; a counted repetition of thousands does not.
    const MOST: usize = 256 << 10;
    regex::bytes::RegexBuilder::new(pattern)
        .unicode(false)
        .size_limit(MOST)
        .build()
        .map_err(|error| error.to_string().lines().last().unwrap_or_default().trim().to_owned())
}

impl Serialize for BodyTest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for BodyTest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|pattern| Self::trusted(&pattern))
    }
}

impl PartialEq for BodyTest {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for BodyTest {}

/// The signature's own test of an answer. A media type is written in lower case and without parameters; `text/*`
/// stands for every subtype, `none` for an answer without Content-Type (Apache sends none for an unknown extension).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exposed {
    /// Media types that a real answer has.
    pub content_types: Vec<String>,
    /// Outcomes for single status codes that differ from the general table.
    pub status: Vec<(u16, Outcome)>,
    /// Whether a 2xx of one of `content_types` is proof by itself; otherwise it is `present`.
    pub proven_by_type: bool,
    /// Further media types that a real answer may have, never proof: a 2xx of one of them is `present`.
    pub present_types: Vec<String>,
    /// What the beginning of a body that proves it has in it; any of them. Empty: the type is enough.
    pub body: Vec<BodyTest>,
}

impl Exposed {
    /// What the signature itself says of an answer: its own outcome for the status, else [`Outcome::Exposed`] or
    /// [`Outcome::Present`] for a 2xx of a type it expects. `None` leaves the answer to the general table.
    /// `content_type` is the field value as on the wire.
    #[must_use]
    pub fn verdict(&self, status: u16, content_type: Option<&[u8]>) -> Option<Outcome> {
        if let Some(&(_, outcome)) = self.status.iter().find(|(code, _)| *code == status) {
            return Some(outcome);
        }
        if (200..300).contains(&status) { self.by_type(content_type) } else { None }
    }

    /// What the type of a 2xx says: [`Outcome::Exposed`] where it is proof, be it only together with the body.
    #[must_use]
    pub fn by_type(&self, content_type: Option<&[u8]>) -> Option<Outcome> {
        if self.content_types.iter().any(|wanted| is_type(wanted, content_type)) {
            return Some(if self.proven_by_type { Outcome::Exposed } else { Outcome::Present });
        }
        self.present_types.iter().any(|wanted| is_type(wanted, content_type)).then_some(Outcome::Present)
    }
}

/// Whether a Content-Type value (RFC 9110 section 8.3) has the media type `wanted`.
fn is_type(wanted: &str, content_type: Option<&[u8]>) -> bool {
    let media_type =
        content_type.unwrap_or_default().split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    if media_type.is_empty() {
        return wanted == "none";
    }
    match wanted.strip_suffix('*') {
        Some(main) => media_type.get(..main.len()).is_some_and(|head| head.eq_ignore_ascii_case(main.as_bytes())),
        None => media_type.eq_ignore_ascii_case(wanted.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdict_by_status_and_type() {
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
            assert_eq!(exposed.verdict(status, content_type.map(str::as_bytes)), expected, "{status} {content_type:?}");
        }
    }
}
