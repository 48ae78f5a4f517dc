//! Captures written by hand: TCP segments in symbolic form, turned into frames, decoded and fed to one shard of the
//! sensor.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use etherparse::{Ethernet2Header, IpNumber, Ipv4Header, Ipv6Header, TcpHeader};
use smsentry::decode::{self, BlockExtras, Decoder};
use smsentry::flow::{self, EventTime};
use smsentry::http;
use smsentry::outcome::Outcome;
use smsentry::packet::{Link, Packet};
use smsentry::record::{Body, Event, Order, PageView, Record};
use smsentry::segment::Segment;
use smsentry::sensor::{Counters, Options, PayloadCounters, Ports, Sensor};
use smsentry::signature::{CachedMatcher, Signatures};
use smsentry::time::Timestamp;

/// The start of captures, in seconds since the epoch.
pub(crate) const EPOCH: i64 = 1_760_000_000;

/// A pseudo-random number generator (SplitMix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`, which is not zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(crate) fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

/// The sender of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    Client,
    Server,
}
pub(crate) use Sender::{Client, Server};

/// Errors in a segment's checksums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Damage {
    #[default]
    None,
    Tcp,
    Ip,
    /// The field holds the pseudo-header's sum.
    Offloaded,
}

/// A segment of a connection; sequence numbers count from the SYN of its sender, the first byte is at 1.
#[derive(Clone, Debug)]
pub(crate) struct Seg {
    pub(crate) conn: Conn,
    pub(crate) from: Sender,
    /// `S`, `A`, `F`, `R`, `P`, `U`.
    pub(crate) flags: String,
    pub(crate) seq: i64,
    pub(crate) ack: i64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) options: Vec<u8>,
    pub(crate) window: u16,
    pub(crate) urgent: u16,
    pub(crate) damage: Damage,
    pub(crate) ttl: u8,
    pub(crate) vlan: Option<u16>,
    pub(crate) mac: u8,
    pub(crate) ip_id: Option<u16>,
    /// Captured bytes of the frame.
    pub(crate) snaplen: usize,
    /// Microseconds since the previous packet; negative for a recorder whose clock goes back.
    pub(crate) wait: i64,
}

impl Seg {
    pub(crate) fn flags(mut self, flags: &str) -> Self {
        self.flags = flags.to_owned();
        self
    }
    pub(crate) fn seq(mut self, seq: i64) -> Self {
        self.seq = seq;
        self
    }
    pub(crate) fn ack(mut self, ack: i64) -> Self {
        self.ack = ack;
        self
    }
    pub(crate) fn damage(mut self, damage: Damage) -> Self {
        self.damage = damage;
        self
    }
    pub(crate) fn wait(mut self, micros: i64) -> Self {
        self.wait = micros;
        self
    }
    pub(crate) fn seconds(self, seconds: i64) -> Self {
        self.wait(seconds * 1_000_000)
    }
    pub(crate) fn urgent(mut self, pointer: u16) -> Self {
        self.flags.push('U');
        self.urgent = pointer;
        self
    }
    /// Two no-operations and a timestamp option.
    pub(crate) fn stamp(mut self, value: u32) -> Self {
        self.options = [&[1, 1, 8, 10][..], &value.to_be_bytes(), &[0; 4]].concat();
        self
    }
    pub(crate) fn md5(mut self) -> Self {
        self.options = [&[19, 18][..], &[0x5a; 16], &[1, 1]].concat();
        self
    }

    /// The frame, and its length on the wire.
    pub(crate) fn frame(&self, ip_id: u16) -> (Vec<u8>, u32) {
        let conn = &self.conn;
        let me = usize::from(self.from == Server);
        let isn = |of: usize| conn.isn[of];
        let number = |of: usize, at: i64| isn(of).wrapping_add(at as u32);
        let mut tcp = TcpHeader::new(conn.ports[me], conn.ports[1 - me], number(me, self.seq), self.window);
        tcp.syn = self.flags.contains('S');
        tcp.fin = self.flags.contains('F');
        tcp.rst = self.flags.contains('R');
        tcp.psh = self.flags.contains('P');
        tcp.urg = self.flags.contains('U');
        tcp.urgent_pointer = self.urgent;
        if self.flags.contains('A') {
            tcp.ack = true;
            tcp.acknowledgment_number = number(1 - me, self.ack);
        }
        tcp.set_options_raw(&self.options).unwrap();
        let mut out = Vec::new();
        let kind: u16 = if conn.v6 { 0x86dd } else { 0x0800 };
        let ethernet = Ethernet2Header {
            source: [2, 0, 0, 0, self.mac, me as u8],
            destination: [2, 0, 0, 0, self.mac, 1 - me as u8],
            ether_type: self.vlan.map_or(kind, |_| 0x8100).into(),
        };
        ethernet.write(&mut out).unwrap();
        if let Some(id) = self.vlan {
            out.extend(id.to_be_bytes());
            out.extend(kind.to_be_bytes());
        }
        let len = tcp.header_len_u16() + self.bytes.len() as u16;
        let start = out.len();
        let [source, destination] = [conn.hosts[me], conn.hosts[1 - me]];
        if conn.v6 {
            let wide = |ip: [u8; 4]| [[0x20; 12].as_slice(), &ip].concat().try_into().unwrap();
            let ip = Ipv6Header {
                payload_length: len,
                next_header: IpNumber::TCP,
                hop_limit: self.ttl,
                source: wide(source),
                destination: wide(destination),
                ..Ipv6Header::default()
            };
            tcp.checksum = tcp.calc_checksum_ipv6(&ip, &self.bytes).unwrap();
            ip.write(&mut out).unwrap();
        } else {
            let mut ip = Ipv4Header::new(len, self.ttl, IpNumber::TCP, source, destination).unwrap();
            ip.identification = self.ip_id.unwrap_or(ip_id);
            ip.header_checksum = ip.calc_header_checksum();
            tcp.checksum = tcp.calc_checksum_ipv4(&ip, &self.bytes).unwrap();
            if self.damage == Damage::Offloaded {
                tcp.checksum = pseudo_header_sum(source, destination, len);
            }
            ip.write_raw(&mut out).unwrap();
        }
        match self.damage {
            Damage::Tcp => tcp.checksum ^= 0x0101,
            Damage::Ip => out[start + 10] ^= 0x55,
            Damage::None | Damage::Offloaded => {}
        }
        tcp.write(&mut out).unwrap();
        out.extend_from_slice(&self.bytes);
        let wire_len = out.len() as u32;
        out.truncate(self.snaplen);
        (out, wire_len)
    }
}

fn pseudo_header_sum(source: [u8; 4], destination: [u8; 4], len: u16) -> u16 {
    let words = [source, destination].concat();
    let sum: u32 = words.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = sum + 6 + u32::from(len);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// The two ends of a connection and their initial sequence numbers; the client is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conn {
    pub(crate) hosts: [[u8; 4]; 2],
    pub(crate) ports: [u16; 2],
    pub(crate) isn: [u32; 2],
    pub(crate) v6: bool,
}

impl Conn {
    /// A different client for every `number`.
    pub(crate) fn new(number: u16) -> Self {
        let [high, low] = number.to_be_bytes();
        Self {
            hosts: [[198, 51, high, low], [192, 0, 2, 80]],
            ports: [40_000_u16.wrapping_add(number), 80],
            isn: [1000, 5000],
            v6: false,
        }
    }
    pub(crate) fn isn(mut self, client: u32, server: u32) -> Self {
        self.isn = [client, server];
        self
    }
    pub(crate) fn port(mut self, port: u16) -> Self {
        self.ports[1] = port;
        self
    }

    pub(crate) fn seg(self, from: Sender, flags: &str, seq: i64, ack: i64, bytes: &[u8]) -> Seg {
        Seg {
            conn: self,
            from,
            flags: flags.to_owned(),
            seq,
            ack,
            bytes: bytes.to_vec(),
            options: Vec::new(),
            window: 64_240,
            urgent: 0,
            damage: Damage::None,
            ttl: 64,
            vlan: None,
            mac: 1,
            ip_id: None,
            snaplen: usize::MAX,
            wait: 1000,
        }
    }
    pub(crate) fn syn(self) -> Seg {
        self.seg(Client, "S", 0, 0, b"")
    }
    pub(crate) fn syn_ack(self) -> Seg {
        self.seg(Server, "SA", 0, 1, b"")
    }
    /// SYN, SYN-ACK, ACK.
    pub(crate) fn open(self) -> Vec<Seg> {
        vec![self.syn(), self.syn_ack(), self.bare(Client, 1, 1)]
    }
    pub(crate) fn bare(self, from: Sender, seq: i64, ack: i64) -> Seg {
        self.seg(from, "A", seq, ack, b"")
    }
    /// A segment of the client.
    pub(crate) fn up(self, seq: i64, ack: i64, bytes: impl AsRef<[u8]>) -> Seg {
        self.seg(Client, "PA", seq, ack, bytes.as_ref())
    }
    /// A segment of the server.
    pub(crate) fn down(self, seq: i64, ack: i64, bytes: impl AsRef<[u8]>) -> Seg {
        self.seg(Server, "PA", seq, ack, bytes.as_ref())
    }
    /// Both FINs and the last acknowledgment.
    pub(crate) fn close(self, client: i64, server: i64) -> Vec<Seg> {
        vec![
            self.seg(Client, "FA", client, server, b""),
            self.seg(Server, "FA", server, client + 1, b""),
            self.bare(Client, client + 1, server + 1),
        ]
    }
    /// One request, one response, from the first to the last packet.
    pub(crate) fn exchange(self, request: impl AsRef<[u8]>, answer: impl AsRef<[u8]>) -> Vec<Seg> {
        let (request, answer) = (request.as_ref(), answer.as_ref());
        let (there, back) = (1 + request.len() as i64, 1 + answer.len() as i64);
        let mut out = self.open();
        out.extend([
            self.up(1, 1, request),
            self.bare(Server, 1, there),
            self.down(1, there, answer),
            self.bare(Client, there, back),
        ]);
        out.extend(self.close(there, back));
        out
    }
}

/// A GET request for `target`.
pub(crate) fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: victim.example\r\nUser-Agent: probe/1.0\r\n\r\n")
}

/// A 404 response.
pub(crate) const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

/// The reported fields of a probe, without the packets that carried it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reported {
    pub(crate) client: String,
    pub(crate) tx_id: u32,
    pub(crate) late: bool,
    pub(crate) sid: u32,
    pub(crate) outcome: Outcome,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) host: Option<Vec<u8>>,
    pub(crate) status: Option<u16>,
    pub(crate) matched: Vec<u8>,
    pub(crate) also: Vec<String>,
    pub(crate) truncated: bool,
    pub(crate) conflict: bool,
}

/// The result of a capture.
pub(crate) struct Run {
    pub(crate) records: Vec<Record>,
    pub(crate) page_views: Vec<(Order, PageView)>,
    pub(crate) flow: flow::Counters,
    pub(crate) http: http::Counters,
    pub(crate) sensor: Counters,
    pub(crate) payload: PayloadCounters,
    pub(crate) decode: decode::Counters,
    /// Peak use: flows, their memory, memory of waiting segments, of held requests.
    pub(crate) most: [usize; 4],
}

impl Run {
    /// The alerts, by client and request.
    pub(crate) fn reported(&self) -> Vec<Reported> {
        let mut emitted: Vec<Reported> = self
            .records
            .iter()
            .filter_map(|record| match &record.body {
                Body::Alert(alert) if !alert.signature.support && !alert.suppressed => Some(Reported {
                    client: format!("{:?}", alert.transaction.client),
                    tx_id: alert.transaction.tx_id,
                    late: alert.late.is_some(),
                    sid: alert.signature.id,
                    outcome: alert.outcome,
                    method: String::from_utf8_lossy(&alert.transaction.request.method).into_owned(),
                    target: String::from_utf8_lossy(&alert.transaction.request.target).into_owned(),
                    host: alert.transaction.request.host.clone(),
                    status: alert.transaction.response.as_ref().map(|response| response.status),
                    matched: alert.matched.clone(),
                    also: alert.also.clone(),
                    truncated: alert.transaction.request.truncated,
                    conflict: alert.conflict,
                }),
                _ => None,
            })
            .collect();
        emitted.sort();
        emitted
    }

    /// Targets and outcomes of the alerts, in the order in which they came.
    pub(crate) fn alerts(&self) -> Vec<(String, &'static str)> {
        self.records
            .iter()
            .filter_map(|record| match &record.body {
                Body::Alert(alert) if !alert.signature.support => Some((
                    String::from_utf8_lossy(&alert.transaction.request.target).into_owned(),
                    alert.outcome.name(),
                )),
                _ => None,
            })
            .collect()
    }

    /// Targets of all requests, by flow and number; only with `http_events`.
    pub(crate) fn requests(&self) -> Vec<String> {
        let mut found: BTreeMap<_, String> = BTreeMap::new();
        for (at, record) in self.records.iter().enumerate() {
            if let Body::Http(http) = &record.body {
                let target = String::from_utf8_lossy(&http.request.target).into_owned();
                found.insert((http.client, http.flow.start, http.tx_id, at), target);
            }
        }
        found.into_values().collect()
    }

    pub(crate) fn counter(&self, name: &str) -> u64 {
        let mut found = None;
        let mut visit = |known: &'static str, value| {
            if known == name {
                found = Some(value);
            }
        };
        self.flow.each(&mut visit);
        self.http.each(&mut visit);
        self.sensor.each(&mut visit);
        self.decode.each(&mut visit);
        found.unwrap_or_else(|| panic!("there is no counter {name}"))
    }
}

static SIGNATURES: LazyLock<Arc<Signatures>> = LazyLock::new(|| Arc::new(Signatures::builtin().unwrap()));

/// The usual options, with records of all requests and HTTP on any port.
pub(crate) fn options() -> Options {
    Options { ports: Ports::Any, http_events: true, ..Options::default() }
}

/// Decodes a capture and feeds it to a sensor with the usual options.
pub(crate) fn run(segs: &[Seg]) -> Run {
    run_with(segs, options())
}

/// Decodes a capture and feeds it to a sensor; the clock is the running maximum of the times.
pub(crate) fn run_with(segs: &[Seg], options: Options) -> Run {
    run_against(segs, options, &SIGNATURES)
}

/// The same with other signatures.
pub(crate) fn run_against(segs: &[Seg], options: Options, signatures: &Arc<Signatures>) -> Run {
    let verify_ip_checksum = options.flow.checksums != flow::ChecksumPolicy::None;
    let decoding = decode::Options { verify_ip_checksum, ..decode::Options::default() };
    let mut decoder = Decoder::new(decoding, [3, 4]);
    let (mut sensor, mut search) = (Sensor::new(options, [1, 2]), CachedMatcher::new(Arc::clone(signatures)));
    let (mut events, mut extras) = (Vec::new(), BlockExtras::default());
    let (mut now, mut clock, mut number, mut most) = (EPOCH * 1_000_000, Timestamp::ZERO, 0, [0; 4]);
    for seg in segs {
        now += seg.wait;
        number += 1;
        let time = Timestamp::ZERO.after(Duration::from_micros(now as u64));
        clock = clock.max(time);
        let (bytes, wire_len) = seg.frame(number as u16);
        let packet = Packet { number, frame: number, time, link: Link::Ethernet, wire_len, bytes: &bytes };
        extras.clear();
        if let Ok((head, span)) = decoder.decode(&packet, clock, 0, &mut extras) {
            let whole = span.reassembled.map_or(&bytes[..], |whole| &extras.reassembled[whole as usize]);
            let tcp = &whole[span.start as usize..span.end as usize];
            let encapsulation = &extras.encapsulations[head.encapsulation as usize];
            sensor.feed(&Segment { head: &head, tcp, encapsulation }, &mut search, &mut events);
            for (most, now) in most.iter_mut().zip(sensor.usage()) {
                *most = now.max(*most);
            }
        }
    }
    sensor.advance(clock, &mut search, &mut events);
    sensor.finish(EventTime { clock, number }, &mut search, &mut events);
    assert_eq!(sensor.usage()[0], 0, "flows are left");
    assert_eq!(sensor.usage()[1..], [0; 3], "memory is left");
    let (flow, http, own) = (*sensor.flow_counters(), *sensor.http_counters(), *sensor.counters());
    let (mut records, mut page_views) = (Vec::new(), Vec::new());
    for event in events {
        match event {
            Event::Record(record) => records.push(record),
            Event::PageView(order, page) => page_views.push((order, page)),
        }
    }
    let payload = *sensor.payload_counters();
    Run { records, page_views, flow, http, sensor: own, payload, decode: *decoder.counters(), most }
}

/// The capture as a file in the classic format, microseconds.
pub(crate) fn pcap(segs: &[Seg]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 1] {
        out.extend(word.to_le_bytes());
    }
    let mut now = EPOCH * 1_000_000;
    for (number, seg) in segs.iter().enumerate() {
        now += seg.wait;
        let (bytes, wire_len) = seg.frame(number as u16 + 1);
        for word in [now.div_euclid(1_000_000) as u32, now.rem_euclid(1_000_000) as u32, bytes.len() as u32, wire_len] {
            out.extend(word.to_le_bytes());
        }
        out.extend(bytes);
    }
    out
}
