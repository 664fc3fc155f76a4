//! Cargo subcommands that the chores need: used where installed, else built once under `target/tools`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Failure;
use crate::shell;
use crate::workspace::Workspace;

/// A cargo subcommand from the crates registry.
pub(crate) struct Tool {
    /// The crate and program name, `cargo-…`.
    pub name: &'static str,
    /// The version that is built when none is installed.
    pub version: &'static str,
}

/// The test runner.
pub(crate) const NEXTEST: Tool = Tool { name: "cargo-nextest", version: "0.9.143" };

/// Licences, bans, sources, advisories.
pub(crate) const DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };

impl Tool {
    /// Finds the tool, building it first if the machine has none.
    ///
    /// The build is unoptimised: these tools wait for others or read a lock file, and the build takes
    /// a fraction of the time of an optimised one.
    ///
    /// # Errors
    /// The tool is neither installed nor can it be built.
    pub(crate) fn find_or_build(&self, workspace: &Workspace) -> Result<PathBuf, Failure> {
        let folder = workspace.target_directory.join("tools");
        let own = folder.join("bin").join(self.name);
        for candidate in [PathBuf::from(self.name), own.clone()] {
            if shell::succeeds(Command::new(&candidate).arg("--version")) {
                return Ok(candidate);
            }
        }
        println!("{} is not installed: building {} {} once", self.name, self.name, self.version);
        self.build(workspace, &folder)?;
        Ok(own)
    }

    fn build(&self, workspace: &Workspace, folder: &Path) -> Result<(), Failure> {
        let mut install = workspace.cargo();
        install.args([
            "install",
            self.name,
            "--version",
            self.version,
            "--locked",
            "--debug",
            "--quiet",
            "--root",
        ]);
        // Left to itself, cargo builds in a temporary folder and removes it.
        install.arg(folder).env_remove("CARGO_TARGET_DIR");
        // Without debug information and incremental files the build is quicker and the program a tenth of the size.
        install.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_INCREMENTAL", "0");
        shell::run(&mut install)
    }
}
