//! Formats Zeek's `uid` of a flow. The flow id itself is computed by [`crate::sensor`].

use crate::record::FlowFacts;

/// Returns Zeek's `uid` of a flow: `C`, then the upper 32 and the lower 64 of its 96 bits in base 62, least significant
/// digit first (Zeek's `src/UID.cc` and `uitoa_n` in `src/util.cc`).
#[must_use]
pub fn zeek_uid(flow: &FlowFacts) -> String {
    let mut uid = String::with_capacity(18);
    uid.push('C');
    // The upper word has 32 bits; higher bits are ignored.
    push_base62((flow.id >> 64) as u64 & u64::from(u32::MAX), &mut uid);
    push_base62(flow.id as u64, &mut uid);
    uid
}

fn push_base62(mut word: u64, uid: &mut String) {
    const DIGITS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    loop {
        uid.push(char::from(DIGITS[(word % 62) as usize]));
        word /= 62;
        if word == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn uid(id: u128) -> String {
        zeek_uid(&FlowFacts {
            id,
            start: Timestamp::ZERO,
            packets_to_server: 0,
            packets_to_client: 0,
            bytes_to_server: 0,
            bytes_to_client: 0,
        })
    }

    #[test]
    fn uid_is_two_words_with_the_least_significant_digit_first() {
        assert_eq!(uid(0), "C00");
        assert_eq!(uid(62), "C001");
        assert_eq!(uid((10 << 64) | 61), "CaZ");
        assert_eq!(uid(u128::MAX), uid((1 << 96) - 1));
        assert_eq!(uid(u128::MAX).len(), 18);
    }
}
