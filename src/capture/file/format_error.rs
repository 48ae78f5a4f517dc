//! Errors of the capture file formats. Errors of reading the file are reported by [`super::reader`].

use std::fmt;

/// Violation of a capture file format, or a variant of it that is not supported. Displays as the cause only.
#[derive(Debug)]
pub(super) enum FormatError {
    /// Not a capture; the text describes what the first bytes look like.
    NotACapture(String),
    /// A compressed file within a compressed file; the name of the inner compression.
    CompressedTwice(&'static str),
    /// The pcap header is truncated.
    ShortHeader { len: usize, expected: usize },
    /// A pcap version that libpcap does not read either.
    PcapVersion { major: u16, minor: u16 },
    /// A pcap record with a captured length above the limit.
    LongFrame { caplen: u32, limit: u32 },
    /// The byte-order magic of a pcapng section is neither of the two.
    ByteOrderMagic([u8; 4]),
    /// A pcapng version other than 1.
    PcapNgVersion { major: u16, minor: u16 },
    /// A pcapng block length that is no multiple of 4, or out of range.
    BlockLength { length: u32, min: u32, max: u32 },
    /// The two lengths of a pcapng block differ.
    UnequalLengths { head: u32, end: u32 },
    /// A pcapng block is too short for its type.
    ShortBlock { kind: u32 },
    /// A packet refers to an interface without a description.
    UnknownInterface(u32),
    /// A packet's captured length exceeds its block.
    LongPacket { caplen: u32, space: usize },
    /// An interface description block is too short.
    ShortInterface,
    /// More interfaces in a section than the limit.
    TooManyInterfaces { limit: usize },
    /// A time resolution of `base`^-`exponent` seconds, which does not fit into 64 bits.
    TimeResolution { base: u32, exponent: u32 },
}

impl FormatError {
    /// Returns what the user can do about it.
    pub(super) const fn remedy(&self) -> &'static str {
        match self {
            Self::NotACapture(_) | Self::PcapVersion { .. } => CONVERT,
            Self::CompressedTwice(_) => "decompress it once",
            Self::ShortHeader { .. } => "copy the capture again from where it was recorded",
            _ => DAMAGED,
        }
    }
}

/// Remedy for a file in another format.
pub(super) const CONVERT: &str = "give a pcap or pcapng file, plain or compressed with gzip or zstd";
/// Remedy for a file that is damaged or truncated.
pub(super) const DAMAGED: &str = "everything before was read; copy the capture again from where it was recorded";

impl fmt::Display for FormatError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotACapture(description) => out.write_str(description),
            Self::CompressedTwice(name) => write!(out, "it is compressed with {name} twice over"),
            Self::ShortHeader { len, expected } => {
                write!(out, "its header is cut short: {len} of {expected} bytes are there")
            }
            Self::PcapVersion { major, minor } => {
                write!(out, "it is a pcap file of version {major}.{minor}, which libpcap does not read either")
            }
            Self::LongFrame { caplen, limit } => {
                write!(out, "the next record claims {caplen} captured bytes, more than the maximum of {limit}")
            }
            Self::ByteOrderMagic(magic) => write!(out, "a section begins with the byte-order magic {magic:02x?}"),
            Self::PcapNgVersion { major, minor } => {
                write!(out, "a section of pcapng version {major}.{minor}, which is not supported")
            }
            Self::BlockLength { length, min, max } => {
                write!(out, "the next block claims {length} bytes, which is no multiple of 4 between {min} and {max}")
            }
            Self::UnequalLengths { head, end } => {
                write!(out, "a block claims {head} bytes at its head and {end} at its end")
            }
            Self::ShortBlock { kind } => write!(out, "a block of type {kind} is too short for its content"),
            Self::UnknownInterface(index) => {
                write!(out, "a packet of interface {index}, which the section does not describe")
            }
            Self::LongPacket { caplen, space } => {
                write!(out, "a packet of {caplen} bytes in a block with space for {space}")
            }
            Self::ShortInterface => out.write_str("an interface description block is too short"),
            Self::TooManyInterfaces { limit } => write!(out, "more than {limit} interfaces in a section"),
            Self::TimeResolution { base, exponent } => {
                write!(out, "an interface with a time resolution of {base}^-{exponent} seconds, which is not supported")
            }
        }
    }
}

impl std::error::Error for FormatError {}
