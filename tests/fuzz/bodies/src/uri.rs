//! Normalises a request target and matches it against the signatures.

use std::sync::OnceLock;

use smsentry::signature::{MatchKind, Pattern, Signature, SignatureFile, SignatureOrigin, Signatures, builtin};
use smsentry::uri::{Candidate, Candidates, MAX_CANDIDATES, NormalHost, NormalPath, Normaliser, query};

const METHODS: [&[u8]; 4] = [b"GET", b"CONNECT", b"POST", b"\xff"];

/// Kinds of pattern that the built-in files lack.
const MORE: &str = r#"
family = "fuzz"
[[signature]]
id = 1010000
rev = 1
slug = "prefix"
title = "prefix"
product = "prefix"
severity = 2
confidence = "high"
match.prefix = ["/a/b", "/Sms_X/"]
[[signature]]
id = 1010001
rev = 1
slug = "words"
title = "words"
product = "words"
severity = 2
confidence = "high"
match.words = [["sms", "twilio"], ["env", "secrets", ".bak"]]
[[signature]]
id = 1010002
rev = 1
slug = "suffix"
title = "suffix"
product = "suffix"
severity = 3
confidence = "low"
match.suffix = ["/a", "/c/d.txt"]
[[signature]]
id = 1010003
rev = 1
slug = "raw"
title = "raw"
product = "raw"
severity = 3
confidence = "low"
match.raw = ["{{", "%25"]
[[signature]]
id = 1010004
rev = 1
slug = "query"
title = "query"
product = "query"
severity = 3
confidence = "low"
match.path = "/q"
methods = ["GET"]
query = ["k=v w"]
"#;

fn signatures() -> &'static Signatures {
    static SET: OnceLock<Signatures> = OnceLock::new();
    SET.get_or_init(|| {
        let mut sources = builtin().to_vec();
        sources.push(SignatureFile { name: "more.toml", text: MORE, origin: SignatureOrigin::User });
        Signatures::load(&sources, &mut |name| Err(name.into())).expect("the signatures load")
    })
}

/// The input is a method and a target. Checks that the fast path gives the same result as the slow path; that normal
/// forms are normal, bounded and idempotent; and that the matches are those of a linear search over all patterns.
pub fn uri(data: &[u8]) {
    let [method, target @ ..] = data else { return };
    let method = METHODS[usize::from(*method) % METHODS.len()];
    let (mut fast, mut slow) = (Normaliser::new(), Normaliser::new());
    let (fast, slow) = (fast.candidates(method, target), slow.all_candidates(method, target));
    same_readings(&fast, &slow, target);
    assert!((1..=MAX_CANDIDATES).contains(&slow.len()));
    for candidate in slow.iter() {
        is_normal(&candidate, target);
    }
    let _ = query(target);
    let found = signatures().find(method, target, &fast);
    let other = signatures().find(method, target, &slow);
    assert_eq!(found.as_ref().map(|found| found.signature.id), other.as_ref().map(|found| found.signature.id));
    assert_eq!(found.as_ref().map(|found| found.evasions), other.as_ref().map(|found| found.evasions));
    let mut ids: Vec<u32> = Vec::new();
    if let Some(found) = &found {
        ids.push(found.signature.id);
        ids.extend(found.also.iter().map(|signature| signature.id));
    }
    ids.sort_unstable();
    ids.dedup();
    let known = signatures().iter().filter(|signature| is_simple(signature));
    for signature in known {
        let naive = matches(signature, method, target, &slow);
        assert_eq!(ids.binary_search(&signature.id).is_ok(), naive, "{} on {}", signature.slug, target.escape_ascii());
    }
}

fn same_readings(fast: &Candidates<'_>, slow: &Candidates<'_>, target: &[u8]) {
    assert_eq!((fast.len(), fast.is_cut()), (slow.len(), slow.is_cut()), "{}", target.escape_ascii());
    for (one, two) in fast.iter().zip(slow.iter()) {
        assert_eq!(format!("{one:?}"), format!("{two:?}"), "{}", target.escape_ascii());
    }
}

fn is_normal(candidate: &Candidate<'_>, target: &[u8]) {
    let Candidate { path, path_as_written, host, host_as_written, decoded, .. } = *candidate;
    assert!(decoded <= 2 && path.len() <= target.len() + 1);
    assert_eq!(path, path_as_written.to_ascii_lowercase());
    if !path.is_empty() {
        assert_eq!(NormalPath::of(path).path, path, "again");
        assert!(path.starts_with(b"/") && !path.windows(2).any(|pair| pair == b"//"));
        assert!(!path.iter().any(|byte| matches!(byte, b'\\' | b';' | b'A'..=b'Z')));
        assert!(!path.split(|&byte| byte == b'/').any(|segment| segment == b"." || segment == b".."));
    }
    if let Some(host) = host {
        assert_eq!(host, host_as_written.to_ascii_lowercase());
        assert!(host.len() <= target.len() && !host.ends_with(b"."));
    }
}

/// Whether the linear search below supports this kind of signature.
fn is_simple(signature: &Signature) -> bool {
    let nothing_else = signature.query.is_empty() && signature.scope.unless.is_empty();
    !signature.support && nothing_else && matches!(signature.pattern, Pattern::Text(..))
}

/// Reports whether a signature matches, pattern by pattern.
fn matches(signature: &Signature, method: &[u8], target: &[u8], candidates: &Candidates<'_>) -> bool {
    let Pattern::Text(kind, patterns) = &signature.pattern else { return false };
    let methods = &signature.methods;
    if !methods.is_empty() && !methods.iter().any(|known| method.eq_ignore_ascii_case(known.as_bytes())) {
        return false;
    }
    let whole = !candidates.is_cut();
    patterns.iter().any(|pattern| {
        let pattern = pattern.as_bytes();
        let (path, host) = (NormalPath::of(pattern).path, NormalHost::of(pattern).host);
        let below = |text: &[u8], end: &[u8], mark: u8| {
            text.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with(&[mark]))
        };
        match kind {
            MatchKind::Raw => target.windows(pattern.len()).any(|part| part == pattern),
            MatchKind::Host => {
                candidates.iter().any(|candidate| candidate.host.is_some_and(|it| below(it, &host, b'.')))
            }
            MatchKind::Path => whole && candidates.iter().any(|candidate| candidate.path == path),
            MatchKind::Suffix => whole && candidates.iter().any(|candidate| candidate.path.ends_with(&path)),
            MatchKind::Prefix => candidates.iter().any(|candidate| {
                candidate.path.strip_prefix(&path[..]).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
            }),
            MatchKind::Words => false,
        }
    })
}
