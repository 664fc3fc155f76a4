//! Which file a program's name means.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use orchestrator_ports::Launch;

/// Where a bare name is looked up when an environment without `PATH` was asked for (as `execvp` does).
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// The program as the kernel will be asked for it: always with a directory. A relative path is meant from the host's
/// directory, not the child's; a bare name is looked up in the `PATH` that the child gets.
pub(crate) fn locate(launch: &Launch) -> PathBuf {
    let program = &launch.program;
    if program.has_root() {
        return program.clone();
    }
    if program.components().count() > 1 {
        return std::path::absolute(program).unwrap_or_else(|_| program.clone());
    }
    let found = std::env::split_paths(&path(launch))
        .map(|directory| directory.join(program))
        .find(|file| is_executable(file));
    found.unwrap_or_else(|| Path::new("/nonexistent").join(program))
}

fn path(launch: &Launch) -> OsString {
    let shared = || launch.settings.env.iter().rfind(|(name, _)| name == "PATH");
    match launch.env.get("PATH").or_else(|| shared().map(|(_, path)| path.as_os_str())) {
        Some(path) => path.to_owned(),
        None if launch.settings.clear_env => DEFAULT_PATH.into(),
        None => std::env::var_os("PATH").unwrap_or_else(|| OsStr::new(DEFAULT_PATH).to_owned()),
    }
}

fn is_executable(file: &Path) -> bool {
    file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
}
