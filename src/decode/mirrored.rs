//! Decodes encapsulations that routers, access points and wireless controllers use to forward whole frames: TZSP,
//! CAPWAP.

use super::protocol::ip_protocol;
use super::slow_path::{Layer, LayerWalker};
use super::unread::UnreadKind;
use super::{SkipReason, be16};
use crate::segment::TunnelKind;

impl LayerWalker<'_> {
    /// Decodes TZSP (TaZmen Sniffer Protocol): version 1, a received packet (0) or one to transmit (1), the kind of
    /// frame, tagged fields up to an end tag, the frame.
    pub(super) fn tzsp<'a>(&mut self, bytes: &'a [u8], ports: (u16, u16)) -> Result<Layer<'a>, SkipReason> {
        const ETHERNET: u16 = 1;
        const IEEE_802_11: u16 = 18;
        const PRISM: u16 = 119;
        const AVS: u16 = 127;
        let ([1, 0 | 1, ..], Some(kind)) = (bytes, be16(bytes, 2)) else {
            return Err(self.incomplete(ip_protocol::UDP));
        };
        let (frame, original) = tzsp_frame(&bytes[4..]).ok_or(self.incomplete(ip_protocol::UDP))?;
        self.counters.tzsp += 1;
        self.enter_tunnel(TunnelKind::Tzsp, ip_protocol::UDP, ports, None)?;
        if let Some(original) = original
            && usize::from(original) > frame.len() + self.missing as usize
        {
            // The sender cut the frame.
            self.missing = (usize::from(original) - frame.len()) as u32;
        }
        match kind {
            ETHERNET => Ok(Layer::Ethernet(frame)),
            IEEE_802_11 => self.data_frame(frame, false),
            PRISM | AVS => self.prism(frame),
            other => {
                self.unread(UnreadKind::TzspProtocol(other));
                Err(SkipReason::NotTcp(ip_protocol::UDP))
            }
        }
    }

    /// Decodes CAPWAP data (RFC 5415 section 4.3): a preamble, a header whose length is in words of 4 bytes, and an
    /// IEEE 802.3 or native wireless frame.
    pub(super) fn capwap<'a>(&mut self, bytes: &'a [u8], ports: (u16, u16)) -> Result<Layer<'a>, SkipReason> {
        const DTLS_PREAMBLE: u8 = 1;
        const NATIVE: u8 = 0x01;
        const FRAGMENT: u8 = 0x80;
        const KEEP_ALIVE_OR_RESERVED: u8 = 0x0f;
        const EPC_GLOBAL: u8 = 3;
        let not_tcp = SkipReason::NotTcp(ip_protocol::UDP);
        // DTLS: the preamble, three reserved octets, and a record of application data of DTLS 1.x.
        if let [DTLS_PREAMBLE, 0, 0, 0, 23, 0xfe, ..] = bytes {
            self.unread(UnreadKind::CapwapEncrypted);
            return Err(not_tcp);
        }
        let [0, len, binding, flags, _, _, _, reserved, ..] = *bytes else {
            return Err(self.incomplete(ip_protocol::UDP));
        };
        let len = usize::from(len >> 3) * 4;
        if len < 8 || flags & KEEP_ALIVE_OR_RESERVED != 0 || reserved & 0x07 != 0 {
            return Err(not_tcp);
        }
        if flags & FRAGMENT != 0 {
            self.unread(UnreadKind::CapwapFragment);
            return Err(not_tcp);
        }
        let frame = bytes.get(len..).ok_or(self.incomplete(ip_protocol::UDP))?;
        self.counters.capwap += 1;
        self.enter_tunnel(TunnelKind::Capwap, ip_protocol::UDP, ports, None)?;
        match (binding & NATIVE, (binding >> 1) & 0x1f) {
            (0, _) => Ok(Layer::Ethernet(frame)),
            (_, EPC_GLOBAL) => Err(not_tcp),
            _ => self.wireless_in_capwap(frame),
        }
    }
}

/// Skips the tagged fields of TZSP. Returns the frame, and its length before the sender cut it, if that is given.
fn tzsp_frame(mut fields: &[u8]) -> Option<(&[u8], Option<u16>)> {
    const PADDING: u8 = 0;
    const END: u8 = 1;
    const ORIGINAL_LENGTH: u8 = 41;
    let mut original = None;
    loop {
        fields = match fields {
            [PADDING, rest @ ..] => rest,
            [END, frame @ ..] => return Some((frame, original)),
            [kind, len, rest @ ..] => {
                if (*kind, *len) == (ORIGINAL_LENGTH, 2) {
                    original = be16(rest, 0);
                }
                rest.get(usize::from(*len)..)?
            }
            _ => return None,
        };
    }
}
