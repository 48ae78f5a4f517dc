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
        if fold(pseudo + sum(self.tcp)) == 0xffff {
            Checksum::Valid
        } else if self.head.checksum == fold(pseudo) {
            Checksum::Offloaded
        } else {
            Checksum::Invalid
        }
    }

    /// Sum of the pseudo-header. An IPv4-mapped address adds 0xffff twice in all, which is zero in one's complement.
    fn pseudo_header_sum(&self) -> u64 {
        const PROTOCOL_TCP: u64 = 6;
        let length = self.tcp.len() as u64;
        let [low, high] = &self.head.key.addresses;
        sum(low) + sum(high) + PROTOCOL_TCP + (length >> 16) + (length & 0xffff)
    }
}

/// One's complement sum of big-endian 16-bit words, folded; an odd last byte counts as the high one.
///
/// Summed in the machine's byte order, eight bytes at a time, and swapped once: the sum does not mind (RFC 1071
/// section 2).
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(8);
    let mut total: u64 = 0;
    for word in &mut words {
        let word = u64::from_ne_bytes([word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7]]);
        total += (word >> 32) + (word & 0xffff_ffff);
    }
    let tail = words.remainder();
    let mut last = [0; 8];
    last[..tail.len()].copy_from_slice(tail);
    let last = u64::from_ne_bytes(last);
    total += (last >> 32) + (last & 0xffff_ffff);
    u64::from(u16::from_be(fold(total)))
}

/// Folds a sum of [`sum`] into 16 bits.
pub(crate) fn fold(mut total: u64) -> u16 {
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

    #[test]
    fn checksum_of_rfc_1071_example() {
        assert_eq!(fold(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])), 0xddf2);
        assert_eq!(fold(sum(&[0x01])), 0x0100);
        assert_eq!(fold(u64::MAX), 0xffff);
    }
}
