//! Signatures and request targets by the million: paths as in word lists, and targets as ordinary sites have them, of
//! the same words and lengths, none of which is a hit.

use std::fmt::Write;

use smsentry::signature::{LoadError, SignatureFile, SignatureOrigin, Signatures};

/// Directories that are common to probed and ordinary paths.
const DIRECTORIES: [&str; 24] = [
    "admin",
    "api",
    "app",
    "assets",
    "backup",
    "blog",
    "cgi-bin",
    "config",
    "css",
    "data",
    "docs",
    "en",
    "files",
    "images",
    "includes",
    "js",
    "news",
    "old",
    "products",
    "public",
    "shop",
    "static",
    "v1",
    "wp-content",
];
const WORDS: [&str; 40] = [
    "about",
    "account",
    "archive",
    "button",
    "cart",
    "catalog",
    "chart",
    "client",
    "common",
    "contact",
    "customer",
    "dashboard",
    "detail",
    "editor",
    "event",
    "export",
    "feature",
    "footer",
    "gallery",
    "header",
    "helper",
    "icon",
    "invoice",
    "item",
    "jquery",
    "layout",
    "login",
    "main",
    "menu",
    "order",
    "page",
    "profile",
    "report",
    "search",
    "session",
    "settings",
    "theme",
    "update",
    "user",
    "widget",
];
const ENDINGS: [&str; 12] =
    ["", "", ".html", ".php", ".js", ".css", ".png", ".json", ".svg", ".txt", ".woff2", ".min.js"];
/// File names that are common to probed and ordinary paths.
const COMMON: [&str; 8] =
    ["index.html", "index.php", "style.css", "main.js", "login", "robots.txt", "config.json", "logo.png"];

/// Pseudo-random numbers (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }

    fn one_of<'a>(&mut self, things: &[&'a str]) -> &'a str {
        things[self.below(things.len())]
    }
}

/// One to four directories, then a part that `mark` and the number make unique.
fn place(dice: &mut Dice, mark: char, number: usize) -> String {
    let mut path = String::new();
    for _ in 0..1 + dice.below(4) {
        write!(path, "/{}", dice.one_of(&DIRECTORIES)).unwrap();
    }
    if dice.below(4) == 0 {
        write!(path, "/{}{mark}{number}/{}", dice.one_of(&WORDS), dice.one_of(&COMMON)).unwrap();
    } else {
        let [one, other, ending] = [&WORDS[..], &WORDS, &ENDINGS].map(|words| dice.one_of(words));
        write!(path, "/{one}-{other}{mark}{number}{ending}").unwrap();
    }
    path
}

/// A path of a word list; every number has its own.
pub fn path(number: usize) -> String {
    place(&mut Dice(number as u64), 'x', number)
}

/// A target of an ordinary site; every number has its own, and none equals a [`path`].
pub fn target(number: usize) -> String {
    let dice = &mut Dice(!(number as u64));
    let mut target = place(dice, '-', number);
    match dice.below(6) {
        0 => write!(target, "?v={}", dice.below(1_000_000)).unwrap(),
        1 => write!(target, "?page={}&sort={}&q={}", number % 50, dice.one_of(&WORDS), dice.one_of(&WORDS)).unwrap(),
        2 => target.insert_str(1, "Caf%C3%A9/"),
        _ => {}
    }
    target
}

/// A file of `count` paths.
pub fn path_file(count: usize) -> String {
    (0..count).map(|number| path(number) + "\n").collect()
}

/// A signature file of `count` signatures; `pattern` writes what follows `match.`.
pub fn signatures(count: usize, pattern: impl Fn(usize) -> String) -> String {
    let mut text = "family = \"made\"\n\
        mitre = { tactic = \"TA0043 Reconnaissance\", technique = \"T1595.003 Wordlist Scanning\" }\n"
        .to_owned();
    for number in 0..count {
        let (id, pattern) = (1_010_000 + number, pattern(number));
        write!(
            text,
            "\n[[signature]]\nid = {id}\nrev = 1\nslug = \"made-{number}\"\ntitle = \"Made number {number}\"\n\
             product = \"Made\"\nseverity = 3\nconfidence = \"low\"\nmatch.{pattern}\nreferences = \
             [\"https://www.example.org/{number}\"]\ncreated_at = \"2026_11_21\"\nupdated_at = \"2026_11_21\"\n"
        )
        .unwrap();
    }
    text
}

/// One signature whose paths are in the file `paths.txt`.
pub fn listed() -> String {
    signatures(1, |_| "path_file = \"paths.txt\"".to_owned())
}

/// A pattern of every kind in turn.
pub fn of_every_kind(number: usize) -> String {
    let path = path(number);
    match number % 6 {
        0 => format!("path = {path:?}"),
        1 => format!("suffix = {path:?}"),
        2 => format!("prefix = {path:?}"),
        3 => format!("host = \"host-{number}.example.net\""),
        4 => raw(number),
        _ => words(number),
    }
}

/// A `raw` pattern.
pub fn raw(number: usize) -> String {
    format!("raw = \"{{{{{}{}{number}}}}}\"", WORDS[number % 40], WORDS[number / 40 % 40])
}

/// A `words` pattern; the words that targets contain too are in many of them.
pub fn words(number: usize) -> String {
    let [one, other] = [WORDS[number % 40], WORDS[number / 40 % 40]];
    format!("words = [[\"vendor{number}\", \"gateway{number}\"], [\"{one}\", \"{other}{number}\", \".key{number}\"]]")
}

/// Loads one file, with `paths` as `paths.txt`.
pub fn load(text: &str, paths: &str) -> Result<Signatures, Vec<LoadError>> {
    let source = SignatureFile { name: "made.toml", text, origin: SignatureOrigin::User };
    Signatures::load(&[source], &mut |_| Ok(paths.to_owned()))
}
