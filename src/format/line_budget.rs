//! Limits the length of a line: truncates strings and lists, and records the names of those that were truncated.

use serde::{Serialize, Serializer};

use super::text::Text;
use crate::record::List;

/// Upper bound of a line's length in bytes, including its LF; every line is shorter. Splunk's Suricata add-on truncates
/// at 20,000 bytes, and programs that read lines into 16 KiB are common.
pub const LINE_MAX: usize = 16_000;

/// Caps in serialised bytes for any string but the request target. The first is the usual one; the others are tried in
/// turn for lines that are too long because many strings are at their cap.
///
/// Rationale: with a cap of 100, thirty strings and the target leave 5,000 bytes for keys and numbers, which take
/// 2,500.
const CAPS: [usize; 4] = [1_000, 500, 250, 100];

/// Bytes of the two quotes and the comma of a list's member.
const SEPARATORS: usize = 3;

/// The caps for one attempt to write a line.
#[derive(Debug)]
pub(super) struct LineBudget {
    /// Cap in serialised bytes for any string but the request target.
    pub(super) cap: usize,
    /// Names of the truncated members, in the order in which they were truncated.
    pub(super) truncated: Vec<&'static str>,
}

impl LineBudget {
    /// Cap in serialised bytes for the request target.
    pub(super) const URL_CAP: usize = 8_000;

    /// Truncates the request target to its own cap.
    pub(super) fn url<'a>(&mut self, name: &'static str, text: Text<'a>) -> Text<'a> {
        self.truncate(Self::URL_CAP, name, text)
    }

    /// Truncates any other string.
    pub(super) fn text<'a>(&mut self, name: &'static str, text: Text<'a>) -> Text<'a> {
        self.truncate(self.cap, name, text)
    }

    /// Returns as many complete members of a list as fit into the cap together, including quotes and commas.
    pub(super) fn list<'a>(&mut self, name: &'static str, members: &'a [String]) -> Vec<Text<'a>> {
        self.members(name, members, Text::Word)
    }

    /// Same as [`LineBudget::list`], for members that may contain blanks.
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
            let Some(rest) = left.checked_sub(text.serialised_len() + SEPARATORS) else { break };
            left = rest;
            kept.push(text);
        }
        if kept.len() < members.len() {
            self.truncated.push(name);
        }
        kept
    }

    /// Returns the total of a list of names and its items: as many as fit into twice the cap together, each truncated
    /// to a quarter of the cap.
    pub(super) fn names<'a>(&mut self, name: &'static str, list: &'a List) -> Vec<ListItem<'a>> {
        if list.is_empty() {
            return Vec::new();
        }
        let (mut left, mut truncated) = (2 * self.cap, list.cut);
        let mut kept = Vec::with_capacity(1 + list.len());
        kept.push(ListItem::Total(list.total));
        for item in list.items() {
            let (text, shorter) = Text::from_wire(item).truncate(self.cap / 4);
            truncated |= shorter;
            let Some(rest) = left.checked_sub(text.serialised_len() + SEPARATORS) else {
                truncated = true;
                break;
            };
            left = rest;
            kept.push(ListItem::Name(text));
        }
        if truncated {
            self.truncated.push(name);
        }
        kept
    }

    fn truncate<'a>(&mut self, cap: usize, name: &'static str, text: Text<'a>) -> Text<'a> {
        let (text, shorter) = text.truncate(cap);
        if shorter {
            self.truncated.push(name);
        }
        text
    }
}

/// An element of a written list of names.
#[derive(Debug)]
pub(super) enum ListItem<'a> {
    /// Total number of names, written or not.
    Total(u64),
    /// One name.
    Name(Text<'a>),
}

impl Serialize for ListItem<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Total(total) => serializer.collect_str(total),
            Self::Name(text) => text.serialize(serializer),
        }
    }
}

/// Appends the line that `write` formats, with the largest caps that keep it shorter than [`LINE_MAX`].
pub(super) fn append_line(out: &mut Vec<u8>, mut write: impl FnMut(&mut LineBudget, &mut Vec<u8>)) {
    let start = out.len();
    for cap in CAPS {
        out.truncate(start);
        write(&mut LineBudget { cap, truncated: Vec::new() }, out);
        out.push(b'\n');
        if out.len() - start < LINE_MAX {
            return;
        }
    }
}
