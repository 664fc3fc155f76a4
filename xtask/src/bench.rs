//! `cargo xtask bench`: figures that documents may cite.

use std::process::Command;

use crate::error::Failure;
use crate::shell;
use crate::workspace::Workspace;

/// Each benchmark: its name, and the program of the tests package that measures it.
const BENCHES: [(&str, &str); 3] =
    [("queue", "bench_queue"), ("capacity", "bench_capacity"), ("predict", "bench_predict")];

const USAGE: &str =
    "usage: cargo xtask bench [queue [LARGEST] | capacity [--write FILE] [FIRST LAST] | predict]";

/// Builds everything in release mode and runs one benchmark (the arguments after its name are its own), or all.
///
/// # Errors
/// There is no such benchmark, or it fails.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let (name, rest) = arguments.split_first().map_or((None, arguments), |(name, rest)| (Some(name), rest));
    let chosen: Vec<_> = BENCHES.iter().filter(|(known, _)| name.is_none_or(|name| name == known)).collect();
    if chosen.is_empty() {
        return Err(Failure::Usage { usage: USAGE });
    }
    let workspace = Workspace::load()?;
    shell::run(workspace.cargo().args(["build", "--workspace", "--locked", "--release"]))?;
    for (_, program) in chosen {
        let mut command = Command::new(workspace.target_directory.join("release").join(program));
        shell::run(command.args(rest).current_dir(&workspace.workspace_root))?;
    }
    Ok(())
}
