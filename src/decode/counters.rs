//! Counters of decoding: each frame is counted once by its result, and in addition by its headers.

crate::counters! {
    /// Counters of decoding. `packets` is the sum of `tcp` and of the skip reasons, from `not_ip` to `fragment`.
    pub struct Counters {
        /// Frames.
        packets: "decode.packets",
        /// Bytes of frames on the wire.
        bytes: "decode.bytes",
        /// Segments decoded.
        tcp: "decode.tcp",
        /// Frames without an IP packet.
        not_ip: "decode.not_ip",
        /// IP packets of protocols other than TCP, and tunnels that could not be decoded.
        not_tcp: "decode.not_tcp",
        /// Frames whose headers the capture cut.
        header_cut: "decode.header_cut",
        /// Malformed headers.
        invalid: "decode.invalid",
        /// Frames with too many headers, tags or tunnels.
        too_many_layers: "decode.too_many_layers",
        /// TCP headers that no server accepts: a data offset below 5 or beyond the end.
        tcp_bad_header: "decode.tcp_bad_header",
        /// Frames of a link type that is not decoded.
        unknown_link: "decode.unknown_link",
        /// Frames, or parts of frames, of a link type or an encapsulation that is not decoded; by kind in
        /// `decode.unread.KIND`.
        unread: "decode.unread",
        /// Fragments dropped for a wrong IPv4 header checksum.
        fragment_bad_checksum: "defrag.bad_checksum",
        /// Frames with a fragment that completed no datagram.
        fragment: "decode.fragment",
        /// Frames that the capture cut within the IP packet, whether decoded or skipped.
        truncated: "decode.truncated",
        /// Frames that are recorded as complete and shorter than their packet states.
        trimmed: "decode.trimmed",
        /// IPv4 headers with a wrong checksum. Unfragmented packets are decoded and marked; the meaning depends on the
        /// flow.
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
        /// VXLAN headers, those with a protocol field (VXLAN-GPE) included.
        vxlan: "decode.vxlan",
        /// Geneve headers.
        geneve: "decode.geneve",
        /// TZSP headers.
        tzsp: "decode.tzsp",
        /// L2TP data messages.
        l2tp: "decode.l2tp",
        /// CAPWAP data packets.
        capwap: "decode.capwap",
        /// EtherIP headers.
        etherip: "decode.etherip",
        /// Network service headers.
        nsh: "decode.nsh",
        /// IEEE 802.11 data frames.
        wireless: "decode.wireless",
        /// GTP-U headers.
        gtp: "decode.gtp",
        /// Teredo packets.
        teredo: "decode.teredo",
        /// MPLS label stacks.
        mpls: "decode.mpls",
        /// PPP over Ethernet session headers.
        pppoe: "decode.pppoe",
        /// IP packets within IP packets.
        ipip: "decode.ipip",
        /// Fragments.
        fragments: "defrag.fragments",
        /// Datagrams reassembled.
        reassembled: "defrag.reassembled",
        /// Fragments that repeated bytes already stored; ignored, as in Linux.
        duplicates: "defrag.duplicates",
        /// Fragments that overlapped others.
        overlap: "defrag.overlap",
        /// Overlapping and repeated fragments whose bytes differ from those stored.
        overlap_conflict: "defrag.overlap_conflict",
        /// Fragments whose end is inconsistent with the others, that are empty, whose length is not a multiple of 8 where
        /// it must be, or that lack the headers an IPv6 first fragment must contain.
        fragment_invalid: "defrag.invalid",
        /// Fragments that the capture cut.
        fragment_truncated: "defrag.truncated",
        /// Fragments that extend beyond the maximum length of an IP packet.
        too_large: "defrag.too_large",
        /// Datagrams dropped because of too many fragments.
        too_many_fragments: "defrag.too_many_fragments",
        /// Incomplete datagrams dropped at their timeout.
        timeouts: "defrag.timeouts",
        /// Incomplete datagrams dropped to stay within the limits.
        memcap_drops: "defrag.memcap_drops",
        /// Incomplete datagrams at present.
        active: "defrag.active",
    }
}
