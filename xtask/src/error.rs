//! What can go wrong in a chore.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A chore that did not end well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line named no chore that exists.
    Usage {
        /// The text that says what exists.
        usage: &'static str,
    },
    /// A program could not be started.
    Start {
        /// The program as typed.
        program: String,
        /// Why the system refused.
        source: std::io::Error,
    },
    /// A program ended with an error.
    Step {
        /// The whole command line.
        command: String,
        /// Its exit status in words.
        status: String,
    },
    /// A file or a folder could not be used.
    File {
        /// The path concerned.
        path: PathBuf,
        /// Why the system refused.
        source: std::io::Error,
    },
    /// Something the chore needs is not on this machine.
    Missing {
        /// What.
        what: &'static str,
        /// How to get it.
        remedy: &'static str,
    },
    /// Output of a tool was not what its manual promises.
    Parse {
        /// The tool.
        tool: &'static str,
        /// Where it broke.
        source: serde_json::Error,
    },
    /// Rules of this repository were broken.
    Rules {
        /// Which check found them.
        check: &'static str,
        /// One sentence each.
        broken: Vec<String>,
    },
}

impl Failure {
    /// The path that the system refused.
    pub(crate) fn file(path: &Path, source: std::io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }

    /// 2 for a wrong command line, 1 for everything else.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage { .. } => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage { usage } => write!(out, "no such chore\n{usage}"),
            Self::Start { program, source } => write!(out, "cannot start {program}: {source}"),
            Self::Step { command, status } => write!(out, "`{command}` failed ({status})"),
            Self::File { path, source } => write!(out, "{}: {source}", path.display()),
            Self::Missing { what, remedy } => write!(out, "{what} not found: {remedy}"),
            Self::Parse { tool, source } => write!(out, "cannot read the output of {tool}: {source}"),
            Self::Rules { check, broken } => {
                writeln!(out, "{check}: {} found", broken.len())?;
                broken.iter().try_for_each(|sentence| writeln!(out, "  - {sentence}"))
            }
        }
    }
}
