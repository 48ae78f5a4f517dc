//! The cost per byte does not grow with the number of bytes, whatever their content.

use smsentry::http::Limits;

use crate::support::cpu_time;
use crate::support::event_recorder::Recorder;

/// Streams of about `n` bytes that are quadratic in some parsers, and the size of their pieces.
fn shapes(n: usize) -> Vec<(&'static str, Vec<u8>, usize)> {
    let head = |line: &str| [b"GET /a HTTP/1.1\r\n".to_vec(), line.repeat(n / line.len()).into_bytes()].concat();
    vec![
        ("fields, byte by byte", head("X: y\r\n"), 1),
        ("folds", head(" x\r\n"), 1400),
        ("folds, byte by byte", head(" x\r\n"), 1),
        ("empty lines", b"\r\n".repeat(n / 2), 1400),
        ("blanks, byte by byte", b" ".repeat(n), 1),
        ("an endless line", b"G".repeat(n), 1400),
        ("carriage returns", [b"GET /a HTTP/1.1\r\n".to_vec(), b"\r".repeat(n)].concat(), 7),
        ("an endless target of blanks", [b"GET /".to_vec(), b" ".repeat(n)].concat(), 3),
        ("slashes", [b"GET ".to_vec(), b"HTTP/ /".repeat(n / 7), b"\r\n\r\n".to_vec()].concat(), n),
        ("lines that may be requests", [b"?\n".to_vec(), b"A \n".repeat(n / 3)].concat(), 1400),
        ("lines that may be requests, byte by byte", [b"?\n".to_vec(), b"A \n".repeat(n / 3)].concat(), 1),
        ("requests, many in a piece", b"GET / HTTP/1.1\r\n\r\n".repeat(n / 18), 60_000),
        ("old requests, many in a piece", b"GET /\n".repeat(n / 6), 60_000),
        (
            "chunks, byte by byte",
            [b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(), b"1\r\nx\r\n".repeat(n / 6)].concat(),
            1,
        ),
    ]
}

/// Seconds of processor time for `times` connections with these bytes.
fn cost(bytes: &[u8], piece: usize, times: usize) -> f64 {
    let run = || {
        // Small enough that the shapes reach the limit at both sizes.
        let mut recorder = Recorder::with_limits(Limits { head: 1 << 16, ..Limits::default() });
        bytes.chunks(piece).for_each(|piece| recorder.client(piece, 0));
    };
    cpu_time::used_by(|| (0..times).for_each(|_| run())).as_secs_f64()
}

#[test]
fn cost_is_proportional_to_the_bytes() {
    const N: usize = 24_000;
    const TIMES: usize = 8;
    for ((name, small, piece), (_, large, _)) in shapes(N).into_iter().zip(shapes(TIMES * N)) {
        // The same number of bytes in many connections and in one: quadratic work would be eight times as much in the
        // one. The two are measured in turn, so that disturbances affect both, and the best of several counts.
        let ratios = (0..9).map(|_| cost(&large, piece, 1) / cost(&small, piece, TIMES));
        let ratio = ratios.fold(f64::MAX, f64::min);
        assert!(ratio < 3.0, "{name}: {ratio:.1} times the time in one connection");
    }
}
