//! The files and the environment that configurations are loaded from.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use orchestrator_core::config::Sources;

/// This process's own world, as it was when the program began.
#[derive(Debug)]
pub(crate) struct SystemSources {
    environment: BTreeMap<String, String>,
    directory: PathBuf,
}

impl SystemSources {
    /// Takes environment and current directory as they are; a current directory that was removed counts as `/`.
    pub(crate) fn new() -> Self {
        let pairs = std::env::vars_os();
        let environment =
            pairs.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let directory = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        Self { environment: environment.collect(), directory }
    }
}

impl Sources for SystemSources {
    fn read(&self, path: &Path) -> io::Result<String> {
        std::fs::read_to_string(path)
    }

    fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    fn current_directory(&self) -> &Path {
        &self.directory
    }
}
