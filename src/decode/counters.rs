//! What decoding counts: every frame once by its fate, and beside it what was in it.

crate::counters! {
    /// What decoding saw. `packets` is the sum of `tcp` and of the reasons to skip, from `not_ip` to `fragment`.
    pub struct Counters {
        /// Frames.
        packets: "decode.packets",
        /// Bytes of frames, on the wire.
        bytes: "decode.bytes",
        /// Segments handed on.
        tcp: "decode.tcp",
        /// Frames without an IP packet.
        not_ip: "decode.not_ip",
        /// IP packets of another protocol than TCP, and tunnels that could not be opened.
        not_tcp: "decode.not_tcp",
        /// Frames whose headers the capture cut.
        header_cut: "decode.header_cut",
        /// Malformed headers.
        invalid: "decode.invalid",
        /// Frames with too many headers, tags or tunnels.
        too_many_layers: "decode.too_many_layers",
        /// TCP headers that no server accepts: a data offset below 5 or behind the end.
        tcp_bad_header: "decode.tcp_bad_header",
        /// Frames of a link type that is not decoded.
        unknown_link: "decode.unknown_link",
        /// Fragments dropped for a wrong IPv4 header checksum.
        fragment_bad_checksum: "defrag.bad_checksum",
        /// Frames that held a fragment and completed nothing.
        fragment: "decode.fragment",
        /// Frames that the capture cut within the IP packet, whether of use or not.
        truncated: "decode.truncated",
        /// IPv4 headers with a wrong checksum. Whole packets are handed on and marked: what it means depends on the flow.
        ip_bad_checksum: "decode.ip_bad_checksum",
        /// Ethernet headers.
        ethernet: "decode.ethernet",
        /// IPv4 headers.
        ipv4: "decode.ipv4",
        /// IPv6 headers.
        ipv6: "decode.ipv6",
        /// UDP headers.
        udp: "decode.udp",
        /// Frames with a VLAN tag.
        vlan: "decode.vlan",
        /// Frames with a second VLAN tag.
        vlan_qinq: "decode.vlan_qinq",
        /// GRE headers.
        gre: "decode.gre",
        /// ERSPAN headers.
        erspan: "decode.erspan",
        /// VXLAN headers.
        vxlan: "decode.vxlan",
        /// Geneve headers.
        geneve: "decode.geneve",
        /// GTP-U headers.
        gtp: "decode.gtp",
        /// Teredo packets.
        teredo: "decode.teredo",
        /// MPLS label stacks.
        mpls: "decode.mpls",
        /// PPP over Ethernet session headers.
        pppoe: "decode.pppoe",
        /// IP packets in IP packets.
        ipip: "decode.ipip",
        /// Fragments.
        fragments: "defrag.fragments",
        /// Datagrams put together.
        reassembled: "defrag.reassembled",
        /// Fragments that repeated bytes already held; ignored, as Linux does.
        duplicates: "defrag.duplicates",
        /// Fragments that overlapped others.
        overlap: "defrag.overlap",
        /// Of the overlapping and repeated fragments, those with other bytes.
        overlap_conflict: "defrag.overlap_conflict",
        /// Fragments whose length or end contradicts the others, or is not a multiple of 8 where it has to be.
        fragment_invalid: "defrag.invalid",
        /// Fragments that the capture cut.
        fragment_truncated: "defrag.truncated",
        /// Fragments that reach beyond the longest IP packet.
        too_large: "defrag.too_large",
        /// Datagrams dropped for having too many fragments.
        too_many_fragments: "defrag.too_many_fragments",
        /// Datagrams dropped incomplete when their time was up.
        timeouts: "defrag.timeouts",
        /// Datagrams dropped incomplete to keep within the bounds.
        memcap_drops: "defrag.memcap_drops",
        /// Datagrams held at this moment.
        active: "defrag.active",
    }
}
