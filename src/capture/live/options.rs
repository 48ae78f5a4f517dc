//! Options of live capture. Also part of builds without libpcap, whose command line has the same limits.

use crate::capture::block::BlockSize;
use crate::capture::bpf::Filter;

/// The largest ring in MiB that libpcap's 31-bit size can say.
pub const MAX_RING_MIB: u32 = 2047;

/// How an interface is captured.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// The interface's name, its number in `list_interfaces`, or `any`.
    pub interface: String,
    /// Bytes kept of each frame; 0 and more than [`LiveOptions::MAX_SNAPLEN`] mean that.
    pub snaplen: u32,
    /// Whether frames to other stations are asked for.
    pub promiscuous: bool,
    /// Size of the kernel's ring in MiB, 1 to [`MAX_RING_MIB`].
    pub ring_mib: u32,
    /// What to capture; everything without one.
    pub filter: Option<Filter>,
    /// When a block is full.
    pub block: BlockSize,
}

impl LiveOptions {
    /// The most libpcap keeps of a frame, and the default: merged (GRO, TSO) frames are up to 64 KiB and more.
    pub const MAX_SNAPLEN: u32 = 262_144;

    /// The defaults for an interface: whole frames, promiscuous, a ring of 64 MiB, no filter.
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
