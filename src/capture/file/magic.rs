//! Detects the type of a file by its first bytes; its name is ignored. The rest of the file is not checked.

use super::parse_step::ByteOrder;

/// Number of bytes that a decision may need.
pub(super) const HEAD_LEN: usize = 24;

/// A variant of the pcap format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PcapVariant {
    pub(super) order: ByteOrder,
    pub(super) nanoseconds: bool,
    /// Whether it is that of Alexey Kuznetzov's patched libpcap of the 1990s: longer record headers.
    pub(super) kuznetzov: bool,
}

/// A supported compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    /// RFC 1952, any number of members.
    Gzip,
    /// RFC 8878, any number of frames.
    Zstd,
    /// The .xz file format, any number of streams.
    Xz,
    /// Any number of streams.
    Bzip2,
    /// The LZ4 frame format, any number of frames.
    Lz4,
}

impl Compression {
    /// Returns its usual name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
            Self::Lz4 => "lz4",
        }
    }
}

/// The type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Magic {
    Pcap(PcapVariant),
    PcapNg,
    /// RFC 1761.
    Snoop,
    Compressed(Compression),
    Unknown,
}

impl Magic {
    /// Detects the type of a file by its first bytes, of which up to [`HEAD_LEN`] are used.
    pub(super) fn of(head: &[u8]) -> Self {
        let Some(&first) = head.first_chunk::<4>() else { return Self::Unknown };
        for (order, number) in
            [(ByteOrder::Little, u32::from_le_bytes(first)), (ByteOrder::Big, u32::from_be_bytes(first))]
        {
            match number {
                0xa1b2_c3d4 => return Self::Pcap(PcapVariant { order, nanoseconds: false, kuznetzov: false }),
                0xa1b2_3c4d => return Self::Pcap(PcapVariant { order, nanoseconds: true, kuznetzov: false }),
                0xa1b2_cd34 => return Self::Pcap(PcapVariant { order, nanoseconds: false, kuznetzov: true }),
                _ => {}
            }
        }
        match first {
            // Its first four bytes are line breaks: text, unless the byte-order magic follows.
            [0x0a, 0x0d, 0x0d, 0x0a] if may_have_byte_order_magic(head) => Self::PcapNg,
            [b's', b'n', b'o', b'o'] if b"snoop\0\0\0".starts_with(&head[..head.len().min(8)]) => Self::Snoop,
            [0x1f, 0x8b, ..] => Self::Compressed(Compression::Gzip),
            // A frame, or a skippable one (RFC 8878, sections 3.1.1 and 3.1.2).
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Self::Compressed(Compression::Zstd),
            [0xfd, b'7', b'z', b'X'] => Self::Compressed(Compression::Xz),
            [b'B', b'Z', b'h', b'1'..=b'9'] if may_be_bzip2(head) => Self::Compressed(Compression::Bzip2),
            [0x04, 0x22, 0x4d, 0x18] => Self::Compressed(Compression::Lz4),
            _ => Self::Unknown,
        }
    }
}

/// Returns whether the byte-order magic of a pcapng section is there, or could still follow.
fn may_have_byte_order_magic(head: &[u8]) -> bool {
    matches!(head.get(8..12), None | Some([0x4d, 0x3c, 0x2b, 0x1a] | [0x1a, 0x2b, 0x3c, 0x4d]))
}

/// Returns whether a block, or the end of an empty file, follows the first four bytes, or could still follow: text may
/// begin with them.
fn may_be_bzip2(head: &[u8]) -> bool {
    let follows = head[4..].split_at(head[4..].len().min(6)).0;
    [[0x31, 0x41, 0x59, 0x26, 0x53, 0x59], [0x17, 0x72, 0x45, 0x38, 0x50, 0x90]]
        .iter()
        .any(|magic| magic.starts_with(follows))
}

/// Returns whether a file that cannot be read is a packet capture, of which packets would be passed over in silence.
pub(super) fn is_unsupported_capture(head: &[u8]) -> bool {
    matches!(
        head,
        [0xa1, 0xb2, 0x34, 0xcd, ..]
            | [0xcd, 0x34, 0xb2, 0xa1, ..]
            | [0xa1, 0x2b, 0x3c, 0x4d, ..]
            | [0x4d, 0x3c, 0x2b, 0xa1, ..]
            | [b'G', b'M', b'B', b'U', ..]
            | [b'R', b'T', b'S', b'S', ..]
    )
}

/// Describes a file that is not a capture, for the error message.
pub(super) fn describe(head: &[u8]) -> String {
    let known = match head {
        [] => return "it is empty".to_owned(),
        [0xa1, 0xb2, 0x34, 0xcd, ..] | [0xcd, 0x34, 0xb2, 0xa1, ..] => "a pcap file of Mesquita's variant",
        [0xa1, 0x2b, 0x3c, 0x4d, ..] | [0x4d, 0x3c, 0x2b, 0xa1, ..] => "a pcap file of Navtel's variant",
        [b'G', b'M', b'B', b'U', ..] | [b'R', b'T', b'S', b'S', ..] => "a Network Monitor capture",
        [0x02, 0x21, 0x4c, 0x18, ..] => "compressed with lz4's legacy format",
        [0x1f, 0x9d, ..] => "compressed with compress",
        [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => "a 7z archive",
        [b'P', b'K', 3, 4, ..] => "a zip archive",
        [0x7f, b'E', b'L', b'F', ..] => "a program",
        _ => return describe_unknown(head),
    };
    format!("it is {known}, not a capture file that can be read")
}

fn describe_unknown(head: &[u8]) -> String {
    let is_text = head.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~'));
    if is_text {
        let line = head.split(|&byte| byte == b'\n' || byte == b'\r').find(|line| !line.is_empty()).unwrap_or_default();
        return format!("it is not a capture, it looks like text: \"{}\"", line.escape_ascii());
    }
    let bytes: Vec<String> = head.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("it is not a capture, it begins with the bytes {}", bytes.join(" "))
}
