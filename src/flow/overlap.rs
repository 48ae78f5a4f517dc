//! Decides which of two differing copies of the same bytes is used when neither was delivered yet. Does not apply to
//! delivered bytes: those are final under every policy.

/// The receiver whose treatment of overlapping segments is imitated.
///
/// Source: Novak & Sturges, "Target-Based TCP Stream Reassembly" (2007); `Linux` as measured against Linux 6.18.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OverlapPolicy {
    /// Lower start wins; at the same start the strictly longer, newer one; otherwise the older.
    #[default]
    Linux,
    /// The older always wins.
    First,
    /// The newer always wins.
    Last,
    /// The newer wins where it starts before the older.
    Bsd,
    /// As BSD for pairs of segments.
    Windows,
    /// The newer wins unless the older ends after it.
    Solaris,
}

/// First and last stream offset (exclusive) of a segment as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) start: i64,
    pub(super) end: i64,
}

impl OverlapPolicy {
    /// The policies with their names on the command line.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("linux", Self::Linux),
        ("first", Self::First),
        ("last", Self::Last),
        ("bsd", Self::Bsd),
        ("windows", Self::Windows),
        ("solaris", Self::Solaris),
    ];

    /// Returns whether the newer segment's bytes replace the older one's where they overlap.
    pub(super) const fn newer_wins(self, newer: Extent, older: Extent) -> bool {
        match self {
            Self::Linux => newer.start < older.start || (newer.start == older.start && newer.end > older.end),
            Self::First => false,
            Self::Last => true,
            Self::Bsd | Self::Windows => newer.start < older.start,
            Self::Solaris => newer.end >= older.end,
        }
    }
}
