//! What is run, and on what.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Failure;
use crate::shell;

/// The sources, compiled where they are needed.
const SOURCES: [(&str, &str, &[&str]); 6] = [
    ("t0", include_str!("c/t0.c"), &["-nostdlib", "-static", "-fno-stack-protector"]),
    ("burn", include_str!("c/burn.c"), &["-static"]),
    ("hold", include_str!("c/hold.c"), &["-static"]),
    ("own", include_str!("c/own.c"), &["-static"]),
    ("loop", include_str!("c/loop.c"), &["-pthread"]),
    ("list", include_str!("c/list.c"), &[]),
];

/// Compiles one of the small programs into `folder`.
///
/// # Errors
/// There is no C compiler, or it refuses.
pub(super) fn program(folder: &Path, name: &str) -> Result<PathBuf, Failure> {
    let built = folder.join(name);
    let Some((_, text, flags)) =
        SOURCES.iter().find(|(known, ..)| *known == name).filter(|_| !built.exists())
    else {
        return Ok(built);
    };
    let source = folder.join(format!("{name}.c"));
    fs::write(&source, text).map_err(|error| Failure::file(&source, error))?;
    let mut compiler = Command::new("cc");
    compiler.arg("-O2").args(*flags).arg("-o").arg(&built).arg(&source);
    if !shell::succeeds(Command::new("cc").arg("--version")) {
        return Err(Failure::Missing { what: "a C compiler (cc)", remedy: "apt-get install gcc libc6-dev" });
    }
    shell::quietly(&mut compiler)?;
    Ok(built)
}

/// A directory of `count` empty files named `f0`, `f1`, …; made once.
///
/// # Errors
/// It cannot be made.
pub(super) fn files(folder: &Path, count: usize) -> Result<PathBuf, Failure> {
    let directory = folder.join(format!("in-{count}"));
    if !directory.exists() {
        fs::create_dir_all(&directory).map_err(|error| Failure::file(&directory, error))?;
        for number in 0..count {
            let file = directory.join(format!("f{number}"));
            File::create(&file).map_err(|error| Failure::file(&file, error))?;
        }
    }
    Ok(directory)
}

/// Makes the folder anew.
///
/// # Errors
/// It cannot be removed or made.
pub(super) fn fresh(folder: &Path) -> Result<(), Failure> {
    remove(folder);
    fs::create_dir_all(folder).map_err(|error| Failure::file(folder, error))
}

/// Removes a folder if it is there.
pub(super) fn remove(folder: &Path) {
    // What is left over is in the way of nobody.
    let _gone_or_never_there = fs::remove_dir_all(folder);
}
