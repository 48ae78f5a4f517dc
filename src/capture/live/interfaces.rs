//! Lists the interfaces that can be captured (`-D`), and resolves the argument of `-i`.

use std::net::IpAddr;

use crate::capture::bpf::cause;
use crate::capture::live::error::LiveError;
use crate::sys;

/// A network interface. Displays as in `tcpdump -D`, with its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The name for `-i`.
    pub name: String,
    /// libpcap's description, where there is one.
    pub description: Option<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// `Up`, `Running`, `Loopback`, `Wireless`, `Disconnected`.
    pub flags: Vec<&'static str>,
}

impl std::fmt::Display for Interface {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.name)?;
        if let Some(description) = &self.description {
            write!(out, " ({description})")?;
        }
        if !self.flags.is_empty() {
            write!(out, " [{}]", self.flags.join(", "))?;
        }
        for address in &self.addresses {
            write!(out, " {address}")?;
        }
        Ok(())
    }
}

/// Returns all interfaces that libpcap lists, in its order.
///
/// # Errors
/// [`LiveError::List`] with libpcap's message.
pub fn list_interfaces() -> Result<Vec<Interface>, LiveError> {
    let devices = pcap::Device::list().map_err(|error| LiveError::List(cause(&error)))?;
    Ok(devices.into_iter().map(Interface::from).collect())
}

impl From<pcap::Device> for Interface {
    fn from(device: pcap::Device) -> Self {
        let pcap::Device { name, desc, addresses, flags } = device;
        let flags = [
            (flags.is_up(), "Up"),
            (flags.is_running(), "Running"),
            (flags.is_loopback(), "Loopback"),
            (flags.is_wireless(), "Wireless"),
            (flags.connection_status == pcap::ConnectionStatus::Disconnected, "Disconnected"),
        ];
        let flags = flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect();
        Self { name, description: desc, addresses: addresses.into_iter().map(|address| address.addr).collect(), flags }
    }
}

/// Returns the name of the interface that the user gave by its name or its number in the list.
pub(super) fn resolve(given: &str) -> Result<String, LiveError> {
    if exists(given) {
        return Ok(given.to_owned());
    }
    let names: Vec<String> = list_interfaces().unwrap_or_default().into_iter().map(|each| each.name).collect();
    // libpcap also captures devices that are not network interfaces (nflog, usbmon0).
    if names.iter().any(|name| name == given) {
        return Ok(given.to_owned());
    }
    let numbered = given.parse::<usize>().ok().and_then(|number| names.get(number.checked_sub(1)?));
    numbered.cloned().ok_or_else(|| LiveError::NoSuchInterface {
        interface: given.to_owned(),
        existing: names.iter().filter(|name| *name == "any" || exists(name)).cloned().collect(),
    })
}

/// Returns whether a network interface of this name exists now.
pub(super) fn exists(name: &str) -> bool {
    name == "any" || sys::interface_index(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_name_is_reported_with_the_existing_ones() {
        let error = resolve("no-such-if").unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with("no-such-if: no such interface") && message.contains("-D"), "{message}");
        assert_eq!(error.exit_code(), 1);
        assert!(resolve("0").is_err() && resolve("").is_err());
    }

    #[test]
    fn loopback_is_listed_and_resolves_by_number() {
        let list = list_interfaces().unwrap();
        let Some(at) = list.iter().position(|interface| interface.name == "lo") else {
            return eprintln!("skipped: libpcap lists no loopback here (no privilege)");
        };
        assert!(list[at].flags.contains(&"Loopback"), "{}", list[at]);
        assert_eq!(resolve(&(at + 1).to_string()).unwrap(), "lo");
    }
}
