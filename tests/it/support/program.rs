//! Runs the program as a user does.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The exit code and output of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Exit code; -1 for a signal.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

impl Ran {
    /// Asserts the exit code and that standard error is one line that contains all of `parts`.
    #[track_caller]
    pub(crate) fn complains(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.err.lines().count(), 1, "{self:?}");
        assert!(self.err.starts_with("smsentry: "), "{self:?}");
        parts.iter().for_each(|part| assert!(self.err.contains(part), "{part:?} is missing: {self:?}"));
    }

    /// Asserts the exit code and that standard error begins like all messages, and that there is no output.
    #[track_caller]
    pub(crate) fn complains_first(&self, code: i32) {
        assert_eq!((self.code, &*self.out), (code, ""), "{self:?}");
        assert!(self.err.starts_with("smsentry: "), "{self:?}");
    }

    /// Asserts success without messages.
    #[track_caller]
    pub(crate) fn is_quiet(&self) {
        assert_eq!((self.code, &*self.err), (0, ""));
    }
}

/// The project's directory.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The program, in the project's directory, with empty standard input.
pub(crate) fn smsentry() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smsentry"));
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// Runs it with these arguments.
pub(crate) fn run(arguments: &[&str]) -> Ran {
    smsentry().args(arguments).output().unwrap().into()
}

/// Every bundled capture, sorted by name, relative to the project's directory.
pub(crate) fn captures() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("pcaps")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = entries.filter(|name| name.to_str().unwrap().contains(".pcap")).collect();
    names.sort_unstable();
    names.into_iter().map(|name| Path::new("pcaps").join(name)).collect()
}

/// Whether this process has all privileges.
pub(crate) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}
