//! Captures of plain HTTP conversations, made for tests: right handshakes, sequence numbers and checksums. What is not
//! plain is made elsewhere.

use std::net::{IpAddr, Ipv6Addr};

use etherparse::{PacketBuilder, TcpHeader};

/// The client's address; the server's is [`SERVER`].
pub const CLIENT: [u8; 4] = [198, 51, 100, 7];
/// The server's address.
pub const SERVER: [u8; 4] = [192, 0, 2, 10];
/// The server's address for IPv6 clients.
pub const SERVER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xfff, 0, 0, 0, 0, 10);

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    Client,
    Server,
}

/// A conversation: where both ends are in their sequence numbers.
#[derive(Clone, Debug)]
pub struct Talk {
    client: IpAddr,
    port: u16,
    next: [u32; 2],
}

/// Frames with their times, in order.
#[derive(Clone, Debug)]
pub struct Capture {
    /// Time of the next frame in milliseconds.
    pub now: i64,
    /// Whose connections are opened; an IPv6 client asks [`SERVER6`].
    pub client: IpAddr,
    pub frames: Vec<(i64, Vec<u8>)>,
}

impl Capture {
    /// An empty capture that begins at this second.
    pub fn at(second: i64) -> Self {
        Self { now: second * 1000, client: CLIENT.into(), frames: Vec::new() }
    }

    /// Opens a connection from the client's `port` to the server's port 80: three frames.
    pub fn open(&mut self, port: u16) -> Talk {
        let mut talk = Talk { client: self.client, port, next: [1000, 5000] };
        self.segment(&mut talk, From::Client, b"", |tcp| (tcp.syn, tcp.ack) = (true, false));
        self.segment(&mut talk, From::Server, b"", |tcp| tcp.syn = true);
        self.segment(&mut talk, From::Client, b"", |_| {});
        talk
    }

    /// One segment with bytes.
    pub fn send(&mut self, talk: &mut Talk, from: From, bytes: &[u8]) {
        self.segment(talk, from, bytes, |tcp| tcp.psh = true);
    }

    /// Closes the connection: three frames.
    pub fn close(&mut self, talk: &mut Talk) {
        self.segment(talk, From::Client, b"", |tcp| tcp.fin = true);
        self.segment(talk, From::Server, b"", |tcp| tcp.fin = true);
        self.segment(talk, From::Client, b"", |_| {});
    }

    /// A whole connection with one request and its answer: eight frames.
    pub fn exchange(&mut self, port: u16, request: &[u8], response: &[u8]) {
        let mut talk = self.open(port);
        self.send(&mut talk, From::Client, request);
        self.send(&mut talk, From::Server, response);
        self.close(&mut talk);
    }

    fn segment(&mut self, talk: &mut Talk, from: From, bytes: &[u8], flags: impl FnOnce(&mut TcpHeader)) {
        let (from_port, to_port) = if from == From::Client { (talk.port, 80) } else { (80, talk.port) };
        let (mine, theirs) = if from == From::Client { (0, 1) } else { (1, 0) };
        let mut tcp = TcpHeader::new(from_port, to_port, talk.next[mine], 64_000);
        (tcp.ack, tcp.acknowledgment_number) = (true, talk.next[theirs]);
        flags(&mut tcp);
        talk.next[mine] += u32::try_from(bytes.len()).unwrap() + u32::from(tcp.syn) + u32::from(tcp.fin);
        let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let builder = match talk.client {
            IpAddr::V4(client) => {
                let client = client.octets();
                let ends = if from == From::Client { (client, SERVER) } else { (SERVER, client) };
                builder.ipv4(ends.0, ends.1, 64)
            }
            IpAddr::V6(client) => {
                let (client, server) = (client.octets(), SERVER6.octets());
                let ends = if from == From::Client { (client, server) } else { (server, client) };
                builder.ipv6(ends.0, ends.1, 64)
            }
        };
        let builder = builder.tcp_header(tcp);
        let mut frame = Vec::with_capacity(builder.size(bytes.len()));
        builder.write(&mut frame, bytes).unwrap();
        self.frames.push((self.now, frame));
        self.now += 1;
    }

    /// The frames as a pcap file.
    pub fn pcap(&self) -> Vec<u8> {
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        let mut file = words(&[0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 262_144, 1]);
        for (millis, frame) in &self.frames {
            let size = u32::try_from(frame.len()).unwrap();
            let (seconds, rest) = (millis / 1000, millis % 1000);
            file.extend(words(&[seconds as u32, rest as u32 * 1000, size, size]));
            file.extend(frame);
        }
        file
    }
}

/// A request head.
pub fn request(method: &str, target: &str) -> Vec<u8> {
    format!("{method} {target} HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: test\r\n\r\n").into_bytes()
}

/// An answer with an empty body.
pub fn response(status: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n").into_bytes()
}
