//! Real files: the sources of the crates this build was made of.

use std::fs;
use std::path::{Path, PathBuf};

/// Copies `count` source files of between 1 and `largest` bytes into `into`, as `00000-name.rs`, …
///
/// The choice is the same on every call on one machine. Returns the paths in `into`, sorted.
///
/// # Panics
/// The machine has fewer such files (a build from an empty registry cache has more than 3,000).
#[must_use]
pub fn crate_sources(count: usize, largest: u64, into: &Path) -> Vec<PathBuf> {
    fs::create_dir_all(into).expect("a folder for inputs");
    let mut found = Vec::new();
    collect(&registry(), largest, &mut found);
    found.sort();
    assert!(found.len() >= count, "{} source files in {}", found.len(), registry().display());
    // Every k-th of the sorted list: many crates, many sizes.
    let stride = found.len() / count;
    let chosen = found.iter().step_by(stride.max(1)).take(count).enumerate();
    let mut inputs: Vec<PathBuf> = chosen
        .map(|(i, source)| {
            let name = source.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let target = into.join(format!("{i:05}-{name}"));
            fs::copy(source, &target).expect("a source file can be copied");
            target
        })
        .collect();
    inputs.sort();
    inputs
}

/// Cargo's folder of unpacked crates.
fn registry() -> PathBuf {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    home.expect("CARGO_HOME or HOME is set under cargo").join("registry/src")
}

fn collect(folder: &Path, largest: u64, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(facts) = entry.metadata() else { continue };
        if facts.is_dir() {
            collect(&path, largest, found);
        } else if facts.is_file()
            && path.extension().is_some_and(|ending| ending == "rs")
            && (1..=largest).contains(&facts.len())
        {
            found.push(path);
        }
    }
}
