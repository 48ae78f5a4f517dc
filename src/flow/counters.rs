//! Counters of the flow module.

crate::counters! {
    /// Counters of the flow module.
    pub struct Counters {
        /// Flows created.
        flows: "flow.total",
        /// Flows that expired.
        timeouts: "flow.timeout",
        /// Flows without data evicted by a limit.
        evicted_half_open: "flow.evicted_halfopen",
        /// Open flows with data, but without HTTP so far, evicted by a limit.
        evicted_unwanted: "flow.evicted_unwanted",
        /// Closing flows evicted by a limit.
        evicted_closing: "flow.evicted_closing",
        /// Idle flows with an unanswered request evicted by a limit.
        evicted_waiting: "flow.evicted_waiting",
        /// Established flows evicted by a limit.
        evicted_established: "flow.evicted_established",
        /// Flows whose further segments are passed over, because they cannot carry HTTP.
        passed_over: "flow.passed_over",
        /// Flows that were passed over and nevertheless began an HTTP message.
        resumed: "flow.resumed",
        /// Connections that took the addresses of one that was not over.
        reused: "flow.reused",
        /// Segments that belong to no flow and start none (no SYN, no data).
        stray: "flow.stray_segments",
        /// Segments of flows that had ended: late copies, and data behind both FINs.
        belated: "flow.belated_segments",
        /// TIME-WAIT entries removed early by a limit.
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
        /// Segments dropped for a wrong TCP or IPv4 header checksum.
        bad_checksum: "decode.tcp_bad_checksum",
        /// Segments with a wrong checksum that were delivered after all, because the server acknowledged and answered them.
        answered_checksum: "tcp.checksum_answered",
        /// Segments accepted with a wrong checksum, in half streams that never had a correct one (offloaded capture).
        unproven_checksum: "tcp.checksum_unproven",
        /// Segments whose checksum was left to the network card.
        offloaded_checksum: "tcp.checksum_offloaded",
        /// Duplicates made by a SPAN port.
        duplicates: "tcp.span_duplicates",
        /// Segments with flags that no receiver accepts.
        invalid_flags: "tcp.invalid_flags",
        /// Segments with data behind the FIN.
        after_fin: "tcp.data_after_fin",
        /// Segments dropped for an old timestamp (PAWS).
        paws_drops: "tcp.paws_drops",
        /// Segments dropped for a signature that was never agreed on.
        signature_drops: "tcp.signature_drops",
        /// Segments too far from the stream.
        out_of_window: "tcp.out_of_window",
        /// Queued segments that acknowledge bytes that were not seen, or are older than any window.
        doubtful: "tcp.doubtful_acks",
        /// Candidate initial sequence numbers dropped for newer ones.
        candidates_dropped: "tcp.syn_candidates_dropped",
        /// SYN-ACKs that acknowledge no SYN.
        unmatched_syn_ack: "tcp.unmatched_synack",
        /// SYNs whose data the server accepted (TCP Fast Open).
        fast_open: "tcp.fast_open",
        /// Segments with bytes sent before.
        retransmissions: "tcp.retransmissions",
        /// Keep-alive probes.
        keep_alives: "tcp.keep_alives",
        /// Segments that share bytes with queued ones.
        overlap: "tcp.overlap",
        /// Copies of the same bytes that differed.
        overlap_conflict: "tcp.overlap_conflict",
        /// Urgent bytes removed from the stream.
        urgent: "tcp.urgent",
        /// Segments ahead of the stream.
        out_of_order: "tcp.out_of_order",
        /// Segments dropped for a queue limit of their direction.
        segments_dropped: "tcp.segments_dropped",
        /// Segments dropped for the shard's queue memory limit.
        memcap_drops: "tcp.memcap_drops",
        /// Gaps.
        gaps: "tcp.gaps",
        /// Bytes in gaps.
        gap_bytes: "tcp.gap_bytes",
    }
}
