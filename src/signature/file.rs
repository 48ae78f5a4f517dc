//! One signature file: TOML to checked signatures, or a list of what is wrong, each with its line. Not what several
//! files mean together ([`super::load`]), and not what makes a pattern ([`super::pattern`]).

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::Deserialize;
use toml::{Spanned, Value};

use super::Outcome;
use super::diagnostics::{Diagnostic, Lines, Validator};
use super::source::SignatureOrigin;
use super::{
    BodyTest, Confidence, Example, Exposed, Legitimate, MatchKind, Mitre, Pattern, QueryCondition, Signature, Webhook,
};

/// Ids of the built-in signatures.
pub(super) const BUILTIN_IDS: RangeInclusive<u32> = 1_000_100..=1_009_999;
/// Ids of users' signatures.
pub(super) const USER_IDS: RangeInclusive<u32> = 1_010_000..=1_999_999;
/// Ids of campaigns, which are no signatures.
const CAMPAIGN_IDS: RangeInclusive<i64> = 1_000_001..=1_000_099;

/// A signature with the places in its file that later checks speak of.
#[derive(Debug)]
pub(super) struct ParsedSignature {
    pub signature: Signature,
    pub id_line: usize,
    pub slug_line: usize,
    pub match_line: usize,
}

/// A file of signatures.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    /// Family of those that name none.
    family: Option<Spanned<String>>,
    /// ATT&CK place of those that name none.
    mitre: Option<MitreEntry>,
    /// Words that several signatures ask for: `$name` in a list stands for them.
    #[serde(default)]
    lists: BTreeMap<String, Vec<String>>,
    /// Tests of answers that several signatures share: `exposed.like = "name"`.
    #[serde(default)]
    answers: BTreeMap<String, ExposedEntry>,
    #[serde(default)]
    signature: Vec<Spanned<SignatureTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureTable {
    id: Spanned<i64>,
    rev: Spanned<i64>,
    slug: Spanned<String>,
    title: Spanned<String>,
    family: Option<Spanned<String>>,
    product: Spanned<String>,
    severity: Spanned<i64>,
    confidence: Confidence,
    status: Option<SignatureStatus>,
    #[serde(rename = "match")]
    pattern: Spanned<BTreeMap<String, Spanned<Value>>>,
    #[serde(default)]
    methods: Vec<Spanned<String>>,
    #[serde(default)]
    query: Vec<Spanned<String>>,
    #[serde(default)]
    exposed: ExposedEntry,
    #[serde(default)]
    legitimate: LegitimateEntry,
    #[serde(default)]
    references: Vec<Spanned<String>>,
    #[serde(default)]
    cve: Vec<Spanned<String>>,
    mitre: Option<MitreEntry>,
    created_at: Option<Spanned<String>>,
    updated_at: Option<Spanned<String>>,
    #[serde(default)]
    hits: Vec<Spanned<String>>,
    #[serde(default)]
    misses: Vec<Spanned<String>>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum SignatureStatus {
    Active,
    Support,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct MitreEntry {
    tactic: Spanned<String>,
    technique: Spanned<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExposedEntry {
    /// The one of `answers` that fills in what is not said here.
    like: Option<Spanned<String>>,
    #[serde(default)]
    proof: Vec<Spanned<String>>,
    #[serde(default)]
    present: Vec<Spanned<String>>,
    #[serde(default)]
    status: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    body: Vec<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LegitimateEntry {
    #[serde(default)]
    after_page: bool,
    webhook: Option<WebhookEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WebhookEntry {
    agents: Vec<Spanned<String>>,
    #[serde(default)]
    fields: Vec<Spanned<String>>,
}

/// Reads a file. Every fault that can be told at once is told at once; the expressions of a built-in file, which a test
/// looks at, are taken as they are.
pub(super) fn read(text: &str, origin: SignatureOrigin) -> Result<Vec<ParsedSignature>, Vec<Diagnostic>> {
    let lines = Lines::of(text);
    let document: Document = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| lines.at(span.start));
        // One line, whatever the parser would draw.
        let reason = error.message().lines().collect::<Vec<_>>().join("; ");
        vec![Diagnostic { line, reason }]
    })?;
    let lists = document.lists.clone();
    let mut checker = Validator::new(lines, origin, lists);
    let located =
        (document.signature.iter()).map(|entry| checker.signature(entry.get_ref(), &document)).collect::<Vec<_>>();
    if !checker.faults.is_empty() {
        checker.faults.sort_by_key(|fault| fault.line);
        return Err(checker.faults);
    }
    Ok(located.into_iter().flatten().collect())
}

impl Validator {
    fn signature(&mut self, entry: &SignatureTable, document: &Document) -> Option<ParsedSignature> {
        let slug = entry.slug.get_ref();
        let plain = !slug.is_empty()
            && slug.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        self.require(plain, &entry.slug, || format!("slug {slug:?}: write lower-case letters, digits and `-` only"));
        self.require(matches!(entry.severity.get_ref(), 2 | 3), &entry.severity, || {
            format!("severity {}: write 2 or 3 (1 is reserved for what is exposed)", entry.severity.get_ref())
        });
        let rev = u32::try_from(*entry.rev.get_ref()).ok().filter(|&rev| rev > 0);
        self.require(rev.is_some(), &entry.rev, || format!("rev {}: write 1 or more", entry.rev.get_ref()));
        self.text(&entry.title, "title");
        self.text(&entry.product, "product");
        let family = entry.family.as_ref().or(document.family.as_ref());
        match family {
            Some(family) => self.text(family, "family"),
            None => self.fault(&entry.id, "missing field `family`, here or at the top of the file".to_owned()),
        }
        let day = |checker: &mut Self, day: &Option<Spanned<String>>| {
            day.as_ref().map(|day| checker.day(day)).unwrap_or_default()
        };
        let created_at = day(self, &entry.created_at);
        let updated_at = day(self, &entry.updated_at);
        let pattern = self.pattern(&entry.pattern, !entry.query.is_empty());
        let (pattern, scope) = pattern.unzip();
        let proxy = matches!(pattern, Some(Pattern::Text(MatchKind::Host, _)));
        let signature = Signature {
            id: self.id(&entry.id)?,
            rev: rev?,
            slug: slug.clone(),
            title: entry.title.get_ref().clone(),
            family: family?.get_ref().clone(),
            product: entry.product.get_ref().clone(),
            severity: u8::try_from(*entry.severity.get_ref()).ok()?,
            confidence: entry.confidence,
            pattern: pattern?,
            scope: scope?,
            methods: self.methods(&entry.methods),
            query: self.query(&entry.query),
            support: entry.status == Some(SignatureStatus::Support),
            references: self.references(&entry.references),
            cve: self.cve(&entry.cve),
            mitre: entry.mitre.as_ref().or(document.mitre.as_ref()).and_then(|mitre| self.mitre(mitre)),
            updated_at: if updated_at.is_empty() { created_at.clone() } else { updated_at },
            created_at,
            exposed: self.exposed(&entry.exposed, &document.answers),
            legitimate: self.legitimate(&entry.legitimate),
            hits: self.examples(&entry.hits),
            misses: self.examples(&entry.misses),
            proxy,
        };
        Some(ParsedSignature {
            signature,
            id_line: self.line(&entry.id),
            slug_line: self.line(&entry.slug),
            match_line: self.line(&entry.pattern),
        })
    }

    fn id(&mut self, id: &Spanned<i64>) -> Option<u32> {
        let value = *id.get_ref();
        let known = u32::try_from(value).ok().filter(|id| BUILTIN_IDS.contains(id) || USER_IDS.contains(id));
        if known.is_none() {
            let why = if CAMPAIGN_IDS.contains(&value) { "is reserved for campaigns" } else { "is out of range" };
            let (first, last) = (USER_IDS.start(), USER_IDS.end());
            self.fault(id, format!("id {value} {why}: write {first} to {last}"));
        }
        known
    }

    fn text(&mut self, text: &Spanned<String>, what: &str) {
        let value = text.get_ref();
        let good = !value.trim().is_empty() && !value.chars().any(char::is_control);
        self.require(good, text, || format!("{what} {value:?}: write one line of text"));
    }

    fn day(&mut self, day: &Spanned<String>) -> String {
        let value = day.get_ref();
        let shape: String = value.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        self.require(shape == "0000_00_00", day, || format!("day {value:?}: write YYYY_MM_DD"));
        value.clone()
    }

    fn methods(&mut self, methods: &[Spanned<String>]) -> Vec<String> {
        for method in methods {
            let value = method.get_ref();
            let good = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
            self.require(good, method, || format!("method {value:?}: write an HTTP method in upper case"));
        }
        methods.iter().map(|method| method.get_ref().clone()).collect()
    }

    fn query(&mut self, conditions: &[Spanned<String>]) -> Vec<QueryCondition> {
        let mut all = Vec::new();
        for condition in conditions {
            let text = condition.get_ref();
            let (key, value) = text.split_once('=').map_or((text.as_str(), None), |(key, value)| (key, Some(value)));
            let good = !key.is_empty() && !text.contains(['&', '#', '?']);
            self.require(good, condition, || format!("query {text:?}: write `key` or `key=value`, one condition each"));
            all.push(QueryCondition { key: key.to_owned(), value: value.map(str::to_owned) });
        }
        all
    }

    fn references(&mut self, references: &[Spanned<String>]) -> Vec<String> {
        for reference in references {
            let value = reference.get_ref();
            let good = ["https://", "http://"].iter().any(|scheme| value.starts_with(scheme));
            self.require(good && !value.contains(char::is_whitespace), reference, || {
                format!("reference {value:?}: write a URL")
            });
        }
        references.iter().map(|reference| reference.get_ref().clone()).collect()
    }

    fn cve(&mut self, ids: &[Spanned<String>]) -> Vec<String> {
        for id in ids {
            let value = id.get_ref();
            let parts: Vec<&str> = value.split('-').collect();
            let digits = |part: &str| part.len() >= 4 && part.bytes().all(|byte| byte.is_ascii_digit());
            let good = matches!(*parts, ["CVE", year, number] if digits(year) && digits(number));
            self.require(good, id, || format!("cve {value:?}: write CVE-YYYY-NNNN"));
        }
        ids.iter().map(|id| id.get_ref().clone()).collect()
    }

    fn mitre(&mut self, entry: &MitreEntry) -> Option<Mitre> {
        let mut part = |text: &Spanned<String>, prefix: &str, example: &str| {
            let found = text.get_ref().split_once(' ').filter(|(id, name)| {
                let number = id.strip_prefix(prefix).unwrap_or_default();
                !name.trim().is_empty()
                    && number.len() >= 4
                    && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
            });
            self.require(found.is_some(), text, || format!("{:?}: write it as {example:?}", text.get_ref()));
            found.map(|(id, name)| (id.to_owned(), name.trim().replace(' ', "_")))
        };
        let tactic = part(&entry.tactic, "TA", "TA0043 Reconnaissance");
        let technique = part(&entry.technique, "T", "T1595.003 Wordlist Scanning");
        let ((tactic_id, tactic_name), (technique_id, technique_name)) = (tactic?, technique?);
        Some(Mitre { tactic_id, tactic_name, technique_id, technique_name })
    }

    fn exposed(&mut self, own: &ExposedEntry, answers: &BTreeMap<String, ExposedEntry>) -> Exposed {
        let shared = own.like.as_ref().and_then(|name| {
            let shared = answers.get(name.get_ref());
            self.require(shared.is_some_and(|shared| shared.like.is_none()), name, || {
                format!(
                    "like {:?}: write the name of one of `answers` of this file that is like no other",
                    name.get_ref()
                )
            });
            shared
        });
        let shared = shared.unwrap_or(own);
        let own_or = |own: &Vec<Spanned<String>>, shared: &Vec<Spanned<String>>| {
            if own.is_empty() { shared.clone() } else { own.clone() }
        };
        let proof = self.media_types(&own_or(&own.proof, &shared.proof));
        let present = self.media_types(&own_or(&own.present, &shared.present));
        let body = self.body_tests(&own_or(&own.body, &shared.body));
        let mut status = Vec::new();
        for (code, name) in if own.status.is_empty() { &shared.status } else { &own.status } {
            let number = code.parse::<u16>().ok().filter(|code| (100..600).contains(code));
            self.require(number.is_some(), name, || format!("status {code:?}: write a status code, 100 to 599"));
            let outcome = SETTLED.into_iter().find(|outcome| outcome.name() == name.get_ref());
            self.require(outcome.is_some(), name, || {
                let names = SETTLED.map(Outcome::name).join(", ");
                format!("outcome {:?}: write one of {names}", name.get_ref())
            });
            status.extend(number.zip(outcome));
        }
        if proof.is_empty() {
            return Exposed { content_types: present, status, body, ..Exposed::default() };
        }
        Exposed { content_types: proof, status, proven_by_type: true, present_types: present, body }
    }

    fn body_tests(&mut self, patterns: &[Spanned<String>]) -> Vec<BodyTest> {
        let mut tests = Vec::new();
        for pattern in patterns {
            let text = pattern.get_ref();
            if let Some(known) = self.body_tests.get(text) {
                tests.push(known.clone());
                continue;
            }
            let test = match self.origin {
                SignatureOrigin::Builtin => Ok(BodyTest::trusted(text)),
                SignatureOrigin::User => BodyTest::new(text),
            };
            match test {
                Ok(test) if self.origin == SignatureOrigin::User && test.matches(b"") => {
                    self.fault(pattern, format!("body {:?}: an empty body would be proof", pattern.get_ref()));
                }
                Ok(test) => {
                    self.body_tests.insert(text.clone(), test.clone());
                    tests.push(test);
                }
                Err(reason) => self.fault(pattern, format!("body {:?}: {reason}", pattern.get_ref())),
            }
        }
        tests
    }

    fn legitimate(&mut self, entry: &LegitimateEntry) -> Legitimate {
        let webhook = entry.webhook.as_ref().map(|webhook| {
            for text in webhook.agents.iter().chain(&webhook.fields) {
                self.require(!text.get_ref().trim().is_empty(), text, || {
                    "an empty text: every call would have it".to_owned()
                });
            }
            Webhook {
                agents: webhook.agents.iter().map(|agent| agent.get_ref().clone()).collect(),
                fields: webhook.fields.iter().map(|field| field.get_ref().to_ascii_lowercase()).collect(),
            }
        });
        Legitimate { after_page: entry.after_page, webhook }
    }

    fn media_types(&mut self, types: &[Spanned<String>]) -> Vec<String> {
        for media_type in types {
            let value = media_type.get_ref();
            let good = value == "none"
                || value.split_once('/').is_some_and(|(main, sub)| {
                    let token = |text: &str| {
                        !text.is_empty()
                            && text.bytes().all(|byte| {
                                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$&-^_.+".contains(&byte)
                            })
                    };
                    token(main) && (sub == "*" || token(sub))
                });
            self.require(good, media_type, || {
                format!("content type {value:?}: write `type/subtype`, `type/*` or `none`, in lower case")
            });
        }
        types.iter().map(|media_type| media_type.get_ref().clone()).collect()
    }

    fn examples(&mut self, examples: &[Spanned<String>]) -> Vec<Example> {
        for example in examples {
            let good = !example.get_ref().trim().is_empty();
            self.require(good, example, || "an empty request: write a target, or a method and a target".to_owned());
        }
        examples.iter().map(|example| Example::of(example.get_ref())).collect()
    }
}

/// The outcomes that a status can be said to mean.
const SETTLED: [Outcome; 7] = [
    Outcome::Exposed,
    Outcome::Present,
    Outcome::Unproven,
    Outcome::Redirected,
    Outcome::NotFound,
    Outcome::Error,
    Outcome::Refused,
];

impl Example {
    /// Reads `TARGET` or `METHOD TARGET`.
    #[must_use]
    pub fn of(text: &str) -> Self {
        match text.split_once(' ') {
            Some((method, target)) if !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
                Self { method: method.to_owned(), target: target.to_owned() }
            }
            _ => Self { method: "GET".to_owned(), target: text.to_owned() },
        }
    }
}
