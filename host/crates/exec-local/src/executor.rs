//! The executor that the runtime holds: its calls, each guarded against panics.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use orchestrator_core::AttemptId;
use orchestrator_core::scheduler::SpawnFault;
use orchestrator_ports::{Executor, ExecutorEvent, Launch, SignalScope, Sink, StopSignal, Waker};

use crate::bell::Bell;
use crate::error::ExecError;
use crate::reactor::Reactor;
use crate::spawn::{LaunchPath, Spawner};
use crate::{fds, reap, rescue};

/// How the executor behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Descendants that outlive the main process, and pipes that stay open after it, are given this long.
    pub leak_timeout: Duration,
    /// Instead of it, when the whole tree was asked to end: descendants may clean up for this long.
    pub descendant_grace: Duration,
    /// Raise the host's soft limit of open files to its hard limit (children get the old one back).
    pub raise_open_files: bool,
    /// How processes are started; the best way when `None`.
    pub launch_path: Option<LaunchPath>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            leak_timeout: Duration::from_millis(100),
            descendant_grace: Duration::from_secs(1),
            raise_open_files: true,
            launch_path: None,
        }
    }
}

/// Panics after which no launch is tried any more.
const PANICS: u32 = 16;

/// Starts, watches and stops process trees on this machine. It has no thread of its own: what it does happens within the
/// calls, most of it in [`Executor::wait`]. Dropping it kills and reaps all that still runs.
pub struct LocalExecutor {
    reactor: Reactor,
    bell: Arc<Bell>,
    panics: u32,
}

impl LocalExecutor {
    /// Makes this process a child subreaper, takes back an inherited `SIG_IGN` of SIGCHLD and, by choice, raises the soft
    /// limit of open files.
    ///
    /// # Errors
    /// When the kernel objects of the loop cannot be had.
    pub fn start(sink: Sink<ExecutorEvent>, options: Options) -> Result<Self, ExecError> {
        reap::ensure_children_are_kept();
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(ExecError::setup("subreaper"))?;
        let open_files = if options.raise_open_files { fds::raise_fd_limit() } else { None };
        let bell = Arc::new(Bell::new()?);
        let spawner = Spawner::new(options.launch_path, open_files)?;
        let reactor = Reactor::new(sink, options, spawner, Arc::clone(&bell))?;
        Ok(Self { reactor, bell, panics: 0 })
    }

    /// Kills every running attempt's tree and reaps it (its `Exited` is told). Waits for that; a process that hangs in the
    /// kernel is given up after some seconds.
    pub fn shutdown(self) {
        drop(self);
    }

    /// Does something with the children. After a panic all that run are ended and told as ended: nobody may wait for ever
    /// for a process that nobody watches.
    fn guarded(&mut self, work: impl FnOnce(&mut Reactor)) {
        if catch_unwind(AssertUnwindSafe(|| work(&mut self.reactor))).is_err() {
            self.panics += 1;
            rescue::after_a_panic(&mut self.reactor);
        }
    }
}

impl Drop for LocalExecutor {
    fn drop(&mut self) {
        self.guarded(Reactor::end);
    }
}

impl fmt::Debug for LocalExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalExecutor").finish_non_exhaustive()
    }
}

impl Executor for LocalExecutor {
    fn launch(&mut self, launch: Launch) {
        if self.panics < PANICS {
            self.guarded(|reactor| reactor.launch(Box::new(launch)));
        } else {
            let fault = SpawnFault::Machine { detail: "the executor has panicked too often".to_owned() };
            self.reactor.tell(ExecutorEvent::NotStarted { attempt: launch.attempt, fault });
        }
    }

    fn signal(&mut self, attempts: &[AttemptId], signal: StopSignal, scope: SignalScope) {
        self.guarded(|reactor| reactor.signal(attempts, signal, scope));
    }

    fn signal_all(&mut self, signal: StopSignal) {
        self.guarded(|reactor| reactor.signal_all(signal));
    }

    fn wait(&mut self, deadline: Option<Instant>, nothing_waits: &mut dyn FnMut() -> bool) {
        self.guarded(|reactor| reactor.turn(deadline, nothing_waits));
    }

    fn waker(&self) -> Waker {
        let bell = Arc::clone(&self.bell);
        Arc::new(move || bell.ring())
    }
}
