//! Traffic for the benchmarks: browsers, and a scanner. Attack traffic is in [`crate::attack_traffic`].

use crate::http_conversation::{Capture, Connection, From, request, response};

/// Connections of [`scan`].
pub const SCANNED: usize = 2000;

/// Maximum bytes of a segment.
const MSS: usize = 1460;
/// The time of the first frame, in seconds.
const BEGIN: i64 = 1_750_000_000;

/// Pseudo-random numbers (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    fn one_of<T: Copy>(&mut self, things: &[T]) -> T {
        things[self.below(things.len() as u64) as usize]
    }
}

/// Sixty keep-alive connections with twenty requests each, sent as a browser does, with responses of up to 40,000
/// bytes: full segments, every second one acknowledged.
pub fn browsing() -> Capture {
    let (mut capture, mut dice) = (Capture::at(BEGIN), Dice(1));
    let mut targets = targets(60 * 20).into_iter();
    for connection in 0..60 {
        let mut dialogue = capture.open(20_000 + connection);
        for target in targets.by_ref().take(20) {
            capture.send(&mut dialogue, From::Client, &browser_request(&target));
            // Most resources of a page are small.
            let size = if dice.below(4) == 0 { dice.below(40_000) } else { dice.below(6_000) };
            answer(&mut capture, &mut dialogue, &page(size as usize));
        }
        capture.close(&mut dialogue);
    }
    capture
}

fn answer(capture: &mut Capture, dialogue: &mut Connection, answer: &[u8]) {
    for pair in answer.chunks(2 * MSS) {
        for segment in pair.chunks(MSS) {
            capture.send(dialogue, From::Server, segment);
        }
        capture.send(dialogue, From::Client, b"");
    }
}

fn browser_request(target: &str) -> Vec<u8> {
    format!(
        "GET {target} HTTP/1.1\r\nHost: www.example.org\r\nConnection: keep-alive\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
         Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n\
         Accept-Encoding: gzip, deflate\r\nReferer: http://www.example.org/index.html\r\n\
         Cookie: session=0123456789abcdef0123456789abcdef; consent=all; theme=light\r\n\r\n"
    )
    .into_bytes()
}

fn page(size: usize) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {size}\r\n\
         Connection: keep-alive\r\nCache-Control: max-age=600\r\n\r\n"
    );
    [head.into_bytes(), vec![b'x'; size]].concat()
}

/// [`SCANNED`] connections of eight packets: a handshake, one request, a 404, the end. With `probes` every request
/// matches a signature, otherwise none does.
pub fn scan(probes: bool) -> Capture {
    const PROBES: [&str; 6] = [
        "/sms_config.json",
        "/twilio/.secrets",
        "/twillio_creds.php",
        "/sms/actuator/env",
        "/wp-content/plugins/wp-sms/assets/css/admin-bar.css",
        "/%73ms.py",
    ];
    const OTHERS: [&str; 6] = [
        "/xmlrpc.php",
        "/.git/config",
        "/phpmyadmin/index.php",
        "/vendor/phpunit/phpunit/LICENSE",
        "/wp-content/plugins/akismet/readme.txt",
        "/cgi-bin/%6cuci",
    ];
    let mut capture = Capture::at(BEGIN);
    let targets = if probes { PROBES } else { OTHERS };
    for (at, target) in targets.iter().cycle().take(SCANNED).enumerate() {
        capture.exchange(20_000 + at as u16, &request("GET", target), &response("404 Not Found"));
    }
    capture
}

/// Targets as browsers and crawlers send them; none matches a signature.
pub fn targets(count: usize) -> Vec<String> {
    let mut dice = Dice(2);
    (0..count).map(|_| target(&mut dice)).collect()
}

fn target(dice: &mut Dice) -> String {
    const WORDS: [&str; 16] = [
        "about",
        "account",
        "blog",
        "cart",
        "contact",
        "docs",
        "events",
        "gallery",
        "help",
        "images",
        "messages",
        "news",
        "presentations",
        "products",
        "search",
        "team",
    ];
    let (one, two, number) = (dice.one_of(&WORDS), dice.one_of(&WORDS), dice.roll());
    let ending = dice.one_of(&["css", "js", "png", "svg", "woff2", "webp"]);
    match dice.below(10) {
        0 => format!("/{one}/"),
        1 => format!("/{one}/{two}.html?page={}&sort=asc", number % 90),
        2 => format!("/static/{one}.{:08x}.{ending}", number as u32),
        3 => format!("/wp-content/uploads/2025/{:02}/{one}-{two}-{}x{}.{ending}", number % 12 + 1, number % 900, 600),
        4 => format!("/wp-content/plugins/contact-form-7/includes/{one}/styles.{ending}?ver=5.{}", number % 10),
        5 => format!("/api/v1/{one}/{}", number % 1_000_000),
        6 => format!("/api/v2/{one}/{two}?id={:016x}&fields=name%2Cprice", number),
        7 => format!("/{one}/caf%C3%A9-{two}-{}.html", number % 100),
        8 => format!("/{one}/../{two}//index.{ending}"),
        _ => format!("/{}/{one}/{two}-{:x}", number % 30 + 1995, number >> 40),
    }
}
