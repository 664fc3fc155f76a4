//! `cargo xtask abi`: no published version of the plugin contract changes, and a new one only adds.
//!
//! `orchestrator-plugin-api/abi/VERSION.txt` holds the layout of each published version, a line a fact, as the example
//! `abi` of that crate prints it.

mod compare;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Failure;
use crate::shell;
use crate::workspace::Workspace;

const USAGE: &str = "usage: cargo xtask abi [--record]\n";

/// Compares the contract's source with every record; with `--record` writes the record of its version.
///
/// # Errors
/// The source differs from the record of its own version, does not only add to an older one, or has no record.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let workspace = Workspace::load()?;
    match arguments {
        [] => check(&workspace),
        [flag] if flag == "--record" => record(&workspace),
        _ => Err(Failure::Usage { usage: USAGE }),
    }
}

/// The check alone, as `lint` makes it.
///
/// # Errors
/// As for [`run`].
pub(crate) fn check(workspace: &Workspace) -> Result<(), Failure> {
    let current = current(workspace)?;
    let records = records(&folder(workspace))?;
    let mut broken = differences(&records, &current);
    if !records.iter().any(|record| record.version == current.version) {
        broken.push(format!(
            "version {} has no record: write it by `cargo xtask abi --record`",
            current.version
        ));
    }
    verdict(broken)?;
    println!("plugin contract {}: {} records, none broken", current.version, records.len());
    Ok(())
}

fn record(workspace: &Workspace) -> Result<(), Failure> {
    let current = current(workspace)?;
    let folder = folder(workspace);
    verdict(differences(&records(&folder)?, &current))?;
    let path = folder.join(format!("{}.txt", current.version));
    fs::create_dir_all(&folder).map_err(|source| Failure::file(&folder, source))?;
    fs::write(&path, &current.text).map_err(|source| Failure::file(&path, source))?;
    println!("plugin contract {}: recorded in {}", current.version, path.display());
    Ok(())
}

fn verdict(broken: Vec<String>) -> Result<(), Failure> {
    if broken.is_empty() {
        Ok(())
    } else {
        Err(Failure::Rules { check: "breaks of the plugin contract", broken })
    }
}

/// A version's layout.
#[derive(Clone, Debug)]
struct Record {
    version: String,
    text: String,
}

/// All breaks of all records of the same major version, one sentence each.
fn differences(records: &[Record], current: &Record) -> Vec<String> {
    let major = |record: &Record| record.version.split('.').next().map(str::to_owned);
    let concerned = records.iter().filter(|record| major(record) == major(current));
    let mut broken = Vec::new();
    for record in concerned {
        let found = if record.version == current.version {
            compare::unchanged(&record.text, &current.text)
        } else {
            compare::only_added(&record.text, &current.text)
        };
        broken.extend(found.into_iter().map(|sentence| format!("{}: {sentence}", record.version)));
    }
    broken
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.workspace_root.join("orchestrator-plugin-api/abi")
}

fn current(workspace: &Workspace) -> Result<Record, Failure> {
    let mut cargo = workspace.cargo();
    cargo.args(["run", "--quiet", "--locked", "--package", "orchestrator-plugin-api", "--example", "abi"]);
    read(&shell::capture(&mut cargo)?)
}

/// From what the example printed.
fn read(printed: &[u8]) -> Result<Record, Failure> {
    let text = String::from_utf8_lossy(printed).into_owned();
    let version = text.lines().find_map(|line| line.strip_prefix("contract: ")).map(str::to_owned);
    let missing = Failure::Missing { what: "the line `contract: VERSION`", remedy: "mend the example `abi`" };
    Ok(Record { version: version.ok_or(missing)?, text })
}

fn records(folder: &Path) -> Result<Vec<Record>, Failure> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Failure::file(folder, source)),
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let recorded = |path: PathBuf| fs::read(&path).map_err(|source| Failure::file(&path, source));
    paths.into_iter().map(|path| read(&recorded(path)?)).collect()
}
