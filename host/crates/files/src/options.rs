//! What the composer tells the room.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use orchestrator_core::AttemptId;
use orchestrator_core::scheduler::OutputFault;
use orchestrator_core::validation::OutputRules;

/// A further check of a private output (`output.validation.command`): main output, input, attempt. Called from a
/// pool of `check_threads` threads, only for outputs that passed the rules and only when the main output exists.
pub type Check = Arc<dyn Fn(&Path, &Path, AttemptId) -> Result<(), OutputFault> + Send + Sync>;

/// Says whether a path (relative to the input directory) is known to the state, so that a scan takes its fingerprint.
pub type Known = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// When a published output is safe from a power cut.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Durability {
    /// One sync serves all outputs of up to a second.
    #[default]
    Batch,
    /// Every output is synced by itself, at once.
    Strict,
    /// Nothing is synced.
    Relaxed,
}

/// Settings of the room.
#[derive(Clone)]
pub struct FilesOptions {
    /// Directory that is scanned.
    pub input_dir: PathBuf,
    /// Glob: with a slash it is held against the path relative to `input_dir`, otherwise against the base name.
    pub pattern: String,
    /// Globs of files and directories to leave out, read the same way.
    pub exclude: Vec<String>,
    /// Whether sub-directories are scanned even when the pattern has neither `/` nor `**`.
    pub recursive: bool,
    /// Whether symbolic links to directories are followed (links to files always are).
    pub follow_symlinks: bool,
    /// Directory of the published outputs.
    pub output_dir: PathBuf,
    /// Appended to an input's relative path to give its output's relative path.
    pub suffix: String,
    /// Directory of the private outputs, on `output_dir`'s file system. No other run may use it: what is in it is swept.
    pub partial_dir: PathBuf,
    /// Directories that no scan descends into, besides `output_dir` and `partial_dir`: the state directory.
    pub skip_dirs: Vec<PathBuf>,
    /// When outputs are synced.
    pub durability: Durability,
    /// What is asked of a main output.
    pub rules: OutputRules,
    /// A further check.
    pub check: Option<Check>,
    /// Checks that run at the same time (at least 1).
    pub check_threads: usize,
    /// Which paths need a fingerprint.
    pub known: Known,
    /// Whether a fingerprint's version is a hash of the content (`resume.key: content`) instead of the modification
    /// time. Costs a reading of every input before its launch, and of every known one in a scan.
    pub content_fingerprints: bool,
    /// Whether commands use `{temp_dir}`: it is made for every attempt only then.
    pub make_temp: bool,
}

impl FilesOptions {
    /// Options with every default: pattern `*`, not recursive, batch durability, no check, nothing known, and the
    /// private directory at `<output_dir>/.orchestrator/partial`.
    #[must_use]
    pub fn new(input_dir: PathBuf, output_dir: PathBuf, suffix: &str) -> Self {
        let state = output_dir.join(".orchestrator");
        Self {
            input_dir,
            pattern: "*".to_owned(),
            exclude: Vec::new(),
            recursive: false,
            follow_symlinks: false,
            partial_dir: state.join("partial"),
            skip_dirs: vec![state],
            output_dir,
            suffix: suffix.to_owned(),
            durability: Durability::Batch,
            rules: OutputRules::default(),
            check: None,
            check_threads: 2,
            known: Arc::new(|_| false),
            content_fingerprints: false,
            make_temp: true,
        }
    }
}

impl fmt::Debug for FilesOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilesOptions")
            .field("input_dir", &self.input_dir)
            .field("pattern", &self.pattern)
            .field("output_dir", &self.output_dir)
            .field("suffix", &self.suffix)
            .field("partial_dir", &self.partial_dir)
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}
