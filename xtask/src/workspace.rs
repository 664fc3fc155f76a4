//! What cargo knows about this repository.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::Failure;
use crate::shell;

/// The part of `cargo metadata --no-deps` that the chores use.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    /// Every crate of the workspace.
    pub packages: Vec<Package>,
    /// Where build products go; honours `CARGO_TARGET_DIR`.
    pub target_directory: PathBuf,
    /// The folder of the root manifest.
    pub workspace_root: PathBuf,
}

/// One crate of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    /// The name in its manifest.
    pub name: String,
    /// The absolute path of its manifest.
    pub manifest_path: PathBuf,
    /// Direct dependencies of every kind: normal, dev and build.
    pub dependencies: Vec<Dependency>,
}

/// A direct dependency.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    /// The package's own name, not a local rename.
    pub name: String,
    /// `None` for a normal dependency, else `dev` or `build`.
    pub kind: Option<String>,
    /// The folder of a dependency given by path.
    pub path: Option<PathBuf>,
}

impl Workspace {
    /// Asks cargo.
    ///
    /// # Errors
    /// Cargo does not run, or its answer cannot be read.
    pub(crate) fn load() -> Result<Self, Failure> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here.parent().unwrap_or(here);
        let mut command = shell::cargo(root);
        let answer =
            shell::capture(command.args(["metadata", "--no-deps", "--format-version", "1", "--locked"]))?;
        serde_json::from_slice(&answer).map_err(|source| Failure::Parse { tool: "cargo metadata", source })
    }

    /// A `cargo` command that runs in the root of the workspace.
    pub(crate) fn cargo(&self) -> std::process::Command {
        shell::cargo(&self.workspace_root)
    }
}
