//! Captures of attack traffic, written packet by packet to any writer: a shape and a size. Each ends with an ordinary
//! probe and its response, which must be found.

use std::io::{self, Write};

/// A kind of attack.
pub struct Shape {
    /// The name on the command line.
    pub name: &'static str,
    /// A description with the unit of `n`.
    pub what: &'static str,
    write: fn(&mut Capture<'_>, u64) -> io::Result<()>,
}

/// All shapes.
pub const SHAPES: [Shape; 27] = [
    Shape { name: "nothing", what: "only the probe at the end", write: |_, _| Ok(()) },
    Shape { name: "half-open", what: "n SYNs of n clients", write: half_open },
    Shape { name: "syn-data", what: "n SYNs with 1,400 bytes of data each", write: syn_data },
    Shape { name: "half-request", what: "n flows, each with half a request", write: half_request },
    Shape { name: "growing-heads", what: "n flows whose heads grow by 10 KiB each, in turns", write: growing_heads },
    Shape { name: "held", what: "n flows, each with a probe without an answer, at one time stamp", write: held },
    Shape { name: "held-long", what: "the same with 3,000 bytes of request each", write: held_long },
    Shape { name: "pipelined", what: "n probes in flows of 1,000, unanswered", write: pipelined },
    Shape {
        name: "queued-probes",
        what: "n KiB of pipelined probes behind holes, 64 KiB a flow",
        write: queued_probes,
    },
    Shape { name: "mixed", what: "n probes, some answered, some half, some out of order, in 300 flows", write: mixed },
    Shape { name: "out-of-order", what: "n segments of one byte above holes, 500 a flow", write: out_of_order },
    Shape { name: "fragments", what: "n fragments of 1,400 bytes, none completed", write: fragments },
    Shape {
        name: "fragment-bits",
        what: "n fragments of 8 bytes, 4,000 a datagram, none completed",
        write: fragment_bits,
    },
    Shape { name: "endless-header", what: "n segments of 1,400 bytes of one header", write: endless_header },
    Shape { name: "reversed", what: "a request of n bytes in one-byte segments, last first", write: reversed },
    Shape { name: "hole", what: "n one-byte segments above one hole", write: hole },
    Shape { name: "header-bytes", what: "one header line of n bytes, byte by byte", write: header_bytes },
    Shape { name: "header-lines", what: "header lines of n bytes in all, in segments of 3 bytes", write: header_lines },
    Shape { name: "resets", what: "n connections that are reset at once", write: resets },
    Shape { name: "syns", what: "n SYNs of one connection, each with another sequence number", write: syns },
    Shape { name: "far-away", what: "n segments far outside any window", write: far_away },
    Shape { name: "slow-fragments", what: "n fragments, ten seconds apart, none completed", write: slow_fragments },
    Shape { name: "long-line", what: "a request line of n bytes", write: long_line },
    Shape { name: "tunnels", what: "a packet in n IPv4 headers", write: tunnels },
    Shape { name: "labels", what: "a packet behind n MPLS labels", write: labels },
    Shape { name: "extensions", what: "a packet behind n IPv6 extension headers", write: extensions },
    Shape { name: "folds", what: "n folded lines of one header field", write: folds },
];

/// Writes a capture. `None` where there is no such shape.
pub fn write(name: &str, n: u64, out: &mut dyn Write) -> Option<io::Result<()>> {
    let shape = SHAPES.iter().find(|shape| shape.name == name)?;
    Some((|| {
        let mut capture = Capture::begin(out)?;
        (shape.write)(&mut capture, n)?;
        capture.probe()?;
        capture.out.flush()
    })())
}

const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 0x10;
const PROBE: &[u8] = b"GET /sms_config.json HTTP/1.1\r\nHost: www.example.org\r\n\r\n";

struct Capture<'a> {
    out: &'a mut dyn Write,
    micros: u64,
    id: u16,
}

/// A flow to 192.0.2.80:80 and its client's next sequence number.
#[derive(Clone, Copy)]
struct Flow {
    client: [u8; 4],
    port: u16,
    next: u32,
}

const SERVER: [u8; 4] = [192, 0, 2, 80];
/// The server's initial sequence number.
const ANSWER: u32 = 5_000_000;

impl Flow {
    fn number(index: u64) -> Self {
        let [.., a, b, c, d] = index.to_be_bytes();
        Self { client: [10, b, c, d], port: 1024 + u16::from(a), next: 1000 }
    }
}

impl<'a> Capture<'a> {
    fn begin(out: &'a mut dyn Write) -> io::Result<Self> {
        for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 0x0004_0000, 101] {
            out.write_all(&word.to_le_bytes())?;
        }
        Ok(Self { out, micros: 0, id: 0 })
    }

    /// Writes an IPv4 packet and advances the time by a microsecond.
    fn packet(
        &mut self,
        source: [u8; 4],
        destination: [u8; 4],
        fragment: (u16, u16),
        protocol: u8,
        parts: [&[u8]; 2],
    ) -> io::Result<()> {
        let total = 20 + parts[0].len() + parts[1].len();
        let mut frame = [0_u8; 36];
        let seconds = 1_700_000_000 + self.micros / 1_000_000;
        for (at, word) in
            [seconds as u32, (self.micros % 1_000_000) as u32, total as u32, total as u32].into_iter().enumerate()
        {
            frame[4 * at..4 * at + 4].copy_from_slice(&word.to_le_bytes());
        }
        let ip = &mut frame[16..];
        ip[0] = 0x45;
        ip[2..4].copy_from_slice(&(total as u16).to_be_bytes());
        ip[4..6].copy_from_slice(&fragment.0.to_be_bytes());
        ip[6..8].copy_from_slice(&fragment.1.to_be_bytes());
        ip[8] = 64;
        ip[9] = protocol;
        ip[12..16].copy_from_slice(&source);
        ip[16..20].copy_from_slice(&destination);
        let checksum = !folded(sum(ip));
        ip[10..12].copy_from_slice(&checksum.to_be_bytes());
        self.out.write_all(&frame)?;
        self.out.write_all(parts[0])?;
        self.out.write_all(parts[1])?;
        self.micros += 1;
        Ok(())
    }

    fn segment(&mut self, ends: [([u8; 4], u16); 2], seq: u32, ack: u32, flags: u8, payload: &[u8]) -> io::Result<()> {
        let [(source, source_port), (destination, destination_port)] = ends;
        let mut tcp = [0_u8; 20];
        tcp[..2].copy_from_slice(&source_port.to_be_bytes());
        tcp[2..4].copy_from_slice(&destination_port.to_be_bytes());
        tcp[4..8].copy_from_slice(&seq.to_be_bytes());
        tcp[8..12].copy_from_slice(&ack.to_be_bytes());
        tcp[12] = 0x50;
        tcp[13] = flags;
        tcp[14] = 0xff;
        let pseudo = sum(&source) + sum(&destination) + 6 + 20 + payload.len() as u64;
        let checksum = !folded(pseudo + sum(&tcp) + sum(payload));
        tcp[16..18].copy_from_slice(&checksum.to_be_bytes());
        self.id = self.id.wrapping_add(1);
        self.packet(source, destination, (self.id, 0), 6, [&tcp, payload])
    }

    fn client_sends(&mut self, flow: &Flow, seq: u32, flags: u8, payload: &[u8]) -> io::Result<()> {
        let ack = if flags & ACK == 0 { 0 } else { ANSWER + 1 };
        self.segment([(flow.client, flow.port), (SERVER, 80)], seq, ack, flags, payload)
    }

    fn server_sends(&mut self, flow: &Flow, seq: u32, flags: u8, payload: &[u8]) -> io::Result<()> {
        self.segment([(SERVER, 80), (flow.client, flow.port)], seq, flow.next, flags, payload)
    }

    /// A handshake.
    fn open(&mut self, flow: &mut Flow) -> io::Result<()> {
        self.client_sends(flow, flow.next, SYN, b"")?;
        flow.next += 1;
        self.server_sends(flow, ANSWER, SYN | ACK, b"")
    }

    /// Sends the client's next bytes.
    fn send(&mut self, flow: &mut Flow, payload: &[u8]) -> io::Result<()> {
        self.client_sends(flow, flow.next, ACK, payload)?;
        flow.next += payload.len() as u32;
        Ok(())
    }

    /// A probe of 198.51.100.200 with its response, an hour later.
    fn probe(&mut self) -> io::Result<()> {
        self.micros += 3_600_000_000;
        let mut flow = Flow { client: [198, 51, 100, 200], port: 50_000, next: 1000 };
        self.open(&mut flow)?;
        self.send(&mut flow, PROBE)?;
        self.server_sends(&flow, ANSWER + 1, ACK, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    }
}

fn sum(bytes: &[u8]) -> u64 {
    let pairs = bytes.chunks(2);
    pairs.map(|pair| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0))).sum()
}

fn folded(mut total: u64) -> u16 {
    while total > 0xffff {
        total = (total >> 16) + (total & 0xffff);
    }
    total as u16
}

fn half_open(capture: &mut Capture<'_>, n: u64) -> io::Result<()> {
    (0..n).try_for_each(|index| capture.client_sends(&Flow::number(index), 1000, SYN, b""))
}

fn syn_data(capture: &mut Capture<'_>, n: u64) -> io::Result<()> {
    (0..n).try_for_each(|index| capture.client_sends(&Flow::number(index), 1000, SYN, &[b'a'; 1400]))
}

fn half_request(capture: &mut Capture<'_>, n: u64) -> io::Result<()> {
    for index in 0..n {
        let mut flow = Flow::number(index);
        capture.open(&mut flow)?;
        capture.send(&mut flow, b"GET /sms/env HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: probe/1.0\r\nAcc")?;
    }
    Ok(())
}

fn growing_heads(capture: &mut Capture<'_>, n: u64) -> io::Result<()> {
    for round in 0..11_u32 {
        for index in 0..n {
            let mut flow = Flow::number(index);
            if round == 0 {
                capture.open(&mut flow)?;
                capture.send(&mut flow, b"GET /sms/env HTTP/1.1\r\n")?;
            } else {
                let mut line = [b'x'; 1024];
                line[..4].copy_from_slice(b"X-A:");
                line[1022..].copy_from_slice(b"\r\n");
                flow.next += 1 + 23 + (round - 1) * 1024;
                capture.send(&mut flow, &line)?;
            }
        }
    }
    Ok(())
}

fn held(capture: &mut Capture<'_>, n: u64) -> io::Result<()> {
    for index in 0..n {
        let mut flow = Flow::number(index);
        capture.open(&mut flow)?;
        capture.send(&mut flow, PROBE)?;
        capture.micros = 0;
    }
    Ok(())
}

fn held_long(capture: &mut Capture<'_>, n: u64) -> io::Result<()> {
    let mut request = b"GET /sms_config.json?".to_vec();
    request.resize(1300, b'q');
    request.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    request.resize(2000, b'h');
    request.extend_from_slice(b"\r\nUser-Agent: ");
    request.resize(3000, b'u');
    request.extend_from_slice(b"\r\n\r\n");
    for index in 0..n {
        let mut flow = Flow::number(index);
        capture.open(&mut flow)?;
        capture.send(&mut flow, &request)?;
        capture.micros = 0;
    }
    Ok(())
}

fn pipelined(capture: &mut Capture<'_>, n: u64) -> io::Result<()> {
    let several = PROBE.repeat(20);
    for index in 0..n.div_ceil(1000) {
        let mut flow = Flow::number(index);
        capture.open(&mut flow)?;
        for _ in 0..50 {
            capture.send(&mut flow, &several)?;
        }
    }
    Ok(())
}

fn out_of_order(capture: &mut Capture<'_>, n: u64) -> io::Result<()> {
    for index in 0..n.div_ceil(500) {
        let mut flow = Flow::number(index);
        capture.open(&mut flow)?;
        for at in 0..500 {
            capture.client_sends(&flow, flow.next + 2000 - 2 * at, ACK, b"x")?;
        }
    }
    Ok(())
}

fn fragments(capture: &mut Capture<'_>, n: u64) -> io::Result<()> {
    for index in 0..n {
        let Flow { client, .. } = Flow::number(index);
        let offset = 175 * (index % 2) as u16;
        capture.packet(client, SERVER, (index as u16, 0x2000 | offset), 6, [&[b'f'; 1400], b""])?;
    }
    Ok(())
}

fn fragment_bits(capture: &mut Capture<'_>, n: u64) -> io::Result<()> {
    for index in 0..n {
        let Flow { client, .. } = Flow::number(index / 4000);
        let offset = 2 + 2 * (index % 4000) as u16;
        capture.packet(client, SERVER, (7, 0x2000 | (offset & 0x1fff)), 6, [&[b'f'; 8], b""])?;
    }
    Ok(())
}

fn endless_header(capture: &mut Capture<'_>, n: u64) -> io::Result<()> {
    let mut flow = Flow::number(1);
    capture.open(&mut flow)?;
    capture.send(&mut flow, b"GET /sms/env HTTP/1.1\r\nHost: www.example.org\r\nX: ")?;
    (0..n).try_for_each(|_| capture.send(&mut flow, &[b'x'; 1400]))
}

fn reversed(capture: &mut Capture<'_>, n: u64) -> io::Result<()> {
    let mut flow = Flow::number(1);
    capture.open(&mut flow)?;
    (0..n as u32).rev().try_for_each(|at| capture.client_sends(&flow, flow.next + at, ACK, b"x"))
}

fn hole(capture: &mut Capture<'_>, n: u64) -> io::Result<()> {
    let mut flow = Flow::number(1);
    capture.open(&mut flow)?;
    (0..n as u32).try_for_each(|at| capture.client_sends(&flow, flow.next + 100 + 2 * at, ACK, b"x"))
}

fn header_bytes(capture: &mut Capture<'_>, n: u64) -> io::Result<()> {
    let mut flow = Flow::number(1);
    capture.open(&mut flow)?;
    capture.send(&mut flow, b"GET /sms/env HTTP/1.1\r\nX: ")?;
    (0..n).try_for_each(|_| capture.send(&mut flow, b"x"))?;
    capture.send(&mut flow, b"\r\n\r\n")
}

fn header_lines(capture: &mut Capture<'_>, n: u64) -> io::Result<()> {
    let mut flow = Flow::number(1);
    capture.open(&mut flow)?;
    capture.send(&mut flow, b"GET /sms/env HTTP/1.1\r\n")?;
    let line = b"X-Line: 0123456789abc\r\n.";
    (0..n / 3).try_for_each(|at| capture.send(&mut flow, &line[at as usize % 8 * 3..][..3]))?;
    capture.send(&mut flow, b"\r\n\r\n")
}

fn folds(capture: &mut Capture<'_>, n: u64) -> io::Result<()> {
    let mut flow = Flow::number(1);
    capture.open(&mut flow)?;
    capture.send(&mut flow, b"GET /sms/env HTTP/1.1\r\nHost: www.example.org\r\nX: ")?;
    (0..n).try_for_each(|_| capture.send(&mut flow, b"folded\r\n "))?;
    capture.send(&mut flow, b"\r\n\r\n")
}

fn resets(capture: &mut Capture<'_>, n: u64) -> io::Result<()> {
    for index in 0..n {
        let mut flow = Flow::number(index);
        capture.open(&mut flow)?;
        capture.client_sends(&flow, flow.next, RST | ACK, b"")?;
    }
    Ok(())
}

fn syns(capture: &mut Capture<'_>, n: u64) -> io::Result<()> {
    let flow = Flow::number(1);
    (0..n as u32).try_for_each(|at| capture.client_sends(&flow, 1000 + 7 * at, SYN, b""))
}

fn far_away(capture: &mut Capture<'_>, n: u64) -> io::Result<()> {
    let mut flow = Flow::number(1);
    capture.open(&mut flow)?;
    (0..n as u32).try_for_each(|at| capture.client_sends(&flow, flow.next + (1 << 30) + at, ACK, b"x"))
}

fn slow_fragments(capture: &mut Capture<'_>, n: u64) -> io::Result<()> {
    for index in 0..n {
        fragments(capture, 1)?;
        capture.id = capture.id.wrapping_add(1);
        capture.packet([10, 0, 0, 9], SERVER, (index as u16, 0x2000), 6, [&[b'f'; 8], b""])?;
        capture.micros += 10_000_000;
    }
    Ok(())
}

fn long_line(capture: &mut Capture<'_>, n: u64) -> io::Result<()> {
    let mut flow = Flow::number(1);
    capture.open(&mut flow)?;
    capture.send(&mut flow, b"GET /sms/env?")?;
    (0..n / 1000).try_for_each(|_| capture.send(&mut flow, &[b'q'; 1000]))?;
    capture.send(&mut flow, b" HTTP/1.1\r\nHost: www.example.org\r\n\r\n")
}

/// A SYN as an IPv4 packet.
fn inner() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    Capture { out: &mut bytes, micros: 0, id: 0 }.client_sends(&Flow::number(1), 1000, SYN, b"")?;
    Ok(bytes.split_off(16))
}

fn tunnels(capture: &mut Capture<'_>, n: u64) -> io::Result<()> {
    let mut packet = inner()?;
    for _ in 0..n {
        let mut outer = Vec::new();
        let ends = [[192, 0, 2, 1], [192, 0, 2, 2]];
        Capture { out: &mut outer, micros: 0, id: 0 }.packet(ends[0], ends[1], (0, 0), 4, [&packet, b""])?;
        packet = outer.split_off(16);
    }
    capture.packet([192, 0, 2, 1], [192, 0, 2, 2], (0, 0), 4, [&packet, b""])
}

fn labels(capture: &mut Capture<'_>, n: u64) -> io::Result<()> {
    let mut packet = vec![0, 0, 0x88, 0x47];
    for at in 0..n {
        packet.extend([0, 1, u8::from(at + 1 == n), 64]);
    }
    packet.extend(inner()?);
    capture.packet([192, 0, 2, 1], [192, 0, 2, 2], (0, 0), 47, [&packet, b""])
}

fn extensions(capture: &mut Capture<'_>, n: u64) -> io::Result<()> {
    let tcp = inner()?.split_off(20);
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((8 * n as u16 + tcp.len() as u16).to_be_bytes());
    packet.extend([60, 64]);
    packet.extend([0x20, 1, 0x0d, 0xb8].into_iter().chain([0; 12]).chain([0x20, 1, 0x0d, 0xb8]).chain([1; 12]));
    for at in 0..n {
        packet.extend([if at + 1 == n { 6 } else { 60 }, 0, 1, 4, 0, 0, 0, 0]);
    }
    packet.extend(tcp);
    capture.packet([192, 0, 2, 1], [192, 0, 2, 2], (0, 0), 41, [&packet, b""])
}

fn queued_probes(capture: &mut Capture<'_>, n: u64) -> io::Result<()> {
    let several = b"GET /sms/env HTTP/1.1\n\n".repeat(45);
    for index in 0..n / 64 {
        let mut flow = Flow::number(index);
        capture.open(&mut flow)?;
        for at in 0..64 {
            capture.client_sends(&flow, flow.next + 5 + at * several.len() as u32, ACK, &several)?;
        }
        capture.micros = 0;
    }
    Ok(())
}

fn mixed(capture: &mut Capture<'_>, n: u64) -> io::Result<()> {
    let paths = ["sms/env", "sms_config.json", "index.html", "twilio/.secrets", "sms.py"];
    let mut flows: Vec<Flow> = (0..300).map(Flow::number).collect();
    let mut random = 1_u64;
    for _ in 0..n {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let roll = random >> 33;
        let flow = &mut flows[(roll / 60 % 300) as usize];
        let request = format!("GET /{} HTTP/1.1\r\nHost: {roll}.example.org\r\n\r\n", paths[(roll % 5) as usize]);
        match roll % 12 {
            0 => capture.open(flow)?,
            1 => capture.send(flow, &request.as_bytes()[..request.len() / 2])?,
            2 => capture.client_sends(flow, flow.next + 1000, ACK, request.as_bytes())?,
            3 => capture.server_sends(flow, ANSWER + 1, ACK, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?,
            4 => capture.client_sends(flow, flow.next, RST | ACK, b"")?,
            5 => capture.micros += 500_000,
            _ => capture.send(flow, request.as_bytes())?,
        }
    }
    Ok(())
}
