//! What a run did not read of its frames, for the console, the closing lines and the counters: without it, "no alerts"
//! would be said of traffic that was never looked at. The frames are counted by [`crate::decode`].

use crate::decode::{Unread, UnreadFrames};

/// Returns the message about the first frame of a kind; `input` is the name of the file or interface.
#[must_use]
pub fn first_frame(input: &str, unread: &Unread) -> String {
    format!("{input}: packet {}: {}: not read (further ones are counted)", unread.first, unread.kind)
}

/// Returns a phrase for each kind of frame that was not read; none if everything was.
pub(super) fn phrases(unread: &UnreadFrames) -> Vec<String> {
    let packets = |count| if count == 1 { "packet" } else { "packets" };
    let mut phrases: Vec<String> = unread
        .kinds()
        .iter()
        .map(|&Unread { kind, frames, first, .. }| {
            format!("{frames} {} of {kind}, first packet {first}", packets(frames))
        })
        .collect();
    if unread.further() > 0 {
        phrases.push(format!("{} {} of further kinds", unread.further(), packets(unread.further())));
    }
    phrases
}

/// Calls `visit` with the name and value of the counter of each kind.
pub(super) fn each(unread: &UnreadFrames, visit: &mut dyn FnMut(String, u64)) {
    for known in unread.kinds() {
        visit(format!("decode.unread.{}", known.kind.counter()), known.frames);
    }
    if unread.further() > 0 {
        visit("decode.unread.further".to_owned(), unread.further());
    }
}
