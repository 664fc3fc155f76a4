//! Removing private files.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use orchestrator_core::AttemptId;

use crate::error::FilesError;
use crate::layout::FilesHandle;

impl FilesHandle {
    /// Removes what attempts of earlier runs left, except those in `keep` (their publication may have to be
    /// completed). Returns how many were removed. To be called before the first attempt of a run.
    ///
    /// # Errors
    /// When the private directory cannot be listed. An attempt that cannot be removed is logged and left.
    pub fn sweep(&self, keep: &BTreeSet<AttemptId>) -> Result<usize, FilesError> {
        let path = &self.options.partial_dir;
        let wrong = |source| FilesError::Sweep { path: path.clone(), source };
        let mut removed = 0;
        for entry in fs::read_dir(path).map_err(wrong)? {
            let name = entry.map_err(wrong)?.file_name();
            let Some(attempt) = name.to_str().and_then(|text| text.parse().ok()).map(AttemptId) else {
                continue;
            };
            if keep.contains(&attempt) {
                continue;
            }
            match self.remove_attempt(attempt) {
                Ok(()) => removed += 1,
                Err(error) => tracing::warn!(%attempt, %error, "private files cannot be removed"),
            }
        }
        Ok(removed)
    }

    /// Removes an attempt's private files; nothing happens when there are none.
    pub(crate) fn remove_attempt(&self, attempt: AttemptId) -> io::Result<()> {
        self.remove_copies(attempt)?;
        let root = self.attempt_dir(attempt);
        match fs::remove_dir_all(&root) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                open_up(&root)?;
                fs::remove_dir_all(&root)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Removes temporary copies that lie beside their final names on other mounts.
    fn remove_copies(&self, attempt: AttemptId) -> io::Result<()> {
        let Ok(links) = fs::read_dir(self.copies_dir(attempt)) else { return Ok(()) };
        for link in links {
            let copy = fs::read_link(link?.path())?;
            if let Err(error) = fs::remove_file(copy)
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error);
            }
        }
        Ok(())
    }
}

/// Gives us every right on a tree of directories that a process made inaccessible. Links are not followed.
fn open_up(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}
