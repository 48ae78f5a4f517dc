//! What the flow room counts.

crate::counters! {
    /// What this room counts.
    pub struct Counters {
        /// Flows created.
        flows: "flow.total",
        /// Flows that expired.
        timeouts: "flow.timeout",
        /// Half-open flows given up for room.
        evicted_half_open: "flow.evicted_halfopen",
        /// Closing flows given up for room.
        evicted_closing: "flow.evicted_closing",
        /// Established flows given up for room.
        evicted_established: "flow.evicted_established",
        /// Connections that took the addresses of one that was not over.
        reused: "flow.reused",
        /// Segments of no flow that start none (no SYN, no data).
        stray: "flow.stray_segments",
        /// Segments of flows that had ended: late copies, and data behind both FINs.
        belated: "flow.belated_segments",
        /// Ended flows forgotten before their time, for room.
        ended_forgotten: "flow.ended_forgotten",
        /// SYN segments.
        syn: "tcp.syn",
        /// SYN-ACK segments.
        syn_ack: "tcp.synack",
        /// RST segments.
        rst: "tcp.rst",
        /// Handshakes completed.
        sessions: "tcp.sessions",
        /// Flows picked up without their beginning.
        midstream: "tcp.midstream_pickups",
        /// Segments dropped for a wrong TCP checksum.
        bad_checksum: "decode.tcp_bad_checksum",
        /// Wrong checksums in half-flows that never had a right one (offloaded capture).
        unproven_checksum: "tcp.checksum_unproven",
        /// Checksums left to the network card.
        offloaded_checksum: "tcp.checksum_offloaded",
        /// Copies made by a SPAN port.
        duplicates: "tcp.span_duplicates",
        /// Segments with flags that no receiver accepts.
        invalid_flags: "tcp.invalid_flags",
        /// Segments with data behind the FIN.
        after_fin: "tcp.data_after_fin",
        /// Segments with an old timestamp (PAWS).
        paws_drops: "tcp.paws_drops",
        /// Segments with a signature that was never agreed on.
        signature_drops: "tcp.signature_drops",
        /// Segments too far from the stream.
        out_of_window: "tcp.out_of_window",
        /// Segments that acknowledge what nobody was seen to send.
        doubtful: "tcp.doubtful_acks",
        /// Initial sequence numbers forgotten for newer ones.
        candidates_dropped: "tcp.syn_candidates_dropped",
        /// SYN-ACKs that answer no SYN.
        unmatched_syn_ack: "tcp.unmatched_synack",
        /// Data of a SYN that the server took (TCP Fast Open).
        fast_open: "tcp.fast_open",
        /// Segments with bytes sent before.
        retransmissions: "tcp.retransmissions",
        /// Keep-alive probes.
        keep_alives: "tcp.keep_alives",
        /// Segments that share bytes with waiting ones.
        overlap: "tcp.overlap",
        /// Copies of the same bytes that disagreed.
        overlap_conflict: "tcp.overlap_conflict",
        /// Urgent bytes taken out of the stream.
        urgent: "tcp.urgent",
        /// Segments that came before their turn.
        out_of_order: "tcp.out_of_order",
        /// Waiting segments dropped for a limit of their direction.
        segments_dropped: "tcp.segments_dropped",
        /// Waiting segments dropped for the limit of all.
        memcap_drops: "tcp.memcap_drops",
        /// Gaps.
        gaps: "tcp.gaps",
        /// Bytes in gaps.
        gap_bytes: "tcp.gap_bytes",
    }
}
