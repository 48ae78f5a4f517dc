//! Writes patterns of paths, hosts, words and queries as regular expressions, in the dialects of other tools. The rules
//! around them are written by each language's own module.
//!
//! A tool matches a request target in a normal form of its own; the expressions undo those of our normalisation steps
//! that the tool lacks: repeated slashes, backslashes, `;parameters`, trailing characters. They are anchored, so that
//! no part of the query is taken for the path.

use std::collections::BTreeMap;

use super::bytes::common;
use super::tree::tree;
use super::unsupported::Unsupported;
use crate::signature::{MatchKind, Pattern, QueryCondition, Signature, WordList};
use crate::uri::{NormalHost, NormalPath};

/// The regular expression syntax of a tool, and what the tool leaves in a path. Each expression can be embedded in
/// others as it is.
pub(super) struct Dialect {
    /// Opens a group that captures nothing.
    pub group: &'static str,
    /// Escapes a byte that is not a letter, digit or `_`.
    pub escape: fn(u8) -> String,
    /// One slash, in any spelling.
    pub slash: &'static str,
    /// One byte of a segment.
    pub inside: &'static str,
    /// One byte of a segment, other than a dot.
    pub no_dot: &'static str,
    /// Path parameters: from `;` to the end of the segment.
    pub parameters: &'static str,
    /// From the beginning to any position in the path, except within parameters.
    pub before: &'static str,
    /// From the beginning to the position after a slash or another word separator, or nothing; except within
    /// parameters.
    pub word_start: &'static str,
    /// Bytes without meaning at the end of a path.
    pub trailing: &'static str,
    /// The end of the path: of the target, or of the part before the query.
    pub end: &'static str,
    /// One byte that ends a word.
    pub word_end: &'static str,
    /// A look-ahead for the end of a word, if the engine supports look-ahead and subroutine calls such as `(?1)`.
    pub word_ends: Option<&'static str>,
}

/// PCRE on Suricata's `http.uri` and Snort's `http_uri`: decoded once, followed by the query. libhtp leaves `%2f`, `;`,
/// `//` and `\`. Possessive, so that no target causes excessive backtracking. `;` and `"` are written as bytes, since
/// they would end an option.
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

/// Zeek's syntax: no lazy or possessive operators, no look-ahead, capturing groups only, and no `\s`; a slash is
/// written as a byte because two escaped ones in a row end the expression. On a URI decoded once, with its query; dot
/// segments remain.
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

/// Sigma's syntax, for `cs-uri-stem`: the subset that most engines of log stores support. The path as the server logged
/// it, without query.
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
    /// The expression, to be matched case-insensitively.
    pub expression: String,
    /// Bytes that every match contains, case-insensitively; may be empty.
    pub content: Vec<u8>,
    /// Whether it must not match.
    pub negated: bool,
}

/// Writes a signature's pattern as tests of the path; all must hold.
///
/// # Errors
/// The reason why no expression can express the pattern. `raw` and `host` patterns do not match paths.
pub(super) fn tests(signature: &Signature, dialect: &Dialect) -> Result<Vec<Test>, Unsupported> {
    let mut tests = match &signature.pattern {
        Pattern::Text(kind, patterns) => vec![dialect.paths(*kind, patterns)?],
        Pattern::PathFile(name, count) => {
            return Err(Unsupported::PathFile(*count, name.clone()));
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
    /// Writes bytes as literals.
    pub(super) fn literal(&self, bytes: &[u8]) -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        bytes.iter().map(|&byte| if plain(byte) { char::from(byte).to_string() } else { (self.escape)(byte) }).collect()
    }

    /// Writes an alternation of several expressions.
    pub(super) fn any(&self, expressions: &[String]) -> String {
        match expressions {
            [only] => only.clone(),
            all => format!("{}{})", self.group, all.join("|")),
        }
    }

    /// Writes an alternation of several texts; `slash` is the expression for each `/` in them. A few are written one
    /// after the other, since people read rules.
    fn any_text(&self, texts: &[impl AsRef<[u8]>], slash: &str) -> String {
        /// Maximum number of texts written one after the other. Rationale: as many as are easily read.
        const FEW: usize = 8;
        let byte = |byte: u8| if byte == b'/' { slash.to_owned() } else { self.literal(&[byte]) };
        let mut sorted: Vec<&[u8]> = texts.iter().map(AsRef::as_ref).collect();
        if sorted.len() <= FEW {
            let written = |text: &&[u8]| text.iter().map(|&one| byte(one)).collect::<String>();
            return self.any(&sorted.iter().map(written).collect::<Vec<_>>());
        }
        sorted.sort_unstable();
        sorted.dedup();
        tree(&sorted, self.group, &byte)
    }

    /// Writes the separator of two segments: at least one slash, each with optional parameters before it.
    fn between(&self) -> String {
        let Self { group, parameters, slash, .. } = self;
        format!("{group}{group}{parameters})?{slash})+")
    }

    /// Writes what may precede the first segment.
    fn lead(&self) -> String {
        let Self { group, parameters, slash, .. } = self;
        format!("{group}{group}{parameters})?{slash})*")
    }

    /// Writes the end of a path, with the bytes without meaning before it.
    fn tail(&self) -> String {
        format!("{}{}", self.trailing, self.end)
    }

    /// Writes the part from the beginning of the target to the beginning of a segment.
    fn segment_start(&self) -> String {
        let Self { group, slash, end, .. } = self;
        // A target may lack the first slash. The bytes that end a path end this part.
        let no_query = if end.contains("\\x23") { r"[^?\x23]" } else { "[^?#]" };
        format!("^{group}{no_query}*{slash})?{}", self.lead())
    }

    /// Writes the test for patterns of one kind.
    fn paths(&self, kind: MatchKind, patterns: &[String]) -> Result<Test, Unsupported> {
        let mut keys = Vec::new();
        for pattern in patterns {
            let key = NormalPath::of(pattern.as_bytes()).path;
            if has_escape(&key) {
                return Err(Unsupported::PercentEscape(pattern.clone()));
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
            MatchKind::Host | MatchKind::Raw | MatchKind::Words => return Err(Unsupported::NotAPath),
        };
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        Ok(Test { expression, content: common(&keys, b"/"), negated: false })
    }

    /// Writes one test for each list.
    fn words(&self, lists: &[WordList], signature: &Signature) -> Result<Vec<Test>, Unsupported> {
        let escaped = lists.iter().flat_map(|list| list.iter()).find(|word| has_escape(word.as_bytes()));
        if let Some(word) = escaped {
            return Err(Unsupported::PercentEscape(word.clone()));
        }
        let scope = &signature.scope;
        let mut tests: Vec<Test> = Vec::new();
        let (mut plain, mut content) = (Vec::new(), Vec::new());
        for list in lists {
            let list: WordList = list.iter().map(|word| word.to_ascii_lowercase()).collect();
            let texts: Vec<&[u8]> = list.iter().map(|word| word.as_bytes()).collect();
            let shared = common(&texts, b"/");
            if self.word_ends.is_some() && scope.only && scope.last == Some(1) && only_words(&list) {
                // Tested by the expression of `only`, so that a rule contains each list once.
                content = if shared.len() > content.len() { shared } else { content };
                plain.push(list);
                continue;
            }
            tests.push(Test { expression: self.any_word(&list, scope.last), content: shared, negated: false });
        }
        if let (true, Some(last)) = (scope.only, scope.last) {
            tests.push(Test { expression: self.only(lists, &plain, last), content, negated: false });
        }
        Ok(tests)
    }

    /// Writes an expression for the words that rule out a match.
    pub(super) fn unless(&self, words: &[String]) -> String {
        self.any_word(words, None)
    }

    /// Writes an expression for any entry of a list of words, within the `last` segments.
    fn any_word(&self, entries: &[String], last: Option<u8>) -> String {
        let Self { group, no_dot, inside, before, word_start, word_end, slash, parameters, .. } = self;
        let tail = self.tail();
        let rest = match last {
            // Limits what may follow, so that the word is in one of the last segments.
            Some(last) => {
                format!("{group}[._~{}]{inside}*)?{}{tail}", self.dash(), self.more_segments(Some(last)))
            }
            None => format!("{group}{word_end}|{tail})"),
        };
        let entries: Vec<String> = entries.iter().map(|entry| entry.to_ascii_lowercase()).collect();
        let forms = WordForms::of(&entries);
        let any = |texts: &[&str]| self.any_text(texts, &self.literal(b"/"));
        let (start, dash, between) = (self.segment_start(), self.dash(), self.between());
        let mut all = Vec::new();
        if !forms.words.is_empty() {
            all.push(format!("{word_start}{}{rest}", any(&forms.words)));
        }
        if !forms.last_name.is_empty() {
            all.push(format!("{word_start}{}{group}[._~{dash}]{inside}*)?{tail}", any(&forms.last_name)));
        }
        if !forms.endings.is_empty() {
            all.push(format!("{before}{}{tail}", any(&forms.endings)));
        }
        if forms.no_ending {
            all.push(format!("{start}{no_dot}+{tail}"));
        }
        if !forms.names.is_empty() {
            let names = any(&forms.names);
            all.push(match last {
                Some(_) => format!("{start}{names}{}{tail}", self.more_segments(last)),
                None => format!("{start}{names}{group}{slash}|{parameters}|{tail})"),
            });
        }
        for (names, words) in &forms.below {
            let (names, words) = (any(names), any(words));
            all.push(format!("{start}{names}{between}{group}{inside}*[._~{dash}])?{words}{rest}"));
        }
        self.any(&all)
    }

    /// Writes the segments that may follow the one with the word.
    fn more_segments(&self, last: Option<u8>) -> String {
        let more = last.map_or(0, |last| last.saturating_sub(1));
        format!("{}{}{}+){{0,{more}}}", self.group, self.between(), self.inside)
    }

    /// Writes the test that the last segments have no words but those of the lists, and that the last segment has a
    /// word of each list of `plain`.
    fn only(&self, lists: &[WordList], plain: &[WordList], last: u8) -> String {
        let Self { group, .. } = self;
        // The last word of an entry with slashes.
        let bare = |entry: &String| match entry.trim_end_matches('/').rsplit_once('/') {
            Some((_, word)) => word.to_ascii_lowercase(),
            None => entry.to_ascii_lowercase(),
        };
        let bare_words = |ending: bool| {
            let selected = move |word: &String| !word.is_empty() && word.starts_with('.') == ending;
            lists.iter().flat_map(|list| list.iter()).map(bare).filter(selected).collect::<Vec<_>>()
        };
        let (mut words, endings) = (bare_words(false), bare_words(true));
        words.retain(|word| {
            !plain.iter().flat_map(|list| list.iter()).any(|entry| entry.trim_start_matches('/') == word)
        });
        let separator = format!("[._~{}]", self.dash());
        let mut of_plain = String::new();
        for list in plain {
            let texts: Vec<&str> = list.iter().map(|word| word.trim_start_matches('/')).collect();
            let (any, inside, tail) = (self.any_text(&texts, ""), self.inside, self.tail());
            of_plain.push_str(&format!("(?={group}{inside}*{separator})?({any}){group}{separator}{inside}*)?{tail})"));
        }
        let mut any: Vec<String> = (1..=plain.len()).map(|number| format!("(?{number})")).collect();
        if !words.is_empty() {
            any.push(self.any_text(&words, ""));
        }
        let word = self.any(&any);
        // Words contain no separator, but a directory name may begin with one.
        let separator_first = |word: &String| word.starts_with(['.', '_', '~', '-']);
        let name = match self.word_ends {
            _ if any.is_empty() => format!("{separator}*"),
            Some(ends) if !words.iter().any(separator_first) => {
                format!("{separator}*{group}{group}{word}){ends}{separator}*)*")
            }
            _ => format!("{separator}*{group}{group}{word}){group}{separator}+{group}{word}))*)?{separator}*"),
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

    /// Returns a dash as written at the end of a class.
    fn dash(&self) -> &'static str {
        if self.word_end.contains("\\x2d") { "\\x2d" } else { "-" }
    }

    /// Writes a condition on the query. With `beside_path`, the text is the target with its path; otherwise the query
    /// alone.
    pub(super) fn query(&self, condition: &QueryCondition, beside_path: bool) -> String {
        let Self { group, end, .. } = self;
        let hash = if end.contains("\\x23") { "\\x23" } else { "#" };
        let with_blanks = |text: &str| {
            let parts: Vec<String> = text.split(' ').map(|part| self.literal(part.as_bytes())).collect();
            parts.join("[ +]")
        };
        let before = match beside_path {
            true => format!("^[^?{hash}]*[?]{group}[^{hash}]*&)?"),
            false => format!("^{group}.*&)?"),
        };
        let key = with_blanks(&condition.key);
        match &condition.value {
            Some(value) if value.is_empty() => format!("{before}{key}=?{group}[&{hash}]|$)"),
            Some(value) => format!("{before}{key}={}{group}[&{hash}]|$)", with_blanks(value)),
            None => format!("{before}{key}{group}[=&{hash}]|$)"),
        }
    }

    /// Writes the test for the host of an absolute-form or CONNECT target, undecoded. `scheme` is the expression before
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
        let delimiters = format!("{slash}{back}?{hash}{space}");
        let hosts: Vec<String> =
            patterns.iter().map(|pattern| self.literal(&NormalHost::of(pattern.as_bytes()).host)).collect();
        let hosts = self.any(&hosts);
        format!(
            "^{scheme}{group}[^{delimiters}]*@)?{group}[^{delimiters}@:]*[.])?{hosts}[.]*{group}:[^{delimiters}@]*)?\
             {group}[{delimiters}]|$)"
        )
    }
}

/// The entries of a list of words, by their form.
#[derive(Default)]
struct WordForms<'a> {
    words: Vec<&'a str>,
    /// Words of the last segment (`/word`).
    last_name: Vec<&'a str>,
    endings: Vec<&'a str>,
    /// Whether the last segment may have no ending (`/`).
    no_ending: bool,
    /// Complete segments (`/name/`).
    names: Vec<&'a str>,
    /// Segments, and words of the segment directly below any of them (`/name/word`).
    below: Vec<(Vec<&'a str>, Vec<&'a str>)>,
}

impl<'a> WordForms<'a> {
    fn of(entries: &'a [String]) -> Self {
        let mut forms = Self::default();
        let mut below: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for entry in entries {
            match entry.strip_prefix('/').map(|rest| rest.split_once('/').ok_or(rest)) {
                None if entry.starts_with('.') => forms.endings.push(entry),
                None => forms.words.push(entry),
                Some(Err("")) => forms.no_ending = true,
                Some(Err(word)) => forms.last_name.push(word),
                Some(Ok((name, ""))) => forms.names.push(name),
                Some(Ok((name, word))) => below.entry(name).or_default().push(word),
            }
        }
        // Segments with the same words below them share one expression.
        for (name, words) in below {
            match forms.below.iter_mut().find(|(_, known)| *known == words) {
                Some((names, _)) => names.push(name),
                None => forms.below.push((vec![name], words)),
            }
        }
        forms
    }
}

/// Reports whether a list contains only words, of the last segment or of any.
fn only_words(list: &[String]) -> bool {
    list.iter().all(|entry| {
        let word = entry.strip_prefix('/').unwrap_or(entry);
        !word.is_empty() && !word.starts_with('.') && !word.contains('/')
    })
}

/// Reports whether a pattern contains `%HH` or `%uHHHH`: only the undecoded target, or one encoded twice, matches that.
fn has_escape(pattern: &[u8]) -> bool {
    let hex = |bytes: Option<&[u8]>| bytes.is_some_and(|bytes| bytes.iter().all(u8::is_ascii_hexdigit));
    memchr::memchr_iter(b'%', pattern).any(|at| {
        let unicode = pattern.get(at + 1).is_some_and(|byte| byte.eq_ignore_ascii_case(&b'u'));
        hex(pattern.get(at + 1..at + 3)) || (unicode && hex(pattern.get(at + 2..at + 6)))
    })
}
