//! A store over a temporary directory, its answers, and facts to record.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use orchestrator_core::metrics::Usage;
use orchestrator_core::scheduler::{
    Counts, ExitStatus, Fact, FailureReason, Fingerprint, InputPath, OutputRecord, ProcessIdentity,
    StoredTask,
};
use orchestrator_core::{AttemptId, Bytes, SlotId, TaskId, Timestamp};
use orchestrator_ports::{Record, Store, StoreEvent, SyncMode};
use orchestrator_store::{
    Loaded, OpenOptions, RunEnd, RunInfo, SqliteStore, StateDir, StoreError, StoreGuard,
};

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Live {
    pub(crate) store: SqliteStore,
    pub(crate) guard: StoreGuard,
    pub(crate) events: Receiver<StoreEvent>,
    number: u64,
}

/// All that a state holds.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct All {
    pub(crate) tasks: Vec<StoredTask>,
    pub(crate) stale: Vec<TaskId>,
    pub(crate) next_attempt: u64,
}

pub(crate) trait LoadAll {
    fn all(&self, command: &str) -> Result<All, StoreError>;
}

impl LoadAll for StateDir {
    fn all(&self, command: &str) -> Result<All, StoreError> {
        let mut tasks = Vec::new();
        let Loaded { stale, next_attempt } = self.load(command, |task| tasks.push(task))?;
        Ok(All { tasks, stale, next_attempt })
    }
}

pub(crate) fn info() -> RunInfo {
    RunInfo {
        started_at: Timestamp(1_000_000),
        command_hash: "command".into(),
        calibration_key: "binary".into(),
        config_digest: "config".into(),
    }
}

pub(crate) fn open(directory: &Path) -> Result<StateDir, StoreError> {
    StateDir::open(directory, &OpenOptions::default())
}

pub(crate) fn begin(directory: &Path) -> Live {
    begin_as(open(directory).unwrap(), &info())
}

pub(crate) fn begin_as(state: StateDir, info: &RunInfo) -> Live {
    let (sender, events) = channel();
    let sink = Arc::new(move |event| drop(sender.send(event)));
    let (_, store, guard) = state.start(info, sink).unwrap();
    Live { store, guard, events, number: 0 }
}

impl Live {
    /// Queues facts as one record.
    pub(crate) fn append(&mut self, facts: Vec<Fact>, sync: SyncMode) {
        self.number += 1;
        self.store.append(Record { number: self.number, facts, sync });
    }

    /// Waits until everything queued is acknowledged, and readers see it.
    pub(crate) fn settle(&self) {
        self.acknowledged();
        self.store.flush();
    }

    /// Waits until everything queued is acknowledged: a kill does not take it.
    pub(crate) fn acknowledged(&self) {
        loop {
            match self.events.recv_timeout(PATIENCE).expect("an answer") {
                StoreEvent::Committed { through } if through == self.number => return,
                StoreEvent::Committed { through } => assert!(through < self.number),
                StoreEvent::Failed { detail } => panic!("{detail}"),
            }
        }
    }

    pub(crate) fn record(&mut self, facts: Vec<Fact>) {
        self.append(facts, SyncMode::Written);
        self.settle();
    }

    pub(crate) fn finish(self) {
        self.guard.finish(end()).unwrap();
    }
}

pub(crate) fn end() -> RunEnd {
    RunEnd { ended_at: Timestamp(90_000_000), exit: 0, counts: Counts { completed: 3, ..Counts::default() } }
}

pub(crate) fn path(task: u32) -> InputPath {
    InputPath::new(format!("dir/input-{task:06}.dat").as_bytes())
}

pub(crate) fn output(task: u32) -> OutputRecord {
    OutputRecord {
        path: InputPath::new(format!("{}.output", path(task)).as_bytes()),
        size: 1000 + u64::from(task),
    }
}

pub(crate) fn usage() -> Usage {
    Usage {
        wall: Duration::from_micros(1_234_567),
        cpu_user: Duration::from_micros(1_000_001),
        cpu_system: Duration::from_micros(20_002),
        peak_rss: Bytes(12_345_678),
        read_bytes: Bytes(1_000_000),
        write_bytes: Bytes(2_000_000),
    }
}

pub(crate) fn fingerprint(task: u32) -> Fingerprint {
    Fingerprint { size: 5_000 + u64::from(task), version: 1_700_000_000_000_000_000 + i64::from(task) }
}

pub(crate) fn named(task: u32) -> Fact {
    Fact::TaskNamed { task: TaskId(task), path: path(task) }
}

pub(crate) fn planned(task: u32, attempt: u64, number: u32) -> Fact {
    Fact::AttemptPlanned {
        attempt: AttemptId(attempt),
        task: TaskId(task),
        number,
        slot: SlotId(1),
        calibrating: false,
        at: at(attempt),
    }
}

pub(crate) fn started(task: u32, attempt: u64) -> Fact {
    Fact::AttemptStarted {
        attempt: AttemptId(attempt),
        task: TaskId(task),
        identity: ProcessIdentity { pid: 4_000 + task, start_ticks: 123_456_789 },
        fingerprint: fingerprint(task),
        at: at(attempt) + Duration::from_micros(700),
    }
}

pub(crate) fn exited(task: u32, attempt: u64, status: ExitStatus) -> Fact {
    Fact::AttemptExited {
        attempt: AttemptId(attempt),
        task: TaskId(task),
        status,
        usage: usage(),
        at: at(attempt) + Duration::from_micros(1_300_000),
    }
}

pub(crate) fn accepted(task: u32, attempt: u64) -> Fact {
    Fact::OutputAccepted { attempt: AttemptId(attempt), task: TaskId(task), outputs: vec![output(task)] }
}

pub(crate) fn completed(task: u32, attempt: u64) -> Fact {
    Fact::TaskCompleted {
        task: TaskId(task),
        attempt: AttemptId(attempt),
        at: at(attempt) + Duration::from_micros(1_400_000),
    }
}

pub(crate) fn failed(task: u32, attempt: u64, reason: FailureReason) -> Fact {
    Fact::TaskFailed { task: TaskId(task), attempt: AttemptId(attempt), reason, at: at(attempt) }
}

/// When an attempt was planned.
pub(crate) fn at(attempt: u64) -> Timestamp {
    Timestamp(1_760_000_000_000_000 + attempt * 10_000)
}

/// The whole life of a task that succeeds at once, step by step.
pub(crate) fn life(task: u32, attempt: u64) -> Vec<Vec<Fact>> {
    vec![
        vec![named(task), planned(task, attempt, 1)],
        vec![started(task, attempt)],
        vec![exited(task, attempt, ExitStatus::Code(0))],
        vec![accepted(task, attempt)],
        vec![completed(task, attempt)],
    ]
}

/// What a kill would leave: the files as they are now, while nothing is being written.
pub(crate) fn crash_copy(directory: &Path, name: &str) -> PathBuf {
    let copy = directory.parent().unwrap().join(name);
    std::fs::create_dir_all(&copy).unwrap();
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    copy
}
