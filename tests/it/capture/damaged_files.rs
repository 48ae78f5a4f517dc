//! Truncated and damaged captures: everything readable is read first, then the file, the packet number, the offset and
//! the cause are reported.

use smsentry::capture::block::BlockSize;
use smsentry::capture::file::FileSource;
use smsentry::packet::Link;

use crate::support::capture_writer as captures;
use crate::support::capture_writer::{ByteOrder, Pcap, Seeded};
use crate::support::cpu_time;

/// Truncates a file at every byte: what is complete before the cut is read, and a cut within a record is reported with
/// the record's offset.
fn cut_everywhere(header: usize, pieces: &[Vec<u8>], is_frame: impl Fn(usize) -> bool) {
    let file = pieces.concat();
    let ends: Vec<usize> = pieces
        .iter()
        .scan(0, |end, piece| {
            *end += piece.len();
            Some(*end)
        })
        .collect();
    for cut in header..=file.len() {
        let whole = ends.iter().take_while(|&&end| end <= cut).count();
        let frames = (0..whole).filter(|&at| is_frame(at)).count();
        let read = captures::read(&file[..cut]).unwrap();
        assert_eq!(read.frames.len(), frames, "cut at {cut}");
        let begins = whole.checked_sub(1).map_or(0, |last| ends[last]);
        match read.error {
            None => assert_eq!(begins, cut, "a cut at {cut} goes unnoticed"),
            Some(error) => {
                assert_eq!((error.frames, error.offset), (frames as u64, Some(begins as u64)), "cut at {cut}");
                assert!(error.to_string().starts_with(&format!("test: after packet {frames}, at offset {begins}: ")));
            }
        }
    }
}

#[test]
fn file_truncated_at_any_byte_is_read_up_to_there() {
    let pcap = Pcap::new(ByteOrder::Big, Pcap::NANO);
    let records = (0..5_u32).map(|at| pcap.record(at, at, 60, &vec![1; 7 * at as usize]));
    let pieces: Vec<Vec<u8>> = std::iter::once(pcap.header()).chain(records).collect();
    cut_everywhere(24, &pieces, |at| at > 0);

    let order = ByteOrder::Big;
    let pieces = [
        captures::section(order),
        captures::interface(order, 1, 0, &[(9, &[9])]),
        captures::enhanced(order, 0, 1, 3, b"abc"),
        captures::block(order, 5, b"statistics"),
        captures::simple(order, 2, b"ab"),
        captures::obsolete(order, 0, 1, 9, b"abcdefghi"),
    ];
    cut_everywhere(12, &pieces, |at| matches!(at, 2 | 4 | 5));
}

#[test]
fn huge_captured_length_is_an_error_after_everything_before_it() {
    let pcap = Pcap::new(ByteOrder::Little, Pcap::MICRO);
    let mut bad = pcap.record(3, 3, 3, b"abc");
    for caplen in [262_145_u32, 0x7fff_ffff, 0xdead_beef, u32::MAX] {
        bad[8..12].copy_from_slice(&caplen.to_le_bytes());
        let file = [pcap.header(), pcap.record(1, 1, 3, b"abc"), pcap.record(2, 2, 3, b"abc"), bad.clone()].concat();
        let read = captures::read(&file).unwrap();
        let error = read.error.unwrap();
        assert_eq!((read.frames.len(), error.frames, error.offset), (2, 2, Some(24 + 2 * 19)));
        assert!(error.cause.contains(&caplen.to_string()), "{error}");
    }
}

#[test]
fn damaged_pcapng_blocks_are_reported() {
    let order = ByteOrder::Little;
    let good = captures::enhanced(order, 0, 1, 3, b"abc");
    let begin = [captures::section(order), captures::interface(order, 1, 0, &[]), good.clone()].concat();
    let change = |at: usize, value: u32| {
        let mut block = good.clone();
        block[at..at + 4].copy_from_slice(&value.to_le_bytes());
        block
    };
    let last = good.len() - 4;
    let cases = [
        (change(4, 0), "0 bytes"),
        (change(4, 37), "37 bytes"),
        (change(last, 32), "36 bytes at its head and 32 at its end"),
        (change(4, u32::MAX - 3), "middle of a record"),
        (captures::block(order, 0x0a0d_0d0a, &[0; 16]), "byte-order magic"),
        (captures::block(order, 0x0a0d_0d0a, &[&order.u32(0x1a2b_3c4d)[..], &[2; 12]].concat()), "version 514.514"),
    ];
    for (block, cause) in cases {
        let read = captures::read(&[begin.clone(), block, good.clone()].concat()).unwrap();
        let error = read.error.unwrap_or_else(|| panic!("{cause}: goes unnoticed"));
        assert_eq!((read.frames.len(), error.offset), (1, Some(begin.len() as u64)), "{cause}");
        assert!(error.cause.contains(cause), "{error}");
    }
    // After a large block that was skipped, too.
    let mut large = captures::block(order, 10, &vec![0; 1 << 20]);
    let size = large.len();
    large[size - 4] ^= 4;
    let read = captures::read(&[begin.clone(), large, good.clone()].concat()).unwrap();
    assert!(read.error.unwrap().cause.contains("at its head"));
    // Packets that cannot be read in blocks that can: they are counted, and the packets after them are read.
    let unusable = |resolution: u8| captures::interface(order, 1, 0, &[(9, &[resolution])]);
    let of_second = captures::enhanced(order, 1, 1, 3, b"abc");
    let cases = [
        (vec![change(8, 1)], "interface 1, which the section does not describe"),
        (vec![change(20, 5)], "a packet of 5 bytes in a block with space for 4"),
        (vec![captures::block(order, 6, &[0; 16])], "too short"),
        (vec![captures::block(order, 3, &[])], "too short"),
        (vec![unusable(20), of_second.clone()], "a packet of interface 1, whose description"),
        (vec![unusable(0xc0), of_second.clone()], "a packet of interface 1, whose description"),
        (vec![captures::block(order, 1, &[0; 4]), of_second], "a packet of interface 1, whose description"),
    ];
    for (blocks, cause) in cases {
        let offset = begin.len() + blocks[..blocks.len() - 1].concat().len();
        let read = captures::read(&[begin.clone(), blocks.concat(), good.clone()].concat()).unwrap();
        assert!(read.error.is_none(), "{cause}: {:?}", read.error);
        assert_eq!(read.numbers, [1, 3], "{cause}");
        let (first, unread) = (read.remarks.first_unread.clone().unwrap(), read.remarks.unread);
        assert_eq!((unread, first.frames, first.offset), (1, 1, Some(offset as u64)), "{cause}");
        assert!(read.remarks.messages("")[0].contains(cause), "{:?}", read.remarks);
    }
    // A truncated option list, and a capture without packets, are not errors.
    let sloppy = [captures::section(order), captures::block(order, 1, &[1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 99, 0])].concat();
    assert!(captures::read(&sloppy).unwrap().error.is_none());
}

/// Merged captures have more interfaces than fit into 16 bits, in which only few differ.
#[test]
fn section_with_very_many_interfaces_is_read() {
    let order = ByteOrder::Big;
    let (wide, narrow) = (captures::interface(order, 1, 0, &[]), captures::interface(order, 101, 96, &[(9, &[9])]));
    let mut file = captures::section(order);
    (0..70_000).for_each(|at| file.extend(if at % 2 == 0 { &wide } else { &narrow }));
    for number in [0, 65_535, 65_536, 69_998, 69_999, 70_000] {
        file.extend(captures::enhanced(order, number, 1_000_000_000, 3, b"abc"));
    }
    // Another section begins with none.
    file.extend([captures::section(order), captures::enhanced(order, 0, 1, 3, b"abc")].concat());
    let read = captures::read(&file).unwrap();
    let seen: Vec<_> = read.frames.iter().map(|frame| (frame.link, frame.time.nanos() / 1_000_000)).collect();
    let (even, odd) = ((Link::Ethernet, 1_000_000), (Link::RawIp, 1000));
    assert_eq!(seen, [even, odd, even, even, odd]);
    assert_eq!((read.numbers, read.remarks.unread), (vec![1, 2, 3, 4, 5], 2));
}

/// The memory for descriptions is limited: packets of further ones are counted.
#[test]
fn packets_of_too_many_different_interfaces_are_counted() {
    let order = ByteOrder::Little;
    let mut file = captures::section(order);
    (0..5000_u32).for_each(|at| file.extend(captures::interface(order, 1, 100 + at, &[])));
    [0, 4095, 4096, 4999].iter().for_each(|&at| file.extend(captures::enhanced(order, at, 1, 3, b"abc")));
    let read = captures::read(&file).unwrap();
    assert_eq!((read.numbers, read.remarks.unread), (vec![1, 2], 2));
    assert!(read.remarks.messages("")[0].contains("interface 4096, whose description"), "{:?}", read.remarks);
}

/// Reading one packet at a time costs time in proportion to the file.
#[test]
fn one_packet_per_block_is_not_quadratic() {
    let pcap = Pcap::new(ByteOrder::Little, Pcap::MICRO);
    let file = [pcap.header(), pcap.record(1, 1, 1, b"a").repeat(200_000)].concat();
    let size = BlockSize { packets: 1, ..BlockSize::default() };
    let before = cpu_time::of_this_thread();
    let read = captures::drain(&mut FileSource::new(&file[..], String::new(), 0, size, None).unwrap(), size);
    let used = cpu_time::of_this_thread() - before;
    assert_eq!((read.frames.len(), read.frames[0].link), (200_000, Link::Ethernet));
    // A reader that moves a slab of 1 MiB for every packet would take minutes.
    assert!(used.as_secs() < 10, "took {used:?}");
}

/// A reader that returns one byte at a time, as a slow pipe does.
struct Trickle<'a>(&'a [u8]);

impl std::io::Read for Trickle<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let count = bytes.len().min(1);
        std::io::Read::read(&mut self.0, &mut bytes[..count])
    }
}

#[test]
fn reader_of_single_bytes_gives_the_same_frames() {
    let frames = captures::frames(9, 40).into_iter().filter(|frame| frame.bytes.len() < 2000).collect::<Vec<_>>();
    let file = Pcap::new(ByteOrder::Big, Pcap::MICRO).write(&frames);
    let source = FileSource::new(Trickle(&file), String::new(), 0, BlockSize::default(), None);
    let read = captures::drain(&mut source.unwrap(), BlockSize::default());
    assert!(read.frames == frames && read.error.is_none());
}

#[test]
fn random_files_never_panic() {
    let mut seeded = Seeded(77);
    let order = ByteOrder::Little;
    for round in 0..3000 {
        let noise = seeded.below(400);
        let begin = match round % 3 {
            0 => Pcap::new(order, Pcap::MICRO).header(),
            1 => [captures::section(order), captures::interface(order, 1, 0, &[])].concat(),
            _ => vec![],
        };
        let noise = seeded.bytes(noise);
        if let Ok(read) = captures::read(&[begin, noise].concat()) {
            assert!(read.frames.len() < 100);
        }
    }
}
