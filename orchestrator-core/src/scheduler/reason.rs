//! Why an attempt or a task ended as it did: data, printed as sentences by `explain`, the progress view and reports.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a process ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitStatus {
    /// It returned this code (0–255).
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

/// Why a process could not be started. The machine's faults wait and retry; the configuration's stop the run before
/// it burns the queue; the input's fail that task alone.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpawnFault {
    /// Configuration: the binary does not exist, is not executable, is of a wrong format, or the working directory
    /// is missing.
    Config {
        /// The operating system's words.
        detail: String,
    },
    /// Machine: EAGAIN, ENOMEM, EMFILE, ENFILE. Waits and retries without counting against the task.
    Machine {
        /// The operating system's words.
        detail: String,
    },
    /// Machine: no space left for the private output or the captured streams.
    DiskFull {
        /// The operating system's words.
        detail: String,
    },
    /// Input: the command line with this file's names is too long (E2BIG), or the name cannot be passed.
    Input {
        /// The operating system's words.
        detail: String,
    },
}

/// What was wrong with an attempt's output.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputFault {
    /// Nothing was written where `{output_file}` pointed.
    Missing,
    /// It is empty and `non_empty` was asked for.
    Empty,
    /// It is smaller than `min_bytes`.
    TooSmall {
        /// Bytes found.
        found: u64,
        /// Bytes asked for.
        wanted: u64,
    },
    /// It is a directory, a socket or another thing that cannot be published.
    NotAFile,
    /// `validation.command` said no.
    Rejected {
        /// Its exit code, or minus the signal that ended it.
        code: i32,
        /// The first line that it wrote; empty when it wrote nothing.
        #[serde(default)]
        said: String,
    },
    /// `validation.command` could not be run or took too long.
    CheckFailed {
        /// What happened.
        detail: String,
    },
}

/// Why an attempt failed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// The input file was gone when its turn came.
    InputVanished,
    /// The input file could not be read.
    InputUnreadable {
        /// The operating system's words.
        detail: String,
    },
    /// The process could not be started.
    Spawn(SpawnFault),
    /// The process returned a code other than 0.
    ExitCode(i32),
    /// A signal that was not ours ended the process.
    Signal(i32),
    /// The kernel ended it for want of memory.
    OutOfMemory,
    /// It ran longer than `timeouts.attempt`.
    Timeout {
        /// The limit it ran into.
        limit: Duration,
    },
    /// It showed no progress for too long.
    Stuck {
        /// For how long.
        idle: Duration,
    },
    /// It ended well, but its output did not pass.
    InvalidOutput(OutputFault),
    /// The output could not be written or published because the disk is full.
    DiskFull,
    /// The output could not be moved into place.
    Publish {
        /// The operating system's words.
        detail: String,
    },
    /// A process of its tree held the output pipes open after it had ended (`leak: fail`).
    Leak,
}

/// The kinds of failure that policies and summaries count by.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCategory {
    /// The configuration's fault.
    Config,
    /// The input's fault.
    Input,
    /// The process could not be started.
    Spawn,
    /// Exit code other than 0.
    ExitCode,
    /// Ended by a signal.
    Signal,
    /// Ended for want of memory.
    Oom,
    /// Ran too long.
    Timeout,
    /// Made no progress.
    Stuck,
    /// Output did not pass.
    InvalidOutput,
    /// Disk full.
    DiskFull,
}

impl FailureReason {
    /// The category that policies count it under.
    #[must_use]
    pub fn category(&self) -> FailureCategory {
        match self {
            Self::InputVanished | Self::InputUnreadable { .. } => FailureCategory::Input,
            Self::Spawn(SpawnFault::Config { .. }) => FailureCategory::Config,
            Self::Spawn(SpawnFault::Input { .. }) => FailureCategory::Input,
            Self::Spawn(SpawnFault::Machine { .. }) => FailureCategory::Spawn,
            Self::Spawn(SpawnFault::DiskFull { .. }) | Self::DiskFull => FailureCategory::DiskFull,
            Self::ExitCode(_) => FailureCategory::ExitCode,
            Self::Signal(_) => FailureCategory::Signal,
            Self::OutOfMemory => FailureCategory::Oom,
            Self::Timeout { .. } => FailureCategory::Timeout,
            Self::Stuck { .. } => FailureCategory::Stuck,
            Self::InvalidOutput(_) | Self::Publish { .. } | Self::Leak => FailureCategory::InvalidOutput,
        }
    }
}

impl fmt::Display for FailureCategory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Config => "config",
            Self::Input => "input",
            Self::Spawn => "spawn",
            Self::ExitCode => "exit code",
            Self::Signal => "signal",
            Self::Oom => "oom",
            Self::Timeout => "timeout",
            Self::Stuck => "stuck",
            Self::InvalidOutput => "invalid output",
            Self::DiskFull => "disk full",
        })
    }
}

/// Why an attempt was stopped without being at fault. Its task goes back to PENDING and loses no try.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TerminationReason {
    /// Capacity fell below what was running.
    Resources {
        /// The bound that was active, in words.
        bound: String,
    },
    /// The run was asked to stop.
    Shutdown,
    /// The halt policy struck.
    Halted,
    /// The orchestrator itself died while it ran.
    Lost,
    /// The machine could not start it (see [`SpawnFault::Machine`]).
    NotStarted {
        /// The operating system's words.
        detail: String,
    },
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}{}", signal_name(*signal)),
        }
    }
}

impl fmt::Display for SpawnFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config { detail } => write!(f, "the binary cannot be started: {detail}"),
            Self::Machine { detail } => write!(f, "the machine could not start a process: {detail}"),
            Self::DiskFull { detail } => write!(f, "no space left for its output: {detail}"),
            Self::Input { detail } => write!(f, "the command line for this input is not possible: {detail}"),
        }
    }
}

impl fmt::Display for OutputFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("no output was written to {output_file}"),
            Self::Empty => f.write_str("the output is empty (output.validation.non_empty)"),
            Self::TooSmall { found, wanted } => {
                write!(f, "the output has {found} bytes, output.validation.min_bytes asks for {wanted}")
            }
            Self::NotAFile => f.write_str("the output is not a regular file"),
            Self::Rejected { code, said } => {
                write!(f, "output.validation.command rejected the output (exit {code})")?;
                if said.is_empty() { Ok(()) } else { write!(f, ": {said}") }
            }
            Self::CheckFailed { detail } => write!(f, "output.validation.command could not be run: {detail}"),
        }
    }
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InputVanished => f.write_str("the input file vanished before its turn came"),
            Self::InputUnreadable { detail } => write!(f, "the input file cannot be read: {detail}"),
            Self::Spawn(fault) => fault.fmt(f),
            Self::ExitCode(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "ended by signal {signal}{}", signal_name(*signal)),
            Self::OutOfMemory => f.write_str("out of memory: the kernel ended it"),
            Self::Timeout { limit } => write!(f, "ran longer than its limit of {:.1} s", limit.as_secs_f64()),
            Self::Stuck { idle } => write!(f, "showed no progress for {:.0} s", idle.as_secs_f64()),
            Self::InvalidOutput(fault) => fault.fmt(f),
            Self::DiskFull => f.write_str("the disk is full"),
            Self::Publish { detail } => write!(f, "the output could not be moved into place: {detail}"),
            Self::Leak => f.write_str("a process it started held its output pipes open after it had ended"),
        }
    }
}

impl fmt::Display for TerminationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resources { bound } => write!(f, "stopped to free resources ({bound})"),
            Self::Shutdown => f.write_str("stopped because the run was asked to stop"),
            Self::Halted => f.write_str("stopped by the halt policy"),
            Self::Lost => f.write_str("the orchestrator ended while it ran"),
            Self::NotStarted { detail } => write!(f, "the machine could not start it: {detail}"),
        }
    }
}

/// ` (SIGKILL)` for the signals that people meet; empty for others.
fn signal_name(signal: i32) -> &'static str {
    match signal {
        1 => " (SIGHUP)",
        2 => " (SIGINT)",
        3 => " (SIGQUIT)",
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        13 => " (SIGPIPE)",
        14 => " (SIGALRM)",
        15 => " (SIGTERM)",
        24 => " (SIGXCPU)",
        25 => " (SIGXFSZ)",
        _ => "",
    }
}
