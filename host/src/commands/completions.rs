//! `completions`: a script for a shell.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::cli::Cli;
use crate::errors::Failure;
use crate::exit::Exit;
use crate::session::Session;

/// Prints the script.
pub(super) fn completions(shell: Shell, session: &Session) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "orchestrator", &mut script);
    session.print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}
