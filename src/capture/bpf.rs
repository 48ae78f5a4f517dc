//! Capture filters: a user's BPF expression, widened so that it also matches VLAN-tagged traffic, compiled per link
//! type and run on frames. libpcap compiles and runs it (pcap-filter(7)).

use crate::capture::libpcap_ffi;

/// A user's filter expression with its compiled programs, one per link type seen.
pub struct Filter {
    expression: String,
    programs: Vec<(u32, Result<Program, FilterError>)>,
}

/// An expression that was compiled for one link type.
struct Program {
    effective: String,
    code: pcap::BpfProgram,
    /// Removes VLAN tags from a frame where `vlan` cannot be compiled.
    untag: Option<Untag>,
}

/// Error of an expression that cannot be used. Displays as one line with the expression, the cause and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// The expression as the user wrote it.
    pub expression: String,
    /// libpcap's message.
    pub cause: String,
}

impl std::fmt::Display for FilterError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { expression, cause } = self;
        write!(out, "filter '{}': {cause} (the syntax is that of tcpdump: man 7 pcap-filter)", one_line(expression))
    }
}

impl std::error::Error for FilterError {}

impl FilterError {
    fn new(expression: &str, cause: &str) -> Self {
        Self { expression: expression.to_owned(), cause: cause.to_owned() }
    }
}

/// DLT_EN10MB.
const ETHERNET: u32 = 1;

/// Link types to try besides Ethernet before an expression is rejected: some keywords are valid for only one of them.
/// Raw IP, Linux cooked 1 and 2, BSD loopback, 802.11, 802.11 with radiotap.
const OTHER_LINK_TYPES: [u32; 6] = [101, 113, 276, 0, 105, 127];

impl Filter {
    /// Checks `expression`, which must not be empty.
    ///
    /// # Errors
    /// When libpcap compiles it for none of the usual link types; the message is that for Ethernet.
    pub fn new(expression: &str) -> Result<Self, FilterError> {
        if expression.trim().is_empty() {
            return Err(FilterError::new(expression, "the expression is empty"));
        }
        let try_link = |link_number| Ok((link_number, Ok(compile(expression, link_number)?)));
        let program = try_link(ETHERNET).or_else(|error: FilterError| {
            OTHER_LINK_TYPES.into_iter().find_map(|link_number| try_link(link_number).ok()).ok_or(error)
        })?;
        Ok(Self { expression: expression.to_owned(), programs: vec![program] })
    }

    /// Returns the expression as the user wrote it.
    #[must_use]
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// Returns the expression that is compiled for a link type: the user's, widened for VLAN tags where possible.
    ///
    /// # Errors
    /// When it cannot be compiled for this link type.
    pub fn effective(&mut self, link_number: u32) -> Result<&str, FilterError> {
        Ok(&self.program(link_number)?.effective)
    }

    /// Returns whether a frame passes. `link_number` is the number in the capture file (LINKTYPE) or from libpcap
    /// (DLT), `wire_len` the frame's length on the wire (compared by `len`, `greater` and `less`), `bytes` the captured
    /// bytes.
    ///
    /// # Errors
    /// When the expression cannot be compiled for this link type (such as `ether host` on raw IP); the same each time.
    pub fn matches(&mut self, link_number: u32, wire_len: u32, bytes: &[u8]) -> Result<bool, FilterError> {
        // libpcap compares the address family of BSD loopback in this host's byte order. No family is above 255, so a
        // record from a host of the other byte order is recognisable, and has the format of DLT_LOOP.
        let swapped = link_number == 0 && cfg!(target_endian = "little") && bytes.starts_with(&[0, 0]);
        let program = self.program(if swapped { 108 } else { link_number })?;
        if libpcap_ffi::filter_accepts(&program.code, wire_len, bytes) {
            return Ok(true);
        }
        Ok(program.untag.is_some_and(|untag| untag.any_layer(wire_len, bytes, &program.code)))
    }

    /// Returns the program for a link type, compiled at the first call.
    fn program(&mut self, link_number: u32) -> Result<&Program, FilterError> {
        let at = match self.programs.iter().position(|(number, _)| *number == link_number) {
            Some(at) => at,
            None => {
                self.programs.push((link_number, compile(&self.expression, link_number)));
                self.programs.len() - 1
            }
        };
        self.programs[at].1.as_ref().map_err(Clone::clone)
    }
}

impl Clone for Filter {
    /// The copy compiles again: libpcap's programs cannot be copied.
    fn clone(&self) -> Self {
        Self { expression: self.expression.clone(), programs: Vec::new() }
    }
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Filter").field("expression", &self.expression).finish_non_exhaustive()
    }
}

/// Widens an expression so that it also matches behind one, two or three VLAN tags. An expression that contains `vlan`
/// is returned unchanged.
///
/// Rationale: `tcp port 80` is false for a tagged frame, whose type field is that of VLAN, and `vlan` moves the offsets
/// of everything after it; so the expression is repeated inside, one level per tag.
#[must_use]
pub fn with_vlan(expression: &str) -> String {
    if contains_vlan(expression) {
        return expression.to_owned();
    }
    let bare = expression.trim();
    // Brackets, because `vlan and a or b` is `(vlan and a) or b`.
    let bare = if bare.bytes().all(|byte| byte.is_ascii_alphanumeric()) { bare.into() } else { format!("({bare})") };
    format!("{bare} or (vlan and ({bare} or (vlan and ({bare} or (vlan and {bare})))))")
}

/// Returns whether `vlan` is a word of the expression (not a part of a host's name).
fn contains_vlan(expression: &str) -> bool {
    expression.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))).any(|word| word == "vlan")
}

/// Compiles an expression for one link type: widened if that is possible there, else unchanged. The error is libpcap's
/// message for the unchanged expression.
fn compile(expression: &str, link_number: u32) -> Result<Program, FilterError> {
    // First unchanged: `tcp) or (udp` is invalid, but valid inside the brackets of the widened expression.
    let code = compile_unchanged(expression, link_number)?;
    let widened = with_vlan(expression);
    // `vlan` is unknown on some link types (raw IP, cooked) and not allowed after `mpls`.
    if let Ok(code) = compile_unchanged(&widened, link_number) {
        return Ok(Program { effective: widened, code, untag: None });
    }
    Ok(Program { effective: expression.to_owned(), code, untag: Untag::of(link_number) })
}

fn compile_unchanged(expression: &str, link_number: u32) -> Result<pcap::BpfProgram, FilterError> {
    let number = i32::try_from(dlt(link_number))
        .map_err(|_| FilterError::new(expression, &format!("link type {link_number} is unknown")))?;
    let refuse = |error: pcap::Error| FilterError::new(expression, &cause(&error));
    pcap::Capture::dead(pcap::Linktype(number)).and_then(|handle| handle.compile(expression, true)).map_err(refuse)
}

/// Returns libpcap's internal number (DLT) for a number in a capture file (LINKTYPE). They differ where systems
/// disagreed on the DLT before LINKTYPEs were introduced (pcap-common.c); RAW is the common case.
const fn dlt(link_number: u32) -> u32 {
    match link_number {
        100 => 11,
        101 | 14 => 12,
        102 => 15,
        103 => 16,
        106 => 19,
        other => other,
    }
}

/// Returns libpcap's message alone, in one line.
pub(crate) fn cause(error: &pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(text) => one_line(text.strip_prefix("can't parse filter expression: ").unwrap_or(text)),
        other => one_line(&other.to_string()),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Removes VLAN tags from a Linux cooked frame, for which libpcap has no `vlan`, so that the expression applies to the
/// rest.
#[derive(Clone, Copy, Debug)]
enum Untag {
    /// The type at offset 14, the payload at 16.
    Sll,
    /// The type at offset 0, the payload at 20.
    Sll2,
}

/// As many tags as in the widened expression.
const MAX_TAGS: usize = 3;

impl Untag {
    fn of(link_number: u32) -> Option<Self> {
        match link_number {
            113 => Some(Self::Sll),
            276 => Some(Self::Sll2),
            _ => None,
        }
    }

    /// Returns whether `code` accepts the frame without its first tag, its first two, or three.
    fn any_layer(self, wire_len: u32, bytes: &[u8], code: &pcap::BpfProgram) -> bool {
        let (kind_at, payload_at) = match self {
            Self::Sll => (14, 16),
            Self::Sll2 => (0, 20),
        };
        let mut copy = Vec::new();
        for tags in 1..=MAX_TAGS {
            let frame = if tags == 1 { bytes } else { &copy[..] };
            let Some(&[high, low]) = frame.get(kind_at..kind_at + 2) else { return false };
            let Some(&[_, _, inner_high, inner_low]) = frame.get(payload_at..payload_at + 4) else { return false };
            if !matches!((high, low), (0x81 | 0x91, 0x00) | (0x88, 0xa8)) {
                return false;
            }
            let mut untagged = frame.to_vec();
            untagged.drain(payload_at..payload_at + 4);
            untagged[kind_at..kind_at + 2].copy_from_slice(&[inner_high, inner_low]);
            copy = untagged;
            let shorter = wire_len.saturating_sub(4 * u32::try_from(tags).unwrap_or(0));
            if libpcap_ffi::filter_accepts(code, shorter, &copy) {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An Ethernet frame with these tags (type, id) before an IPv4 TCP segment to `port`.
    fn frame(tags: &[(u16, u16)], port: u16) -> Vec<u8> {
        let mut bytes = vec![2; 12];
        for (kind, id) in tags {
            bytes.extend([kind.to_be_bytes(), id.to_be_bytes()].concat());
        }
        bytes.extend([8, 0]);
        bytes.extend(ip(port));
        bytes
    }

    fn ip(port: u16) -> Vec<u8> {
        let mut bytes = vec![0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0x9c, 0x40];
        bytes.extend(port.to_be_bytes());
        bytes.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0]);
        bytes
    }

    fn matches(expression: &str, link: u32, bytes: &[u8]) -> bool {
        Filter::new(expression).unwrap().matches(link, u32::try_from(bytes.len()).unwrap(), bytes).unwrap()
    }

    #[test]
    fn expression_matches_behind_up_to_three_tags() {
        let tags = [(0x88a8, 7), (0x8100, 8), (0x8100, 9)];
        for expression in ["tcp port 80", "tcp port 81 or port 80", "tcp[2:2]=80||udp", "port 80 and host 192.0.2.1"] {
            for depth in 0..=3 {
                assert!(matches(expression, 1, &frame(&tags[..depth], 80)), "{expression} behind {depth} tags");
                assert!(!matches(expression, 1, &frame(&tags[..depth], 8080)), "{expression} behind {depth} tags");
            }
        }
    }

    #[test]
    fn expression_with_vlan_is_unchanged() {
        assert_eq!(with_vlan("vlan 7 and tcp"), "vlan 7 and tcp");
        assert_eq!(with_vlan("(vlan)"), "(vlan)");
        assert!(with_vlan("host vlan-gw.example").starts_with("(host vlan-gw.example) or (vlan and"));
        assert!(!matches("vlan 7 and tcp port 80", 1, &frame(&[], 80)));
        assert!(matches("vlan 7 and tcp port 80", 1, &frame(&[(0x8100, 7)], 80)));
    }

    #[test]
    fn expression_is_unchanged_for_link_types_without_vlan() {
        assert!(matches("tcp port 80", 101, &ip(80)));
        assert!(matches("tcp port 80", 12, &ip(80)));
        assert!(!matches("tcp port 80", 101, &ip(81)));
        for family in [[2, 0, 0, 0], [0, 0, 0, 2]] {
            assert!(matches("tcp port 80", 0, &[&family[..], &ip(80)].concat()), "BSD loopback of either byte order");
        }
        assert!(matches("tcp port 80", 108, &[&[0, 0, 0, 2][..], &ip(80)].concat()));
        let mut filter = Filter::new("tcp port 80").unwrap();
        assert_eq!(filter.effective(101).unwrap(), "tcp port 80");
    }

    #[test]
    fn tagged_cooked_frames_match() {
        for tags in 0..=3_usize {
            let chain: Vec<u8> = (0..tags).flat_map(|at| [0, 7, if at + 1 == tags { 8 } else { 0x81 }, 0]).collect();
            let outer: &[u8] = if tags == 0 { &[8, 0] } else { &[0x81, 0] };
            let sll = [&[0; 14], outer, &chain[..], &ip(80)].concat();
            let sll2 = [outer, &[0; 18], &chain[..], &ip(80)].concat();
            for (link, bytes) in [(113, &sll), (276, &sll2)] {
                assert!(matches("tcp port 80", link, bytes), "{tags} tags on {link}");
                assert!(!matches("tcp port 81", link, bytes), "{tags} tags on {link}");
                for cut in 0..bytes.len() {
                    let _ = matches("tcp port 81", link, &bytes[..cut]);
                }
            }
        }
    }

    #[test]
    fn length_keywords_compare_wire_lengths() {
        let mut filter = Filter::new("greater 1000").unwrap();
        assert!(filter.matches(1, 1500, &frame(&[], 80)).unwrap());
        assert!(!filter.matches(1, 54, &frame(&[], 80)).unwrap());
    }

    #[test]
    fn invalid_expression_is_reported_with_cause_and_remedy() {
        for wrong in ["tcp prot 80", "tcp) or (udp", "", "  ", "port 80\0", "port 80 and"] {
            let message = Filter::new(wrong).unwrap_err().to_string();
            assert!(message.contains(wrong.trim()) && message.contains("pcap-filter"), "{message}");
            assert!(!message.contains('\n'));
        }
        let mut filter = Filter::new("ether host 02:02:02:02:02:02").unwrap();
        assert!(filter.matches(1, 54, &frame(&[], 80)).unwrap());
        let error = filter.matches(101, 40, &ip(80)).unwrap_err();
        assert!(error.to_string().contains("ether host"), "{error}");
        assert!(filter.matches(0xffff_fff0, 40, &ip(80)).is_err());
    }

    #[test]
    fn keyword_of_another_link_type_is_accepted() {
        assert!(Filter::new("wlan type data").is_ok());
    }
}
