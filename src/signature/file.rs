//! Reads one signature file: TOML to checked signatures, or a list of errors with their lines. Does not check files
//! against each other ([`super::load`]) or read patterns ([`super::pattern`]) and tests of responses
//! ([`super::exposed_table`]).

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::Deserialize;
use toml::{Spanned, Value};

use super::diagnostics::{Diagnostic, Lines, Validator};
use super::exposed_table::ExposedTable;
use super::source::SignatureOrigin;
use super::{Confidence, Example, Legitimate, MatchKind, Mitre, Pattern, QueryCondition, Signature, Webhook};

/// Ids of the built-in signatures.
pub(super) const BUILTIN_IDS: RangeInclusive<u32> = 1_000_100..=1_009_999;
/// Ids of users' signatures.
pub(super) const USER_IDS: RangeInclusive<u32> = 1_010_000..=1_999_999;
/// Ids of campaigns, which are not signatures.
const CAMPAIGN_IDS: RangeInclusive<i64> = 1_000_001..=1_000_099;

/// A signature with the lines in its file that errors of later checks refer to.
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
    /// Family of the signatures that have none.
    family: Option<Spanned<String>>,
    /// ATT&CK tactic and technique of the signatures that have none.
    mitre: Option<MitreTable>,
    /// Lists of words that signatures refer to as `$name`.
    #[serde(default)]
    lists: BTreeMap<String, Vec<String>>,
    /// Tests of responses that signatures refer to as `exposed.like = "name"`.
    #[serde(default)]
    answers: BTreeMap<String, ExposedTable>,
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
    exposed: ExposedTable,
    #[serde(default)]
    legitimate: LegitimateTable,
    #[serde(default)]
    references: Vec<Spanned<String>>,
    #[serde(default)]
    cve: Vec<Spanned<String>>,
    mitre: Option<MitreTable>,
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
struct MitreTable {
    tactic: Spanned<String>,
    technique: Spanned<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LegitimateTable {
    #[serde(default)]
    after_page: bool,
    webhook: Option<WebhookTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WebhookTable {
    agents: Vec<Spanned<String>>,
    #[serde(default)]
    fields: Vec<Spanned<String>>,
}

/// Reads a file. Reports as many errors as possible at once. The body tests of a built-in file are not compiled here; a
/// test checks them.
pub(super) fn read(text: &str, origin: SignatureOrigin) -> Result<Vec<ParsedSignature>, Vec<Diagnostic>> {
    let lines = Lines::of(text);
    let document: Document = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| lines.at(span.start));
        // One line, without the parser's drawing of the text.
        let reason = error.message().lines().collect::<Vec<_>>().join("; ");
        vec![Diagnostic { line, reason }]
    })?;
    let lists = document.lists.clone();
    let mut validator = Validator::new(lines, origin, lists);
    let parsed =
        (document.signature.iter()).map(|table| validator.signature(table.get_ref(), &document)).collect::<Vec<_>>();
    if !validator.diagnostics.is_empty() {
        validator.diagnostics.sort_by_key(|diagnostic| diagnostic.line);
        return Err(validator.diagnostics);
    }
    Ok(parsed.into_iter().flatten().collect())
}

impl Validator {
    fn signature(&mut self, table: &SignatureTable, document: &Document) -> Option<ParsedSignature> {
        let slug = table.slug.get_ref();
        let valid = !slug.is_empty()
            && slug.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        self.require(valid, &table.slug, || format!("slug {slug:?}: write lower-case letters, digits and `-` only"));
        self.require(matches!(table.severity.get_ref(), 2 | 3), &table.severity, || {
            format!("severity {}: write 2 or 3 (1 is reserved for the outcome `exposed`)", table.severity.get_ref())
        });
        let rev = u32::try_from(*table.rev.get_ref()).ok().filter(|&rev| rev > 0);
        self.require(rev.is_some(), &table.rev, || format!("rev {}: write 1 or more", table.rev.get_ref()));
        self.text(&table.title, "title");
        self.text(&table.product, "product");
        let family = table.family.as_ref().or(document.family.as_ref());
        match family {
            Some(family) => self.text(family, "family"),
            None => self.error(&table.id, "missing field `family`, here or at the top of the file".to_owned()),
        }
        let day = |validator: &mut Self, day: &Option<Spanned<String>>| {
            day.as_ref().map(|day| validator.day(day)).unwrap_or_default()
        };
        let created_at = day(self, &table.created_at);
        let updated_at = day(self, &table.updated_at);
        let pattern = self.pattern(&table.pattern, !table.query.is_empty());
        let (pattern, scope) = pattern.unzip();
        let proxy = matches!(pattern, Some(Pattern::Text(MatchKind::Host, _)));
        let signature = Signature {
            id: self.id(&table.id)?,
            rev: rev?,
            slug: slug.clone(),
            title: table.title.get_ref().clone(),
            family: family?.get_ref().clone(),
            product: table.product.get_ref().clone(),
            severity: u8::try_from(*table.severity.get_ref()).ok()?,
            confidence: table.confidence,
            pattern: pattern?,
            scope: scope?,
            methods: self.methods(&table.methods),
            query: self.query(&table.query),
            support: table.status == Some(SignatureStatus::Support),
            references: self.references(&table.references),
            cve: self.cve(&table.cve),
            mitre: table.mitre.as_ref().or(document.mitre.as_ref()).and_then(|mitre| self.mitre(mitre)),
            updated_at: if updated_at.is_empty() { created_at.clone() } else { updated_at },
            created_at,
            exposed: self.exposed(&table.exposed, &document.answers),
            legitimate: self.legitimate(&table.legitimate),
            hits: self.examples(&table.hits),
            misses: self.examples(&table.misses),
            proxy,
        };
        Some(ParsedSignature {
            signature,
            id_line: self.line(&table.id),
            slug_line: self.line(&table.slug),
            match_line: self.line(&table.pattern),
        })
    }

    fn id(&mut self, id: &Spanned<i64>) -> Option<u32> {
        let value = *id.get_ref();
        let valid = u32::try_from(value).ok().filter(|id| BUILTIN_IDS.contains(id) || USER_IDS.contains(id));
        if valid.is_none() {
            let why = if CAMPAIGN_IDS.contains(&value) { "is reserved for campaigns" } else { "is out of range" };
            let (first, last) = (USER_IDS.start(), USER_IDS.end());
            self.error(id, format!("id {value} {why}: write {first} to {last}"));
        }
        valid
    }

    fn text(&mut self, text: &Spanned<String>, key: &str) {
        let value = text.get_ref();
        let valid = !value.trim().is_empty() && !value.chars().any(char::is_control);
        self.require(valid, text, || format!("{key} {value:?}: write one line of text"));
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
            let valid = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
            self.require(valid, method, || format!("method {value:?}: write an HTTP method in upper case"));
        }
        methods.iter().map(|method| method.get_ref().clone()).collect()
    }

    fn query(&mut self, conditions: &[Spanned<String>]) -> Vec<QueryCondition> {
        let mut all = Vec::new();
        for condition in conditions {
            let text = condition.get_ref();
            let (key, value) = text.split_once('=').map_or((text.as_str(), None), |(key, value)| (key, Some(value)));
            let valid = !key.is_empty() && !text.contains(['&', '#', '?']);
            self.require(valid, condition, || {
                format!("query {text:?}: write `key` or `key=value`, one condition each")
            });
            all.push(QueryCondition { key: key.to_owned(), value: value.map(str::to_owned) });
        }
        all
    }

    fn references(&mut self, references: &[Spanned<String>]) -> Vec<String> {
        for reference in references {
            let value = reference.get_ref();
            let valid = ["https://", "http://"].iter().any(|scheme| value.starts_with(scheme));
            self.require(valid && !value.contains(char::is_whitespace), reference, || {
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
            let valid = matches!(*parts, ["CVE", year, number] if digits(year) && digits(number));
            self.require(valid, id, || format!("cve {value:?}: write CVE-YYYY-NNNN"));
        }
        ids.iter().map(|id| id.get_ref().clone()).collect()
    }

    fn mitre(&mut self, table: &MitreTable) -> Option<Mitre> {
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
        let tactic = part(&table.tactic, "TA", "TA0043 Reconnaissance");
        let technique = part(&table.technique, "T", "T1595.003 Wordlist Scanning");
        let ((tactic_id, tactic_name), (technique_id, technique_name)) = (tactic?, technique?);
        Some(Mitre { tactic_id, tactic_name, technique_id, technique_name })
    }

    fn legitimate(&mut self, table: &LegitimateTable) -> Legitimate {
        let webhook = table.webhook.as_ref().map(|webhook| {
            for text in webhook.agents.iter().chain(&webhook.fields) {
                self.require(!text.get_ref().trim().is_empty(), text, || {
                    "an empty text: every call would match".to_owned()
                });
            }
            Webhook {
                agents: webhook.agents.iter().map(|agent| agent.get_ref().clone()).collect(),
                fields: webhook.fields.iter().map(|field| field.get_ref().to_ascii_lowercase()).collect(),
            }
        });
        Legitimate { after_page: table.after_page, webhook }
    }

    fn examples(&mut self, examples: &[Spanned<String>]) -> Vec<Example> {
        for example in examples {
            let valid = !example.get_ref().trim().is_empty();
            self.require(valid, example, || "an empty request: write a target, or a method and a target".to_owned());
        }
        examples.iter().map(|example| Example::parse(example.get_ref())).collect()
    }
}

impl Example {
    /// Parses `TARGET` or `METHOD TARGET`; the method defaults to `GET`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.split_once(' ') {
            Some((method, target)) if !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
                Self { method: method.to_owned(), target: target.to_owned() }
            }
            _ => Self { method: "GET".to_owned(), target: text.to_owned() },
        }
    }
}
