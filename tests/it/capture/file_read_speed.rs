//! Nanoseconds per packet of the file reader beside libpcap's read loop. Not part of the gate: a time proves nothing on
//! a busy machine.
//!
//! ```sh
//! SMSENTRY_CAPTURE=web-mix.pcap cargo test --release --test it file_read_speed -- --ignored --nocapture
//! ```

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;

use smsentry::capture::block::{Block, BlockSize};
use smsentry::capture::file::{expand, open};
use smsentry::capture::source::{FillStatus, PacketSource};

/// Counts packets and bytes, and reads a byte of each frame, as the decoder does.
fn ours(path: &PathBuf, size: BlockSize) -> (u64, u64) {
    let input = expand(std::slice::from_ref(path)).pop().unwrap().unwrap();
    let mut source = open(&input, 0, size, None).unwrap();
    let (mut block, mut packets, mut sum) = (Block::default(), 0, 0);
    loop {
        block.clear();
        let status = source.fill(&mut block).unwrap();
        for at in 0..block.packets.len() {
            let packet = block.packet(at, 0);
            packets += 1;
            sum += packet.bytes.len() as u64 + u64::from(packet.bytes.first().copied().unwrap_or(0));
        }
        if status == FillStatus::End {
            return (packets, sum);
        }
    }
}

fn libpcap(path: &PathBuf) -> (u64, u64) {
    let mut capture = pcap::Capture::from_file(path).unwrap();
    let (mut packets, mut sum) = (0, 0);
    while let Ok(packet) = capture.next_packet() {
        packets += 1;
        sum += packet.data.len() as u64 + u64::from(packet.data.first().copied().unwrap_or(0));
    }
    (packets, sum)
}

fn median(mut run: impl FnMut() -> (u64, u64)) -> ((u64, u64), f64) {
    let mut times: Vec<f64> = Vec::new();
    let mut result = (0, 0);
    for _ in 0..7 {
        let start = Instant::now();
        result = black_box(run());
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    (result, times[3] * 1e9 / result.0 as f64)
}

#[test]
#[ignore = "a measurement: wants a capture in SMSENTRY_CAPTURE and a quiet machine"]
fn file_reader_is_measured_beside_libpcap() {
    let Some(path) = std::env::var_os("SMSENTRY_CAPTURE").map(PathBuf::from) else {
        println!("skipped: no SMSENTRY_CAPTURE");
        return;
    };
    let normal = BlockSize::default();
    let (found, ns) = median(|| ours(&path, normal));
    println!(
        "file reader: {} packets, {:.0} bytes each, {ns:.1} ns a packet",
        found.0,
        found.1 as f64 / found.0 as f64
    );
    for bytes in [1 << 17, 1 << 18, 1 << 19] {
        let (_, ns) = median(|| ours(&path, BlockSize { bytes, ..normal }));
        println!("  in slabs of {} KiB: {ns:.1} ns a packet", bytes >> 10);
    }
    for packets in [1, 7] {
        let (again, ns) = median(|| ours(&path, BlockSize { packets, ..normal }));
        assert_eq!(again, found);
        println!("  in blocks of {packets}: {ns:.1} ns a packet");
    }
    let Ok(_) = pcap::Capture::from_file(&path) else { return };
    let (theirs, ns) = median(|| libpcap(&path));
    assert_eq!(theirs, found);
    println!("libpcap: {ns:.1} ns a packet");
}
