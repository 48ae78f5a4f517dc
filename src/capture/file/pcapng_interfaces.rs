//! The interfaces of a pcapng section: link type, and the meaning of time stamps. Description blocks are parsed by
//! [`super::pcapng`].

use std::collections::HashMap;

use super::format_error::FormatError;
use crate::packet::Link;
use crate::time::Timestamp;

/// The most interfaces of a section, of which each takes two bytes. A merged capture can have one for every packet.
const MAX_INTERFACES: usize = 16 << 20;
/// The most different ones.
///
/// Rationale: real ones differ in link type, snapshot length and resolution, of which there are few.
const MAX_DIFFERENT: usize = 4096;
/// Index of an interface whose packets cannot be read.
const UNUSABLE: u16 = u16::MAX;
const NANOS: u64 = 1_000_000_000;

/// The unit of an interface's time stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Ticks {
    /// Nanoseconds per tick.
    Nanos(i64),
    /// Ticks per second: powers of two, and units below a nanosecond.
    PerSecond(u64),
}

impl Ticks {
    /// Decodes if_tsresol: a negative power of 10, or of 2 if the highest bit is set. `None` if the rate does not fit
    /// into 64 bits.
    pub(super) fn decode(resolution: u8) -> Option<Self> {
        let exponent = u32::from(resolution & 0x7f);
        let base: u64 = if resolution & 0x80 == 0 { 10 } else { 2 };
        let rate = base.checked_pow(exponent)?;
        if NANOS.is_multiple_of(rate) {
            return Some(Self::Nanos(
                i64::try_from(NANOS / rate).expect("a second has fewer nanoseconds than i64::MAX"),
            ));
        }
        Some(Self::PerSecond(rate))
    }
}

/// What is known of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Interface {
    pub(super) linktype: u32,
    pub(super) link: Link,
    pub(super) snaplen: u32,
    pub(super) ticks: Ticks,
    /// Seconds to add to every time stamp.
    pub(super) offset: i64,
}

impl Interface {
    #[inline]
    pub(super) fn time(&self, ticks: u64) -> Timestamp {
        match self.ticks {
            Ticks::Nanos(nanos) => {
                let nanos = i64::try_from(ticks).unwrap_or(i64::MAX).saturating_mul(nanos);
                Timestamp::from_secs_nanos(self.offset, nanos)
            }
            Ticks::PerSecond(rate) => {
                let seconds = i64::try_from(ticks / rate).unwrap_or(i64::MAX).saturating_add(self.offset);
                let nanos = u128::from(ticks % rate) * u128::from(NANOS) / u128::from(rate);
                Timestamp::from_secs_nanos(seconds, i64::try_from(nanos).unwrap_or(i64::MAX))
            }
        }
    }
}

/// The interfaces of the current section.
///
/// Invariant: every element of `indices` is an index of `different`, or [`UNUSABLE`].
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    indices: Vec<u16>,
    different: Vec<Interface>,
    known: HashMap<Interface, u16>,
}

impl Interfaces {
    pub(super) fn clear(&mut self) {
        self.indices.clear();
        self.different.clear();
        self.known.clear();
    }

    /// Adds the next interface; `None` is one whose packets cannot be read. Beyond the limits, none is added or it is
    /// unusable: its packets are counted as unread.
    pub(super) fn push(&mut self, interface: Option<Interface>) {
        if self.indices.len() < MAX_INTERFACES {
            let index = interface.map_or(UNUSABLE, |interface| self.index_of(interface));
            self.indices.push(index);
        }
    }

    fn index_of(&mut self, interface: Interface) -> u16 {
        if let Some(&index) = self.known.get(&interface) {
            return index;
        }
        if self.different.len() >= MAX_DIFFERENT {
            return UNUSABLE;
        }
        // Below MAX_DIFFERENT.
        let index = self.different.len() as u16;
        self.different.push(interface);
        self.known.insert(interface, index);
        index
    }

    /// Returns an interface by its number in the section.
    #[inline]
    pub(super) fn get(&self, number: u32) -> Result<&Interface, FormatError> {
        match self.indices.get(number as usize) {
            Some(&index) => self.different.get(usize::from(index)).ok_or(FormatError::UnusableInterface(number)),
            None if self.indices.len() == MAX_INTERFACES => Err(FormatError::UnusableInterface(number)),
            None => Err(FormatError::UnknownInterface(number)),
        }
    }
}
