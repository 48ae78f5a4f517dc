//! The search for what a request matches, with a memory for what was asked before: tools go through the same list at every
//! host, and visitors of a site fetch the same files. Not the search itself: see [`super::matcher`].

use std::sync::Arc;

use super::perfect_hash::hash_bytes;
use super::{Signature, Signatures};
use crate::uri::{Evasions, Normaliser};

/// Requests that are remembered. Rationale: the lists of common tools have some hundred paths that matter here; of a
/// thousand nearly each then finds one of its two places free, and 272 KiB for each lane are little.
const PLACES: usize = 2048;
/// Bytes of method and target of a request that is remembered: whoever makes up longer ones does not repeat them.
const TEXT: usize = 110;

const REQUEST: u64 = 0xa54f_f53a_5f1d_36f1;

/// What a request matched.
#[derive(Clone, Debug)]
pub struct MatchResult {
    /// The best signature.
    pub signature: Arc<Signature>,
    /// What matched: the path or host in normal form, or the bytes of a `raw` pattern. Empty for a signature in support of
    /// others, of which nobody reads it.
    pub matched: Vec<u8>,
    /// The disguises that were undone.
    pub evasions: Evasions,
    /// The other signatures that match, the best first.
    pub also: Vec<Arc<Signature>>,
}

/// Finds what requests match.
///
/// What is remembered is exactly what [`Signatures::find`] says, which asks for nothing but method and target.
#[derive(Debug)]
pub struct CachedMatcher {
    signatures: Arc<Signatures>,
    normaliser: Normaliser,
    /// The hash of the last request of each place: what comes only once is not remembered, and needs no room.
    seen: Vec<u64>,
    /// The hash of the request that is remembered in each place. Rationale: what is not remembered is told by these alone,
    /// of which those that are asked for stay in the first cache.
    hashes: Vec<u64>,
    /// One for each place.
    known: Vec<CachedRequest>,
}

/// A request that was asked before. The whole of it is compared: a stranger may choose two with the same hash.
#[derive(Clone, Debug)]
struct CachedRequest {
    found: Option<Box<MatchResult>>,
    method_len: u8,
    len: u8,
    text: [u8; TEXT],
}

impl CachedMatcher {
    /// Remembers nothing yet.
    #[must_use]
    pub fn new(signatures: Arc<Signatures>) -> Self {
        let none = vec![NONE; PLACES];
        let known = vec![CachedRequest::NOTHING; PLACES];
        Self { signatures, normaliser: Normaliser::new(), seen: none.clone(), hashes: none, known }
    }

    /// The signatures in use.
    #[must_use]
    pub fn signatures(&self) -> &Arc<Signatures> {
        &self.signatures
    }

    /// Uses other signatures from now on.
    pub fn use_signatures(&mut self, signatures: &Arc<Signatures>) {
        if !Arc::ptr_eq(&self.signatures, signatures) {
            self.signatures = Arc::clone(signatures);
            self.known.fill(CachedRequest::NOTHING);
            self.hashes.fill(NONE);
        }
    }

    /// The best match of a request. Allocates nothing when nothing matches.
    pub fn find(&mut self, method: &[u8], target: &[u8]) -> Option<MatchResult> {
        let hash = hash_bytes(hash_bytes(0, REQUEST, method), REQUEST, target);
        let places = places(hash);
        for place in places {
            if self.hashes.get(place) == Some(&hash)
                && let Some(known) = self.known.get(place).filter(|known| known.is(method, target))
            {
                return known.found.as_deref().cloned();
            }
        }
        let candidates = self.normaliser.candidates(method, target);
        let found = self.signatures.find(method, target, &candidates).map(|found| MatchResult {
            matched: if found.signature.support { Vec::new() } else { found.matched.to_vec() },
            signature: found.signature,
            evasions: found.evasions,
            also: found.also,
        });
        // Noted in both places: of two that go by turns and share one, the other one still tells.
        if places.iter().any(|&place| self.seen.get(place) == Some(&hash)) {
            let free = places.into_iter().find(|&place| self.hashes.get(place) == Some(&NONE));
            self.remember(free.unwrap_or(places[0]), hash, method, target, found.as_ref());
        } else {
            for place in places {
                if let Some(seen) = self.seen.get_mut(place) {
                    *seen = hash;
                }
            }
        }
        found
    }

    #[cold]
    #[inline(never)]
    fn remember(&mut self, place: usize, hash: u64, method: &[u8], target: &[u8], found: Option<&MatchResult>) {
        let len = method.len() + target.len();
        let (Ok(method_len), Ok(len)) = (u8::try_from(method.len()), u8::try_from(len)) else { return };
        let mut text = [0; TEXT];
        let Some((start, end)) = text.get_mut(..usize::from(len)).map(|text| text.split_at_mut(method.len())) else {
            return;
        };
        start.copy_from_slice(method);
        end.copy_from_slice(target);
        if let (Some(known), Some(kept)) = (self.known.get_mut(place), self.hashes.get_mut(place)) {
            *kept = hash;
            *known = CachedRequest { found: found.cloned().map(Box::new), method_len, len, text };
        }
    }
}

/// The hash of no request. One that has it is remembered at once, in a place that counts as free.
const NONE: u64 = 0;

/// The two places where a request may be remembered: of many requests few find both taken, where half of them would
/// share a single one.
fn places(hash: u64) -> [usize; 2] {
    // The remainder of a division by a small number.
    [hash, hash.rotate_left(32)].map(|hash| (hash % PLACES as u64) as usize)
}

impl CachedRequest {
    /// No request: none is as long.
    const NOTHING: Self = Self { found: None, method_len: 0, len: u8::MAX, text: [0; TEXT] };

    fn is(&self, method: &[u8], target: &[u8]) -> bool {
        let text = self.text.get(..usize::from(self.len));
        text.and_then(|text| text.split_at_checked(self.method_len.into())) == Some((method, target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_all_of_the_lists_of_tools_are_remembered() {
        let targets: Vec<Vec<u8>> = (0..700).map(|number| format!("/list/{number}/of/a/tool").into_bytes()).collect();
        let mut search = CachedMatcher::new(Arc::default());
        // As a tool goes through its list at one host after the other.
        for target in [&targets; 5].into_iter().flatten() {
            search.find(b"GET", target);
        }
        let known = |target: &Vec<u8>| search.known.iter().any(|known| known.is(b"GET", target));
        let count = targets.iter().filter(|target| known(target)).count();
        assert!(count > 660, "{count} of {}", targets.len());
    }
}
