//! Optimised builds of the project's own code use the recorded profile, and no other builds do. The test runs the
//! script that Cargo calls instead of rustc, with a compiler that only prints its arguments.

use std::path::Path;
use std::process::Command;

const OURS: &[&str] =
    &["--crate-name", "smsentry", "--edition=2024", "-C", "opt-level=3", "-C", "metadata=0123456789abcdef"];

/// The arguments for a compiler of this LLVM version, one per line.
fn passed_arguments(llvm: &str, arguments: &[&str], profile: Option<&str>) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let compiler = directory.path().join("rustc");
    let answer = format!(
        "if [ \"$*\" = '--version --verbose' ]; then echo 'LLVM version: {llvm}'; else printf '%s\\n' \"$@\"; fi"
    );
    // Written by another process: a file that this process has open for writing while another test forks cannot be
    // executed.
    let write = "printf '#!/bin/sh\n%s\n' \"$1\" >\"$0\" && chmod 755 \"$0\"";
    assert!(Command::new("sh").args(["-c", write]).arg(&compiler).arg(answer).status().unwrap().success());
    let wrapper = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cargo/rustc-with-profile");
    let mut command = Command::new(wrapper);
    command.arg(&compiler).args(arguments).env_remove("SMSENTRY_PROFILE");
    if let Some(profile) = profile {
        command.env("SMSENTRY_PROFILE", profile);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn has(passed_arguments: &[String], start: &str) -> bool {
    passed_arguments.iter().any(|argument| argument.starts_with(start))
}

#[test]
fn own_optimised_code_is_built_with_the_profile() {
    let passed_arguments = passed_arguments("22.1.2", OURS, None);
    let profile = passed_arguments.iter().find_map(|argument| argument.strip_prefix("-Cprofile-use=")).unwrap();
    assert!(std::fs::metadata(profile).unwrap().len() > 1000);
    // Names that are the same in every directory.
    assert_eq!(passed_arguments[..7], [&OURS[..6], &["metadata=smsentry"]].concat());
}

#[test]
fn everything_else_is_built_as_cargo_says() {
    let other = ["--crate-name", "serde", "-C", "opt-level=3", "-C", "metadata=01", "--cfg", "feature=\"a b\""];
    let debug = ["--crate-name", "smsentry", "-C", "opt-level=1", "-C", "metadata=01"];
    let covered = [OURS, &["-C", "instrument-coverage"]].concat();
    let measured = [OURS, &["-Cprofile-generate=/elsewhere"]].concat();
    for arguments in [&other[..], &debug, &covered, &measured, &["-vV"]] {
        assert_eq!(passed_arguments("22.1.2", arguments, None), arguments);
    }
    assert_eq!(passed_arguments("22.1.2", OURS, Some("none")), OURS);
    // A compiler that cannot read the profile.
    assert_eq!(passed_arguments("21.1.8", OURS, None), OURS);
    let recording = passed_arguments("22.1.2", OURS, Some("/counts"));
    assert!(has(&recording, "-Cprofile-generate=/counts") && !has(&recording, "-Cprofile-use"));
}
