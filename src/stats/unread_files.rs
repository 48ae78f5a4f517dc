//! What a run did not read of its input, for the closing lines: without it, "no alerts" would be said of input that was
//! never looked at. The counters are those of the modules that left something out.

use crate::stats::RunStats;

/// Returns a phrase for each kind of input that was not read; none if everything was.
pub(super) fn phrases(stats: &RunStats) -> Vec<String> {
    let files = &stats.dispatcher.source.replay;
    [
        (files.unreadable, "file that could not be opened", "files that could not be opened"),
        (files.truncated, "file that could not be read to its end", "files that could not be read to their ends"),
        (
            files.overwritten,
            "file that was overwritten before it was read",
            "files that were overwritten before they were read",
        ),
        (files.left_out, "file of a directory that was left out", "files of directories that were left out"),
        (files.unread_packets, "packet that the file does not describe", "packets that the files do not describe"),
        (files.trailing_bytes, "byte behind compressed data", "bytes behind compressed data"),
    ]
    .into_iter()
    .filter(|&(count, ..)| count > 0)
    .map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many }))
    .collect()
}
