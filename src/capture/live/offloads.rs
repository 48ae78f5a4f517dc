//! Offloads of an interface that merge packets before they are captured.

use crate::capture::live::interfaces::list_interfaces;
use crate::sys;

/// The merging offloads of one interface that are on. Frames are then longer than on the wire, with other checksums; no
/// data are lost, but order, sizes and times differ from the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offloads {
    /// The interface.
    pub interface: String,
    /// Their names in ethtool(8): `gro`, `lro`, `gso`, `tso`.
    pub on: Vec<&'static str>,
}

// linux/ethtool.h
const ETHTOOL_GTSO: u32 = 0x1e;
const ETHTOOL_GGSO: u32 = 0x23;
const ETHTOOL_GFLAGS: u32 = 0x25;
const ETHTOOL_GGRO: u32 = 0x2b;
const ETH_FLAG_LRO: u32 = 1 << 15;

impl Offloads {
    /// Returns those of `interface`, or of every interface for `any`. Interfaces without any are omitted.
    #[must_use]
    pub fn of(interface: &str) -> Vec<Self> {
        let names = if interface == "any" {
            list_interfaces().unwrap_or_default().into_iter().map(|each| each.name).collect()
        } else {
            vec![interface.to_owned()]
        };
        let all = names.into_iter().map(|interface| Self { on: merging(&interface), interface });
        all.filter(|offloads| !offloads.on.is_empty()).collect()
    }

    /// Returns the command that turns off the merging of received packets (`gro`, `lro`); `None` when neither is on.
    /// Merging of sent packets affects only a capture on the server itself.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        let received: Vec<_> = self.on.iter().filter(|name| matches!(**name, "gro" | "lro")).collect();
        let words: String = received.iter().map(|name| format!(" {name} off")).collect();
        (!received.is_empty()).then(|| format!("ethtool -K {}{words}", self.interface))
    }
}

impl std::fmt::Display for Offloads {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} merges packets ({})", self.interface, self.on.join(", "))?;
        self.remedy().map_or(Ok(()), |command| write!(out, "; to see them as on the wire: {command}"))
    }
}

/// Returns the names of the merging offloads that are on.
fn merging(interface: &str) -> Vec<&'static str> {
    let on = |command, mask| sys::ethtool_value(interface, command).is_some_and(|value| value & mask != 0);
    let known = [
        ("gro", on(ETHTOOL_GGRO, u32::MAX)),
        ("lro", on(ETHTOOL_GFLAGS, ETH_FLAG_LRO)),
        ("gso", on(ETHTOOL_GGSO, u32::MAX)),
        ("tso", on(ETHTOOL_GTSO, u32::MAX)),
    ];
    known.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedy_covers_only_offloads_of_received_packets() {
        let mut offloads = Offloads { interface: "eth0".into(), on: vec!["gro", "tso"] };
        assert_eq!(offloads.remedy().as_deref(), Some("ethtool -K eth0 gro off"));
        offloads.on = vec!["gso"];
        assert_eq!(offloads.remedy(), None);
    }
}
