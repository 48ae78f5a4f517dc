//! Keeps the client bytes delivered last, so that a retransmission with different content is detected. One ring per
//! shard: bounded, and written with one copy per segment. Does not reassemble the stream; see [`super::half_stream`].

/// Bytes kept. Rationale: a forged retransmission comes soon after the original; 64 KiB a shard hold the client side of
/// some hundred requests.
const BYTES: usize = 64 << 10;
/// Entries kept.
const ENTRIES: usize = 512;
/// Bytes kept of one segment: enough for request heads, not for uploads.
const PER_SEGMENT: usize = 2048;

/// A reference to the newest entry of one direction of one flow: its running number, 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RingRef(u64);

#[derive(Clone, Copy, Debug, Default)]
struct RingEntry {
    number: u64,
    previous: u64,
    /// Stream offset of the first byte.
    start: u64,
    len: usize,
    /// Running position of the first byte in the ring.
    position: u64,
}

/// The ring of a shard.
#[derive(Debug, Default)]
pub(super) struct DeliveredRing {
    /// Empty, as is `entries`, until the first bytes: most shards of a small capture see none.
    bytes: Vec<u8>,
    written: u64,
    entries: Vec<RingEntry>,
    count: u64,
}

impl DeliveredRing {
    /// Adds delivered bytes.
    pub(super) fn push(&mut self, newest: &mut RingRef, start: u64, data: &[u8]) {
        if self.bytes.is_empty() {
            self.bytes = vec![0; BYTES];
            self.entries = vec![RingEntry::default(); ENTRIES];
        }
        let data = &data[..data.len().min(PER_SEGMENT)];
        let at = (self.written % BYTES as u64) as usize;
        let first = data.len().min(BYTES - at);
        self.bytes[at..at + first].copy_from_slice(&data[..first]);
        self.bytes[..data.len() - first].copy_from_slice(&data[first..]);
        self.count += 1;
        let entry =
            RingEntry { number: self.count, previous: newest.0, start, len: data.len(), position: self.written };
        self.entries[(self.count % ENTRIES as u64) as usize] = entry;
        self.written += data.len() as u64;
        *newest = RingRef(self.count);
    }

    /// Returns whether `data`, sent again at stream offset `start`, differs from the bytes in the ring.
    pub(super) fn conflicts(&self, newest: RingRef, start: u64, data: &[u8]) -> bool {
        let end = start + data.len() as u64;
        let mut number = newest.0;
        // Bounded: numbers decrease, and at most ENTRIES of them are still in the ring.
        while number != 0 {
            let entry = self.entries[(number % ENTRIES as u64) as usize];
            if entry.number != number || self.written - entry.position > BYTES as u64 {
                return false;
            }
            let (from, to) = (start.max(entry.start), end.min(entry.start + entry.len as u64));
            if from < to {
                let stored = (from - entry.start)..(to - entry.start);
                let sent = &data[(from - start) as usize..(to - start) as usize];
                if stored.zip(sent).any(|(at, &byte)| self.byte(entry.position + at) != byte) {
                    return true;
                }
            }
            if entry.start <= start {
                return false;
            }
            number = entry.previous;
        }
        false
    }

    fn byte(&self, position: u64) -> u8 {
        self.bytes[(position % BYTES as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conflict_is_found_while_bytes_are_in_the_ring() {
        let mut ring = DeliveredRing::default();
        let (mut one, mut two) = (RingRef::default(), RingRef::default());
        ring.push(&mut one, 0, b"GET /sms/");
        ring.push(&mut two, 0, b"POST /other");
        ring.push(&mut one, 9, b"api/ HTTP/1.1");
        assert!(!ring.conflicts(one, 4, b"/sms/api/"));
        assert!(ring.conflicts(one, 4, b"/img/api/"));
        assert!(ring.conflicts(one, 9, b"env"));
        assert!(!ring.conflicts(two, 0, b"POST"));
        for at in 0..(BYTES as u64 / 1024) {
            ring.push(&mut two, 11 + at * 1024, &[b'x'; 1024]);
        }
        assert!(!ring.conflicts(one, 9, b"env"), "overwritten");
    }
}
