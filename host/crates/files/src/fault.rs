//! What an I/O error means for a task.

use std::io;
use std::path::Path;

use orchestrator_core::scheduler::{FailureReason, SpawnFault};
use rustix::io::Errno;

/// Whether the error says that the disk or the quota is full.
pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    errno(error).is_some_and(|code| code == Errno::NOSPC || code == Errno::DQUOT)
}

pub(crate) fn errno(error: &io::Error) -> Option<Errno> {
    Errno::from_io_error(error)
}

/// `action path: error`, with the path readable whatever its bytes are.
pub(crate) fn sentence(action: &str, path: &Path, error: &io::Error) -> String {
    format!("{action} {}: {error}", path.display())
}

/// Why a publication failed.
pub(crate) fn publish_failure(action: &str, path: &Path, error: &io::Error) -> FailureReason {
    if is_disk_full(error) {
        return FailureReason::DiskFull;
    }
    FailureReason::Publish { detail: sentence(action, path, error) }
}

/// Whether the error says that the machine is short of something for the moment.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    matches!(errno(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN))
}

/// Why an attempt could not get its private directory. What holds for every attempt (the output directory was removed,
/// made read-only, …) is no input's and no binary's fault: the attempt waits until it is mended.
pub(crate) fn prepare_fault(action: &str, path: &Path, error: &io::Error) -> SpawnFault {
    let detail = sentence(action, path, error);
    match errno(error) {
        Some(Errno::NOSPC | Errno::DQUOT) => SpawnFault::DiskFull { detail },
        Some(Errno::NAMETOOLONG | Errno::INVAL | Errno::ILSEQ) => SpawnFault::Input { detail },
        _ => SpawnFault::Machine { detail },
    }
}
