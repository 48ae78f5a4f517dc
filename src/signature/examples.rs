//! Runs the signatures' own examples against the whole set. Does not cover the way from packets to alerts.

use super::{Example, Signature, Signatures};
use crate::uri::Normaliser;

impl Signatures {
    /// Returns the failures of the signatures' own `hits` and `misses`, one line each, which begins with the location
    /// of the signature: a hit that does not match its signature, or for which another signature is reported; a miss
    /// that matches.
    #[must_use]
    pub fn failing_examples(&self) -> Vec<String> {
        let mut normaliser = Normaliser::new();
        let mut failing = Vec::new();
        for (signature, location) in self.with_locations() {
            let slug = &signature.slug;
            for example in &signature.hits {
                match self.run_example(&mut normaliser, signature, example) {
                    ExampleResult::Best => {}
                    ExampleResult::Other { slug: other, .. } => {
                        failing.push(format!("{location}: {slug}: {example} is reported as {other}"));
                    }
                    ExampleResult::NoMatch => failing.push(format!("{location}: {slug}: {example} does not match")),
                }
            }
            for example in &signature.misses {
                let result = self.run_example(&mut normaliser, signature, example);
                if let ExampleResult::Best | ExampleResult::Other { matches: true, .. } = result {
                    failing.push(format!("{location}: {slug}: {example} matches"));
                }
            }
        }
        failing
    }

    /// Matches an example and compares the result with one signature.
    fn run_example(&self, normaliser: &mut Normaliser, signature: &Signature, example: &Example) -> ExampleResult {
        let (method, target) = (example.method.as_bytes(), example.target.as_bytes());
        let candidates = normaliser.candidates(method, target);
        match self.find(method, target, &candidates) {
            Some(found) if found.signature.id == signature.id => ExampleResult::Best,
            Some(found) => ExampleResult::Other {
                slug: found.signature.slug.clone(),
                matches: found.also.iter().any(|also| also.id == signature.id),
            },
            None => ExampleResult::NoMatch,
        }
    }
}

/// Result of an example for one signature.
enum ExampleResult {
    /// The signature is the best match.
    Best,
    /// Another signature is the best match; `matches` if this one matches too.
    Other { slug: String, matches: bool },
    /// No signature matches.
    NoMatch,
}

impl std::fmt::Display for Example {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.method, self.target)
    }
}
