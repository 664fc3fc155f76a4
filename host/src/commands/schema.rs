//! `schema`: the JSON Schema of configuration files.

use orchestrator_core::config;

use crate::errors::Failure;
use crate::exit::Exit;
use crate::session::Session;

/// Prints it.
pub(super) fn schema(session: &Session) -> Result<Exit, Failure> {
    session.print(&text())?;
    Ok(Exit::Success)
}

/// The schema, indented.
pub(super) fn text() -> String {
    format!("{:#}\n", config::schema())
}
