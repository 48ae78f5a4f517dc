//! Normalises request targets into candidates and records the evasions undone. Does not match them; see
//! [`crate::signature`].
//!
//! Servers interpret a target differently, so a target has several [`Candidate`]s: undecoded, decoded once and decoded
//! twice; for each of these also the part before a NUL; and all of this again for the part before the first whitespace.
//! The order of the steps is fixed:
//!
//! 1. cut at the first whitespace (second half of the candidates), strip `scheme://authority`, cut at `?` or `#`:
//!    always on undecoded bytes, so a decoded `?` is a byte of the path;
//! 2. decode `%HH` and `%uHHHH`; invalid escapes stay unchanged (`%%target%%`);
//! 3. cut at the first NUL (second half);
//! 4. `\` becomes `/`, `;parameters` are dropped, slashes collapse, dot segments are removed but not beyond the root,
//!    trailing whitespace, dots and slashes are dropped, ASCII letters become lower case. A missing first `/` is added.
//!
//! Two choices could be made either way: decoding folds overlong UTF-8 of ASCII (`%c0%af`) and full-width letters
//! (`%uff53`, `%ef%bd%93`) to the ASCII they represent. Some servers do so (IIS best fit), and no legitimate request
//! for the paths searched for is written that way. The same bytes sent unescaped are left unchanged.

mod candidates;
mod decode;
mod path;
mod target;

pub use candidates::{Candidate, Candidates, MAX_CANDIDATES, Normaliser};
pub use path::{NormalHost, NormalPath, Trailing};
pub use target::{MAX_TARGET, path, query, site};

/// The set of evasions undone by normalisation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evasions(u16);

/// An evasion; the variants are in the order of `smsentry_evasion`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Evasion {
    /// Percent-encoding (`%HH`).
    Percent,
    /// Double percent-encoding.
    DoublePercent,
    /// `.` and `..` segments.
    DotSegments,
    /// Repeated slashes.
    Slashes,
    /// Backslashes in place of slashes.
    Backslash,
    /// Upper-case letters.
    Case,
    /// `;parameters`.
    PathParameter,
    /// Trailing whitespace, dots or slashes.
    Trailing,
    /// A NUL, at which some servers cut the path.
    Nul,
    /// `%uHHHH`, overlong UTF-8, full-width letters.
    Unicode,
    /// Whitespace within the target.
    Whitespace,
}

impl Evasion {
    /// All evasions.
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

    /// Returns its name in `smsentry_evasion`.
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
    /// Returns the set with `evasion` added.
    #[must_use]
    pub const fn with(self, evasion: Evasion) -> Self {
        Self(self.0 | 1 << evasion as u16)
    }

    /// Returns the union of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Reports whether the set contains `evasion`.
    #[must_use]
    pub const fn has(self, evasion: Evasion) -> bool {
        self.0 & (1 << evasion as u16) != 0
    }

    /// Iterates over the evasions in the set, in the order of [`Evasion::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Evasion> {
        Evasion::ALL.into_iter().filter(move |&evasion| self.has(evasion))
    }
}
