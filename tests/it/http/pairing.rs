//! Pairing of requests and responses: a client and a server that know the true pairs, a capture with losses and
//! reordering, and the pairs that are reported. A reported pair must always be true; without pipelining the pairs must
//! be found again after a loss.

use smsentry::http::Direction::{ToClient, ToServer};

use crate::support::event_recorder::{Dice, Recorder, Reported};

fn get(path: &str) -> Vec<u8> {
    format!("GET /{path} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes()
}

fn answer(status: u16, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn statuses(recorder: &Recorder) -> Vec<Option<u16>> {
    recorder.requests().iter().map(|reported| reported.answer.as_ref().map(|answer| answer.0)).collect()
}

fn unseen(recorder: &Recorder) -> Vec<bool> {
    recorder.requests().iter().map(|reported| reported.unseen).collect()
}

/// A dialogue without pipelining: the next message of each side acknowledges everything that the other side sent.
#[derive(Default)]
struct Sequential(Recorder);

impl Sequential {
    fn ask(&mut self, bytes: &[u8]) {
        let [_, server] = self.0.offsets();
        self.0.client(bytes, server);
    }

    fn respond(&mut self, bytes: &[u8]) {
        let [client, _] = self.0.offsets();
        self.0.server(bytes, client);
    }
}

#[test]
fn responses_are_paired_again_after_a_lost_response() {
    let mut conversation = Sequential::default();
    conversation.ask(&get("a"));
    conversation.respond(&answer(200, "aaa"));
    conversation.ask(&get("b"));
    conversation.0.gap(ToClient, answer(404, "bb").len() as u64);
    conversation.ask(&get("c"));
    conversation.respond(&answer(301, ""));
    conversation.ask(&get("d"));
    conversation.respond(&answer(500, "d"));
    assert_eq!(statuses(&conversation.0), [Some(200), None, Some(301), Some(500)]);
    assert_eq!(unseen(&conversation.0), [false, true, false, false]);
}

#[test]
fn responses_are_paired_again_when_the_loss_is_noticed_late() {
    // The next request is seen before the missing response is noticed.
    let mut conversation = Recorder::default();
    conversation.client(&get("a"), 0);
    let lost = answer(404, "bb").len() as u64;
    conversation.client(&get("b"), lost);
    conversation.gap(ToClient, lost);
    let end = conversation.offsets()[0];
    conversation.server(&answer(200, ""), end);
    assert_eq!(statuses(&conversation), [None, Some(200)]);
    assert_eq!(unseen(&conversation), [true, false]);
}

/// The response to a lost request acknowledges it; the next request is sent after that response was read.
#[test]
fn responses_are_paired_again_after_a_lost_request() {
    let (request, reply) = (get("a"), answer(200, "a"));
    let len = request.len() as u64;
    for seen in 0..5 {
        let mut conversation = Recorder::default();
        for number in 0..6 {
            if number == seen {
                conversation.server(&reply, len * (number + 1));
                conversation.gap(ToServer, len);
            } else {
                conversation.client(&request, number * reply.len() as u64);
                conversation.server(&reply, len * (number + 1));
            }
        }
        assert_eq!(statuses(&conversation), [Some(200); 5], "{seen}");
    }
}

/// Two requests are lost, and the response to the first acknowledges only the first: the second was sent together with
/// the next request, so that the response that acknowledges both is that of the lost one.
#[test]
fn response_that_acknowledges_a_part_of_the_loss_proves_nothing() {
    let (request, reply) = (get("a"), answer(200, "a"));
    let (len, back) = (request.len() as u64, reply.len() as u64);
    let mut conversation = Recorder::default();
    conversation.client(&request, 0);
    conversation.server(&reply, len);
    conversation.server(&reply, 2 * len);
    conversation.gap(ToServer, 2 * len);
    conversation.client(&get("b"), 2 * back);
    conversation.server(&answer(404, ""), 4 * len);
    conversation.end();
    assert_eq!(statuses(&conversation), [Some(200), None]);
}

#[test]
fn pipelined_pairs_after_a_loss_are_not_assumed() {
    let mut conversation = Recorder::default();
    let all = [get("a"), get("b"), get("c")].concat();
    conversation.client(&all, 0);
    let end = all.len() as u64;
    conversation.server(&answer(200, ""), end);
    conversation.gap(ToClient, answer(404, "").len() as u64);
    conversation.server(&answer(500, ""), end);
    conversation.end();
    assert_eq!(statuses(&conversation), [Some(200), None, None]);
    assert_eq!(unseen(&conversation), [false, true, true]);
}

#[test]
fn request_after_a_lost_one_does_not_get_its_response() {
    let mut conversation = Sequential::default();
    for path in ["a", "b", "c"] {
        conversation.ask(&get(path));
        conversation.respond(&answer(200, ""));
    }
    // The client waited so far. Now it sends two at once, and the first is lost.
    conversation.0.gap(ToServer, get("lost").len() as u64);
    conversation.ask(&get("d"));
    conversation.respond(&answer(404, ""));
    conversation.respond(&answer(500, ""));
    conversation.0.end();
    assert_eq!(statuses(&conversation.0)[3..], [None]);
    assert_eq!(unseen(&conversation.0)[3..], [true]);
}

/// Cuts a response head at every byte, by a gap and by the end of the stream.
#[test]
fn cut_response_counts_once_its_status_line_is_whole() {
    let head = b"HTTP/1.1 302 Found\r\nLocation: /login\r\n next\r\nX: y\r\nContent-Length: 0\r\n\r\n";
    let line = head.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    let fold = line + b"Location: /login\r\n next\r\n".len();
    for cut in 1..head.len() {
        for (by_gap, pieces) in [(true, 1), (true, 2), (false, 1), (false, 2)] {
            let mut conversation = Sequential::default();
            conversation.ask(&get("a"));
            for piece in head[..cut].chunks(cut.div_ceil(pieces)) {
                conversation.respond(piece);
            }
            if by_gap {
                conversation.0.gap(ToClient, (head.len() - cut) as u64);
                conversation.ask(&get("b"));
                conversation.respond(&answer(404, ""));
            } else {
                conversation.0.end();
            }
            let requests = conversation.0.requests();
            let expected = (cut >= line).then_some(302);
            assert_eq!(requests[0].answer.as_ref().map(|answer| answer.0), expected, "{cut}, gap {by_gap}");
            assert_eq!(requests[0].unseen, expected.is_none(), "{cut}, gap {by_gap}");
            // Half a value may be another value.
            let location = requests[0].answer.as_ref().and_then(|answer| answer.1.clone());
            let unfolded = cut >= fold || cut == fold - b" next\r\n".len();
            assert_eq!(location.as_deref(), unfolded.then_some(&b"/login"[..]), "{cut}, gap {by_gap}");
            if by_gap {
                assert_eq!(requests[1].answer.as_ref().map(|answer| answer.0), Some(404), "{cut}");
            }
        }
    }
}

#[test]
fn response_captured_before_its_request_is_kept_for_it() {
    let mut conversation = Recorder::default();
    let (a, b) = (get("a"), get("b"));
    let (first, second) = (answer(200, "aa"), answer(404, ""));
    conversation.server(&first, a.len() as u64);
    conversation.client(&a, 0);
    conversation.server(&second, (a.len() + b.len()) as u64);
    conversation.client(&b, first.len() as u64);
    assert_eq!(statuses(&conversation), [Some(200), Some(404)]);
    assert_eq!(conversation.requests()[0].answer_body, Some(2));
}

#[test]
fn two_responses_captured_before_their_requests_keep_their_order() {
    let mut conversation = Recorder::default();
    let all = [get("a"), get("b")].concat();
    conversation.server(&answer(200, ""), all.len() as u64);
    conversation.server(&answer(404, ""), all.len() as u64);
    conversation.client(&all, 0);
    assert_eq!(statuses(&conversation), [Some(200), Some(404)]);
}

#[test]
fn unsolicited_408_answers_no_request() {
    let mut conversation = Recorder::default();
    conversation.server(&answer(408, ""), 0);
    conversation.client(&get("a"), 0);
    conversation.end();
    assert_eq!(statuses(&conversation), [None]);
    // One that was on its way when the request came.
    let mut conversation = Recorder::default();
    conversation.client(&get("a"), 0);
    conversation.server(&answer(408, ""), 0);
    let end = conversation.offsets()[0];
    conversation.server(&answer(200, ""), end);
    assert_eq!(statuses(&conversation), [Some(200)]);
    // One that came after half of a head may or may not belong to it.
    let mut conversation = Recorder::default();
    conversation.client(b"GET /a HTTP/1.1\r\n", 0);
    conversation.server(&answer(408, ""), 17);
    conversation.client(b"Host: h\r\n\r\n", 0);
    conversation.end();
    assert_eq!((statuses(&conversation), unseen(&conversation)), (vec![None], vec![true]));
}

#[test]
fn garbage_may_have_its_own_response() {
    let mut conversation = Recorder::default();
    let all = [b"@@@@ @@@\r\n".to_vec(), get("a")].concat();
    conversation.client(&all, 0);
    conversation.server(&answer(400, ""), all.len() as u64);
    conversation.end();
    assert_eq!(statuses(&conversation), [None]);
    assert_eq!(unseen(&conversation), [true]);
}

#[test]
fn ambiguous_body_length_makes_later_pairs_uncertain() {
    let mut conversation = Recorder::default();
    let post = b"POST /a HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec();
    let all = [post, get("b")].concat();
    conversation.client(&all, 0);
    conversation.server(&[answer(200, ""), answer(404, "")].concat(), all.len() as u64);
    conversation.end();
    assert_eq!(statuses(&conversation), [Some(200), None]);
    assert!(conversation.counters.framing_conflicts > 0);
}

#[test]
fn methods_and_statuses_without_a_body_have_none() {
    let mut conversation = Sequential::default();
    conversation.ask(b"HEAD /a HTTP/1.1\r\n\r\n");
    conversation.respond(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n");
    conversation.ask(&get("b"));
    conversation.respond(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 70\r\n\r\n");
    conversation.ask(&get("c"));
    conversation.respond(b"HTTP/1.1 204 No Content\r\n\r\n");
    conversation.ask(b"CONNECT h:443 HTTP/1.1\r\n\r\n");
    conversation.respond(b"HTTP/1.1 407 No\r\nContent-Length: 3\r\n\r\nxyz");
    conversation.ask(b"CONNECT h:80 HTTP/1.1\r\n\r\n");
    conversation.respond(b"HTTP/1.1 200 Go\r\nContent-Length: 9\r\n\r\n");
    conversation.ask(&get("inside"));
    conversation.respond(&answer(418, ""));
    assert_eq!(statuses(&conversation.0), [200, 304, 204, 407, 200, 418].map(Some));
}

#[test]
fn interim_responses_complete_nothing() {
    let mut conversation = Sequential::default();
    conversation.ask(b"POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    conversation.respond(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
    assert_eq!(statuses(&conversation.0), [None]);
    conversation.ask(b"abc");
    conversation.respond(&answer(201, "ok"));
    assert_eq!(statuses(&conversation.0), [Some(201)]);
    assert_eq!(conversation.0.requests()[0].body, Some(3));
}

#[test]
fn body_refused_by_the_server_may_be_omitted() {
    for behind in [true, false] {
        let mut conversation = Sequential::default();
        conversation.ask(b"POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 30\r\n\r\n");
        conversation.respond(&answer(417, ""));
        if !behind {
            conversation.ask(b"GET what you asked for, not /b\n");
        } else {
            for byte in get("b") {
                conversation.ask(&[byte]);
            }
            conversation.respond(&answer(404, ""));
            assert_eq!(statuses(&conversation.0), [Some(417), Some(404)]);
        }
        assert_eq!(conversation.0.requests()[0].body, Some(if behind { 0 } else { 30 }));
    }
}

#[test]
fn after_101_the_connection_is_not_http() {
    let mut conversation = Sequential::default();
    conversation.ask(b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n");
    conversation.respond(b"HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
    conversation.ask(&get("not-a-request"));
    assert_eq!(statuses(&conversation.0), [Some(101)]);
    assert_eq!(conversation.0.requests().len(), 1);
}

#[test]
fn requests_beyond_the_pending_limit_are_unseen() {
    let mut conversation = Recorder::default();
    conversation.limits.pending = 2;
    let all: Vec<u8> = (0..5).flat_map(|n| get(&n.to_string())).collect();
    conversation.client(&all, 0);
    let end = all.len() as u64;
    for status in 200..205 {
        conversation.server(&answer(status, ""), end);
    }
    assert_eq!(statuses(&conversation), [Some(200), Some(201), None, None, None]);
    assert_eq!(unseen(&conversation), [false, false, true, true, true]);
    assert_eq!(conversation.counters.waiting_limit, 3);
}

/// A segment on the network.
#[derive(Clone, Debug)]
struct Piece {
    from_client: bool,
    offset: u64,
    bytes: Vec<u8>,
    acked: u64,
}

/// The segments, and the true status of each request.
#[derive(Debug, Default)]
struct Dialogue {
    wire: Vec<Piece>,
    truth: Vec<(u16, u64)>,
    requests: usize,
}

/// The way a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SendMode {
    Waits,
    Pipelines,
}

/// Two ends with sequence numbers: the client sends what its way allows, the server answers in order, in pieces.
struct Ends {
    dice: Dice,
    wire: Vec<Piece>,
    sent: [u64; 2],
    /// How much each end has read of the other, between the segment boundaries of data in flight.
    read: [u64; 2],
}

impl Ends {
    fn send(&mut self, from_client: bool, bytes: &[u8], most: u64) {
        let me = usize::from(!from_client);
        let mut rest = bytes;
        while !rest.is_empty() {
            let len = 1 + self.dice.below(most.min(rest.len() as u64)) as usize;
            let (piece, behind) = rest.split_at(len.min(rest.len()));
            self.wire.push(Piece { from_client, offset: self.sent[me], bytes: piece.to_vec(), acked: self.read[me] });
            self.sent[me] += piece.len() as u64;
            rest = behind;
        }
    }

    /// The server reads everything; the client reads up to a segment boundary.
    fn client_reads(&mut self, at_most: u64) {
        self.read[0] = self.read[0].max(at_most);
    }

    fn server_reads(&mut self) {
        self.read[1] = self.sent[0];
    }
}

fn request_bytes(number: usize, nasty: bool, dice: &mut Dice) -> (Vec<u8>, &'static str) {
    let head = match dice.below(6) {
        0 => ("HEAD", format!("HEAD /{number} HTTP/1.1\r\n\r\n")),
        1 if nasty => ("POST", format!("POST /{number} HTTP/1.1\r\nContent-Length: 12\r\n\r\nGET /x HTTP/")),
        2 => ("POST", format!("POST /{number} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n")),
        _ => ("GET", format!("GET /{number} HTTP/1.1\r\nHost: h{number}\r\nAccept: */*\r\n\r\n")),
    };
    (head.1.into_bytes(), head.0)
}

/// The response to request `number`; a header field repeats the number for the comparison.
fn answer_bytes(number: usize, method: &str, dice: &mut Dice) -> (u16, Vec<u8>) {
    let status = [200, 204, 206, 301, 304, 401, 403, 404, 500][dice.below(9) as usize];
    let mut bytes = Vec::new();
    if dice.one_in(6) {
        bytes.extend_from_slice(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
    }
    let body = "line\nHTTP/1.1 200 OK\r\nLocation: /fake\r\n\r\n".repeat(dice.below(3) as usize);
    let bodiless = method == "HEAD" || matches!(status, 204 | 304);
    let head = format!("HTTP/1.1 {status} X\r\nLocation: /{number}\r\n");
    bytes.extend_from_slice(head.as_bytes());
    if dice.one_in(2) {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        if !bodiless {
            bytes.extend_from_slice(body.as_bytes());
        }
    } else {
        bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
        if !bodiless {
            if !body.is_empty() {
                bytes.extend_from_slice(format!("{:x}\r\n{body}\r\n", body.len()).as_bytes());
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
        }
    }
    (status, bytes)
}

fn dialogue(seed: u64, manner: SendMode, nasty: bool) -> Dialogue {
    let dice = Dice::new(seed);
    let mut ends = Ends { dice, wire: Vec::new(), sent: [0; 2], read: [0; 2] };
    let count = 2 + ends.dice.below(8) as usize;
    let mut truth = Vec::new();
    let (mut asked, mut answered) = (0, 0);
    let mut methods = Vec::new();
    while answered < count {
        let may_ask = asked < count
            && match manner {
                SendMode::Waits => asked == answered,
                // At least two at a time, so that pipelining is visible.
                SendMode::Pipelines => asked < answered + 4,
            };
        if may_ask && (asked == answered || ends.dice.one_in(2)) {
            let burst = if manner == SendMode::Pipelines { 2 + ends.dice.below(2) } else { 1 };
            for _ in 0..burst {
                if asked < count {
                    let (bytes, method) = request_bytes(asked, nasty, &mut ends.dice);
                    methods.push(method);
                    ends.send(true, &bytes, 200);
                    asked += 1;
                }
            }
        } else {
            ends.server_reads();
            let begin = ends.sent[1];
            let (status, bytes) = answer_bytes(answered, methods[answered], &mut ends.dice);
            let before = ends.wire.len();
            ends.send(false, &bytes, 120);
            truth.push((status, begin));
            answered += 1;
            // A client that waits has read all of it; another one perhaps a part.
            let pieces = ends.wire.len() - before;
            let read = if manner == SendMode::Waits { pieces } else { ends.dice.below(pieces as u64 + 1) as usize };
            if let Some(last) = ends.wire[before..].get(read.wrapping_sub(1)) {
                let end = last.offset + last.bytes.len() as u64;
                ends.client_reads(end);
            }
        }
    }
    Dialogue { wire: ends.wire, truth, requests: asked }
}

/// Feeds a dialogue to a connection through a tap that loses segments and swaps neighbours of different directions.
fn tapped(dialogue: &Dialogue, lossy: u64, swaps: bool, dice: &mut Dice) -> Recorder {
    recorded(Recorder::default(), dialogue, lossy, swaps, dice)
}

/// The same with a given connection.
fn recorded(mut recorder: Recorder, dialogue: &Dialogue, lossy: u64, swaps: bool, dice: &mut Dice) -> Recorder {
    let mut wire = dialogue.wire.clone();
    if swaps {
        for at in 1..wire.len() {
            if wire[at - 1].from_client != wire[at].from_client && dice.one_in(3) {
                wire.swap(at - 1, at);
            }
        }
    }
    for piece in &wire {
        if lossy > 0 && dice.one_in(lossy) {
            continue;
        }
        let direction = if piece.from_client { ToServer } else { ToClient };
        let missing = piece.offset - recorder.offsets()[usize::from(!piece.from_client)];
        if missing > 0 {
            recorder.gap(direction, missing);
        }
        if piece.from_client {
            recorder.client(&piece.bytes, piece.acked);
        } else {
            recorder.server(&piece.bytes, piece.acked);
        }
    }
    recorder.end();
    recorder
}

/// The number that a request's target carries. After a loss the end of a body may precede it.
fn number(reported: &Reported) -> Option<usize> {
    std::str::from_utf8(&reported.target).ok()?.rsplit('/').next()?.parse().ok()
}

/// The number of reported pairs. Panics if one is not true.
fn true_pairs(recorder: &Recorder, dialogue: &Dialogue, seed: u64) -> usize {
    let mut pairs = 0;
    for reported in recorder.requests() {
        let Some((status, location)) = &reported.answer else { continue };
        let number = number(&reported).unwrap_or_else(|| panic!("seed {seed}: {reported:?}"));
        assert_eq!(*status, dialogue.truth[number].0, "seed {seed}: request {number}\n{dialogue}");
        let wanted = format!("/{number}").into_bytes();
        assert!(
            location.as_ref().is_none_or(|location| *location == wanted),
            "seed {seed}: {number}: {reported:?}\n{dialogue}"
        );
        pairs += 1;
    }
    pairs
}

#[test]
fn every_pair_is_found_without_losses() {
    for seed in 0..1500 {
        let manner = if seed % 2 == 0 { SendMode::Waits } else { SendMode::Pipelines };
        let dialogue = dialogue(seed, manner, true);
        let recorder = tapped(&dialogue, 0, false, &mut Dice::new(seed + 1));
        assert_eq!(true_pairs(&recorder, &dialogue, seed), dialogue.requests, "seed {seed}");
        let recorder = tapped(&dialogue, 0, true, &mut Dice::new(seed + 2));
        true_pairs(&recorder, &dialogue, seed);
    }
}

#[test]
fn every_pair_is_true_whatever_is_lost() {
    let (mut reported, mut all) = (0, 0);
    for seed in 0..20_000 {
        let manner = if seed % 2 == 0 { SendMode::Waits } else { SendMode::Pipelines };
        let dialogue = dialogue(seed, manner, true);
        let mut dice = Dice::new(seed + 77);
        let lossy = 2 + dice.below(30);
        let recorder = tapped(&dialogue, lossy, seed % 3 == 0, &mut dice);
        reported += true_pairs(&recorder, &dialogue, seed);
        all += dialogue.requests;
    }
    // Some pairs must be reported at all.
    assert!(reported * 3 > all, "{reported} of {all}");
}

/// One direction is captured any number of exchanges before the other.
#[test]
fn every_pair_is_found_however_far_a_direction_lags() {
    let mut complete = 0;
    for seed in 0..1500 {
        let manner = if seed % 2 == 0 { SendMode::Waits } else { SendMode::Pipelines };
        let dialogue = dialogue(seed, manner, true);
        let mut dice = Dice::new(seed + 31);
        let bias = dice.below(9);
        let [mut client, mut server] = [true, false].map(|from_client| {
            dialogue
                .wire
                .iter()
                .filter(|piece| piece.from_client == from_client)
                .cloned()
                .collect::<Vec<_>>()
                .into_iter()
        });
        let mut wire = Vec::new();
        loop {
            let first = dice.below(8) < bias;
            let next =
                if first { client.next().or_else(|| server.next()) } else { server.next().or_else(|| client.next()) };
            let Some(piece) = next else { break };
            wire.push(piece);
        }
        let merged = Dialogue { wire, truth: dialogue.truth.clone(), requests: dialogue.requests };
        let recorder = tapped(&merged, 0, false, &mut dice);
        let pairs = true_pairs(&recorder, &dialogue, seed);
        // Only its request shows that a response to HEAD has no body.
        if !dialogue.wire.iter().any(|piece| piece.bytes.starts_with(b"H") && piece.from_client) {
            assert_eq!(pairs, dialogue.requests, "seed {seed}\n{merged}");
            complete += 1;
        }
    }
    assert!(complete > 300, "{complete}");
}

#[test]
fn responses_wait_for_requests_within_the_limit() {
    let (request, reply) = (get("a"), answer(200, &"x".repeat(2000)));
    for count in [1, 5, 256, 300] {
        let mut conversation = Recorder::default();
        for number in 0..count {
            conversation.server(&reply, (number + 1) * request.len() as u64);
        }
        assert!(conversation.connection.memory() < 320 << 10, "{}", conversation.connection.memory());
        for number in 0..count {
            conversation.client(&request, number * reply.len() as u64);
        }
        conversation.end();
        let found = statuses(&conversation).iter().filter(|status| status.is_some()).count() as u64;
        assert_eq!(found, count.min(256));
        let begun = conversation.requests().iter().map(|reported| reported.begun.len()).max();
        assert_eq!(begun, Some(1024));
    }
}

/// A connection that already served a flow reports the next one as a new connection would.
#[test]
fn reset_connection_equals_a_new_one() {
    for seed in 0..3000 {
        let manner = if seed % 2 == 0 { SendMode::Waits } else { SendMode::Pipelines };
        let lossy = |dice: &mut Dice| if dice.one_in(4) { 0 } else { 2 + dice.below(30) };
        let mut dice = Dice::new(seed + 900);
        let (loss, swaps) = (lossy(&mut dice), dice.one_in(2));
        let mut before = tapped(&dialogue(seed, manner, true), loss, swaps, &mut dice);
        before.connection.reset();
        let next = dialogue(seed + 1, SendMode::Waits, true);
        let (loss, swaps) = (lossy(&mut dice), dice.one_in(2));
        let fresh = tapped(&next, loss, swaps, &mut dice.clone());
        let mut used = Recorder::default();
        used.connection = before.connection;
        let renewed = recorded(used, &next, loss, swaps, &mut dice);
        assert_eq!(renewed.requests(), fresh.requests(), "seed {seed}");
        assert_eq!(format!("{:?}", renewed.counters), format!("{:?}", fresh.counters), "seed {seed}");
    }
}

#[test]
fn without_pipelining_a_loss_costs_one_or_two_pairs() {
    for seed in 0..3000 {
        let dialogue = dialogue(seed, SendMode::Waits, false);
        let mut dice = Dice::new(seed + 5);
        let lost = dice.below(dialogue.wire.len() as u64) as usize;
        let mut wire = dialogue.wire.clone();
        wire.remove(lost);
        let recorder = tapped(&Dialogue { wire, truth: dialogue.truth.clone(), requests: 0 }, 0, false, &mut dice);
        let pairs = true_pairs(&recorder, &dialogue, seed);
        assert!(
            pairs + 2 >= dialogue.requests,
            "seed {seed}: {pairs} of {} without {lost}:\n{dialogue}",
            dialogue.requests
        );
    }
}

impl std::fmt::Display for Dialogue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for piece in &self.wire {
            let arrow = if piece.from_client { '>' } else { '<' };
            writeln!(
                f,
                "{arrow} {:4} ack {:4} {:?}",
                piece.offset,
                piece.acked,
                String::from_utf8_lossy(&piece.bytes)
            )?;
        }
        write!(f, "{:?}", self.truth)
    }
}
