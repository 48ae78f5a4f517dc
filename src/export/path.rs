//! Patterns of paths, hosts, words and queries as regular expressions, in the dialects of other tools. Not the rules
//! around them.
//!
//! A tool looks at a request target that it has brought to some normal form of its own; the expressions undo what it
//! left of our steps: repeated slashes, backslashes, `;parameters`, what is trailing. They are anchored, so no part of
//! the query is taken for the path.

use std::collections::BTreeMap;

use super::tree::tree;
use crate::signature::{MatchKind, Pattern, QueryCondition, Signature, WordList};
use crate::uri::{NormalHost, NormalPath};

/// How a tool writes regular expressions, and what it leaves in a path. Each piece stands for itself within others.
pub(super) struct Dialect {
    /// The beginning of a group that captures nothing.
    pub group: &'static str,
    /// How a byte that is no letter, digit or `_` is written.
    pub escape: fn(u8) -> String,
    /// One slash, however written.
    pub slash: &'static str,
    /// One byte of a segment.
    pub inside: &'static str,
    /// One byte of a segment that is no dot.
    pub no_dot: &'static str,
    /// What follows `;` up to the end of the segment, the `;` included.
    pub parameters: &'static str,
    /// From the beginning to anywhere in the path, but not into parameters.
    pub before: &'static str,
    /// From the beginning to behind a slash or the other bytes between words, or nothing, but not into parameters.
    pub word_start: &'static str,
    /// What means nothing at the end of a path.
    pub trailing: &'static str,
    /// The end of the path: of the target, or of what comes before the query.
    pub end: &'static str,
    /// One byte that ends a word.
    pub word_end: &'static str,
    /// What looks whether a word ends here, where the engine can look ahead and take a group up again as `(?1)`.
    pub word_ends: Option<&'static str>,
}

/// PCRE on Suricata's `http.uri` and Snort's `http_uri`: decoded once, the query behind it. libhtp leaves `%2f`, `;`,
/// `//` and `\`. Possessive, so that no target makes the engine try again and again. `;` and `"` are written as bytes,
/// since they would end an option.
pub(super) const PCRE: Dialect = Dialect {
    group: "(?:",
    escape: |byte| match byte {
        b'-' => "-".to_owned(),
        b'/' => "\\/".to_owned(),
        b'.' => "\\.".to_owned(),
        _ => format!("\\x{byte:02x}"),
    },
    slash: r"(?:[\/\x5c]|%2f)",
    inside: r"(?:[^\/\x5c\x3b?#\x00%]|%(?!2f))",
    no_dot: r"(?:[^\/\x5c\x3b?#\x00%.]|%(?!2f))",
    parameters: r"\x3b(?:[^\/\x5c?#\x00%]|%(?!2f))*+",
    before: r"^[^\x3b?#]*?(?:\x3b(?:[^\/\x5c?#\x00%]|%(?!2f))*+[^\x3b?#]*?)*?",
    word_start: r"^(?:[^\x3b?#]*?(?:\x3b(?:[^\/\x5c?#\x00%]|%(?!2f))*+[^\x3b?#]*?)*?(?:[\/\x5c._~-]|%2f))?",
    trailing: r"(?:[\s.\/\x5c]|%2f|\x3b(?:[^\/\x5c?#\x00%]|%(?!2f))*+)*+",
    end: r"(?:[?#\x00]|$)",
    word_end: r"(?:[\/\x5c._~\x3b-]|%2f)",
    word_ends: Some(r"(?=[\s._~\/\x5c\x3b?#\x00-]|%2f|$)"),
};

/// Zeek's: no lazy or possessive operators, no look-ahead, no groups but capturing ones, and no `\s`; a slash is written
/// as a byte because two escaped ones in a row end the expression. On a URI decoded once, with its query; dot segments
/// are left.
pub(super) const ZEEK: Dialect = Dialect {
    group: "(",
    escape: |byte| format!("\\x{byte:02x}"),
    slash: r"[\x2f\x5c](\.(\x3b[^\x2f\x5c?\x23]*)?[\x2f\x5c])*",
    inside: r"[^\x2f\x5c\x3b?\x23]",
    no_dot: r"[^\x2f\x5c\x3b?\x23.]",
    parameters: r"\x3b[^\x2f\x5c?\x23]*",
    before: r"^([^\x3b?\x23]|\x3b[^\x2f\x5c?\x23]*[\x2f\x5c])*",
    word_start: r"^(([^\x3b?\x23]|\x3b[^\x2f\x5c?\x23]*[\x2f\x5c])*([\x2f\x5c._~\x2d]|\x3b[^\x2f\x5c?\x23]*[\x2f\x5c]))?",
    trailing: r"([ \x09-\x0d.\x2f\x5c]|\x3b[^\x2f\x5c?\x23]*)*",
    end: r"([?\x23]|$)",
    word_end: r"[\x2f\x5c._~\x3b\x2d]",
    word_ends: None,
};

/// Sigma's, for `cs-uri-stem`: what most engines of log stores understand. The path as the server logged it, without
/// query.
pub(super) const SIGMA: Dialect = Dialect {
    group: "(",
    escape: |byte| match byte {
        b'-' | b'/' | b'~' | b'%' | b' ' | b'=' | b',' | b':' => char::from(byte).to_string(),
        0x21..=0x7e => format!("\\{}", char::from(byte)),
        _ => format!("\\x{byte:02x}"),
    },
    slash: "/+",
    inside: "[^/;?#]",
    no_dot: "[^/;?#.]",
    parameters: ";[^/?#]*",
    before: "^.*",
    word_start: "^(.*[/._~-])?",
    trailing: "[./]*(;[^/?#]*)?",
    end: "([?#].*)?$",
    word_end: "[/._~;-]",
    word_ends: None,
};

/// A test of a request target.
#[derive(Debug)]
pub(super) struct Test {
    /// The expression, to be compared without regard to case.
    pub expression: String,
    /// Bytes that every match has, without regard to case; may be empty.
    pub content: Vec<u8>,
    /// Whether it must not match.
    pub negated: bool,
}

/// The tests of path and query that a signature stands for; all must hold.
///
/// # Errors
/// Why no expression can say it. `raw` and `host` patterns are not looked for in paths.
pub(super) fn tests(signature: &Signature, dialect: &Dialect) -> Result<Vec<Test>, String> {
    let mut tests = match &signature.pattern {
        Pattern::Text(kind, patterns) => vec![dialect.paths(*kind, patterns)?],
        Pattern::PathFile(name, count) => {
            return Err(format!("its {count} paths stand in {name}, a list for a table and not for rules"));
        }
        Pattern::Words(lists) => dialect.words(lists, signature)?,
    };
    if !signature.scope.unless.is_empty() {
        let expression = dialect.unless(&signature.scope.unless);
        tests.push(Test { expression, content: Vec::new(), negated: true });
    }
    Ok(tests)
}

impl Dialect {
    /// Bytes as they stand for themselves.
    pub(super) fn literal(&self, bytes: &[u8]) -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        bytes.iter().map(|&byte| if plain(byte) { char::from(byte).to_string() } else { (self.escape)(byte) }).collect()
    }

    /// Any of several expressions.
    pub(super) fn any(&self, expressions: &[String]) -> String {
        match expressions {
            [only] => only.clone(),
            all => format!("{}{})", self.group, all.join("|")),
        }
    }

    /// Any of several texts; `slash` is what stands for each `/` in them. A few are written one after the other, since
    /// people read rules.
    fn any_text(&self, texts: &[impl AsRef<[u8]>], slash: &str) -> String {
        /// Rationale: at a glance one sees some words; more than that are a list anyway.
        const FEW: usize = 8;
        let byte = |byte: u8| if byte == b'/' { slash.to_owned() } else { self.literal(&[byte]) };
        let mut sorted: Vec<&[u8]> = texts.iter().map(AsRef::as_ref).collect();
        if sorted.len() <= FEW {
            let whole = |text: &&[u8]| text.iter().map(|&one| byte(one)).collect::<String>();
            return self.any(&sorted.iter().map(whole).collect::<Vec<_>>());
        }
        sorted.sort_unstable();
        sorted.dedup();
        tree(&sorted, self.group, &byte)
    }

    /// Between two segments: at least one slash, parameters before each.
    fn between(&self) -> String {
        let Self { group, parameters, slash, .. } = self;
        format!("{group}{group}{parameters})?{slash})+")
    }

    /// What may stand before the first segment.
    fn lead(&self) -> String {
        let Self { group, parameters, slash, .. } = self;
        format!("{group}{group}{parameters})?{slash})*")
    }

    /// The end of a path with what means nothing before it.
    fn tail(&self) -> String {
        format!("{}{}", self.trailing, self.end)
    }

    /// From the beginning of the target to the beginning of a segment.
    fn segment_start(&self) -> String {
        let Self { group, slash, end, .. } = self;
        // A target may lack the first slash. The bytes that end a path end this search.
        let query = if end.contains("\\x23") { r"[^?\x23]" } else { "[^?#]" };
        format!("^{group}{query}*{slash})?{}", self.lead())
    }

    /// Patterns of one kind.
    fn paths(&self, kind: MatchKind, patterns: &[String]) -> Result<Test, String> {
        let mut keys = Vec::new();
        for pattern in patterns {
            let key = NormalPath::of(pattern.as_bytes()).path;
            if has_escape(&key) {
                return Err(format!("{pattern:?} has a percent-escape, which the tool has decoded before it looks"));
            }
            keys.push(key);
        }
        let path = |key: &Vec<u8>| {
            let segments = key.split(|&byte| byte == b'/').filter(|segment| !segment.is_empty());
            segments.collect::<Vec<_>>().join(&b'/')
        };
        let any = self.any_text(&keys.iter().map(path).collect::<Vec<_>>(), &self.between());
        let expression = match kind {
            MatchKind::Path => format!("^{}{any}{}", self.lead(), self.tail()),
            MatchKind::Suffix => format!("{}{any}{}", self.segment_start(), self.tail()),
            MatchKind::Prefix => {
                let Self { group, slash, parameters, .. } = self;
                format!("^{}{any}{group}{slash}|{parameters}|{})", self.lead(), self.tail())
            }
            MatchKind::Host | MatchKind::Raw | MatchKind::Words => return Err("is no path".to_owned()),
        };
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        Ok(Test { expression, content: super::bytes::common(&keys, b"/"), negated: false })
    }

    /// One test for each list.
    fn words(&self, lists: &[WordList], signature: &Signature) -> Result<Vec<Test>, String> {
        let escaped = lists.iter().flat_map(|list| list.iter()).find(|word| has_escape(word.as_bytes()));
        if let Some(word) = escaped {
            return Err(format!("{word:?} has a percent-escape, which the tool has decoded before it looks"));
        }
        let scope = &signature.scope;
        let mut tests: Vec<Test> = Vec::new();
        let (mut plain, mut content) = (Vec::new(), Vec::new());
        for list in lists {
            let list: WordList = list.iter().map(|word| word.to_ascii_lowercase()).collect();
            let texts: Vec<&[u8]> = list.iter().map(|word| word.as_bytes()).collect();
            let common = super::bytes::common(&texts, b"/");
            if self.word_ends.is_some() && scope.only && scope.last == Some(1) && only_words(&list) {
                // Looked for where the words are gone through anyway, so that a rule has each list once.
                content = if common.len() > content.len() { common } else { content };
                plain.push(list);
                continue;
            }
            tests.push(Test { expression: self.any_word(&list, scope.last), content: common, negated: false });
        }
        if let (true, Some(last)) = (scope.only, scope.last) {
            tests.push(Test { expression: self.only(lists, &plain, last), content, negated: false });
        }
        Ok(tests)
    }

    /// Any of the words that rule a match out.
    pub(super) fn unless(&self, words: &[String]) -> String {
        self.any_word(words, None)
    }

    /// Any of several entries of a list of words, within the `last` segments.
    fn any_word(&self, entries: &[String], last: Option<u8>) -> String {
        let Self { group, no_dot, inside, before, word_start, word_end, slash, parameters, .. } = self;
        let tail = self.tail();
        let rest = match last {
            // What may follow, so that the word stands in one of the last segments.
            Some(last) => {
                format!("{group}[._~{}]{inside}*)?{}{tail}", self.dash(), self.more_segments(Some(last)))
            }
            None => format!("{group}{word_end}|{tail})"),
        };
        let entries: Vec<String> = entries.iter().map(|entry| entry.to_ascii_lowercase()).collect();
        let sorted = Sorted::of(&entries);
        let any = |texts: &[&str]| self.any_text(texts, &self.literal(b"/"));
        let (start, dash, between) = (self.segment_start(), self.dash(), self.between());
        let mut all = Vec::new();
        if !sorted.words.is_empty() {
            all.push(format!("{word_start}{}{rest}", any(&sorted.words)));
        }
        if !sorted.last_name.is_empty() {
            all.push(format!("{word_start}{}{group}[._~{dash}]{inside}*)?{tail}", any(&sorted.last_name)));
        }
        if !sorted.endings.is_empty() {
            all.push(format!("{before}{}{tail}", any(&sorted.endings)));
        }
        if sorted.no_ending {
            all.push(format!("{start}{no_dot}+{tail}"));
        }
        if !sorted.names.is_empty() {
            let names = any(&sorted.names);
            all.push(match last {
                Some(_) => format!("{start}{names}{}{tail}", self.more_segments(last)),
                None => format!("{start}{names}{group}{slash}|{parameters}|{tail})"),
            });
        }
        for (names, words) in &sorted.below {
            let (names, words) = (any(names), any(words));
            all.push(format!("{start}{names}{between}{group}{inside}*[._~{dash}])?{words}{rest}"));
        }
        self.any(&all)
    }

    /// As many more segments as may follow the one of a word.
    fn more_segments(&self, last: Option<u8>) -> String {
        let more = last.map_or(0, |last| last.saturating_sub(1));
        format!("{}{}{}+){{0,{more}}}", self.group, self.between(), self.inside)
    }

    /// The last segments have no words but those of the lists; the last one has a word of each list of `plain`.
    fn only(&self, lists: &[WordList], plain: &[WordList], last: u8) -> String {
        let Self { group, .. } = self;
        // Of a name or a place, the word it has at its end.
        let bare = |entry: &String| match entry.trim_end_matches('/').rsplit_once('/') {
            Some((_, word)) => word.to_ascii_lowercase(),
            None => entry.to_ascii_lowercase(),
        };
        let known = |ending: bool| {
            let wanted = move |word: &String| !word.is_empty() && word.starts_with('.') == ending;
            lists.iter().flat_map(|list| list.iter()).map(bare).filter(wanted).collect::<Vec<_>>()
        };
        let (mut words, endings) = (known(false), known(true));
        words.retain(|word| {
            !plain.iter().flat_map(|list| list.iter()).any(|known| known.trim_start_matches('/') == word)
        });
        let free = format!("[._~{}]", self.dash());
        let mut of_plain = String::new();
        for list in plain {
            let texts: Vec<&str> = list.iter().map(|word| word.trim_start_matches('/')).collect();
            let (any, inside, tail) = (self.any_text(&texts, ""), self.inside, self.tail());
            of_plain.push_str(&format!("(?={group}{inside}*{free})?({any}){group}{free}{inside}*)?{tail})"));
        }
        let mut any: Vec<String> = (1..=plain.len()).map(|number| format!("(?{number})")).collect();
        if !words.is_empty() {
            any.push(self.any_text(&words, ""));
        }
        let word = self.any(&any);
        // A word has no such byte, but the name of a place may begin with one.
        let free_first = |word: &String| word.starts_with(['.', '_', '~', '-']);
        let name = match self.word_ends {
            _ if any.is_empty() => format!("{free}*"),
            Some(ends) if !words.iter().any(free_first) => format!("{free}*{group}{group}{word}){ends}{free}*)*"),
            _ => format!("{free}*{group}{group}{word}){group}{free}+{group}{word}))*)?{free}*"),
        };
        let ending = match endings.is_empty() {
            true => String::new(),
            false => format!("{group}{})?", self.any_text(&endings, "")),
        };
        let more = last.saturating_sub(1);
        let between = self.between();
        let (lead, tail, start) = (self.lead(), self.tail(), self.segment_start());
        if more == 0 {
            return format!("{start}{of_plain}{name}{ending}{tail}");
        }
        let short = format!("^{lead}{name}{group}{between}{name}){{0,{more}}}{ending}{tail}");
        let long = format!("{start}{name}{group}{between}{name}){{{more}}}{ending}{tail}");
        self.any(&[short, long])
    }

    /// A dash at the end of a class.
    fn dash(&self) -> &'static str {
        if self.word_end.contains("\\x2d") { "\\x2d" } else { "-" }
    }

    /// A condition on the query of a target that stands behind its path.
    pub(super) fn query(&self, condition: &QueryCondition, beside_path: bool) -> String {
        let Self { group, end, .. } = self;
        let hash = if end.contains("\\x23") { "\\x23" } else { "#" };
        let blank = |text: &str| {
            let parts: Vec<String> = text.split(' ').map(|part| self.literal(part.as_bytes())).collect();
            parts.join("[ +]")
        };
        let before = match beside_path {
            true => format!("^[^?{hash}]*[?]{group}[^{hash}]*&)?"),
            false => format!("^{group}.*&)?"),
        };
        let key = blank(&condition.key);
        match &condition.value {
            Some(value) if value.is_empty() => format!("{before}{key}=?{group}[&{hash}]|$)"),
            Some(value) => format!("{before}{key}={}{group}[&{hash}]|$)", blank(value)),
            None => format!("{before}{key}{group}[=&{hash}]|$)"),
        }
    }

    /// The host of an absolute-form target, or of a CONNECT's, in a target as sent. `scheme` is what must stand before
    /// the authority.
    pub(super) fn host(&self, patterns: &[String], scheme: &str) -> String {
        let Self { group, .. } = self;
        let (space, slash) = match self.dash() {
            "-" if (self.escape)(b'/') == "/" => (r"\s", "/"),
            "-" => (r"\s\x00", r"\/"),
            _ => (r" \x09-\x0d", r"\x2f"),
        };
        let hash = if self.end.contains("\\x23") { "\\x23" } else { "#" };
        let back = if slash == "/" { r"\\" } else { r"\x5c" };
        let no = format!("{slash}{back}?{hash}{space}");
        let hosts: Vec<String> =
            patterns.iter().map(|pattern| self.literal(&NormalHost::of(pattern.as_bytes()).host)).collect();
        let hosts = self.any(&hosts);
        format!("^{scheme}{group}[^{no}]*@)?{group}[^{no}@:]*[.])?{hosts}[.]*{group}:[^{no}@]*)?{group}[{no}]|$)")
    }
}

/// The entries of a list of words by what they mean.
#[derive(Default)]
struct Sorted<'a> {
    words: Vec<&'a str>,
    /// Words of the last name.
    last_name: Vec<&'a str>,
    endings: Vec<&'a str>,
    /// Whether the last name may have no ending.
    no_ending: bool,
    /// Whole names.
    names: Vec<&'a str>,
    /// Names, and the words of the name right below any of them.
    below: Vec<(Vec<&'a str>, Vec<&'a str>)>,
}

impl<'a> Sorted<'a> {
    fn of(entries: &'a [String]) -> Self {
        let mut sorted = Self::default();
        let mut below: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for entry in entries {
            match entry.strip_prefix('/').map(|place| place.split_once('/').ok_or(place)) {
                None if entry.starts_with('.') => sorted.endings.push(entry),
                None => sorted.words.push(entry),
                Some(Err("")) => sorted.no_ending = true,
                Some(Err(word)) => sorted.last_name.push(word),
                Some(Ok((name, ""))) => sorted.names.push(name),
                Some(Ok((name, word))) => below.entry(name).or_default().push(word),
            }
        }
        // Names with the same words below them share one expression.
        for (name, words) in below {
            match sorted.below.iter_mut().find(|(_, known)| *known == words) {
                Some((names, _)) => names.push(name),
                None => sorted.below.push((vec![name], words)),
            }
        }
        sorted
    }
}

/// Whether a list has words alone, of the last name or of any: no endings, no names, no places.
fn only_words(list: &[String]) -> bool {
    list.iter().all(|entry| {
        let word = entry.strip_prefix('/').unwrap_or(entry);
        !word.is_empty() && !word.starts_with('.') && !word.contains('/')
    })
}

/// Whether there is `%HH` or `%uHHHH` in a pattern: only the undecoded target has that, or one encoded twice.
fn has_escape(pattern: &[u8]) -> bool {
    let hex = |bytes: Option<&[u8]>| bytes.is_some_and(|bytes| bytes.iter().all(u8::is_ascii_hexdigit));
    memchr::memchr_iter(b'%', pattern).any(|at| {
        let unicode = pattern.get(at + 1).is_some_and(|byte| byte.eq_ignore_ascii_case(&b'u'));
        hex(pattern.get(at + 1..at + 3)) || (unicode && hex(pattern.get(at + 2..at + 6)))
    })
}
