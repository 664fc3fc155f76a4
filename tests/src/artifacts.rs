//! What `cargo build --workspace` left in the target folder.

use std::path::{Path, PathBuf};

/// The folder of the built programs, `target/debug` as a rule: a test runs from `deps` below it, a benchmark from itself.
///
/// # Panics
/// The running program's own path cannot be read.
#[must_use]
pub fn folder() -> PathBuf {
    let own = std::env::current_exe().expect("a test knows its own path");
    let folder = own.parent().expect("a program lies in a folder");
    if folder.ends_with("deps") { folder.parent().unwrap_or(folder).to_owned() } else { folder.to_owned() }
}

/// The `orchestrator` command.
#[must_use]
pub fn orchestrator() -> PathBuf {
    built("orchestrator")
}

/// The program that behaves as badly as it is told to; see `fixture --help`.
#[must_use]
pub fn fixture() -> PathBuf {
    built("fixture")
}

/// The bundled plugin `name` (`system-metrics`, …) as a shared object.
#[must_use]
pub fn plugin(name: &str) -> PathBuf {
    built(&format!("liborchestrator_plugin_{}.so", name.replace('-', "_")))
}

/// The names of the bundled plugins.
pub const PLUGINS: [&str; 4] =
    ["system-metrics", "connection-counter", "resource-capacity", "custom-capacity"];

/// Copies the named bundled plugins into `into`, which is made if it is missing.
///
/// # Panics
/// A plugin is not built, or cannot be copied.
pub fn copy_plugins(names: &[&str], into: &Path) {
    std::fs::create_dir_all(into).expect("a folder for plugins");
    for name in names {
        let file = plugin(name);
        let target = into.join(file.file_name().expect("a plugin has a file name"));
        std::fs::copy(&file, target).expect("a built plugin can be copied");
    }
}

fn built(name: &str) -> PathBuf {
    let path = folder().join(name);
    assert!(path.is_file(), "{} is not built: run `cargo xtask test`", path.display());
    path
}
