//! The command of one attempt: templates of the configuration filled in with the attempt's facts.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::Environment;
use super::template::{Placeholder, Placeholders, Template, shell_line};
use crate::config::model::{Binary, Config};
use crate::scheduler::InputPath;

/// How the configured binary is called.
#[derive(Clone, Debug)]
pub struct CommandPlan {
    binary: Binary,
}

/// One concrete call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Invocation {
    /// Executable.
    pub program: PathBuf,
    /// Its arguments, the program's own name not among them.
    pub args: Vec<OsString>,
    /// The `ORCHESTRATOR_*` facts and, on top, the configuration's `env`.
    pub env: Environment,
    /// Working directory.
    pub working_directory: Option<PathBuf>,
    /// File for standard input.
    pub stdin: Option<PathBuf>,
    /// File for standard output.
    pub stdout: Option<PathBuf>,
    /// File for standard error.
    pub stderr: Option<PathBuf>,
}

impl CommandPlan {
    /// The plan of a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { binary: config.binary.clone() }
    }

    /// Fills in one attempt's facts. Nothing is split or quoted, unless `shell: true` asks for it.
    #[must_use]
    pub fn invocation(&self, values: &Placeholders<'_>) -> Invocation {
        let binary = &self.binary;
        let path =
            |template: &Option<Template>| template.as_ref().map(|template| template.expand(values).into());
        let (program, args) = if binary.shell {
            let line = shell_line(&binary.path, &binary.flags, values);
            (PathBuf::from("/bin/sh"), vec!["-c".into(), line])
        } else {
            (binary.path.clone(), binary.flags.iter().map(|flag| flag.expand(values)).collect())
        };
        let mut env = values.environment();
        for (name, value) in &binary.env {
            env.set_with(name.as_ref(), |bytes| value.append(values, bytes));
        }
        Invocation {
            program,
            args,
            env,
            working_directory: path(&binary.working_directory),
            stdin: path(&binary.stdin),
            stdout: path(&binary.stdout),
            stderr: path(&binary.stderr),
        }
    }
}

/// Whether attempts get a private directory whose content is validated and published. They do, since a script may find
/// it in its environment (`ORCHESTRATOR_OUTPUT_FILE`), unless `output.validation.required: false` says that there is no
/// output and no template names one.
#[must_use]
pub fn uses_private_output(config: &Config) -> bool {
    let binary = &config.binary;
    let named = |template: &Template| {
        [Placeholder::OutputFile, Placeholder::OutputDir, Placeholder::TempDir]
            .iter()
            .any(|placeholder| template.mentions(*placeholder))
    };
    config.output.validation.required != Some(false)
        || binary.flags.iter().chain(binary.env.values()).any(named)
        || [&binary.stdin, &binary.stdout, &binary.stderr, &binary.working_directory]
            .into_iter()
            .flatten()
            .any(named)
}

/// Where an input's output goes, relative to the output directory: the input's relative path with the suffix appended.
#[must_use]
pub fn output_path(input: &InputPath, suffix: &str) -> PathBuf {
    let mut bytes = input.as_bytes().to_vec();
    bytes.extend_from_slice(suffix.as_bytes());
    PathBuf::from(OsString::from_vec(bytes))
}

/// Where an attempt's captured stream goes in the state directory: a thousand attempts share a directory.
#[must_use]
pub fn log_path(state_directory: &Path, attempt: crate::AttemptId, stream: &str) -> PathBuf {
    let mut path = OsString::with_capacity(state_directory.as_os_str().len() + 48);
    path.push(state_directory);
    // Writing to a string does not fail.
    let _written = write!(path, "/logs/{}/{attempt}.{stream}", attempt.0 / 1000);
    path.into()
}
