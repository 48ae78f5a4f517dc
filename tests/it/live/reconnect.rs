//! An interface that goes down or disappears during a live capture.

use std::time::{Duration, Instant};

use smsentry::capture::block::Block;
use smsentry::capture::live::{InterfaceEvent, LiveSource};
use smsentry::capture::source::{FillStatus, PacketSource};

use crate::support::live_process::{below, prompt};
use crate::support::virtual_link::{Sender, create_link, frame, in_namespace, ip, options, receive};

/// How long an interface that returned may take to capture again, and a stop to take effect.
const PROMPT: Duration = Duration::from_secs(1);

/// Reads an idle interface until an event is reported, at most a minute; adds all events to `reported`. Returns the time
/// that took.
fn wait_for(source: &mut LiveSource, event: InterfaceEvent, reported: &mut Vec<InterfaceEvent>) -> Duration {
    let (begun, mut block, before) = (Instant::now(), Block::default(), reported.len());
    while !reported[before..].contains(&event) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{event:?} is not in {reported:?}");
        block.clear();
        assert_eq!(source.fill(&mut block).unwrap(), FillStatus::More);
        assert!(block.packets.is_empty());
        reported.extend(source.statistics().take_events());
    }
    begun.elapsed()
}

#[test]
fn interface_that_goes_down_or_away_is_waited_for() {
    in_namespace(|| prompt(down_and_away));
}

fn down_and_away() -> Result<(), String> {
    create_link();
    let mut source = LiveSource::open(options(), 0).unwrap();
    let statistics = source.statistics();
    let mut reported = Vec::new();
    let mut returns = Vec::new();
    let receives = |source: &mut LiveSource, number: u32| {
        Sender::on("probe1").send(&frame(number, &[], 80, 0));
        receive(source, 1) == [frame(number, &[], 80, 0)]
    };
    assert!(receives(&mut source, 1));
    for number in 2..4 {
        ip("link set probe0 down");
        let mut block = Block::default();
        let (begun, mut passed) = (Instant::now(), Duration::ZERO);
        while begun.elapsed() < Duration::from_millis(1500) {
            block.clear();
            assert_eq!(source.fill(&mut block).unwrap(), FillStatus::More);
            passed += block.elapsed;
        }
        assert!(passed > Duration::from_millis(700), "time stops while the interface is down: {passed:?}");
        ip("link set probe0 up");
        returns.push(wait_for(&mut source, InterfaceEvent::Back, &mut reported));
        assert!(receives(&mut source, number), "after down and up");
    }
    assert_eq!((statistics.read().outages, statistics.read().reopens), (2, 0));
    ip("link del probe0");
    wait_for(&mut source, InterfaceEvent::Gone, &mut reported);
    create_link();
    returns.push(wait_for(&mut source, InterfaceEvent::Back, &mut reported));
    assert!(receives(&mut source, 9), "after it was made anew");
    assert_eq!((statistics.read().outages, statistics.read().reopens), (3, 1));
    assert_eq!(statistics.read().delivered, 4);
    assert_eq!(reported[..4], [InterfaceEvent::Down, InterfaceEvent::Back, InterfaceEvent::Down, InterfaceEvent::Back]);
    assert_eq!(
        (reported.last(), reported.contains(&InterfaceEvent::Gone)),
        (Some(&InterfaceEvent::Back), true),
        "{reported:?}"
    );
    ip("link del probe0");
    wait_for(&mut source, InterfaceEvent::Gone, &mut reported);
    let stopped = Instant::now();
    source.stop_handle().stop();
    while source.fill(&mut Block::default()).unwrap() != FillStatus::End {}
    below(stopped.elapsed(), PROMPT, "the end")?;
    returns.into_iter().try_for_each(|time| below(time, PROMPT, "the return"))
}

#[test]
fn interface_that_is_down_at_the_start_is_waited_for() {
    in_namespace(|| {
        prompt(|| {
            create_link();
            ip("link set probe0 down");
            let mut source = LiveSource::open(options(), 0).unwrap();
            assert_eq!(source.description().link_type, None);
            assert!(receive(&mut source, 0).is_empty());
            let mut reported = Vec::new();
            wait_for(&mut source, InterfaceEvent::Down, &mut reported);
            ip("link set probe0 up");
            let back = wait_for(&mut source, InterfaceEvent::Back, &mut reported);
            Sender::on("probe1").send(&frame(1, &[], 80, 0));
            assert_eq!(receive(&mut source, 1).len(), 1);
            reported.extend(source.statistics().take_events());
            assert_eq!(reported, [InterfaceEvent::Down, InterfaceEvent::Back]);
            drop(source);
            ip("link del probe0");
            below(back, PROMPT, "the return")
        });
    });
}
