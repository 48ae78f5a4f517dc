//! Compares the file reader with libpcap: what libpcap reads is read the same; what it refuses is listed with our
//! result. Over synthesised captures, 2,000 damaged ones, and the shared collections if present.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pcap::{Capture, Precision};
use smsentry::capture::block::BlockSize;
use smsentry::capture::file::{expand, open};
use smsentry::time::Timestamp;

use crate::support::capture_writer as captures;
use crate::support::capture_writer::{ByteOrder, Pcap, Seeded};

/// What one of the two readers returns for a file.
struct ReadResult {
    /// Seconds and nanoseconds as 32-bit numbers, length on the wire, bytes.
    frames: Vec<(Timestamp, u32, Vec<u8>)>,
    /// Why it stopped before the end.
    error: Option<String>,
}

fn assess(path: &Path) -> ReadResult {
    let mut verdict = ReadResult { frames: Vec::new(), error: None };
    let mut capture = match Capture::from_file_with_precision(path, Precision::Nano) {
        Ok(capture) => capture,
        Err(error) => return ReadResult { error: Some(error.to_string()), ..verdict },
    };
    let classic = capture.version().0 != 1;
    loop {
        match capture.next_packet() {
            Ok(packet) => {
                let header = packet.header;
                assert_eq!(header.caplen as usize, packet.data.len());
                verdict.frames.push((
                    time(classic, header.ts.tv_sec, header.ts.tv_usec),
                    header.len,
                    packet.data.to_vec(),
                ));
            }
            Err(pcap::Error::NoMorePackets) => return verdict,
            Err(error) => return ReadResult { error: Some(error.to_string()), ..verdict },
        }
    }
}

/// libpcap takes the seconds and the fraction of a classic file as signed numbers in one byte order and as unsigned
/// ones in the other; the format's description specifies unsigned, and so does this reader.
fn time(classic: bool, seconds: i64, nanos: i64) -> Timestamp {
    if !classic {
        return Timestamp::from_secs_nanos(seconds, nanos);
    }
    let tick = if nanos.rem_euclid(1000) == 0 { 1000 } else { 1 };
    let fraction = (nanos / tick).rem_euclid(1 << 32) * tick;
    Timestamp::from_secs_nanos(seconds.rem_euclid(1 << 32), fraction)
}

fn ours(path: &Path) -> ReadResult {
    let size = BlockSize::default();
    let input = expand(&[path.to_owned()]).pop().unwrap().unwrap();
    match open(&input, 0, size, None) {
        Err(error) => ReadResult { frames: Vec::new(), error: Some(error.cause) },
        Ok(mut source) => {
            let read = captures::drain(&mut source, size);
            let frames = read.frames.into_iter().map(|frame| (frame.time, frame.wire_len, frame.bytes)).collect();
            ReadResult { frames, error: read.error.map(|error| error.cause) }
        }
    }
}

/// Digits are not part of the kind of a message.
fn kind(error: Option<&String>) -> String {
    let Some(error) = error else { return "reads it".to_owned() };
    let mut kind = String::new();
    for character in error.trim_start_matches("libpcap error: ").chars() {
        match character {
            _ if character.is_ascii_digit() && kind.ends_with('N') => {}
            _ if character.is_ascii_digit() => kind.push('N'),
            _ => kind.push(character),
        }
    }
    kind.split(['"', '[']).next().unwrap_or_default().split(" bytes ").next().unwrap_or_default().to_owned()
}

/// Counts of (libpcap's result, our result).
type Table = BTreeMap<(String, String), (usize, String)>;

/// Compares both readers. A file that libpcap reads to its end must be read the same; of the others, everything that it
/// returned before it stopped.
fn compare(path: &Path, name: &str, table: &mut Table) {
    let (theirs, ours) = (assess(path), ours(path));
    assert!(
        ours.frames.len() >= theirs.frames.len(),
        "{name}: {} of {} frames",
        ours.frames.len(),
        theirs.frames.len()
    );
    for (at, ((time, wire_len, bytes), (our_time, our_wire_len, our_bytes))) in
        theirs.frames.iter().zip(&ours.frames).enumerate()
    {
        assert_eq!(time, our_time, "{name}: time of frame {}", at + 1);
        // Bytes beyond the snapshot length in the header are cut off by libpcap.
        assert!(our_bytes.starts_with(bytes), "{name}: bytes of frame {}", at + 1);
        let beyond = our_bytes.len() - bytes.len();
        assert!(beyond == 0 || snaplen(path) == Some(bytes.len()), "{name}: more bytes in frame {}", at + 1);
        let caplen = u32::try_from(our_bytes.len()).unwrap();
        assert_eq!((*wire_len).max(caplen), *our_wire_len, "{name}: length of frame {}", at + 1);
    }
    if theirs.error.is_none() {
        assert_eq!(theirs.frames.len(), ours.frames.len(), "{name}: frames that libpcap does not have");
        assert_eq!(ours.error, None, "{name}: libpcap reads it to its end");
        return;
    }
    let more = if ours.frames.len() > theirs.frames.len() { ", after more frames" } else { "" };
    let key = (kind(theirs.error.as_ref()), kind(ours.error.as_ref()) + more);
    let entry = table.entry(key).or_insert_with(|| (0, name.to_owned()));
    entry.0 += 1;
}

/// The snapshot length in the header of a pcap file; of Kuznetzov's, with the header of its cooked mode.
fn snaplen(path: &Path) -> Option<usize> {
    let file = std::fs::read(path).unwrap();
    let [a, b, c, d] = *file.get(16..20)? else { return None };
    let little = matches!(file[0], 0xd4 | 0x4d | 0x34);
    let number = if little { u32::from_le_bytes([a, b, c, d]) } else { u32::from_be_bytes([a, b, c, d]) };
    let cooked = file[..4] == [0x34, 0xcd, 0xb2, 0xa1] || file[..4] == [0xa1, 0xb2, 0xcd, 0x34];
    Some(number as usize + if cooked { 14 } else { 0 })
}

fn print(table: &Table, title: &str) {
    println!("{title}: what libpcap refuses | what we answer | files | the first");
    for ((theirs, ours), (count, name)) in table {
        println!("  {theirs} | {ours} | {count} | {name}");
    }
}

/// A small capture of each kind.
fn seeds() -> Vec<(String, Vec<u8>)> {
    let mut frames = captures::frames(11, 40);
    frames.retain(|frame| frame.bytes.len() < 1500);
    let mut seeds = Vec::new();
    for order in [ByteOrder::Little, ByteOrder::Big] {
        for magic in [Pcap::MICRO, Pcap::NANO, Pcap::KUZNETZOV] {
            seeds.push((format!("{magic:x} {order:?}"), Pcap::new(order, magic).write(&frames)));
        }
        for resolution in [6, 9, 0x80 | 20, 3, 12] {
            let mut file = captures::section(order);
            file.extend(captures::block(order, 4, b"names"));
            file.extend(captures::interface(order, 1, 65_535, &[(2, b"eth0"), (9, &[resolution]), (0, b"")]));
            file.extend(captures::interface(order, 1, 65_535, &[(9, &[resolution])]));
            for (at, frame) in frames.iter().enumerate() {
                let ticks = (at as u64 + 1) * 0x1234_5678_9abc;
                match at % 5 {
                    4 => file.extend(captures::obsolete(order, 1, ticks, frame.wire_len, &frame.bytes)),
                    3 => file.extend(captures::simple(order, u32::try_from(frame.bytes.len()).unwrap(), &frame.bytes)),
                    _ => file.extend(captures::enhanced(order, 1, ticks, frame.wire_len, &frame.bytes)),
                }
            }
            file.extend(captures::block(order, 5, &[0; 20]));
            seeds.push((format!("pcapng {resolution:#x} {order:?}"), file));
        }
    }
    seeds
}

/// libpcap corrects the pseudo-headers of these link types in a file of the other byte order (USB, PFLOG, NFLOG, CAN
/// within SLL), or allows larger frames (D-Bus, EBHSCR); the sensor does not, so the files are left out.
const CORRECTED: [u32; 9] = [113, 117, 189, 220, 231, 239, 249, 266, 279];

fn corrected(file: &[u8]) -> bool {
    let number = |at: usize, big: bool| {
        let raw = file.get(at..at + 4).map_or([0; 4], |raw| raw.try_into().unwrap());
        if big { u32::from_be_bytes(raw) } else { u32::from_le_bytes(raw) }
    };
    match file.first() {
        Some(0x0a) => (0..file.len().saturating_sub(12)).any(|at| {
            [false, true].into_iter().any(|big| {
                number(at, big) == 1 && {
                    let word = number(at + 8, big);
                    CORRECTED.contains(&if big { word >> 16 } else { word & 0xffff })
                }
            })
        }),
        first => CORRECTED.contains(&(number(20, first == Some(&0xa1)) & 0x03ff_ffff)),
    }
}

#[test]
fn intact_captures_are_read_as_libpcap_reads_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("capture");
    for (name, file) in seeds() {
        std::fs::write(&path, &file).unwrap();
        let mut table = Table::new();
        compare(&path, &name, &mut table);
        assert!(table.is_empty(), "{name}: {table:?}");
        assert!(assess(&path).frames.len() > 30, "{name}");
    }
}

#[test]
fn damaged_captures_are_read_as_far_as_libpcap_reads_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("capture");
    let (mut seeded, mut table, mut left_out) = (Seeded(2024), Table::new(), 0);
    let seeds = seeds();
    for round in 0..2000 {
        let (name, mut file) = seeds[round % seeds.len()].clone();
        if seeded.below(4) == 0 {
            file.truncate(seeded.below(file.len()));
        }
        for _ in 0..seeded.below(6) {
            // Half of the flips are in the header, where they matter most.
            let reach = if seeded.below(2) == 0 { file.len().min(200) } else { file.len() };
            if reach > 0 {
                let at = seeded.below(reach);
                file[at] ^= 1 << seeded.below(8);
            }
        }
        if corrected(&file) {
            left_out += 1;
            continue;
        }
        std::fs::write(&path, &file).unwrap();
        compare(&path, &format!("{name}, round {round}"), &mut table);
        // The same bytes from a pipe, in blocks of every size.
        drop(captures::read(&file));
    }
    print(&table, "2000 damaged captures");
    assert!(left_out < 100 && table.len() > 10);
}

fn shared(part: &str) -> Option<PathBuf> {
    let root = std::env::var_os("SMSENTRY_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = root.join(part);
    if !path.is_dir() {
        println!("skipped: {} is not here", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn shared_collections_are_read_as_libpcap_reads_them() {
    for part in ["corpus", "evasion"] {
        let Some(directory) = shared(part) else { continue };
        let (mut table, mut files) = (Table::new(), 0);
        for input in expand(&[directory]) {
            let path = input.unwrap().path.unwrap();
            let head = std::fs::read(&path).unwrap();
            if head.first() != Some(&0x0a) && corrected(&head) && head.first() == Some(&0xa1) {
                println!("left out: {}", path.display());
                continue;
            }
            files += 1;
            compare(&path, &path.file_name().unwrap().to_string_lossy(), &mut table);
        }
        print(&table, &format!("{part}, {files} files"));
        assert!(files > 100);
    }
}
