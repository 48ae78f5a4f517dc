//! Signatures as rules of other tools: Suricata, Snort 3, Zeek (signatures and intelligence files) and Sigma. Not the
//! matching of our own, and not the writing of files: an export is a text, and a list of what the language could not say.
//!
//! Nothing is dropped silently: a signature is in the text, in the list, or in both where the rule says less than the
//! signature does. The languages look at a request in their own normal form, so what ours alone undoes (see
//! [`Language::differences`]) is a difference of all rules of a language and stands in the head of its text.
//!
//! Where what is done: `path.rs` writes patterns as regular expressions in three dialects, `tree.rs` long lists in them,
//! `bytes.rs` finds what all matches have in common, and every language has a file of its own.

mod bytes;
mod ids;
mod path;
mod sigma;
mod snort3;
mod suricata;
mod tree;
mod zeek;
mod zeek_intel;

use crate::signature::{Legitimate, Signature};

/// A language of rules.
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

    /// Its name on the command line.
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

    /// What the tool sees otherwise than smsentry does, whatever the rule: a line each.
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

/// How to export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Added to every id, so that it is out of the way of others.
    pub sid_offset: u32,
    /// Whether signatures of `status = "support"`, which never alert alone, become rules that do.
    pub with_support: bool,
}

/// What a language could not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The signature's own id, without offset.
    pub id: u32,
    /// Its slug.
    pub slug: String,
    /// Whether there is no rule at all; otherwise the rule says less, or matches more, than the signature.
    pub whole: bool,
    /// Why.
    pub reason: String,
}

/// Rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Export {
    /// The file's content.
    pub text: String,
    /// How many signatures have a rule.
    pub exported: usize,
    /// What could not be said, in the order of the signatures.
    pub gaps: Vec<Gap>,
}

impl Export {
    /// How many signatures have no rule.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.gaps.iter().filter(|gap| gap.whole).count()
    }

    /// How many signatures have a rule that says less, or matches more, than they do.
    #[must_use]
    pub fn in_part(&self) -> usize {
        self.gaps.iter().filter(|gap| !gap.whole).map(|gap| gap.id).collect::<std::collections::BTreeSet<_>>().len()
    }
}

/// A rule, and what of the signature is not in it.
struct Rule {
    text: String,
    missing: Vec<String>,
}

/// Writes signatures in a language.
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
        let mut gap = |whole: bool, reason: String| {
            export.gaps.push(Gap { id: signature.id, slug: signature.slug.clone(), whole, reason });
        };
        if signature.support && !options.with_support {
            gap(true, "is support: it counts in campaigns and never alerts alone".to_owned());
            continue;
        }
        let Some(id) = signature.id.checked_add(options.sid_offset) else {
            gap(true, format!("its id and the offset {} do not fit in 32 bits", options.sid_offset));
            continue;
        };
        match write(signature, id) {
            Ok(rule) => {
                rule.missing.into_iter().for_each(|reason| gap(false, reason));
                if signature.legitimate != Legitimate::default() {
                    gap(
                        false,
                        "legitimate use is not told apart: what stands around a request is not looked at".to_owned(),
                    );
                }
                export.text.push_str(&rule.text);
                export.exported += 1;
            }
            Err(reason) => gap(true, reason),
        }
    }
    export
}

/// What stands before the rules.
fn head(language: Language) -> String {
    if language == Language::ZeekIntel {
        // A line of comment before it would hide the names of the fields.
        return zeek_intel::HEAD.to_owned();
    }
    let mut head = format!(
        "# Written by smsentry {} from its signatures: smsentry signatures export --to {}\n",
        env!("CARGO_PKG_VERSION"),
        language.name()
    );
    head.push_str("# What the rules see otherwise than smsentry does:\n");
    for difference in language.differences() {
        head.push_str(&format!("# * {difference}\n"));
    }
    head
}
