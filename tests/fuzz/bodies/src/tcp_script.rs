//! Sends a script of segments through TCP reassembly, and through the sensor.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use smsentry::flow::{
    ChecksumPolicy, Chunk, EventTime, FlowView, Flows, Limits, Listener, Options, OverlapPolicy, Reason, Timeouts,
};
use smsentry::record::{Body, Event, Record};
use smsentry::segment::{Endpoint, Segment, Seq, Side, TcpFlags};
use smsentry::sensor::{self, Sensor};
use smsentry::signature::{CachedMatcher, Signatures};
use smsentry::time::Timestamp;

use super::lines::check_lines;
use super::packet::{Choices, Made};

/// The data and gaps that a flow delivered.
#[derive(Clone, Debug, Default)]
struct Delivered {
    streams: [Stream; 2],
}

#[derive(Clone, Debug, Default)]
struct Stream {
    /// Offset and bytes.
    data: Vec<(u64, Vec<u8>)>,
    end: u64,
    gaps: u64,
    ended: bool,
}

/// Keeps all data, and checks its order.
#[derive(Default)]
struct Recorder {
    closed: Vec<Delivered>,
    /// Whether bytes may be removed, and whether a half stream may restart without its flow being closed.
    urgent: bool,
    restarts: bool,
}

impl Listener for Recorder {
    type State = Delivered;

    fn chunk(&mut self, _: &FlowView<'_>, delivered: &mut Delivered, side: Side, chunk: Chunk<'_>) {
        let stream = &mut delivered.streams[side as usize];
        match chunk {
            Chunk::Data { bytes, offset, .. } => {
                assert!(!bytes.is_empty(), "an empty chunk");
                let follows = offset == stream.end || (self.urgent && offset == stream.end + 1);
                let restarted = self.restarts && offset <= 1;
                assert!(follows || restarted, "bytes at {offset} after {}", stream.end);
                assert!(restarted || !stream.ended, "bytes after the end");
                stream.end = offset + bytes.len() as u64;
                stream.data.push((offset, bytes.to_vec()));
            }
            Chunk::Gap { len } => {
                assert!(len > 0 && (self.restarts || !stream.ended), "a gap of nothing, or after the end");
                stream.gaps += len;
                stream.end += len;
                // An urgent byte just before the gap was removed.
                if self.urgent {
                    stream.end = stream.end.max(len);
                }
            }
        }
    }

    fn end(&mut self, _: &FlowView<'_>, delivered: &mut Delivered, side: Side) {
        let stream = &mut delivered.streams[side as usize];
        assert!(self.restarts || !stream.ended, "two ends");
        stream.ended = true;
    }

    fn waits(&mut self, _: &FlowView<'_>, _: &mut Delivered, _: Side) {}

    fn closed(&mut self, _: &FlowView<'_>, delivered: &mut Delivered, _: Reason) {
        self.closed.push(std::mem::take(delivered));
    }

    fn waits_for_peer(_: &Self::State) -> bool {
        false
    }
    fn memory(delivered: &Delivered) -> usize {
        delivered.streams.iter().map(|stream| 64 * stream.data.len()).sum()
    }
}

fn signatures() -> Arc<Signatures> {
    static SET: OnceLock<Arc<Signatures>> = OnceLock::new();
    Arc::clone(SET.get_or_init(|| Arc::new(Signatures::builtin().expect("the built-in signatures load"))))
}

/// The targets of the requests in an HTTP script.
const TARGETS: [&str; 5] = ["/", "/sms/api/", "/twilio/.config/bin/aws/lib/.env", "/img/a.png?x=1", "/sms_config.json"];

/// The two ends of a script and their streams.
struct Script {
    honest: bool,
    ends: [Endpoint; 2],
    isn: [Seq; 2],
    content: [Vec<u8>; 2],
    /// The bytes of each that were sent.
    have: [Vec<bool>; 2],
    /// The ends that have sent their FIN.
    fin: [bool; 2],
    cursor: [usize; 2],
    clock: Timestamp,
    number: u64,
    last: Option<Made>,
    /// The time until which every receiver knows the flow, so that a segment far outside the window does not begin a
    /// new one.
    known_until: Timestamp,
}

/// A time within which no hole is given up.
const AT_ONCE: Duration = Duration::from_secs(4);

const CLIENT: usize = 0;
const SERVER: usize = 1;

impl Script {
    fn new(choices: &mut Choices<'_>, honest: bool, http: bool) -> Self {
        let end = |ip: [u8; 4], port| Endpoint { ip: std::net::IpAddr::from(ip), port };
        let isn = [Seq(choices.word()), Seq(choices.word())];
        let content = if http { conversation() } else { [noise(1, 1500), noise(2, 700)] };
        Self {
            honest,
            ends: [end([192, 0, 2, 7], 40_000), end([192, 0, 2, 1], 80)],
            isn,
            have: [vec![false; content[0].len()], vec![false; content[1].len()]],
            content,
            fin: [false; 2],
            cursor: [0; 2],
            clock: Timestamp::from_secs_nanos(1_000_000, 0),
            number: 0,
            last: None,
            known_until: Timestamp::ZERO,
        }
    }

    /// A segment of one end with the usual header fields.
    fn plain(&mut self, from: usize, offset: usize, len: usize, flags: u8) -> Made {
        let offset = offset.min(self.content[from].len());
        let payload = self.content[from][offset..(offset + len).min(self.content[from].len())].to_vec();
        let received = self.received(1 - from);
        Made {
            source: self.ends[from],
            destination: self.ends[1 - from],
            seq: self.isn[from].advance(1 + offset as u32),
            ack: self.isn[1 - from].advance(1 + received as u32),
            flags,
            payload,
            urgent: 0,
            cut: 0,
            timestamp: None,
            signed: false,
            spoil_checksum: false,
            time: self.clock,
            clock: self.clock,
            number: 0,
            ip_id: 0,
        }
    }

    /// The number of bytes from the start that an end has sent without a hole.
    fn received(&self, from: usize) -> usize {
        self.have[from].iter().take_while(|&&have| have).count()
    }

    fn data(&mut self, from: usize, offset: usize, len: usize) -> Made {
        let made = self.plain(from, offset, len, TcpFlags::ACK | TcpFlags::PSH);
        let start = offset.min(self.content[from].len());
        self.have[from][start..start + made.payload.len()].fill(true);
        self.cursor[from] = self.cursor[from].max(start + made.payload.len());
        made
    }

    fn syn(&mut self, from: usize, flags: u8) -> Made {
        let mut made = self.plain(from, 0, 0, flags);
        made.seq = self.isn[from];
        made.ack = if flags & TcpFlags::ACK != 0 { self.isn[1 - from].advance(1) } else { Seq(0) };
        made
    }

    /// Chooses the next segment, or a pause.
    fn choose(&mut self, choices: &mut Choices<'_>) -> Option<Made> {
        let kind = choices.byte();
        let from = usize::from(kind >> 7);
        let everything = self.content[from].len();
        let made = match kind & 15 {
            0..=2 => {
                let (offset, len) = (usize::from(choices.half()) % (everything + 1), usize::from(choices.byte()));
                self.data(from, offset, len)
            }
            3..=5 => {
                let (offset, len) = (self.cursor[from], 4 * usize::from(choices.byte()));
                self.data(from, offset, len)
            }
            6 => self.syn(CLIENT, TcpFlags::SYN),
            7 => self.syn(SERVER, TcpFlags::SYN | TcpFlags::ACK),
            8 => {
                self.fin[from] = true;
                self.plain(from, everything, 0, TcpFlags::FIN | TcpFlags::ACK)
            }
            9 => self.plain(from, self.cursor[from], 0, TcpFlags::ACK),
            10 => {
                self.clock = self.clock.after(Duration::from_millis(u64::from(choices.half()) >> (kind >> 4 & 7)));
                // A segment far outside a known flow may begin an unknown one.
                self.last = self.last.take().filter(|_| self.clock < self.known_until);
                return None;
            }
            11 => self.last.clone()?,
            12 => self.data(from, 0, everything),
            13 | 14 if self.honest => self.decoy(from, choices),
            _ if self.honest => self.plain(from, self.cursor[from], 0, TcpFlags::RST | TcpFlags::ACK),
            _ => self.anything(from, choices),
        };
        Some(made)
    }

    /// A segment that every server drops.
    fn decoy(&mut self, from: usize, choices: &mut Choices<'_>) -> Made {
        let offset = usize::from(choices.half()) % (self.content[from].len() + 1);
        let mut made = self.plain(from, offset, 40, TcpFlags::ACK);
        made.payload.fill(b'#');
        let known = self.clock < self.known_until;
        match choices.byte() % if known { 4 } else { 2 } {
            0 => made.flags = TcpFlags::PSH,
            1 => made.flags = TcpFlags::SYN | TcpFlags::FIN,
            2 => made.seq = made.seq.advance(1 << 30),
            _ => made.seq = Seq(made.seq.0.wrapping_sub(1 << 29)),
        }
        made
    }

    /// An arbitrary segment.
    fn anything(&mut self, from: usize, choices: &mut Choices<'_>) -> Made {
        let mut made = self.plain(from, usize::from(choices.half()), usize::from(choices.byte()), choices.byte());
        let bits = choices.byte();
        if bits & 1 != 0 {
            made.seq = made.seq.advance(choices.word());
        }
        if bits & 2 != 0 {
            made.ack = made.ack.advance(choices.word());
        }
        if bits & 4 != 0 {
            let len = usize::from(choices.byte());
            made.payload = choices.bytes(len).to_vec();
        }
        if bits & 8 != 0 {
            made.urgent = choices.half();
        }
        if bits & 16 != 0 {
            made.cut = u32::from(choices.half());
        }
        if bits & 32 != 0 {
            made.timestamp = Some(u32::from(choices.byte()) << 24);
        }
        made.signed = bits & 64 != 0;
        made.spoil_checksum = bits & 128 != 0;
        made.source.port ^= u16::from(choices.byte() & 3) << 8;
        made.time = Timestamp::from_nanos(made.time.nanos().wrapping_add(i64::from(choices.half())));
        made
    }
}

/// Bytes whose position is determined by a few of them.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// Requests for [`TARGETS`] and their responses.
fn conversation() -> [Vec<u8>; 2] {
    let request = |target: &&str| format!("GET {target} HTTP/1.1\r\nHost: example.org\r\nUser-Agent: x\r\n\r\n");
    let requests: String = TARGETS.iter().map(request).collect();
    let answer = "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 9\r\n\r\nnot found";
    [requests.into_bytes(), answer.repeat(TARGETS.len()).into_bytes()]
}

/// The input is options, and the segments of both ends. Checks that data is delivered in order and that memory is
/// accounted for. In a well-formed script (copies agree, and every server drops the decoys) every delivered byte is the
/// byte sent at its offset, and without pauses and limits every byte that was sent is delivered; the requests in it are
/// reported once each.
pub fn tcp_script(data: &[u8]) {
    let mut choices = Choices::new(data);
    let (bits, more) = (choices.byte(), choices.byte());
    let (honest, opened, http, tiny) = (bits & 1 == 0, bits & 2 == 0, bits & 4 != 0, bits & 8 != 0);
    let checksums = [ChecksumPolicy::Auto, ChecksumPolicy::None, ChecksumPolicy::All];
    let checksums = if honest { ChecksumPolicy::Auto } else { checksums[usize::from(more / 6) % 3] };
    let options = Options {
        checksums,
        overlap: OverlapPolicy::NAMES[usize::from(more) % 6].1,
        keep_duplicates: bits & 16 != 0,
        limits: if tiny { few() } else { Limits::default() },
        timeouts: Timeouts::default(),
    };
    let mut script = Script::new(&mut choices, honest, http);
    let mut rig = Rig::new(options, !honest, http);
    let began = script.clock;
    if honest && opened && !tiny {
        script.known_until = began.after(AT_ONCE);
    }
    if honest && opened {
        let (syn, answer) = (script.syn(CLIENT, TcpFlags::SYN), script.syn(SERVER, TcpFlags::SYN | TcpFlags::ACK));
        rig.give(&mut script, syn);
        rig.give(&mut script, answer);
    }
    for _ in 0..100 {
        if choices.is_empty() {
            break;
        }
        if let Some(made) = script.choose(&mut choices) {
            rig.give(&mut script, made);
        }
    }
    let (delivered, records) = rig.finish(script.clock);
    if !honest {
        return;
    }
    let at_once = opened && !tiny && script.clock.since(began) < AT_ONCE;
    if at_once {
        assert_eq!(delivered.len(), 1, "one connection");
    }
    for delivered in &delivered {
        for (from, stream) in delivered.streams.iter().rev().enumerate() {
            // The server's address is the lower one.
            was_sent(stream, &script.content[from], at_once);
            if at_once {
                all_delivered(stream, &script, from);
            }
        }
    }
    if at_once && http && script.received(CLIENT) == script.content[CLIENT].len() {
        requests_reported_once(&records);
    }
}

fn few() -> Limits {
    Limits {
        flows: 2,
        flow_memory: 4096,
        queued_memory: 2048,
        queued_per_half: 1024,
        segments_per_half: 4,
        candidates: 2,
    }
}

/// Checks that every delivered byte is that of the content at its offset. Streams may begin later where the beginning
/// was not seen, or where a limit or a pause ended the flow before.
fn was_sent(stream: &Stream, content: &[u8], from_the_beginning: bool) {
    let fits = |base: usize| {
        stream
            .data
            .iter()
            .all(|(offset, bytes)| content.get(base + *offset as usize..).is_some_and(|rest| rest.starts_with(bytes)))
    };
    let found = if from_the_beginning { fits(0) } else { (0..=content.len()).any(fits) };
    assert!(found, "bytes that were not sent there: {stream:?}");
}

/// Checks that everything that was sent was delivered, and that the rest is a gap.
fn all_delivered(stream: &Stream, script: &Script, from: usize) {
    let have = &script.have[from];
    let last = have.iter().rposition(|&have| have).map_or(0, |last| last + 1);
    let end = if script.fin[from] { have.len() } else { last };
    let mut delivered = vec![false; have.len()];
    for (offset, bytes) in &stream.data {
        delivered[*offset as usize..*offset as usize + bytes.len()].fill(true);
    }
    assert!(delivered == *have, "bytes that were sent were not delivered: {stream:?}");
    assert_eq!(stream.gaps, have[..end].iter().filter(|&&have| !have).count() as u64);
}

fn requests_reported_once(records: &[Record]) {
    let mut targets: Vec<(u32, &[u8])> = Vec::new();
    let mut alerts = 0;
    for record in records {
        match &record.body {
            Body::Http(transaction) => targets.push((transaction.tx_id, &transaction.request.target)),
            Body::Alert(_) => alerts += 1,
            Body::Campaign(_) | Body::Stats(_) => {}
        }
    }
    targets.sort_unstable();
    let expected: Vec<(u32, &[u8])> = (0..).zip(TARGETS.map(str::as_bytes)).collect();
    assert_eq!(targets, expected);
    assert_eq!(alerts, 3, "the probes among them");
}

/// TCP reassembly, and the sensor beside it where the script is HTTP.
struct Rig {
    flows: Flows<Delivered>,
    recorder: Recorder,
    sensor: Option<(Sensor, CachedMatcher)>,
    events: Vec<Event>,
    limits: Limits,
}

impl Rig {
    fn new(options: Options, hostile: bool, http: bool) -> Self {
        let mut sensor = sensor::Options { flow: options, http_events: true, ..sensor::Options::default() };
        if options.limits.flows == few().flows {
            sensor.held_memory = 1024;
            sensor.http = smsentry::http::Limits { line: 64, head: 128, pending: 2 };
        }
        Self {
            flows: Flows::new(options, [5, 6]),
            recorder: Recorder { urgent: hostile, restarts: hostile, ..Recorder::default() },
            sensor: http.then(|| (Sensor::new(sensor, [7, 8]), CachedMatcher::new(signatures()))),
            events: Vec::new(),
            limits: options.limits,
        }
    }

    fn give(&mut self, script: &mut Script, mut made: Made) {
        script.number += 1;
        made.number = script.number;
        made.clock = script.clock;
        made.give(&mut |segment| self.take(segment));
        script.last = Some(made);
    }

    fn take(&mut self, segment: &Segment<'_>) {
        while self.flows.next_deadline() <= segment.head.clock {
            self.flows.fire(Timestamp::from_nanos(i64::MIN), &mut self.recorder);
        }
        self.flows.feed(segment, &mut self.recorder);
        assert!(self.flows.len() <= self.limits.flows);
        // One segment more than the limit allows may have been in progress.
        assert!(self.flows.queued_memory() <= self.limits.queued_memory + (4 << 10));
        if let Some((sensor, search)) = &mut self.sensor {
            sensor.feed(segment, search, &mut self.events);
        }
    }

    fn finish(mut self, clock: Timestamp) -> (Vec<Delivered>, Vec<Record>) {
        let at = EventTime { clock, number: 0 };
        self.flows.finish(at, Reason::Stop, &mut self.recorder);
        assert_eq!((self.flows.len(), self.flows.memory(), self.flows.queued_memory()), (0, 0, 0));
        assert_eq!(self.recorder.closed.len() as u64, self.flows.counters().flows, "every flow is closed once");
        if let Some((sensor, search)) = &mut self.sensor {
            sensor.finish(at, search, &mut self.events);
            assert_eq!(sensor.usage(), [0; 4]);
        }
        let events = self.events.into_iter();
        let records: Vec<Record> = events.filter_map(|event| event.record().cloned()).collect();
        records.iter().for_each(check_lines);
        (self.recorder.closed, records)
    }
}
