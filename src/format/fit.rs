//! The caps that keep a line short: how much of each string is written, and the names of those that were cut.

use super::text::Text;

/// Every line, its LF included, is shorter than this: Splunk's Suricata add-on cuts at 20,000 bytes, and programs that
/// read lines into 16 KiB are common.
pub const LINE_MAX: usize = 16_000;

/// Serialised bytes of any other string: the first is the rule, the others are for lines that would be too long
/// because many strings are at their cap.
///
/// Rationale: with 100, thirty strings and the target leave 5,000 bytes for keys and numbers, which take 2,500.
const CAPS: [usize; 4] = [1_000, 500, 250, 100];

/// The caps of one attempt at a line.
#[derive(Debug)]
pub(super) struct Fit {
    /// Serialised bytes of any string but the request target.
    pub(super) cap: usize,
    /// Names of what was cut, in the order of the cutting.
    pub(super) cut: Vec<&'static str>,
}

impl Fit {
    /// Serialised bytes of the request target.
    pub(super) const URL_CAP: usize = 8_000;

    /// The request target, under its own cap.
    pub(super) fn url<'a>(&mut self, name: &'static str, text: Text<'a>) -> Text<'a> {
        self.under(Self::URL_CAP, name, text)
    }

    /// Any other string.
    pub(super) fn text<'a>(&mut self, name: &'static str, text: Text<'a>) -> Text<'a> {
        self.under(self.cap, name, text)
    }

    /// As many whole members of a list as take at most the cap together, quotes and commas counted.
    pub(super) fn list<'a>(&mut self, name: &'static str, members: &'a [String]) -> Vec<Text<'a>> {
        let mut left = self.cap;
        let mut kept = Vec::new();
        for member in members {
            let text = Text::Word(member);
            // Two quotes and a comma.
            let Some(rest) = left.checked_sub(text.serialised_len() + 3) else { break };
            left = rest;
            kept.push(text);
        }
        if kept.len() < members.len() {
            self.cut.push(name);
        }
        kept
    }

    fn under<'a>(&mut self, cap: usize, name: &'static str, text: Text<'a>) -> Text<'a> {
        let (text, shorter) = text.fit(cap);
        if shorter {
            self.cut.push(name);
        }
        text
    }
}

/// Appends the line that `write` makes, with caps as wide as let it stay below [`LINE_MAX`].
pub(super) fn append_line(out: &mut Vec<u8>, mut write: impl FnMut(&mut Fit, &mut Vec<u8>)) {
    let start = out.len();
    for cap in CAPS {
        out.truncate(start);
        write(&mut Fit { cap, cut: Vec::new() }, out);
        out.push(b'\n');
        if out.len() - start < LINE_MAX {
            return;
        }
    }
}
