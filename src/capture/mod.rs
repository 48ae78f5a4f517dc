//! Packet sources: capture files and network interfaces, read into blocks of frames, and libpcap's filters. Frames are
//! decoded by [`crate::decode`].

pub mod block;
pub mod bpf;
pub mod file;
pub mod live;
pub mod replay;
