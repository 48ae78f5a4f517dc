//! What the sensor says to a person, on standard error: messages, and a progress bar where that is a terminal. Not the
//! output.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The one who speaks; clones speak with the same voice.
#[derive(Clone, Debug, Default)]
pub struct Console {
    quiet: bool,
    progress: Option<ProgressBar>,
}

impl Console {
    /// Speaks errors only if `quiet`.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        Self { quiet, progress: None }
    }

    /// Shows how much of `total` bytes is read, if standard error is a terminal. The bar appears after half a second:
    /// short replays need none.
    pub fn show_progress(&mut self, total: u64) {
        if self.quiet || total == 0 || !std::io::stderr().is_terminal() {
            return;
        }
        let style = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        self.progress = Some(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())));
    }

    /// So many bytes are read.
    pub fn progress(&self, read: u64) {
        if let Some(bar) = &self.progress {
            if bar.is_hidden() && bar.elapsed() > Duration::from_millis(500) {
                bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(4));
            }
            bar.set_position(read);
        }
    }

    /// Takes the progress bar away.
    pub fn end_progress(&mut self) {
        if let Some(bar) = self.progress.take() {
            bar.finish_and_clear();
        }
    }

    /// Says something that is good to know.
    pub fn info(&self, text: &str) {
        if !self.quiet {
            self.tell(text);
        }
    }

    /// Says something that must be known.
    pub fn error(&self, text: &str) {
        self.tell(text);
    }

    fn tell(&self, text: &str) {
        let line = || {
            // A closed standard error is no reason to stop.
            let _ = writeln!(std::io::stderr().lock(), "smsentry: {}", printable(text));
        };
        match &self.progress {
            Some(bar) => bar.suspend(line),
            None => line(),
        }
    }
}

/// The text without anything that steers a terminal: file names are chosen by others.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_bidirectional(c) { '\u{fffd}' } else { c }).collect()
}

/// Marks that change the direction of text (Unicode Standard Annex 9).
fn is_bidirectional(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}')
}
