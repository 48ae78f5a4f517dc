//! The natural order of names: runs of digits are compared as numbers, so that `cap.pcap2` is before `cap.pcap10`.

use std::cmp::Ordering;

/// Compares two names.
pub(in crate::capture) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let (mut left, mut right) = (a, b);
    while let ([x, ..], [y, ..]) = (left, right) {
        let order = if x.is_ascii_digit() && y.is_ascii_digit() {
            // Without leading zeros, the longer number is the greater one.
            let (x, y) = (take_number(&mut left), take_number(&mut right));
            x.len().cmp(&y.len()).then_with(|| x.cmp(y))
        } else {
            (left, right) = (&left[1..], &right[1..]);
            x.cmp(y)
        };
        if order.is_ne() {
            return order;
        }
    }
    // Names that differ in leading zeros only are ordered by their bytes.
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

/// Removes the run of digits at the start, and returns it without leading zeros.
fn take_number<'a>(name: &mut &'a [u8]) -> &'a [u8] {
    let digits = name.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = name.split_at(digits);
    *name = rest;
    &number[number.iter().take_while(|&&byte| byte == b'0').count()..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_are_compared_by_value() {
        let sorted = [
            "",
            "1",
            "01",
            "2",
            "10",
            "a",
            "a/2",
            "cap.pcap",
            "cap.pcap0",
            "cap.pcap2",
            "cap.pcap02",
            "cap.pcap10",
            "cap.pcap10.gz",
            "cap.pcap99999999999999999999998",
            "cap.pcap99999999999999999999999",
            "cap2",
            "cap10",
            "cap10.2",
            "cap10.10",
        ];
        let mut names = sorted.to_vec();
        names.reverse();
        names.sort_by(|a, b| compare(a.as_bytes(), b.as_bytes()));
        // A total order, with every name before those it precedes in the list.
        for (at, a) in names.iter().enumerate() {
            for b in &names[at + 1..] {
                assert_eq!(compare(a.as_bytes(), b.as_bytes()), Ordering::Less, "{a} {b}");
                assert_eq!(compare(b.as_bytes(), a.as_bytes()), Ordering::Greater, "{b} {a}");
            }
        }
        let place = |name: &str| names.iter().position(|found| *found == name);
        assert!(place("cap.pcap2") < place("cap.pcap10") && place("cap2") < place("cap10"));
        assert!(place("cap.pcap") < place("cap.pcap0") && place("cap10.2") < place("cap10.10"));
    }
}
