//! Parses the TCP header and the relevant options (RFC 9293 section 3.1). Does not verify the checksum: [`crate::flow`]
//! does so on demand, because the meaning of a wrong one depends on the direction of the flow.

use super::be32;
use crate::segment::{Seq, TcpFlags};

/// The shortest TCP header in bytes.
pub(super) const MIN_HEADER: usize = 20;

/// The fields of a TCP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
    pub(super) seq: Seq,
    pub(super) ack: Seq,
    pub(super) flags: TcpFlags,
    pub(super) header_len: u8,
    pub(super) window: u16,
    pub(super) checksum: u16,
    pub(super) urgent: u16,
    pub(super) options: TcpOptions,
}

/// The relevant TCP options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TcpOptions {
    /// The timestamp option's TSval (RFC 7323 section 3.2).
    pub(super) timestamp_value: Option<u32>,
    /// Whether a TCP-MD5 (RFC 2385) or TCP-AO (RFC 5925) option is present.
    pub(super) signed: bool,
}

/// Returns the length that a TCP header states, in bytes. It is not validated.
#[inline]
pub(super) const fn header_length(fixed: &[u8; MIN_HEADER]) -> usize {
    (fixed[12] >> 4) as usize * 4
}

impl Header {
    /// Parses a header from its fixed part and its options.
    #[inline]
    pub(super) fn parse(fixed: &[u8; MIN_HEADER], options: &[u8]) -> Self {
        let word = |at: usize| u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
        let half = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        Self {
            source_port: half(0),
            destination_port: half(2),
            seq: Seq(word(4)),
            ack: Seq(word(8)),
            flags: TcpFlags(fixed[13] & 0x3f),
            header_len: header_length(fixed) as u8,
            window: half(14),
            checksum: half(16),
            urgent: half(18),
            options: TcpOptions::parse(options),
        }
    }

    /// Converts a header that etherparse parsed.
    pub(super) fn from_slice(tcp: &etherparse::TcpSlice<'_>) -> Self {
        let flags = [
            (tcp.fin(), TcpFlags::FIN),
            (tcp.syn(), TcpFlags::SYN),
            (tcp.rst(), TcpFlags::RST),
            (tcp.psh(), TcpFlags::PSH),
            (tcp.ack(), TcpFlags::ACK),
            (tcp.urg(), TcpFlags::URG),
        ];
        Self {
            source_port: tcp.source_port(),
            destination_port: tcp.destination_port(),
            seq: Seq(tcp.sequence_number()),
            ack: Seq(tcp.acknowledgment_number()),
            flags: TcpFlags(flags.iter().filter(|(set, _)| *set).fold(0, |bits, (_, bit)| bits | bit)),
            header_len: tcp.data_offset() * 4,
            window: tcp.window_size(),
            checksum: tcp.checksum(),
            urgent: tcp.urgent_pointer(),
            options: TcpOptions::parse(tcp.options()),
        }
    }
}

impl TcpOptions {
    /// Parses an option area. Parsing ends at a bad length; options before it are used, as in Linux.
    #[inline(always)]
    pub(super) fn parse(area: &[u8]) -> Self {
        // The options of nearly every segment (RFC 7323 appendix A): two NOPs and a timestamp.
        if area.len() == 12 && area.starts_with(&[1, 1, 8, 10]) {
            return Self { timestamp_value: be32(area, 4), signed: false };
        }
        if area.is_empty() {
            return Self::default();
        }
        let (value, found) = Self::parse_general(area);
        Self { timestamp_value: (found & TIMESTAMP_FOUND != 0).then_some(value), signed: found & SIGNATURE_FOUND != 0 }
    }

    /// Parses an option area option by option. Returns the timestamp value, which is only valid with
    /// [`TIMESTAMP_FOUND`], and the flags of the options found. Rationale: two integers are returned in registers; read
    /// back from memory they would cost a stalled load, a third of the time of the fast path.
    #[inline(never)]
    fn parse_general(mut area: &[u8]) -> (u32, u32) {
        const END: u8 = 0;
        const NO_OPERATION: u8 = 1;
        const TIMESTAMPS: u8 = 8;
        const MD5: u8 = 19;
        const AO: u8 = 29;
        let (mut value, mut found) = (0, 0);
        while let Some((&kind, rest)) = area.split_first() {
            area = match kind {
                END => break,
                NO_OPERATION => rest,
                _ => {
                    let len = rest.first().copied().unwrap_or(0);
                    let Some((option, after)) = area.split_at_checked(usize::from(len)).filter(|_| len >= 2) else {
                        break;
                    };
                    match kind {
                        TIMESTAMPS if len == 10 => {
                            (value, found) = (be32(option, 2).unwrap_or(0), found | TIMESTAMP_FOUND);
                        }
                        MD5 | AO => found |= SIGNATURE_FOUND,
                        _ => {}
                    }
                    after
                }
            };
        }
        (value, found)
    }
}

/// Flag of [`TcpOptions::parse_general`]: a timestamp option is present.
const TIMESTAMP_FOUND: u32 = 1;
/// Flag of [`TcpOptions::parse_general`]: a TCP-MD5 or TCP-AO option is present.
const SIGNATURE_FOUND: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn option_parsing_ends_at_the_first_bad_length() {
        let timestamp = [8, 10, 0, 0, 0, 7, 0, 0, 0, 9];
        let cases: [(&[u8], Option<u32>, bool); 8] = [
            (&[1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9], Some(7), false),
            (&[&[2, 4, 5, 180][..], &timestamp].concat(), Some(7), false),
            (&[&timestamp[..], &[3, 0, 19, 18]].concat(), Some(7), false),
            (&[&[3, 0][..], &timestamp].concat(), None, false),
            (&[&[3, 60][..], &timestamp].concat(), None, false),
            (&[&[0][..], &timestamp].concat(), None, false),
            (&[29, 4, 1, 1], None, true),
            (&[8], None, false),
        ];
        for (area, timestamp_value, signed) in cases {
            assert_eq!(TcpOptions::parse(area), TcpOptions { timestamp_value, signed }, "{area:?}");
        }
    }
}
