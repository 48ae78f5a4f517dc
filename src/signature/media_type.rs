//! Media types of `Content-Type` values (RFC 9110 section 8.3).

/// Returns the media type of a `Content-Type` value, without parameters and surrounding blanks.
#[must_use]
pub fn media_type(content_type: &[u8]) -> &[u8] {
    content_type.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_type_has_no_parameters() {
        assert_eq!(media_type(b"text/html ; charset=utf-8"), b"text/html");
        assert_eq!(media_type(b""), b"");
    }
}
