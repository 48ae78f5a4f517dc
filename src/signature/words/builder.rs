//! The making of [`Words`] out of the lists that signatures have, each of which may be the list of many.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use super::entry::{hash_entry, hash_word, word_below};
use super::{Word, WordRule, Words};
use crate::signature::bloom::BloomFilter;
use crate::signature::perfect_hash::PerfectHash;
use crate::signature::{WordList, WordScope};

/// Bits of a first look for each entry. Rationale: the bits have to stay in the first cache, whatever else goes through
/// it; the few strangers that pass are looked up.
const LOOK: usize = 12;

/// Collects words for [`Words`].
#[derive(Debug, Default)]
pub(in crate::signature) struct WordsBuilder {
    /// The lists that each entry stands in.
    words: HashMap<Vec<u8>, Vec<u32>, BuildHasherDefault<WordHasher>>,
    /// The numbers of the demands whose first list each one is.
    openers: Vec<Vec<u32>>,
    /// The number of each list, by the list itself: many signatures share one.
    lists: HashMap<ByPlace, u32>,
    demands: Vec<WordRule>,
}

/// Hashes words while the files are loaded, which their owner wrote.
#[derive(Debug, Default)]
struct WordHasher(u64);

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash_word(self.0, bytes);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A list that is the same only as itself.
#[derive(Debug)]
struct ByPlace(WordList);

impl PartialEq for ByPlace {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ByPlace {}

impl Hash for ByPlace {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl WordsBuilder {
    /// Adds the lists of a signature and its scope, checked before. Signatures come in the order of their numbers.
    pub(in crate::signature) fn add(&mut self, signature: u32, lists: &[WordList], scope: &WordScope) {
        if lists.is_empty() && scope.unless.is_empty() {
            return;
        }
        // As many as there are signatures at most.
        let demand = self.demands.len() as u32;
        let unless = (!scope.unless.is_empty()).then(|| self.list(&scope.unless));
        let lists: Vec<u32> = lists.iter().map(|words| self.list(words)).collect();
        if let Some(&first) = lists.first() {
            self.openers[first as usize].push(demand);
        }
        self.demands.push(WordRule { signature, lists, unless, last: scope.last, only: scope.only });
    }

    /// The number of a list, which is added if it is new.
    fn list(&mut self, words: &WordList) -> u32 {
        *self.lists.entry(ByPlace(Arc::clone(words))).or_insert_with(|| {
            // Bounded by the bytes of the files.
            let number = self.openers.len() as u32;
            self.openers.push(Vec::new());
            for word in words.iter() {
                let text = word.to_ascii_lowercase().into_bytes();
                let lists = self.words.entry(text).or_default();
                if lists.last() != Some(&number) {
                    lists.push(number);
                }
            }
            number
        })
    }

    /// Builds the table. `None` if no seed gives a perfect hash.
    pub(in crate::signature) fn build(self) -> Option<Words> {
        let opens = |list: &u32| !self.openers[*list as usize].is_empty();
        let mut entries: Vec<(Vec<u8>, Vec<u32>)> = self.words.into_iter().collect();
        entries.sort_unstable();
        let (seed, hash) = (0..8).find_map(|seed| {
            let hashes: Vec<u64> = entries.iter().map(|(text, _)| hash_entry(seed, text)).collect();
            Some((seed, PerfectHash::build(&hashes)?))
        })?;
        let (mut words, mut texts, mut numbers) = (Vec::with_capacity(entries.len()), Vec::new(), Vec::new());
        let place = |len: usize| u32::try_from(len).ok();
        let mut opening = Vec::new();
        for (text, lists) in &entries {
            let (start, first) = (place(texts.len())?, place(numbers.len())?);
            texts.extend_from_slice(text);
            numbers.extend(lists.iter().filter(|list| opens(list)));
            let all = place(numbers.len())?;
            numbers.extend(lists);
            let end = place(numbers.len())?;
            words.push(Word { text: start, len: place(text.len())?, opens: first, lists: all, end });
            if first < all {
                opening.push(hash_entry(seed, text));
            }
        }
        let opening = BloomFilter::of(opening.into_iter(), LOOK);
        let mut parents: Vec<Vec<u8>> =
            entries.iter().filter_map(|(text, _)| Some(word_below(text)?.0.to_vec())).collect();
        parents.sort_unstable();
        parents.dedup();
        let upper = BloomFilter::of(parents.iter().map(|name| hash_word(seed, name)), LOOK);
        let names = entries.iter().any(|(text, _)| text.starts_with(b"/"));
        let (openers, demands) = (self.openers, self.demands);
        Some(Words { seed, hash, words, texts, numbers, opening, openers, demands, names, parents, upper })
    }
}
