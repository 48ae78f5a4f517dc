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
    /// A snoop version other than 2.
    SnoopVersion(u32),
    /// A snoop datalink type that has no decoder.
    SnoopDatalink(u32),
    /// A snoop record whose length is out of range, or too short for its frame.
    SnoopRecord { record: u32, included: u32 },
    /// The byte-order magic of a pcapng section is neither of the two.
    ByteOrderMagic([u8; 4]),
    /// A pcapng version other than 1.
    PcapNgVersion { major: u16, minor: u16 },
    /// A pcapng block length that is no multiple of 4, or below the minimum.
    BlockLength { length: u32, min: u32 },
    /// The two lengths of a pcapng block differ.
    UnequalLengths { head: u32, end: u32 },
    /// A pcapng block is too short for its type.
    ShortBlock { kind: u32 },
    /// A packet refers to an interface without a description.
    UnknownInterface(u32),
    /// A packet's captured length exceeds its block.
    LongPacket { caplen: u32, space: usize },
    /// A packet of an interface that was not stored: the section has more of them, or more different ones, than the
    /// limits, or its description is unusable.
    UnusableInterface(u32),
}

impl FormatError {
    /// Returns what the user can do about it.
    pub(super) const fn remedy(&self) -> &'static str {
        match self {
            Self::NotACapture(_) | Self::PcapVersion { .. } | Self::SnoopVersion(_) | Self::SnoopDatalink(_) => CONVERT,
            Self::CompressedTwice(_) => "decompress it once",
            Self::ShortHeader { .. } => "copy the capture again from where it was recorded",
            _ => DAMAGED,
        }
    }
}

/// Remedy for a file in another format.
pub(super) const CONVERT: &str =
    "give a pcap, pcapng or snoop file, plain or compressed with gzip, zstd, xz, bzip2 or lz4";
/// Remedy for a file that ends in the middle of a record.
pub(super) const CUT: &str =
    "everything before was read; copy the capture again, or give --follow if it is still being written";
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
            Self::SnoopVersion(version) => {
                write!(out, "it is a snoop capture of version {version}, not of version 2 (RFC 1761)")
            }
            Self::SnoopDatalink(number) => {
                write!(out, "it is a snoop capture of datalink type {number}, which is not supported")
            }
            Self::SnoopRecord { record, included } => {
                write!(out, "the next record claims {record} bytes, with a frame of {included} bytes")
            }
            Self::ByteOrderMagic(magic) => write!(out, "a section begins with the byte-order magic {magic:02x?}"),
            Self::PcapNgVersion { major, minor } => {
                write!(out, "a section of pcapng version {major}.{minor}, which is not supported")
            }
            Self::BlockLength { length, min } => {
                write!(out, "the next block claims {length} bytes, which is no multiple of 4 from {min} on")
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
            Self::UnusableInterface(index) => write!(
                out,
                "a packet of interface {index}, whose description is too short, has a time resolution below 64 bits, or \
                 exceeds the limits"
            ),
        }
    }
}

impl std::error::Error for FormatError {}
