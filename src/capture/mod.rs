//! Packet sources: capture files and network interfaces, read into blocks of frames, and libpcap's filters. Frames are
//! decoded by [`crate::decode`].

pub mod block;
#[cfg(feature = "live")]
pub mod bpf;
pub mod file;
pub mod filter_file;
#[cfg(feature = "live")]
mod libpcap_ffi;
#[cfg(feature = "live")]
pub mod live;
pub mod replay;
pub mod source;
#[cfg(not(feature = "live"))]
mod without_libpcap;

#[cfg(not(feature = "live"))]
pub use without_libpcap::{bpf, live};
