//! A request target's candidates in normal form, and the disguises they wore. Not the matching: see
//! [`crate::signature`].

/// The disguises that normalisation undid, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disguises(u16);

/// One disguise; the order is that of `smsentry_evasion`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Disguise {
    /// Percent-encoding of what needs none.
    Percent,
    /// Percent-encoding of percent-encoding.
    DoublePercent,
    /// `.` and `..` segments.
    DotSegments,
    /// Repeated slashes.
    Slashes,
    /// Backslashes for slashes.
    Backslash,
    /// Upper-case letters.
    Case,
    /// `;parameters`.
    PathParameter,
    /// Trailing blanks, dots or slashes.
    Trailing,
    /// A NUL that cuts.
    Nul,
    /// `%uHHHH`.
    Unicode,
    /// A blank inside the target.
    Whitespace,
}

impl Disguise {
    /// Every disguise.
    pub const ALL: [Self; 11] = [
        Self::Percent,
        Self::DoublePercent,
        Self::DotSegments,
        Self::Slashes,
        Self::Backslash,
        Self::Case,
        Self::PathParameter,
        Self::Trailing,
        Self::Nul,
        Self::Unicode,
        Self::Whitespace,
    ];

    /// Its name in `smsentry_evasion`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Percent => "percent",
            Self::DoublePercent => "double-percent",
            Self::DotSegments => "dot-segments",
            Self::Slashes => "slashes",
            Self::Backslash => "backslash",
            Self::Case => "case",
            Self::PathParameter => "path-parameter",
            Self::Trailing => "trailing",
            Self::Nul => "nul",
            Self::Unicode => "unicode",
            Self::Whitespace => "whitespace",
        }
    }
}

impl Disguises {
    /// The set with one more.
    #[must_use]
    pub const fn with(self, disguise: Disguise) -> Self {
        Self(self.0 | 1 << disguise as u16)
    }

    /// Whether the set has it.
    #[must_use]
    pub const fn has(self, disguise: Disguise) -> bool {
        self.0 & (1 << disguise as u16) != 0
    }

    /// The disguises in the set, in the order of [`Disguise::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Disguise> {
        Disguise::ALL.into_iter().filter(move |&disguise| self.has(disguise))
    }
}
