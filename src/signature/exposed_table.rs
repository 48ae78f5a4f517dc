//! The table `exposed` of a signature file: responses that prove a signature, or show that its resource is there.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::diagnostics::Validator;
use super::source::SignatureOrigin;
use super::{BodyTest, Exposed, Outcome};

/// A table `exposed`, or one of the file's `answers`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExposedTable {
    /// The entry of `answers` that supplies the keys not set here.
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

impl Validator {
    pub(super) fn exposed(&mut self, own: &ExposedTable, answers: &BTreeMap<String, ExposedTable>) -> Exposed {
        let shared = own.like.as_ref().and_then(|name| {
            let shared = answers.get(name.get_ref());
            self.require(shared.is_some_and(|shared| shared.like.is_none()), name, || {
                format!("like {:?}: write the name of one of this file's `answers` that has no `like`", name.get_ref())
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
        let status = self.status_outcomes(if own.status.is_empty() { &shared.status } else { &own.status });
        if proof.is_empty() {
            return Exposed { content_types: present, status, body, ..Exposed::default() };
        }
        Exposed { content_types: proof, status, proven_by_type: true, present_types: present, body }
    }

    fn status_outcomes(&mut self, table: &BTreeMap<String, Spanned<String>>) -> Vec<(u16, Outcome)> {
        let mut outcomes = Vec::new();
        for (code, name) in table {
            let number = code.parse::<u16>().ok().filter(|code| (100..600).contains(code));
            self.require(number.is_some(), name, || format!("status {code:?}: write a status code, 100 to 599"));
            let outcome = Outcome::ASSIGNABLE.into_iter().find(|outcome| outcome.name() == name.get_ref());
            self.require(outcome.is_some(), name, || {
                let names = Outcome::ASSIGNABLE.map(Outcome::name).join(", ");
                format!("outcome {:?}: write one of {names}", name.get_ref())
            });
            outcomes.extend(number.zip(outcome));
        }
        outcomes
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
                    self.error(pattern, format!("body {text:?}: an empty body would be proof"));
                }
                Ok(test) => {
                    self.body_tests.insert(text.clone(), test.clone());
                    tests.push(test);
                }
                Err(error) => self.error(pattern, format!("body {text:?}: {error}")),
            }
        }
        tests
    }

    fn media_types(&mut self, types: &[Spanned<String>]) -> Vec<String> {
        for media_type in types {
            let value = media_type.get_ref();
            self.require(is_media_range(value), media_type, || {
                format!("content type {value:?}: write `type/subtype`, `type/*` or `none`, in lower case")
            });
        }
        types.iter().map(|media_type| media_type.get_ref().clone()).collect()
    }
}

/// Reports whether `value` is `none`, `type/*` or `type/subtype` in lower case.
fn is_media_range(value: &str) -> bool {
    let is_token_byte = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$&-^_.+".contains(&byte);
    let is_token = |text: &str| !text.is_empty() && text.bytes().all(is_token_byte);
    value == "none" || value.split_once('/').is_some_and(|(main, sub)| is_token(main) && (sub == "*" || is_token(sub)))
}
