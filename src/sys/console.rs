//! Messages to the user on standard error, and a progress bar where that is a terminal. Records are written by
//! [`crate::logs`].

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Writes messages to standard error; clones share the progress bar.
#[derive(Clone, Debug, Default)]
pub struct Console {
    quiet: bool,
    progress: Option<ProgressBar>,
}

impl Console {
    /// Returns a console that writes only errors if `quiet`.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        Self { quiet, progress: None }
    }

    /// Shows a progress bar for `total` bytes, if standard error is a terminal. It appears after half a second:
    /// short replays need none.
    pub fn show_progress(&mut self, total: u64) {
        if self.quiet || total == 0 || !std::io::stderr().is_terminal() {
            return;
        }
        let style = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        self.progress = Some(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())));
    }

    /// Sets the progress bar to `read` bytes.
    pub fn progress(&self, read: u64) {
        if let Some(bar) = &self.progress {
            if bar.is_hidden() && bar.elapsed() > Duration::from_millis(500) {
                bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(4));
            }
            bar.set_position(read);
        }
    }

    /// Removes the progress bar.
    pub fn end_progress(&mut self) {
        if let Some(bar) = self.progress.take() {
            bar.finish_and_clear();
        }
    }

    /// Writes a message, unless the console is quiet.
    pub fn info(&self, text: &str) {
        if !self.quiet {
            self.write_line(text);
        }
    }

    /// Writes an error or a warning, also if the console is quiet.
    pub fn error(&self, text: &str) {
        self.write_line(text);
    }

    fn write_line(&self, text: &str) {
        let line = || {
            // A closed standard error does not end the run.
            let _ = writeln!(std::io::stderr().lock(), "smsentry: {}", printable(text));
        };
        match &self.progress {
            Some(bar) => bar.suspend(line),
            None => line(),
        }
    }
}

/// Replaces characters that control a terminal: file names may come from untrusted users.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_bidirectional(c) { '\u{fffd}' } else { c }).collect()
}

/// Returns whether a character changes the direction of text (Unicode Standard Annex 9).
fn is_bidirectional(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_direction_characters_are_replaced() {
        assert_eq!(printable("a\u{1b}[2J\u{202e}b\n"), "a\u{fffd}[2J\u{fffd}b\u{fffd}");
    }
}
