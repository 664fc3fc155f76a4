//! Planning and making the renames of one job.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use orchestrator_core::AttemptId;
use orchestrator_core::scheduler::{FailureReason, OutputRecord};
use orchestrator_ports::PublishJob;
use rustix::io::Errno;

use super::copy;
use crate::fault::{errno, publish_failure};
use crate::layout::{FilesHandle, relative};

/// A private file and its final name.
#[derive(Debug)]
pub(super) struct Move {
    pub(super) from: PathBuf,
    pub(super) to: PathBuf,
}

/// Directories whose entries changed.
#[derive(Debug, Default)]
pub(super) struct Touched {
    pub(super) directories: BTreeSet<PathBuf>,
}

/// Finds out what is left to be done: nothing for files that an earlier try has moved already.
pub(super) fn plan(handle: &FilesHandle, job: &PublishJob) -> Result<Vec<Move>, FailureReason> {
    let private = handle.out_dir(job.attempt);
    let mut moves = Vec::with_capacity(job.outputs.len());
    for output in &job.outputs {
        let name = relative(&output.path);
        let (from, to) = (private.join(name), handle.options.output_dir.join(name));
        match fs::symlink_metadata(&from) {
            Ok(meta) if meta.is_file() && meta.len() == output.size => moves.push(Move { from, to }),
            Ok(meta) => return Err(changed(output, &from, meta.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => already_there(&private, output, &to)?,
            Err(error) => return Err(publish_failure("inspect", &from, &error)),
        }
    }
    // The main output is recorded first and becomes visible last.
    moves.reverse();
    Ok(moves)
}

/// A private file that is gone was moved by an earlier try – if the attempt's directory is still there (it is removed
/// only after the completion was recorded) and the final file has the recorded size.
fn already_there(private: &Path, output: &OutputRecord, to: &Path) -> Result<(), FailureReason> {
    let moved = private.is_dir()
        && fs::symlink_metadata(to).is_ok_and(|meta| meta.is_file() && meta.len() == output.size);
    if moved {
        return Ok(());
    }
    let detail = format!("the private output for {} is gone before it was moved into place", to.display());
    Err(FailureReason::Publish { detail })
}

fn changed(output: &OutputRecord, from: &Path, found: u64) -> FailureReason {
    let detail = format!(
        "{} changed after it was validated: {found} bytes instead of {}; is a process still writing to it?",
        from.display(),
        output.size
    );
    FailureReason::Publish { detail }
}

/// Makes the renames; stops at the first that fails.
pub(super) fn place(
    handle: &FilesHandle,
    attempt: AttemptId,
    moves: &[Move],
    synced: bool,
    touched: &mut Touched,
) -> Result<(), FailureReason> {
    for (index, file) in moves.iter().enumerate() {
        let moved = match fs::rename(&file.from, &file.to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_parents(&file.to, touched).and_then(|()| fs::rename(&file.from, &file.to))
            }
            other => other,
        };
        let moved = match moved {
            Err(error) if errno(&error) == Some(Errno::XDEV) => {
                copy::across(handle, attempt, index, file, synced)
            }
            other => other,
        };
        moved.map_err(|error| publish_failure("publish", &file.to, &error))?;
        touched.directories.extend(file.to.parent().map(Path::to_path_buf));
    }
    Ok(())
}

/// Makes the final file's directory, noting every directory that got a new entry.
fn make_parents(file: &Path, touched: &mut Touched) -> io::Result<()> {
    let Some(parent) = file.parent() else { return Ok(()) };
    let missing: Vec<&Path> = parent.ancestors().take_while(|directory| !directory.exists()).collect();
    fs::create_dir_all(parent)?;
    touched
        .directories
        .extend(missing.iter().filter_map(|directory| directory.parent()).map(Path::to_path_buf));
    Ok(())
}
