//! A batch: one block of frames with the segments found in it, listed by lane, and the pool's handle that returns it when
//! the last lane drops it. Does not run anything; see [`super::lane`].

use std::sync::Arc;

use crossbeam_channel::Sender;

use crate::capture::block::Block;
use crate::decode::BlockExtras;
use crate::segment::{Head, Segment};
use crate::signature::Signatures;
use crate::time::Timestamp;

/// A segment of a batch: its decoded head and the position of its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SegmentRef {
    pub(crate) head: Head,
    /// Index of the reassembled datagram that holds the bytes; `None` if they are in the block.
    pub(crate) reassembled: Option<u32>,
    /// Offset of the first byte of the TCP header.
    pub(crate) start: u32,
    /// Offset behind the last byte.
    pub(crate) end: u32,
    pub(crate) shard: u8,
}

/// What the lanes do with a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum BatchKind {
    /// Handle the segments.
    #[default]
    Segments,
    /// Finish everything open, because the input ended.
    Finish,
}

/// A block with its segments, listed by lane.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) sequence: u64,
    pub(crate) kind: BatchKind,
    pub(crate) block: Block,
    pub(crate) extras: BlockExtras,
    /// The segments in capture order, followed by unused elements: they are decoded in place.
    pub(crate) segments: Vec<SegmentRef>,
    /// For each lane the indices of its segments.
    pub(crate) shares: Vec<Vec<u32>>,
    /// The clock at the end of the block.
    pub(crate) clock: Timestamp,
    pub(crate) signatures: Arc<Signatures>,
    /// Whether the lanes report their counters.
    pub(crate) lane_stats: bool,
    /// The packet at which a lane panics: set by tests only.
    pub(crate) panic_at: Option<u64>,
}

impl Batch {
    /// Empties the batch for `lanes` lanes; its memory is kept.
    pub(crate) fn clear(&mut self, lanes: usize) {
        self.block.clear();
        self.extras.clear();
        self.shares.resize_with(lanes, Vec::new);
        for share in &mut self.shares {
            share.clear();
        }
        self.kind = BatchKind::Segments;
        self.lane_stats = false;
    }

    /// Returns the segment with its bytes.
    pub(crate) fn segment<'a>(&'a self, segment: &'a SegmentRef) -> Segment<'a> {
        let bytes = match segment.reassembled {
            Some(index) => &*self.extras.reassembled[index as usize],
            None => &self.block.bytes,
        };
        Segment {
            head: &segment.head,
            tcp: &bytes[segment.start as usize..segment.end as usize],
            encapsulation: &self.extras.encapsulations[segment.head.encapsulation as usize],
        }
    }
}

/// A batch shared by several lanes. Dropping the last reference returns it to the pool, also in a panicking lane.
#[derive(Debug)]
pub(crate) struct SharedBatch {
    batch: Option<Batch>,
    pool: Sender<Batch>,
}

impl SharedBatch {
    pub(crate) fn new(batch: Batch, pool: Sender<Batch>) -> Self {
        Self { batch: Some(batch), pool }
    }

    /// Returns the batch; `None` only while it is being dropped.
    pub(crate) fn get(&self) -> Option<&Batch> {
        self.batch.as_ref()
    }
}

impl Drop for SharedBatch {
    fn drop(&mut self) {
        if let Some(batch) = self.batch.take() {
            // Fails only after the run, when the pool is gone.
            let _ = self.pool.send(batch);
        }
    }
}
