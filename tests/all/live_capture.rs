//! Live capture on a virtual cable in network namespaces of its own: needs root and `ip`, says so where it can't run.
//!
//! Each test runs itself again inside a namespace (`ip netns exec`), so that nothing outside is touched. In there
//! `probe0` is captured and `probe1`, the other end of the cable, sends.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use smsentry::packet::Link;
use smsentry::runtime::block::{Block, BlockSize, Source, Status};
use smsentry::runtime::filter::Filter;
use smsentry::runtime::live::{Counters, LiveError, LiveOptions, LiveSource, Notice, Statistics, list_interfaces};

/// Set inside the namespace.
const INSIDE: &str = "SMSENTRY_TEST_NAMESPACE";

/// A namespace, removed with everything in it when this goes, also by a panic.
struct Namespace(String);

impl Namespace {
    fn new(test: &str) -> Option<Self> {
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

    fn exec(&self, program: &str) -> Command {
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

/// Runs `body` inside a namespace with the cable laid. `name` is the test's own name in this file.
fn in_namespace(name: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let test = format!("{}::{name}", module_path!().split_once("::").unwrap().1);
    let Some(namespace) = Namespace::new(&test) else { return };
    let itself = std::env::current_exe().unwrap();
    let output = namespace
        .exec(itself.to_str().unwrap())
        .args([&test, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, &namespace.0)
        .output()
        .unwrap();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{test}:\n{said}\n{complained}");
    for line in complained.lines().filter(|line| line.starts_with("SKIPPED")) {
        eprintln!("{line}");
    }
}

fn ip(words: &str) {
    let output = Command::new("ip").args(words.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Lays the cable, up at both ends, silent (no IPv6, no ARP).
fn lay_cable() {
    ip("link add name probe0 type veth peer name probe1");
    for end in ["probe0", "probe1"] {
        let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{end}/disable_ipv6"), "1");
        ip(&format!("link set {end} arp off up"));
    }
}

/// An end of the cable that sends.
struct Sender(pcap::Capture<pcap::Active>);

impl Sender {
    fn on(interface: &str) -> Self {
        Self(pcap::Capture::from_device(interface).unwrap().snaplen(1).open().unwrap())
    }

    fn send(&mut self, bytes: &[u8]) {
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
fn frame(number: u32, tags: &[(u16, u16)], port: u16, payload: usize) -> Vec<u8> {
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

fn options() -> LiveOptions {
    LiveOptions { ring_mib: 8, ..LiveOptions::new("probe0") }
}

/// Everything that comes until there was nothing for half a second.
fn receive(source: &mut LiveSource) -> Vec<Vec<u8>> {
    let (mut frames, mut block, mut last) = (Vec::new(), Block::default(), Instant::now());
    while last.elapsed() < Duration::from_millis(500) {
        block.clear();
        assert_eq!(source.fill(&mut block).unwrap(), Status::More);
        for at in 0..block.packets.len() {
            let packet = block.packet(at, 0);
            assert!(packet.wire_len as usize >= packet.bytes.len());
            frames.push(packet.bytes.to_vec());
            last = Instant::now();
        }
    }
    frames
}

/// Waits until the figures say so, at most for three seconds.
fn eventually(statistics: &Statistics, what: impl Fn(&Counters) -> bool) -> Counters {
    let begun = Instant::now();
    loop {
        let counters = statistics.read();
        if what(&counters) || begun.elapsed() > Duration::from_secs(3) {
            assert!(what(&counters), "{counters:?}");
            return counters;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn every_frame_arrives_once_and_in_order() {
    in_namespace("every_frame_arrives_once_and_in_order", || {
        lay_cable();
        for block in [BlockSize::default(), BlockSize { bytes: 4000, packets: 7 }] {
            let mut source = LiveSource::open(LiveOptions { block, ring_mib: 64, ..options() }, 3).unwrap();
            let statistics = source.statistics();
            assert_eq!(source.description().link_type.as_deref(), Some("EN10MB"));
            let sender = std::thread::spawn(|| {
                let mut sender = Sender::on("probe1");
                for number in 0..20_000 {
                    sender.send(&frame(number, &[], 80, (number % 1400) as usize));
                    // The kernel's own queue between the ends of the cable holds 1000.
                    if number % 250 == 0 {
                        std::thread::sleep(Duration::from_millis(2));
                    }
                }
            });
            let (mut seen, mut number) = (Block::default(), 0_u32);
            let begun = Instant::now();
            while number < 20_000 {
                assert!(begun.elapsed() < Duration::from_secs(20), "only {number} frames came");
                seen.clear();
                source.fill(&mut seen).unwrap();
                assert!(seen.packets.len() <= block.packets);
                assert_eq!(seen.input, 3);
                for at in 0..seen.packets.len() {
                    let packet = seen.packet(at, 0);
                    let expected = frame(number, &[], 80, (number % 1400) as usize);
                    assert!(packet.bytes == expected, "frame {number} is another: {:?}", statistics.read());
                    assert_eq!((packet.link, packet.frame), (Link::Ethernet, u64::from(number) + 1));
                    let age = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
                    let apart = age.as_nanos().abs_diff(u128::try_from(packet.time.nanos()).unwrap());
                    assert!(apart < 60_000_000_000, "a time stamp {apart} ns off");
                    number += 1;
                }
            }
            sender.join().unwrap();
            let counters = eventually(&statistics, |counters| counters.received >= 20_000);
            assert_eq!((counters.received, counters.delivered, counters.kernel_drops), (20_000, 20_000, 0));
        }
    });
}

#[test]
fn vlan_tags_are_kept_and_do_not_hide_from_a_filter() {
    in_namespace("vlan_tags_are_kept_and_do_not_hide_from_a_filter", || {
        lay_cable();
        // Through a VLAN's own interface the tag travels beside the frame, as with hardware.
        let words = "link add link probe1 name probe1.42 type vlan id 42";
        let has_vlan = Command::new("ip").args(words.split(' ')).output().is_ok_and(|done| done.status.success());
        if has_vlan {
            let _ = std::fs::write("/proc/sys/net/ipv6/conf/probe1.42/disable_ipv6", "1");
            ip("link set probe1.42 arp off up");
        } else {
            eprintln!("SKIPPED the VLAN interface: this kernel has none");
        }
        let stacks: [&[(u16, u16)]; 5] = [
            &[],
            &[(0x8100, 5)],
            &[(0x88a8, 5), (0x8100, 6)],
            &[(0x8100, 5), (0x8100, 6)],
            &[(0x88a8, 5), (0x8100, 6), (0x8100, 7)],
        ];
        for (filter, ports) in [(None, vec![80, 81]), (Some("tcp port 80"), vec![80])] {
            let filter = filter.map(|text| Filter::new(text).unwrap());
            let mut source = LiveSource::open(LiveOptions { filter, ..options() }, 0).unwrap();
            let mut expected = Vec::new();
            let mut sender = Sender::on("probe1");
            let mut tagging = has_vlan.then(|| Sender::on("probe1.42"));
            for port in [80, 81] {
                for (at, tags) in stacks.into_iter().enumerate() {
                    let number = u32::try_from(at).unwrap();
                    let mut send = |sender: &mut Sender, outer: &[(u16, u16)]| {
                        sender.send(&frame(number, tags, port, 10));
                        let seen = [outer, tags].concat();
                        // The filter looks behind three tags.
                        if ports.contains(&port) && (ports.len() == 2 || seen.len() <= 3) {
                            expected.push(frame(number, &seen, port, 10));
                        }
                    };
                    send(&mut sender, &[]);
                    if let Some(tagging) = &mut tagging {
                        send(tagging, &[(0x8100, 42)]);
                    }
                }
            }
            let described = source.description().to_string();
            let received = receive(&mut source);
            let summary =
                |frames: &[Vec<u8>]| frames.iter().map(|bytes| format!("{:02x?}", &bytes[12..])).collect::<Vec<_>>();
            assert_eq!(summary(&received), summary(&expected), "{described}");
        }
    });
}

#[test]
fn a_stranger_is_heard_only_in_promiscuous_mode() {
    in_namespace("a_stranger_is_heard_only_in_promiscuous_mode", || {
        lay_cable();
        // A cable has no station filter, so a packet socket hears all of it; a bridge hands up only what is meant for
        // it or for everybody, unless it is promiscuous.
        let bridge = Command::new("ip").args(["link", "add", "span0", "type", "bridge"]).output().unwrap();
        if !bridge.status.success() {
            return eprintln!("SKIPPED the stranger: this kernel has no bridge");
        }
        let _ = std::fs::write("/proc/sys/net/ipv6/conf/span0/disable_ipv6", "1");
        ip("link set probe0 master span0");
        ip("link set span0 arp off up");
        std::thread::sleep(Duration::from_millis(200));
        let mut stranger = frame(1, &[], 80, 0);
        stranger[..6].copy_from_slice(&[2, 9, 9, 9, 9, 9]);
        for promiscuous in [true, false] {
            let mut source =
                LiveSource::open(LiveOptions { promiscuous, interface: "span0".into(), ..options() }, 0).unwrap();
            assert_eq!(source.description().promiscuous, promiscuous);
            let mut sender = Sender::on("probe1");
            sender.send(&stranger);
            sender.send(&frame(2, &[], 80, 0));
            let received = receive(&mut source);
            assert_eq!(received.contains(&stranger), promiscuous);
            assert!(received.contains(&frame(2, &[], 80, 0)));
        }
    });
}

#[test]
fn an_idle_link_answers_quickly() {
    in_namespace("an_idle_link_answers_quickly", || {
        lay_cable();
        let (mut block, mut passed, begun) = (Block::default(), Duration::ZERO, Instant::now());
        let mut source = LiveSource::open(options(), 0).unwrap();
        while begun.elapsed() < Duration::from_secs(2) {
            let asked = Instant::now();
            block.clear();
            assert_eq!(source.fill(&mut block).unwrap(), Status::More);
            assert!(asked.elapsed() < Duration::from_millis(350), "{:?}", asked.elapsed());
            assert!(block.packets.is_empty());
            passed += block.elapsed;
        }
        let (real, lag) = (begun.elapsed(), Duration::from_millis(500));
        assert!(passed <= real && passed + lag >= real, "{passed:?} of {real:?} were told");
        let stopped = Instant::now();
        source.stop_handle().stop();
        while source.fill(&mut block).unwrap() != Status::End {}
        assert!(stopped.elapsed() < Duration::from_secs(1), "{:?}", stopped.elapsed());
    });
}

#[test]
fn what_was_sent_before_a_stop_still_arrives() {
    in_namespace("what_was_sent_before_a_stop_still_arrives", || {
        lay_cable();
        for count in [1, 500] {
            let mut source = LiveSource::open(options(), 0).unwrap();
            let mut sender = Sender::on("probe1");
            (0..count).for_each(|number| sender.send(&frame(number, &[], 80, 100)));
            source.stop_handle().stop();
            let (mut block, mut seen) = (Block::default(), 0);
            while source.fill(&mut block).unwrap() != Status::End {
                seen += block.packets.len();
                block.clear();
            }
            assert_eq!(seen, count as usize);
            assert_eq!(source.statistics().read().received, u64::from(count));
        }
    });
}

#[test]
fn a_slow_caller_loses_frames_to_the_kernel_and_is_told_how_many() {
    in_namespace("a_slow_caller_loses_frames_to_the_kernel_and_is_told_how_many", || {
        lay_cable();
        let block = BlockSize { bytes: 50_000, packets: 4096 };
        let mut source = LiveSource::open(LiveOptions { ring_mib: 1, block, ..options() }, 0).unwrap();
        let mut sender = Sender::on("probe1");
        (0..5000).for_each(|number| sender.send(&frame(number, &[], 80, 1400)));
        let counters = eventually(&source.statistics(), |counters| counters.received == 5000);
        assert!(counters.kernel_drops > 1000, "{counters:?}");
        std::thread::sleep(Duration::from_millis(1200));
        let received = receive(&mut source).len() as u64;
        let counters = source.statistics().read();
        assert_eq!(received + counters.kernel_drops, 5000, "{counters:?}");
        assert_eq!((counters.delivered, counters.own_drops), (received, 0));
        // It lives on.
        sender.send(&frame(9, &[], 80, 0));
        assert_eq!(receive(&mut source), [frame(9, &[], 80, 0)]);
    });
}

#[test]
fn time_does_not_run_ahead_of_a_caller_who_lags() {
    in_namespace("time_does_not_run_ahead_of_a_caller_who_lags", || {
        lay_cable();
        let block = BlockSize { bytes: 1 << 20, packets: 1 };
        let mut source = LiveSource::open(LiveOptions { block, ..options() }, 0).unwrap();
        let mut sender = Sender::on("probe1");
        // All of these are captured at once, and none is fetched for a second.
        (0..100).for_each(|number| sender.send(&frame(number, &[], 80, 0)));
        std::thread::sleep(Duration::from_secs(1));
        let (mut block, mut passed, mut seen) = (Block::default(), Duration::ZERO, 0);
        while seen < 100 {
            block.clear();
            source.fill(&mut block).unwrap();
            passed += block.elapsed;
            seen += block.packets.len();
        }
        assert!(passed < Duration::from_millis(600), "{passed:?}");
    });
}

#[test]
fn an_interface_that_goes_down_or_away_is_waited_for() {
    in_namespace("an_interface_that_goes_down_or_away_is_waited_for", || {
        lay_cable();
        let mut source = LiveSource::open(options(), 0).unwrap();
        let statistics = source.statistics();
        let mut told = Vec::new();
        let mut heard = |source: &mut LiveSource, number: u32| {
            Sender::on("probe1").send(&frame(number, &[], 80, 0));
            let frames = receive(source);
            told.extend(source.statistics().take_notices());
            frames == [frame(number, &[], 80, 0)]
        };
        assert!(heard(&mut source, 1));
        for number in 2..4 {
            ip("link set probe0 down");
            let mut block = Block::default();
            let (begun, mut passed) = (Instant::now(), Duration::ZERO);
            while begun.elapsed() < Duration::from_millis(1500) {
                block.clear();
                assert_eq!(source.fill(&mut block).unwrap(), Status::More);
                passed += block.elapsed;
            }
            assert!(passed > Duration::from_millis(700), "time stands still while the interface is down: {passed:?}");
            ip("link set probe0 up");
            std::thread::sleep(Duration::from_secs(1));
            assert!(heard(&mut source, number), "after down and up");
        }
        assert_eq!((statistics.read().outages, statistics.read().reopens), (2, 0));
        ip("link del probe0");
        std::thread::sleep(Duration::from_millis(300));
        lay_cable();
        std::thread::sleep(Duration::from_secs(1));
        assert!(heard(&mut source, 9), "after it was made anew");
        assert_eq!((statistics.read().outages, statistics.read().reopens), (3, 1));
        assert_eq!(statistics.read().delivered, 4);
        assert_eq!(told[..4], [Notice::Down, Notice::Back, Notice::Down, Notice::Back]);
        assert_eq!((told.last(), told.contains(&Notice::Gone)), (Some(&Notice::Back), true), "{told:?}");
        ip("link del probe0");
        std::thread::sleep(Duration::from_millis(300));
        let stopped = Instant::now();
        source.stop_handle().stop();
        while source.fill(&mut Block::default()).unwrap() != Status::End {}
        assert!(stopped.elapsed() < Duration::from_secs(1));
    });
}

#[test]
fn an_interface_that_is_down_at_the_start_is_waited_for() {
    in_namespace("an_interface_that_is_down_at_the_start_is_waited_for", || {
        lay_cable();
        ip("link set probe0 down");
        let mut source = LiveSource::open(options(), 0).unwrap();
        assert_eq!(source.description().link_type, None);
        assert!(receive(&mut source).is_empty());
        assert_eq!(source.statistics().take_notices(), [Notice::Down]);
        ip("link set probe0 up");
        std::thread::sleep(Duration::from_secs(1));
        Sender::on("probe1").send(&frame(1, &[], 80, 0));
        assert_eq!(receive(&mut source).len(), 1);
        assert_eq!(source.statistics().take_notices(), [Notice::Back]);
        drop(source);
    });
}

#[test]
fn any_hears_every_interface_and_keeps_tags() {
    in_namespace("any_hears_every_interface_and_keeps_tags", || {
        lay_cable();
        for filter in [None, Some(Filter::new("dst port 80").unwrap())] {
            let with_filter = filter.is_some();
            let mut source = LiveSource::open(LiveOptions { interface: "any".into(), filter, ..options() }, 0).unwrap();
            assert!(!source.description().promiscuous);
            let mut sender = Sender::on("probe1");
            let tagged = frame(2, &[(0x8100, 5)], 80, 10);
            sender.send(&frame(1, &[], 80, 10));
            sender.send(&tagged);
            sender.send(&frame(3, &[], 81, 10));
            let (mut block, mut frames, begun) = (Block::default(), Vec::new(), Instant::now());
            while begun.elapsed() < Duration::from_secs(1) {
                block.clear();
                source.fill(&mut block).unwrap();
                for at in 0..block.packets.len() {
                    let packet = block.packet(at, 0);
                    assert!(matches!(packet.link, Link::LinuxSll | Link::LinuxSll2), "{:?}", packet.link);
                    frames.push(packet.bytes.to_vec());
                }
            }
            // Each leaves one interface and enters the other.
            let with = |tail: &[u8]| frames.iter().filter(|bytes| bytes.ends_with(tail)).count();
            let plain = frame(1, &[], 80, 10);
            assert_eq!(with(&plain[12..]), 2, "{frames:02x?}");
            assert!(with(&tagged[12..]) >= 1, "{frames:02x?}");
            assert_eq!(with(&frame(3, &[], 81, 10)[14..]) > 0, !with_filter);
        }
    });
}

#[test]
fn merged_segments_are_captured_whole_and_offloads_told() {
    const ROLE: &str = "SMSENTRY_TEST_ROLE";
    let name = "merged_segments_are_captured_whole_and_offloads_told";
    if std::env::var(ROLE).as_deref() == Ok("server") {
        let mut stream = TcpListener::bind("192.0.2.2:8080").unwrap().accept().unwrap().0;
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        return assert_eq!(all.len(), 1 << 20);
    }
    in_namespace(name, || {
        // The other end of the cable in a namespace of its own, so that TCP really crosses it.
        let Some(other) = Namespace::new("other-end") else { return };
        ip("link add name probe0 type veth peer name probe1");
        ip(&format!("link set probe1 netns {}", other.0));
        ip("addr add 192.0.2.1/24 dev probe0");
        ip("link set probe0 up");
        ip(&format!("-n {} addr add 192.0.2.2/24 dev probe1", other.0));
        ip(&format!("-n {} link set probe1 up", other.0));
        let test = format!("{}::{name}", module_path!().split_once("::").unwrap().1);
        for offloads in ["on", "off"] {
            let set = |mut command: Command, interface| {
                let words = ["-K", interface, "gro", offloads, "gso", offloads, "tso", offloads];
                command
                    .args(words)
                    .stderr(Stdio::null())
                    .stdout(Stdio::null())
                    .status()
                    .is_ok_and(|done| done.success())
            };
            if !set(Command::new("ethtool"), "probe0") || !set(other.exec("ethtool"), "probe1") {
                return eprintln!("SKIPPED {name}: no ethtool");
            }
            let mut source = LiveSource::open(options(), 0).unwrap();
            let described = source.description().offloads.first().cloned();
            assert_eq!(described.is_some(), offloads == "on", "{described:?}");
            if let Some(described) = described {
                assert!(described.on.contains(&"gro") && described.on.contains(&"tso"), "{described}");
                assert!(described.to_string().contains("ethtool -K probe0 gro off"), "{described}");
            }
            let itself = std::env::current_exe().unwrap();
            let server = other.exec(itself.to_str().unwrap()).args([&test, "--exact"]).env(ROLE, "server").spawn();
            let server = Process(server.unwrap());
            let mut stream = (0..100).find_map(|_| {
                std::thread::sleep(Duration::from_millis(50));
                TcpStream::connect_timeout(&"192.0.2.2:8080".parse().unwrap(), Duration::from_secs(1)).ok()
            });
            stream.as_mut().unwrap().write_all(&vec![b'x'; 1 << 20]).unwrap();
            drop(stream);
            server.succeed();
            let frames = receive(&mut source);
            // Payload to the server by sequence number, so that a retransmission counts once.
            let mut segments = std::collections::BTreeMap::new();
            for bytes in frames.iter().filter(|bytes| bytes.get(36..38) == Some(&8080_u16.to_be_bytes())) {
                let total = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
                let payload = total.max(bytes.len() - 14) - 20 - usize::from(bytes[46] >> 4) * 4;
                assert_eq!(bytes.len() - 14, total, "cut");
                segments.insert(u32::from_be_bytes(bytes[38..42].try_into().unwrap()), payload);
            }
            let longest = segments.values().max().copied().unwrap_or(0);
            assert_eq!(segments.values().sum::<usize>(), 1 << 20, "the longest of {} is {longest}", segments.len());
            assert_eq!(longest > 1500, offloads == "on", "{longest}");
            assert_eq!(source.statistics().read().kernel_drops, 0);
        }
    });
}

/// A child process that does not outlive the test.
struct Process(Child);

impl Process {
    fn succeed(mut self) {
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn mistakes_are_told_with_the_way_out() {
    in_namespace("mistakes_are_told_with_the_way_out", || {
        lay_cable();
        let open = |options| LiveSource::open(options, 0).map(drop);
        let error = open(LiveOptions::new("probe7")).unwrap_err();
        let message = error.to_string();
        assert!(matches!(error, LiveError::NoSuchInterface { .. }) && message.contains("probe0"), "{message}");
        let names: Vec<_> = list_interfaces().unwrap().into_iter().map(|interface| interface.name).collect();
        assert!(["probe0", "any"].iter().all(|name| names.contains(&(*name).to_owned())), "{names:?}");
        let wrong = Filter::new("wlan type data").unwrap();
        let error = open(LiveOptions { filter: Some(wrong), ..options() }).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        // Without the privilege: the same test binary, its capabilities taken away.
        let itself = std::env::current_exe().unwrap();
        let test = format!("{}::without_the_privilege", module_path!().split_once("::").unwrap().1);
        let drop_it = ["--bounding-set=-net_raw", "--inh-caps=-net_raw", "--"];
        let Ok(output) = Command::new("setpriv").args(drop_it).arg(itself).args([&test, "--exact"]).output() else {
            return eprintln!("SKIPPED the missing privilege: no setpriv");
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    });
}

#[test]
fn without_the_privilege() {
    // Only means something in the child of the test above.
    if std::env::var_os(INSIDE).is_some() {
        let error = LiveSource::open(options(), 0).map(drop).unwrap_err();
        assert_eq!(error, LiveError::NotPermitted { interface: "probe0".into() });
    }
}
