//! Two functions of libpcap that the `pcap` crate does not offer, behind safe wrappers.
//!
//! Rationale: beside [`super::bpf`], not in [`super::live`], because replay runs filters too.

// Rationale: C functions cannot be called otherwise; each block states why it is sound.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_uint, c_void};

unsafe extern "C" {
    /// pcap/bpf.h: runs a filter program; 0 means no match. `len`, `greater` and `less` compare `wire_length`.
    fn bpf_filter(program: *const c_void, frame: *const u8, wire_length: c_uint, captured: c_uint) -> c_uint;
    /// pcap/pcap.h: PCAP_TSTAMP_PRECISION_MICRO (0) or PCAP_TSTAMP_PRECISION_NANO (1).
    fn pcap_get_tstamp_precision(handle: *mut c_void) -> c_int;
}

/// Returns whether `program` accepts a frame that had `wire_len` bytes on the wire, of which `bytes` were captured.
///
/// Rationale: the `pcap` crate's own `BpfProgram::filter` uses the captured length as the wire length, so that
/// `greater 1000` is false for a long frame that was cut.
pub(crate) fn filter_accepts(program: &pcap::BpfProgram, wire_len: u32, bytes: &[u8]) -> bool {
    let instructions = program.get_instructions();
    let captured = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    // SAFETY: libpcap compiled the program, so it ends in a return and its jumps stay inside it; it lives as long as
    // the borrow. bpf_filter reads the frame only below `captured`.
    unsafe { bpf_filter(instructions.as_ptr().cast(), bytes.as_ptr(), wire_len.max(captured), captured) != 0 }
}

/// Returns whether the fraction in a live capture's time stamps counts nanoseconds rather than microseconds.
pub(crate) fn has_nanosecond_stamps(capture: &pcap::Capture<pcap::Active>) -> bool {
    // SAFETY: the pointer is the crate's open handle, borrowed for the call; the function only reads from it.
    unsafe { pcap_get_tstamp_precision(capture.as_ptr().cast()) == 1 }
}
