//! Real files to work on, and the comparison of two folders of results.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Failure;

/// Files smaller than this take less time to compress than to start a process for.
const SMALLEST: u64 = 24 << 10;
const LARGEST: u64 = 1 << 20;

/// Up to `most` source files of the crates that this build was made of, else of the machine's documentation.
///
/// # Errors
/// The machine has neither.
pub(super) fn real_files(most: usize) -> Result<Vec<PathBuf>, Failure> {
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from).or(home).unwrap_or_default();
    let mut found = Vec::new();
    for folder in [cargo.join("registry/src"), PathBuf::from("/usr/share/doc")] {
        collect(&folder, &mut found);
        if found.len() >= most {
            break;
        }
    }
    if found.is_empty() {
        return Err(Failure::Missing {
            what: "source files in cargo's registry",
            remedy: "run `cargo fetch`",
        });
    }
    found.sort();
    let stride = (found.len() / most).max(1);
    Ok(found.into_iter().step_by(stride).take(most).collect())
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            collect(&entry.path(), found);
        } else if kind.is_file()
            && entry.metadata().is_ok_and(|facts| (SMALLEST..=LARGEST).contains(&facts.len()))
        {
            found.push(entry.path());
        }
    }
}

/// One sentence for each file that is not the same in both folders. Names with a leading dot do not count.
///
/// # Errors
/// A folder or a file cannot be read.
pub(super) fn differences(expected: &Path, found: &Path) -> Result<Vec<String>, Failure> {
    let mut sentences = Vec::new();
    let (left, right) = (names(expected)?, names(found)?);
    for name in &left {
        if !right.contains(name) {
            sentences.push(format!("{name} is missing"));
        } else if read(&expected.join(name))? != read(&found.join(name))? {
            sentences.push(format!("{name} differs"));
        }
    }
    sentences
        .extend(right.iter().filter(|name| !left.contains(name)).map(|name| format!("{name} is too much")));
    Ok(sentences)
}

fn names(folder: &Path) -> Result<Vec<String>, Failure> {
    let entries = fs::read_dir(folder).map_err(|source| Failure::file(folder, source))?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok(names.filter(|name| !name.starts_with('.')).collect())
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|source| Failure::file(path, source))
}
