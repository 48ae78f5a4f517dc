//! Replays capture files through a decoder and a sensor, without threads, and prints the alerts as EVE lines:
//!
//! ```sh
//! cargo run --example replay -- pcaps/nginx-ipv4.pcap
//! ```
//!
//! The order of records, context, suppression and campaigns are the work of `smsentry::app::run`, which the command
//! line calls.

use std::error::Error;
use std::io::{self, Write};
use std::sync::Arc;

use smsentry::capture::block::{Block, BlockSize};
use smsentry::capture::file;
use smsentry::capture::source::{FillStatus, PacketSource};
use smsentry::decode::{self, BlockExtras, Decoder};
use smsentry::flow::EventTime;
use smsentry::format::{Format, InputName, LineContext};
use smsentry::pipeline::clock::Clock;
use smsentry::segment::Segment;
use smsentry::sensor::{self, Sensor};
use smsentry::signature::{CachedMatcher, Signatures};

fn main() -> Result<(), Box<dyn Error>> {
    let signatures = Signatures::builtin().map_err(|errors| format!("{errors:?}"))?;
    let mut matcher = CachedMatcher::new(Arc::new(signatures));
    let paths: Vec<_> = std::env::args_os().skip(1).map(Into::into).collect();
    for input in file::expand(&paths) {
        let input = input?;
        // Random keys where an attacker chooses the traffic.
        let mut decoder = Decoder::new(decode::Options::default(), [1, 2]);
        let mut sensor = Sensor::new(sensor::Options::default(), [3, 4]);
        let mut source = file::open(&input, 0, BlockSize::default(), None)?;
        let (mut block, mut extras, mut clock) = (Block::default(), BlockExtras::default(), Clock::default());
        let (mut number, mut events) = (0, Vec::new());
        loop {
            block.clear();
            extras.clear();
            let status = source.fill(&mut block)?;
            for at in 0..block.packets.len() {
                number += 1;
                let packet = block.packet(at, number);
                let now = clock.tick(packet.time);
                let Ok((head, span)) = decoder.decode(&packet, now, 0, &mut extras) else { continue };
                let bytes = span.reassembled.map_or(packet.bytes, |index| &extras.reassembled[index as usize]);
                let tcp = &bytes[span.start as usize..span.end as usize];
                let encapsulation = &extras.encapsulations[head.encapsulation as usize];
                sensor.feed(&Segment { head: &head, tcp, encapsulation }, &mut matcher, &mut events);
            }
            sensor.advance(clock.now(), &mut matcher, &mut events);
            if status == FillStatus::End {
                break;
            }
        }
        while !sensor.finish(EventTime { clock: clock.now(), number }, &mut matcher, &mut events) {}
        let inputs = vec![InputName::File(input.name.into())];
        let context = LineContext { sensor_name: None, inputs, one_stream: true, redact: false };
        let mut lines = Vec::new();
        let records = events.iter().filter_map(|event| event.record());
        records.for_each(|record| Format::Eve.write(record, &context, &mut lines));
        io::stdout().write_all(&lines)?;
    }
    Ok(())
}
