//! The caps that keep a line short: how much of each string is written, and the names of those that were cut.

use serde::{Serialize, Serializer};

use super::text::Text;
use crate::record::List;

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
pub(super) struct LineBudget {
    /// Serialised bytes of any string but the request target.
    pub(super) cap: usize,
    /// Names of what was cut, in the order of the cutting.
    pub(super) cut: Vec<&'static str>,
}

impl LineBudget {
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
        self.members(name, members, Text::Word)
    }

    /// As [`LineBudget::list`], of members with blanks.
    pub(super) fn phrases<'a>(&mut self, name: &'static str, members: &'a [String]) -> Vec<Text<'a>> {
        self.members(name, members, Text::Plain)
    }

    fn members<'a>(
        &mut self,
        name: &'static str,
        members: &'a [String],
        text: impl Fn(&'a str) -> Text<'a>,
    ) -> Vec<Text<'a>> {
        let mut left = self.cap;
        let mut kept = Vec::new();
        for member in members {
            let text = text(member);
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

    /// The items of a list of names, with how many there are in all before them: as many as take at most twice the cap
    /// together, each at most a quarter of it.
    pub(super) fn names<'a>(&mut self, name: &'static str, list: &'a List) -> Vec<Item<'a>> {
        if list.is_empty() {
            return Vec::new();
        }
        let (mut left, mut cut) = (2 * self.cap, list.cut);
        let mut kept = Vec::with_capacity(1 + list.len());
        kept.push(Item::Total(list.total));
        for item in list.items() {
            let (text, shorter) = Text::from_wire(item).fit(self.cap / 4);
            cut |= shorter;
            // Two quotes and a comma.
            let Some(rest) = left.checked_sub(text.serialised_len() + 3) else {
                cut = true;
                break;
            };
            left = rest;
            kept.push(Item::Name(text));
        }
        if cut {
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

/// What a list of names has in it.
#[derive(Debug)]
pub(super) enum Item<'a> {
    /// How many there are in all.
    Total(u64),
    /// One of them.
    Name(Text<'a>),
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Total(total) => serializer.collect_str(total),
            Self::Name(text) => text.serialize(serializer),
        }
    }
}

/// Appends the line that `write` makes, with caps as wide as let it stay below [`LINE_MAX`].
pub(super) fn append_line(out: &mut Vec<u8>, mut write: impl FnMut(&mut LineBudget, &mut Vec<u8>)) {
    let start = out.len();
    for cap in CAPS {
        out.truncate(start);
        write(&mut LineBudget { cap, cut: Vec::new() }, out);
        out.push(b'\n');
        if out.len() - start < LINE_MAX {
            return;
        }
    }
}
