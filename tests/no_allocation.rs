//! An in-order request that matches no signature, and its response, cost no allocation: flow known, after warm-up, head
//! in one segment. A separate program, since it replaces the global allocator with a counting one.

#![allow(unsafe_code, reason = "an allocator is unsafe to implement")]
#![allow(clippy::unwrap_used, reason = "a test that fails by a panic has done its work")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use etherparse::PacketBuilder;
use smsentry::decode::{BlockExtras, Decoder, Options};
use smsentry::packet::{Link, Packet};
use smsentry::record::Event;
use smsentry::segment::Segment;
use smsentry::sensor::{self, Sensor};
use smsentry::signature::{CachedMatcher, Signatures};
use smsentry::time::Timestamp;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    // A thread that is ending no longer has a counter.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller upholds the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller upholds the contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller upholds the contract.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds the contract.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Decoder and sensor, without threads.
struct Line {
    decoder: Decoder,
    extras: BlockExtras,
    sensor: Sensor,
    search: CachedMatcher,
    out: Vec<Event>,
    number: u64,
}

impl Line {
    fn new() -> Self {
        let signatures = Arc::new(Signatures::builtin().unwrap());
        let sensor = Sensor::new(sensor::Options::default(), [1, 2]);
        let decoder = Decoder::new(Options::default(), [3, 4]);
        let search = CachedMatcher::new(signatures);
        Self { decoder, extras: BlockExtras::default(), sensor, search, out: Vec::new(), number: 0 }
    }

    fn frame(&mut self, bytes: &[u8]) {
        self.number += 1;
        let time = Timestamp::from_secs_nanos(1_750_000_000, 0).after(std::time::Duration::from_millis(self.number));
        let wire_len = bytes.len() as u32;
        let packet = Packet { number: self.number, frame: self.number, time, link: Link::Ethernet, wire_len, bytes };
        let (head, span) = self.decoder.decode(&packet, time, 0, &mut self.extras).unwrap();
        let tcp = &bytes[span.start as usize..span.end as usize];
        let encapsulation = self.extras.encapsulations[head.encapsulation as usize];
        let segment = Segment { head: &head, tcp, encapsulation: &encapsulation };
        self.sensor.feed(&segment, &mut self.search, &mut self.out);
    }
}

/// The frames of a connection, made before anything is counted.
#[derive(Default)]
struct Connection {
    next: [u32; 2],
}

impl Connection {
    fn frame(&mut self, from: usize, syn: bool, bytes: &[u8]) -> Vec<u8> {
        let (client, server) = ([198, 51, 100, 7], [192, 0, 2, 10]);
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6]);
        let builder = if from == 0 { builder.ipv4(client, server, 64) } else { builder.ipv4(server, client, 64) };
        let (source, target) = if from == 0 { (40_000, 80) } else { (80, 40_000) };
        let mut tcp = builder.tcp(source, target, self.next[from], 64_000);
        if syn {
            tcp = tcp.syn();
        }
        if !(syn && from == 0) {
            tcp = tcp.ack(self.next[1 - from]);
        }
        self.next[from] += bytes.len() as u32 + u32::from(syn);
        let mut frame = Vec::new();
        tcp.write(&mut frame, bytes).unwrap();
        frame
    }
}

fn request(target: &str) -> Vec<u8> {
    format!(
        "GET {target} HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\
         Accept: text/html\r\nReferer: https://www.example.org/\r\nCookie: session=0123456789abcdef\r\n\r\n"
    )
    .into_bytes()
}

fn response(body: usize) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {body}\r\n\r\n");
    [head.into_bytes(), vec![b'x'; body]].concat()
}

/// Targets as browsers send them; some need the slow path of the normal form.
const TARGETS: [&str; 6] = [
    "/",
    "/index.html?page=2&sort=asc",
    "/presentations/nagios-sms5.png",
    "/images/../css/site.css",
    "/caf%C3%A9/menu.html",
    "/wp-content/plugins/contact-form-7/includes/css/styles.css?ver=5.9",
];

#[test]
fn request_without_match_and_its_response_allocate_nothing() {
    let mut connection = Connection::default();
    let opening = [connection.frame(0, true, b""), connection.frame(1, true, b""), connection.frame(0, false, b"")];
    // The warm-up is as long as the counted part.
    let mut rounds = Vec::new();
    for _ in 0..2 {
        let mut frames = Vec::new();
        for target in TARGETS {
            frames.push(connection.frame(0, false, &request(target)));
            frames.push(connection.frame(1, false, &response(300)));
            frames.push(connection.frame(0, false, b""));
        }
        rounds.push(frames);
    }
    let mut line = Line::new();
    opening.iter().chain(&rounds[0]).for_each(|frame| line.frame(frame));
    for (at, frame) in rounds[1].iter().enumerate() {
        let before = COUNT.get();
        line.frame(frame);
        let asked = COUNT.get() - before;
        assert_eq!(asked, 0, "frame {at} ({}): {asked} allocations", TARGETS[at / 3]);
    }
    assert_eq!(line.sensor.http_counters().requests, 2 * TARGETS.len() as u64, "the requests were seen");
    // The first page view of a flow is recorded, if any signature requests it.
    assert!(line.out.iter().all(|event| matches!(event, Event::PageView(..))) && line.out.len() <= 1);
}

/// The counting works: a probe is kept, which allocates.
#[test]
fn probe_allocates() {
    let mut connection = Connection::default();
    let opening = [connection.frame(0, true, b""), connection.frame(1, true, b""), connection.frame(0, false, b"")];
    let probe = connection.frame(0, false, &request("/sms_config.json"));
    let mut line = Line::new();
    opening.iter().for_each(|frame| line.frame(frame));
    let before = COUNT.get();
    line.frame(&probe);
    assert!(COUNT.get() > before);
}
