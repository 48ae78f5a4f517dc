//! Builds TCP segments, and reads values from the fuzzer's input.

use smsentry::segment::{Encapsulation, Endpoint, FlowKey, Head, Segment, Seq, TcpFlags};
use smsentry::time::Timestamp;

/// Takes numbers from the front of the input; zero when it is used up.
pub struct Choices<'a>(arbitrary::Unstructured<'a>);

impl<'a> Choices<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self(arbitrary::Unstructured::new(data))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        self.0.arbitrary().unwrap_or(0)
    }

    pub fn half(&mut self) -> u16 {
        self.0.arbitrary().unwrap_or(0)
    }

    pub fn word(&mut self) -> u32 {
        self.0.arbitrary().unwrap_or(0)
    }

    /// The next `n` bytes, or what is left.
    pub fn bytes(&mut self, len: usize) -> &'a [u8] {
        let len = len.min(self.0.len());
        self.0.bytes(len).unwrap_or_default()
    }

    pub fn rest(self) -> &'a [u8] {
        self.0.take_rest()
    }
}

/// A segment to build.
#[derive(Clone, Debug)]
pub struct Made {
    pub source: Endpoint,
    pub destination: Endpoint,
    pub seq: Seq,
    pub ack: Seq,
    pub flags: u8,
    pub payload: Vec<u8>,
    pub urgent: u16,
    pub cut: u32,
    pub timestamp: Option<u32>,
    pub signed: bool,
    pub spoil_checksum: bool,
    pub time: Timestamp,
    pub clock: Timestamp,
    pub number: u64,
    pub ip_id: u32,
}

impl Made {
    /// Passes the segment to `take`.
    pub fn give(&self, take: &mut dyn FnMut(&Segment<'_>)) {
        let (key, side) = FlowKey::new(self.source, self.destination);
        let mut tcp = Vec::with_capacity(20 + self.payload.len());
        tcp.extend(self.source.port.to_be_bytes());
        tcp.extend(self.destination.port.to_be_bytes());
        tcp.extend(self.seq.0.to_be_bytes());
        tcp.extend(self.ack.0.to_be_bytes());
        tcp.extend([0x50, self.flags]);
        tcp.extend(1000_u16.to_be_bytes());
        tcp.extend([0, 0]);
        tcp.extend(self.urgent.to_be_bytes());
        tcp.extend(&self.payload);
        let mut checksum = self.checksum(&tcp);
        if self.spoil_checksum {
            checksum ^= 0x1111;
        }
        tcp[16..18].copy_from_slice(&checksum.to_be_bytes());
        let head = Head {
            flow_hash: 0,
            number: self.number,
            frame: self.number,
            time: self.time,
            clock: self.clock,
            input: 0,
            wire_len: tcp.len() as u32 + 34,
            key,
            side,
            seq: self.seq,
            ack: self.ack,
            flags: TcpFlags(self.flags),
            header_len: 20,
            window: 1000,
            urgent: self.urgent,
            checksum,
            ip_id: self.ip_id,
            ip_len: tcp.len() as u32 + 20 + self.cut,
            cut: self.cut,
            timestamp_value: self.timestamp,
            signed: self.signed,
            encapsulation: 0,
        };
        take(&Segment { head: &head, tcp: &tcp, encapsulation: &Encapsulation::default() });
    }

    /// RFC 1071, word by word.
    fn checksum(&self, tcp: &[u8]) -> u16 {
        let mut bytes = Vec::new();
        for end in [self.source, self.destination] {
            match end.ip {
                std::net::IpAddr::V4(ip) => bytes.extend(ip.octets()),
                std::net::IpAddr::V6(ip) => bytes.extend(ip.octets()),
            }
        }
        bytes.extend([0, 6]);
        bytes.extend((tcp.len() as u16).to_be_bytes());
        bytes.extend(tcp);
        bytes.resize(bytes.len().next_multiple_of(2), 0);
        let mut sum: u32 = 0;
        for pair in bytes.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair[1]]));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }
}
