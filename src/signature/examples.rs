//! A signature's own examples, run against the set it stands in. Not a proof of the whole way from packets to alert.

use super::{Example, Signature, Signatures};
use crate::uri::Normaliser;

impl Signatures {
    /// What is wrong with the signatures' own `hits` and `misses`, a line each that begins with where the signature stands:
    /// a hit that does not match its signature, or that another signature takes; a miss that matches.
    #[must_use]
    pub fn failing_examples(&self) -> Vec<String> {
        let mut normaliser = Normaliser::new();
        let mut failing = Vec::new();
        for (signature, place) in self.places() {
            let slug = &signature.slug;
            for example in &signature.hits {
                match self.told_of(&mut normaliser, signature, example) {
                    Told::Best => {}
                    Told::Other { slug: other, .. } => {
                        failing.push(format!("{place}: {slug}: {example} is told as {other}"));
                    }
                    Told::Silent => failing.push(format!("{place}: {slug}: {example} does not match")),
                }
            }
            for example in &signature.misses {
                if let Told::Best | Told::Other { too: true, .. } = self.told_of(&mut normaliser, signature, example) {
                    failing.push(format!("{place}: {slug}: {example} matches"));
                }
            }
        }
        failing
    }

    /// What a request is told as, seen from one signature.
    fn told_of(&self, normaliser: &mut Normaliser, signature: &Signature, example: &Example) -> Told {
        let (method, target) = (example.method.as_bytes(), example.target.as_bytes());
        let candidates = normaliser.candidates(method, target);
        match self.find(method, target, &candidates) {
            Some(found) if found.signature.id == signature.id => Told::Best,
            Some(found) => Told::Other {
                slug: found.signature.slug.clone(),
                too: found.also.iter().any(|also| also.id == signature.id),
            },
            None => Told::Silent,
        }
    }
}

/// What became of an example.
enum Told {
    /// As this signature.
    Best,
    /// As another one, and whether this one matches too.
    Other { slug: String, too: bool },
    /// As nothing.
    Silent,
}

impl std::fmt::Display for Example {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.method, self.target)
    }
}
