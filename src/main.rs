//! The `smsentry` command: parses the arguments, runs the requested command and returns its exit code. The work itself
//! is done by the library.

mod cli;

use std::io::Write;
use std::process::ExitCode;

use cli::signatures::CommandOutput;
use cli::{Command, EarlyExit, counted};
use smsentry::alerts::suppress::Treatment;
use smsentry::app::config::Config;
use smsentry::app::run;
use smsentry::app::{Exit, load, review};
use smsentry::capture::bpf::Filter;
use smsentry::capture::live::list_interfaces;
use smsentry::sys::console::Console;

/// Rationale: during a scan, each match allocates about a dozen short strings that live for a while. The C library's
/// allocator is slow at this: it took a tenth of the total run time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let exit = match cli::parse(std::env::args_os()) {
        Ok(Command::Run(config)) => run(*config),
        Ok(Command::Check(config)) => check(&config),
        Ok(Command::Signatures(command)) => print_output(&cli::signatures::execute(command)),
        Ok(Command::ListInterfaces) => print_interfaces(),
        Ok(Command::Completions(shell)) => {
            cli::print_completions(shell);
            Exit::Finished
        }
        Err(EarlyExit::Information(text)) => {
            print(&text);
            Exit::Finished
        }
        Err(EarlyExit::UsageError(line)) => {
            Console::default().error(&line);
            Exit::Usage
        }
    };
    ExitCode::from(exit as u8)
}

/// Checks the filter, the signatures and the suppress files (`-T`).
fn check(config: &Config) -> Exit {
    let console = Console::default();
    if let Some(Err(error)) = config.filter.as_deref().map(Filter::new) {
        console.error(&error.to_string());
        return Exit::Usage;
    }
    match load(&config.signatures, &config.suppress) {
        Ok((signatures, suppressions)) => {
            review(&suppressions, &signatures).iter().for_each(|line| console.info(line));
            print(&format!(
                "{} with {}: no errors\n",
                counted(signatures.len(), "signature", "signatures"),
                counted(signatures.patterns(), "pattern", "patterns")
            ));
            if !config.suppress.is_empty() {
                let [suppress, allow] = [Treatment::Suppress, Treatment::Allow].map(|kind| suppressions.len_of(kind));
                print(&format!(
                    "{} and {}: no errors\n",
                    counted(suppress, "suppress entry", "suppress entries"),
                    counted(allow, "allow entry", "allow entries")
                ));
            }
            Exit::Finished
        }
        Err(errors) => {
            errors.iter().for_each(|error| console.error(&error.to_string()));
            Exit::Usage
        }
    }
}

/// Prints the output of `smsentry signatures`: text to standard output or a file, messages to standard error.
fn print_output(output: &CommandOutput) -> Exit {
    let console = Console::default();
    output.messages.iter().for_each(|message| console.error(message));
    match &output.file {
        Some(path) => {
            if let Err(error) = std::fs::write(path, &output.text) {
                console.error(&format!("{}: cannot write: {error} (see --output)", path.display()));
                return Exit::Input;
            }
        }
        None => print(&output.text),
    }
    output.exit
}

fn print_interfaces() -> Exit {
    match list_interfaces() {
        Ok(interfaces) => {
            let lines = interfaces.iter().enumerate().map(|(at, interface)| format!("{}.{interface}\n", at + 1));
            print(&lines.collect::<String>());
            Exit::Finished
        }
        Err(error) => {
            Console::default().error(&error.to_string());
            Exit::Input
        }
    }
}

/// Prints to standard output. A closed pipe is not an error.
fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
