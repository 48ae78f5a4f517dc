//! A request target's candidates in normal form, and the disguises they wore. Not the matching: see
//! [`crate::signature`].
//!
//! Servers disagree about what a target means, so a target has a few [`Candidate`]s: undecoded, decoded once and
//! decoded twice; of each also the part before a NUL; and all of this again for the part before a blank. The order of
//! the steps is fixed:
//!
//! 1. cut at the first blank (second half of the candidates), strip `scheme://authority`, cut at `?` or `#`: always on
//!    undecoded bytes, so a decoded `?` is a byte of the path;
//! 2. decode `%HH` and `%uHHHH`; whatever is not a valid escape stays as it is (`%%target%%`);
//! 3. cut at the first NUL (second half);
//! 4. `\` becomes `/`, `;parameters` go, slashes collapse, dot segments are removed and stop at the root, trailing
//!    blanks, dots and slashes go, ASCII letters become lower case. A missing first `/` is added.
//!
//! Two choices where either answer can be defended: decoding folds overlong UTF-8 of ASCII (`%c0%af`) and full-width
//! letters (`%uff53`, `%ef%bd%93`) to the ASCII they stand for. Some servers do (IIS best fit), and no legitimate
//! request for what we look for is written that way. The same bytes undecoded on the wire are left alone.

mod candidates;
mod decode;
mod path;
mod target;

pub use candidates::{Candidate, Candidates, MAX_CANDIDATES, Normaliser};
pub use path::{NormalHost, NormalPath, Trailing};
pub use target::{MAX_TARGET, path, query, site};

/// The disguises that normalisation undid, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evasions(u16);

/// One disguise; the order is that of `smsentry_evasion`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Evasion {
    /// Percent-encoding (`%HH`) that had to be undone.
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
    /// `%uHHHH`, overlong UTF-8, full-width letters.
    Unicode,
    /// A blank inside the target.
    Whitespace,
}

impl Evasion {
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

impl Evasions {
    /// The set with one more.
    #[must_use]
    pub const fn with(self, evasion: Evasion) -> Self {
        Self(self.0 | 1 << evasion as u16)
    }

    /// The members of either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the set has it.
    #[must_use]
    pub const fn has(self, evasion: Evasion) -> bool {
        self.0 & (1 << evasion as u16) != 0
    }

    /// The disguises in the set, in the order of [`Evasion::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Evasion> {
        Evasion::ALL.into_iter().filter(move |&evasion| self.has(evasion))
    }
}
