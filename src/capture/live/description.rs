//! The description of a live capture in the start message.

use crate::capture::live::offloads::Offloads;
use crate::capture::live::open::{Opened, uses_promiscuous_mode};
use crate::capture::live_options::LiveOptions;

/// The properties of an opened capture. Displays as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The interface.
    pub interface: String,
    /// libpcap's name of the link type (`EN10MB`, `LINUX_SLL`); `None` while the interface is down.
    pub link_type: Option<String>,
    /// The filter that is in effect: the user's, widened for VLAN tags; `None` captures everything.
    pub filter: Option<String>,
    /// Whether the interface is put into promiscuous mode (`any` never is).
    pub promiscuous: bool,
    /// Requested size of the kernel's ring in MiB.
    pub ring_mib: u32,
    /// Bytes kept of each frame.
    pub snaplen: u32,
    /// Offloads that merge packets.
    pub offloads: Vec<Offloads>,
}

impl Description {
    pub(super) fn of(options: &LiveOptions, opened: Option<&Opened>) -> Self {
        Self {
            interface: options.interface.clone(),
            link_type: opened.map(|opened| opened.link_name()),
            filter: match (opened, &options.filter) {
                (Some(opened), _) => opened.filter.clone(),
                (None, filter) => filter.as_ref().map(|filter| filter.expression().to_owned()),
            },
            promiscuous: uses_promiscuous_mode(options),
            ring_mib: options.ring_mib,
            snaplen: options.snaplen,
            offloads: Offloads::of(&options.interface),
        }
    }
}

impl std::fmt::Display for Description {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { interface, link_type, filter, promiscuous, ring_mib, snaplen, offloads } = self;
        let link_type = link_type.as_deref().unwrap_or("unknown while it is down");
        write!(out, "listening on {interface}, link type {link_type}, snapshot length {snaplen} bytes, ")?;
        write!(out, "{}promiscuous, ring {ring_mib} MiB", if *promiscuous { "" } else { "not " })?;
        match filter {
            Some(filter) => write!(out, ", filter: {filter}")?,
            None => write!(out, ", no filter")?,
        }
        offloads.iter().try_for_each(|offloads| write!(out, "; {offloads}"))
    }
}
