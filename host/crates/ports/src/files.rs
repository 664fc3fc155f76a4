//! Input scans, private outputs, their inspection and their publication.

use std::any::Any;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use orchestrator_core::AttemptId;
use orchestrator_core::scheduler::{
    Discovered, FailureReason, Fingerprint, InputPath, OutputFault, OutputRecord, ScanReport,
};

/// Where an attempt writes before publication: a directory of its own on the output's file system.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PrivateOutput {
    /// The attempt's own directory; its content is what gets published.
    pub directory: PathBuf,
    /// What `{output_file}` stands for: the final base name inside `directory` (sub-directories included).
    pub file: PathBuf,
    /// What `{temp_dir}` stands for: scratch space that is removed with the attempt.
    pub temp: PathBuf,
}

/// One attempt's output to be moved into place.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishJob {
    /// Whose.
    pub attempt: AttemptId,
    /// The files, relative to the attempt's directory and, equally, to the output directory.
    pub outputs: Vec<OutputRecord>,
}

/// A place on a bounded way, given back when it (and every copy) is dropped.
#[derive(Clone)]
pub struct Permit(#[expect(dead_code, reason = "it is there to be dropped")] Arc<dyn Any + Send + Sync>);

impl Permit {
    /// A place that dropping `guard` gives back.
    pub fn new(guard: impl Send + Sync + 'static) -> Self {
        Self(Arc::new(guard))
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

/// What the files room tells.
#[derive(Clone, Debug)]
pub enum FilesEvent {
    /// A scan found files.
    Discovered {
        /// The files.
        found: Vec<Discovered>,
        /// To be kept until they are worked off: a scan waits while too many of its files are not.
        permit: Permit,
    },
    /// The scan is over.
    ScanFinished(ScanReport),
    /// The scan could not be done at all (the input directory is missing or unreadable).
    ScanFailed {
        /// The operating system's words.
        detail: String,
    },
    /// An attempt's private output was inspected.
    Validated {
        /// Whose.
        attempt: AttemptId,
        /// The files found, or what is wrong.
        verdict: Result<Vec<OutputRecord>, OutputFault>,
    },
    /// An attempt's output is in place, and durable as far as `durability` asks.
    Published {
        /// Whose.
        attempt: AttemptId,
    },
    /// An attempt's output could not be moved into place, or not made durable there. The main output is moved last, so
    /// it is visible only if all else went well; further files may be in place already, each of them whole.
    PublishFailed {
        /// Whose.
        attempt: AttemptId,
        /// Why.
        reason: FailureReason,
    },
}

/// Scans, private outputs, validation, publication. All calls return at once; answers through the sink. The two that
/// answer directly, `inspect` and `prepare`, cost a few system calls and are made just before a launch.
pub trait Files: Send {
    /// Looks at an input just before its launch: its fingerprint, and whether it can be read (by its mode, or by opening it
    /// where that does not say).
    ///
    /// # Errors
    /// `InputVanished`, `InputUnreadable`, or `Spawn` when the machine is short of something.
    fn inspect(&self, path: &InputPath) -> Result<Fingerprint, FailureReason>;
    /// Makes the attempt's private directory (and the sub-directories that its output needs).
    ///
    /// # Errors
    /// `DiskFull`, or `Spawn`: the machine's fault when the directory cannot be made, the input's when its output's name
    /// is impossible.
    fn prepare(&self, attempt: AttemptId, path: &InputPath) -> Result<PrivateOutput, FailureReason>;
    /// Walks the input directory in the background; `Discovered` in batches, then `ScanFinished`.
    fn scan(&self);
    /// Inspects what the attempt wrote, applies the output rules (and `validation.command`). Answer: `Validated`.
    fn validate(&self, attempt: AttemptId, path: &InputPath);
    /// Moves outputs into place. Jobs are gathered: with `durability: batch` one sync of the output file system
    /// serves all jobs of up to a second (at once when `flush` is called), then each file is renamed, then the
    /// directories are synced. Idempotent: a job whose private files are gone but whose final files have the
    /// recorded sizes succeeds. Answer: `Published` or `PublishFailed`, one a job.
    fn publish(&self, job: PublishJob);
    /// Publishes what is gathered at once (nothing else is running, or the run ends).
    fn flush(&self);
    /// Removes the attempt's private files.
    fn discard(&self, attempt: AttemptId);
}
