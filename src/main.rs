//! The command `smsentry`: arguments in, exit code out. What happens in between is the library's.

mod cli;

use std::io::Write;
use std::process::ExitCode;

use cli::signatures::Answer;
use cli::{Command, Refusal};
use smsentry::alerts::suppress::Treatment;
use smsentry::app::config::Config;
use smsentry::app::run;
use smsentry::app::{Exit, load, review};
use smsentry::capture::bpf::Filter;
use smsentry::capture::live::list_interfaces;
use smsentry::sys::console::Console;

/// Rationale: of a scan each hit is a dozen short strings that live for a while, which is where the C library's heap is slow:
/// a tenth of the whole time.
#[global_allocator]
static HEAP: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let exit = match cli::parse(std::env::args_os()) {
        Ok(Command::Run(config)) => run(*config),
        Ok(Command::Check(config)) => check(&config),
        Ok(Command::Signatures(request)) => info(&cli::signatures::answer(request)),
        Ok(Command::ListInterfaces) => show_interfaces(),
        Ok(Command::Completions(shell)) => {
            cli::print_completions(shell);
            Exit::Finished
        }
        Err(Refusal::Information(text)) => {
            print(&text);
            Exit::Finished
        }
        Err(Refusal::Usage(line)) => {
            Console::default().error(&line);
            Exit::Usage
        }
    };
    ExitCode::from(exit as u8)
}

/// `-T`: is everything that was given any good?
fn check(config: &Config) -> Exit {
    let voice = Console::default();
    if let Some(Err(error)) = config.filter.as_deref().map(Filter::new) {
        voice.error(&error.to_string());
        return Exit::Usage;
    }
    match load(&config.signatures, &config.suppress) {
        Ok((signatures, suppressions)) => {
            review(&suppressions, &signatures).iter().for_each(|line| voice.info(line));
            print(&format!("{} signatures with {} patterns are good\n", signatures.len(), signatures.patterns()));
            let [suppress, allow] = [Treatment::Suppress, Treatment::Allow].map(|kind| suppressions.len_of(kind));
            if !config.suppress.is_empty() {
                print(&format!("{suppress} suppress and {allow} allow entries are good\n"));
            }
            Exit::Finished
        }
        Err(errors) => {
            errors.iter().for_each(|error| voice.error(error));
            Exit::Usage
        }
    }
}

/// What `smsentry signatures` has to say: text to standard output or a file, messages to standard error.
fn info(answer: &Answer) -> Exit {
    let voice = Console::default();
    answer.messages.iter().for_each(|message| voice.error(message));
    match &answer.file {
        Some(path) => {
            if let Err(error) = std::fs::write(path, &answer.text) {
                voice.error(&format!("{}: cannot be written: {error}", path.display()));
                return Exit::Input;
            }
        }
        None => print(&answer.text),
    }
    answer.exit
}

fn show_interfaces() -> Exit {
    match list_interfaces() {
        Ok(interfaces) => {
            let lines = interfaces.iter().enumerate().map(|(at, interface)| format!("{}.{interface}\n", at + 1));
            print(&lines.collect::<String>());
            Exit::Finished
        }
        Err(error) => {
            Console::default().error(&error);
            Exit::Input
        }
    }
}

/// Prints to standard output; nobody listening is no error.
fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
