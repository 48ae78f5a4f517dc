//! A list of distinct names in a campaign record. Does not format them.

/// Distinct names in the order in which they were first seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// The first 20 names, concatenated.
    text: Vec<u8>,
    /// End offset of each name in `text`.
    ends: Vec<usize>,
    /// Number of distinct names seen; 1024 means 1024 or more.
    pub total: u64,
    /// Whether at least one item is truncated.
    pub cut: bool,
}

impl List {
    /// Returns an empty list with capacity for `items` items.
    #[must_use]
    pub fn with_capacity(items: usize) -> Self {
        /// Bytes reserved per item. Rationale: fits an address with a port, and most slugs.
        const ITEM: usize = 24;
        Self { text: Vec::with_capacity(items * ITEM), ends: Vec::with_capacity(items), ..Self::default() }
    }

    /// Adds everything that `write` appends as one item.
    pub fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.text);
        self.ends.push(self.text.len());
    }

    /// Iterates over the items.
    pub fn items(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.text[start..end])
    }

    /// Returns the number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns whether the list has no items.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}
