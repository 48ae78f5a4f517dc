//! `smsentry signatures`: the grammar of its subcommands and their output. Files are read by [`smsentry::app`]; the
//! output is printed by `main`.

mod check;
mod explain;
mod list;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use smsentry::app::config::SignatureFiles;
use smsentry::app::{Exit, LoadError, load_signatures};
use smsentry::export::{self, Language};
use smsentry::signature::{Signature, Signatures};

/// Lists, checks, explains and exports signatures: the built-in ones and those given with -s or -S
#[derive(Debug, Parser)]
#[command(name = "smsentry signatures", bin_name = "smsentry signatures", max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: SignaturesCommand,
}

/// A subcommand of `smsentry signatures`.
#[derive(Debug, Subcommand)]
pub(crate) enum SignaturesCommand {
    /// List all signatures, one per line
    List {
        /// Print one JSON object per line, with every field
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        files: FileArguments,
    },
    /// Check signature files
    ///
    /// Reports errors, failing examples, requests that several signatures match, and patterns that never match first.
    /// Exits with code 2 if a file is invalid or an example fails.
    Check {
        /// Signature files to check, first by themselves, then together with the built-in ones (or those of -S)
        #[arg(value_name = "FILE", required = true)]
        paths: Vec<PathBuf>,
        #[command(flatten)]
        files: FileArguments,
    },
    /// Explain a signature
    ///
    /// Prints what it matches, what the server's response means, which legitimate clients send the same requests, and
    /// how to suppress its alerts.
    Explain {
        /// Id or slug of the signature
        #[arg(value_name = "ID|SLUG")]
        id_or_slug: String,
        #[command(flatten)]
        files: FileArguments,
    },
    /// Export all signatures as rules for another tool
    ///
    /// The parts that the tool's rule language cannot express are listed on standard error.
    Export {
        /// Rule language
        #[arg(long, value_name = "LANGUAGE", value_enum)]
        to: LanguageName,
        /// Add N to every signature id
        #[arg(long, value_name = "N", default_value_t = 0)]
        sid_offset: u32,
        /// Export supporting signatures too (status support, which never alert alone)
        #[arg(long)]
        with_support: bool,
        /// Write to a file instead of standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        files: FileArguments,
    },
}

/// The flags that select signature files.
#[derive(Args, Debug)]
pub(crate) struct FileArguments {
    /// Load signatures from a file, in addition to the built-in ones; may be given more than once
    #[arg(short = 's', long = "signatures", value_name = "FILE")]
    add: Vec<PathBuf>,
    /// Load signatures from a file, instead of the built-in ones; may be given more than once
    #[arg(short = 'S', long = "only-signatures", value_name = "FILE")]
    only: Vec<PathBuf>,
}

/// The values of `--to`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LanguageName {
    /// Suricata 7 rules
    Suricata,
    /// Snort 3 rules
    Snort3,
    /// Zeek signatures
    Zeek,
    /// Zeek intelligence framework
    ZeekIntel,
    /// Sigma rules for web server logs
    Sigma,
}

impl From<LanguageName> for Language {
    fn from(name: LanguageName) -> Self {
        match name {
            LanguageName::Suricata => Self::Suricata,
            LanguageName::Snort3 => Self::Snort3,
            LanguageName::Zeek => Self::Zeek,
            LanguageName::ZeekIntel => Self::ZeekIntel,
            LanguageName::Sigma => Self::Sigma,
        }
    }
}

impl From<FileArguments> for SignatureFiles {
    fn from(files: FileArguments) -> Self {
        Self { add: files.add, only: files.only }
    }
}

/// Output and exit code of a subcommand.
#[derive(Debug)]
pub(crate) struct CommandOutput {
    /// Text for standard output or for `file`.
    pub(crate) text: String,
    /// File that gets the text instead of standard output.
    pub(crate) file: Option<PathBuf>,
    /// Messages for standard error, one line each.
    pub(crate) messages: Vec<String>,
    /// Exit code of the process.
    pub(crate) exit: Exit,
}

impl CommandOutput {
    fn text(text: String) -> Self {
        Self { text, file: None, messages: Vec::new(), exit: Exit::Finished }
    }

    fn load_errors(errors: &[LoadError]) -> Self {
        Self::usage_error(errors.iter().map(ToString::to_string).collect())
    }

    fn usage_error(messages: Vec<String>) -> Self {
        Self { text: String::new(), file: None, messages, exit: Exit::Usage }
    }
}

/// Parses the arguments after the word `signatures`.
pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<SignaturesCommand, clap::Error> {
    Arguments::try_parse_from(arguments).map(|arguments| arguments.command)
}

/// Returns the grammar, for completion scripts.
pub(super) fn grammar() -> clap::Command {
    Arguments::command().name("signatures").bin_name("smsentry signatures")
}

/// Executes a subcommand.
pub(crate) fn execute(command: SignaturesCommand) -> CommandOutput {
    match command {
        SignaturesCommand::List { json, files } => {
            with_signatures(files, |set| CommandOutput::text(if json { list::json(set) } else { list::table(set) }))
        }
        SignaturesCommand::Check { paths, files } => check::execute(paths, files.into()),
        SignaturesCommand::Explain { id_or_slug, files } => {
            with_signatures(files, |set| match find(set, &id_or_slug) {
                Some(signature) => CommandOutput::text(explain::text(set, signature)),
                None => CommandOutput::usage_error(vec![format!(
                    "{id_or_slug}: no signature has this id or slug (see smsentry signatures list)"
                )]),
            })
        }
        SignaturesCommand::Export { to, sid_offset, with_support, output, files } => with_signatures(files, |set| {
            let options = export::Options { sid_offset, with_support };
            CommandOutput { file: output, ..export(set, to.into(), &options) }
        }),
    }
}

/// Loads the signatures and calls `then` with them; returns a usage error if they cannot be loaded.
fn with_signatures(files: FileArguments, then: impl FnOnce(&Signatures) -> CommandOutput) -> CommandOutput {
    match load_signatures(&files.into()) {
        Ok(set) => then(&set),
        Err(errors) => CommandOutput::load_errors(&errors),
    }
}

fn find<'a>(set: &'a Signatures, id_or_slug: &str) -> Option<&'a Signature> {
    let id = id_or_slug.parse::<u32>().ok();
    set.iter().map(|signature| &**signature).find(|signature| Some(signature.id) == id || signature.slug == id_or_slug)
}

/// Exports the signatures. The messages list what the rules do not cover, then the counts.
fn export(set: &Signatures, language: Language, options: &export::Options) -> CommandOutput {
    let export = export::export(language, set.iter().map(|signature| &**signature), options);
    let mut messages: Vec<String> = Vec::new();
    for omission in &export.omissions {
        let what = if omission.no_rule { "left out" } else { "in part" };
        messages.push(format!("{} {} {what}: {}", omission.id, omission.slug, omission.reason));
    }
    messages.push(format!(
        "{} of {} signatures exported for {}, {} of them in part; {} left out",
        export.exported,
        set.len(),
        language.name(),
        export.partial(),
        export.left_out(),
    ));
    CommandOutput { text: export.text, file: None, messages, exit: Exit::Finished }
}
