//! What is run, on which files, and where the results go.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::ByteSize;
use crate::config::values::GlobPattern;
use crate::plan::template::Template;

/// What is run for each input file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Binary {
    /// The program: a path, or a name without a slash that is looked up in PATH.
    #[schemars(extend("format" = "program"))]
    pub path: PathBuf,
    /// Its arguments, each a template; one entry is always exactly one argument.
    pub flags: Vec<Template>,
    /// Environment variables for the process, each value a template; added to the inherited environment.
    pub env: BTreeMap<String, Template>,
    /// Start with an empty environment but for `env` and the ORCHESTRATOR_* facts.
    pub clear_env: bool,
    /// Directory the process starts in, a template; the current directory of the orchestrator if absent.
    #[schemars(extend("format" = "path-template"))]
    pub working_directory: Option<Template>,
    /// File that becomes standard input, such as "{input_file}"; nothing (/dev/null) if absent.
    #[schemars(extend("format" = "path-template"))]
    pub stdin: Option<Template>,
    /// File that standard output is written to, such as "{output_file}" for tools that write there; captured if absent.
    #[schemars(extend("format" = "path-template"))]
    pub stdout: Option<Template>,
    /// File that standard error is written to; captured if absent.
    #[schemars(extend("format" = "path-template"))]
    pub stderr: Option<Template>,
    /// Run the line `path flags…` by `/bin/sh -c`: flags are then shell syntax, and values of placeholders are quoted.
    pub shell: bool,
}

/// Which files are worked on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Input {
    /// Directory that is scanned.
    #[schemars(extend("format" = "path"))]
    pub files_directory: PathBuf,
    /// Pattern that a file's name has to match; with a slash in it, its path below the directory.
    pub file_pattern: GlobPattern,
    /// Whether directories below are scanned too.
    pub recursive: bool,
    /// Whether symbolic links to directories are followed (with `recursive`); loops are recognised. Links to files always
    /// count as files.
    pub follow_symlinks: bool,
    /// Patterns of files and directories that are left out.
    pub exclude: Vec<GlobPattern>,
}

/// Where results go and when they count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Output {
    /// Directory of the results; made if absent.
    #[schemars(extend("format" = "path"))]
    pub directory: PathBuf,
    /// What is appended to the input's name to give the output's name. No slash.
    pub file_suffix: String,
    /// When an output counts.
    pub validation: Validation,
    /// When results are safe from a power cut.
    pub durability: Durability,
}

/// When an output counts. An output that does not is never published.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Validation {
    /// Whether there has to be an output file. By default exactly when the command names {output_file} or `binary.stdout` is set.
    pub required: Option<bool>,
    /// The least size of an output.
    pub min_bytes: ByteSize,
    /// Whether an empty output fails; the same as `min_bytes: 1`.
    pub non_empty: bool,
    /// A command and its arguments, each a template; an exit code other than 0 rejects the output that {output_file} names.
    pub command: Vec<Template>,
}

/// When results are safe from a power cut. A crash of the orchestrator alone loses nothing under any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Outputs and then their records are synced together, at most about a second after the process ended.
    #[default]
    Batch,
    /// Each output and its record are synced before the task counts as completed.
    Strict,
    /// Nothing is synced; the operating system writes when it likes.
    Relaxed,
}
