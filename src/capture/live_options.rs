//! Options of live capture. Also part of builds without libpcap, whose command line has the same limits.

use crate::capture::block::BlockSize;
use crate::capture::bpf::Filter;

/// The largest ring in MiB: libpcap's size in bytes has 31 bits.
pub const MAX_RING_MIB: u32 = 2047;

/// Options of an interface.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// The interface's name, its number in `list_interfaces`, or `any`.
    pub interface: String,
    /// Bytes kept of each frame; 0 and values above [`LiveOptions::MAX_SNAPLEN`] mean that maximum.
    pub snaplen: u32,
    /// Whether frames to other stations are captured (promiscuous mode).
    pub promiscuous: bool,
    /// Size of the kernel's ring in MiB, 1 to [`MAX_RING_MIB`].
    pub ring_mib: u32,
    /// The capture filter; without one everything is captured.
    pub filter: Option<Filter>,
    /// Limits at which a block is full.
    pub block: BlockSize,
}

impl LiveOptions {
    /// The most bytes that libpcap keeps of a frame, and the default: merged (GRO, TSO) frames are up to 64 KiB and
    /// more.
    pub const MAX_SNAPLEN: u32 = 262_144;

    /// Returns the defaults for an interface: whole frames, promiscuous, a ring of 64 MiB, no filter.
    #[must_use]
    pub fn new(interface: &str) -> Self {
        Self {
            interface: interface.to_owned(),
            snaplen: Self::MAX_SNAPLEN,
            promiscuous: true,
            ring_mib: 64,
            filter: None,
            block: BlockSize::default(),
        }
    }
}
