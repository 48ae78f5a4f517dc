//! The format of a capture file: detected by its first bytes, then one parser for all formats.

use super::format_error::FormatError;
use super::magic::{self, Magic};
use super::parse_step::Step;
use super::pcap;
use super::pcapng;
use super::snoop;

/// The parser of a file, with its state.
#[derive(Debug)]
pub(super) enum Format {
    Pcap(pcap::Pcap),
    PcapNg(pcapng::PcapNg),
    Snoop(snoop::Snoop),
}

impl Format {
    /// Detects the format of a file by its first bytes. Returns it with the length of the file's header in bytes.
    ///
    /// # Errors
    /// When the file is not a capture, or not in a supported variant.
    pub(super) fn detect(head: &[u8]) -> Result<(Self, usize), FormatError> {
        match Magic::of(head) {
            Magic::PcapNg => Ok((Self::PcapNg(pcapng::PcapNg::new()), 0)),
            Magic::Pcap(variant) => {
                let Some(header) = head.first_chunk::<{ pcap::HEADER }>() else {
                    return Err(FormatError::ShortHeader { len: head.len(), expected: pcap::HEADER });
                };
                Ok((Self::Pcap(pcap::Pcap::open(variant, header)?), pcap::HEADER))
            }
            Magic::Snoop => {
                let Some(header) = head.first_chunk::<{ snoop::HEADER }>() else {
                    return Err(FormatError::ShortHeader { len: head.len(), expected: snoop::HEADER });
                };
                Ok((Self::Snoop(snoop::Snoop::open(header)?), snoop::HEADER))
            }
            Magic::Compressed(compression) => Err(FormatError::CompressedTwice(compression.name())),
            Magic::Unknown => Err(FormatError::NotACapture(magic::describe(head))),
        }
    }

    /// Parses the record or block at the start of `bytes`.
    #[inline]
    pub(super) fn step(&mut self, bytes: &[u8]) -> Step {
        match self {
            Self::Pcap(pcap) => pcap.step(bytes),
            Self::PcapNg(pcapng) => pcapng.step(bytes),
            Self::Snoop(snoop) => snoop.step(bytes),
        }
    }
}
