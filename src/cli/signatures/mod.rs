//! `smsentry signatures …`: its grammar, and what each of its commands says. Not the reading of files, which is
//! `runtime`'s, and not the printing, which is `main`'s.

mod check;
mod explain;
mod list;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use smsentry::app::config::SignatureFiles;
use smsentry::app::{Exit, load_signatures};
use smsentry::export::{self, Language};
use smsentry::signature::{Signature, Signatures};

/// Looks at signatures: the built-in ones, and those given with -s or -S
#[derive(Debug, Parser)]
#[command(name = "smsentry signatures", bin_name = "smsentry signatures", max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    request: Request,
}

/// What is asked.
#[derive(Debug, Subcommand)]
pub(crate) enum Request {
    /// List all signatures, one a line
    List {
        /// One JSON object a line, with every field
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        files: Files,
    },
    /// Check files of signatures: what is wrong, examples that fail, overlaps, entries that can never win. Exits with 2 if
    /// a file is broken or an example fails
    Check {
        /// The files; they are checked by themselves, then beside the built-in ones (or those of -S)
        #[arg(value_name = "FILE", required = true)]
        check: Vec<PathBuf>,
        #[command(flatten)]
        files: Files,
    },
    /// Explain a signature: what it matches, what an answer means, who else asks, how to silence it
    Explain {
        /// Its id or its slug
        #[arg(value_name = "ID|SLUG")]
        which: String,
        #[command(flatten)]
        files: Files,
    },
    /// Write all signatures as rules of another tool. What its language cannot say is listed on standard error
    Export {
        /// The language
        #[arg(long, value_name = "LANGUAGE", value_enum)]
        to: LanguageName,
        /// Add this to every id
        #[arg(long, value_name = "N", default_value_t = 0)]
        sid_offset: u32,
        /// Make rules of signatures with the status support too, which never alert alone
        #[arg(long)]
        with_support: bool,
        /// Write to this file instead of standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        files: Files,
    },
}

/// Which signatures.
#[derive(Args, Debug)]
pub(crate) struct Files {
    /// Load signatures in addition to the built-in ones. May be repeated
    #[arg(short = 's', long = "signatures", value_name = "FILE")]
    add: Vec<PathBuf>,
    /// Load signatures instead of the built-in ones. May be repeated
    #[arg(short = 'S', long = "only-signatures", value_name = "FILE")]
    only: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LanguageName {
    /// Rules of Suricata 7
    Suricata,
    /// Rules of Snort 3
    Snort3,
    /// Zeek's signature framework
    Zeek,
    /// Zeek's intelligence framework
    ZeekIntel,
    /// Sigma rules for logs of web servers
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

impl From<Files> for SignatureFiles {
    fn from(files: Files) -> Self {
        Self { add: files.add, only: files.only }
    }
}

/// What there is to say.
#[derive(Debug)]
pub(crate) struct Answer {
    /// For standard output, or for `file`.
    pub(crate) text: String,
    /// Where the text goes instead of standard output.
    pub(crate) file: Option<PathBuf>,
    /// For standard error, a line each.
    pub(crate) messages: Vec<String>,
    /// How the process ends.
    pub(crate) exit: Exit,
}

impl Answer {
    fn of(text: String) -> Self {
        Self { text, file: None, messages: Vec::new(), exit: Exit::Finished }
    }

    fn refusal(messages: Vec<String>) -> Self {
        Self { text: String::new(), file: None, messages, exit: Exit::Usage }
    }
}

/// Reads the arguments behind the word `signatures`.
pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Request, clap::Error> {
    Arguments::try_parse_from(arguments).map(|arguments| arguments.request)
}

/// The grammar, for completions.
pub(super) fn grammar() -> clap::Command {
    Arguments::command().name("signatures").bin_name("smsentry signatures")
}

/// Does what is asked.
pub(crate) fn answer(request: Request) -> Answer {
    match request {
        Request::List { json, files } => {
            with(files, |set| Answer::of(if json { list::json(set) } else { list::table(set) }))
        }
        Request::Check { check, files } => check::answer(check, files.into()),
        Request::Explain { which, files } => with(files, |set| match named(set, &which) {
            Some(signature) => Answer::of(explain::text(set, signature)),
            None => Answer::refusal(vec![format!(
                "{which}: there is no signature with this id or slug (see smsentry signatures list)"
            )]),
        }),
        Request::Export { to, sid_offset, with_support, output, files } => with(files, |set| {
            let options = export::Options { sid_offset, with_support };
            let mut answer = exported(set, to.into(), &options);
            answer.file = output;
            answer
        }),
    }
}

/// Loads the signatures and goes on, or says what is wrong with them.
fn with(files: Files, then: impl FnOnce(&Signatures) -> Answer) -> Answer {
    match load_signatures(&files.into()) {
        Ok(set) => then(&set),
        Err(errors) => Answer::refusal(errors),
    }
}

fn named<'a>(set: &'a Signatures, which: &str) -> Option<&'a Signature> {
    let id = which.parse::<u32>().ok();
    set.iter().map(|signature| &**signature).find(|signature| Some(signature.id) == id || signature.slug == which)
}

fn exported(set: &Signatures, language: Language, options: &export::Options) -> Answer {
    let export = export::export(language, set.iter().map(|signature| &**signature), options);
    let mut messages: Vec<String> = Vec::new();
    for omission in &export.omissions {
        let what = if omission.no_rule { "left out" } else { "in part" };
        messages.push(format!("{} {} {what}: {}", omission.id, omission.slug, omission.reason));
    }
    messages.push(format!(
        "{} of {} signatures written for {}, {} of them in part; {} left out",
        export.exported,
        set.len(),
        language.name(),
        export.partial(),
        export.left_out(),
    ));
    Answer { text: export.text, file: None, messages, exit: Exit::Finished }
}
