//! Where everything of an attempt lies: `<partial>/<attempt>/{out,tmp}`.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use orchestrator_core::AttemptId;
use orchestrator_core::scheduler::InputPath;
use orchestrator_ports::PrivateOutput;

use crate::options::FilesOptions;

/// The synchronous side of the room: private directories and input inspection, for any thread. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FilesHandle {
    pub(crate) options: Arc<FilesOptions>,
}

impl FilesHandle {
    /// The names of an attempt's private places; nothing is made.
    #[must_use]
    pub fn private(&self, attempt: AttemptId, path: &InputPath) -> PrivateOutput {
        let directory = self.out_dir(attempt);
        let output = self.output_name(path);
        PrivateOutput {
            file: directory.join(relative(&output)),
            directory,
            temp: self.attempt_dir(attempt).join("tmp"),
        }
    }

    /// Where the task's main output is published.
    #[must_use]
    pub fn published(&self, path: &InputPath) -> PathBuf {
        self.options.output_dir.join(relative(&self.output_name(path)))
    }

    /// The input file.
    #[must_use]
    pub fn input(&self, path: &InputPath) -> PathBuf {
        self.options.input_dir.join(relative(path))
    }

    /// The main output's path relative to the output directory: the input's path and the suffix.
    #[must_use]
    pub fn output_name(&self, path: &InputPath) -> InputPath {
        InputPath::new(&[path.as_bytes(), self.options.suffix.as_bytes()].concat())
    }

    pub(crate) fn attempt_dir(&self, attempt: AttemptId) -> PathBuf {
        self.options.partial_dir.join(attempt.to_string())
    }

    pub(crate) fn out_dir(&self, attempt: AttemptId) -> PathBuf {
        self.attempt_dir(attempt).join("out")
    }

    /// Symbolic links to temporary copies outside of the private directory (outputs on a mount below the output
    /// directory), so that they are found and removed.
    pub(crate) fn copies_dir(&self, attempt: AttemptId) -> PathBuf {
        self.attempt_dir(attempt).join("copies")
    }
}

/// A relative path's bytes as a path.
pub(crate) fn relative(path: &InputPath) -> &Path {
    Path::new(OsStr::from_bytes(path.as_bytes()))
}

/// A path below a directory, as relative bytes.
pub(crate) fn to_input_path(path: PathBuf) -> InputPath {
    InputPath::new(&path.into_os_string().into_vec())
}
