//! Recognises what the first bytes of a stream cannot be: the beginning of an HTTP message. Does not decide what follows
//! from it; see [`super::Connection::is_foreign`].

/// What the first bytes of one direction are: of the connection, or of the tunnel that a `CONNECT` opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Opening {
    /// Not known yet, or lost.
    #[default]
    Unknown,
    /// A message; also one that was found later, behind other bytes.
    Message,
    /// The header of a TLS record.
    Tls,
    /// Nothing that a message can begin with.
    Other,
    /// Nothing that a message can begin with, but an announcement of another stream that may begin with one.
    Preface,
    /// The connection has switched to another protocol.
    Left,
}

/// What a connection carries, as far as its first bytes show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carries {
    /// Not known.
    #[default]
    Undecided,
    /// HTTP/1.
    Http,
    /// TLS.
    Tls,
    /// Anything else.
    Other,
}

impl Opening {
    /// Classifies the first bytes of a stream that begin no message.
    pub(super) fn of_other(bytes: &[u8]) -> Self {
        match bytes {
            _ if is_tls_record(bytes) => Self::Tls,
            // The PROXY protocol, version 1 (version 2 begins with empty lines and a zero byte), and a SOCKS request of
            // version 4 or 5 (RFC 1928 section 3).
            [b'P', b'R', b'O', b'X', b'Y', b' ', ..] | [0, b'\r', b'\n', b'Q', b'U', b'I', b'T', ..] | [4 | 5, ..] => {
                Self::Preface
            }
            _ => Self::Other,
        }
    }

    /// Stores what the first bytes are, unless that is known.
    pub(super) fn note(&mut self, opening: Self) {
        if *self == Self::Unknown {
            *self = opening;
        }
    }

    /// Returns whether the direction began with something that is no message.
    pub(super) const fn is_foreign(self) -> bool {
        matches!(self, Self::Tls | Self::Other | Self::Left)
    }

    /// Returns what a connection carries whose directions begin so.
    pub(super) fn carries(client: Self, server: Self) -> Carries {
        let either = |opening| client == opening || server == opening;
        if either(Self::Message) {
            Carries::Http
        } else if either(Self::Tls) {
            Carries::Tls
        } else if client == Self::Preface || (client == Self::Unknown && server == Self::Unknown) {
            Carries::Undecided
        } else {
            Carries::Other
        }
    }
}

/// Returns whether bytes begin with the header of a TLS record: a content type from 20 to 24, a version from SSL 3.0 to
/// TLS 1.3, and a length that a record can have (RFC 8446 section 5.1; RFC 5246 section 6.2.3 allows 2^14 + 2048; RFC
/// 6520 for type 24).
#[must_use]
pub fn is_tls_record(bytes: &[u8]) -> bool {
    const MAX_RECORD: u16 = (1 << 14) + 2048;
    match *bytes {
        [20..=24, 3, 0..=4, high, low, ..] => (1..=MAX_RECORD).contains(&u16::from_be_bytes([high, low])),
        _ => false,
    }
}
