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
use smsentry::format::{Format, InputName, LineContext};
use smsentry::pipeline::block_sensor::BlockSensor;
use smsentry::sensor::Options;
use smsentry::signature::Signatures;

fn main() -> Result<(), Box<dyn Error>> {
    let signatures = Arc::new(Signatures::builtin().map_err(|errors| format!("{errors:?}"))?);
    let paths: Vec<_> = std::env::args_os().skip(1).map(Into::into).collect();
    for input in file::expand(&paths) {
        let input = input?;
        let mut source = file::open(&input, 0, BlockSize::default(), None)?;
        // Random keys where an attacker chooses the traffic.
        let mut sensor = BlockSensor::new(Arc::clone(&signatures), Options::default(), [1, 2]);
        let (mut block, mut events, mut lines) = (Block::default(), Vec::new(), Vec::new());
        while source.fill(&mut block)? == FillStatus::More {
            sensor.feed(&block, &mut events);
            block.clear();
        }
        sensor.feed(&block, &mut events);
        sensor.finish(&mut events);
        let inputs = vec![InputName::File(input.name.into())];
        let context = LineContext { sensor_name: None, inputs, one_stream: true, redact: false };
        let records = events.iter().filter_map(|event| event.record());
        records.for_each(|record| Format::Eve.write(record, &context, &mut lines));
        io::stdout().write_all(&lines)?;
    }
    Ok(())
}
