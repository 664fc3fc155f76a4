//! What each command does, one file a command.
//!
//! To add a command: its arguments to `cli/`, a file here with a function of the same shape, a line in [`dispatch`].

mod calibrate;
mod check;
mod completions;
mod config;
mod explain;
mod foretell;
mod init;
mod logs;
mod man;
pub(crate) mod plugin;
pub(crate) mod plugin_runner;
mod replay_trace;
mod run;
mod schema;
mod simulate;
mod simulate_history;
mod state;
mod status;

use crate::cli::{Command, ConfigCommand};
use crate::errors::Failure;
use crate::exit::Exit;
use crate::session::Session;

/// Does what was typed.
///
/// # Errors
/// Whatever keeps the command from its work.
pub(crate) fn dispatch(command: Command, session: &Session) -> Result<Exit, Failure> {
    match command {
        Command::Run(args) => run::run(&args, session),
        Command::Check(args) => check::check(&args, session),
        Command::Init(args) => init::init(&args, session),
        Command::Calibrate(args) => calibrate::calibrate(&args, session),
        Command::Status(args) => status::status(&args, session),
        Command::Logs(args) => logs::logs(&args, session),
        Command::Explain(args) => explain::explain(&args, session),
        Command::Config(ConfigCommand::Show(args)) => config::show(&args, session),
        Command::Schema => schema::schema(session),
        Command::Plugin(command) => plugin::dispatch(command, session),
        Command::Completions { shell } => completions::completions(shell, session),
        Command::Man(args) => man::man(&args, session),
        Command::Simulate(args) => simulate::simulate(&args, session),
        Command::ReplayTrace(args) => replay_trace::replay_trace(&args, session),
        Command::PluginProbe { file } => Ok(plugin::probe(&file, session)),
        // Begun before there is a session: see `main`.
        Command::PluginRunner => Ok(Exit::Internal),
    }
}
