//! Builds [`Words`] from the word lists of signatures, which several signatures may share.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use super::entry::{hash_entry, hash_word, word_below};
use super::{Entry, WordRule, Words};
use crate::signature::bloom::BloomFilter;
use crate::signature::perfect_hash::PerfectHash;
use crate::signature::{WordList, WordScope};

/// Bits of a Bloom filter for each entry. Rationale: the filter has to stay in the L1 cache beside everything else; the
/// few false positives are looked up.
const FILTER_BITS: usize = 12;

/// Collects words for [`Words`].
#[derive(Debug, Default)]
pub(in crate::signature) struct WordsBuilder {
    /// The lists that have each entry.
    entries: HashMap<Vec<u8>, Vec<u32>, BuildHasherDefault<WordHasher>>,
    /// For each list, the numbers of the rules whose first list it is.
    rules_by_first: Vec<Vec<u32>>,
    /// The number of each list; many signatures may share one.
    lists: HashMap<SameList, u32>,
    rules: Vec<WordRule>,
}

/// Hashes words while files are loaded. Not keyed: the operator wrote the files.
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

/// A list, compared by its address.
#[derive(Debug)]
struct SameList(WordList);

impl PartialEq for SameList {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for SameList {}

impl Hash for SameList {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl WordsBuilder {
    /// Adds the lists and the scope of a signature, which are checked already. Signatures are added in the order of
    /// their numbers.
    pub(in crate::signature) fn add(&mut self, signature: u32, lists: &[WordList], scope: &WordScope) {
        if lists.is_empty() && scope.unless.is_empty() {
            return;
        }
        // At most one for each signature.
        let rule = self.rules.len() as u32;
        let unless = (!scope.unless.is_empty()).then(|| self.list(&scope.unless));
        let lists: Vec<u32> = lists.iter().map(|words| self.list(words)).collect();
        if let Some(&first) = lists.first() {
            self.rules_by_first[first as usize].push(rule);
        }
        self.rules.push(WordRule { signature, lists, unless, last: scope.last, only: scope.only });
    }

    /// Returns the number of a list and adds the list if it is new.
    fn list(&mut self, words: &WordList) -> u32 {
        *self.lists.entry(SameList(Arc::clone(words))).or_insert_with(|| {
            // Bounded by the bytes of the files.
            let number = self.rules_by_first.len() as u32;
            self.rules_by_first.push(Vec::new());
            for word in words.iter() {
                let text = word.to_ascii_lowercase().into_bytes();
                let lists = self.entries.entry(text).or_default();
                if lists.last() != Some(&number) {
                    lists.push(number);
                }
            }
            number
        })
    }

    /// Builds the table. `None` if no seed gives a perfect hash.
    pub(in crate::signature) fn build(self) -> Option<Words> {
        let is_first = |list: &u32| !self.rules_by_first[*list as usize].is_empty();
        let mut sorted: Vec<(Vec<u8>, Vec<u32>)> = self.entries.into_iter().collect();
        sorted.sort_unstable();
        let (seed, hash) = (0..8).find_map(|seed| {
            let hashes: Vec<u64> = sorted.iter().map(|(text, _)| hash_entry(seed, text)).collect();
            Some((seed, PerfectHash::build(&hashes)?))
        })?;
        let (mut entries, mut texts, mut numbers) = (Vec::with_capacity(sorted.len()), Vec::new(), Vec::new());
        let index = |len: usize| u32::try_from(len).ok();
        let mut first_hashes = Vec::new();
        for (text, lists) in &sorted {
            let (start, first_lists) = (index(texts.len())?, index(numbers.len())?);
            texts.extend_from_slice(text);
            numbers.extend(lists.iter().filter(|list| is_first(list)));
            let all = index(numbers.len())?;
            numbers.extend(lists);
            let end = index(numbers.len())?;
            entries.push(Entry { text: start, len: index(text.len())?, first_lists, lists: all, end });
            if first_lists < all {
                first_hashes.push(hash_entry(seed, text));
            }
        }
        let first_filter = BloomFilter::of(first_hashes.into_iter(), FILTER_BITS);
        let mut parents: Vec<Vec<u8>> =
            sorted.iter().filter_map(|(text, _)| Some(word_below(text)?.0.to_vec())).collect();
        parents.sort_unstable();
        parents.dedup();
        let parent_filter = BloomFilter::of(parents.iter().map(|name| hash_word(seed, name)), FILTER_BITS);
        let has_names = sorted.iter().any(|(text, _)| text.starts_with(b"/"));
        let (rules_by_first, rules) = (self.rules_by_first, self.rules);
        Some(Words {
            seed,
            hash,
            entries,
            texts,
            numbers,
            first_filter,
            rules_by_first,
            rules,
            has_names,
            parents,
            parent_filter,
        })
    }
}
