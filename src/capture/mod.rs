//! Packet sources: capture files and network interfaces, read into blocks of frames, and libpcap's filters. Frames are
//! decoded by [`crate::decode`].

pub mod block;
#[cfg(feature = "live")]
pub mod bpf;
pub mod file;
pub mod filter_file;
pub(crate) mod follow;
#[cfg(feature = "live")]
mod libpcap_ffi;
#[cfg(feature = "live")]
pub mod live;
mod live_options;
pub mod replay;
pub mod source;

#[cfg(not(feature = "live"))]
pub mod bpf_unavailable;
#[cfg(not(feature = "live"))]
pub mod live_unavailable;

#[cfg(not(feature = "live"))]
pub use {bpf_unavailable as bpf, live_unavailable as live};
