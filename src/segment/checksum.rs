//! The checksums of a segment and the sums they are made of. Not what a wrong one means: see [`crate::flow`].

use super::Segment;

/// What the checksum field says (RFC 9293 section 3.1, RFC 1071).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// Right.
    Valid,
    /// The field holds the sum of the pseudo-header alone: left to the network card (offload, GRO).
    Offloaded,
    /// Wrong, or that of an IPv4 header around it is.
    Invalid,
    /// The capture cut the segment: not to be known.
    Unknown,
}

impl Segment<'_> {
    /// Verifies the checksums: TCP's, and what decoding found of the IPv4 headers.
    #[must_use]
    pub fn checksum(&self) -> Checksum {
        if self.encapsulation.ip_checksum_wrong {
            return Checksum::Invalid;
        }
        if self.head.cut > 0 {
            return Checksum::Unknown;
        }
        let pseudo = self.pseudo_header_sum();
        if is_zero(pseudo + native_sum(self.tcp)) {
            Checksum::Valid
        } else if self.head.checksum == u16::from_be(fold(pseudo)) {
            Checksum::Offloaded
        } else {
            Checksum::Invalid
        }
    }

    /// Sum of the pseudo-header in the machine's byte order. An IPv4-mapped address adds 0xffff twice in all, which is zero
    /// in one's complement.
    fn pseudo_header_sum(&self) -> u64 {
        const PROTOCOL_TCP: u16 = 6;
        let native = |word: u16| u64::from(word.to_be());
        let length = self.tcp.len();
        let [low, high] = &self.head.key.addresses;
        let lengths = native((length >> 16) as u16) + native(length as u16);
        native_sum(low) + native_sum(high) + native(PROTOCOL_TCP) + lengths
    }
}

/// Whether a header with a checksum of its own is sound: the one's complement sum of its 16-bit words is zero (RFC 1071).
#[inline]
pub(crate) fn sums_to_zero(header: &[u8]) -> bool {
    is_zero(native_sum(header))
}

/// Whether a sum of 16-bit words that are not all zero is zero in one's complement.
const fn is_zero(sum: u64) -> bool {
    sum.is_multiple_of(0xffff)
}

/// Sum of 16-bit words in the machine's byte order, not folded; an odd last byte counts as the high one. The one's
/// complement sum does not mind the order of bytes, nor wider words (RFC 1071 section 2).
#[inline]
fn native_sum(bytes: &[u8]) -> u64 {
    const LANES: usize = 4;
    let (blocks, rest) = bytes.as_chunks::<{ 4 * LANES }>();
    let mut lanes = [0_u64; LANES];
    for block in blocks {
        let (words, _) = block.as_chunks::<4>();
        for (lane, &word) in lanes.iter_mut().zip(words) {
            *lane += u64::from(u32::from_ne_bytes(word));
        }
    }
    let (words, tail) = rest.as_chunks::<4>();
    let last = match *tail {
        [a] => [a, 0, 0, 0],
        [a, b] => [a, b, 0, 0],
        [a, b, c] => [a, b, c, 0],
        _ => [0; 4],
    };
    let rest: u64 = words.iter().map(|&word| u64::from(u32::from_ne_bytes(word))).sum();
    lanes.iter().sum::<u64>() + rest + u64::from(u32::from_ne_bytes(last))
}

/// Folds a sum into 16 bits.
fn fold(mut total: u64) -> u16 {
    total = (total >> 32) + (total & 0xffff_ffff);
    total = (total >> 16) + (total & 0xffff);
    total = (total >> 16) + (total & 0xffff);
    total = (total >> 16) + (total & 0xffff);
    // Four steps leave 16 bits of 64.
    total as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum in the order of the network.
    fn sum(bytes: &[u8]) -> u64 {
        u64::from(u16::from_be(fold(native_sum(bytes))))
    }

    #[test]
    fn checksum_of_rfc_1071_example() {
        assert_eq!(fold(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])), 0xddf2);
        assert_eq!(fold(sum(&[0x01])), 0x0100);
        let bytes: Vec<u8> = (0..77).map(|at| (at * 3) ^ 0x5a).collect();
        for len in 0..bytes.len() {
            let word = |word: &[u8]| u64::from(word[0]) << 8 | word.get(1).map_or(0, |&low| u64::from(low));
            assert_eq!(sum(&bytes[..len]) % 0xffff, bytes[..len].chunks(2).map(word).sum::<u64>() % 0xffff, "{len}");
        }
        assert_eq!(fold(u64::MAX), 0xffff);
    }
}
