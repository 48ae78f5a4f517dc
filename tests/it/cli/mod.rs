//! The command line: flags, messages, exit codes, the `signatures` command.

mod command_line;
mod counters_file;
mod signatures_command;
mod worker_panic;
