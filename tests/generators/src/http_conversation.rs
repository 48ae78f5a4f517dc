//! Captures of plain HTTP conversations with correct handshakes, sequence numbers and checksums.

use std::net::{IpAddr, Ipv6Addr};

use etherparse::{PacketBuilder, TcpHeader};

/// The client's address; the server's is [`SERVER`].
pub const CLIENT: [u8; 4] = [198, 51, 100, 7];
/// The server's address.
pub const SERVER: [u8; 4] = [192, 0, 2, 10];
/// The server's address for IPv6 clients.
pub const SERVER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xfff, 0, 0, 0, 0, 10);

/// The sender of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    Client,
    Server,
}

/// A connection: the next sequence numbers of both ends.
#[derive(Clone, Debug)]
pub struct Connection {
    client: IpAddr,
    port: u16,
    next: [u32; 2],
}

/// Frames with their times, in order.
#[derive(Clone, Debug)]
pub struct Capture {
    /// Time of the next frame in milliseconds.
    pub now: i64,
    /// The client of new connections; an IPv6 client connects to [`SERVER6`].
    pub client: IpAddr,
    pub frames: Vec<(i64, Vec<u8>)>,
}

impl Capture {
    /// An empty capture that begins at this second.
    pub fn at(second: i64) -> Self {
        Self { now: second * 1000, client: CLIENT.into(), frames: Vec::new() }
    }

    /// Opens a connection from the client's `port` to the server's port 80: three frames.
    pub fn open(&mut self, port: u16) -> Connection {
        let mut connection = Connection { client: self.client, port, next: [1000, 5000] };
        self.segment(&mut connection, From::Client, b"", |tcp| (tcp.syn, tcp.ack) = (true, false));
        self.segment(&mut connection, From::Server, b"", |tcp| tcp.syn = true);
        self.segment(&mut connection, From::Client, b"", |_| {});
        connection
    }

    /// Sends one segment with these bytes.
    pub fn send(&mut self, connection: &mut Connection, from: From, bytes: &[u8]) {
        self.segment(connection, from, bytes, |tcp| tcp.psh = true);
    }

    /// Closes the connection: three frames.
    pub fn close(&mut self, connection: &mut Connection) {
        self.segment(connection, From::Client, b"", |tcp| tcp.fin = true);
        self.segment(connection, From::Server, b"", |tcp| tcp.fin = true);
        self.segment(connection, From::Client, b"", |_| {});
    }

    /// A whole connection with one request and its response: eight frames.
    pub fn exchange(&mut self, port: u16, request: &[u8], response: &[u8]) {
        let mut connection = self.open(port);
        self.send(&mut connection, From::Client, request);
        self.send(&mut connection, From::Server, response);
        self.close(&mut connection);
    }

    fn segment(&mut self, connection: &mut Connection, from: From, bytes: &[u8], flags: impl FnOnce(&mut TcpHeader)) {
        let (from_port, to_port) = if from == From::Client { (connection.port, 80) } else { (80, connection.port) };
        let (mine, theirs) = if from == From::Client { (0, 1) } else { (1, 0) };
        let mut tcp = TcpHeader::new(from_port, to_port, connection.next[mine], 64_000);
        (tcp.ack, tcp.acknowledgment_number) = (true, connection.next[theirs]);
        flags(&mut tcp);
        connection.next[mine] += u32::try_from(bytes.len()).unwrap() + u32::from(tcp.syn) + u32::from(tcp.fin);
        let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let builder = match connection.client {
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

/// A response with an empty body.
pub fn response(status: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n").into_bytes()
}
