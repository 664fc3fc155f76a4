//! Publication onto another file system mounted below the output directory, where a rename cannot reach: a hidden
//! copy beside the final name, synced, then renamed.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use orchestrator_core::AttemptId;

use super::place::Move;
use crate::layout::FilesHandle;

/// Copies the file beside its final name and renames the copy. A symbolic link in the attempt's directory tells of
/// the copy from before it exists, so that a crash leaves none behind for good.
pub(super) fn across(
    handle: &FilesHandle,
    attempt: AttemptId,
    index: usize,
    file: &Move,
    synced: bool,
) -> io::Result<()> {
    let parent = file.to.parent().unwrap_or(Path::new("."));
    // Not derived from the final name, which may already be as long as names can be.
    let temporary = parent.join(temporary_name(handle, attempt, index));
    note(handle, attempt, index, &temporary)?;
    let made = copy(&file.from, &temporary, synced).and_then(|()| fs::rename(&temporary, &file.to));
    if made.is_err() {
        // Best effort: `discard` removes it through the link otherwise.
        drop(fs::remove_file(&temporary));
        return made;
    }
    fs::remove_file(&file.from)
}

/// Tells runs that share an output directory apart by the name of their private directory.
fn temporary_name(handle: &FilesHandle, attempt: AttemptId, index: usize) -> OsString {
    let mut name = OsString::from(".orchestrator-");
    name.push(handle.options.partial_dir.file_name().unwrap_or_default());
    name.push(format!("-{attempt}-{index}.partial"));
    name
}

fn copy(from: &Path, to: &Path, synced: bool) -> io::Result<()> {
    fs::copy(from, to)?;
    if synced { File::open(to)?.sync_all() } else { Ok(()) }
}

fn note(handle: &FilesHandle, attempt: AttemptId, index: usize, temporary: &Path) -> io::Result<()> {
    let directory = handle.copies_dir(attempt);
    fs::create_dir_all(&directory)?;
    let target = std::path::absolute(temporary)?;
    match symlink(target, directory.join(index.to_string())) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}
