//! Frame bytes to a TCP segment, or a reason to skip: link types, VLAN tags, tunnels, IP fragments, TCP. Not the stream:
//! see [`crate::flow`].

use crate::segment::Encapsulation;

/// Where a segment's TCP bytes stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// `None`: in the frame itself. `Some(i)`: in [`Extras::wholes`]`[i]`.
    pub whole: Option<u32>,
    /// Offset of the first byte of the TCP header.
    pub start: u32,
    /// Offset behind the last byte.
    pub end: u32,
}

/// What decoding a block of frames leaves beside the segments; kept with the block and recycled with it.
#[derive(Debug)]
pub struct Extras {
    /// Datagrams put together from fragments (the IP payload: TCP header onwards).
    pub wholes: Vec<Box<[u8]>>,
    /// How segments were wrapped. The first entry is always the plain one.
    pub encapsulations: Vec<Encapsulation>,
}

impl Default for Extras {
    fn default() -> Self {
        Self { wholes: Vec::new(), encapsulations: vec![Encapsulation::default()] }
    }
}

impl Extras {
    /// Forgets everything but the plain encapsulation; memory stays.
    pub fn clear(&mut self) {
        self.wholes.clear();
        self.encapsulations.truncate(1);
    }
}
