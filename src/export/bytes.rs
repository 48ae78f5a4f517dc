//! Writes bytes as `content` options, and finds the bytes that all matches of a signature have in common. Regular
//! expressions are in [`super::path`](mod@super::path).

/// Returns bytes in the syntax of `content`: plain if that is safe, else hexadecimal between bars. Bars, quotes,
/// semicolons, colons and backslashes have a meaning there.
pub(super) fn content(bytes: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b" -_./%=&?!~+@*#'(){}[]<>^$".contains(byte);
    let mut text = String::new();
    for run in bytes.chunk_by(|a, b| plain(a) == plain(b)) {
        if run.first().is_some_and(plain) {
            text.extend(run.iter().map(|&byte| char::from(byte)));
        } else {
            let hex: Vec<String> = run.iter().map(|byte| format!("{byte:02x}")).collect();
            text.push_str(&format!("|{}|", hex.join(" ")));
        }
    }
    text
}

/// Returns the longest run of bytes that all `texts` contain, without any of `breaks`; empty if there is none. Of
/// several of the same length, the first in the first text.
pub(super) fn common(texts: &[&[u8]], breaks: &[u8]) -> Vec<u8> {
    /// Maximum length of the result. Rationale: an engine searches for a few bytes first; longer runs cost memory and
    /// find nothing more.
    const MAX_LEN: usize = 64;
    let Some((first, others)) = texts.split_first() else { return Vec::new() };
    for len in (1..=first.len().min(MAX_LEN)).rev() {
        let found = first.windows(len).find(|window| {
            !window.iter().any(|byte| breaks.contains(byte))
                && others.iter().all(|other| memchr::memmem::find(other, window).is_some())
        });
        if let Some(window) = found {
            return window.to_vec();
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_escapes_reserved_and_binary_bytes() {
        assert_eq!(content(b"/sms/env"), "/sms/env");
        assert_eq!(content(b"a;\"b|c\\:\xc3\xa9"), "a|3b 22|b|7c|c|5c 3a c3 a9|");
    }

    #[test]
    fn common_is_the_longest_shared_run() {
        assert_eq!(common(&[b"/wp/sms-alert/x.css", b"/sms-alert2/y"], b"/"), b"sms-alert");
        assert_eq!(common(&[b"/a", b"/b"], b"/"), b"");
        assert_eq!(common(&[], b""), b"");
    }
}
