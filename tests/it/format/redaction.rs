//! With `--redact` no line contains a secret of a URL, however the URL is encoded.

use proptest::prelude::*;
use smsentry::format::{Format, LineContext};
use smsentry::record::{Alert, Record};

use crate::support::cpu_time;
use crate::support::random_records::{alert, context, http, plain};
use crate::support::segment_builder::{Conn, NOT_FOUND, get, pcap};

const SECRET: &str = "Zq7xW9vK3s";

const NAMES: [&str; 23] = [
    "password",
    "pass",
    "passwd",
    "pwd",
    "api_key",
    "key",
    "token",
    "access_token",
    "h",
    "secret",
    "number",
    "to",
    "text",
    "message",
    "sms",
    "content",
    "p",
    "pw",
    "psw",
    "api_id",
    "key2",
    "cred",
    "session",
];

/// Bytes, some of them escaped, with letters of either case.
fn spelled(text: &str, dice: u64, escapes: bool) -> String {
    let mut out = String::new();
    for (at, byte) in text.bytes().enumerate() {
        let roll = dice.rotate_left(7 * at as u32 % 64) & 7;
        match roll {
            0 if escapes => out.push_str(&format!("%{byte:02x}")),
            1 if escapes => out.push_str(&format!("%25{byte:02X}")),
            2 => out.push(char::from(byte.to_ascii_uppercase())),
            _ => out.push(char::from(byte)),
        }
    }
    out
}

/// A complete URL within the value of a parameter.
fn nested(url: &str) -> String {
    url.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn url() -> impl Strategy<Value = String> {
    let name = (prop::sample::select(&NAMES[..]), any::<u64>()).prop_map(|(name, dice)| spelled(name, dice, true));
    let around = "[a-z0-9.;?#/:@+ %\\[\\]-]{0,6}";
    let value = (around, any::<u64>(), around).prop_map(|(before, dice, after)| {
        // The secret may be escaped, but keeps its case.
        let secret: String = SECRET
            .bytes()
            .enumerate()
            .map(|(at, byte)| if dice >> at & 3 == 0 { format!("%{byte:02x}") } else { char::from(byte).to_string() })
            .collect();
        format!("{before}{secret}{after}")
    });
    let other = prop::sample::select(vec!["", "a=b&", "action=send;", "x&", "u=http://y.example/?", "page=1&lang=en&"]);
    let tail = prop::sample::select(vec!["", "&a=b", ";a=b", "&", "#top", ";"]);
    let query =
        (other, name, value, tail).prop_map(|(other, name, value, tail)| format!("{other}{name}={value}{tail}"));
    let start = prop::sample::select(vec!["/", "/sms/api", "http://h.example/x", "http://u:p@h.example:80", "//x/"]);
    let plain = (start, prop::sample::select(vec!["?", "?a=b&", "#", "??"]), query)
        .prop_map(|(start, mark, query)| format!("{start}{mark}{query}"));
    let matrix = "[a-z]{1,5}".prop_map(|path| format!("/{path};password={SECRET}/{path}?a=b"));
    let user = prop::sample::select(vec!["http://", "https://", "", "//", "/x?u=https://", "/x?u=https%3A%2F%2F"])
        .prop_map(|scheme| format!("{scheme}user:a{SECRET}!b@h.example:80/y?z=1"));
    let direct = prop_oneof![6 => plain, 1 => matrix, 2 => user];
    (direct, any::<bool>()).prop_map(|(url, wrap)| if wrap { format!("/go?next={}&x=y", nested(&url)) } else { url })
}

/// Undoes everything that percent-escapes in a line can hide.
fn undone(line: &str) -> String {
    let mut bytes = line.as_bytes().to_vec();
    for _ in 0..4 {
        let mut out = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let escape = bytes.get(at..at + 3).filter(|escape| escape[0] == b'%');
            let byte = escape.and_then(|escape| u8::from_str_radix(std::str::from_utf8(&escape[1..]).ok()?, 16).ok());
            out.push(byte.unwrap_or(bytes[at]));
            at += if byte.is_some() { 3 } else { 1 };
        }
        bytes = out;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn lines(record: &Record, redact: bool) -> String {
    let context = LineContext { redact, one_stream: true, ..context(None) };
    let mut out = Vec::new();
    for format in [Format::Eve, Format::ZeekJson, Format::ZeekTsv] {
        format.write(record, &context, &mut out);
    }
    String::from_utf8(out).unwrap()
}

fn records(url: &str) -> [Record; 2] {
    let mut one: Alert = plain();
    let bytes = || url.as_bytes().to_vec();
    one.matched = bytes();
    one.transaction.request.target = bytes();
    one.transaction.request.referrer = Some(bytes());
    let response = one.transaction.response.as_mut().unwrap();
    (response.status, response.location) = (302, Some(bytes()));
    [http(one.transaction.clone()), alert(one)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_line_contains_a_secret(url in url()) {
        for record in records(&url) {
            let line = undone(&lines(&record, true));
            prop_assert!(!line.contains(SECRET), "{url}\n{line}");
            prop_assert!(line.contains("REDACTED"));
            prop_assert!(undone(&lines(&record, false)).contains(SECRET));
        }
    }

    #[test]
    fn any_bytes_are_accepted_as_a_url(bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(&b"%25?&;=#:@/key"[..])], 0..200)) {
        let mut one = plain();
        one.transaction.request.target = bytes;
        let _ = lines(&alert(one), true);
    }
}

#[test]
fn redaction_of_a_long_target_takes_linear_time() {
    for part in ["key=a;", ";key=a", "%3b%70wd=x", "//a:b@", "%25", "&pwd="] {
        let mut one = plain();
        one.transaction.request.target = [b"/", part.repeat((64 << 10) / part.len()).as_bytes()].concat();
        let used = cpu_time::used_by(|| {
            for _ in 0..20 {
                let _ = lines(&alert(one.clone()), true);
            }
        });
        // A debug build takes some 10 ms for each; quadratic work would take minutes.
        assert!(used.as_secs() < 60, "{part}");
    }
}

#[test]
fn redact_option_takes_effect() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("x.pcap");
    std::fs::write(&file, pcap(&Conn::new(1).exchange(get("/sms_config.json?token=Zq7xW9vK3s"), NOT_FOUND))).unwrap();
    let replay = |more: &[&str]| {
        let ran = crate::support::program::run(
            &[&["-q", "--events", "alert,http", "-r", file.to_str().unwrap()], more].concat(),
        );
        assert_eq!((ran.code, ran.out.lines().count()), (0, 2));
        ran.out
    };
    assert!(replay(&[]).contains(SECRET));
    for format in ["eve", "zeek-json"] {
        let out = replay(&["--redact", "--format", format]);
        assert!(!out.contains(SECRET) && out.contains("/sms_config.json?token=REDACTED"), "{out}");
    }
}

#[test]
fn lists_of_a_campaign_contain_no_secrets() {
    let exposed =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 21\r\n\r\n{\"api_key\":\"made up\"}";
    let connection = |(number, target): (u16, &str)| {
        let conn = Conn { ports: [40_000 + number, 80], ..Conn::new(1) };
        conn.exchange(get(target), exposed)
    };
    let targets = ["/sms_config.json?token=Zq7xW9vK3s", "/twilio/.secrets", "/sms/env", "/sms/actuator/env"];
    let segs: Vec<_> = (0..).zip(targets).flat_map(connection).collect();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("x.pcap");
    std::fs::write(&file, pcap(&segs)).unwrap();
    for (more, found) in [(&[][..], true), (&["--redact"], false)] {
        let ran = crate::support::program::run(&[&["-q", "-r", file.to_str().unwrap()], more].concat());
        let reported: Vec<_> = ran.out.lines().filter(|line| line.contains("smsentry_exposed")).collect();
        assert!(!reported.is_empty(), "{}", ran.out);
        assert_eq!(ran.out.contains(SECRET), found);
        assert!(
            reported.iter().all(|line| line.contains(if found { SECRET } else { "token=REDACTED" })),
            "{reported:?}"
        );
    }
}
