//! What commands see, while a run is live and afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use orchestrator_core::metrics::Metrics;
use orchestrator_core::scheduler::{
    Counts, ExitStatus, Fact, FailureCategory, FailureReason, TaskState, TerminationReason,
};
use orchestrator_core::{AttemptId, RunId, TaskId, Timestamp};
use orchestrator_ports::{SampleRow, Store, SyncMode};
use orchestrator_store::{
    AttemptOutcome, HistoryQuery, OpenOptions, Retention, RunEnd, StateDir, StateReader, StoreError, TaskRef,
};

use crate::common::*;

#[test]
fn where_nothing_was_run_there_is_nothing_to_read() {
    let keep = tempfile::tempdir().unwrap();
    let error = StateReader::open(keep.path()).unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
}

#[test]
fn a_live_run_is_seen_and_not_disturbed() {
    let keep = tempfile::tempdir().unwrap();
    let mut live = begin(keep.path());
    let reader = StateReader::open(keep.path()).unwrap();
    assert_eq!(reader.live().unwrap().process.unwrap().pid, std::process::id());
    for task in 0..4 {
        life(task, u64::from(task) + 1).into_iter().for_each(|facts| live.record(facts));
        let overview = reader.overview(at(100)).unwrap();
        assert_eq!(overview.counts.completed, u64::from(task) + 1);
    }
    live.record(vec![named(4), planned(4, 5, 1), failed(4, 5, FailureReason::OutOfMemory)]);
    live.record(vec![named(5), planned(5, 6, 1), failed(5, 6, FailureReason::ExitCode(1))]);
    live.record(vec![named(6), planned(6, 7, 1), failed(6, 7, FailureReason::ExitCode(2))]);
    live.record(vec![named(7), planned(7, 8, 1)]);
    let overview = reader.overview(at(0) + Duration::from_secs(30)).unwrap();
    assert_eq!((overview.counts.failed, overview.counts.running, overview.counts.total()), (3, 1, 8));
    let failures = BTreeMap::from([(FailureCategory::Oom, 1), (FailureCategory::ExitCode, 2)]);
    assert_eq!(overview.failures, failures);
    assert_eq!(overview.completed_in_last_run, 4);
    assert!((overview.completed_per_second - 4.0 / 60.0).abs() < 1e-9, "{}", overview.completed_per_second);
    let run = overview.last_run.unwrap();
    assert_eq!((run.run, run.clean, run.exit), (RunId(1), false, None));
    live.finish();
    assert_eq!(reader.live(), None);
    let runs = reader.runs().unwrap();
    assert_eq!((runs.len(), runs[0].clean, runs[0].exit), (1, true, Some(0)));
    assert_eq!((runs[0].counts, runs[0].ended_at), (Some(end().counts), Some(end().ended_at)));
}

#[test]
fn what_a_run_left_waiting_is_counted_though_it_was_never_launched() {
    let keep = tempfile::tempdir().unwrap();
    let waiting = || StateReader::open(keep.path()).unwrap().overview(at(100)).unwrap().counts.pending;
    let mut live = begin(keep.path());
    live.record(vec![named(0), planned(0, 1, 1)]);
    let (task, attempt, reason) = (TaskId(0), AttemptId(1), FailureReason::OutOfMemory);
    live.record(vec![Fact::AttemptFailed { task, attempt, reason, retry_at: at(2) }]);
    assert_eq!(waiting(), 1, "a live run is asked itself");
    let counts = Counts { pending: 500, ..Counts::default() };
    live.guard.finish(RunEnd { counts, ..end() }).unwrap();
    assert_eq!(waiting(), 500);
    // Of a run that was killed nobody knows how many waited.
    drop(begin(keep.path()));
    assert_eq!(waiting(), 1);
}

#[test]
fn a_killed_state_is_read_without_taking_it_over() {
    let keep = tempfile::tempdir().unwrap();
    let directory = keep.path().join("state");
    let mut live = begin(&directory);
    life(0, 1).into_iter().for_each(|facts| live.record(facts));
    let killed = crash_copy(&directory, "killed");
    std::fs::remove_file(killed.join("state.db-shm")).unwrap();
    let reader = StateReader::open(&killed).unwrap();
    assert_eq!(reader.overview(at(9)).unwrap().counts.completed, 1);
    drop(reader);
    let state = open(&killed).unwrap();
    assert!(state.recovery().unclean, "a reader must not tidy up");
}

#[test]
fn a_task_tells_its_whole_story() {
    let keep = tempfile::tempdir().unwrap();
    let mut live = begin(keep.path());
    let task = TaskId(2);
    live.record(vec![named(2), planned(2, 1, 1), started(2, 1), exited(2, 1, ExitStatus::Signal(9))]);
    let reason = FailureReason::Signal(9);
    live.record(vec![Fact::AttemptFailed {
        attempt: AttemptId(1),
        task,
        reason: reason.clone(),
        retry_at: at(2),
    }]);
    live.record(vec![planned(2, 2, 2), started(2, 2)]);
    let why = TerminationReason::Resources { bound: "memory".into() };
    live.record(vec![Fact::AttemptTerminated {
        attempt: AttemptId(2),
        task,
        reason: why.clone(),
        at: at(3),
    }]);
    live.record(vec![planned(2, 3, 3), started(2, 3), exited(2, 3, ExitStatus::Code(0)), accepted(2, 3)]);
    live.record(vec![completed(2, 3)]);
    let reader = StateReader::open(keep.path()).unwrap();
    let story = reader.task(&TaskRef::Path(path(2))).unwrap().unwrap();
    assert_eq!(reader.task(&TaskRef::Id(task)).unwrap().unwrap(), story);
    assert_eq!(reader.task(&TaskRef::Id(TaskId(9))).unwrap(), None);
    assert_eq!((story.state, story.failures, story.attempts.len()), (TaskState::Completed, 1, 3));
    let [first, second, third] = story.attempts.as_slice() else { panic!("{story:?}") };
    assert_eq!((&first.outcome, first.exit), (&AttemptOutcome::Failed(reason), Some(ExitStatus::Signal(9))));
    assert_eq!(first.usage, Some(usage()));
    assert_eq!(
        (&second.outcome, second.usage, second.ended_at),
        (&AttemptOutcome::Terminated(why), None, Some(at(3)))
    );
    assert_eq!((&third.outcome, third.number, third.run), (&AttemptOutcome::Completed, 3, RunId(1)));
    assert_eq!(third.outputs, Some(vec![output(2)]));
    assert_eq!(third.started_at, Some(at(3) + Duration::from_micros(700)));
    let overview = reader.overview(at(9)).unwrap();
    assert_eq!((overview.flaky, overview.counts.completed), (1, 1));
}

#[test]
fn failed_tasks_come_in_pages() {
    let keep = tempfile::tempdir().unwrap();
    let mut live = begin(keep.path());
    for task in 0..25 {
        let attempt = u64::from(task) + 1;
        live.append(
            vec![
                named(task),
                planned(task, attempt, 1),
                failed(task, attempt, FailureReason::ExitCode(task as i32)),
            ],
            SyncMode::Written,
        );
    }
    live.settle();
    let reader = StateReader::open(keep.path()).unwrap();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = reader.failed(after, 10).unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 10);
        after = Some(last.task);
        seen.extend(page);
    }
    assert_eq!(seen.len(), 25);
    assert!(seen.iter().zip(0..).all(|(failed, n)| failed.reason == FailureReason::ExitCode(n)
        && failed.attempt == AttemptId(n as u64 + 1)
        && failed.path == path(n as u32)));
}

#[test]
fn the_joblog_has_every_ended_process() {
    let keep = tempfile::tempdir().unwrap();
    let mut live = begin(keep.path());
    // Attempts end in another order than their tasks'.
    life(5, 1).into_iter().for_each(|facts| live.record(facts));
    live.record(vec![named(0), planned(0, 2, 1), started(0, 2), exited(0, 2, ExitStatus::Signal(15))]);
    live.record(vec![named(1), planned(1, 3, 1), started(1, 3)]);
    let mut rows = Vec::new();
    StateReader::open(keep.path()).unwrap().joblog(|row| rows.push(row)).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[0].attempt, &rows[0].path, rows[0].exit), (AttemptId(1), &path(5), ExitStatus::Code(0)));
    assert_eq!((rows[0].send, rows[0].receive), (fingerprint(5).size, output(5).size));
    assert_eq!(rows[0].runtime, Duration::from_micros(1_300_000 - 700));
    assert_eq!((rows[1].exit, rows[1].receive), (ExitStatus::Signal(15), 0));
    assert!(!rows[0].host.is_empty());
}

fn sample(at: u64, attempt: Option<u64>, pairs: &[(&str, f64)]) -> SampleRow {
    let metrics: Metrics = pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    SampleRow { at: Timestamp(at), attempt: attempt.map(AttemptId), metrics }
}

#[test]
fn samples_become_a_history_and_age_away() {
    let keep = tempfile::tempdir().unwrap();
    let retention = Retention { max_age: Duration::from_secs(3_000), max_rows: 1_500 };
    let options = OpenOptions { retention, ..OpenOptions::default() };
    let live = begin_as(StateDir::open(keep.path(), &options).unwrap(), &info());
    let second = |n: u64| 1_000_000_000 + n * 1_000_000;
    for block in 0..8_u64 {
        let rows = (0..512).map(|n| block * 512 + n).map(|n| {
            let attempt = (n % 2 == 1).then_some(7);
            sample(second(n), attempt, &[("cpu", n as f64), ("memory", 0.5)])
        });
        live.store.samples(rows.collect());
    }
    live.finish();
    let reader = StateReader::open(keep.path()).unwrap();
    assert_eq!(reader.metric_names().unwrap(), ["cpu", "memory"]);
    let query = |attempt: Option<u64>, since: u64, limit: u32| {
        let query = HistoryQuery {
            metric: "cpu".into(),
            attempt: attempt.map(AttemptId),
            since: Timestamp(since),
            limit,
        };
        reader.history(&query).unwrap()
    };
    let all = query(None, 0, 10_000);
    assert!(all.len() <= 1_500 && all.len() > 300, "{}", all.len());
    assert_eq!(all.last().unwrap().value, 4_094.0);
    assert!(all.windows(2).all(|pair| pair[0].at < pair[1].at));
    assert!(all[0].at.0 >= second(4_095) - 3_000_000_000);
    let last = query(Some(7), second(4_000), 3);
    assert_eq!(last.iter().map(|point| point.value).collect::<Vec<_>>(), [4_091.0, 4_093.0, 4_095.0]);
    let unknown = HistoryQuery { metric: "none".into(), attempt: None, since: Timestamp(0), limit: 5 };
    assert!(reader.history(&unknown).unwrap().is_empty());
}

#[test]
fn samples_that_are_too_many_are_dropped_and_records_are_not() {
    let keep = tempfile::tempdir().unwrap();
    let mut live = begin(keep.path());
    live.store.samples((0..5_000).map(|n| sample(n, None, &[("x", 1.0)])).collect());
    life(0, 1).into_iter().for_each(|facts| live.record(facts));
    live.finish();
    let reader = StateReader::open(keep.path()).unwrap();
    assert!(reader.metric_names().unwrap().is_empty());
    assert_eq!(reader.overview(at(9)).unwrap().counts.completed, 1);
}

#[test]
fn a_checkpoint_waits_for_nobody() {
    let keep = tempfile::tempdir().unwrap();
    let mut live = begin(keep.path());
    life(0, 1).into_iter().for_each(|facts| live.record(facts));
    // A reader in the middle of a look: it sees its own moment, and holds up no one.
    let connection = rusqlite::Connection::open(keep.path().join("state.db")).unwrap();
    connection.execute_batch("BEGIN").unwrap();
    let count =
        || connection.query_row("SELECT count(*) FROM tasks", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count(), 1);
    for task in 1..4_000 {
        live.append(life(task, u64::from(task) + 1).concat(), SyncMode::Written);
    }
    live.settle();
    assert_eq!(count(), 1);
    connection.execute_batch("COMMIT").unwrap();
    assert_eq!(count(), 4_000);
    live.finish();
}
