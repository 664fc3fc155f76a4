//! Starting, watching and stopping process trees.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use orchestrator_core::AttemptId;
use orchestrator_core::metrics::Usage;
use orchestrator_core::placement::CpuSet;
use orchestrator_core::plan::Environment;
use orchestrator_core::scheduler::{ExitStatus, ProcessIdentity, SpawnFault};

/// Where a child's standard input comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum InputSource {
    /// `/dev/null`.
    Null,
    /// This file, opened for reading.
    File(PathBuf),
}

/// Where a child's standard output or error goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum OutputSink {
    /// `/dev/null`.
    Null,
    /// Straight into this file (created, truncated): for tools that write their result to stdout.
    File(PathBuf),
    /// Captured by the executor into this file, which is created only when there is output, and cut after
    /// `max_bytes` (the child is never blocked or killed by the cap; the rest is counted and dropped).
    Capture {
        /// The file.
        path: PathBuf,
        /// Bytes kept.
        max_bytes: u64,
    },
}

/// What is the same for all children of a run.
#[derive(Clone, Debug, Default)]
pub struct ChildSettings {
    /// Added to (or replacing in) the inherited environment.
    pub env: Vec<(OsString, OsString)>,
    /// Start from an empty environment instead of the host's.
    pub clear_env: bool,
    /// Working directory; the host's own when `None`.
    pub working_directory: Option<PathBuf>,
}

/// One process to be started, in a process group of its own.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Names the process from now on.
    pub attempt: AttemptId,
    /// Executable (absolute or relative path, or a bare name to be looked up in `PATH`).
    pub program: PathBuf,
    /// Arguments without the program's name; never split, never quoted again.
    pub args: Vec<OsString>,
    /// This attempt's own environment, on top of the settings'.
    pub env: Environment,
    /// Standard input.
    pub stdin: InputSource,
    /// Standard output.
    pub stdout: OutputSink,
    /// Standard error.
    pub stderr: OutputSink,
    /// What is common to all.
    pub settings: Arc<ChildSettings>,
    /// The only processors that it may run on, from its first instruction; `None` leaves it the host's. A set that the
    /// machine does not have (any more) is passed over.
    pub cpus: Option<CpuSet>,
}

/// Which processes a signal is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SignalScope {
    /// The main process alone (`kill_mode: main_then_tree`, first stage).
    Main,
    /// The process group and every descendant, those that left the group by `setsid` included.
    Tree,
}

/// A signal by number (15 = SIGTERM).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StopSignal(pub i32);

/// What the executor tells.
#[derive(Clone, Debug)]
pub enum ExecutorEvent {
    /// The process runs.
    Started {
        /// Whose.
        attempt: AttemptId,
        /// Which.
        identity: ProcessIdentity,
    },
    /// It could not be started; nothing is left of the try.
    NotStarted {
        /// Whose.
        attempt: AttemptId,
        /// Why.
        fault: SpawnFault,
    },
    /// The main process ended and was reaped; captured output is complete (or given up after the leak time, 100 ms).
    /// Descendants that outlived it were ended (SIGKILL) before this is told.
    Exited {
        /// Whose.
        attempt: AttemptId,
        /// How.
        status: ExitStatus,
        /// What it used.
        usage: Usage,
        /// The kernel's out-of-memory killer ended it (as far as can be known).
        oom: bool,
        /// Descendants outlived it or held its pipes open.
        leaked: bool,
    },
}

/// Ends an executor's [`wait`](Executor::wait), from any thread.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// Starts and stops process trees, on the thread that calls. All calls but `wait` return at once.
pub trait Executor: Send {
    /// Starts a process. Answer: `Started` then `Exited`, or `NotStarted`.
    fn launch(&mut self, launch: Launch);
    /// Sends a signal to these attempts' main processes or their whole trees; those that have ended are passed over.
    /// Several at once cost little more than one: the machine's processes are looked at once for all.
    fn signal(&mut self, attempts: &[AttemptId], signal: StopSignal, scope: SignalScope);
    /// Sends a signal to every running attempt's tree (SIGTSTP/SIGCONT forwarded); all have been sent when it returns.
    fn signal_all(&mut self, signal: StopSignal);
    /// Looks after the processes: waits until one wants something, until it is woken or until `deadline` (without end
    /// where there is none), and sees to what there is. Before it goes to sleep it asks whether `nothing_waits` for the
    /// caller; a call of the waker after that question ends the sleep.
    fn wait(&mut self, deadline: Option<Instant>, nothing_waits: &mut dyn FnMut() -> bool);
    /// What ends [`wait`](Self::wait).
    fn waker(&self) -> Waker;
}
