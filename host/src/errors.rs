//! Every error of every room: its exit code and its reports, in one place.

use std::io;
use std::path::PathBuf;

use orchestrator_core::config::{Code, Diagnostic};
use orchestrator_core::predict::replay::TraceError;
use orchestrator_core::scheduler::SpawnFault;
use orchestrator_exec_local::ExecError;
use orchestrator_exec_local::orphans::OrphanError;
use orchestrator_files::FilesError;
use orchestrator_plugin_host::{FailureCategory, InstanceFailure, TrustError};
use orchestrator_store::StoreError;

use crate::commands::plugin::AuthorError;
use crate::commands::plugin::KeyError;
use crate::commands::plugin::NewPluginError;
use crate::commands::plugin::ReloadError;
use crate::exit::Exit;
use crate::report::Report;

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The configuration cannot be used; all findings.
    #[error("the configuration cannot be used")]
    Config(Vec<Diagnostic>),
    /// What was found before anything was started; all findings, warnings included.
    #[error("the run cannot be started")]
    Preflight(Vec<Report>),
    /// The files room could not be opened.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The executor could not be started.
    #[error(transparent)]
    Executor(#[from] ExecError),
    /// What a killed host left running cannot be ended.
    #[error(transparent)]
    Orphans(#[from] OrphanError),
    /// The binary was there a moment ago and is gone.
    #[error("the binary cannot be found any more")]
    NoProgram,
    /// Calibration was asked for and is switched off.
    #[error("calibration.enabled is false, so there is nothing to measure")]
    CalibrationOff,
    /// The binary cannot be started at all.
    #[error("{0}; nothing of the queue was used up")]
    Binary(SpawnFault),
    /// A plugin with `required: true` failed; the sentence of the plugin room.
    #[error("{0}")]
    RequiredPlugin(String),
    /// A plugin library that was named cannot be used; the sentence of the plugin room.
    #[error("{0}")]
    PluginFile(String),
    /// A key cannot be made or used for signing.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// An author's command cannot do its work.
    #[error(transparent)]
    Author(#[from] AuthorError),
    /// A library is signed already.
    #[error("{} exists already; add --force to replace it", .0.display())]
    Signed(PathBuf),
    /// `plugins.trust` cannot be used; the sentence of the plugin room.
    #[error("plugins.trust.keys: {0}")]
    Trust(#[from] TrustError),
    /// A key that was named by a flag cannot be used; the sentence of the plugin room.
    #[error("--key: {0}")]
    PublicKey(TrustError),
    /// A live run was not made to reload its plugins.
    #[error(transparent)]
    Reload(#[from] ReloadError),
    /// No crate was made for a new plugin.
    #[error(transparent)]
    NewPlugin(#[from] NewPluginError),
    /// Plugin instances without which the run cannot go on; all of them.
    #[error("the run cannot go on without its plugins")]
    Plugins(Vec<InstanceFailure>),
    /// The state cannot be read or written.
    #[error(transparent)]
    State(#[from] StoreError),
    /// The store gave up while the run went on; its sentence.
    #[error("{0}")]
    StateLost(String),
    /// The input directory could not be scanned; the words of the files room.
    #[error("{0}")]
    Scan(String),
    /// There is no file to work on.
    #[error("nothing to do: no file in {} matches {pattern}", directory.display())]
    NothingToDo {
        /// The input directory.
        directory: PathBuf,
        /// `input.file_pattern`.
        pattern: String,
    },
    /// There is no state where one was looked for.
    #[error("{} holds no state of a run", directory.display())]
    NoState {
        /// Where it was looked for.
        directory: PathBuf,
    },
    /// No task has that name.
    #[error("no file called `{name}` was ever started here")]
    UnknownTask {
        /// What was typed.
        name: String,
        /// Names like it.
        like: Vec<String>,
    },
    /// No attempt of that name was ever made, while a run is under way.
    #[error("`{name}` was not launched yet, or is no input; {waiting}")]
    NeverLaunched {
        /// What was typed.
        name: String,
        /// Names like it that were.
        like: Vec<String>,
        /// What the run is doing meanwhile.
        waiting: String,
    },
    /// Several tasks have that name.
    #[error("`{name}` is the name of {count} files")]
    AmbiguousTask {
        /// What was typed.
        name: String,
        /// How many have it.
        count: usize,
        /// The paths of the first of them.
        paths: Vec<String>,
    },
    /// A task has no such attempt.
    #[error("{path} has {made} attempts, not {wanted}")]
    NoAttempt {
        /// The task's path.
        path: String,
        /// Attempts made.
        made: u32,
        /// What was asked for.
        wanted: u32,
    },
    /// A file that is to be written exists.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// No command of that name has a manual page.
    #[error("there is no command `{0}`")]
    NoCommand(String),
    /// A file or directory cannot be read or written.
    #[error("cannot {what} {}: {source}", path.display())]
    File {
        /// `read`, `write`, …
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        source: io::Error,
    },
    /// A recorded trace cannot be replayed.
    #[error("{}: {error}", path.display())]
    Trace {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        error: TraceError,
    },
    /// There is no work to simulate.
    #[error("there is nothing to simulate: {why}")]
    NothingToSimulate {
        /// Why not.
        why: String,
    },
    /// Something that the host itself needs cannot be had.
    #[error("cannot {what}: {source}")]
    System {
        /// `start the loop`, …
        what: &'static str,
        /// The operating system's words.
        source: io::Error,
    },
    /// Standard output cannot be written.
    #[error("standard output cannot be written: {0}")]
    Stdout(#[source] io::Error),
}

impl Failure {
    /// For `map_err`: a file that could not be read or written.
    pub(crate) fn file(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { what, path, source }
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Author(error) => error.exit(),
            Self::Config(_)
            | Self::Trust(_)
            | Self::Key(_)
            | Self::PublicKey(_)
            | Self::Binary(_)
            | Self::NoProgram
            | Self::CalibrationOff
            | Self::Files(_)
            | Self::Scan(_)
            | Self::Reload(ReloadError::Refused(_)) => Exit::Config,
            Self::Preflight(reports) => {
                Exit::of_problems(reports.iter().map(|report| report.exit)).unwrap_or(Exit::Internal)
            }
            Self::Executor(_)
            | Self::Orphans(_)
            | Self::RequiredPlugin(_)
            | Self::PluginFile(_)
            | Self::Reload(_) => Exit::Unavailable,
            Self::Plugins(failures) => {
                let codes = failures.iter().map(plugin_exit);
                Exit::of_problems(codes).unwrap_or(Exit::Unavailable)
            }
            Self::State(_)
            | Self::StateLost(_)
            | Self::NoState { .. }
            | Self::File { .. }
            | Self::Stdout(_) => Exit::StateIo,
            Self::NothingToDo { .. } | Self::NothingToSimulate { .. } => Exit::NothingToDo,
            Self::UnknownTask { .. }
            | Self::NeverLaunched { .. }
            | Self::AmbiguousTask { .. }
            | Self::NoAttempt { .. }
            | Self::Exists(_)
            | Self::Signed(_)
            | Self::Trace { .. }
            | Self::NewPlugin(_)
            | Self::NoCommand(_) => Exit::Usage,
            Self::System { .. } => Exit::Internal,
        }
    }

    /// Whether whoever read standard output went away (`… | head`), which is nobody's fault.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Stdout(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Everything that is to be told, in order.
    pub(crate) fn reports(&self) -> Vec<Report> {
        match self {
            Self::Config(findings) => findings.iter().map(config_report).collect(),
            Self::Preflight(reports) => reports.clone(),
            Self::Plugins(failures) => {
                let report = |failure: &InstanceFailure| {
                    Report::error(plugin_exit(failure), "plugin", failure.to_string())
                };
                failures.iter().map(report).collect()
            }
            other => {
                let report = Report::error(other.exit(), other.code(), other.to_string());
                vec![match other.help() {
                    Some(help) => report.help(help),
                    None => report,
                }]
            }
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Config(_) | Self::Trust(_) => "config",
            Self::Key(_) | Self::PublicKey(_) => "key",
            Self::Author(_) => "plugin",
            Self::Preflight(_) => "preflight",
            Self::Files(_) => "files",
            Self::Executor(_) | Self::Orphans(_) => "executor",
            Self::CalibrationOff | Self::NoProgram => "config",
            Self::Binary(_) => "binary",
            Self::Plugins(_) | Self::RequiredPlugin(_) | Self::PluginFile(_) => "plugin",
            Self::State(_) | Self::StateLost(_) => "state",
            Self::Scan(_) => "scan",
            Self::NothingToDo { .. } => "nothing-to-do",
            Self::NothingToSimulate { .. } => "nothing-to-simulate",
            Self::NoState { .. } => "no-state",
            Self::UnknownTask { .. } => "unknown-task",
            Self::NeverLaunched { .. } => "never-launched",
            Self::AmbiguousTask { .. } => "ambiguous-task",
            Self::NoAttempt { .. } => "no-attempt",
            Self::Exists(_) | Self::Signed(_) => "exists",
            Self::NewPlugin(_) => "plugin-new",
            Self::Reload(_) => "reload",
            Self::NoCommand(_) => "no-command",
            Self::File { .. } => "file",
            Self::Trace { .. } => "trace",
            Self::System { .. } => "system",
            Self::Stdout(_) => "stdout",
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::CalibrationOff => Some("add --set calibration.enabled=true".to_owned()),
            Self::Binary(_) | Self::NoProgram => Some("correct binary.path, then run again".to_owned()),
            Self::StateLost(_) => Some("what was recorded is safe: run again when the cause is gone".to_owned()),
            Self::NothingToDo { .. } => {
                Some("see input.files_directory, input.file_pattern and input.recursive".to_owned())
            }
            Self::NothingToSimulate { .. } => Some(
                "give --trace FILE or --workload NAME, or let `orchestrator run` measure some tasks first".to_owned(),
            ),
            Self::NoState { .. } => Some(
                "name the run: its configuration, or --output DIR, or --state-dir DIR; `orchestrator run` begins one"
                    .to_owned(),
            ),
            Self::UnknownTask { like, .. } if like.is_empty() => {
                Some("write its path below the input directory, its name, or its number".to_owned())
            }
            Self::NeverLaunched { like, .. } if like.is_empty() => None,
            Self::UnknownTask { like, .. } | Self::NeverLaunched { like, .. } => Some(format!("did you mean {}?", like.join(" or "))),
            Self::AmbiguousTask { paths, .. } => Some(format!("write one of {}", paths.join(", "))),
            Self::Exists(_) => Some("--force replaces it".to_owned()),
            Self::NoCommand(_) => Some("`orchestrator --help` lists the commands".to_owned()),
            Self::File { source, .. } => remedy(source).map(str::to_owned),
            Self::State(StoreError::Io { source, .. }) if remedy(source).is_some() => remedy(source).map(str::to_owned),
            Self::State(StoreError::Io { .. } | StoreError::Database { .. }) => Some(
                "look at its permissions, at the space that is left and at the disk (`df`, `dmesg`), then try again: what was \
                 recorded is safe"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// The exit code that a plugin instance asks for that cannot be started.
pub(crate) fn plugin_exit(failure: &InstanceFailure) -> Exit {
    match failure.category() {
        FailureCategory::Configuration => Exit::Config,
        FailureCategory::Unavailable => Exit::Unavailable,
    }
}

/// A finding about the configuration; one that names no file to read gets the way to begin.
fn config_report(finding: &Diagnostic) -> Report {
    let report = Report::from(finding);
    if finding.help.is_some() {
        return report;
    }
    match finding.code {
        Code::UnreadableFile if is_forbidden(&finding.message) => {
            report.help("change its permissions, or name another file")
        }
        Code::UnreadableFile if finding.path.is_empty() => report.help(
            "name a configuration (`orchestrator run FILE`), or let `orchestrator init` write one, or give \
             --input DIR --output DIR -- CMD",
        ),
        Code::YamlSyntax => report.help(
            "compare its indentation, quotes and brackets with those of the lines above: keys of one section begin in \
             the same column",
        ),
        _ => report,
    }
}

/// Whether a sentence about a file ends in the operating system's words for missing permissions: core hands on no more.
fn is_forbidden(message: &str) -> bool {
    message.ends_with(&io::Error::from(rustix::io::Errno::ACCESS).to_string())
}

/// What to do about a refusal of the operating system.
fn remedy(error: &io::Error) -> Option<&'static str> {
    Some(match error.kind() {
        io::ErrorKind::PermissionDenied => "change its permissions, or name another place",
        io::ErrorKind::ReadOnlyFilesystem => "mount that file system writable, or name another place",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space there, then try again",
        io::ErrorKind::NotFound => "correct the path, or create what is missing",
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => "correct the path",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
