//! What can go wrong with the state, in the words that a user needs.

use std::io;
use std::path::PathBuf;

use crate::lock::Holder;

/// Why the state cannot be used. Exit code 74, except where said otherwise.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another run uses the state directory.
    #[error("state directory `{}` is in use by {holder}; wait for it, stop it, or choose another output or state directory", path.display())]
    Locked {
        /// The state directory.
        path: PathBuf,
        /// Who.
        holder: Box<Holder>,
    },
    /// The file is torn, overwritten or no state file at all.
    #[error(
        "state file `{}` is damaged: {what}; put back a copy of it, or start over with --fresh (published outputs stay until they are replaced)",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The thread that writes panicked: what it had not committed is lost, what it had is safe.
    #[error("state file `{}` is no longer written: its writer panicked; run again to go on from what was recorded", path.display())]
    WriterPanicked {
        /// The file.
        path: PathBuf,
    },
    /// A newer version wrote the file.
    #[error(
        "state file `{}` has format {found}, which is newer than {supported}: use the newer orchestrator that wrote it, or start over with --fresh",
        path.display()
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format that this version reads.
        supported: i64,
    },
    /// There is no state (for a reader).
    #[error("no state in `{}`: nothing has been run with this output directory yet", path.display())]
    Missing {
        /// The state directory.
        path: PathBuf,
    },
    /// The disk or the quota is full.
    #[error("disk full while writing state file `{}`: free some space and run again, it continues", path.display())]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// Another program holds the database locked.
    #[error("state file `{}` is locked by another program (a database shell?): close it and run again", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// Any other refusal of the operating system.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The operating system's words.
        source: io::Error,
    },
    /// Any other refusal of the database.
    #[error("state file `{}` cannot be read or written: {source}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Its words.
        source: rusqlite::Error,
    },
    /// The writer has ended already (after a failure that it told of).
    #[error("the writer of state file `{}` has ended; see the error before this one", path.display())]
    Closed {
        /// The file.
        path: PathBuf,
    },
}
