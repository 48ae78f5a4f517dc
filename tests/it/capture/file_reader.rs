//! The file reader returns what was written, in every format, byte order, resolution, compression and block size, and
//! reports in one line what it can't read.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use smsentry::capture::block::{Block, BlockSize};
use smsentry::capture::file::{FileSource, Input, expand, open};
use smsentry::capture::source::{FillStatus, PacketSource};
use smsentry::packet::Link;
use smsentry::time::Timestamp;

use crate::support::capture_writer as captures;
use crate::support::capture_writer::{ByteOrder, Frame, Pcap};
use crate::support::compressors::{self, gzip};

const ORDERS: [ByteOrder; 2] = [ByteOrder::Little, ByteOrder::Big];

#[test]
fn every_classic_format_is_read_as_written() {
    let frames = captures::frames(1, 300);
    for order in ORDERS {
        for magic in [Pcap::MICRO, Pcap::NANO, Pcap::KUZNETZOV] {
            let read = captures::read(&Pcap::new(order, magic).write(&frames)).unwrap();
            assert!(read.frames == frames, "{order:?} {magic:x}");
            assert!(read.error.is_none());
            assert_eq!(read.numbers, (1..=300).collect::<Vec<u64>>());
        }
    }
}

#[test]
fn old_versions_have_swapped_lengths() {
    for (version, swapped) in [((2, 2), true), ((2, 3), true), ((2, 3), false), ((2, 4), false), ((543, 0), true)] {
        let pcap = Pcap { version, ..Pcap::new(ByteOrder::Big, Pcap::MICRO) };
        let mut record = pcap.record(7, 8, 1500, b"abc");
        if swapped {
            record[8..16].rotate_left(4);
        }
        let read = captures::read(&[pcap.header(), record.clone(), record].concat()).unwrap();
        let lengths: Vec<_> = read.frames.iter().map(|frame| (frame.bytes.len(), frame.wire_len)).collect();
        assert_eq!(lengths, [(3, 1500), (3, 1500)], "version {version:?}");
        assert!(read.error.is_none());
    }
    for version in [(1, 9), (2, 5), (3, 0), (543, 1)] {
        let pcap = Pcap { version, ..Pcap::new(ByteOrder::Big, Pcap::MICRO) };
        let error = captures::read(&pcap.header()).err().unwrap().to_string();
        assert!(error.contains(&format!("version {}.{}", version.0, version.1)), "{error}");
    }
}

#[test]
fn wrong_lengths_and_times_are_corrected() {
    let pcap = Pcap { snaplen: 4, linktype: 0x5400_0001, ..Pcap::new(ByteOrder::Little, Pcap::MICRO) };
    let file = [pcap.header(), pcap.record(u32::MAX, u32::MAX, 2, b"abcdef")].concat();
    let read = captures::read(&file).unwrap();
    let time = Timestamp::from_secs_nanos(u32::MAX.into(), i64::from(u32::MAX) * 1000);
    // The length on the wire is at least the captured length, and the FCS bits are not part of the link type. What is
    // there beyond the header's snapshot length is read, and reported.
    assert_eq!(read.frames, [Frame { time, wire_len: 6, link: Link::Ethernet, bytes: b"abcdef".to_vec() }]);
    assert_eq!((read.remarks.beyond_snaplen, read.remarks.first_beyond_snaplen), (1, 1));
    let order = ByteOrder::Big;
    let within = captures::enhanced(order, 0, 1, 9, b"abcd");
    let beyond = captures::enhanced(order, 0, 1, 9, b"abcdef");
    let file = [captures::section(order), captures::interface(order, 1, 4, &[]), within, beyond.clone(), beyond];
    let read = captures::read(&file.concat()).unwrap();
    let lengths: Vec<_> = read.frames.iter().map(|frame| (frame.bytes.len(), frame.wire_len)).collect();
    assert_eq!(lengths, [(4, 9), (6, 9), (6, 9)]);
    assert_eq!((read.remarks.beyond_snaplen, read.remarks.first_beyond_snaplen), (2, 2));
    assert!(
        read.remarks.messages("a")[0].contains("a: 2 packets") && read.remarks.messages("a")[0].ends_with("packet 2")
    );
}

/// One frame of every kind of packet block, on two interfaces, in each byte order, as one file of two sections.
#[test]
fn pcapng_sections_interfaces_and_blocks_are_read() {
    let mut file = Vec::new();
    for (order, linktype) in [(ByteOrder::Little, 113), (ByteOrder::Big, 276)] {
        let offset = match order {
            ByteOrder::Little => 100_i64.to_le_bytes(),
            ByteOrder::Big => 100_i64.to_be_bytes(),
        };
        file.extend(captures::section(order));
        file.extend(captures::block(order, 0x0bad_cafe, b"of unknown type!!"));
        file.extend(captures::interface(order, 1, 0, &[(2, b"eth0"), (9, &[9]), (14, &offset), (0, b"")]));
        file.extend(captures::interface(order, linktype, 5, &[(9, &[0x80 | 10]), (14, &offset)]));
        file.extend(captures::enhanced_with(order, 0, 5_000_000_007, 60, b"abcde", &[0, 1, 0, 0, 0, 0, 0, 0]));
        file.extend(captures::enhanced(order, 1, (3 << 10) + 512, 2, b"xyz"));
        file.extend(captures::obsolete(order, 1, 1 << 10, 9, b"old"));
        file.extend(captures::simple(order, 4, b"bare"));
    }
    let frame = |seconds, nanos, wire_len, link, bytes: &[u8]| Frame {
        time: Timestamp::from_secs_nanos(seconds, nanos),
        wire_len,
        link,
        bytes: bytes.to_vec(),
    };
    let section = |second| {
        [
            frame(105, 7, 60, Link::Ethernet, b"abcde"),
            frame(103, 500_000_000, 3, second, b"xyz"),
            frame(101, 0, 9, second, b"old"),
            frame(100, 0, 4, Link::Ethernet, b"bare"),
        ]
    };
    let read = captures::read(&file).unwrap();
    assert_eq!(read.frames, [section(Link::LinuxSll), section(Link::LinuxSll2)].concat());
    assert_eq!(read.numbers, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert!(read.error.is_none());
}

#[test]
fn every_time_resolution_is_read() {
    let mut file = [captures::section(ByteOrder::Big)].concat();
    let mut expected = Vec::new();
    for exponent in 0..=19_u8 {
        file.extend(captures::interface(ByteOrder::Big, 1, 0, &[(9, &[exponent])]));
        // A second and a half, if the resolution can express it.
        let rate = 10_u64.checked_pow(u32::from(exponent)).unwrap();
        file.extend(captures::enhanced(ByteOrder::Big, u32::from(exponent), rate + rate / 2, 0, b""));
        expected.push(if exponent == 0 { 1_000_000_000 } else { 1_500_000_000 });
    }
    for exponent in 0..=63_u8 {
        file.extend(captures::interface(ByteOrder::Big, 1, 0, &[(9, &[exponent | 0x80])]));
        let rate = 1_u64 << exponent;
        file.extend(captures::enhanced(ByteOrder::Big, 20 + u32::from(exponent), rate + rate / 2, 0, b""));
        expected.push(if exponent == 0 { 1_000_000_000 } else { 1_500_000_000 });
    }
    let read = captures::read(&file).unwrap();
    let times: Vec<i64> = read.frames.iter().map(|frame| frame.time.nanos()).collect();
    assert_eq!(times, expected);
    assert!(read.error.is_none());
}

#[test]
fn simple_packets_are_cut_by_the_snapshot_length() {
    let order = ByteOrder::Little;
    let file =
        [captures::section(order), captures::interface(order, 101, 5, &[]), captures::simple(order, 60, b"abcde")];
    let read = captures::read(&file.concat()).unwrap();
    let frame = Frame { time: Timestamp::ZERO, wire_len: 60, link: Link::RawIp, bytes: b"abcde".to_vec() };
    assert_eq!(read.frames, [frame]);
}

#[test]
fn large_blocks_do_not_grow_the_slab() {
    let order = ByteOrder::Little;
    // As tshark and Wireshark write the secrets of many TLS sessions.
    let large = vec![0xaa; 20 << 20];
    let huge_frame = vec![0xbb; 3 << 20];
    let file = [
        captures::section(order),
        captures::interface(order, 1, 0, &[]),
        captures::block(order, 10, &large),
        captures::enhanced(order, 0, 1, 3, b"abc"),
        captures::enhanced(order, 0, 2, 4 << 20, &huge_frame),
        captures::enhanced_with(order, 0, 3, 3, b"def", &vec![0; 2 << 20]),
        captures::block(order, 10, &large),
        captures::enhanced(order, 0, 4, 3, b"ghi"),
    ]
    .concat();
    let read = captures::read(&file).unwrap();
    let seen: Vec<_> = read.frames.iter().map(|frame| (frame.bytes.len(), frame.wire_len)).collect();
    assert_eq!(seen, [(3, 3), (262_144, 4 << 20), (3, 3), (3, 3)]);
    assert!(read.error.is_none());
    assert!(read.slab <= 2 << 20, "a slab of {} bytes", read.slab);
}

/// A file's input, as given to `-r`.
fn input(path: &Path) -> Input {
    expand(&[path.to_owned()]).pop().unwrap().unwrap()
}

fn save(directory: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = directory.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn compressed_files_in_several_parts_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let frames = captures::frames(2, 2000);
    let plain = Pcap::new(ByteOrder::Little, Pcap::NANO).write(&frames);
    let (first, second) = plain.split_at(plain.len() / 3);
    let skippable = [&[0x53, 0x2a, 0x4d, 0x18, 5, 0, 0, 0][..], b"index"].concat();
    let mut files = vec![("plain.txt".to_owned(), plain.clone())];
    for (name, compress) in compressors::ALL {
        let (first, second) = (compress(first), compress(second));
        // Behind the data, tapes and preallocated files have zeros.
        let padded = [&first[..], &[0; 512], &second, &[0; 100_000]].concat();
        files.push((format!("whole.{name}"), compress(&plain)));
        files.push((format!("members-{name}"), [&first[..], &second].concat()));
        files.push((format!("padded.{name}"), padded));
        if matches!(name, "zst" | "lz4") {
            files.push((
                format!("skippable-{name}"),
                [&skippable[..], &first, &skippable, &second, &skippable].concat(),
            ));
        }
    }
    for (name, bytes) in files {
        let input = input(&save(&directory, &name, &bytes));
        assert_eq!(input.size, Some(bytes.len() as u64));
        for size in captures::sizes() {
            let mut source = open(&input, 3, size, None).unwrap();
            let read = captures::drain(&mut source, size);
            assert!(read.frames == frames, "{name} {size:?}");
            assert!(read.error.is_none(), "{name}: {:?}", read.error);
            assert_eq!((source.bytes_read(), source.remarks().trailing), (bytes.len() as u64, 0), "{name}");
        }
    }
}

#[test]
fn truncated_compressed_file_is_read_up_to_there_and_reported() {
    let directory = tempfile::tempdir().unwrap();
    let frames = captures::frames(3, 4000);
    let plain = Pcap::new(ByteOrder::Little, Pcap::MICRO).write(&frames);
    for (kind, compress) in compressors::ALL {
        let (name, whole) = (&*format!("a.{kind}"), compress(&plain));
        for part in [2, 3, 10] {
            let path = save(&directory, name, &whole[..whole.len() - whole.len() / part]);
            let read =
                captures::drain(&mut open(&input(&path), 0, BlockSize::default(), None).unwrap(), BlockSize::default());
            assert!(frames.starts_with(&read.frames));
            let most = frames.len() - frames.len() * 3 / (2 * part);
            // bzip2 has blocks of 100 kB, of which an incomplete one cannot be decoded.
            let lost = if kind == "bz2" { frames.len() * 100_000 / plain.len() } else { 0 };
            assert!(read.frames.len() + lost > most * 9 / 10, "{name} cut by 1/{part}: {} frames", read.frames.len());
            let error = read.error.unwrap();
            assert_eq!(error.frames, read.frames.len() as u64);
            assert!(error.to_string().contains(name) && error.cause.contains("cut short"), "{error}");
        }
        // Damage in the checksum at the end: all packets are read.
        let mut damaged = whole;
        *damaged.iter_mut().rev().nth(if kind == "gz" { 5 } else { 2 }).unwrap() ^= 1;
        let path = save(&directory, name, &damaged);
        let read =
            captures::drain(&mut open(&input(&path), 0, BlockSize::default(), None).unwrap(), BlockSize::default());
        assert_eq!(read.frames.len(), frames.len());
        let error = read.error.unwrap_or_else(|| panic!("{name}: a wrong checksum goes unnoticed"));
        assert!(error.cause.contains("damaged"), "{error}");
    }
}

/// What follows compressed data and is none is counted; the data are read.
#[test]
fn bytes_behind_compressed_data_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let frames = captures::frames(6, 50);
    let plain = Pcap::new(ByteOrder::Little, Pcap::MICRO).write(&frames);
    let garbage = [7; 70_000];
    for (name, compress) in compressors::ALL {
        for zeros in [0, 1, 3000] {
            let path = save(&directory, name, &[&compress(&plain)[..], &vec![0; zeros], &garbage].concat());
            let mut source = open(&input(&path), 0, BlockSize::default(), None).unwrap();
            let read = captures::drain(&mut source, BlockSize::default());
            assert!(read.frames == frames && read.error.is_none(), "{name}: {:?}", read.error);
            let remarks = source.remarks();
            assert_eq!(remarks.trailing, 70_000, "{name}");
            assert!(remarks.messages(source.name())[0].contains("70000 bytes behind the compressed data"));
        }
    }
}

/// A zstd frame of one raw block (RFC 8878 section 3.1.1), whose window is 2^`log` bytes.
fn zstd_with_window(log: u8, content: &[u8]) -> Vec<u8> {
    let header = u32::try_from(content.len()).unwrap() << 3 | 1;
    [&[0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3][..], &header.to_le_bytes()[..3], content].concat()
}

/// An xz file whose block claims a dictionary of 4 GiB.
fn xz_with_large_dictionary(content: &[u8]) -> Vec<u8> {
    let mut file = compressors::xz(content);
    // Stream header of 12 bytes; block header: size, flags, filter LZMA2 with one byte of properties, padding, CRC.
    let size = (usize::from(file[12]) + 1) * 4;
    let at = file[12..12 + size].windows(2).position(|pair| pair == [0x21, 1]).unwrap() + 14;
    file[at] = 40;
    let mut crc = flate2::Crc::new();
    crc.update(&file[12..12 + size - 4]);
    file[12 + size - 4..12 + size].copy_from_slice(&crc.sum().to_le_bytes());
    file
}

#[test]
fn file_that_takes_too_much_memory_comes_with_a_way_to_read_it() {
    let directory = tempfile::tempdir().unwrap();
    let frames = captures::frames(7, 3);
    let plain = Pcap::new(ByteOrder::Little, Pcap::MICRO).write(&frames);
    // The default of `zstd --long`.
    let path = save(&directory, "long.zst", &zstd_with_window(27, &plain));
    let read = captures::drain(&mut open(&input(&path), 0, BlockSize::default(), None).unwrap(), BlockSize::default());
    assert!(read.frames == frames && read.error.is_none());
    for (name, bytes, remedy) in [
        (
            "long31.zst",
            zstd_with_window(31, &plain),
            "(decompress it in a pipe: zstd -dc --long=31 FILE | smsentry -r -)",
        ),
        ("dict.xz", xz_with_large_dictionary(&plain), "(decompress it in a pipe: xz -dc FILE | smsentry -r -)"),
    ] {
        let path = save(&directory, name, &bytes);
        let error = open(&input(&path), 0, BlockSize::default(), None).err().unwrap().to_string();
        assert!(error.contains("more than 128 MiB") && error.ends_with(remedy), "{error}");
    }
}

/// RFC 1761: numbers in network byte order, records padded to their stated length.
#[test]
fn snoop_files_are_read() {
    let word = u32::to_be_bytes;
    let header = |version: u32, datalink: u32| [&b"snoop\0\0\0"[..], &word(version), &word(datalink)].concat();
    let record = |original: u32, seconds: u32, micros: u32, bytes: &[u8], padding: usize| {
        let included = u32::try_from(bytes.len()).unwrap();
        let size = u32::try_from(24 + bytes.len() + padding).unwrap();
        let words = [original, included, size, 9, seconds, micros].map(word).concat();
        [&words[..], bytes, &vec![0xee; padding]].concat()
    };
    let file = [
        header(2, 4),
        record(60, 1_000_000_000, 7, b"abcdef", 2),
        record(3, 1_000_000_001, 999_999, b"ghi", 1),
        record(1500, u32::MAX, 0, &[5; 1400], 0),
        record(4, 5, 6, b"last", 300),
    ]
    .concat();
    let read = captures::read(&file).unwrap();
    let seen: Vec<_> = read.frames.iter().map(|frame| (frame.wire_len, frame.bytes.len(), frame.link)).collect();
    let ethernet = Link::Ethernet;
    assert_eq!(seen, [(60, 6, ethernet), (3, 3, ethernet), (1500, 1400, ethernet), (4, 4, ethernet)]);
    assert_eq!(read.frames[0].time, Timestamp::from_secs_nanos(1_000_000_000, 7000));
    assert!(read.error.is_none());
    // A cut at any byte is reported, and what is complete before it is read.
    let ends = [16, 48, 76, 1500, 1828];
    for cut in 16..file.len() {
        let read = captures::read(&file[..cut]).unwrap();
        // A frame whose padding is cut is complete.
        assert!(read.frames.len() + 1 >= ends.iter().filter(|&&end| end <= cut).count(), "{cut}");
        assert_eq!(read.error.is_none(), ends.contains(&cut), "{cut}");
    }
    for (bytes, cause) in [
        (header(3, 4), "version 3"),
        (header(2, 5), "datalink type 5"),
        (header(2, 4)[..12].to_vec(), "12 of 16 bytes"),
    ] {
        let error = captures::read(&bytes).err().unwrap().to_string();
        assert!(error.contains(cause), "{error}");
    }
    for (at, value) in [(8, 20_u32), (8, 0x7fff_ffff), (4, 0xffff_fff0)] {
        let mut damaged = file.clone();
        damaged[16 + at..20 + at].copy_from_slice(&word(value));
        let error = captures::read(&damaged).unwrap().error.unwrap();
        assert_eq!(error.offset, Some(16), "{error}");
    }
}

#[test]
fn pipe_delivers_packets_while_the_recorder_still_runs() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let pcap = Pcap::new(ByteOrder::Little, Pcap::MICRO);
    let record = pcap.record(1, 2, 3, b"abc");
    writer.write_all(&pcap.header()).unwrap();
    writer.write_all(&record).unwrap();
    writer.write_all(&record[..9]).unwrap();
    let mut source = FileSource::new(reader, "-".to_owned(), 0, BlockSize::default(), None).unwrap();
    let mut block = Block::default();
    assert_eq!(source.fill(&mut block).unwrap(), FillStatus::More);
    assert_eq!(block.packets.len(), 1);
    let rest = record[9..].to_vec();
    let late = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        writer.write_all(&rest).unwrap();
    });
    let read = captures::drain(&mut source, BlockSize::default());
    late.join().unwrap();
    assert_eq!((read.numbers, read.error.is_none()), (vec![2], true));
}

/// A source may be moved to another thread.
#[test]
fn file_source_is_send() {
    fn sent<T: Send>(_: Option<T>) {}
    sent::<FileSource>(None);
}

#[test]
fn named_pipe_is_an_input() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe");
    if !std::process::Command::new("mkfifo").arg(&path).status().is_ok_and(|status| status.success()) {
        println!("skipped: no mkfifo here");
        return;
    }
    let frames = captures::frames(4, 500);
    let file = gzip(&Pcap::new(ByteOrder::Big, Pcap::NANO).write(&frames));
    let input = input(&path);
    assert_eq!(input.size, None);
    let writer = std::thread::spawn(move || std::fs::write(path, file).unwrap());
    let size = BlockSize::default();
    let read = captures::drain(&mut open(&input, 0, size, None).unwrap(), size);
    writer.join().unwrap();
    assert!(read.frames == frames && read.error.is_none());
}

#[test]
fn filtered_packets_keep_their_numbers() {
    let frames = captures::frames(5, 100);
    let file = Pcap { linktype: 276, ..Pcap::new(ByteOrder::Little, Pcap::MICRO) }.write(&frames);
    for size in captures::sizes() {
        let mut calls = 0_usize;
        let filter = Box::new(move |linktype: u32, wire_len: u32, bytes: &[u8]| {
            assert_eq!(linktype, 276);
            assert!(wire_len as usize >= bytes.len());
            calls += 1;
            if calls > 90 { Err("the filter is broken".to_owned()) } else { Ok(calls.is_multiple_of(3)) }
        });
        let mut source = FileSource::new(&file[..], "a.pcap".to_owned(), 0, size, Some(filter)).unwrap();
        let read = captures::drain(&mut source, size);
        assert_eq!(read.numbers, (1..=30).map(|at| 3 * at).collect::<Vec<u64>>());
        assert_eq!(read.frames[0].bytes, frames[2].bytes);
        assert!(read.error.unwrap().to_string().ends_with("the filter is broken"));
    }
}

#[test]
fn input_that_is_no_capture_is_reported_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let pcap = Pcap::new(ByteOrder::Little, Pcap::MICRO);
    let cases: [(&str, Vec<u8>, &str); 11] = [
        ("empty", vec![], "it is empty"),
        ("text", b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec(), "looks like text: \"GET / HTTP/1.1\""),
        ("crlf", b"\n\r\r\nplain text of four lines".to_vec(), "looks like text"),
        ("bytes", vec![0xff, 0, 1, 2, 3], "begins with the bytes ff 00 01 02 03"),
        ("three", vec![0xd4, 0xc3, 0xb2], "begins with the bytes d4 c3 b2"),
        ("short", pcap.header()[..20].to_vec(), "20 of 24 bytes"),
        ("xz", b"\xfd7zXZ\0\0\0".to_vec(), "the compressed data are cut short"),
        ("navtel", 0xa12b_3c4d_u32.to_le_bytes().to_vec(), "Navtel"),
        ("twice.gz", gzip(&gzip(&pcap.header())), "twice over"),
        ("log.gz", gzip(b"a log"), "decompressed with gzip, it is not a capture, it looks like text: \"a log\""),
        ("broken.zst", b"\x28\xb5\x2f\xfd\xff\xff".to_vec(), "the compressed data are"),
    ];
    for (name, bytes, cause) in cases {
        let path = save(&directory, name, &bytes);
        let error = open(&input(&path), 0, BlockSize::default(), None).err().unwrap().to_string();
        assert!(error.starts_with(&format!("{}: ", path.display())), "{error}");
        assert!(error.contains(cause), "{name}: {error}");
        assert!(error.ends_with(')') && !error.contains('\n'), "no way out in one line: {error}");
    }
    let gone = Input { name: "gone".to_owned(), path: Some(directory.path().join("gone")), size: None };
    assert!(open(&gone, 0, BlockSize::default(), None).err().unwrap().to_string().contains("no such file"));
    let inside = Input { name: "inside".to_owned(), path: Some(directory.path().to_owned()), size: None };
    assert!(open(&inside, 0, BlockSize::default(), None).err().unwrap().to_string().contains("is a directory"));
}
