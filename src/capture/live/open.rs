//! Opens an interface through libpcap, and determines the cause when that fails.

use crate::capture::bpf::{Filter, FilterError, cause};
use crate::capture::libpcap_ffi;
use crate::capture::live::error::LiveError;
use crate::capture::live::interfaces;
use crate::capture::live_options::LiveOptions;
use crate::packet::Link;
use crate::sys;

/// Time in milliseconds for which the kernel holds back a part of the ring that is not full.
///
/// Rationale: never immediate mode, which has space for only 32 frames. One part (256 KiB) is used per timeout or fill,
/// so with 50 ms a ring of 64 MiB holds 12 s of a quiet link while the caller is busy.
pub(super) const TIMEOUT_MILLIS: u16 = 50;

/// An interface that is open for capture.
pub(super) struct Opened {
    pub(super) handle: pcap::Capture<pcap::Active>,
    pub(super) link: Link,
    /// Whether time stamps count nanoseconds.
    pub(super) nanoseconds: bool,
    /// The index of the interface when it was opened; another index means that it was recreated.
    pub(super) index: Option<u32>,
    /// The expression that the kernel runs.
    pub(super) filter: Option<String>,
    number: i32,
}

impl Opened {
    /// Returns libpcap's name of the link type.
    pub(super) fn link_name(&self) -> String {
        pcap::Linktype(self.number).get_name().unwrap_or_else(|_| format!("number {}", self.number))
    }
}

/// Returns whether the interface is put into promiscuous mode. libpcap has no such mode for `any`: it would warn, and
/// the `pcap` crate would fail.
pub(super) fn uses_promiscuous_mode(options: &LiveOptions) -> bool {
    options.promiscuous && options.interface != "any"
}

/// Opens the interface. Returns `None` when it is down.
pub(super) fn open(options: &mut LiveOptions) -> Result<Option<Opened>, LiveError> {
    let index = sys::interface_index(&options.interface);
    let handle = match activate(options, uses_promiscuous_mode(options)) {
        Ok(handle) => handle,
        // An interface without promiscuous mode is better than none.
        Err(error) => match reason(options, &error) {
            None => return Ok(None),
            Some(reason @ (LiveError::NotPermitted { .. } | LiveError::NoSuchInterface { .. })) => return Err(reason),
            Some(reason) => activate(options, false).map_err(|_| reason)?,
        },
    };
    let other = |error: pcap::Error| LiveError::other(&options.interface, &cause(&error));
    let number = handle.get_datalink().0;
    let nanoseconds = libpcap_ffi::has_nanosecond_stamps(&handle);
    let mut handle = handle.setnonblock().map_err(other)?;
    let filter = options.filter.as_mut().map(|filter| set_filter(&mut handle, filter, number)).transpose();
    let filter = filter.map_err(LiveError::Filter)?;
    let link = Link::from_number(number.unsigned_abs());
    Ok(Some(Opened { handle, link, nanoseconds, index, filter, number }))
}

fn activate(options: &LiveOptions, promiscuous: bool) -> Result<pcap::Capture<pcap::Active>, pcap::Error> {
    let bytes = i32::try_from(options.ring_mib << 20).unwrap_or(i32::MAX);
    pcap::Capture::from_device(options.interface.as_str())?
        .snaplen(i32::try_from(options.snaplen).unwrap_or(i32::MAX))
        .promisc(promiscuous)
        .buffer_size(bytes)
        .timeout(TIMEOUT_MILLIS.into())
        .precision(pcap::Precision::Nano)
        .open()
}

/// Determines why opening failed, by the state of the interface rather than by libpcap's message. Returns `None` when
/// the interface is down.
fn reason(options: &LiveOptions, error: &pcap::Error) -> Option<LiveError> {
    let interface = &options.interface;
    if !sys::may_capture() {
        return Some(LiveError::NotPermitted { interface: interface.clone() });
    }
    if sys::interface_is_up(interface) == Some(false) {
        return None;
    }
    match interfaces::resolve(interface) {
        Err(missing) => Some(missing),
        Ok(_) => Some(LiveError::other(interface, &cause(error))),
    }
}

/// Installs the widened expression in the kernel, or the user's own where the link type has no `vlan`. It is compiled
/// for the open interface, so that libpcap also finds tags that the hardware removed from the frame.
fn set_filter(
    handle: &mut pcap::Capture<pcap::Active>,
    filter: &mut Filter,
    number: i32,
) -> Result<String, FilterError> {
    let effective = filter.effective(number.unsigned_abs())?.to_owned();
    let expression = filter.expression().to_owned();
    handle.filter(&effective, true).map_err(|error| FilterError { expression, cause: cause(&error) })?;
    Ok(effective)
}
