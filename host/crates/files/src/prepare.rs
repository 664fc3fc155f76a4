//! Making an attempt's private directory.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use orchestrator_core::AttemptId;
use orchestrator_core::scheduler::{InputPath, SpawnFault};
use orchestrator_ports::PrivateOutput;

use crate::fault::prepare_fault;
use crate::layout::FilesHandle;

/// Longest file name on every file system in use (`NAME_MAX`).
const NAME_MAX: usize = 255;

impl FilesHandle {
    /// Makes the attempt's private directory with the sub-directories of its output's path, and `{temp_dir}` when
    /// commands use it. Leftovers under the same attempt id are removed first.
    ///
    /// # Errors
    /// `Input` when the output's name is impossible, `DiskFull`, `Machine` for everything else (files or memory ran
    /// out, the private directory cannot be written).
    pub fn prepare(&self, attempt: AttemptId, path: &InputPath) -> Result<PrivateOutput, SpawnFault> {
        let private = self.private(attempt, path);
        check_name(&private.file)?;
        let root = self.attempt_dir(attempt);
        self.make_root(attempt, &root)
            .map_err(|error| prepare_fault("cannot make private directory", &root, &error))?;
        let parent = private.file.parent().unwrap_or(&private.directory);
        make_all(parent).map_err(|error| prepare_fault("cannot make private directory", parent, &error))?;
        if self.options.make_temp {
            make(&private.temp)
                .map_err(|error| prepare_fault("cannot make private directory", &private.temp, &error))?;
        }
        Ok(private)
    }

    fn make_root(&self, attempt: AttemptId, root: &Path) -> io::Result<()> {
        match make(root) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.remove_attempt(attempt)?;
                make(root)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_all(&self.options.partial_dir)?;
                make(root)
            }
            other => other,
        }
    }
}

/// Makes one directory for us alone.
fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Makes a directory and its parents. What was made is ours alone at the top; below, the umask decides.
pub(crate) fn make_all(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

fn check_name(file: &Path) -> Result<(), SpawnFault> {
    let length = file.file_name().map_or(0, |name| name.len());
    if length > NAME_MAX {
        let detail = format!("the output's name would have {length} bytes; file systems allow {NAME_MAX}");
        return Err(SpawnFault::Input { detail });
    }
    Ok(())
}
