//! Detects the offloads of an interface that merge packets before they are captured.

use crate::capture::live::interfaces::list_interfaces;
use crate::sys;

/// Active offloads of one interface that merge packets. They make frames longer than on the wire, with different
/// checksums. No data is lost, but order, sizes and times of the packets differ from those on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offloads {
    /// Interface name.
    pub interface: String,
    /// Names of the active offloads, as ethtool(8) accepts them: `gro`, `lro`, `gso`, `tso`.
    pub on: Vec<&'static str>,
}

// linux/ethtool.h
const ETHTOOL_GTSO: u32 = 0x1e;
const ETHTOOL_GGSO: u32 = 0x23;
const ETHTOOL_GFLAGS: u32 = 0x25;
const ETHTOOL_GGRO: u32 = 0x2b;
const ETH_FLAG_LRO: u32 = 1 << 15;

impl Offloads {
    /// Returns the active offloads of `interface`, or of every interface for `any`. Interfaces without any are omitted.
    #[must_use]
    pub fn of(interface: &str) -> Vec<Self> {
        let names = if interface == "any" {
            list_interfaces().unwrap_or_default().into_iter().map(|each| each.name).collect()
        } else {
            vec![interface.to_owned()]
        };
        let all = names.into_iter().map(|interface| Self { on: merging_offloads(&interface), interface });
        all.filter(|offloads| !offloads.on.is_empty()).collect()
    }

    /// Returns the command that disables the offloads that merge received packets (`gro`, `lro`); `None` when neither
    /// is on. Offloads that merge sent packets affect only a capture on the server itself.
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

/// Returns the names of the active merging offloads of `interface`.
fn merging_offloads(interface: &str) -> Vec<&'static str> {
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
    fn remedy_covers_only_receive_offloads() {
        let mut offloads = Offloads { interface: "eth0".into(), on: vec!["gro", "tso"] };
        assert_eq!(offloads.remedy().as_deref(), Some("ethtool -K eth0 gro off"));
        offloads.on = vec!["gso"];
        assert_eq!(offloads.remedy(), None);
    }
}
