//! The handle that the runtime holds: every call is a message to the executor's thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use orchestrator_core::AttemptId;
use orchestrator_core::scheduler::SpawnFault;
use orchestrator_ports::{Executor, ExecutorEvent, Launch, SignalScope, Sink, StopSignal};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;

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

/// The thread is busy for microseconds at a time; a longer wait means that it hangs in the kernel.
const SIGNAL_ALL_PATIENCE: Duration = Duration::from_secs(2);

/// What the thread is told.
#[derive(Debug)]
pub(crate) enum Order {
    /// Start a process.
    Launch(Box<Launch>),
    /// Signal one attempt.
    Signal(AttemptId, StopSignal, SignalScope),
    /// Signal all attempts' trees, then answer.
    SignalAll(StopSignal, Sender<()>),
    /// Kill all, reap all, end.
    Shutdown,
}

/// Wakes the thread, at most once until it has looked. The eventfd is watched for edges: each ring is one, and nobody
/// needs to read it.
#[derive(Debug)]
pub(crate) struct Bell {
    /// Becomes readable anew with every ring.
    pub(crate) eventfd: OwnedFd,
    rung: AtomicBool,
}

impl Bell {
    fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            let _ = rustix::io::write(&self.eventfd, &1_u64.to_ne_bytes());
        }
    }

    /// To be called before the orders are read.
    pub(crate) fn quiet(&self) {
        self.rung.store(false, Ordering::SeqCst);
    }
}

/// Starts, watches and stops process trees on this machine. Dropping it kills and reaps all that still runs.
pub struct LocalExecutor {
    orders: Sender<Order>,
    bell: Arc<Bell>,
    sink: Sink<ExecutorEvent>,
    thread: Option<JoinHandle<()>>,
}

impl LocalExecutor {
    /// Starts the thread that owns all children. Makes this process a child subreaper, takes back an inherited
    /// `SIG_IGN` of SIGCHLD and, by choice, raises the soft limit of open files.
    ///
    /// # Errors
    /// When the kernel objects of the loop or the thread cannot be had.
    pub fn start(sink: Sink<ExecutorEvent>, options: Options) -> Result<Self, ExecError> {
        reap::ensure_children_are_kept();
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(ExecError::setup("subreaper"))?;
        let open_files = if options.raise_open_files { fds::raise_fd_limit() } else { None };
        let eventfd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(ExecError::setup("eventfd"))?;
        let bell = Arc::new(Bell { eventfd, rung: AtomicBool::new(false) });
        let (orders, inbox) = channel();
        let spawner = Spawner::new(options.launch_path, open_files)?;
        let mut reactor = Reactor::new(Arc::clone(&sink), options, spawner, inbox, Arc::clone(&bell))?;
        let thread = std::thread::Builder::new().name("executor".to_owned());
        let thread = thread.spawn(move || rescue::run(&mut reactor)).map_err(ExecError::Thread)?;
        Ok(Self { orders, bell, sink, thread: Some(thread) })
    }

    fn order(&self, order: Order) -> Result<(), Order> {
        self.orders.send(order).map_err(|unsent| unsent.0)?;
        self.bell.ring();
        Ok(())
    }

    /// Kills every running attempt's tree, reaps it (its `Exited` is told) and ends the thread. Waits for that; a
    /// process that hangs in the kernel is given up after some seconds.
    pub fn shutdown(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.order(Order::Shutdown);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the executor's thread panicked");
        }
    }
}

impl Drop for LocalExecutor {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.end();
        }
    }
}

impl std::fmt::Debug for LocalExecutor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalExecutor").finish_non_exhaustive()
    }
}

impl Executor for LocalExecutor {
    fn launch(&self, launch: Launch) {
        if let Err(Order::Launch(launch)) = self.order(Order::Launch(Box::new(launch))) {
            let fault = SpawnFault::Machine { detail: "the executor has ended".to_owned() };
            (self.sink)(ExecutorEvent::NotStarted { attempt: launch.attempt, fault });
        }
    }

    fn signal(&self, attempt: AttemptId, signal: StopSignal, scope: SignalScope) {
        let _ = self.order(Order::Signal(attempt, signal, scope));
    }

    fn signal_all(&self, signal: StopSignal) {
        let (answer, done) = channel();
        if self.order(Order::SignalAll(signal, answer)).is_ok() {
            // A thread that is gone drops its end, which wakes us too.
            let _ = done.recv_timeout(SIGNAL_ALL_PATIENCE);
        }
    }
}
