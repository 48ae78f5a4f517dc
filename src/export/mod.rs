//! Writes signatures as rules of other tools: Suricata, Snort 3, Zeek (signatures and intelligence files) and Sigma.
//! Does not match requests and does not write files: an export is a text and a list of what the language cannot
//! express.
//!
//! Nothing is dropped silently: a signature is in the text, in the list, or in both if the rule is less specific than
//! the signature or lacks a condition. The tools match a request in a normal form of their own, so the evasions that
//! only smsentry undoes (see [`Language::differences`]) affect all rules of a language and are listed in the head of
//! its text.
//!
//! `path.rs` writes patterns as regular expressions in three dialects, `tree.rs` long lists within them, `bytes.rs`
//! finds the bytes that all matches have in common, and every language has a file of its own.

mod bytes;
mod ids;
mod path;
mod sigma;
mod snort3;
mod suricata;
mod tree;
mod unsupported;
mod zeek;
mod zeek_intel;

use std::collections::BTreeSet;

use crate::signature::{Legitimate, Signature};

/// A rule language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Rules of Suricata 7.
    Suricata,
    /// Rules of Snort 3.
    Snort3,
    /// Zeek's signature framework.
    Zeek,
    /// Zeek's intelligence framework.
    ZeekIntel,
    /// Sigma rules for logs of web servers.
    Sigma,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 5] = [Self::Suricata, Self::Snort3, Self::Zeek, Self::ZeekIntel, Self::Sigma];

    /// Returns the language's name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Suricata => "suricata",
            Self::Snort3 => "snort3",
            Self::Zeek => "zeek",
            Self::ZeekIntel => "zeek-intel",
            Self::Sigma => "sigma",
        }
    }

    /// Returns the differences between the tool's matching and smsentry's that affect every rule, one per line.
    #[must_use]
    pub const fn differences(self) -> &'static [&'static str] {
        match self {
            Self::Suricata => suricata::DIFFERENCES,
            Self::Snort3 => snort3::DIFFERENCES,
            Self::Zeek => zeek::DIFFERENCES,
            Self::ZeekIntel => zeek_intel::DIFFERENCES,
            Self::Sigma => sigma::DIFFERENCES,
        }
    }
}

/// Options of an export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Offset added to every id, so that it does not collide with other rules.
    pub sid_offset: u32,
    /// Whether signatures of `status = "support"`, which never alert alone, become rules that do.
    pub with_support: bool,
}

/// A signature, or a part of one, that a language cannot express.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Omission {
    /// The signature's own id, without offset.
    pub id: u32,
    /// Slug.
    pub slug: String,
    /// Whether there is no rule at all; otherwise the rule lacks a condition, or matches more than the signature.
    pub no_rule: bool,
    /// Reason.
    pub reason: String,
}

/// The rules written for a set of signatures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Export {
    /// Contents of the file.
    pub text: String,
    /// Number of signatures with a rule.
    pub exported: usize,
    /// What the language cannot express, in the order of the signatures.
    pub omissions: Vec<Omission>,
}

impl Export {
    /// Returns the number of signatures without a rule.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.omissions.iter().filter(|omission| omission.no_rule).count()
    }

    /// Returns the number of signatures whose rule lacks a condition, or matches more than they do.
    #[must_use]
    pub fn partial(&self) -> usize {
        let partial = self.omissions.iter().filter(|omission| !omission.no_rule);
        partial.map(|omission| omission.id).collect::<BTreeSet<_>>().len()
    }
}

/// A rule, and the parts of the signature that it lacks.
struct Rule {
    text: String,
    missing: Vec<String>,
}

/// Writes signatures as rules of a language.
pub fn export<'a>(
    language: Language,
    signatures: impl IntoIterator<Item = &'a Signature>,
    options: &Options,
) -> Export {
    let write = match language {
        Language::Suricata => suricata::rule,
        Language::Snort3 => snort3::rule,
        Language::Zeek => zeek::rule,
        Language::ZeekIntel => zeek_intel::rule,
        Language::Sigma => sigma::rule,
    };
    let mut export = Export { text: head(language), ..Export::default() };
    for signature in signatures {
        let mut omit = |no_rule: bool, reason: String| {
            export.omissions.push(Omission { id: signature.id, slug: signature.slug.clone(), no_rule, reason });
        };
        if signature.support && !options.with_support {
            omit(true, "has status support: it counts in campaigns and never alerts alone".to_owned());
            continue;
        }
        let Some(id) = signature.id.checked_add(options.sid_offset) else {
            omit(true, format!("its id and the offset {} do not fit in 32 bits", options.sid_offset));
            continue;
        };
        match write(signature, id) {
            Ok(rule) => {
                rule.missing.into_iter().for_each(|reason| omit(false, reason));
                if signature.legitimate != Legitimate::default() {
                    omit(false, "legitimate use is not recognised: a rule does not evaluate the context".to_owned());
                }
                export.text.push_str(&rule.text);
                export.exported += 1;
            }
            Err(error) => omit(true, error.to_string()),
        }
    }
    export
}

/// Returns the text before the rules.
fn head(language: Language) -> String {
    if language == Language::ZeekIntel {
        // A comment before the field names would hide them.
        return zeek_intel::HEAD.to_owned();
    }
    let mut head = format!(
        "# Written by smsentry {} from its signatures: smsentry signatures export --to {}\n",
        env!("CARGO_PKG_VERSION"),
        language.name()
    );
    head.push_str("# Differences between these rules and smsentry:\n");
    for difference in language.differences() {
        head.push_str(&format!("# * {difference}\n"));
    }
    head
}
