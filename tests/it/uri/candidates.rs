//! Properties of a target's candidates: bounded, without duplicates, the same with and without the fast path.

use proptest::prelude::*;
use smsentry::uri::{MAX_CANDIDATES, MAX_TARGET, Normaliser, Trailing};

/// All fields of a candidate, owned.
type Fields = (Vec<u8>, Vec<u8>, Trailing, Vec<&'static str>, Option<Vec<u8>>, u8);

fn fields(candidates: smsentry::uri::Candidates<'_>) -> Vec<Fields> {
    candidates
        .iter()
        .map(|one| {
            let names = one.evasions.iter().map(smsentry::uri::Evasion::name).collect();
            let host = one.host.map(<[u8]>::to_vec);
            (one.path.to_vec(), one.path_as_written.to_vec(), one.trailing, names, host, one.decoded)
        })
        .collect()
}

/// Targets made of the substrings that matter.
fn target() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "/",
        "/",
        "/",
        "a",
        "b",
        "sms",
        ".",
        "..",
        "%",
        "%2f",
        "%2F",
        "%252f",
        "%5c",
        "\\",
        ";",
        ";x=1",
        "?",
        "#",
        "A",
        " ",
        "%20",
        "\t",
        "%00",
        "\0",
        "%2e",
        "%25",
        "%u0073",
        "%uff53",
        "%c0%af",
        "%zz",
        "%%target%%",
        "http://",
        "@",
        ":80",
        "\u{e9}",
        "*",
        "-",
        "_",
        "~",
    ]);
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn fast_path_normalizes_as_slow_path(start in prop::sample::select(vec!["/", ""]), rest in target(), connect: bool) {
        let target = [start.as_bytes(), &rest].concat();
        let method: &[u8] = if connect { b"CONNECT" } else { b"GET" };
        let fast = fields(Normaliser::new().candidates(method, &target));
        let slow = fields(Normaliser::new().all_candidates(method, &target));
        prop_assert_eq!(fast, slow);
    }

    #[test]
    fn candidates_are_few_and_in_normal_form(target in target()) {
        let mut normaliser = Normaliser::new();
        let candidates = normaliser.candidates(b"GET", &target);
        prop_assert!((1..=MAX_CANDIDATES).contains(&candidates.len()));
        let all = fields(candidates);
        for (at, one) in all.iter().enumerate() {
            prop_assert!(one.0.is_empty() || one.0.starts_with(b"/"));
            prop_assert!(one.0.len() <= target.len() + 1);
            prop_assert!(one.5 <= 2);
            prop_assert_eq!(one.0.clone(), one.1.to_ascii_lowercase());
            for other in &all[..at] {
                prop_assert!(other.0 != one.0 || other.4 != one.4, "twice: {:?}", one);
            }
        }
    }

    #[test]
    fn reused_buffers_do_not_affect_the_next_target(targets in prop::collection::vec(target(), 1..6)) {
        let mut kept = Normaliser::new();
        for target in targets {
            prop_assert_eq!(fields(kept.candidates(b"GET", &target)), fields(Normaliser::new().candidates(b"GET", &target)));
        }
    }
}

#[test]
fn plain_targets_are_borrowed() {
    let mut normaliser = Normaliser::new();
    for (target, path) in [
        ("/", "/"),
        ("/index.html", "/index.html"),
        ("/a/b/", "/a/b"),
        ("/.env?x=%41", "/.env"),
        ("/a..b/...c#/../", "/a..b/...c"),
        ("/a-b_c~d!$&'()*+,=:@/e", "/a-b_c~d!$&'()*+,=:@/e"),
    ] {
        let candidates = normaliser.candidates(b"GET", target.as_bytes());
        assert!(candidates.is_borrowed(), "{target}");
        assert_eq!(candidates.iter().next().expect("one").path, path.as_bytes(), "{target}");
    }
}

#[test]
fn hosts_and_forms_are_recognised() {
    let mut normaliser = Normaliser::new();
    for (method, target, host, path) in [
        ("GET", "http://U:p@Victim.Example:8080/Sms/env?x", Some("victim.example"), "/sms/env"),
        ("GET", "https://sms-activate.org", Some("sms-activate.org"), "/"),
        ("GET", "https://sms-activate.org.?x", Some("sms-activate.org"), "/"),
        ("GET", "http:///sms/env", Some(""), "/sms/env"),
        ("GET", "http://[2001:DB8::1]:80/a", Some("[2001:db8::1]"), "/a"),
        ("CONNECT", "sms-activate.org:443", Some("sms-activate.org"), ""),
        ("CONNECT", "/sms/env", None, "/sms/env"),
        ("OPTIONS", "*", None, ""),
        ("GET", "%2Fsms%2Fapi", None, "/%2fsms%2fapi"),
        ("GET", "sms/env", None, "/sms/env"),
        ("GET", "//sms/api/", None, "/sms/api"),
        ("GET", "a:b", None, "/a:b"),
        ("GET", "", None, "/"),
    ] {
        let candidates = normaliser.candidates(method.as_bytes(), target.as_bytes());
        let first = candidates.iter().next().expect("one");
        assert_eq!((first.host, first.path), (host.map(str::as_bytes), path.as_bytes()), "{target}");
    }
}

#[test]
fn long_targets_are_bounded() {
    let mut normaliser = Normaliser::new();
    for unit in ["%252e%252e/", "A%00", "\\x ", "/"] {
        let target = unit.repeat(2 * MAX_TARGET / unit.len());
        let candidates = normaliser.candidates(b"GET", target.as_bytes());
        assert!(candidates.is_cut());
        assert!(candidates.iter().all(|one| one.path.len() <= MAX_TARGET + 1));
    }
}
