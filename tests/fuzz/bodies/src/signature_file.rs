//! Loads a signature file.

use smsentry::signature::{SignatureFile, SignatureOrigin, Signatures, builtin};
use smsentry::uri::Normaliser;

/// The input is a signature file and, after a NUL, the file that any `path_file` reads. Checks that it is either
/// refused with lines of the file and reasons of one line, or loaded and usable; the same every time; with memory in
/// proportion.
pub fn signature_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (text, paths) = text.split_once('\0').unwrap_or((text, ""));
    let mut asked = 0;
    let mut load = |sources: &[SignatureFile<'_>]| {
        Signatures::load(sources, &mut |_| {
            asked += 1;
            if paths.is_empty() { Err("not there".into()) } else { Ok(paths.to_owned()) }
        })
    };
    let source = SignatureFile { name: "dir/fuzz.toml", text, origin: SignatureOrigin::User };
    let alone = load(&[source]);
    // The smallest of the built-in files: with all of them a run would only parse these.
    let mut beside: Vec<_> = builtin().iter().min_by_key(|file| file.text.len()).copied().into_iter().collect();
    beside.push(source);
    let beside = load(&beside);
    match (&alone, &beside) {
        (Err(errors), _) => {
            assert!(!errors.is_empty() && beside.is_err(), "what is wrong alone is wrong beside others");
            let again = load(&[source]).expect_err("the same every time");
            assert_eq!(errors, &again);
            for error in errors {
                assert!(error.line >= 1 && error.line <= text.split('\n').count(), "line {}", error.line);
                assert!(!error.reason.is_empty() && !error.reason.contains('\n'), "{}", error.reason);
            }
        }
        (Ok(set), _) => {
            assert!(set.memory() < (1 << 20) | (64 * (data.len() + paths.len() * set.len())), "{} bytes", set.memory());
            usable(set);
        }
    }
    if let Ok(set) = &beside {
        usable(set);
    }
}

fn usable(set: &Signatures) {
    let _ = set.failing_examples();
    let mut normaliser = Normaliser::new();
    for signature in set.iter() {
        for example in signature.hits.iter().chain(&signature.misses) {
            let (method, target) = (example.method.as_bytes(), example.target.as_bytes());
            let found = set.find(method, target, &normaliser.candidates(method, target));
            if let Some(found) = found {
                assert!(set.iter().any(|known| known.id == found.signature.id));
                let helps = found.also.iter().any(|other| other.support);
                assert!(!helps, "a signature in support of others is never named");
            }
        }
    }
}
