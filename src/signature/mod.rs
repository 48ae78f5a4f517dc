//! Signatures of probes: read from TOML files, checked, and matched against the normal form of request targets by a
//! perfect hash. Does not compute the normal form ([`crate::uri`]) or assess responses (`outcome`).
//!
//! `file.rs`, `pattern.rs` and `exposed_table.rs` read one file, `load.rs` checks all files together. `table.rs` and
//! `perfect_hash.rs` hold `path`, `suffix`, `prefix` and `host` patterns, `words/` the word lists, and `prebuilt.rs`
//! the built-in files as compiled at build time. `matcher.rs` queries all tables and chooses the best match,
//! `match_cache.rs` caches its results. `exposed.rs` and `body_test.rs` test responses, `outcome.rs` names the
//! outcomes, `examples.rs` runs a signature's own examples, and `overlap.rs` finds signatures that match the same
//! requests.
//!
//! A signature file has a `family` and a `mitre` entry (each signature may have its own instead), `lists` of words and
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
//! ## Entries of words: `word`, `.ending`, `/word` of the last name, `/NAME/` a whole name, `/NAME/word` a word of the
//! ## name right below it, `/` no ending, `$name` a list of the file. Write the rarest words into the first list.
//! ## Everything from here on is optional.
//! match.unless = ["blog", "$documents"] # words and endings that exclude a match, with every kind but host and raw
//! ## With `words` only: match.last = 1 (the words must be in the last segment; endings always are), and with it
//! ## match.only = true (and that segment has no other words).
//! status = "active"                     # or "support": never alerts alone
//! methods = ["GET"]
//! query = ["account", "format=full"]    # all must hold
//! exposed.like = "json"                 # the entry of `answers` that supplies the keys not set here
//! exposed.proof = ["application/json"]  # a 2xx of this type is exposed; "none" is no Content-Type, "text/*" any text
//! exposed.present = ["text/plain"]      # a 2xx of this type is present
//! exposed.status = { 405 = "present" }
//! exposed.body = ['"api_?key"\s*:']    # regular expressions over the first 1024 bytes: proof also needs one of them
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
//! # let set = Signatures::load(&[source], &mut |name| Err(name.into())).unwrap();
//! # assert_eq!((set.len(), set.failing_examples().len()), (1, 0));
//! ```

mod bloom;
mod body_test;
mod diagnostics;
mod examples;
mod exposed;
mod exposed_table;
mod file;
mod load;
mod match_cache;
mod matcher;
mod media_type;
mod outcome;
mod overlap;
mod pattern;
mod perfect_hash;
mod prebuilt;
mod source;
mod table;
mod words;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use body_test::{BodyTest, InvalidBodyTest};
pub use exposed::Exposed;
pub use load::{ReadFile, Signatures, builtin};
pub use match_cache::{CachedMatcher, MatchResult};
pub use matcher::Match;
pub use media_type::media_type;
pub use outcome::Outcome;
pub use overlap::{Overlap, Shadowed};
pub use prebuilt::PrebuiltError;
pub use source::{LoadError, SignatureFile, SignatureOrigin};

/// Kind of a pattern, which defines how it is compared; ordered from the best match to the weakest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum MatchKind {
    /// The whole path, from the root.
    Path,
    /// The end of the path at a segment boundary, below any directory.
    Suffix,
    /// The beginning of the path at a segment boundary.
    Prefix,
    /// The host of an absolute-form or CONNECT target, or one of its parent domains.
    Host,
    /// Bytes of the undecoded target, compared exactly.
    Raw,
    /// A word of each of several lists.
    Words,
}

impl MatchKind {
    /// Every kind, the best match first.
    pub const ALL: [Self; 6] = [Self::Path, Self::Suffix, Self::Prefix, Self::Host, Self::Raw, Self::Words];

    /// Returns the kind's name in signature files.
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

    /// Reports whether patterns of this kind are in the perfect-hash table.
    const fn in_table(self) -> bool {
        matches!(self, Self::Path | Self::Suffix | Self::Prefix | Self::Host)
    }
}

/// The patterns of a signature, as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pattern {
    /// Patterns of one kind; any of them matches. Never [`MatchKind::Words`].
    Text(MatchKind, Vec<String>),
    /// A file of paths, one per line, and the number of paths in it.
    PathFile(String, usize),
    /// Word lists; one entry of each matches: a word, `.ending`, `/` (the last name has no ending), `/WORD` (of the
    /// last name), `/NAME/` (a whole name), `/NAME/WORD` (a word of the name right below that one).
    Words(#[serde(skip)] Vec<WordList>),
}

impl Pattern {
    /// Returns the name of the pattern's key below `match` in signature files.
    #[must_use]
    pub const fn kind_name(&self) -> &'static str {
        match self {
            Self::Text(kind, _) => kind.name(),
            Self::PathFile(..) => "path_file",
            Self::Words(_) => "words",
        }
    }
}

/// A list of words, shared by the signatures that are written with the same list.
pub type WordList = Arc<[String]>;

/// Conditions on the position of words in a path, and words that exclude a match. Words and endings are written and
/// compared as in [`Pattern::Words`]: whole words, lower case, `.env` an ending of the last segment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WordScope {
    /// Words and endings that exclude a match, anywhere in the path. Allowed with every kind of pattern but
    /// [`MatchKind::Host`] and [`MatchKind::Raw`].
    #[serde(skip)]
    pub unless: WordList,
    /// Number of last segments of the path that must have the words; `None` for the whole path. Only with
    /// [`Pattern::Words`].
    pub last: Option<u8>,
    /// Whether these segments must have no words but those of the lists. Only with `last`.
    pub only: bool,
}

/// A condition on the query: the key is present, with this value if one is given. Both are compared after one decoding
/// and without regard to ASCII case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryCondition {
    /// The key.
    pub key: String,
    /// The required value, if any.
    pub value: Option<String>,
}

/// MITRE ATT&CK tactic and technique of a signature; names have underscores for blanks, as in EVE metadata.
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

/// Confidence that a matching request is a probe (EVE metadata `confidence`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Legitimate traffic may look the same.
    Low,
    /// Rarely legitimate.
    Medium,
    /// Never requested by accident.
    High,
}

impl Confidence {
    /// Returns the name in signature files: `low`, `medium`, `high`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// Returns the value in the metadata of rules and EVE alerts: `Low`, `Medium`, `High`.
    #[must_use]
    pub const fn metadata_value(self) -> &'static str {
        match self {
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High => "High",
        }
    }
}

/// An example request of a signature; the tests send it through the whole pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Request method; `GET` unless stated.
    pub method: String,
    /// Undecoded request target.
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
    /// Target of the probe, in a few words; the output prefixes it with `SMSENTRY `.
    pub title: String,
    /// The family: the subject of its file.
    pub family: String,
    /// The probed product.
    pub product: String,
    /// 2 or 3; 1 is reserved for `exposed`.
    pub severity: u8,
    /// Confidence of a match.
    pub confidence: Confidence,
    /// Patterns, as written.
    pub pattern: Pattern,
    /// Further conditions on the words of a path.
    pub scope: WordScope,
    /// Methods that it is limited to, upper case; empty for any. Compared without regard to case, as lenient servers
    /// do.
    pub methods: Vec<String>,
    /// Conditions on the query; all must hold.
    pub query: Vec<QueryCondition>,
    /// Whether it has `status = "support"`: never alerts alone, only counts in a campaign.
    pub support: bool,
    /// URLs about where it was seen and what it means.
    pub references: Vec<String>,
    /// CVE ids.
    pub cve: Vec<String>,
    /// MITRE ATT&CK tactic and technique.
    pub mitre: Option<Mitre>,
    /// Day of its creation, `YYYY_MM_DD`.
    pub created_at: String,
    /// Day of its last change, `YYYY_MM_DD`.
    pub updated_at: String,
    /// Its own test of responses, where it differs from the general table.
    pub exposed: Exposed,
    /// Legitimate requests that match too.
    pub legitimate: Legitimate,
    /// Requests it must match.
    #[serde(skip)]
    pub hits: Vec<Example>,
    /// Requests it must not match.
    #[serde(skip)]
    pub misses: Vec<Example>,
    /// Whether it is a `host` signature: a 2xx response to CONNECT proves an open proxy.
    pub proxy: bool,
}

impl Signature {
    /// Returns the status in signature files: `active` or `support`.
    #[must_use]
    pub const fn status(&self) -> &'static str {
        if self.support { "support" } else { "active" }
    }
}

/// Legitimate requests that look like the probe. They are recognised by the context of a request, so this is no proof.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Legitimate {
    /// Whether visitors of a site that has the product fetch it: with a Referer of the same site, after a page.
    pub after_page: bool,
    /// Calls by the provider.
    pub webhook: Option<Webhook>,
}

/// A provider's own call: a POST by one of these user agents with all of these header fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Prefixes of `User-Agent` values; one must match.
    pub agents: Vec<String>,
    /// Names of header fields, lower case; all must be present.
    pub fields: Vec<String>,
}
