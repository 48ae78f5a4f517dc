//! A virtual link (veth pair) in a network namespace for the live tests. Needs root and `ip`; prints a message where it
//! can't run.
//!
//! Each test runs itself again inside a namespace (`ip netns exec`), so that nothing outside is changed. Inside,
//! `probe0` is captured and `probe1`, the other end of the link, sends.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use smsentry::capture::block::Block;
use smsentry::capture::live::{LiveOptions, LiveSource, Statistics};
use smsentry::capture::source::LiveCounters;
use smsentry::capture::source::{FillStatus, PacketSource};

/// Set inside the namespace.
const INSIDE: &str = "SMSENTRY_TEST_NAMESPACE";

/// A namespace, removed with everything in it on drop, also after a panic.
pub(crate) struct Namespace(pub(crate) String);

impl Namespace {
    pub(crate) fn new(test: &str) -> Option<Self> {
        let name = format!("smsentry-{}-{}", std::process::id(), test.rsplit("::").next().unwrap_or(test));
        match Command::new("ip").args(["netns", "add", &name]).output() {
            Ok(output) if output.status.success() => Some(Self(name)),
            Ok(output) => {
                eprintln!("SKIPPED {test}: no network namespace: {}", String::from_utf8_lossy(&output.stderr).trim());
                None
            }
            Err(error) => {
                eprintln!("SKIPPED {test}: no `ip` command (package iproute2): {error}");
                None
            }
        }
    }

    pub(crate) fn exec(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0, program]);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).stderr(Stdio::null()).status();
    }
}

/// The name of the test function that contains `closure`, as the test binary prints it.
pub(crate) fn test_of<F>(_closure: &F) -> String {
    let path = std::any::type_name::<F>().trim_end_matches("::{{closure}}");
    path.split_once("::").unwrap().1.to_owned()
}

/// Whether this process is the one inside a namespace.
pub(crate) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs `body`, a closure of a test function, inside a new namespace.
pub(crate) fn in_namespace<F: FnOnce()>(body: F) {
    if is_inside() {
        return body();
    }
    let test = test_of(&body);
    let Some(namespace) = Namespace::new(&test) else { return };
    let itself = std::env::current_exe().unwrap();
    let output = namespace
        .exec(itself.to_str().unwrap())
        .args([&test, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, &namespace.0)
        .output()
        .unwrap();
    let (messages, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && messages.contains("1 passed"), "{test}:\n{messages}\n{errors}");
    for line in errors.lines().filter(|line| line.starts_with("SKIPPED")) {
        eprintln!("{line}");
    }
}

pub(crate) fn ip(words: &str) {
    let output = Command::new("ip").args(words.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Creates the link, up at both ends, silent (no IPv6, no ARP).
pub(crate) fn create_link() {
    ip("link add name probe0 type veth peer name probe1");
    for end in ["probe0", "probe1"] {
        let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{end}/disable_ipv6"), "1");
        ip(&format!("link set {end} arp off up"));
    }
}

/// Creates `probe0` here with 192.0.2.1 and `probe1` in the other namespace with 192.0.2.2, so that TCP crosses the link.
pub(crate) fn create_link_to(other: &Namespace) {
    ip("link add name probe0 type veth peer name probe1");
    ip(&format!("link set probe1 netns {}", other.0));
    ip("addr add 192.0.2.1/24 dev probe0");
    ip("link set probe0 up");
    ip(&format!("-n {} addr add 192.0.2.2/24 dev probe1", other.0));
    ip(&format!("-n {} link set probe1 up", other.0));
}

/// The sending end of the link.
pub(crate) struct Sender(pcap::Capture<pcap::Active>);

impl Sender {
    pub(crate) fn on(interface: &str) -> Self {
        Self(pcap::Capture::from_device(interface).unwrap().snaplen(1).open().unwrap())
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        for _ in 0..1000 {
            // A full queue of the interface is no failure.
            if self.0.sendpacket(bytes).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("the frame can't be sent");
    }
}

/// An Ethernet frame of IPv4 and TCP, numbered in its sequence number, with these VLAN tags.
pub(crate) fn frame(number: u32, tags: &[(u16, u16)], port: u16, payload: usize) -> Vec<u8> {
    let mut bytes = vec![0xff; 6];
    bytes.extend([2, 0, 0, 0, 0, 1]);
    for (kind, id) in tags {
        bytes.extend(kind.to_be_bytes());
        bytes.extend(id.to_be_bytes());
    }
    bytes.extend([8, 0]);
    let total = u16::try_from(40 + payload).unwrap().to_be_bytes();
    bytes.extend([0x45, 0, total[0], total[1], 0, 1, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0x9c, 0x40]);
    bytes.extend(port.to_be_bytes());
    bytes.extend(number.to_be_bytes());
    bytes.extend([0, 0, 0, 0, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.resize(bytes.len() + payload, 0x55);
    bytes
}

pub(crate) fn options() -> LiveOptions {
    LiveOptions { ring_mib: 8, ..LiveOptions::new("probe0") }
}

/// Waits for `least` frames, at most a minute, and then until none came for half a second. Returns all of them.
pub(crate) fn receive(source: &mut LiveSource, least: usize) -> Vec<Vec<u8>> {
    let (mut frames, mut block, begun) = (Vec::new(), Block::default(), Instant::now());
    let mut last = begun;
    while last.elapsed() < Duration::from_millis(500) || (frames.len() < least && begun.elapsed().as_secs() < 60) {
        block.clear();
        assert_eq!(source.fill(&mut block).unwrap(), FillStatus::More);
        for at in 0..block.packets.len() {
            let packet = block.packet(at, 0);
            assert!(packet.wire_len as usize >= packet.bytes.len());
            frames.push(packet.bytes.to_vec());
            last = Instant::now();
        }
    }
    frames
}

/// Waits until the counters fulfil the condition, at most a minute.
pub(crate) fn eventually(statistics: &Statistics, what: impl Fn(&LiveCounters) -> bool) -> LiveCounters {
    let begun = Instant::now();
    loop {
        let counters = statistics.read();
        if what(&counters) || begun.elapsed() > Duration::from_secs(60) {
            assert!(what(&counters), "{counters:?}");
            return counters;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A child process that does not outlive the test.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    pub(crate) fn succeed(mut self) {
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
