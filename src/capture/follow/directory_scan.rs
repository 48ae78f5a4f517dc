//! Finds the capture files below the paths that are followed, and notices which are new, have changed or are gone.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::followed_file::{FollowedFile, Found};
use super::identity::{FirstBytes, Stamp};
use crate::capture::file::{FileKind, Input, LeftOutReason, Listing, first_packet_time, kind_of, natural_order};
use crate::capture::source::SourceError;
use crate::sys::console::Console;
use crate::time::Timestamp;

/// Length of the shortest header of a capture file: below it, the file is still to be begun.
const MIN_CAPTURE: u64 = 24;
/// A compressed file is read when it was not changed for this long: a decoder cannot wait for more.
const SETTLED: Duration = Duration::from_secs(2);
/// Files whose first bytes are kept after they are gone, to recognise them when they come back compressed.
const MAX_REMEMBERED: usize = 256;

/// Result of a scan.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Files to begin, in the order of their first packets.
    pub(super) found: Vec<Found>,
    /// Files that were found before, and are gone or overwritten.
    pub(super) lost: HashSet<PathBuf>,
    /// Number of files that are left out, and were not before.
    pub(super) left_out: u64,
    /// Number of files without a byte.
    pub(super) empty: u64,
    pub(super) errors: Vec<SourceError>,
}

/// What is known of a file.
#[derive(Debug)]
struct Known {
    stamp: Stamp,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Not ready: too short, or compressed and still changing.
    Waiting,
    /// Found, to be begun.
    Found,
    Open,
    /// Read up to this packet.
    Closed {
        first_bytes: FirstBytes,
        frames: u64,
        has_failed: bool,
    },
    /// No capture, or not readable.
    LeftOut,
}

/// The files below the paths that are followed.
///
/// Invariant: after a scan, `known` has the files that exist, so its size is that of the directories.
pub(super) struct DirectoryScan {
    roots: Vec<PathBuf>,
    known: HashMap<PathBuf, Known>,
    /// First bytes of files that were read and are gone, the latest last.
    remembered: Vec<FirstBytes>,
    console: Console,
}

impl DirectoryScan {
    pub(super) fn new(roots: &[PathBuf], console: Console) -> Self {
        Self { roots: roots.to_vec(), known: HashMap::new(), remembered: Vec::new(), console }
    }

    /// Looks at all files. Files of `open` whose paths lead to other files now are marked.
    pub(super) fn scan(&mut self, open: &mut [FollowedFile]) -> Changes {
        let (mut changes, mut found, mut seen) = (Changes::default(), Vec::new(), HashSet::new());
        let mut listing = Listing::default();
        self.roots.iter().for_each(|root| listing.add_root(root));
        for (path, metadata) in &listing.files {
            let stamp = Stamp::of(metadata);
            seen.insert(path.clone());
            changes.empty += u64::from(stamp.len == 0);
            let (state, is_lost) = self.next_state(path, stamp, open);
            if is_lost {
                changes.lost.insert(path.clone());
            }
            match state {
                Ok(Next::Keep) => {}
                Ok(Next::Begin(skip_to)) => {
                    found.push((first_time(path), Found { path: path.clone(), skip_to }));
                    self.known.insert(path.clone(), Known { stamp, state: State::Found });
                }
                Ok(Next::Wait) => {
                    self.known.insert(path.clone(), Known { stamp, state: State::Waiting });
                }
                Ok(Next::LeaveOut { why, is_read }) => {
                    changes.left_out += u64::from(!is_read);
                    self.console.info(&format!("{}: left out ({why})", path.display()));
                    self.known.insert(path.clone(), Known { stamp, state: State::LeftOut });
                }
                Err(error) => {
                    changes.errors.push(error);
                    self.known.insert(path.clone(), Known { stamp, state: State::LeftOut });
                }
            }
        }
        self.report_left_out(&listing.left_out, &mut seen, &mut changes);
        self.report_errors(listing.errors, &mut seen, &mut changes);
        self.drop_gone(&seen, open, &mut changes);
        found.sort_by(|(a, left), (b, right)| {
            let names = || natural_order::compare(bytes(&left.path), bytes(&right.path));
            (a.is_none(), a).cmp(&(b.is_none(), b)).then_with(names)
        });
        changes.found.extend(found.into_iter().map(|(_, found)| found));
        changes
    }

    /// Forgets a file that was overwritten: the next scan finds it as a new one.
    pub(super) fn forget(&mut self, path: &Path) {
        self.known.remove(path);
    }

    /// Keeps what is needed to recognise a file that was closed.
    pub(super) fn closed(&mut self, file: FollowedFile) {
        let (frames, has_failed) = (file.frames(), file.has_failed);
        if file.is_gone {
            // What is known of its path is about another file.
            self.remember(file.first_bytes);
        } else if let Some(known) = self.known.get_mut(&file.path) {
            known.state = State::Closed { first_bytes: file.first_bytes, frames, has_failed };
        }
    }

    /// Leaves out a file that could not be begun, until it changes.
    pub(super) fn failed(&mut self, found: &Found) {
        if let Some(known) = self.known.get_mut(&found.path) {
            known.state = State::LeftOut;
        }
    }

    fn remember(&mut self, first_bytes: FirstBytes) {
        if self.remembered.len() >= MAX_REMEMBERED {
            self.remembered.remove(0);
        }
        self.remembered.push(first_bytes);
    }

    /// Decides what to do with a file. The second value is whether content that was found before is lost.
    fn next_state(
        &mut self,
        path: &Path,
        stamp: Stamp,
        open: &mut [FollowedFile],
    ) -> (Result<Next, SourceError>, bool) {
        let Some(known) = self.known.get_mut(path) else { return (self.consider(path, stamp), false) };
        if !known.stamp.is_same_file(&stamp) {
            let is_lost = matches!(known.state, State::Found);
            open.iter_mut().filter(|file| file.path == path).for_each(|file| file.is_gone = true);
            return (self.consider(path, stamp), is_lost);
        }
        if let State::Found = known.state
            && open.iter().any(|file| file.path == path && !file.is_gone)
        {
            known.state = State::Open;
        }
        let is_changed = known.stamp != stamp;
        let is_shorter = stamp.len < known.stamp.len;
        known.stamp = stamp;
        match &known.state {
            State::Waiting => (self.consider(path, stamp), false),
            State::LeftOut if is_changed => (self.consider(path, stamp), false),
            State::Found if is_shorter => (self.consider(path, stamp), true),
            State::Closed { first_bytes, frames, has_failed } if is_changed => {
                let (mut first_bytes, frames, has_failed) = (first_bytes.clone(), *frames, *has_failed);
                let is_same =
                    std::fs::File::open(path).and_then(|file| first_bytes.is_still_of(&file, 0)).unwrap_or(false);
                match (is_same, has_failed) {
                    (true, true) => (Ok(Next::Keep), false),
                    (true, false) => (Ok(Next::Begin(frames)), false),
                    (false, _) => (self.consider(path, stamp), false),
                }
            }
            _ => (Ok(Next::Keep), false),
        }
    }

    /// Decides what to do with a file whose content is new.
    fn consider(&self, path: &Path, stamp: Stamp) -> Result<Next, SourceError> {
        if stamp.len < MIN_CAPTURE {
            return Ok(Next::Wait);
        }
        match kind_of(path)? {
            FileKind::Capture => Ok(Next::Begin(0)),
            FileKind::Compressed { .. } if !is_settled(stamp) => Ok(Next::Wait),
            FileKind::Compressed { head } if self.was_read(&head) => {
                Ok(Next::LeaveOut { why: "a copy of a capture that was read", is_read: true })
            }
            FileKind::Compressed { .. } => Ok(Next::Begin(0)),
            FileKind::LeftOut(reason) => Ok(Next::LeaveOut { why: reason.describe(), is_read: false }),
        }
    }

    /// Returns whether a capture that begins like this was read.
    fn was_read(&self, head: &[u8]) -> bool {
        let is_same = |read: &FirstBytes| head.len() >= FirstBytes::MIN && head == read.0;
        let closed = |known: &Known| match &known.state {
            State::Closed { first_bytes, .. } => is_same(first_bytes),
            _ => false,
        };
        self.remembered.iter().any(is_same) || self.known.values().any(closed)
    }

    fn report_left_out(
        &mut self,
        left_out: &[(LeftOutReason, PathBuf)],
        seen: &mut HashSet<PathBuf>,
        changes: &mut Changes,
    ) {
        for (reason, path) in left_out {
            if seen.insert(path.clone()) && !self.known.contains_key(path) {
                changes.left_out += 1;
                self.console.info(&format!("{}: left out ({})", path.display(), reason.describe()));
                self.known.insert(path.clone(), Known { stamp: Stamp::NONE, state: State::LeftOut });
            }
        }
    }

    /// Keeps the errors of paths that had none before.
    fn report_errors(&mut self, errors: Vec<SourceError>, seen: &mut HashSet<PathBuf>, changes: &mut Changes) {
        for error in errors {
            let path = PathBuf::from(&error.input);
            if seen.insert(path.clone()) && !self.known.contains_key(&path) {
                self.known.insert(path, Known { stamp: Stamp::NONE, state: State::LeftOut });
                changes.errors.push(error);
            }
        }
    }

    /// Drops the files that do not exist any more.
    fn drop_gone(&mut self, seen: &HashSet<PathBuf>, open: &mut [FollowedFile], changes: &mut Changes) {
        let gone: Vec<PathBuf> = self.known.keys().filter(|path| !seen.contains(*path)).cloned().collect();
        for path in gone {
            let is_open = open.iter_mut().filter(|file| file.path == path).map(|file| file.is_gone = true).count() > 0;
            match self.known.remove(&path).map(|known| known.state) {
                Some(State::Found) if !is_open => {
                    changes.lost.insert(path);
                }
                Some(State::Closed { first_bytes, .. }) => self.remember(first_bytes),
                _ => {}
            }
        }
    }
}

/// What to do with a file.
enum Next {
    Keep,
    /// Read it from the packet after this one on.
    Begin(u64),
    Wait,
    LeaveOut {
        why: &'static str,
        is_read: bool,
    },
}

fn is_settled(stamp: Stamp) -> bool {
    let age = stamp.modified.and_then(|modified| SystemTime::now().duration_since(modified).ok());
    age.is_none_or(|age| age >= SETTLED)
}

fn first_time(path: &Path) -> Option<Timestamp> {
    first_packet_time(&Input { name: path.display().to_string(), path: Some(path.to_owned()), size: None })
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}
