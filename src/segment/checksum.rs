//! Verifies the checksums of a segment. Does not decide what a wrong one means; see [`crate::flow`].

use super::Segment;

/// The result of verifying a checksum (RFC 9293 section 3.1, RFC 1071).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// Correct.
    Valid,
    /// The field holds the sum of the pseudo-header alone: the network card was to complete it (offload, GRO).
    Offloaded,
    /// Wrong, or the checksum of an enclosing IPv4 header is; or the frame is too short for the packet.
    Invalid,
    /// Cannot be verified, because the capture cut the segment.
    Unknown,
}

impl Segment<'_> {
    /// Verifies the TCP checksum, and includes the result of decoding for the IPv4 headers.
    #[must_use]
    pub fn checksum(&self) -> Checksum {
        if self.encapsulation.ip_checksum_wrong || self.encapsulation.is_trimmed {
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

    /// Returns the sum of the pseudo-header in the machine's byte order. The mapping prefixes of two IPv4-mapped
    /// addresses add 0xffff twice, which is zero in one's complement.
    fn pseudo_header_sum(&self) -> u64 {
        const PROTOCOL_TCP: u16 = 6;
        let native = |word: u16| u64::from(word.to_be());
        let length = self.tcp.len();
        let [low, high] = &self.head.key.addresses;
        let lengths = native((length >> 16) as u16) + native(length as u16);
        native_sum(low) + native_sum(high) + native(PROTOCOL_TCP) + lengths
    }
}

/// Returns whether a header that contains its own checksum is valid: the one's complement sum of its 16-bit words is
/// zero (RFC 1071).
#[inline]
pub(crate) fn sums_to_zero(header: &[u8]) -> bool {
    is_zero(native_sum(header))
}

/// Returns whether a sum of 16-bit words that are not all zero is zero in one's complement.
const fn is_zero(sum: u64) -> bool {
    sum.is_multiple_of(0xffff)
}

/// Returns the unfolded sum of 16-bit words in the machine's byte order; an odd last byte counts as the high byte. The
/// one's complement sum is independent of the byte order and of the word size (RFC 1071 section 2).
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

    /// The sum in network byte order.
    fn sum(bytes: &[u8]) -> u64 {
        u64::from(u16::from_be(fold(native_sum(bytes))))
    }

    #[test]
    fn sum_matches_the_rfc_1071_example_and_a_plain_loop() {
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
