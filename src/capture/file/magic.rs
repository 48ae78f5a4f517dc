//! What a file is, by its first bytes; its name says nothing. Not a check that the rest is sound.

use super::parse_step::ByteOrder;

/// How many bytes a decision may want.
pub(super) const LOOK: usize = 24;

/// Which of the classic format's variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pcap {
    pub(super) order: ByteOrder,
    pub(super) nanoseconds: bool,
    /// Alexey Kuznetzov's patched libpcap of the 1990s: longer record heads.
    pub(super) kuznetzov: bool,
}

/// A compression that is undone on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    /// RFC 1952, any number of members.
    Gzip,
    /// RFC 8878, any number of frames.
    Zstd,
}

impl Compression {
    /// Its name, as people know it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Magic {
    Pcap(Pcap),
    PcapNg,
    Compressed(Compression),
    Unknown,
}

impl Magic {
    /// Judges a file by its first bytes (up to [`LOOK`] are looked at).
    pub(super) fn of(head: &[u8]) -> Self {
        let Some(&first) = head.first_chunk::<4>() else { return Self::Unknown };
        for (order, number) in
            [(ByteOrder::Little, u32::from_le_bytes(first)), (ByteOrder::Big, u32::from_be_bytes(first))]
        {
            match number {
                0xa1b2_c3d4 => return Self::Pcap(Pcap { order, nanoseconds: false, kuznetzov: false }),
                0xa1b2_3c4d => return Self::Pcap(Pcap { order, nanoseconds: true, kuznetzov: false }),
                0xa1b2_cd34 => return Self::Pcap(Pcap { order, nanoseconds: false, kuznetzov: true }),
                _ => {}
            }
        }
        match first {
            // Its first four bytes are line ends: only with the byte-order magic is it no text.
            [0x0a, 0x0d, 0x0d, 0x0a] if byte_order(head) => Self::PcapNg,
            [0x1f, 0x8b, ..] => Self::Compressed(Compression::Gzip),
            // A frame, or one to skip (RFC 8878, sections 3.1.1 and 3.1.2).
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Self::Compressed(Compression::Zstd),
            _ => Self::Unknown,
        }
    }
}

fn byte_order(head: &[u8]) -> bool {
    matches!(head.get(8..12), None | Some([0x4d, 0x3c, 0x2b, 0x1a] | [0x1a, 0x2b, 0x3c, 0x4d]))
}

/// What to call something that is no capture, for the message.
pub(super) fn describe(head: &[u8]) -> String {
    let known = match head {
        [] => return "it is empty".to_owned(),
        [0xa1, 0xb2, 0x34, 0xcd, ..] | [0xcd, 0x34, 0xb2, 0xa1, ..] => "a pcap file of Mesquita's variant",
        [0xa1, 0x2b, 0x3c, 0x4d, ..] | [0x4d, 0x3c, 0x2b, 0xa1, ..] => "a pcap file of Navtel's variant",
        [b's', b'n', b'o', b'o', b'p', 0, 0, 0, ..] => "a snoop capture",
        [b'G', b'M', b'B', b'U', ..] | [b'R', b'T', b'S', b'S', ..] => "a Network Monitor capture",
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => "compressed with xz",
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => "compressed with bzip2",
        [0x04, 0x22, 0x4d, 0x18, ..] => "compressed with lz4",
        [b'P', b'K', 3, 4, ..] => "a zip archive",
        [0x7f, b'E', b'L', b'F', ..] => "a program",
        _ => return describe_unknown(head),
    };
    format!("it is {known}, not a pcap or pcapng file")
}

fn describe_unknown(head: &[u8]) -> String {
    let text = head.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~'));
    if text {
        let line = head.split(|&byte| byte == b'\n' || byte == b'\r').find(|line| !line.is_empty()).unwrap_or_default();
        return format!("it is not a capture, it looks like text: \"{}\"", line.escape_ascii());
    }
    let bytes: Vec<String> = head.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("it is not a capture, it begins with the bytes {}", bytes.join(" "))
}
