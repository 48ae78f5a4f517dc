//! Matching of requests: the built-in signatures' hits and misses, probes with evasions, and the table compared with a
//! linear search over random sets.

use std::sync::Arc;

use proptest::prelude::*;
use smsentry::signature::{CachedMatcher, MatchKind, Pattern, Signature, SignatureFile, SignatureOrigin, Signatures};
use smsentry::uri::{Evasion, NormalHost, NormalPath, Normaliser};

/// The slug of the best match, the names of its evasions, and the other slugs.
fn find(set: &Signatures, method: &str, target: &[u8]) -> Option<(String, Vec<&'static str>, Vec<String>)> {
    let mut normaliser = Normaliser::new();
    let candidates = normaliser.candidates(method.as_bytes(), target);
    let found = set.find(method.as_bytes(), target, &candidates)?;
    let also = found.also.iter().map(|signature| signature.slug.clone()).collect();
    Some((found.signature.slug.clone(), found.evasions.iter().map(Evasion::name).collect(), also))
}

/// Loaded once: unoptimised that takes half a second.
fn builtin() -> &'static Signatures {
    static SET: std::sync::LazyLock<Signatures> =
        std::sync::LazyLock::new(|| Signatures::builtin().expect("the built-in signatures load"));
    &SET
}

/// A set of one file.
fn set(text: &str) -> Signatures {
    Signatures::load(&[SignatureFile { name: "test.toml", text, origin: SignatureOrigin::User }], &mut |name| {
        Err(name.into())
    })
    .unwrap_or_else(|errors| panic!("{}", errors[0]))
}

/// A minimal signature with this pattern.
pub(crate) fn entry(id: u32, matching: &str) -> String {
    format!(
        "[[signature]]\nid = {id}\nrev = 1\nslug = \"s{id}\"\ntitle = \"t\"\nfamily = \"f\"\nproduct = \"p\"\nseverity = 2\nconfidence = \"low\"\n{matching}\n"
    )
}

#[test]
fn every_signature_has_hits_and_misses_that_hold() {
    let set = builtin();
    assert!(set.len() >= 19);
    for signature in set.iter() {
        assert!(!signature.hits.is_empty() && !signature.misses.is_empty(), "{}", signature.slug);
        assert!(!signature.references.is_empty() && signature.mitre.is_some(), "{}", signature.slug);
        for hit in &signature.hits {
            let (slug, ..) = find(set, &hit.method, hit.target.as_bytes()).unwrap_or_else(|| panic!("{hit:?}"));
            assert_eq!(slug, signature.slug, "{hit:?}");
        }
        for miss in &signature.misses {
            if let Some((slug, _, also)) = find(set, &miss.method, miss.target.as_bytes()) {
                assert!(slug != signature.slug && !also.contains(&signature.slug), "{miss:?}");
            }
        }
    }
}

/// All examples of all built-in signatures.
fn examples() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    let of_one = |signature: &'static Arc<Signature>| signature.hits.iter().chain(&signature.misses);
    builtin().iter().flat_map(of_one).map(|example| (example.method.as_str(), example.target.as_bytes()))
}

#[test]
fn prebuilt_signatures_find_the_same() {
    let bytes = builtin().to_prebuilt().expect("can be written");
    let prebuilt = Signatures::from_prebuilt(&bytes).expect("can be read");
    for (method, target) in examples() {
        let (found, expected) = (find(&prebuilt, method, target), find(builtin(), method, target));
        assert_eq!(found, expected, "{method} {}", target.escape_ascii());
    }
    assert_eq!((prebuilt.len(), prebuilt.patterns()), (builtin().len(), builtin().patterns()));
    assert_eq!(prebuilt.needs_page_views(), builtin().needs_page_views());
    for (signature, whole) in prebuilt.iter().zip(builtin().iter()) {
        let mut left =
            Signature { hits: whole.hits.clone(), misses: whole.misses.clone(), ..Signature::clone(signature) };
        left.scope.unless = whole.scope.unless.clone();
        if let (Pattern::Words(lists), Pattern::Words(as_written)) = (&mut left.pattern, &whole.pattern) {
            lists.clone_from(as_written);
        }
        assert_eq!(format!("{left:?}"), format!("{whole:?}"));
    }
    assert!(Signatures::from_prebuilt(&bytes[..bytes.len() / 2]).is_err());
}

/// Each request three times in a row, all of them in two rounds, and the same with other signatures.
#[test]
fn cached_matches_equal_uncached_ones() {
    let other = Arc::new(set(&entry(1_010_000, "match.suffix = \"/.env\"")));
    let whole = Arc::new(builtin().clone());
    let mut search = CachedMatcher::new(Arc::clone(&whole));
    for set in [&whole, &other, &whole] {
        search.use_signatures(set);
        for (method, target) in examples().chain(examples()).flat_map(|example| [example; 3]) {
            let found = search.find(method.as_bytes(), target);
            let found = found.map(|found| {
                let also = found.also.iter().map(|signature| signature.slug.clone()).collect();
                (found.signature.slug.clone(), found.evasions.iter().map(Evasion::name).collect(), also)
            });
            assert_eq!(found, find(set, method, target), "{method} {}", target.escape_ascii());
        }
    }
    // The end of one request is the method of another.
    for (method, target) in [("GET", "/.env"), ("GET/", ".env"), ("GE", "T/.env")].iter().flat_map(|pair| [pair; 3]) {
        let found = search.find(method.as_bytes(), target.as_bytes()).map(|found| found.signature.slug.clone());
        assert_eq!(found, find(&whole, method, target.as_bytes()).map(|(slug, ..)| slug), "{method} {target}");
    }
}

/// An exclusion of the served path applies to every spelling of it; a path cut at its NUL is a different one.
#[test]
fn exclusion_of_the_served_path_applies_to_its_spellings() {
    let set = set(&entry(1_010_000, "match.words = [[\"twilio\"], [\"/env\"]]\nmatch.unless = [\"img\", \".png\"]"));
    for (target, expected) in [
        ("/twilio/env", true),
        ("/twilio/%65nv", true),
        ("/twilio/.env%00.png", true),
        ("/a/twilio-env.png", false),
        ("/a/twilio-env.pn%67", false),
        ("/%69mg/twilio-env", false),
    ] {
        assert_eq!(find(&set, "GET", target.as_bytes()).is_some(), expected, "{target}");
    }
}

#[test]
fn failing_examples_are_reported() {
    assert_eq!(builtin().failing_examples(), [""; 0]);
    let set = set(&[
        entry(1_010_000, "match.path = \"/a/b\"\nhits = [\"/a\", \"POST /a/b\"]\nmisses = [\"/a/b/\", \"/b\"]"),
        entry(1_010_001, "match.suffix = \"/b\"\nhits = [\"/b\", \"/a/b\"]\nmisses = [\"/a/b/\"]"),
        entry(1_010_002, "match.path = \"/c\"\nstatus = \"support\"\nhits = [\"/c\"]"),
    ]
    .concat());
    assert_eq!(
        set.failing_examples(),
        [
            "test.toml:2: s1010000: GET \"/a\" does not match",
            "test.toml:2: s1010000: GET \"/a/b/\" matches",
            "test.toml:14: s1010001: GET \"/a/b\" is reported as s1010000",
            "test.toml:14: s1010001: GET \"/a/b/\" matches",
        ]
    );
}

#[test]
fn hundred_thousand_paths_are_all_found() {
    let path = |number: u64| format!("/d{}/x{:x}/{}.php", number % 97, number.wrapping_mul(0x9e37_79b9), number % 11);
    let list: String = (0..100_000).map(|number| path(number) + "\n").collect();
    let text = entry(1_010_000, "match.path_file = \"list\"");
    let mut list = Some(list);
    let set = Signatures::load(
        &[SignatureFile { name: "test.toml", text: &text, origin: SignatureOrigin::User }],
        &mut |_| list.take().ok_or_else(|| "read twice".into()),
    )
    .expect("loads");
    assert_eq!(set.patterns(), 100_000);
    let mut normaliser = Normaliser::new();
    let mut hit = |number| {
        let target = path(number);
        let candidates = normaliser.candidates(b"GET", target.as_bytes());
        set.find(b"GET", target.as_bytes(), &candidates).is_some()
    };
    assert!((0..100_000).all(&mut hit));
    assert!(!(100_000..200_000).any(&mut hit));
}

#[test]
fn usual_spelling_of_a_pattern_is_no_evasion() {
    let set = builtin();
    let names = |target: &str| find(set, "GET", target.as_bytes()).map(|(_, names, _)| names.join(","));
    for (target, expected) in [
        ("/Sms_Bomber.exe", ""),
        ("/sms_bomber.exe", ""),
        ("/SMS_Bomber.exe", "case"),
        ("/sms/api/", ""),
        ("/sms/api", ""),
        ("/sms/api//", "slashes"),
        ("/sms/api/.", "dot-segments"),
        ("/sms/api/%20", "percent,trailing"),
        ("/sms/env/", "trailing"),
        ("/sms/env?x=%41%2541", ""),
        ("/Blog/wp-content/plugins/wp-sms/assets/css/admin-bar.css", ""),
        ("/blog/wp-content/plugins/WP-sms/assets/css/admin-bar.css", "case"),
        ("/%2573ms/env", "double-percent"),
        ("/%73ms%252fenv", "percent,double-percent"),
        ("/%u0073ms/env", "unicode"),
        ("/%uff53ms/env", "unicode"),
        ("/sms%c0%afenv", "percent,unicode"),
        ("/sms%5Cenv", "percent,backslash"),
        ("/sms/env%00.html", "percent,nul"),
        ("/sms/env x", "whitespace"),
        ("/sms;a=b/env", "path-parameter"),
        (
            "/api/v1/livechat/sms-incoming/%25%25target%25%25/wp-content/themes/twentytwentyone/assets/css/print.css",
            "percent",
        ),
        ("https://SMS-activate.org/%41//", "case"),
        ("http://u:p@victim.example:8080/sms/env?x", ""),
    ] {
        assert_eq!(names(target).as_deref(), Some(expected), "{target}");
    }
}

#[test]
fn near_misses_do_not_match() {
    let set = builtin();
    for target in [
        "/sms/en",
        "/sms.pyc",
        "/index.html?u=/sms/env",
        "/sms%252fenv%25",
        "/wp-content/plugins/sms-alert/css/admin.cs",
        "/sms/env%",
        "/sms%zz/env",
        "/images/nagios-sms5.png",
        "/sms/api/v2",
        "/smsa-express",
        "/",
        "*",
        "/sms",
        "/docs?next=/sms/env",
        "/x#/sms/env",
        "/sms/env%3Fx",
        "https://example.org/",
        "/sms-activate.org",
        "https://sms-activate.org.evil.example/",
        "http://example.org/?https://sms-activate.org",
        "/sms/\u{e9}nv",
        "sms-activate.org:443",
    ] {
        assert_eq!(find(set, "GET", target.as_bytes()), None, "{target}");
    }
    assert_eq!(find(set, "CONNECT", b"sms-activate.org.evil.example:443"), None);
    assert_eq!(find(set, "OPTIONS", b"*"), None);
}

#[test]
fn proxy_tests_are_found_in_every_form() {
    let set = builtin();
    for (method, target) in [
        ("GET", "https://sms-activate.org"),
        ("GET", "https://sms-activate.org/"),
        ("GET", "HTTPS://SMS-Activate.ORG:443/stubs/handler_api.php?action=getBalance"),
        ("GET", "http://u:p@www.sms-activate.org.:80"),
        ("GET", "https://sms-activate.org?x"),
        ("GET", "https://sms%2Dactivate.org/"),
        ("CONNECT", "sms-activate.org:443"),
        ("connect", "api.sms-activate.org"),
        ("CONNECT", "https://sms-activate.org:443"),
    ] {
        assert!(find(set, method, target.as_bytes()).is_some(), "{method} {target}");
    }
}

#[test]
fn kind_length_and_id_decide_the_best_match() {
    let set = set(&[
        entry(1_010_009, "match.path = \"/a/b/c\""),
        entry(1_010_008, "match.suffix = \"/b/c\""),
        entry(1_010_007, "match.suffix = \"/c\""),
        entry(1_010_006, "match.prefix = \"/a\""),
        entry(1_010_005, "match.prefix = \"/a/b\""),
        entry(1_010_004, "match.raw = \"/b/\""),
        entry(1_010_003, "match.words = [[\"a\"], [\"c\", \"d\"]]"),
        entry(1_010_002, "match.host = \"example.org\""),
        entry(1_010_001, "match.suffix = [\"/c\", \"/z\"]"),
        entry(1_010_000, "match.path = \"/a/b/c\"\nstatus = \"support\""),
    ]
    .concat());
    let (best, _, also) = find(&set, "GET", b"http://www.example.org/a/b/c").expect("matches");
    assert_eq!(best, "s1010009");
    let expected = [8, 1, 7, 5, 6, 2, 4, 3].map(|last| format!("s101000{last}"));
    assert_eq!(also, expected);
    assert_eq!(find(&set, "GET", b"/ab"), None);
    assert_eq!(find(&set, "GET", b"/x/z").map(|found| found.0).as_deref(), Some("s1010001"));
}

#[test]
fn methods_and_queries_restrict_matches() {
    let set = set(&[
        entry(1_010_000, "match.path = \"/a\"\nmethods = [\"POST\"]"),
        entry(1_010_001, "match.path = \"/b\"\nquery = [\"action=send-sms\", \"api_key\"]"),
    ]
    .concat());
    assert!(find(&set, "GET", b"/a").is_none());
    assert!(find(&set, "post", b"/a").is_some());
    for (target, expected) in [
        ("/b", false),
        ("/b?action=send-sms", false),
        ("/b?api_key=1&action=send-sms", true),
        ("/b?api%5Fkey&Action=Send%2Dsms#x", true),
        ("/b?api_key=1&action=send-sms2", false),
        ("/b#?api_key=1&action=send-sms", false),
    ] {
        assert_eq!(find(&set, "GET", target.as_bytes()).is_some(), expected, "{target}");
    }
}

#[test]
fn raw_patterns_match_undecoded_bytes_and_case() {
    let set = set(&entry(1_010_000, "match.raw = [\"%%dest%%\", \"{{target}}\"]"));
    assert!(find(&set, "GET", b"/x?u=%%dest%%").is_some());
    assert!(find(&set, "GET", b"/{{target}}/x").is_some());
    assert!(find(&set, "GET", b"/%%DEST%%").is_none());
    assert!(find(&set, "GET", b"/%7b{target}}").is_none());
}

#[test]
fn path_beyond_the_limit_is_not_cut_into_a_match() {
    let set = builtin();
    let mut target = b"/sms/env".to_vec();
    let long = [b"/".repeat(smsentry::uri::MAX_TARGET - 8), target.clone()].concat();
    assert!(find(set, "GET", &long).is_some());
    // The same bytes followed by others beyond the limit are another path.
    assert!(find(set, "GET", &[long, b"/x".to_vec()].concat()).is_none());
    target.extend_from_slice(&b"?".repeat(3 * smsentry::uri::MAX_TARGET));
    assert!(find(set, "GET", &target).is_some());
}

/// An evasion of a path and its reported name. The added bytes have no letters: encoding them would not need undoing.
fn evasion(which: u8, at: usize, path: &str) -> (String, &'static str) {
    let slashes: Vec<usize> = path.match_indices('/').map(|(at, _)| at).collect();
    let letters: Vec<usize> = path.match_indices(|c: char| c.is_ascii_alphabetic()).map(|(at, _)| at).collect();
    let slash = slashes.get(at % slashes.len().max(1)).copied().unwrap_or(0);
    // Not within an escape: a character right after a percent sign would become another escape.
    let free: Vec<usize> = letters.into_iter().filter(|&at| !path[at.saturating_sub(5)..at].contains('%')).collect();
    let character = free.get(at % free.len().max(1)).copied();
    let put = |at: usize, len: usize, text: &str| format!("{}{text}{}", &path[..at], &path[at + len..]);
    let byte = |at: usize| path.as_bytes()[at];
    match (which, character) {
        (0, Some(character)) => (put(character, 1, &format!("%{:02x}", byte(character))), "percent"),
        (1, Some(character)) => (put(character, 1, &format!("%25{:02X}", byte(character))), "double-percent"),
        (2, _) => (put(slash, 1, "/11/../"), "dot-segments"),
        (3, _) => (put(slash, 1, "///"), "slashes"),
        (4, _) => (put(slash, 1, "\\"), "backslash"),
        (5, Some(character)) if byte(character).is_ascii_lowercase() => {
            (put(character, 1, &path[character..=character].to_uppercase()), "case")
        }
        (6, _) => (put(slash, 0, if slash == 0 { "/;1" } else { ";1=2" }), "path-parameter"),
        (7, _) => (format!("{path}%20."), "trailing"),
        (8, _) => (format!("{path}%00.1"), "nul"),
        (9, Some(character)) => (put(character, 1, &format!("%u00{:02x}", byte(character))), "unicode"),
        (10, _) => (format!("{path} 1"), "whitespace"),
        (11, _) => (format!("{path}?a=/b/../c%41"), ""),
        // Nothing there to change.
        _ => (path.to_owned(), ""),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Any stack of evasions, applied in the reverse of the order in which servers undo them, is undone and named.
    #[test]
    fn probes_with_evasions_are_found(index in 0usize..18, stack in prop::collection::vec((0u8..12, 0usize..100), 0..5)) {
        let set = builtin();
        let (signature, patterns) = set.iter()
            .filter_map(|signature| match &signature.pattern {
                // The first signatures, which depend only on the path.
                Pattern::Text(kind, patterns) if *kind != MatchKind::Host && signature.id < 1_000_120 => {
                    Some((signature, patterns))
                }
                _ => None,
            })
            .nth(index)
            .expect("18 paths");
        // One each, in an order in which a later one does not undo or swallow an earlier one.
        let order = [5, 2, 3, 6, 7, 8, 0, 1, 9, 4, 10, 11];
        let mut target = patterns[0].clone();
        let mut wanted = Vec::new();
        for which in order {
            if let Some(&(_, at)) = stack.iter().find(|(other, _)| *other == which) {
                let (evading, name) = evasion(which, at, &target);
                // After a NUL that cuts, the blank means nothing.
                if !(name == "whitespace" && wanted.contains(&"nul")) {
                    wanted.push(name);
                }
                target = evading;
            }
        }
        let (slug, names, _) = find(set, "GET", target.as_bytes())
            .unwrap_or_else(|| panic!("{target:?} is not found"));
        prop_assert_eq!(&slug, &signature.slug);
        for name in wanted.iter().filter(|name| !name.is_empty()) {
            prop_assert!(names.contains(name), "{} not named in {:?} of {}", name, names, target);
        }
        // Every named evasion was applied.
        let there = |name: &str| match name {
            // A blank or a NUL was written as an escape.
            "percent" => ["percent", "trailing", "nul"].iter().any(|name| wanted.contains(name)),
            other => wanted.contains(&other),
        };
        for name in &names {
            prop_assert!(there(name), "{} named for {}", name, target);
        }
    }
}

/// A small alphabet, so that random patterns and targets match often.
fn segment() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "ab", "A", "sms", "x.y", "longer-segment-name"]).prop_map(str::to_owned)
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(segment(), 1..5).prop_map(|segments| format!("/{}", segments.join("/")))
}

fn host() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "org", "sms-x"]), 2..5)
        .prop_map(|labels| labels.join("."))
}

/// The definition of the kinds, word by word.
fn matches(kind: MatchKind, pattern: &str, path: &[u8], host: Option<&[u8]>) -> bool {
    let key = NormalPath::of(pattern.as_bytes()).path;
    match kind {
        MatchKind::Path => path == key,
        MatchKind::Suffix => path.ends_with(&key),
        MatchKind::Prefix => {
            path.strip_prefix(key.as_slice()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        }
        _ => {
            let key = NormalHost::of(pattern.as_bytes()).host;
            host.is_some_and(|host| {
                host.strip_suffix(key.as_slice()).is_some_and(|rest| rest.is_empty() || rest.ends_with(b"."))
            })
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn table_equals_a_linear_search(
        patterns in prop::collection::vec((0usize..4, path(), host()), 1..40),
        target in path(),
        authority in prop::option::of(host()),
    ) {
        let kinds = [MatchKind::Path, MatchKind::Suffix, MatchKind::Prefix, MatchKind::Host];
        let patterns: Vec<(MatchKind, String)> = patterns.into_iter()
            .map(|(kind, path, host)| (kinds[kind], if kind == 3 { host } else { path }))
            .collect();
        let text: String = (1_010_000u32..).zip(&patterns)
            .map(|(id, (kind, pattern))| entry(id, &format!("match.{} = {pattern:?}", kind.name())))
            .collect();
        let set = set(&text);
        let full = format!("{}{target}", authority.as_ref().map(|host| format!("http://{host}")).unwrap_or_default());
        let normal = NormalPath::of(target.as_bytes()).path;
        let host = authority.map(|host| NormalHost::of(host.as_bytes()).host);
        let mut expected: Vec<(MatchKind, std::cmp::Reverse<usize>, String)> = (1_010_000u32..).zip(&patterns)
            .filter(|(_, (kind, pattern))| matches(*kind, pattern, &normal, host.as_deref()))
            .map(|(id, (kind, pattern))| (*kind, std::cmp::Reverse(pattern.len()), format!("s{id}")))
            .collect();
        expected.sort();
        let expected: Vec<String> = expected.into_iter().map(|(_, _, slug)| slug).collect();
        let found = find(&set, "GET", full.as_bytes())
            .map(|(best, _, also)| [vec![best], also].concat())
            .unwrap_or_default();
        prop_assert_eq!(found, expected, "{}", full);
    }
}
