//! `cargo xtask test`: everything that must hold before a change lands.

use crate::error::Failure;
use crate::lint;
use crate::shell;
use crate::tools;
use crate::workspace::Workspace;

/// Builds the workspace (the end-to-end tests start the built binary and load the built plugins),
/// runs the doc tests and every other test, then [`lint::run`]. Further arguments go to the test
/// runner, and then the lints are left out: `cargo xtask test -E 'test(kill)'`.
///
/// # Errors
/// The first step that fails.
pub(crate) fn run(selection: &[String]) -> Result<(), Failure> {
    let workspace = Workspace::load()?;
    shell::run(workspace.cargo().args(["build", "--workspace", "--locked"]))?;
    if selection.is_empty() {
        shell::run(workspace.cargo().args(["test", "--doc", "--workspace", "--locked", "--quiet"]))?;
    }
    run_tests(&workspace, selection)?;
    if selection.is_empty() { lint::run() } else { Ok(()) }
}

fn run_tests(workspace: &Workspace, selection: &[String]) -> Result<(), Failure> {
    match tools::NEXTEST.find_or_build(workspace) {
        Ok(nextest) => {
            let profile = if std::env::var_os("CI").is_some() { "ci" } else { "default" };
            let mut command = std::process::Command::new(nextest);
            command.current_dir(&workspace.workspace_root);
            command.args(["nextest", "run", "--workspace", "--locked", "--profile", profile]).args(selection);
            shell::run(&mut command)
        }
        Err(failure) => {
            println!("{failure}; falling back to `cargo test`, without time limits per test");
            shell::run(workspace.cargo().args(["test", "--workspace", "--locked", "--tests"]).args(selection))
        }
    }
}
