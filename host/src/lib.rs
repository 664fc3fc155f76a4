//! The host: the command line, what it prints, and the composition of all rooms into a run.
//!
//! - `cli` is what can be typed, `commands` what it does, one file a command.
//! - `preflight` finds everything that can be known before a run starts; `check` prints it, `run` obeys it.
//! - `views` are those who watch a run: progress, JSON events, the summary at its end, `live.json` for `status`.
//! - `errors` and `exit` turn every error into a report and an exit code, in one place.
//! - `compose` is the only place that knows every room.

mod ceiling;
mod cli;
mod commands;
mod compose;
mod console;
mod errors;
mod exit;
mod fingerprint;
mod known;
mod learned;
mod logging;
mod output_check;
mod plugins;
mod preflight;
mod reload;
mod report;
mod session;
mod signals;
mod sources;
mod style;
mod usage;
mod views;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use exit::Exit;
use session::Session;

/// Reads the command line, does what it says and returns the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            usage::tell(&error);
            // Help and version are no errors.
            return if error.use_stderr() { Exit::Usage.into() } else { ExitCode::SUCCESS };
        }
    };
    if matches!(cli.command, Command::PluginRunner) {
        // It shuts itself in, which binds no thread that is there already.
        return commands::plugin_runner::serve().into();
    }
    let session = Session::new(&cli.globals);
    let exit = match commands::dispatch(cli.command, &session) {
        Ok(exit) => exit,
        Err(failure) => session.fail(&failure),
    };
    session.close();
    exit.into()
}
