//! Random records for the tests of the formats: every string may hold any bytes, every number any value.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use smsentry::format::{InputName, LineContext};
use smsentry::outcome::Outcome;
use smsentry::record::{
    Alert, Body, EventKind, FlowFacts, FlowTotals, Order, PacketTotals, Record, Request, RequestTraits, Response,
    Stats, Transaction,
};
use smsentry::segment::{Encapsulation, Endpoint, Tunnel, TunnelKind, Vlans};
use smsentry::signature::{Confidence, Exposed, Legitimate, Mitre, Pattern, Signature, WordScope};
use smsentry::time::Timestamp;
use smsentry::uri::{Evasion, Evasions};

pub(crate) const OUTCOMES: [Outcome; 10] = [
    Outcome::Exposed,
    Outcome::Present,
    Outcome::Unproven,
    Outcome::Redirected,
    Outcome::NotFound,
    Outcome::Error,
    Outcome::Refused,
    Outcome::NoResponse,
    Outcome::Pending,
    Outcome::Unseen,
];

const TUNNELS: [TunnelKind; 15] = [
    TunnelKind::Gre,
    TunnelKind::Erspan,
    TunnelKind::Ipv4,
    TunnelKind::Ipv6,
    TunnelKind::Vxlan,
    TunnelKind::Geneve,
    TunnelKind::Gtp,
    TunnelKind::Teredo,
    TunnelKind::Tzsp,
    TunnelKind::VxlanGpe,
    TunnelKind::L2tp,
    TunnelKind::EtherIp,
    TunnelKind::Capwap,
    TunnelKind::Mpls,
    TunnelKind::Ethernet,
];

/// Two files and an interface, one of the files with a name that is not UTF-8.
pub(crate) fn context(sensor_name: Option<&str>) -> LineContext {
    let odd = {
        use std::os::unix::ffi::OsStrExt;
        std::ffi::OsStr::from_bytes(b"caf\xe9/\"odd\".pcap").into()
    };
    LineContext {
        sensor_name: sensor_name.map(str::to_owned),
        inputs: vec![InputName::File("sms.pcap".into()), InputName::Interface("eth1".into()), InputName::File(odd)],
        one_stream: false,
        redact: false,
    }
}

/// A plain alert: the first request of the diary, answered with 404.
pub(crate) fn plain() -> Alert {
    Alert {
        transaction: Box::new(Transaction {
            timestamp: Timestamp::from_nanos(1_745_940_305_124_656_000),
            frame: 4,
            input: 0,
            client: end("198.51.100.7", 40001),
            server: end("192.0.2.10", 80),
            encapsulation: Encapsulation::default(),
            flow: FlowFacts {
                id: 0x1e23_d3c6_0f0f_5a5a_1234_5678,
                start: Timestamp::from_nanos(1_745_940_305_123_456_000),
                packets_to_server: 3,
                packets_to_client: 2,
                bytes_to_server: 357,
                bytes_to_client: 194,
            },
            tx_id: 0,
            request: Request {
                method: b"GET".into(),
                target: b"/wp-content/plugins/sms-alert/css/admin.css".to_vec(),
                protocol: b"HTTP/1.1".into(),
                host: Some(b"www.example.com:8080".to_vec()),
                user_agent: Some(b"curl/8.0".to_vec()),
                ..Request::default()
            },
            response: Some(Response {
                status: 404,
                reason: b"Not Found".to_vec(),
                content_type: Some(b"text/html; charset=utf-8".to_vec()),
                body_len: 9,
                ..Response::default()
            }),
        }),
        signature: Arc::new(signature()),
        outcome: Outcome::NotFound,
        matched: b"/wp-content/plugins/sms-alert/css/admin.css".to_vec(),
        evasions: Evasions::default(),
        conflict: false,
        also: Vec::new(),
        late: None,
        suppressed: false,
        forwarded_for: None,
        traits: RequestTraits::default(),
        context: Vec::new(),
        repeats: 1,
    }
}

/// A record with the body of an alert.
pub(crate) fn alert(alert: Alert) -> Record {
    record(EventKind::Alert, Body::Alert(Box::new(alert)))
}

/// A record with the body of a transaction.
pub(crate) fn http(transaction: impl Into<Box<Transaction>>) -> Record {
    record(EventKind::Http, Body::Http(transaction.into()))
}

/// A record with the body of a stats record.
pub(crate) fn stats(stats: Stats) -> Record {
    record(EventKind::Stats, Body::Stats(Box::new(stats)))
}

fn record(kind: EventKind, body: Body) -> Record {
    let order = Order { decided_at: Timestamp::ZERO, decided_by: 0, request: 0, tx_id: 0, kind, sid: 0 };
    Record { order, body }
}

fn end(ip: &str, port: u16) -> Endpoint {
    Endpoint { ip: ip.parse().unwrap(), port }
}

fn signature() -> Signature {
    Signature {
        id: 1_000_101,
        rev: 2,
        slug: "wp-sms-alert".into(),
        title: "WordPress sms-alert plugin stylesheet probe".into(),
        family: "plugin".into(),
        product: "WordPress SMS Alert".into(),
        severity: 2,
        confidence: Confidence::High,
        pattern: Pattern::PathFile(String::new(), 0),
        scope: WordScope::default(),
        methods: Vec::new(),
        query: Vec::new(),
        support: false,
        legitimate: Legitimate::default(),
        references: Vec::new(),
        cve: Vec::new(),
        mitre: Some(Mitre {
            tactic_id: "TA0043".into(),
            tactic_name: "Reconnaissance".into(),
            technique_id: "T1595".into(),
            technique_name: "Active_Scanning".into(),
        }),
        created_at: "2025_04_29".into(),
        updated_at: "2025_05_01".into(),
        exposed: Exposed::default(),
        hits: Vec::new(),
        misses: Vec::new(),
        proxy: false,
    }
}

/// A seeded source of records.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// SplitMix64.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }

    /// A number: small, any, or the largest.
    fn figure(&mut self) -> u64 {
        match self.below(4) {
            0 => u64::MAX,
            1 => self.next(),
            _ => self.next() % 1000,
        }
    }

    fn time(&mut self) -> Timestamp {
        Timestamp::from_nanos(match self.below(6) {
            0 => self.next().cast_signed(),
            1 => i64::MAX,
            2 => i64::MIN,
            3 => 0,
            _ => 1_745_940_305_000_000_000 + (self.next() % 1_000_000_000_000).cast_signed(),
        })
    }

    /// A string: of any bytes, any characters, or plain; rarely longer than every cap.
    fn bytes(&mut self) -> Vec<u8> {
        let len = match self.below(20) {
            0 => 0,
            1 => self.below(20_000),
            2 => self.below(1_500),
            _ => self.below(60),
        };
        let kind = self.below(6);
        let mut out = Vec::new();
        while out.len() < len {
            match kind {
                0 => out.push(self.next() as u8),
                1 => out.extend(self.character().to_string().bytes()),
                2 => out.extend([&b"\x1b[31m"[..], b"\"\\", b"\t", b"\r\n", b"-", b","][self.below(6)]),
                _ => out.push(b"/abcXYZ0189.%-_?=&"[self.below(18)]),
            }
        }
        out
    }

    fn character(&mut self) -> char {
        let limit = [0x80, 0x800, 0x1_0000, 0x11_0000][self.below(4)];
        char::from_u32(u32::try_from(self.below(limit)).unwrap()).unwrap_or('\u{fffd}')
    }

    fn maybe(&mut self) -> Option<Vec<u8>> {
        self.coin().then(|| self.bytes())
    }

    fn string(&mut self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    fn ends(&mut self) -> (Endpoint, Endpoint) {
        let six = self.coin();
        let mut end = || {
            let bits = u128::from(self.next()) << 64 | u128::from(self.next());
            let ip = if six { IpAddr::V6(Ipv6Addr::from_bits(bits)) } else { Ipv4Addr::from_bits(bits as u32).into() };
            Endpoint { ip, port: self.next() as u16 }
        };
        (end(), end())
    }

    fn tunnel(&mut self) -> Tunnel {
        let (source, destination) = self.ends();
        Tunnel {
            kind: TUNNELS[self.below(15)],
            source,
            destination,
            protocol: [4, 41, 47, 17, 97, 115, 137, 143][self.below(8)],
            depth: 1 + self.below(5) as u8,
            network: self.coin().then(|| self.next() as u32),
        }
    }

    /// A request and its response.
    pub(crate) fn transaction(&mut self) -> Transaction {
        let (client, server) = self.ends();
        let mut vlans = Vlans::default();
        (0..self.below(4)).for_each(|_| vlans.push(self.next() as u16));
        Transaction {
            timestamp: self.time(),
            frame: self.figure(),
            input: self.below(4) as u32,
            client,
            server,
            encapsulation: Encapsulation {
                vlans,
                tunnel: self.coin().then(|| self.tunnel()),
                fragmented: self.below(5) == 0,
                ip_checksum_wrong: false,
                is_trimmed: false,
            },
            flow: FlowFacts {
                id: u128::from(self.next()) << 64 | u128::from(self.next()),
                start: self.time(),
                packets_to_server: self.figure(),
                packets_to_client: self.figure(),
                bytes_to_server: self.figure(),
                bytes_to_client: self.figure(),
            },
            tx_id: self.next() as u32,
            request: Request {
                method: self.bytes().into(),
                target: self.bytes(),
                protocol: if self.coin() { b"HTTP/1.1".into() } else { self.bytes().into() },
                host: self.maybe(),
                user_agent: self.maybe(),
                referrer: self.maybe(),
                forwarded_for: self.maybe(),
                body_len: self.figure(),
                truncated: self.coin(),
            },
            response: self.coin().then(|| Response {
                status: [100, 200, 302, 404, 999][self.below(5)],
                reason: self.bytes(),
                content_type: self.maybe(),
                location: self.maybe(),
                content_length: self.coin().then(|| self.figure()),
                body_len: self.figure(),
            }),
        }
    }

    /// An alert.
    pub(crate) fn alert(&mut self) -> Alert {
        let list = |random: &mut Self| (0..random.below(40)).map(|_| random.string()).collect::<Vec<_>>();
        Alert {
            transaction: self.transaction().into(),
            signature: Arc::new(Signature {
                id: self.next() as u32,
                rev: self.next() as u32,
                slug: self.string(),
                title: self.string(),
                family: self.string(),
                product: self.string(),
                severity: self.next() as u8,
                confidence: [Confidence::Low, Confidence::Medium, Confidence::High][self.below(3)],
                cve: list(self),
                created_at: self.string(),
                proxy: self.coin(),
                ..signature()
            }),
            outcome: OUTCOMES[self.below(10)],
            matched: self.bytes(),
            evasions: Evasion::ALL
                .into_iter()
                .fold(Evasions::default(), |set, one| if self.coin() { set.with(one) } else { set }),
            conflict: self.coin(),
            also: list(self),
            late: self.coin().then_some(Outcome::Pending),
            suppressed: false,
            forwarded_for: self.coin().then(|| self.ends().0.ip),
            traits: RequestTraits::default(),
            context: list(self),
            repeats: 1,
        }
    }

    /// A stats record.
    pub(crate) fn stats(&mut self) -> Stats {
        Stats {
            timestamp: self.time(),
            uptime: self.figure(),
            capture: self.coin().then(|| [self.figure(), self.figure(), self.figure()]),
            packets: PacketTotals { total: self.figure(), longest: self.figure(), ..PacketTotals::default() },
            flows: FlowTotals {
                total: self.figure(),
                sessions: self.figure(),
                memory: self.figure(),
                queued_memory: self.figure(),
                ..FlowTotals::default()
            },
            alerts: self.figure(),
            alerts_suppressed: self.figure(),
            http_flows: self.figure(),
            http_requests: self.figure(),
        }
    }

    /// A record of any kind.
    pub(crate) fn record(&mut self) -> Record {
        match self.below(9) {
            0 => stats(self.stats()),
            1..=4 => http(self.transaction()),
            _ => alert(self.alert()),
        }
    }
}

/// The largest alert: every string is long, and of characters that grow most when they are written.
pub(crate) fn greedy() -> Vec<Alert> {
    let grown: [&[u8]; 5] = ["\u{1}".as_bytes(), "\u{10ffff}".as_bytes(), b"\xff", b"\"", b"a"];
    grown.map(greedy_of).to_vec()
}

fn greedy_of(unit: &[u8]) -> Alert {
    let long = unit.repeat(70_000);
    let text = String::from_utf8_lossy(&long).into_owned();
    let mut random = Random::new(1);
    let mut alert = random.alert();
    let transaction = &mut alert.transaction;
    transaction.input = 0;
    transaction.encapsulation.tunnel = Some(random.tunnel());
    (0..3).for_each(|_| transaction.encapsulation.vlans.push(4095));
    let some = || Some(long.clone());
    transaction.request = Request {
        method: long.clone().into(),
        target: long.clone(),
        protocol: long.clone().into(),
        host: some(),
        user_agent: some(),
        referrer: some(),
        forwarded_for: some(),
        body_len: u64::MAX,
        truncated: true,
    };
    transaction.response = Some(Response {
        status: 302,
        reason: long.clone(),
        content_type: some(),
        location: some(),
        content_length: Some(u64::MAX),
        body_len: u64::MAX,
    });
    alert.signature = Arc::new(Signature {
        slug: text.clone(),
        title: text.clone(),
        family: text.clone(),
        product: text.clone(),
        cve: vec!["CVE-2025-12345".into(); 500],
        created_at: text.clone(),
        updated_at: text,
        ..signature()
    });
    alert.evasions = Evasion::ALL.into_iter().fold(Evasions::default(), Evasions::with);
    alert.conflict = true;
    alert.late = Some(Outcome::Pending);
    alert.matched = long;
    alert.also = vec!["wp-sms-alert".into(); 500];
    alert
}
