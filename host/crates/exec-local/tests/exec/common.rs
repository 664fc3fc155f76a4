//! A run of the real executor, whose events a test can wait for.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use orchestrator_core::AttemptId;
use orchestrator_core::metrics::Usage;
use orchestrator_core::plan::Environment;
use orchestrator_core::scheduler::{ExitStatus, ProcessIdentity, SpawnFault};
use orchestrator_exec_local::Options;
use orchestrator_ports::{
    ChildSettings, ExecutorEvent, InputSource, Launch, OutputSink, SignalScope, StopSignal,
};

use crate::driver::Driver;

/// No test waits longer than this for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Bench {
    pub(crate) executor: Driver,
    events: Receiver<ExecutorEvent>,
    pub(crate) directory: tempfile::TempDir,
}

#[derive(Clone, Debug)]
pub(crate) struct Exit {
    pub(crate) status: ExitStatus,
    pub(crate) usage: Usage,
    pub(crate) oom: bool,
    pub(crate) leaked: bool,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Self {
        let (sender, events) = channel();
        let sender = Mutex::new(sender);
        let sink = Arc::new(move |event| {
            let _ = sender.lock().unwrap().send(event);
        });
        let executor = Driver::start(sink, options).unwrap();
        Self { executor, events, directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn event(&self) -> ExecutorEvent {
        self.events.recv_timeout(PATIENCE).expect("an event within a minute")
    }

    pub(crate) fn nothing_more(&self) -> bool {
        self.events.try_recv().is_err()
    }

    pub(crate) fn started(&self, attempt: u64) -> ProcessIdentity {
        match self.event() {
            ExecutorEvent::Started { attempt: whose, identity } if whose == AttemptId(attempt) => identity,
            other => panic!("expected the start of {attempt}, got {other:?}"),
        }
    }

    pub(crate) fn exited(&self, attempt: u64) -> Exit {
        match self.event() {
            ExecutorEvent::Exited { attempt: whose, status, usage, oom, leaked }
                if whose == AttemptId(attempt) =>
            {
                Exit { status, usage, oom, leaked }
            }
            other => panic!("expected the exit of {attempt}, got {other:?}"),
        }
    }

    pub(crate) fn not_started(&self, attempt: u64) -> SpawnFault {
        match self.event() {
            ExecutorEvent::NotStarted { attempt: whose, fault } if whose == AttemptId(attempt) => fault,
            other => panic!("expected a fault of {attempt}, got {other:?}"),
        }
    }

    /// Launches and waits for the end.
    pub(crate) fn run(&self, launch: Launch) -> Exit {
        let attempt = launch.attempt.0;
        self.executor.launch(launch);
        self.started(attempt);
        self.exited(attempt)
    }

    /// Launches what must not start.
    pub(crate) fn refuse(&self, launch: Launch) -> SpawnFault {
        let attempt = launch.attempt.0;
        self.executor.launch(launch);
        self.not_started(attempt)
    }

    pub(crate) fn signal(&self, attempt: u64, signal: i32, scope: SignalScope) {
        self.executor.signal(AttemptId(attempt), StopSignal(signal), scope);
    }

    /// `sh -c script`, output captured into `out` and `err`.
    pub(crate) fn shell(&self, attempt: u64, script: &str) -> Launch {
        let mut launch = launch(attempt, "/bin/sh", &["-c", script]);
        launch.stdout = self.capture("out");
        launch.stderr = self.capture("err");
        launch
    }

    pub(crate) fn capture(&self, name: &str) -> OutputSink {
        OutputSink::Capture { path: self.path(name), max_bytes: 1 << 20 }
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The pid that a script wrote into a file (`echo $! > file.part; mv file.part file`).
    pub(crate) fn pid_in(&self, name: &str) -> u32 {
        wait_until(|| std::fs::read_to_string(self.path(name)).ok()?.trim().parse().ok())
    }
}

/// A launch with all streams to /dev/null and the marks that the runtime gives.
pub(crate) fn launch(attempt: u64, program: impl AsRef<Path>, args: &[&str]) -> Launch {
    Launch {
        attempt: AttemptId(attempt),
        program: program.as_ref().to_owned(),
        args: args.iter().map(OsString::from).collect(),
        env: marks(attempt),
        stdin: InputSource::Null,
        stdout: OutputSink::Null,
        stderr: OutputSink::Null,
        settings: Arc::new(ChildSettings::default()),
        cpus: None,
    }
}

pub(crate) fn marks(attempt: u64) -> Environment {
    let state = format!("test-{}", std::process::id());
    [("ORCHESTRATOR_STATE_ID", state), ("ORCHESTRATOR_ATTEMPT_ID", attempt.to_string())].into_iter().collect()
}

/// Looks again and again until there is an answer.
pub(crate) fn wait_until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "nothing within a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a process lives (a zombie does not).
pub(crate) fn lives(pid: u32) -> bool {
    state(pid).is_some_and(|state| state != 'Z' && state != 'X')
}

/// The state letter of a process that exists.
pub(crate) fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.trim_start().chars().next()
}

/// Our children, by a walk over /proc, zombies included.
pub(crate) fn children() -> Vec<u32> {
    let me = std::process::id().to_string();
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)) == Some(me.as_str())
    })
    .collect()
}

pub(crate) fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
