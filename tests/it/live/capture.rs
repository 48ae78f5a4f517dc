//! Live capture on a virtual link: every frame, its tags, its time; a slow caller; an idle link; the end.

use std::process::Command;
use std::time::{Duration, Instant};

use smsentry::capture::block::{Block, BlockSize};
use smsentry::capture::bpf::Filter;
use smsentry::capture::live::{LiveOptions, LiveSource};
use smsentry::capture::source::{FillStatus, PacketSource};
use smsentry::packet::Link;

use crate::support::live_process::{below, prompt};
use crate::support::virtual_link::{Sender, create_link, eventually, frame, in_namespace, ip, options, receive};

#[test]
fn every_frame_arrives_once_and_in_order() {
    in_namespace(|| {
        create_link();
        for block in [BlockSize::default(), BlockSize { bytes: 4000, packets: 7 }] {
            let mut source = LiveSource::open(LiveOptions { block, ring_mib: 64, ..options() }, 3).unwrap();
            let statistics = source.statistics();
            assert_eq!(source.description().link_type.as_deref(), Some("EN10MB"));
            let sender = std::thread::spawn(|| {
                let mut sender = Sender::on("probe1");
                for number in 0..20_000 {
                    sender.send(&frame(number, &[], 80, (number % 1400) as usize));
                    // The kernel's own queue between the ends of the link holds 1000.
                    if number % 250 == 0 {
                        std::thread::sleep(Duration::from_millis(2));
                    }
                }
            });
            let (mut seen, mut number) = (Block::default(), 0_u32);
            let begun = Instant::now();
            while number < 20_000 {
                assert!(begun.elapsed() < Duration::from_secs(120), "only {number} frames came");
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
fn vlan_tags_are_kept_and_pass_the_filter() {
    in_namespace(|| {
        create_link();
        // On a VLAN interface the tag travels beside the frame, as with hardware.
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
            let received = receive(&mut source, expected.len());
            let summary =
                |frames: &[Vec<u8>]| frames.iter().map(|bytes| format!("{:02x?}", &bytes[12..])).collect::<Vec<_>>();
            assert_eq!(summary(&received), summary(&expected), "{described}");
        }
    });
}

#[test]
fn frames_to_other_hosts_need_promiscuous_mode() {
    in_namespace(|| {
        create_link();
        // A veth pair has no address filter, so a packet socket receives all frames; a bridge passes up only frames for
        // itself and broadcasts, unless it is promiscuous.
        let bridge = Command::new("ip").args(["link", "add", "span0", "type", "bridge"]).output().unwrap();
        if !bridge.status.success() {
            return eprintln!("SKIPPED frames to other hosts: this kernel has no bridge");
        }
        let _ = std::fs::write("/proc/sys/net/ipv6/conf/span0/disable_ipv6", "1");
        ip("link set probe0 master span0");
        ip("link set span0 arp off up");
        std::thread::sleep(Duration::from_millis(200));
        // Not IP (local experimental ethertype), so that the bridge's firewall ignores it.
        let for_all = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 1, 0x88, 0xb5], &[7; 60]].concat();
        let for_another = [&[2, 9, 9, 9, 9, 9], &for_all[6..]].concat();
        for promiscuous in [true, false] {
            let mut source =
                LiveSource::open(LiveOptions { promiscuous, interface: "span0".into(), ..options() }, 0).unwrap();
            assert_eq!(source.description().promiscuous, promiscuous);
            let mut sender = Sender::on("probe1");
            sender.send(&for_another);
            sender.send(&for_all);
            let received = receive(&mut source, if promiscuous { 2 } else { 1 });
            assert!(received.contains(&for_all), "{received:02x?}");
            assert_eq!(received.contains(&for_another), promiscuous, "{received:02x?}");
        }
    });
}

#[test]
fn idle_link_returns_empty_blocks_in_time() {
    in_namespace(|| {
        create_link();
        prompt(|| {
            let (mut block, mut passed, begun) = (Block::default(), Duration::ZERO, Instant::now());
            let (mut source, mut longest) = (LiveSource::open(options(), 0).unwrap(), Duration::ZERO);
            while begun.elapsed() < Duration::from_secs(2) {
                let asked = Instant::now();
                block.clear();
                assert_eq!(source.fill(&mut block).unwrap(), FillStatus::More);
                longest = longest.max(asked.elapsed());
                assert!(block.packets.is_empty());
                passed += block.elapsed;
            }
            let real = begun.elapsed();
            assert!(passed <= real, "{passed:?} of {real:?} were reported");
            let stopped = Instant::now();
            source.stop_handle().stop();
            while source.fill(&mut block).unwrap() != FillStatus::End {}
            below(longest, Duration::from_millis(600), "an empty block")?;
            below(real - passed, Duration::from_millis(500), "time that was not reported")?;
            below(stopped.elapsed(), Duration::from_secs(1), "the end")
        });
    });
}

#[test]
fn frames_sent_before_a_stop_still_arrive() {
    in_namespace(|| {
        create_link();
        for count in [1, 500] {
            let mut source = LiveSource::open(options(), 0).unwrap();
            let mut sender = Sender::on("probe1");
            (0..count).for_each(|number| sender.send(&frame(number, &[], 80, 100)));
            source.stop_handle().stop();
            let (mut block, mut seen) = (Block::default(), 0);
            while source.fill(&mut block).unwrap() != FillStatus::End {
                seen += block.packets.len();
                block.clear();
            }
            assert_eq!(seen, count as usize);
            assert_eq!(source.statistics().read().received, u64::from(count));
        }
    });
}

#[test]
fn slow_caller_loses_frames_to_the_kernel_and_sees_the_count() {
    in_namespace(|| {
        create_link();
        let block = BlockSize { bytes: 50_000, packets: 4096 };
        let mut source = LiveSource::open(LiveOptions { ring_mib: 1, block, ..options() }, 0).unwrap();
        let mut sender = Sender::on("probe1");
        (0..5000).for_each(|number| sender.send(&frame(number, &[], 80, 1400)));
        let counters = eventually(&source.statistics(), |counters| counters.received == 5000);
        assert!(counters.kernel_drops > 1000, "{counters:?}");
        std::thread::sleep(Duration::from_millis(1200));
        let received = receive(&mut source, 5000 - counters.kernel_drops as usize).len() as u64;
        let counters = source.statistics().read();
        assert_eq!(received + counters.kernel_drops, 5000, "{counters:?}");
        assert_eq!((counters.delivered, counters.own_drops), (received, 0));
        // It still works.
        sender.send(&frame(9, &[], 80, 0));
        assert_eq!(receive(&mut source, 1), [frame(9, &[], 80, 0)]);
    });
}

#[test]
fn time_does_not_run_ahead_of_a_slow_caller() {
    in_namespace(|| {
        create_link();
        let block = BlockSize { bytes: 1 << 20, packets: 1 };
        let mut source = LiveSource::open(LiveOptions { block, ..options() }, 0).unwrap();
        let mut sender = Sender::on("probe1");
        let begun = Instant::now();
        // All of these are captured at once, and none is read for a second.
        (0..100).for_each(|number| sender.send(&frame(number, &[], 80, 0)));
        let sent = begun.elapsed();
        std::thread::sleep(Duration::from_secs(1));
        let reading = Instant::now();
        let (mut block, mut passed, mut seen) = (Block::default(), Duration::ZERO, 0);
        while seen < 100 {
            block.clear();
            source.fill(&mut block).unwrap();
            passed += block.elapsed;
            seen += block.packets.len();
        }
        // Without the second in which nothing was read.
        let most = sent + reading.elapsed() + Duration::from_millis(600);
        assert!(passed < most, "{passed:?}, {most:?} allowed");
    });
}

#[test]
fn any_receives_from_every_interface_and_keeps_tags() {
    in_namespace(|| {
        create_link();
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
            let least = if with_filter { 3 } else { 4 };
            while begun.elapsed().as_secs() < if frames.len() < least { 60 } else { 1 } {
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
