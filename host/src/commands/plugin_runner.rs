//! `plugin-runner`: a process of its own for a plugin instance. Not for people.

use std::io::{self, Write};

use crate::exit::Exit;

/// Serves the host at standard input, and does not return as long as that goes well.
pub(crate) fn serve() -> Exit {
    match orchestrator_plugin_host::run_here() {
        Ok(()) => Exit::Success,
        Err(error) => {
            let _closed = writeln!(io::stderr(), "plugin-runner: {error}");
            Exit::Usage
        }
    }
}
