//! What an attempt left in its private directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use orchestrator_core::AttemptId;
use orchestrator_core::scheduler::{InputPath, OutputFault, OutputRecord};
use orchestrator_core::validation::{Found, FoundKind, verdict};

use crate::layout::{FilesHandle, relative, to_input_path};

impl FilesHandle {
    /// Lists the attempt's private output, applies the rules and, when the main output is there, the check.
    pub(crate) fn judge(
        &self,
        attempt: AttemptId,
        path: &InputPath,
    ) -> Result<Vec<OutputRecord>, OutputFault> {
        let main = self.output_name(path);
        let found = self.list(attempt, &main).map_err(|(at, error)| OutputFault::CheckFailed {
            detail: format!("private output {} cannot be read: {error}", at.display()),
        })?;
        let outputs = verdict(&self.options.rules, &main, &found)?;
        if let Some(check) = self.options.check.as_ref().filter(|_| outputs.iter().any(|o| o.path == main)) {
            check(&self.out_dir(attempt).join(relative(&main)), &self.input(path), attempt)?;
        }
        Ok(outputs)
    }

    /// Everything below the attempt's `out` that is not a plain directory.
    fn list(&self, attempt: AttemptId, main: &InputPath) -> Result<Vec<Found>, (PathBuf, io::Error)> {
        let root = self.out_dir(attempt);
        let mut found = Vec::new();
        let mut pending = vec![PathBuf::new()];
        while let Some(directory) = pending.pop() {
            let absolute = root.join(&directory);
            let entries = match fs::read_dir(&absolute) {
                Ok(entries) => entries,
                // The whole private directory is gone: the process removed it. Nothing was written, then.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err((absolute, error)),
            };
            for entry in entries {
                let entry = entry.map_err(|error| (absolute.clone(), error))?;
                let kind = kind_of(&entry).map_err(|error| (entry.path(), error))?;
                let name = directory.join(entry.file_name());
                match kind {
                    Kind::Directory if name != relative(main) => pending.push(name),
                    Kind::File(size) if !self.is_ours(&name) => {
                        found.push(Found { path: to_input_path(name), kind: FoundKind::File(size) });
                    }
                    _ => found.push(Found { path: to_input_path(name), kind: FoundKind::Other }),
                }
            }
        }
        Ok(found)
    }

    /// Whether a published file of this name would land in a directory of the orchestrator's own.
    fn is_ours(&self, name: &Path) -> bool {
        let target = self.options.output_dir.join(name);
        let own = self.options.skip_dirs.iter().chain([&self.options.partial_dir]);
        own.into_iter().any(|directory| target.starts_with(directory))
    }
}

enum Kind {
    Directory,
    File(u64),
    Other,
}

fn kind_of(entry: &fs::DirEntry) -> io::Result<Kind> {
    let file_type = entry.file_type()?;
    if file_type.is_dir() {
        return Ok(Kind::Directory);
    }
    if !file_type.is_file() {
        return Ok(Kind::Other);
    }
    Ok(Kind::File(entry.metadata()?.len()))
}
