//! Programs: their options, from the command line and the environment, and how they fail.

use std::env;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::builder::{BoolishValueParser, TypedValueParser};
use clap::{Arg, ArgAction, Command, Parser, value_parser};
use clap_complete::Shell;
use clap_mangen::Man;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sluicegate_protocols::sandbox::User;
use sluicegate_reactor::block_io_signals;

use super::privileges;
use super::restart;
use super::status::WARNINGS;

/// Why a program failed, as one line for the user.
pub(crate) struct Failure(pub(super) String);

impl<E: Display> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure(error.to_string())
    }
}

/// Parses the options and runs a program. A failure prints one line and exits with code 1. Invalid
/// options exit with code 2.
pub(crate) fn main<O: Parser>(run: impl FnOnce(O) -> Result<(), Failure>) -> ExitCode {
    if let Some(started) = restart::start_next() {
        return exit(started);
    }
    let command = O::command().mut_args(from_environment).args(About::options());
    if let Some(about) = About::asked_for() {
        return exit(about.print(command).map_err(Failure::from));
    }
    let matches = command.get_matches();
    let options = O::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let environment = env_logger::Env::default().default_filter_or("warn");
    let logger = env_logger::Builder::from_env(environment).build();
    log::set_max_level(logger.filter());
    if let Err(error) = log::set_boxed_logger(Box::new(WARNINGS.logger(logger))) {
        eprintln!("warnings are not logged: {error}");
    }
    raise_descriptors();
    // Standard output and errors may be files with a maximum size.
    block_io_signals();
    // First of all, so that whatever can be opened now can be opened again later.
    let user = matches.get_one::<User>(privileges::USER);
    exit(user.map_or(Ok(()), User::switch).map_err(Failure::from).and_then(|()| run(options)))
}

/// Lets the program open as many descriptors as its hard limit allows. The soft limit is usually
/// 1024, for programs that call `select(2)`: too few for the connections that are accepted.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    if let Err(error) = raised {
        log::warn!("the limit of descriptors (RLIMIT_NOFILE) cannot be raised: {error}");
    }
}

fn exit(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(text)) => {
            // In one write, so that the lines of several processes do not mix.
            let _ = io::stderr().write_all(format!("error: {text}\n").as_bytes());
            ExitCode::FAILURE
        }
    }
}

const MAN: &str = "man";
const COMPLETIONS: &str = "completions";

/// Information to print instead of running the program.
enum About {
    Manual,
    Completions(Shell),
}

impl About {
    fn options() -> [Arg; 2] {
        let manual = Arg::new(MAN).long(MAN).action(ArgAction::SetTrue);
        let completions = Arg::new(COMPLETIONS).long(COMPLETIONS).value_name("SHELL");
        [
            manual.help("Print the manual page"),
            completions.help("Print completions for a shell").value_parser(value_parser!(Shell)),
        ]
        .map(|option| option.exclusive(true))
    }

    /// The information that the command line requests, if it requests nothing else. Other options,
    /// even required ones, are then ignored.
    fn asked_for() -> Option<About> {
        let options = Command::new("").args(About::options());
        let matches = options.disable_help_flag(true).try_get_matches().ok()?;
        let shell = matches.get_one(COMPLETIONS).copied().map(About::Completions);
        shell.or_else(|| matches.get_flag(MAN).then_some(About::Manual))
    }

    /// Prints it, under the name by which the program was called.
    fn print(self, command: Command) -> io::Result<()> {
        let called = env::args_os().next().unwrap_or_default();
        let name = Path::new(&called).file_name().unwrap_or_default().to_string_lossy();
        let mut command = command.name(name.clone().into_owned());
        let mut printed = Vec::new();
        match self {
            About::Manual => Man::new(command).render(&mut printed)?,
            About::Completions(shell) => {
                clap_complete::generate(shell, &mut command, name, &mut printed);
            }
        }
        io::stdout().write_all(&printed)
    }
}

/// Lets an option be set by the environment: `--max-connections` by `SLUICEGATE_MAX_CONNECTIONS`.
fn from_environment(arg: Arg) -> Arg {
    let name = arg.get_long().unwrap_or(arg.get_id().as_str());
    let variable = format!("SLUICEGATE_{}", name.replace('-', "_").to_uppercase());
    let is_flag = matches!(arg.get_action(), ArgAction::SetTrue);
    let arg = if is_flag { arg.value_parser(BoolishValueParser::new()) } else { arg };
    // clap takes a flag whose variable is false as given: options that conflict with it would be
    // refused, and options that require it accepted. Such a variable is not passed on; `--help` does
    // not show it then.
    if is_flag && is_false(&variable) { arg } else { arg.env(variable).hide_env_values(true) }
}

/// Whether the environment sets a flag to false.
fn is_false(variable: &str) -> bool {
    env::var_os(variable).is_some_and(|value| {
        let parsed = BoolishValueParser::new().parse_ref(&Command::new(""), None, &value);
        matches!(parsed, Ok(false))
    })
}
