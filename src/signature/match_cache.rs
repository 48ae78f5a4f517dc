//! Matcher with a cache of earlier requests: tools request the same list of paths at every host, and visitors of a site
//! fetch the same files. The matching itself is in [`super::matcher`].

use std::sync::Arc;

use super::perfect_hash::hash_bytes;
use super::{Signature, Signatures};
use crate::uri::{Evasions, Normaliser};

/// Number of cache slots. Rationale: the lists of common tools have some hundred paths that matter here; of 700, nineteen
/// in twenty are then cached, and 272 KiB for each lane are little.
const SLOTS: usize = 2048;
/// Maximum length of method and target of a cached request, in bytes. Rationale: longer targets that an attacker makes
/// up are not repeated.
const MAX_TEXT: usize = 110;

const REQUEST: u64 = 0xa54f_f53a_5f1d_36f1;

/// Match of a request, as the cache keeps it.
#[derive(Clone, Debug)]
pub struct MatchResult {
    /// The best signature.
    pub signature: Arc<Signature>,
    /// The matched text: the path or host in normal form, or the bytes of a `raw` pattern. Empty for a `support`
    /// signature, for which no record has it.
    pub matched: Vec<u8>,
    /// The evasions that normalisation undid.
    pub evasions: Evasions,
    /// The other signatures that match, the best first.
    pub also: Vec<Arc<Signature>>,
}

/// Matches requests and caches the results of repeated ones.
///
/// A cached result is that of [`Signatures::find`] (`matched` is empty for support signatures), which depends on method and target alone.
#[derive(Debug)]
pub struct CachedMatcher {
    signatures: Arc<Signatures>,
    normaliser: Normaliser,
    /// The hash of the last request of each slot: a request is cached when it comes for the second time, so that single
    /// requests take no space.
    last_hashes: Vec<u64>,
    /// The hash of the cached request of each slot. Rationale: most misses compare only these, and the hashes in use
    /// stay in the L1 cache.
    hashes: Vec<u64>,
    /// The cached request of each slot.
    requests: Vec<CachedRequest>,
}

/// A cached request. All of it is compared: an attacker may choose two requests with the same hash.
#[derive(Clone, Debug)]
struct CachedRequest {
    found: Option<Box<MatchResult>>,
    method_len: u8,
    len: u8,
    text: [u8; MAX_TEXT],
}

impl CachedMatcher {
    /// Creates a matcher with an empty cache.
    #[must_use]
    pub fn new(signatures: Arc<Signatures>) -> Self {
        let hashes = vec![NO_HASH; SLOTS];
        let requests = vec![CachedRequest::EMPTY; SLOTS];
        Self { signatures, normaliser: Normaliser::new(), last_hashes: hashes.clone(), hashes, requests }
    }

    /// Returns the signatures in use.
    #[must_use]
    pub fn signatures(&self) -> &Arc<Signatures> {
        &self.signatures
    }

    /// Replaces the signatures and clears the cache, unless they are the same.
    pub fn use_signatures(&mut self, signatures: &Arc<Signatures>) {
        if !Arc::ptr_eq(&self.signatures, signatures) {
            self.signatures = Arc::clone(signatures);
            self.requests.fill(CachedRequest::EMPTY);
            self.hashes.fill(NO_HASH);
        }
    }

    /// Returns the best match of a request. Does not allocate when nothing matches.
    pub fn find(&mut self, method: &[u8], target: &[u8]) -> Option<MatchResult> {
        let hash = hash_bytes(hash_bytes(0, REQUEST, method), REQUEST, target);
        let slots = slots(hash);
        for slot in slots {
            if self.hashes.get(slot) == Some(&hash)
                && let Some(cached) = self.requests.get(slot).filter(|cached| cached.is(method, target))
            {
                return cached.found.as_deref().cloned();
            }
        }
        let candidates = self.normaliser.candidates(method, target);
        let found = self.signatures.find(method, target, &candidates).map(|found| MatchResult {
            matched: if found.signature.support { Vec::new() } else { found.matched.to_vec() },
            signature: found.signature,
            evasions: found.evasions,
            also: found.also,
        });
        if slots.iter().any(|&slot| self.last_hashes.get(slot) == Some(&hash)) {
            let free = slots.into_iter().find(|&slot| self.hashes.get(slot) == Some(&NO_HASH));
            self.insert(free.unwrap_or(slots[0]), hash, method, target, found.as_ref());
        } else {
            for slot in slots {
                if let Some(last) = self.last_hashes.get_mut(slot) {
                    *last = hash;
                }
            }
        }
        found
    }

    #[cold]
    #[inline(never)]
    fn insert(&mut self, slot: usize, hash: u64, method: &[u8], target: &[u8], found: Option<&MatchResult>) {
        let len = method.len() + target.len();
        let (Ok(method_len), Ok(len)) = (u8::try_from(method.len()), u8::try_from(len)) else { return };
        let mut text = [0; MAX_TEXT];
        let Some((start, end)) = text.get_mut(..usize::from(len)).map(|text| text.split_at_mut(method.len())) else {
            return;
        };
        start.copy_from_slice(method);
        end.copy_from_slice(target);
        if let (Some(cached), Some(cached_hash)) = (self.requests.get_mut(slot), self.hashes.get_mut(slot)) {
            *cached_hash = hash;
            *cached = CachedRequest { found: found.cloned().map(Box::new), method_len, len, text };
        }
    }
}

/// Marks an empty slot. A request with this hash is cached at once and compared as any other.
const NO_HASH: u64 = 0;

/// Returns the two slots of a request. Rationale: with one, requests that collide evict each other again and again; on a
/// scan whose tools repeat their lists that took 2 % more instructions in all (benches/record).
fn slots(hash: u64) -> [usize; 2] {
    // The remainders of divisions by a small number.
    [hash, hash.rotate_left(32)].map(|hash| (hash % SLOTS as u64) as usize)
}

impl CachedRequest {
    /// Equals no request: its length exceeds [`MAX_TEXT`].
    const EMPTY: Self = Self { found: None, method_len: 0, len: u8::MAX, text: [0; MAX_TEXT] };

    fn is(&self, method: &[u8], target: &[u8]) -> bool {
        let text = self.text.get(..usize::from(self.len));
        text.and_then(|text| text.split_at_checked(self.method_len.into())) == Some((method, target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_all_of_a_repeated_list_is_cached() {
        let targets: Vec<Vec<u8>> = (0..700).map(|number| format!("/list/{number}/of/a/tool").into_bytes()).collect();
        let mut matcher = CachedMatcher::new(Arc::default());
        // As a tool requests its list at one host after the other.
        for target in [&targets; 5].into_iter().flatten() {
            matcher.find(b"GET", target);
        }
        let is_cached = |target: &Vec<u8>| matcher.requests.iter().any(|cached| cached.is(b"GET", target));
        let count = targets.iter().filter(|target| is_cached(target)).count();
        assert!(count > 660, "{count} of {}", targets.len());
    }
}
