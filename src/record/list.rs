//! A list of names in a campaign's record. Not how it is written.

/// Distinct names in the order of first sight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// The first 20, one after the other.
    text: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
    /// How many there were; 1024 stands for that many or more.
    pub total: u64,
    /// Whether an item is only the beginning of a name.
    pub cut: bool,
}

impl List {
    /// A list without items, with room for so many.
    #[must_use]
    pub fn with_room(items: usize) -> Self {
        /// Bytes of an item that need no further room. Rationale: an address with a port, or most slugs.
        const ITEM: usize = 24;
        Self { text: Vec::with_capacity(items * ITEM), ends: Vec::with_capacity(items), ..Self::default() }
    }

    /// Adds what `write` writes as one item.
    pub fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.text);
        self.ends.push(self.text.len());
    }

    /// The items.
    pub fn items(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, &end)| &self.text[begin..end])
    }

    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no item.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}
