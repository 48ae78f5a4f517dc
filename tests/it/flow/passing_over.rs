//! Flows that carry no HTTP: passed over once the first bytes of both directions prove it, and only then; counted as what
//! they are; and evicted before flows that carry HTTP.

use std::path::Path;
use std::process::Command;

use smsentry::sensor::Options;

use crate::support::segment_builder::{
    Client, Conn, Damage, Dice, NOT_FOUND, Run, Seg, Sender, Server, get, options, pcap, run, run_with,
};

const PROBE: &str = "/sms/api/";

/// The first bytes of both directions of protocols other than HTTP, the client's first; `true` where the server speaks
/// first.
const FOREIGN: [(&str, &[u8], &[u8], bool); 8] = [
    (
        "TLS 1.2",
        b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03hello",
        b"\x16\x03\x03\x00\x31\x02\x00\x00\x2dhello",
        false,
    ),
    ("TLS alert", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"\x15\x03\x03\x00\x02\x02\x28", false),
    ("SSH", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", b"SSH-2.0-OpenSSH_9.6\r\n", true),
    ("SMTP", b"EHLO mail.example.org\r\n", b"220 mx.example.net ESMTP Postfix\r\n", true),
    ("FTP", b"USER anonymous\r\n", b"220 (vsFTPd 3.0.5)\r\n", true),
    ("MySQL", b"\x55\0\0\x01\x85\xa6\xff\x01", b"\x4a\0\0\0\x0a8.0.36\0", true),
    ("MQTT", b"\x10\x10\0\x04MQTT\x04\x02\0\x3c\0\x04abcd", b"\x20\x02\0\0", false),
    ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0\0\x12\x04\0\0\0\0\0", false),
];

/// A conversation, segment by segment; keeps both positions.
struct Talk {
    conn: Conn,
    at: [i64; 2],
    segs: Vec<Seg>,
}

impl Talk {
    fn open(conn: Conn) -> Self {
        Self { conn, at: [1, 1], segs: conn.open() }
    }
    /// Picked up without its handshake.
    fn midstream(conn: Conn) -> Self {
        Self { conn, at: [7001, 9001], segs: Vec::new() }
    }
    fn next(&self, from: Sender, bytes: impl AsRef<[u8]>) -> Seg {
        let me = usize::from(from == Server);
        self.conn.seg(from, "PA", self.at[me], self.at[1 - me], bytes.as_ref())
    }
    fn say(&mut self, from: Sender, bytes: impl AsRef<[u8]>) -> &mut Self {
        let seg = self.next(from, bytes);
        self.at[usize::from(from == Server)] += seg.bytes.len() as i64;
        self.segs.push(seg);
        self
    }
    fn bytes(&mut self, from: Sender, bytes: &[u8], piece: usize) -> &mut Self {
        for piece in bytes.chunks(piece) {
            self.say(from, piece);
        }
        self
    }
    /// The first bytes of both directions.
    fn greet(&mut self, (_, client, server, server_first): (&str, &[u8], &[u8], bool), piece: usize) -> &mut Self {
        if server_first {
            self.bytes(Server, server, piece).bytes(Client, client, piece)
        } else {
            self.bytes(Client, client, piece).bytes(Server, server, piece)
        }
    }
    fn ask(&mut self, target: &str) -> &mut Self {
        self.say(Client, get(target)).say(Server, NOT_FOUND)
    }
    fn close(&mut self) -> &mut Self {
        self.segs.extend(self.conn.close(self.at[0], self.at[1]));
        self
    }
    fn run(&self) -> Run {
        run(&self.segs)
    }
}

fn conn() -> Conn {
    Conn::new(1).port(8443)
}

/// The same connection over both versions of IP.
fn versions() -> [Conn; 2] {
    [conn(), Conn { v6: true, ..conn() }]
}

#[track_caller]
fn finds(run: &Run, targets: &[&str]) {
    let expected: Vec<_> = targets.iter().map(|&target| (target.to_owned(), "not_found")).collect();
    assert_eq!(run.alerts(), expected);
}

#[test]
fn flow_without_http_is_passed_over_after_the_first_bytes_of_both_directions() {
    for foreign in FOREIGN {
        for conn in versions() {
            for piece in [usize::MAX, 7, 1] {
                let mut talk = Talk::open(conn);
                let run = talk.greet(foreign, piece).bytes(Client, &[0xa5; 9000], 1000).bytes(Server, b"more", 1).run();
                assert_eq!(run.counter("flow.passed_over"), 1, "{} in pieces of {piece}", foreign.0);
                assert_eq!(run.requests(), [""; 0]);
                // Nothing is put in order any more: neither the gap nor the bytes ahead of it are kept.
                talk.at[0] += 5000;
                let run = talk.bytes(Client, &[0x5a; 100_000], 1000).run();
                assert_eq!((run.counter("tcp.gaps"), run.counter("tcp.out_of_order"), run.most[2]), (0, 0, 0));
            }
        }
    }
}

#[test]
fn one_direction_alone_proves_nothing() {
    for (name, client, server, _) in FOREIGN {
        for (from, bytes) in [(Client, client), (Server, server)] {
            let mut talk = Talk::open(conn());
            let run = talk.say(from, bytes).say(from, [0xa5; 1000]).run();
            assert_eq!(run.counter("flow.passed_over"), 0, "{name}");
        }
    }
}

/// A server that answers with a response speaks HTTP, whatever the client seemed to say: it read other bytes than the
/// sensor, or answers a malformed request (RFC 9112 section 2.2).
#[test]
fn flow_whose_server_answers_with_a_response_is_followed() {
    for (name, client, ..) in FOREIGN {
        for conn in versions() {
            // The server never received the decoy: the client sends the request at the same position.
            let request = get("/first");
            let mut decoy = client.to_vec();
            decoy.resize(request.len() - 1, b'x');
            decoy.push(b'\n');
            let mut talk = Talk::open(conn);
            let mut seg = talk.next(Client, &decoy);
            seg.ttl = 1;
            talk.segs.push(seg);
            let run = talk.say(Client, &request).say(Server, NOT_FOUND).ask(PROBE).close().run();
            assert_eq!(run.counter("flow.passed_over"), 0, "{name}");
            assert!(run.alerts().iter().any(|(target, _)| target == PROBE), "{name}: {:?}", run.alerts());
            // It has a wrong checksum, in a direction that had correct ones.
            let mut talk = Talk::open(conn);
            let seg = talk.next(Client, &decoy).damage(Damage::Tcp);
            talk.segs.push(seg);
            let run = talk.say(Client, get("/sms/env")).say(Server, NOT_FOUND).ask(PROBE).close().run();
            assert_eq!(run.counter("flow.passed_over"), 0, "{name}");
            finds(&run, &["/sms/env", PROBE]);
        }
    }
}

/// A response in several pieces is none until its line is whole.
#[test]
fn response_in_pieces_is_waited_for() {
    for piece in 1..12 {
        let mut talk = Talk::open(conn());
        talk.say(Client, b"\x16\x03\x01\0\x05hello\r\n").bytes(Server, NOT_FOUND.as_bytes(), piece);
        let run = talk.ask(PROBE).run();
        assert_eq!(run.counter("flow.passed_over"), 0, "{piece}");
        assert_eq!(run.alerts().len(), 1, "{piece}");
    }
}

#[test]
fn copies_that_differ_keep_a_flow_from_being_passed_over() {
    let (_, client, server, _) = FOREIGN[0];
    let mut talk = Talk::open(conn());
    talk.say(Client, client);
    let mut other = talk.segs[3].clone();
    other.bytes = get("/x").into_bytes()[..client.len()].to_vec();
    talk.segs.push(other);
    let run = talk.say(Server, server).run();
    assert_eq!((run.counter("tcp.overlap_conflict"), run.counter("flow.passed_over")), (1, 0));
}

#[test]
fn message_at_the_beginning_of_a_segment_ends_the_passing_over() {
    for foreign in FOREIGN {
        for conn in versions() {
            for skipped in [0, 3000] {
                let mut talk = Talk::open(conn);
                talk.greet(foreign, usize::MAX).say(Client, [0xa5; 700]).say(Server, [0x5a; 700]);
                talk.at = talk.at.map(|at| at + skipped);
                let run = talk.ask("/index.html").ask(PROBE).close().run();
                assert_eq!(run.counter("flow.resumed"), 1, "{}", foreign.0);
                finds(&run, &[PROBE]);
            }
            // Not at a segment that a server drops.
            let mut talk = Talk::open(conn);
            talk.greet(foreign, usize::MAX).say(Client, [0xa5; 700]).say(Server, [0x5a; 700]);
            let seg = talk.next(Client, get(PROBE)).damage(Damage::Tcp);
            talk.segs.push(seg);
            let run = talk.run();
            assert_eq!((run.counter("flow.resumed"), run.alerts().len()), (0, 0), "{}", foreign.0);
        }
    }
}

/// The addresses of a flow that was passed over are used by a connection that carries HTTP: after FINs, a reset or
/// neither; with its handshake captured whole or in part.
#[test]
fn new_connection_with_the_same_addresses_is_followed() {
    for foreign in FOREIGN {
        for end in ["fins", "reset", "nothing"] {
            for lost in ["nothing", "syn", "syn-ack"] {
                let mut talk = Talk::open(conn());
                talk.greet(foreign, usize::MAX).say(Client, [0xa5; 700]).say(Server, [0x5a; 700]);
                match end {
                    "fins" => drop(talk.close()),
                    "reset" => talk.segs.push(talk.conn.seg(Server, "RA", talk.at[1], talk.at[0], b"")),
                    _ => {}
                }
                let mut again = Talk::open(conn().isn(90_000_000, 70_000_000));
                match lost {
                    "syn" if end != "nothing" => drop(again.segs.remove(0)),
                    "syn-ack" if end != "nothing" => drop(again.segs.remove(1)),
                    _ => {}
                }
                // A request that does not begin its segment.
                again.say(Client, b"\r\n ").say(Client, format!("\r\n{}", get(PROBE))).say(Server, NOT_FOUND).close();
                let run = run(&[talk.segs, again.segs].concat());
                assert_eq!(run.counter("flow.resumed"), 0);
                assert_eq!(run.alerts(), [(PROBE.to_owned(), "not_found")], "{} {end} {lost}", foreign.0);
            }
        }
    }
}

/// Without a handshake the first bytes may be the middle of two bodies.
#[test]
fn capture_that_begins_within_bodies_is_followed() {
    for piece in [usize::MAX, 5] {
        for body in
            [&b"\x17middle of an upload\r\n"[..], b"SSH-2.0-x\r\n", b"\xff\xd8\xff\xe0 JFIF\r\n", b"plain text\r\n"]
        {
            let mut talk = Talk::midstream(conn());
            talk.bytes(Server, b"\x16\x03 middle of a page\r\n", piece).bytes(Client, body, piece);
            talk.say(Server, [b'x'; 900]).say(Client, [&[b'y'; 900], &b"\r\n"[..], get(PROBE).as_bytes()].concat());
            let run = talk.run();
            assert_eq!(run.counter("flow.passed_over"), 0);
            assert_eq!(run.alerts().len(), 1, "{body:?}");
        }
    }
}

#[test]
fn tls_is_passed_over_where_a_capture_begins_at_a_record_of_both_directions() {
    let record = |len: u16, bytes: usize| [&[0x17, 3, 3][..], &len.to_be_bytes(), &vec![0xa5; bytes]].concat();
    for conn in versions() {
        let mut talk = Talk::midstream(conn);
        let run = talk.say(Server, record(16_000, 1400)).say(Client, record(40, 40)).say(Server, [1; 1400]).run();
        assert_eq!(run.counter("flow.passed_over"), 1);
        // A length that no record has.
        let mut talk = Talk::midstream(conn);
        let run = talk.say(Server, record(20_000, 1400)).say(Client, record(40, 40)).say(Server, [1; 1400]).run();
        assert_eq!(run.counter("flow.passed_over"), 0);
    }
}

/// Bytes that announce another stream are not the first bytes of a flow: the PROXY protocol, versions 1 and 2, and SOCKS
/// 4 and 5 with the server's replies.
#[test]
fn flow_that_begins_with_a_preface_is_followed() {
    type Exchange = (&'static [u8], &'static [u8]);
    let prefaces: [&[Exchange]; 4] = [
        &[(b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\n", b"")],
        &[(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\x13\x88\0\x50", b"")],
        &[(b"\x04\x01\0\x50\xc0\0\x02\x02user\0", b"\0\x5a\0\0\0\0\0\0")],
        &[(b"\x05\x01\0", b"\x05\0"), (b"\x05\x01\0\x01\xc0\0\x02\x02\0\x50", b"\x05\0\0\x01\xc0\0\x02\x02\0\x50")],
    ];
    for exchanges in prefaces {
        let mut talk = Talk::open(conn());
        for &(client, server) in exchanges {
            talk.say(Client, client);
            if !server.is_empty() {
                talk.say(Server, server);
            }
        }
        let run = talk.ask(PROBE).run();
        assert_eq!((run.counter("flow.passed_over"), run.counter("flow.evicted_unwanted")), (0, 0));
        assert_eq!(run.alerts().len(), 1, "{exchanges:?}");
    }
}

/// Empty lines before a request (RFC 9112 section 2.2), and a keep-alive octet before its first byte.
#[test]
fn bytes_that_servers_skip_are_no_other_protocol() {
    for before in ["\r\n", "\n\n", " \r\n\t", "\r\n\r\n\r\n"] {
        for piece in [usize::MAX, 1] {
            let mut talk = Talk::open(conn());
            let octet = conn().seg(Client, "A", 0, 1, b"\0");
            talk.segs.push(octet);
            talk.bytes(Client, before.as_bytes(), piece);
            let run = talk.ask(PROBE).close().run();
            finds(&run, &[PROBE]);
            assert_eq!(run.counter("flow.passed_over"), 0);
        }
    }
}

#[test]
fn tls_in_a_connect_tunnel_is_passed_over_and_http_is_not() {
    let (_, client, server, _) = FOREIGN[0];
    let open = |talk: &mut Talk| {
        talk.say(Client, "CONNECT www.example.org:443 HTTP/1.1\r\nHost: www.example.org\r\n\r\n");
        talk.say(Server, "HTTP/1.1 200 OK\r\n\r\n");
    };
    let mut talk = Talk::open(conn());
    open(&mut talk);
    let run = talk.say(Client, client).say(Server, server).say(Server, [0xa5; 900]).run();
    assert_eq!(run.counter("flow.passed_over"), 1);
    let mut talk = Talk::open(conn());
    open(&mut talk);
    let run = talk.ask(PROBE).run();
    assert_eq!(run.counter("flow.passed_over"), 0);
    finds(&run, &[PROBE]);
}

#[test]
fn payload_is_counted_by_what_the_flow_carries() {
    let count = |run: &Run| [run.payload.http_bytes, run.payload.tls_bytes, run.payload.other_bytes];
    for port in [80, 443, 8443] {
        for (name, client, server, _) in FOREIGN {
            let mut talk = Talk::open(Conn::new(1).port(port));
            talk.say(Client, client).say(Server, server).say(Client, [0xa5; 700]).say(Server, [0x5a; 700]);
            let total: usize = talk.segs.iter().map(|seg| seg.bytes.len()).sum();
            let tls = name.starts_with("TLS") || port == 443;
            let expected = if tls { [0, total as u64, 0] } else { [0, 0, total as u64] };
            assert_eq!(count(&talk.run()), expected, "{name} on {port}");
        }
        // One direction only.
        let mut talk = Talk::open(Conn::new(1).port(port));
        let (_, client, ..) = FOREIGN[0];
        assert_eq!(count(&talk.say(Client, client).run()), [0, client.len() as u64, 0]);
        // HTTP, whatever the port, also in pieces.
        for piece in [usize::MAX, 1] {
            let mut talk = Talk::open(Conn::new(1).port(port));
            let run = talk.bytes(Client, get("/").as_bytes(), piece).say(Server, NOT_FOUND).run();
            assert_eq!(count(&run), [(get("/").len() + NOT_FOUND.len()) as u64, 0, 0]);
        }
    }
}

/// Flows that carry no HTTP: complete ones, open ones, half-open ones and refused ones.
fn flood(kind: &str, number: u16) -> Vec<Seg> {
    let conn = Conn { hosts: [[203, 0, 113, (number >> 8) as u8], [192, 0, 2, 90]], ..Conn::new(number).port(8443) };
    let foreign = |name: &str| *FOREIGN.iter().find(|foreign| foreign.0 == name).unwrap();
    let mut talk = Talk::open(conn);
    match kind {
        "syn" => talk.segs.truncate(1),
        "syn-ack" => talk.segs.truncate(2),
        "refused" => {
            talk.segs.truncate(1);
            talk.segs.push(conn.seg(Server, "RA", 0, 1, b""));
        }
        "one-sided" => drop(talk.bytes(Client, FOREIGN[0].1, usize::MAX).say(Client, [0xa5; 1400])),
        name => {
            talk.greet(foreign(name), usize::MAX).say(Client, [0xa5; 700]).say(Server, [0x5a; 1400]);
            match number % 3 {
                0 => drop(talk.close()),
                1 => talk.segs.push(conn.seg(Client, "RA", talk.at[0], talk.at[1], b"")),
                _ => {}
            }
        }
    }
    talk.segs
}

/// Ten probes, each at another stage while `between` passes: before, within and behind the request, within the response,
/// behind the first of two, and after a reset. Only `between` differs: all other packets keep their times.
fn probes(mut between: impl FnMut() -> Vec<Seg>) -> Vec<Seg> {
    let mut stages: Vec<Vec<Seg>> = vec![Vec::new(); 3];
    for number in 0..10_u16 {
        let mut talk = Talk::open(Conn::new(number));
        let (request, answer) = (get(PROBE), NOT_FOUND);
        let at = match number % 5 {
            0 => talk.segs.len(),
            1 => talk.say(Client, &request[..20]).segs.len(),
            2 => talk.say(Client, &request).segs.len(),
            3 => talk.say(Client, &request).say(Server, &answer[..20]).segs.len(),
            _ => talk.ask("/index.html").say(Client, &request).segs.len(),
        };
        match number % 5 {
            0 => drop(talk.say(Client, &request).say(Server, answer)),
            1 => drop(talk.say(Client, &request[20..]).say(Server, answer)),
            3 => drop(talk.say(Server, &answer[20..])),
            _ => drop(talk.say(Server, answer)),
        }
        let later = talk.segs.split_off(at);
        stages[0].extend(talk.segs);
        stages[2].extend(later);
    }
    stages[1] = between();
    for seg in &mut stages[1] {
        seg.wait = 0;
    }
    stages.concat()
}

const FLOODS: [&str; 7] = ["TLS 1.2", "SSH", "SMTP", "syn", "syn-ack", "refused", "one-sided"];

/// The flood's flows, a few at a time, in turns.
fn interleaved(kind: &str, flows: u16) -> Vec<Seg> {
    let dice = &mut Dice::new(7);
    let mut lines: Vec<_> = (0..flows).map(|number| flood(kind, number).into_iter()).collect();
    let mut out = Vec::new();
    while !lines.is_empty() {
        let at = dice.below(lines.len().min(4));
        match lines[at].next() {
            Some(seg) => out.push(seg),
            None => drop(lines.remove(at)),
        }
    }
    out
}

#[test]
fn flood_of_other_flows_changes_no_alert_in_one_shard() {
    let limited = |flows: usize, memory: usize| {
        let mut limited: Options = options();
        (limited.flow.limits.flows, limited.flow.limits.flow_memory) = (flows, memory);
        limited
    };
    let expected = run(&probes(Vec::new)).reported();
    assert_eq!(expected.len(), 10);
    for kind in FLOODS {
        let segs = probes(|| interleaved(kind, 400));
        for options in [limited(16, usize::MAX), limited(usize::MAX, 40_000)] {
            let run = run_with(&segs, options);
            assert_eq!(run.reported(), expected, "{kind}");
            let evicted = ["flow.evicted_halfopen", "flow.evicted_unwanted", "flow.evicted_closing"];
            assert!(evicted.into_iter().map(|name| run.counter(name)).sum::<u64>() > 300, "{kind}");
            assert_eq!(run.counter("flow.evicted_established"), 0, "{kind}");
        }
    }
}

fn replay(file: &Path, more: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_smsentry")).args(["-q", "-r"]).arg(file).args(more).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    // The number of a frame counts the flood's frames too.
    let frame = |line: &str| line.find("\"pcap_cnt\":").map_or(0..0, |at| at..at + line[at..].find(',').unwrap());
    let mut lines: Vec<_> = text.lines().map(|line| line.replace(&line[frame(line)], "")).collect();
    lines.sort();
    lines
}

#[test]
fn flood_of_other_flows_changes_no_alert_in_any_number_of_lanes() {
    let directory = tempfile::tempdir().unwrap();
    let write = |segs: &[Seg]| {
        let file = directory.path().join("flood.pcap");
        std::fs::write(&file, pcap(segs)).unwrap();
        file
    };
    let file = write(&probes(Vec::new));
    let expected = replay(&file, &[]);
    assert_eq!(expected.len(), 10);
    for kind in FLOODS {
        let file = write(&probes(|| interleaved(kind, 3000)));
        for lanes in ["0", "1", "2", "3"] {
            assert_eq!(replay(&file, &["--lanes", lanes]), expected, "{kind}");
            // Every shard has space for the ten probes, should they all be in one, and for two other flows.
            let limited = ["--lanes", lanes, "--set", "flow.count=192"];
            assert_eq!(replay(&file, &limited), expected, "{kind}");
        }
    }
}

/// TLS counts as TLS on every port, whatever `--ports` names, and with the segments that begin within a record.
#[test]
fn closing_figures_count_tls_on_every_port() {
    let directory = tempfile::tempdir().unwrap();
    let (file, counters) = (directory.path().join("mixed.pcap"), directory.path().join("counters.json"));
    let mut segs = Vec::new();
    let (mut http, mut tls) = (0, 0);
    for (number, port) in (0..).zip([443, 8443, 80, 8080]) {
        let mut talk = Talk::open(Conn { v6: number % 2 == 1, ..Conn::new(number).port(port) });
        talk.greet(FOREIGN[0], usize::MAX).say(Client, [0xa5; 900]).say(Server, [0x5a; 1400]).say(Server, [0x5a; 1400]);
        tls += talk.segs.iter().map(|seg| seg.bytes.len()).sum::<usize>();
        segs.extend(talk.segs);
    }
    let mut talk = Talk::open(Conn::new(9));
    talk.ask(PROBE);
    http += talk.segs.iter().map(|seg| seg.bytes.len()).sum::<usize>();
    segs.extend(talk.segs);
    std::fs::write(&file, pcap(&segs)).unwrap();
    for ports in [&[][..], &["--ports", "any"], &["--ports", "80"], &["--ports", "80,443"], &["--ports", "80-9000"]] {
        for lanes in ["0", "2"] {
            let output = Command::new(env!("CARGO_BIN_EXE_smsentry"))
                .args(["--lanes", lanes, "--counters"])
                .args([&counters, Path::new("-r"), &file])
                .args(ports)
                .output()
                .unwrap();
            let messages = String::from_utf8(output.stderr).unwrap();
            assert!(messages.contains("TCP payload: 1 % HTTP, 99 % TLS, 0 % other"), "{ports:?}: {messages}");
            let counted: serde_json::Value = serde_json::from_slice(&std::fs::read(&counters).unwrap()).unwrap();
            let bytes = ["http", "tls", "other"].map(|kind| counted[format!("traffic.{kind}_bytes")].as_u64().unwrap());
            assert_eq!(bytes, [http as u64, tls as u64, 0], "{ports:?}");
        }
    }
}
