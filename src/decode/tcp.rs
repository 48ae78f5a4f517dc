//! The TCP header and the few options that matter (RFC 9293 section 3.1). Not the checksum: [`crate::flow`] verifies it
//! on demand, because what a wrong one means depends on the half-flow.

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
    pub(super) options: Options,
}

/// What the option area says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) timestamp_value: Option<u32>,
    pub(super) signed: bool,
}

/// The length that a TCP header states, in bytes; nothing says that it is sound.
#[inline]
pub(super) const fn length_of(fixed: &[u8; MIN_HEADER]) -> usize {
    (fixed[12] >> 4) as usize * 4
}

impl Header {
    /// A header of its fixed part and its options.
    #[inline]
    pub(super) fn of(fixed: &[u8; MIN_HEADER], options: &[u8]) -> Self {
        let word = |at: usize| u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
        let half = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        Self {
            source_port: half(0),
            destination_port: half(2),
            seq: Seq(word(4)),
            ack: Seq(word(8)),
            flags: TcpFlags(fixed[13] & 0x3f),
            header_len: length_of(fixed) as u8,
            window: half(14),
            checksum: half(16),
            urgent: half(18),
            options: Options::of(options),
        }
    }

    /// As [`Header::of`], of a header that etherparse read.
    pub(super) fn read(tcp: &etherparse::TcpSlice<'_>) -> Self {
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
            options: Options::of(tcp.options()),
        }
    }
}

impl Options {
    /// Reads an option area. A bad length ends the reading; what was read before it counts, as in Linux.
    #[inline(always)]
    pub(super) fn of(area: &[u8]) -> Self {
        // What nearly every segment carries (RFC 7323 appendix A): two NOPs and a timestamp.
        if area.len() == 12 && area.starts_with(&[1, 1, 8, 10]) {
            return Self { timestamp_value: be32(area, 4), signed: false };
        }
        if area.is_empty() {
            return Self::default();
        }
        let (value, found) = Self::of_any(area);
        Self { timestamp_value: (found & STAMPED != 0).then_some(value), signed: found & SIGNED != 0 }
    }

    /// The timestamp value, if there is one, and what was found. Rationale: two numbers come back in registers; read back
    /// from memory they cost a stalled load, a third of the fast way's time.
    #[inline(never)]
    fn of_any(mut area: &[u8]) -> (u32, u32) {
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
                            (value, found) = (be32(option, 2).unwrap_or(0), found | STAMPED);
                        }
                        MD5 | AO => found |= SIGNED,
                        _ => {}
                    }
                    after
                }
            };
        }
        (value, found)
    }
}

/// What [`Options::of_any`] finds.
const STAMPED: u32 = 1;
const SIGNED: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_end_at_the_first_bad_length() {
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
            assert_eq!(Options::of(area), Options { timestamp_value, signed }, "{area:?}");
        }
    }
}
