//! Licences, banned crates, sources and known vulnerabilities, by cargo-deny and `deny.toml`.

use std::process::Command;

use crate::error::Failure;
use crate::shell;
use crate::tools;
use crate::workspace::Workspace;

/// Bans, licences and sources always; advisories where their database can be fetched.
///
/// # Errors
/// cargo-deny cannot be had, or finds something that `deny.toml` does not allow.
pub(crate) fn check(workspace: &Workspace) -> Result<(), Failure> {
    let program = tools::DENY.find_or_build(workspace)?;
    let deny = |words: &[&str]| {
        let mut command = Command::new(&program);
        command.current_dir(&workspace.workspace_root).args(["--workspace", "--locked"]).args(words);
        command
    };
    shell::run(&mut deny(&["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]))?;
    if shell::succeeds(&mut deny(&["fetch", "db"])) {
        shell::run(&mut deny(&["check", "--disable-fetch", "--hide-inclusion-graph", "advisories"]))
    } else {
        println!("advisories: SKIPPED, their database cannot be fetched from this machine");
        Ok(())
    }
}
