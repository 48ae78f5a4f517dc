//! Recognises what proxies put in front of the first message of a connection: the PROXY protocol (haproxy's
//! `proxy-protocol.txt`, versions 1 and 2) and SOCKS (SOCKS 4 and 4A; version 5: RFC 1928, RFC 1929). Whatever does not
//! follow these formats to the byte is no preface. Does not judge whether its sender is trusted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::StreamPosition;

/// Result of looking for a preface at the beginning of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// There is none.
    Absent,
    /// The bytes may be the beginning of one.
    Incomplete,
    /// The stream begins with one.
    Complete(Preface),
}

/// A complete preface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Preface {
    pub(super) kind: Kind,
    /// Its length in bytes; may exceed that of the bytes parsed.
    pub(super) len: usize,
    /// The client that a PROXY header names.
    pub(super) source: Option<IpAddr>,
}

/// The kinds of prefaces. A connection has at most one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Proxy,
    Socks,
}

/// The beginning of a stream that may become a preface.
#[derive(Debug)]
pub(super) struct PrefaceBuffer {
    pub(super) bytes: Vec<u8>,
    pub(super) start: StreamPosition,
}

impl PrefaceBuffer {
    /// Bytes of a preface that is not complete, at most.
    ///
    /// Rationale: a valid one of SOCKS 5 has up to 1,037 bytes; user names of SOCKS 4 have no limit of their own.
    pub(super) const MAX_LEN: usize = 2048;

    /// Returns the memory held, in bytes.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.bytes.capacity()
    }
}

/// The signature of a version 2 header (section 2.2). Its first byte begins no HTTP request, its blank lines do.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const VERSION_1: &[u8] = b"PROXY ";

/// Reports whether bytes begin with a header of the PROXY protocol, which only a client sends.
pub(super) fn is_proxy_header(bytes: &[u8]) -> bool {
    bytes.starts_with(SIGNATURE)
        || [&b"PROXY TCP4 "[..], b"PROXY TCP6 ", b"PROXY UNKNOWN"].iter().any(|start| bytes.starts_with(start))
}

/// Parses the preface of a client.
pub(super) fn of_client(bytes: &[u8]) -> Parsed {
    match bytes.first() {
        Some(b'P') => proxy_line(bytes),
        Some(b'\r') => proxy_binary(bytes),
        Some(4) => socks(socks4_request(bytes)),
        Some(5) => socks(socks5_requests(bytes)),
        _ => Parsed::Absent,
    }
}

/// Parses the answers of a SOCKS server to the preface of its client.
pub(super) fn of_server(bytes: &[u8]) -> Parsed {
    match bytes.first() {
        Some(0) => socks(socks4_reply(bytes)),
        Some(5) => socks(socks5_replies(bytes)),
        _ => Parsed::Absent,
    }
}

/// Version 1 (section 2.1): a line of at most 107 bytes.
fn proxy_line(bytes: &[u8]) -> Parsed {
    const MAX_LINE: usize = 107;
    let prefix = bytes.len().min(VERSION_1.len());
    if bytes[..prefix] != VERSION_1[..prefix] {
        return Parsed::Absent;
    }
    let line = &bytes[..bytes.len().min(MAX_LINE)];
    let Some(end) = memchr::memmem::find(line, b"\r\n") else {
        return if line.len() < MAX_LINE && !line.contains(&b'\n') { Parsed::Incomplete } else { Parsed::Absent };
    };
    let Ok(text) = std::str::from_utf8(&line[..end]) else { return Parsed::Absent };
    let source = match text.split(' ').collect::<Fields>().0 {
        [Some("PROXY"), Some("UNKNOWN"), ..] => None,
        [Some("PROXY"), Some(family), Some(source), Some(_), Some(from), Some(to), None] => {
            let address: Option<IpAddr> = match family {
                "TCP4" => source.parse().ok().map(IpAddr::V4),
                "TCP6" => source.parse().ok().map(IpAddr::V6),
                _ => None,
            };
            if address.is_none() || from.parse::<u16>().is_err() || to.parse::<u16>().is_err() {
                return Parsed::Absent;
            }
            address
        }
        _ => return Parsed::Absent,
    };
    Parsed::Complete(Preface { kind: Kind::Proxy, len: end + 2, source })
}

/// The first words of a version 1 header; the last one is `None` if there are no more than six.
struct Fields<'a>([Option<&'a str>; 7]);

impl<'a> FromIterator<&'a str> for Fields<'a> {
    fn from_iter<T: IntoIterator<Item = &'a str>>(words: T) -> Self {
        let mut words = words.into_iter();
        Self(std::array::from_fn(|_| words.next()))
    }
}

/// Version 2 (section 2.2): signature, version and command, family and transport, length, addresses, extensions.
fn proxy_binary(bytes: &[u8]) -> Parsed {
    const HEADER: usize = 16;
    let prefix = bytes.len().min(SIGNATURE.len());
    if bytes[..prefix] != SIGNATURE[..prefix] {
        return Parsed::Absent;
    }
    let &[command, family, high, low] = &bytes[prefix..bytes.len().min(HEADER)] else { return Parsed::Incomplete };
    let len = usize::from(u16::from_be_bytes([high, low]));
    let addresses = match family >> 4 {
        1 => 12,
        2 => 36,
        _ => 0,
    };
    if command >> 4 != 2 || command & 15 > 1 || len < addresses {
        return Parsed::Absent;
    }
    let proxied = command & 15 == 1;
    let source = match &bytes[HEADER..] {
        // LOCAL: a connection of the proxy itself, such as a health check.
        _ if !proxied || addresses == 0 => None,
        rest if rest.len() < addresses => return Parsed::Incomplete,
        rest if addresses == 12 => rest.first_chunk::<4>().map(|&bytes| IpAddr::V4(Ipv4Addr::from(bytes))),
        rest => rest.first_chunk::<16>().map(|&bytes| IpAddr::V6(Ipv6Addr::from(bytes))),
    };
    Parsed::Complete(Preface { kind: Kind::Proxy, len: HEADER + len, source })
}

/// Returns the result for the remainder after the messages of a client or server: `None` if they are invalid.
fn socks(len: Messages) -> Parsed {
    match len {
        Ok(len) => Parsed::Complete(Preface { kind: Kind::Socks, len, source: None }),
        Err(Stop::Incomplete(have)) if have < PrefaceBuffer::MAX_LEN => Parsed::Incomplete,
        Err(_) => Parsed::Absent,
    }
}

/// The length of the messages, or why it is not known.
type Messages = Result<usize, Stop>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// Valid so far; holds the number of bytes there are.
    Incomplete(usize),
    Invalid,
}

/// Reads the fields of SOCKS messages.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, Stop> {
        let byte = *self.bytes.get(self.at).ok_or(Stop::Incomplete(self.bytes.len()))?;
        self.at += 1;
        Ok(byte)
    }

    fn expect(&mut self, allowed: &[u8]) -> Result<u8, Stop> {
        let byte = self.byte()?;
        if allowed.contains(&byte) { Ok(byte) } else { Err(Stop::Invalid) }
    }

    fn skip(&mut self, len: usize) -> Result<(), Stop> {
        self.at += len;
        if self.at > self.bytes.len() { Err(Stop::Incomplete(self.bytes.len())) } else { Ok(()) }
    }

    /// Skips a field whose first byte is its length. Returns that length.
    fn counted(&mut self) -> Result<u8, Stop> {
        let len = self.byte()?;
        self.skip(usize::from(len)).map(|()| len)
    }

    /// Skips text that ends with NUL.
    fn text(&mut self) -> Result<(), Stop> {
        while self.byte()? != 0 {}
        Ok(())
    }

    /// Skips an address and a port (RFC 1928 section 5).
    fn address(&mut self) -> Result<(), Stop> {
        match self.expect(&[1, 3, 4])? {
            1 => self.skip(4)?,
            4 => self.skip(16)?,
            _ => {
                self.counted()?;
            }
        }
        self.skip(2)
    }
}

/// SOCKS 4: CONNECT, port, address, user; 4A: a host name if the address is 0.0.0.x with x other than 0.
fn socks4_request(bytes: &[u8]) -> Messages {
    let mut reader = Reader { bytes, at: 0 };
    reader.expect(&[4])?;
    reader.expect(&[1])?;
    reader.skip(6)?;
    let by_name = bytes[4..7] == [0; 3] && bytes[7] != 0;
    reader.text()?;
    if by_name {
        reader.text()?;
    }
    Ok(reader.at)
}

/// SOCKS 4: request granted.
fn socks4_reply(bytes: &[u8]) -> Messages {
    let mut reader = Reader { bytes, at: 0 };
    reader.expect(&[0])?;
    reader.expect(&[90])?;
    reader.skip(6)?;
    Ok(reader.at)
}

/// SOCKS 5: methods (RFC 1928 section 3), perhaps user name and password (RFC 1929), CONNECT (RFC 1928 section 4).
fn socks5_requests(bytes: &[u8]) -> Messages {
    let mut reader = Reader { bytes, at: 0 };
    reader.expect(&[5])?;
    if reader.counted()? == 0 {
        return Err(Stop::Invalid);
    }
    if reader.expect(&[1, 5])? == 1 {
        reader.counted()?;
        reader.counted()?;
        reader.expect(&[5])?;
    }
    reader.expect(&[1])?;
    reader.expect(&[0])?;
    reader.address()?;
    Ok(reader.at)
}

/// SOCKS 5: the chosen method, perhaps the result of authentication, and success (RFC 1928 section 6).
fn socks5_replies(bytes: &[u8]) -> Messages {
    let mut reader = Reader { bytes, at: 0 };
    reader.expect(&[5])?;
    if reader.expect(&[0, 2])? == 2 {
        reader.expect(&[1])?;
        reader.expect(&[0])?;
    }
    reader.expect(&[5])?;
    reader.expect(&[0])?;
    reader.expect(&[0])?;
    reader.address()?;
    Ok(reader.at)
}
