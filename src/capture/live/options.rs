//! Options of live capture. Builds without libpcap include this module too, because their command line has the same
//! limits.

use crate::capture::block::BlockSize;
use crate::capture::bpf::Filter;

/// Largest ring in MiB that libpcap's 31-bit size can represent.
pub const MAX_RING_MIB: u32 = 2047;

/// Options for the capture of an interface.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// Name of the interface, its number in `list_interfaces`, or `any`.
    pub interface: String,
    /// Bytes kept of each frame; 0 and values above [`LiveOptions::MAX_SNAPLEN`] mean that maximum.
    pub snaplen: u32,
    /// Whether promiscuous mode is requested, to capture frames to other stations.
    pub promiscuous: bool,
    /// Size of the kernel's ring in MiB, 1 to [`MAX_RING_MIB`].
    pub ring_mib: u32,
    /// Filter for the frames to capture; `None` captures everything.
    pub filter: Option<Filter>,
    /// Size at which a block is full.
    pub block: BlockSize,
}

impl LiveOptions {
    /// Maximum bytes that libpcap keeps of a frame, and the default: merged (GRO, TSO) frames are up to 64 KiB and
    /// more.
    pub const MAX_SNAPLEN: u32 = 262_144;

    /// Returns the default options for an interface: whole frames, promiscuous, a ring of 64 MiB, no filter.
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
