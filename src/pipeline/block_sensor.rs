//! A decoder, a clock and one shard of the sensor for the use in other programs, on the caller's thread. Records are not
//! ordered, and there are no campaigns; that is the work of [`crate::app::run`].

use std::sync::Arc;

use super::clock::Clock;
use crate::capture::block::Block;
use crate::decode::{self, BlockExtras, Decoder};
use crate::flow::EventTime;
use crate::record::Event;
use crate::segment::Segment;
use crate::sensor::{self, Sensor};
use crate::signature::{CachedMatcher, Signatures};

/// Turns blocks of packets of one capture into events.
#[derive(Debug)]
pub struct BlockSensor {
    decoder: Decoder,
    clock: Clock,
    sensor: Sensor,
    matcher: CachedMatcher,
    extras: BlockExtras,
    /// Number of packets so far.
    number: u64,
}

impl BlockSensor {
    /// Creates a sensor without flows. `keys` are the hash keys of its tables; they must be unpredictable where an attacker
    /// chooses the traffic.
    #[must_use]
    pub fn new(signatures: Arc<Signatures>, options: sensor::Options, keys: [u64; 2]) -> Self {
        Self {
            decoder: Decoder::new(decode::Options::default(), keys),
            clock: Clock::default(),
            sensor: Sensor::new(options, keys),
            matcher: CachedMatcher::new(signatures),
            extras: BlockExtras::default(),
            number: 0,
        }
    }

    /// Processes the packets of a block, which may be empty, and appends the events they decide to `out`. Packets that
    /// are not TCP are skipped and counted.
    pub fn feed(&mut self, block: &Block, out: &mut Vec<Event>) {
        self.extras.clear();
        for at in 0..block.packets.len() {
            self.number += 1;
            let packet = block.packet(at, self.number);
            let now = self.clock.tick(packet.time, || block.packets.get(at + 1).map(|next| next.time));
            let Ok((head, span)) = self.decoder.decode(&packet, now, block.input, &mut self.extras) else { continue };
            let bytes = span.reassembled.map_or(packet.bytes, |index| &self.extras.reassembled[index as usize]);
            let tcp = &bytes[span.start as usize..span.end as usize];
            let encapsulation = &self.extras.encapsulations[head.encapsulation as usize];
            self.sensor.feed(&Segment { head: &head, tcp, encapsulation }, &mut self.matcher, out);
        }
        self.clock.reach(self.clock.ahead(block.elapsed));
        self.sensor.advance(self.clock.now(), &mut self.matcher, out);
    }

    /// Finishes what is open, because the capture ended. The next block begins another capture.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        let at = EventTime { clock: self.clock.now(), number: self.number };
        while !self.sensor.finish(at, &mut self.matcher, out) {}
        self.decoder.clear();
        self.clock = Clock::default();
    }
}
