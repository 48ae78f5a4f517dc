//! All integration tests in one program, one directory per subject. See CONTRIBUTING.md.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

// Helpers without tests: they run the program, build captures, links and records, and read sources.
mod support;
// The command line: flags, messages, exit codes, the `signatures` command.
mod cli;
// Capture files and link types: intact, damaged, in unusual conditions, and compared with libpcap and tshark.
mod capture;
// TCP reassembly, lanes, limits and evasions on the network.
mod flow;
// Requests, responses, bodies, their pairing and the outcomes they prove.
mod http;
// Normal forms of request targets.
mod uri;
// Loading, matching, the built-in signatures, exports, scale.
mod signature;
// Context, suppression, threshold and campaigns.
mod alerts;
// EVE and Zeek lines, redaction, and how other readers parse them.
mod format;
// Live capture and operation in network namespaces; skipped with a message without root.
mod live;
// Properties of the repository: architecture, build, golden files, fuzz cases.
mod repo;
// Regressions by issue number.
mod regression;
