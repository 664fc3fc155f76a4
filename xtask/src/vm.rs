//! `cargo xtask vm`: the orchestrator on machines that this one is not (`tests/vm`).

use std::process::Command;

use crate::error::Failure;
use crate::shell;
use crate::workspace::Workspace;

const USAGE: &str = "usage: cargo xtask vm numa";

/// Builds the orchestrator, starts the machine and shows its verdict.
///
/// # Errors
/// No such machine; a tool is missing; something did not go there as it should.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let [name] = arguments else { return Err(Failure::Usage { usage: USAGE }) };
    if name != "numa" {
        return Err(Failure::Usage { usage: USAGE });
    }
    let workspace = Workspace::load()?;
    shell::run(workspace.cargo().args(["build", "--locked", "-p", "orchestrator-host"]))?;
    let script = workspace.workspace_root.join("tests/vm").join(format!("{name}.sh"));
    let program = workspace.target_directory.join("debug/orchestrator");
    shell::run(Command::new(script).arg(program).arg(workspace.target_directory.join("vm")))
}
