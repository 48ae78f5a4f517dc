//! Decodes IPv4 and IPv6 headers, extension headers and fragment headers (RFC 791, RFC 8200). Does not reassemble; see
//! [`super::defrag`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice};

use super::datagram::{Fragment, IpVersion};
use super::defrag::DatagramKey;
use super::protocol::{ether_type, ip_protocol};
use super::slow_path::{Ip, Layer, LayerWalker};
use super::unread::{UnreadKind, is_no_carrier};
use super::{SkipReason, be16, be32, tcp};
use crate::segment::{Endpoint, TunnelKind, sums_to_zero};

impl LayerWalker<'_> {
    /// Decodes an IP packet; its version is in the first nibble.
    pub(super) fn ip<'a>(&mut self, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        match bytes.first().ok_or(self.short())? >> 4 {
            4 => self.ipv4(bytes),
            6 => self.ipv6(bytes),
            _ => Err(SkipReason::Malformed),
        }
    }

    /// Decodes an IPv4 header.
    pub(super) fn ipv4<'a>(&mut self, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        use etherparse::err::ipv4::HeaderSliceError;
        self.count_layer()?;
        let header = Ipv4HeaderSlice::from_slice(bytes).map_err(|error| match error {
            HeaderSliceError::Len(_) => self.short(),
            HeaderSliceError::Content(_) => SkipReason::Malformed,
        })?;
        self.counters.ipv4 += 1;
        let wrong = self.options.verify_ip_checksum && !sums_to_zero(header.slice());
        if wrong {
            self.counters.ip_bad_checksum += 1;
            self.encapsulation.ip_checksum_wrong = true;
        }
        // A length of 0: the packet is too long for the field, or the network card is to segment it later.
        let packet = match usize::from(header.total_len()) {
            0 => bytes,
            total if total < header.slice().len() => return Err(SkipReason::Malformed),
            total => self.bound(bytes, total)?,
        };
        self.encapsulation.fragmented = false;
        self.ip = Ip {
            source: IpAddr::V4(Ipv4Addr::from(header.source())),
            destination: IpAddr::V4(Ipv4Addr::from(header.destination())),
            id: u32::from(header.identification()),
            len: (packet.len() as u32).saturating_add(self.missing),
        };
        let (protocol, payload) = (header.protocol().0, self.after(packet, header.slice().len())?);
        let (offset, more) = (u32::from(header.fragments_offset().value()) * 8, header.more_fragments());
        if offset == 0 && !more {
            return Ok(Layer::Payload(protocol, payload));
        }
        if wrong {
            // The mark applies to a whole datagram, and one bad fragment would corrupt it.
            return Err(SkipReason::BadIpChecksum);
        }
        self.fragment(IpVersion::V4, protocol, offset, more, payload)
    }

    /// Decodes an IPv6 header.
    pub(super) fn ipv6<'a>(&mut self, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        use etherparse::err::ipv6::HeaderSliceError;
        self.count_layer()?;
        let header = Ipv6HeaderSlice::from_slice(bytes).map_err(|error| match error {
            HeaderSliceError::Len(_) => self.short(),
            HeaderSliceError::Content(_) => SkipReason::Malformed,
        })?;
        self.counters.ipv6 += 1;
        let next = header.next_header().0;
        let rest = self.after(bytes, header.slice().len())?;
        let length = match usize::from(header.payload_length()) {
            0 if next == ip_protocol::HOP_BY_HOP => jumbo_length(rest),
            0 => None,
            length => Some(length),
        };
        // Without a length, the packet ends with the frame, as with IPv4.
        let payload = length.map_or(Ok(rest), |length| self.bound(rest, length))?;
        self.encapsulation.fragmented = false;
        self.ip = Ip {
            source: IpAddr::V6(Ipv6Addr::from(header.source())),
            destination: IpAddr::V6(Ipv6Addr::from(header.destination())),
            id: 0,
            len: (payload.len() as u32).saturating_add(self.missing).saturating_add(40),
        };
        if next == ip_protocol::HOP_BY_HOP {
            return self.extension_header(payload);
        }
        Ok(Layer::Payload(next, payload))
    }

    /// Decodes the payload of an IP packet, except TCP.
    pub(super) fn payload<'a>(&mut self, protocol: u8, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        let v6 = self.ip.source.is_ipv6();
        match protocol {
            ip_protocol::UDP => self.udp(bytes),
            ip_protocol::GRE => self.gre(bytes),
            ip_protocol::IPV4 => {
                self.counters.ipip += 1;
                self.enter_tunnel(TunnelKind::Ipv4, ip_protocol::IPV4, (0, 0), None)?;
                self.ipv4(bytes)
            }
            ip_protocol::IPV6 => {
                self.counters.ipip += 1;
                self.enter_tunnel(TunnelKind::Ipv6, ip_protocol::IPV6, (0, 0), None)?;
                self.ipv6(bytes)
            }
            ip_protocol::ETHERIP => self.etherip(bytes),
            ip_protocol::L2TP => self.l2tp_v3(bytes, ip_protocol::L2TP, (0, 0)),
            ip_protocol::MPLS => {
                self.enter_tunnel(TunnelKind::Mpls, ip_protocol::MPLS, (0, 0), None)?;
                Ok(Layer::Ether(ether_type::MPLS, bytes))
            }
            ip_protocol::ETHERNET => {
                self.enter_tunnel(TunnelKind::Ethernet, ip_protocol::ETHERNET, (0, 0), None)?;
                Ok(Layer::Ethernet(bytes))
            }
            ip_protocol::AUTHENTICATION => {
                // RFC 4302 section 2.2: the length is in words of 4 bytes, less 2.
                self.count_extension()?;
                let [next, words, ..] = bytes else { return Err(self.short()) };
                Ok(Layer::Payload(*next, self.after(bytes, (usize::from(*words) + 2) * 4)?))
            }
            ip_protocol::FRAGMENT if v6 => self.fragment_header(bytes),
            ip_protocol::ROUTING
            | ip_protocol::DESTINATION
            | ip_protocol::MOBILITY
            | ip_protocol::HIP
            | ip_protocol::SHIM6
                if v6 =>
            {
                self.extension_header(bytes)
            }
            // Hosts reject a hop-by-hop header that is not the first one (RFC 8200 section 4.1).
            ip_protocol::HOP_BY_HOP if v6 => Err(SkipReason::Malformed),
            other => {
                if !is_no_carrier(other) {
                    self.unread(UnreadKind::IpProtocol(other));
                }
                Err(SkipReason::NotTcp(other))
            }
        }
    }

    /// Decodes EtherIP (RFC 3378 section 3): version 3 and 12 reserved bits, which must be zero.
    fn etherip<'a>(&mut self, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        let [0x30, 0, frame @ ..] = bytes else {
            self.unread(UnreadKind::IpProtocol(ip_protocol::ETHERIP));
            return Err(self.incomplete(ip_protocol::ETHERIP));
        };
        self.counters.etherip += 1;
        self.enter_tunnel(TunnelKind::EtherIp, ip_protocol::ETHERIP, (0, 0), None)?;
        Ok(Layer::Ethernet(frame))
    }

    /// Decodes an extension header whose length is in words of 8 bytes, less 1 (RFC 8200 section 4.2).
    fn extension_header<'a>(&mut self, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        self.count_extension()?;
        let [next, words, ..] = bytes else { return Err(self.short()) };
        Ok(Layer::Payload(*next, self.after(bytes, (usize::from(*words) + 1) * 8)?))
    }

    /// Decodes an IPv6 fragment header (RFC 8200 section 4.5). With offset 0 and no more fragments the packet is
    /// complete (RFC 6946, atomic fragment).
    fn fragment_header<'a>(&mut self, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        self.count_extension()?;
        let data = self.after(bytes, 8)?;
        let (Some(&next), Some(field), Some(id)) = (bytes.first(), be16(bytes, 2), be32(bytes, 4)) else {
            return Err(self.short());
        };
        self.ip.id = id;
        let (offset, more) = (u32::from(field & 0xfff8), field & 1 == 1);
        if offset == 0 && !more {
            return Ok(Layer::Payload(next, data));
        }
        // All headers must be in the first fragment (RFC 8200 section 4.5; Linux rejects others since 5.10).
        if offset == 0 && !self.is_cut() && lacks_headers(next, data) {
            self.counters.fragments += 1;
            self.counters.fragment_invalid += 1;
            return Err(SkipReason::Fragment);
        }
        self.fragment(IpVersion::V6, next, offset, more, data)
    }

    /// Adds a fragment, and returns the payload of the datagram that it completes.
    fn fragment<'a>(
        &mut self,
        version: IpVersion,
        protocol: u8,
        offset: u32,
        more: bool,
        data: &[u8],
    ) -> Result<Layer<'a>, SkipReason> {
        if self.is_cut() {
            self.counters.fragments += 1;
            self.counters.fragment_truncated += 1;
            self.counters.truncated += 1;
            return Err(SkipReason::Fragment);
        }
        let mut vlans = [0; 3];
        if self.options.vlan_tracking {
            for (slot, id) in vlans.iter_mut().zip(self.encapsulation.vlans.ids()) {
                *slot = *id;
            }
        }
        let key = DatagramKey::new(version, self.ip.source, self.ip.destination, protocol, self.ip.id, vlans);
        // Headers before the data in the datagram, which exclude the IPv6 fragment header.
        let headers = self.ip.len.saturating_sub(data.len() as u32);
        let header_len = headers.saturating_sub(if version == IpVersion::V6 { 8 } else { 0 });
        let fragment = Fragment { protocol, offset, more, header_len, data };
        let datagram = self.fragments.add(key, &fragment, self.clock, &self.options.limits, self.counters);
        self.counters.active = self.fragments.datagrams() as u64;
        let datagram = datagram.ok_or(SkipReason::Fragment)?;
        self.ip.len = datagram.header_len.saturating_add(datagram.bytes.len() as u32);
        Ok(Layer::Reassembled(datagram.protocol, datagram.bytes))
    }
}

/// Returns the length in the jumbo payload option (RFC 2675 section 2) of a hop-by-hop header.
fn jumbo_length(header: &[u8]) -> Option<usize> {
    const JUMBO: u8 = 0xc2;
    let len = (usize::from(*header.get(1)?) + 1) * 8;
    let mut options = header.get(2..len.min(header.len()))?;
    while let [kind, rest @ ..] = options {
        options = match (*kind, rest) {
            (0, rest) => rest,
            (JUMBO, [4, a, b, c, d, ..]) => return usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).ok(),
            (_, [len, rest @ ..]) => rest.get(usize::from(*len)..)?,
            _ => return None,
        };
    }
    None
}

/// Returns whether a first fragment does not contain all headers up to the fixed part of the TCP header.
fn lacks_headers(mut next: u8, mut data: &[u8]) -> bool {
    while let ip_protocol::HOP_BY_HOP | ip_protocol::ROUTING | ip_protocol::DESTINATION | ip_protocol::MOBILITY = next {
        let [following, words, ..] = data else { return true };
        next = *following;
        let Some(rest) = data.get((usize::from(*words) + 1) * 8..) else { return true };
        data = rest;
    }
    next == ip_protocol::TCP && data.len() < tcp::MIN_HEADER
}

/// Returns both addresses of an IPv6 header, from their 32 bytes.
#[inline]
pub(super) fn pair_v6(bytes: &[u8]) -> ([u8; 16], [u8; 16]) {
    let source = bytes.first_chunk().copied().unwrap_or_default();
    (source, bytes.last_chunk().copied().unwrap_or_default())
}

/// Returns the endpoint of an IPv6 address and a port.
#[inline]
pub(super) fn endpoint(address: [u8; 16], port: u16) -> Endpoint {
    Endpoint { ip: IpAddr::V6(Ipv6Addr::from(address)), port }
}
