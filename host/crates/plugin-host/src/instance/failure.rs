//! Why an instance was given up.

use crate::isolate::Ending;
use crate::library::{FileProblem, ResolveError};
use orchestrator_plugin_api::PluginKind;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// An instance that was given up for this run. Its text is the one sentence for the user: instance, class, file, what
/// happened, and what to do.
#[derive(Debug, Error)]
#[error("{kind} plugin `{instance}` (class `{class}`{}) {fault}", file(.path.as_ref()))]
pub struct InstanceFailure {
    /// The instance's name in the configuration.
    pub instance: String,
    /// Its kind.
    pub kind: PluginKind,
    /// Its class.
    pub class: String,
    /// The library that serves the class, once that is known.
    pub path: Option<PathBuf>,
    /// `required`: whether the run must end because of it.
    pub required: bool,
    /// What happened.
    #[source]
    pub fault: InstanceFault,
}

/// What happened to an instance.
#[derive(Debug, Error)]
pub enum InstanceFault {
    /// No usable library exports its class.
    #[error("cannot be found: {0}")]
    Class(#[source] Box<ResolveError>),
    /// Its library cannot be loaded.
    #[error("cannot be loaded: {0}")]
    Library(#[source] FileProblem),
    /// It refuses its configuration.
    #[error("refuses its configuration: {message}; correct its `config:` section")]
    Configuration {
        /// The plugin's words.
        message: String,
    },
    /// It cannot work here.
    #[error("could not be initialised: {message}; mend that, or take it out with `enabled: false`")]
    Initialize {
        /// The plugin's words.
        message: String,
    },
    /// It panicked.
    #[error("panicked: {message}; tell its author, or take it out with `enabled: false`")]
    Panicked {
        /// The panic's message and place.
        message: String,
    },
    /// A call missed its deadline; its thread was abandoned, or its process killed.
    #[error("did not answer within {} ms; raise its `deadline_ms`, or take it out with `enabled: false`", deadline.as_millis())]
    Hung {
        /// The deadline.
        deadline: Duration,
    },
    /// It says that it can do no more.
    #[error("gave up: {message}; mend that, or take it out with `enabled: false`")]
    GaveUp {
        /// The plugin's words.
        message: String,
    },
    /// Too many rounds in a row failed.
    #[error("failed {rounds} times in a row: {message}; mend that, or take it out with `enabled: false`")]
    Errors {
        /// How many rounds.
        rounds: u32,
        /// The last error in the plugin's words.
        message: String,
    },
    /// Its thread could not be started.
    #[error("got no thread of its own ({0}); raise the limit of processes")]
    Thread(#[source] io::Error),
    /// Its own process could not be started, or not be talked to.
    #[error("got no process of its own ({0}); free memory, or raise the limits of processes and open files")]
    Runner(#[source] io::Error),
    /// Nobody said how a process of its own is started.
    #[error("cannot be isolated: no program to run it in is known; set `isolation: in_process`")]
    NoRunner,
    /// Its process could not be shut in, so that nothing of it was loaded.
    #[error("cannot be sandboxed: {reason}")]
    Sandbox {
        /// Why, and what to do.
        reason: String,
    },
    /// Its own process ended.
    #[error("ended its own process ({ending}); {}", remedy(*ending, *memory))]
    Ended {
        /// How.
        ending: Ending,
        /// `max_memory` in bytes.
        memory: u64,
    },
    /// Its own process has too many threads.
    #[error(
        "was ended, since its process had {threads} threads, and {most} are allowed; tell its author, or take it out with \
         `enabled: false`"
    )]
    Threads {
        /// How many it had.
        threads: u32,
        /// How many it may have.
        most: u32,
    },
    /// Its own process said what makes no sense.
    #[error(
        "was ended, since its process sent {what}; tell its author, or take it out with `enabled: false`"
    )]
    Nonsense {
        /// What.
        what: &'static str,
    },
    /// Its thread ended.
    #[error("ended its thread; tell its author, or take it out with `enabled: false`")]
    Vanished,
}

/// Who has to act on a failure; it decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureCategory {
    /// The configuration names or configures it wrongly.
    Configuration,
    /// The plugin is not to be had, or is broken.
    Unavailable,
}

impl InstanceFailure {
    /// Who has to act.
    pub fn category(&self) -> FailureCategory {
        match &self.fault {
            InstanceFault::Configuration { .. } => FailureCategory::Configuration,
            InstanceFault::Class(error) if matches!(**error, ResolveError::OtherKind { .. }) => {
                FailureCategory::Configuration
            }
            _ => FailureCategory::Unavailable,
        }
    }

    /// Whether no usable library exports the class: the run cannot begin at all.
    pub fn is_unknown_class(&self) -> bool {
        matches!(self.fault, InstanceFault::Class(_))
    }
}

/// What to do about a process that ended: one that ran into its limit of memory aborts.
fn remedy(ending: Ending, memory: u64) -> String {
    match ending {
        Ending::Signal(6 | 9) => format!(
            "raise its `max_memory` ({} MiB) if it needs more, tell its author, or take it out with `enabled: false`",
            memory >> 20
        ),
        _ => "tell its author, or take it out with `enabled: false`".to_owned(),
    }
}

fn file(path: Option<&PathBuf>) -> String {
    path.map(|path| format!(", {}", path.display())).unwrap_or_default()
}
