//! The events of a flow, and the trait that receives them. Does not produce them; see [`super::Flows`].

use crate::segment::{FlowKey, Side};
use crate::table::Slot;
use crate::time::Timestamp;

/// A part of one direction's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk<'a> {
    /// In-order bytes.
    Data {
        /// The bytes.
        bytes: &'a [u8],
        /// Stream offset of the first byte: 0 is the byte after the SYN, or the first byte seen.
        offset: u64,
        /// Offset in the other direction's stream that the segment with these bytes acknowledged.
        acked: Option<u64>,
    },
    /// Bytes that were not captured.
    Gap {
        /// Number of missing bytes.
        len: u64,
    },
}

/// The time of an event, and the packet that caused it, unless it was a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventTime {
    /// The clock at the packet, or the deadline that passed.
    pub clock: Timestamp,
    /// The packet's running number; 0 for a deadline.
    pub number: u64,
}

/// State and counts of a flow, without its bytes. Arrays are indexed by [`Side`].
#[derive(Clone, Copy, Debug)]
pub struct FlowStats {
    /// Time of the first packet.
    pub start: Timestamp,
    /// Packets, without the duplicates made by a SPAN port.
    pub packets: [u64; 2],
    /// Bytes on the wire.
    pub bytes: [u64; 2],
    /// The side that opened the connection, if a handshake shows it.
    pub client: Option<Side>,
    /// Whether copies of the same bytes differed.
    pub conflict: bool,
    /// Whether a reset was seen at its direction's position, or a FIN in both directions.
    pub closed: bool,
    /// Whether more was sent than was captured, as far as FINs and acknowledgments show.
    pub missing: [bool; 2],
    /// The side whose first segment, picked up without a handshake, was captured after data that acknowledge it.
    pub late_start: Option<Side>,
    /// Whether both ends sent a SYN of their own, so that the handshake does not identify the client.
    pub(super) simultaneous: bool,
    /// Whether the connection is certainly over: both directions ended, or a reset was exactly at the end of one.
    pub(super) terminated: bool,
}

/// A flow as passed to its listener.
#[derive(Clone, Copy, Debug)]
pub struct FlowView<'a> {
    /// The flow's slot in the table; valid as long as the flow lives.
    pub slot: Slot,
    /// The flow's addresses and ports.
    pub key: &'a FlowKey,
    /// State and counts of the flow.
    pub stats: &'a FlowStats,
    /// The time of the event.
    pub at: EventTime,
}

/// The reason why a flow is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It was idle, or its closing timeout passed.
    Timeout,
    /// Both directions ended in order.
    Ended,
    /// A new connection took its addresses.
    Reused,
    /// A limit was reached.
    Limit,
    /// The input ended or the sensor stops.
    Stop,
}

/// What a listener expects of a flow's further bytes, by what it found in those it was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interest {
    /// It found what it looks for, or may find it.
    #[default]
    High,
    /// It found something else, but cannot exclude the other: such flows are evicted before others.
    Low,
    /// It excludes it: the flow's segments are passed over, until one begins as [`Listener::resumes_at`] says.
    None,
}

/// Receives a flow's events: data, gaps, queued segments, end of stream, close.
pub trait Listener {
    /// State kept for each flow.
    type State: Default;

    /// Handles the next part of one direction.
    fn chunk(&mut self, flow: &FlowView<'_>, state: &mut Self::State, side: Side, chunk: Chunk<'_>);
    /// Called when a segment of one direction is queued, before any event that the segment causes.
    fn waits(&mut self, flow: &FlowView<'_>, state: &mut Self::State, side: Side);
    /// Called when one direction ended in order.
    fn end(&mut self, flow: &FlowView<'_>, state: &mut Self::State, side: Side);
    /// Called when the flow is closed; both directions are at their end.
    fn closed(&mut self, flow: &FlowView<'_>, state: &mut Self::State, reason: Reason);
    /// Returns whether the listener waits for bytes of an idle flow, so that the flow is kept longer.
    fn waits_for_peer(state: &Self::State) -> bool;
    /// Returns the heap memory of a state in bytes.
    fn memory(state: &Self::State) -> usize;
    /// Returns what is expected of a flow's further bytes.
    fn interest(_state: &Self::State) -> Interest {
        Interest::High
    }
    /// Returns whether a segment with this payload ends the passing over of a flow.
    fn resumes_at(_payload: &[u8]) -> bool {
        true
    }
    /// Called for every segment that is passed over, with the length of its payload.
    fn passed_over(&mut self, _key: &FlowKey, _state: &mut Self::State, _len: usize) {}
}
