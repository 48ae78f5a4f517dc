//! Broken signature files: each is refused with file, line and reason, and nothing of it is loaded.

use smsentry::signature::{LoadError, SignatureFile, SignatureOrigin, Signatures, builtin};

const GOOD: &str = r#"
family = "test"

[[signature]]
id = 1010000
rev = 1
slug = "one"
title = "One"
product = "P"
severity = 2
confidence = "high"
match.path = "/one"
"#;

fn load(text: &str) -> Result<Signatures, Vec<LoadError>> {
    Signatures::load(&[SignatureFile { name: "dir/my.toml", text, origin: SignatureOrigin::User }], &mut |name| {
        match name {
            "dir/list.txt" => Ok("# a word list\n/one/Two\n\nthree.env\n/one/two\n".to_owned()),
            "dir/bad.txt" => Ok("/one\n/\n".to_owned()),
            "dir/empty.txt" => Ok("# nothing\n".to_owned()),
            _ => Err(format!("cannot read {name}").into()),
        }
    })
}

#[test]
fn valid_file_loads() {
    let set = load(GOOD).expect("good");
    assert_eq!((set.len(), set.patterns()), (1, 1));
    assert_eq!(load("").expect("no signature is no error").len(), 0);
}

#[test]
fn errors_are_reported_with_their_line() {
    let change = |from: &str, to: &str| {
        assert!(GOOD.contains(from), "{from}");
        GOOD.replace(from, to)
    };
    let add = |line: &str| format!("{GOOD}{line}\n");
    let twice = |from: &str, to: &str| format!("{GOOD}{}", change(from, to).replace("family = \"test\"\n", ""));
    for (text, line, reason) in [
        ("[[signature]\n".to_owned(), 1, ""),
        ("family = \"x\"\n\nid = = 3\n".to_owned(), 3, ""),
        (add("colour = \"red\""), 13, "unknown field `colour`"),
        (add("exposed.colour = \"red\""), 13, "unknown field `colour`"),
        (change("slug = \"one\"\n", ""), 4, "missing field `slug`"),
        (change("confidence = \"high\"", "confidence = \"sure\""), 11, "unknown variant `sure`"),
        (change("family = \"test\"", ""), 5, "missing field `family`"),
        (change("1010000", "1000000"), 5, "out of range"),
        (change("1010000", "1000050"), 5, "reserved for campaigns"),
        (change("1010000", "2000000"), 5, "out of range"),
        (change("1010000", "-1"), 5, "out of range"),
        (change("rev = 1", "rev = 0"), 6, "rev 0"),
        (change("slug = \"one\"", "slug = \"One two\""), 7, "slug \"One two\""),
        (change("title = \"One\"", "title = \"a\\nb\""), 8, "title"),
        (change("severity = 2", "severity = 1"), 10, "severity 1"),
        (change("severity = 2", "severity = 4"), 10, "severity 4"),
        (change("severity = 2", "severity = \"high\""), 10, "invalid type"),
        (change("\"/one\"", "\"\""), 12, "empty pattern"),
        (change("\"/one\"", "\" \""), 12, "empty pattern"),
        (change("\"/one\"", "\"/\""), 12, "root"),
        (change("\"/one\"", "\"/./ .\""), 12, "root"),
        (change("\"/one\"", "\"one\""), 12, "begins with `/`"),
        (change("\"/one\"", "\"/one?x=1\""), 12, "query"),
        (change("\"/one\"", "\"/o\\u0000ne\""), 12, "control"),
        (change("\"/one\"", &format!("\"/{}\"", "x".repeat(512))), 12, "at most 512"),
        (change("\"/one\"", "[]"), 12, "a string, or a list"),
        (change("\"/one\"", "[1]"), 12, "a string, or a list"),
        (change("match.path = \"/one\"", "match.host = \"https://x.org\""), 12, "host name only"),
        (change("match.path = \"/one\"", "match.host = \"x.org:80\""), 12, "host name only"),
        (change("match.path = \"/one\"", "match.host = \"org\""), 12, "top-level domain"),
        (change("match.path = \"/one\"", "match.regex = \"x\""), 12, "unknown kind of match `regex`"),
        (change("match.path = \"/one\"", "match = {}"), 12, "exactly one"),
        (change("match.path = \"/one\"", "match = { path = \"/a\", host = \"b.c\" }"), 12, "exactly one"),
        (change("match.path = \"/one\"", "match.raw = \"\""), 12, "empty pattern"),
        (change("match.path = \"/one\"", "match.words = [[\"a\"]]"), 12, "two to eight lists"),
        (change("match.path = \"/one\"", "match.words = [[\"a\"], [\"b-c\"]]"), 12, "word \"b-c\""),
        (change("match.path = \"/one\"", "match.path = \"/one\"\nmatch.unless = []"), 13, "a list of words"),
        (change("match.path = \"/one\"", "match.path = \"/one\"\nmatch.unless = [\"a-b\"]"), 13, "word \"a-b\""),
        (change("match.path = \"/one\"", "match.host = \"a.b\"\nmatch.unless = [\"a\"]"), 13, "patterns of paths"),
        (change("match.path = \"/one\"", "match.path = \"/one\"\nmatch.last = 1"), 13, "only together with `words`"),
        (change("match.path = \"/one\"", "match.words = [[\"a\"], [\"b\"]]\nmatch.last = 0"), 13, "from 1"),
        (
            change("match.path = \"/one\"", "match.words = [[\"a\"], [\"b\"]]\nmatch.only = true"),
            13,
            "`last` beside it",
        ),
        (change("match.path = \"/one\"", "match.unless = [\"a\"]"), 12, "exactly one"),
        (change("match.path = \"/one\"", "match.path_file = \"none.txt\""), 12, "cannot read dir/none.txt"),
        (change("match.path = \"/one\"", "match.path_file = \"bad.txt\""), 12, "dir/bad.txt:2"),
        (change("match.path = \"/one\"", "match.path_file = \"empty.txt\""), 12, "no path"),
        (add("status = \"off\""), 13, "unknown variant `off`"),
        (add("methods = [\"get\"]"), 13, "upper case"),
        (add("query = [\"a=1&b=2\"]"), 13, "one condition each"),
        (add("references = [\"isc.sans.edu\"]"), 13, "write a URL"),
        (add("cve = [\"2025-1\"]"), 13, "CVE-YYYY-NNNN"),
        (add("created_at = \"2025-01-01\""), 13, "YYYY_MM_DD"),
        (add("exposed.proof = [\"Text/HTML\"]"), 13, "content type"),
        (add("exposed.status = { 404 = \"gone\" }"), 13, "outcome \"gone\""),
        (add("exposed.status = { 42 = \"present\" }"), 13, "100 to 599"),
        (add("mitre = { tactic = \"Recon\", technique = \"T1595 Active Scanning\" }"), 13, "TA0043"),
        (add("hits = [\"\"]"), 13, "an empty request"),
        (twice("slug = \"one\"", "slug = \"two\""), 16, "id 1010000 is already used at dir/my.toml:5"),
        (twice("1010000", "1010001"), 18, "slug \"one\" is already used at dir/my.toml:7"),
    ] {
        let errors = load(&text).err().unwrap_or_else(|| panic!("loaded:\n{text}"));
        let shown = errors[0].to_string();
        assert!(shown.starts_with(&format!("dir/my.toml:{line}: ")), "wanted line {line}: {shown}\n{text}");
        assert!(shown.contains(reason), "wanted {reason:?}: {shown}");
        assert!(!shown.contains('\n'), "{shown}");
    }
}

#[test]
fn every_error_of_a_file_is_reported() {
    let errors = load(&GOOD.replace("severity = 2", "severity = 7").replace("/one", "/")).expect_err("two faults");
    assert_eq!(errors.iter().map(|error| error.line).collect::<Vec<_>>(), [10, 12]);
}

#[test]
fn user_file_is_loaded_beside_or_instead_of_the_built_in_ones() {
    let ours = GOOD.replace("1010000", "1000150");
    let user = |text| SignatureFile { name: "user.toml", text, origin: SignatureOrigin::User };
    let read = &mut |name: &str| Err(name.into());
    let count = Signatures::builtin().expect("they load").len();
    let both: Vec<SignatureFile<'_>> = builtin().iter().copied().chain([user(GOOD)]).collect();
    assert_eq!(Signatures::load(&both, read).expect("both").len(), count + 1);
    let clash: Vec<SignatureFile<'_>> = builtin().iter().copied().chain([user(&ours)]).collect();
    let errors = Signatures::load(&clash, read).expect_err("not its ids");
    assert!(errors[0].reason.contains("1010000 to 1999999"), "{}", errors[0]);
    assert_eq!(Signatures::load(&[user(&ours)], read).expect("an edited copy").len(), 1);
    let both_users = Signatures::load(&[user(GOOD), SignatureFile { name: "b.toml", ..user(GOOD) }], read);
    assert!(both_users.expect_err("the same id")[0].to_string().starts_with("b.toml:5: "));
}

/// Expressions of the built-in files are not validated when they are loaded, so they are checked here.
#[test]
fn built_in_files_pass_the_checks_for_user_files() {
    let all: Vec<_> =
        builtin().iter().map(|source| SignatureFile { origin: SignatureOrigin::User, ..*source }).collect();
    let read = &mut |name: &str| Err(name.into());
    assert_eq!(Signatures::load(&all, read).expect("they hold").len(), Signatures::builtin().expect("they load").len());
}

#[test]
fn path_file_has_one_id() {
    let set = load(&GOOD.replace("path = \"/one\"", "path_file = \"list.txt\"")).expect("loads");
    // Two lines mean the same path.
    assert_eq!((set.len(), set.patterns()), (1, 2));
    let mut normaliser = smsentry::uri::Normaliser::new();
    for (target, found) in [("/one/two", true), ("/THREE.env", true), ("/one", false), ("/# a word list", false)] {
        let candidates = normaliser.candidates(b"GET", target.as_bytes());
        assert_eq!(set.find(b"GET", target.as_bytes(), &candidates).is_some(), found, "{target}");
    }
}
