//! Programs: their options, from the command line and the environment, and how they fail.

use std::fmt::Display;
use std::process::ExitCode;

use clap::builder::BoolishValueParser;
use clap::{Arg, ArgAction, Parser};

/// Why a program ends: one line for the user.
pub(crate) struct Failure(pub(super) String);

impl<E: Display> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure(error.to_string())
    }
}

/// Parses the options and runs a program. A failure prints one line and exits with code 1. Invalid
/// options exit with code 2.
pub(crate) fn main<O: Parser>(run: impl FnOnce(O) -> Result<(), Failure>) -> ExitCode {
    let command = O::command().mut_args(from_environment);
    let options = O::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(text)) => {
            eprintln!("error: {text}");
            ExitCode::FAILURE
        }
    }
}

/// Lets an option be set by the environment: `--max-connections` by `SLUICEGATE_MAX_CONNECTIONS`.
fn from_environment(arg: Arg) -> Arg {
    let name = arg.get_long().unwrap_or(arg.get_id().as_str());
    let variable = format!("SLUICEGATE_{}", name.replace('-', "_").to_uppercase());
    let is_flag = matches!(arg.get_action(), ArgAction::SetTrue);
    // The leak is bounded: it happens once for each option.
    let arg = arg.env(&*variable.leak()).hide_env_values(true);
    if is_flag { arg.value_parser(BoolishValueParser::new()) } else { arg }
}
