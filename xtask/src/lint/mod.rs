//! `cargo xtask lint`: the house rules that a machine can hold.

mod deny;
mod edges;

use crate::abi;
use crate::error::Failure;
use crate::shell;
use crate::workspace::Workspace;

/// Formatting, dependency edges, the plugin contract, clippy, documentation, licences and advisories, documentation, in the order of their cost.
///
/// # Errors
/// The first check that fails.
pub(crate) fn run() -> Result<(), Failure> {
    let workspace = Workspace::load()?;
    shell::run(workspace.cargo().args(["fmt", "--all", "--check"]))?;
    edges::check(&workspace)?;
    abi::check(&workspace)?;
    shell::run(workspace.cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ]))?;
    shell::run(
        workspace
            .cargo()
            .args(["doc", "--workspace", "--no-deps", "--locked", "--quiet"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    deny::check(&workspace)?;
    println!("lint: clean");
    Ok(())
}
