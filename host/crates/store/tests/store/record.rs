//! Records in, tasks out: across ends in order, kills and changes of the command.

use crate::common::*;
use orchestrator_core::capacity::Baseline;
use orchestrator_core::scheduler::{ExitStatus, Fact, FailureReason, TaskState, TerminationReason};
use orchestrator_core::{AttemptId, Bytes, TaskId, Timestamp};
use orchestrator_ports::{Record, Store, StoreEvent, SyncMode};
use orchestrator_store::{OpenOptions, RunInfo, StateDir, StoreError};

fn load(directory: &std::path::Path) -> All {
    open(directory).unwrap().all("command").unwrap()
}

#[test]
fn a_task_comes_back_as_it_was_after_every_step() {
    let keep = tempfile::tempdir().unwrap();
    let directory = keep.path().join("state");
    let mut live = begin(&directory);
    let states: Vec<_> = life(0, 7)
        .into_iter()
        .enumerate()
        .map(|(step, facts)| {
            live.record(facts);
            let loaded = load(&crash_copy(&directory, &format!("copy{step}")));
            assert_eq!((loaded.tasks.len(), loaded.next_attempt), (1, 8));
            loaded.tasks.into_iter().next().unwrap()
        })
        .collect();
    assert!(states.iter().all(|task| task.path == path(0) && task.detail.attempts == 1));
    let open = |step: usize| states[step].detail.open.clone();
    assert_eq!(states[0].state, TaskState::Running);
    let planned = open(0).unwrap();
    assert_eq!(
        (planned.attempt, planned.number, planned.identity, planned.accepted),
        (AttemptId(7), 1, None, None)
    );
    assert_eq!(open(1).unwrap().identity.unwrap().pid, 4_000);
    assert_eq!(states[1].detail.fingerprint, Some(fingerprint(0)));
    assert_eq!(open(2).unwrap().accepted, None);
    assert_eq!(open(3).unwrap().accepted, Some(vec![output(0)]));
    assert_eq!((states[4].state, open(4)), (TaskState::Completed, None));
    assert_eq!(states[4].detail.fingerprint, Some(fingerprint(0)));
}

#[test]
fn failures_terminations_and_resets_are_counted() {
    let keep = tempfile::tempdir().unwrap();
    let mut live = begin(keep.path());
    let (task, retry_at) = (TaskId(3), Timestamp(77));
    live.record(vec![named(3), planned(3, 1, 1)]);
    live.record(vec![Fact::AttemptTerminated {
        attempt: AttemptId(1),
        task,
        reason: TerminationReason::Shutdown,
        at: at(1),
    }]);
    live.record(vec![planned(3, 2, 2), started(3, 2)]);
    live.record(vec![Fact::AttemptFailed {
        attempt: AttemptId(2),
        task,
        reason: FailureReason::ExitCode(3),
        retry_at,
    }]);
    live.finish();
    let loaded = load(keep.path()).tasks.remove(0);
    assert_eq!((loaded.task, loaded.state), (task, TaskState::Pending));
    assert_eq!((loaded.detail.attempts, loaded.detail.failures), (2, 1));
    assert_eq!(loaded.detail.retry_at, Some(retry_at));

    let mut live = begin(keep.path());
    live.record(vec![planned(3, 3, 3), failed(3, 3, FailureReason::Leak)]);
    live.finish();
    let loaded = load(keep.path()).tasks.remove(0);
    assert_eq!((loaded.state, loaded.detail.failures, loaded.detail.retry_at), (TaskState::Failed, 2, None));
    let mut live = begin(keep.path());
    live.record(vec![Fact::TaskReset { task, at: at(4) }]);
    live.finish();
    let loaded = load(keep.path()).tasks.remove(0);
    assert_eq!(
        (loaded.state, loaded.detail.failures, loaded.detail.fingerprint),
        (TaskState::Pending, 0, None)
    );
}

#[test]
fn what_a_task_reserves_outlives_any_end_until_the_task_is_final() {
    let keep = tempfile::tempdir().unwrap();
    let directory = keep.path().join("state");
    let reserved = |directory: &std::path::Path| load(directory).tasks.remove(0).detail.reserved;
    let raised = |attempt: u64, bytes: u64| Fact::ReservationRaised {
        attempt: AttemptId(attempt),
        task: TaskId(3),
        used: Bytes(bytes / 2),
        reserved: Bytes(bytes),
        evicted: false,
        at: at(1),
    };
    let again = |attempt: u64| Fact::AttemptFailed {
        attempt: AttemptId(attempt),
        task: TaskId(3),
        reason: FailureReason::OutOfMemory,
        retry_at: at(2),
    };
    let mut live = begin(&directory);
    live.record(vec![named(3), planned(3, 1, 1)]);
    live.record(vec![raised(1, 10 << 30), again(1)]);
    let copy = crash_copy(&directory, "killed");
    assert_eq!(reserved(&copy), Some(Bytes(10 << 30)), "killed in the first run");
    let mut second = begin(&copy);
    second.record(vec![planned(3, 2, 2)]);
    second.record(vec![raised(2, 20 << 30), again(2)]);
    assert_eq!(reserved(&crash_copy(&copy, "again")), Some(Bytes(20 << 30)), "killed in the second");
    second.finish();
    assert_eq!(reserved(&copy), Some(Bytes(20 << 30)), "ended in order");
    let mut third = begin(&copy);
    third.record(vec![planned(3, 3, 3), failed(3, 3, FailureReason::OutOfMemory)]);
    third.record(vec![Fact::TaskReset { task: TaskId(3), at: at(4) }]);
    third.finish();
    assert_eq!(reserved(&copy), None, "new work begins anew");
    live.record(vec![planned(3, 2, 2), started(3, 2)]);
    live.record(vec![Fact::TaskCompleted { task: TaskId(3), attempt: AttemptId(2), at: at(5) }]);
    live.finish();
    assert_eq!(reserved(&directory), None, "a completed task reserves nothing");
}

#[test]
fn many_records_share_commits_and_all_are_acknowledged_in_order() {
    let keep = tempfile::tempdir().unwrap();
    let mut live = begin(keep.path());
    for task in 0..3_000_u32 {
        for facts in life(task, u64::from(task) + 1) {
            let sync = if task % 100 == 0 { SyncMode::Synced } else { SyncMode::Written };
            live.append(facts, sync);
        }
    }
    let (mut commits, mut last) = (0, 0);
    while last < 15_000 {
        match live.events.recv_timeout(PATIENCE).unwrap() {
            StoreEvent::Committed { through } => {
                assert!(through > last);
                last = through;
                commits += 1;
            }
            StoreEvent::Failed { detail } => panic!("{detail}"),
        }
    }
    assert!(commits < 15_000, "nothing was grouped");
    live.finish();
    let loaded = load(keep.path());
    assert_eq!((loaded.tasks.len(), loaded.next_attempt), (3_000, 3_001));
    assert!(loaded.tasks.iter().all(|task| task.state == TaskState::Completed));
    assert!(loaded.stale.is_empty());
}

#[test]
fn work_of_another_command_is_stale_and_its_accepted_output_is_not_published() {
    let keep = tempfile::tempdir().unwrap();
    let mut live = begin(keep.path());
    life(0, 1).into_iter().for_each(|facts| live.record(facts));
    life(1, 2).into_iter().take(4).for_each(|facts| live.record(facts));
    live.record(vec![named(2), planned(2, 3, 1), failed(2, 3, FailureReason::ExitCode(1))]);
    live.finish();
    let state = open(keep.path()).unwrap();
    let same = state.all("command").unwrap();
    assert!(same.stale.is_empty());
    assert!(same.tasks[1].detail.open.as_ref().unwrap().accepted.is_some());
    let other = state.all("other").unwrap();
    assert_eq!(other.stale, [TaskId(0), TaskId(2)]);
    assert_eq!(other.tasks[1].detail.open.as_ref().unwrap().accepted, None);
    drop(state);

    let info = RunInfo { command_hash: "other".into(), ..info() };
    let mut live = begin_as(open(keep.path()).unwrap(), &info);
    live.record(vec![Fact::TaskReset { task: TaskId(0), at: at(9) }, planned(0, 9, 1), started(0, 9)]);
    live.record(vec![exited(0, 9, ExitStatus::Code(0)), accepted(0, 9), completed(0, 9)]);
    live.finish();
    assert_eq!(open(keep.path()).unwrap().all("other").unwrap().stale, [TaskId(2)]);
    assert_eq!(load(keep.path()).stale, [TaskId(0)]);
}

#[test]
fn published_files_are_told_for_every_completed_task() {
    let keep = tempfile::tempdir().unwrap();
    let mut live = begin(keep.path());
    for task in [0, 2, 4] {
        life(task, u64::from(task) + 1).into_iter().for_each(|facts| live.record(facts));
    }
    live.record(vec![named(5), planned(5, 6, 1), started(5, 6), accepted(5, 6)]);
    // Done again: the last attempt's output counts.
    live.record(vec![Fact::TaskReset { task: TaskId(2), at: at(8) }, planned(2, 8, 1), started(2, 8)]);
    let mut again = output(2);
    again.size = 1;
    let outputs = vec![again.clone()];
    live.record(vec![
        Fact::OutputAccepted { attempt: AttemptId(8), task: TaskId(2), outputs },
        completed(2, 8),
    ]);
    live.finish();
    let mut seen = Vec::new();
    open(keep.path()).unwrap().published(|task, outputs| seen.push((task.0, outputs))).unwrap();
    assert_eq!(seen, [(0, vec![output(0)]), (2, vec![again]), (4, vec![output(4)])]);
}

#[test]
fn a_baseline_is_kept_under_its_key() {
    let keep = tempfile::tempdir().unwrap();
    let mut live = begin(keep.path());
    let baseline = Baseline { samples: 3, cpu_cores: 0.98, rss_peak_bytes: 1.5e9, ..Baseline::default() };
    live.record(vec![Fact::Calibrated { baseline: Baseline::default() }]);
    live.record(vec![Fact::Calibrated { baseline }]);
    live.finish();
    let state = open(keep.path()).unwrap();
    assert_eq!(state.baseline("binary").unwrap(), Some(baseline));
    assert_eq!(state.baseline("another").unwrap(), None);
    state.forget_baseline("binary").unwrap();
    assert_eq!(state.baseline("binary").unwrap(), None);
}

#[test]
fn a_state_directory_has_one_run_at_a_time() {
    let keep = tempfile::tempdir().unwrap();
    let live = begin(keep.path());
    let error = open(keep.path()).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    let fresh = OpenOptions { fresh: true, ..OpenOptions::default() };
    assert!(matches!(StateDir::open(keep.path(), &fresh), Err(StoreError::Locked { .. })));
    live.finish();
    drop(open(keep.path()).unwrap());
}

#[test]
fn the_end_of_a_run_is_told_to_the_next() {
    let keep = tempfile::tempdir().unwrap();
    let directory = keep.path().join("state");
    let state = open(&directory).unwrap();
    assert_eq!((state.recovery().last_run, state.recovery().unclean), (None, false));
    let id = state.state_id().to_owned();
    let mut live = begin_as(state, &info());
    life(0, 1).into_iter().for_each(|facts| live.record(facts));
    let killed = crash_copy(&directory, "killed");
    live.finish();
    let clean = open(&directory).unwrap();
    assert_eq!(clean.recovery().sentence(), None);
    let after = open(&killed).unwrap();
    assert!(after.recovery().unclean && !after.recovery().rebooted && after.recovery().cut_pages == 0);
    assert!(after.recovery().sentence().unwrap().contains("killed"));
    assert_eq!((clean.state_id(), after.state_id()), (id.as_str(), id.as_str()));
    assert_eq!(after.all("command").unwrap(), clean.all("command").unwrap());
    drop(clean);
    let fresh = StateDir::open(&directory, &OpenOptions { fresh: true, ..OpenOptions::default() }).unwrap();
    assert_eq!((fresh.all("command").unwrap().tasks.len(), fresh.state_id()), (0, id.as_str()));
}

#[test]
fn a_fresh_start_after_a_kill_still_looks_for_what_was_left_running() {
    let keep = tempfile::tempdir().unwrap();
    let directory = keep.path().join("state");
    let live = begin(&directory);
    let killed = crash_copy(&directory, "killed");
    live.finish();
    let fresh = OpenOptions { fresh: true, ..OpenOptions::default() };
    let state = StateDir::open(&killed, &fresh).unwrap();
    assert!(state.recovery().unclean && !state.recovery().rebooted);
    assert_eq!((state.recovery().last_run, state.recovery().sentence()), (None, None));
    let state = StateDir::open(&directory, &fresh).unwrap();
    assert!(!state.recovery().unclean);
}

#[test]
fn a_finished_task_takes_less_than_250_bytes() {
    const TASKS: u32 = 20_000;
    let keep = tempfile::tempdir().unwrap();
    let mut live = begin(keep.path());
    // Launched side by side, as in a run: rows grow while their neighbours do.
    for block in (0..TASKS).step_by(16) {
        for step in 0..5 {
            for task in block..block + 16 {
                live.append(life(task, u64::from(task) + 1).remove(step), SyncMode::Written);
            }
            live.settle();
        }
    }
    live.finish();
    let size = std::fs::metadata(keep.path().join("state.db")).unwrap().len();
    assert!(size < 250 * u64::from(TASKS), "{} bytes a task", size / u64::from(TASKS));
    eprintln!("{} bytes a task", size / u64::from(TASKS));
}

#[test]
fn a_guard_that_is_dropped_writes_what_was_queued_but_ends_no_run() {
    let keep = tempfile::tempdir().unwrap();
    let mut live = begin(keep.path());
    for facts in life(0, 1) {
        live.append(facts, SyncMode::Synced);
    }
    let Live { store, guard, .. } = live;
    drop(guard);
    store.append(Record { number: 9, facts: vec![named(1)], sync: SyncMode::Written });
    let state = open(keep.path()).unwrap();
    assert!(state.recovery().unclean);
    assert_eq!(state.all("command").unwrap().tasks[0].state, TaskState::Completed);
}

#[test]
fn facts_about_nothing_recorded_fail_the_store() {
    let keep = tempfile::tempdir().unwrap();
    let mut live = begin(keep.path());
    live.append(vec![named(0), planned(0, 1, 1), started(1, 2)], SyncMode::Written);
    let detail = loop {
        match live.events.recv_timeout(PATIENCE).unwrap() {
            StoreEvent::Failed { detail } => break detail,
            StoreEvent::Committed { through } => assert_eq!(through, 1),
        }
    };
    assert!(detail.contains("task 1 is not recorded"), "{detail}");
    assert!(matches!(live.guard.finish(end()), Err(StoreError::Closed { .. })));
    // Nor does the journal, which has it whole, keep the state from being opened.
    assert!(load(keep.path()).tasks.is_empty(), "the record was split");
}

#[test]
fn extreme_values_come_back() {
    let keep = tempfile::tempdir().unwrap();
    let mut live = begin(keep.path());
    let (task, attempt) = (TaskId(u32::MAX), AttemptId(u64::from(u32::MAX) * 3));
    let odd = orchestrator_core::scheduler::InputPath::new(b"\xff\n'\";--\x01");
    live.record(vec![
        Fact::TaskNamed { task, path: odd.clone() },
        Fact::AttemptPlanned {
            attempt,
            task,
            number: u32::MAX,
            slot: orchestrator_core::SlotId(u32::MAX),
            calibrating: true,
            at: Timestamp(0),
        },
        Fact::AttemptStarted {
            attempt,
            task,
            identity: orchestrator_core::scheduler::ProcessIdentity { pid: u32::MAX, start_ticks: u64::MAX },
            fingerprint: orchestrator_core::scheduler::Fingerprint { size: u64::MAX, version: i64::MIN },
            at: Timestamp(u64::MAX),
        },
    ]);
    live.finish();
    let loaded = load(keep.path()).tasks.remove(0);
    assert_eq!((loaded.task, loaded.path, loaded.state), (task, odd, TaskState::Calibrating));
    let open = loaded.detail.open.unwrap();
    assert_eq!((open.attempt, open.number), (attempt, u32::MAX));
    assert_eq!(open.identity.unwrap().start_ticks, u64::MAX);
    assert_eq!(loaded.detail.fingerprint.unwrap().version, i64::MIN);
}

#[test]
fn a_fresh_start_forgets_what_earlier_attempts_of_the_same_numbers_wrote() {
    let keep = tempfile::tempdir().unwrap();
    let logs = keep.path().join("logs/0");
    begin(keep.path()).finish();
    std::fs::create_dir_all(&logs).unwrap();
    std::fs::write(logs.join("1.stderr"), "of another task").unwrap();
    drop(open(keep.path()).unwrap());
    assert!(logs.join("1.stderr").exists(), "a state that goes on keeps them");
    drop(StateDir::open(keep.path(), &OpenOptions { fresh: true, ..OpenOptions::default() }).unwrap());
    assert!(!logs.exists());
}

#[test]
fn a_writer_that_panics_says_that_it_has_failed() {
    let keep = tempfile::tempdir().unwrap();
    let (sender, events) = std::sync::mpsc::channel();
    let sink = move |event| {
        assert!(!matches!(event, StoreEvent::Committed { .. }), "a panic of the test's own");
        drop(sender.send(event));
    };
    let (_, store, guard) = open(keep.path()).unwrap().start(&info(), std::sync::Arc::new(sink)).unwrap();
    store.append(Record { number: 1, facts: Vec::new(), sync: SyncMode::Synced });
    let StoreEvent::Failed { detail } = events.recv_timeout(PATIENCE).expect("an answer") else {
        panic!("not told")
    };
    assert!(detail.contains("panicked"), "{detail}");
    assert!(matches!(guard.finish(end()), Err(StoreError::Closed { .. })));
}
