//! Files torn, overwritten, replaced: a clear error or a consistent beginning, never a panic, never a completion that
//! was not recorded.

use std::fs::{self, OpenOptions as FileOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use orchestrator_core::scheduler::TaskState;
use orchestrator_ports::SyncMode;
use orchestrator_store::{OpenOptions, StateDir, StateReader, StoreError};

use crate::common::*;

const TASKS: u32 = 60;

/// A small generator of numbers (`SplitMix64`), seeded so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// The states that the state went through: after `n` records, which tasks were completed.
fn history() -> Vec<Vec<u32>> {
    let mut completed = Vec::new();
    let mut states = vec![completed.clone()];
    for task in 0..TASKS {
        for step in 0..5 {
            if step == 4 {
                completed.push(task);
            }
            states.push(completed.clone());
        }
    }
    states
}

/// A state with all tasks completed, as a kill leaves it: half in the file, half in its log.
fn killed(keep: &Path) -> PathBuf {
    let directory = keep.join("live");
    let mut live = begin(&directory);
    for task in 0..TASKS / 2 {
        life(task, u64::from(task) + 1).into_iter().for_each(|facts| live.record(facts));
    }
    live.finish();
    let mut live = begin(&directory);
    for task in TASKS / 2..TASKS {
        life(task, u64::from(task) + 1).into_iter().for_each(|facts| live.append(facts, SyncMode::Written));
        live.settle();
    }
    let copy = crash_copy(&directory, "killed");
    drop(live);
    copy
}

fn ended(keep: &Path) -> PathBuf {
    let directory = keep.join("ended");
    let mut live = begin(&directory);
    for task in 0..TASKS {
        life(task, u64::from(task) + 1).into_iter().for_each(|facts| live.append(facts, SyncMode::Written));
    }
    live.settle();
    live.finish();
    directory
}

enum Harm {
    Cut,
    Zeros(u64),
    Noise(u64),
}

fn harm(file: &Path, harm: &Harm, offset: u64, dice: &mut Dice) {
    let mut file = FileOptions::new().write(true).open(file).unwrap();
    match harm {
        Harm::Cut => file.set_len(offset).unwrap(),
        Harm::Zeros(length) => {
            let left = file.metadata().unwrap().len() - offset;
            file.seek(SeekFrom::Start(offset)).unwrap();
            file.write_all(&vec![0; left.min(*length) as usize]).unwrap();
        }
        Harm::Noise(length) => {
            let left = file.metadata().unwrap().len() - offset;
            file.seek(SeekFrom::Start(offset)).unwrap();
            let noise: Vec<u8> = (0..left.min(*length)).map(|_| dice.below(256) as u8).collect();
            file.write_all(&noise).unwrap();
        }
    }
}

/// Opens, loads and goes on with a state; what it says must be one of its own former states.
fn survive(directory: &Path, history: &[Vec<u32>]) -> Result<usize, StoreError> {
    let reader = StateReader::open(directory).and_then(|reader| {
        let overview = reader.overview(at(1_000))?;
        reader.failed(None, 10)?;
        reader.joblog(|_| ())?;
        Ok(overview)
    });
    let state = open(directory)?;
    let room = state.tasks()?;
    let loaded = state.all("command")?;
    assert_eq!(room, loaded.tasks.len() as u64);
    state.published(|_, outputs| assert_eq!(outputs.len(), 1))?;
    let completed = check(&loaded);
    assert!(history.contains(&completed), "a state that never was: {completed:?}");
    // (What was not damaged for the writer is not for the reader either; what the journal had to bring back the reader
    // had not seen.)
    assert!(reader.unwrap().counts.completed <= completed.len() as u64);
    // The record goes on from here.
    let mut live = begin_as(state, &info());
    let next = loaded.next_attempt;
    live.record(vec![named(TASKS + 1), planned(TASKS + 1, next, 1), started(TASKS + 1, next)]);
    live.finish();
    let again = open(directory).unwrap().all("command").unwrap();
    assert_eq!(again.tasks.len(), loaded.tasks.len() + 1);
    Ok(completed.len())
}

fn check(loaded: &All) -> Vec<u32> {
    for task in &loaded.tasks {
        assert_eq!(task.path, path(task.task.0));
        if let Some(open) = &task.detail.open {
            assert!(open.accepted.as_ref().is_none_or(|outputs| *outputs == [output(task.task.0)]));
        }
    }
    let completed = loaded.tasks.iter().filter(|task| task.state == TaskState::Completed);
    completed.map(|task| task.task.0).collect()
}

/// Harms a file of the state at many offsets; returns how often that was noticed, and what was left at least.
fn torment(original: &Path, name: &str, seed: u64, allowed: fn(&StoreError) -> bool) -> (usize, usize) {
    let history = history();
    let mut dice = Dice(seed);
    let length = fs::metadata(original.join(name)).unwrap().len();
    let harms = [Harm::Cut, Harm::Zeros(64), Harm::Zeros(4096), Harm::Zeros(100_000), Harm::Noise(16)];
    let (mut refused, mut least) = (0, usize::MAX);
    for round in 0..120 {
        let copy = crash_copy(original, "harmed");
        let offset = match round {
            // The edges of the head and of the first page, then anywhere.
            0..5 => round as u64,
            5..10 => 4096,
            10..15 => length - 1,
            _ => dice.below(length),
        };
        let kind = &harms[round % harms.len()];
        harm(&copy.join(name), kind, offset, &mut dice);
        match survive(&copy, &history) {
            Ok(completed) => least = least.min(completed),
            Err(error) => {
                assert!(allowed(&error), "round {round}, offset {offset}: {error}");
                let words = error.to_string();
                assert!(words.contains("state.db") && words.contains("--fresh"), "{words}");
                refused += 1;
            }
        }
        fs::remove_dir_all(&copy).unwrap();
    }
    (refused, least)
}

fn is_damage(error: &StoreError) -> bool {
    matches!(error, StoreError::Damaged { .. } | StoreError::NewerFormat { .. })
}

#[test]
fn a_harmed_file_after_a_kill_is_refused_or_whole() {
    let keep = tempfile::tempdir().unwrap();
    let (refused, _) = torment(&killed(keep.path()), "state.db", 1, is_damage);
    assert!(refused > 20, "{refused}");
}

#[test]
fn a_harmed_file_after_an_end_in_order_is_refused_or_whole() {
    let keep = tempfile::tempdir().unwrap();
    let (refused, least) = torment(&ended(keep.path()), "state.db", 2, is_damage);
    assert!(refused > 40, "{refused}");
    assert!(least == TASKS as usize || least == usize::MAX, "without a log nothing can be cut: {least}");
}

#[test]
fn what_a_harmed_log_loses_the_journal_brings_back() {
    let keep = tempfile::tempdir().unwrap();
    let (refused, least) = torment(&killed(keep.path()), "state.db-wal", 3, |_| false);
    assert_eq!((refused, least), (0, TASKS as usize));
}

#[test]
fn a_harmed_log_is_cut_at_a_whole_record() {
    let keep = tempfile::tempdir().unwrap();
    let original = killed(keep.path());
    fs::remove_file(journal(&original)).unwrap();
    let (refused, least) = torment(&original, "state.db-wal", 3, |_| false);
    assert_eq!(refused, 0);
    assert!((TASKS as usize / 2..TASKS as usize).contains(&least), "{least}");
}

#[test]
fn a_harmed_journal_is_cut_at_a_whole_record() {
    let keep = tempfile::tempdir().unwrap();
    let original = killed(keep.path());
    // The second half is in the journal alone.
    fs::remove_file(original.join("state.db-wal")).unwrap();
    let name = journal(&original).file_name().unwrap().to_str().unwrap().to_owned();
    let (refused, least) = torment(&original, &name, 4, |_| false);
    assert_eq!(refused, 0);
    assert!((TASKS as usize / 2..TASKS as usize).contains(&least), "{least}");
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill_though_the_database_had_not_heard_of_it() {
    let keep = tempfile::tempdir().unwrap();
    let directory = keep.path().join("live");
    let mut live = begin(&directory);
    let records: Vec<_> = (0..TASKS).flat_map(|task| life(task, u64::from(task) + 1)).collect();
    for (at, facts) in records.into_iter().enumerate() {
        live.append(facts, SyncMode::Written);
        live.acknowledged();
        if at % 37 == 0 {
            let copy = crash_copy(&directory, "killed");
            let loaded = open(&copy).unwrap().all("command").unwrap();
            assert_eq!(check(&loaded).len(), (at + 1) / 5, "after record {}", at + 1);
            fs::remove_dir_all(&copy).unwrap();
        }
    }
    live.finish();
    assert!(!fs::read_dir(&directory).unwrap().any(|entry| is_journal(&entry.unwrap().path())));
}

fn is_journal(path: &Path) -> bool {
    path.file_name().unwrap().to_str().unwrap().starts_with("journal.")
}

/// The only segment.
fn journal(directory: &Path) -> PathBuf {
    let mut found = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    found.find(|path| is_journal(path)).unwrap()
}

#[test]
fn a_cut_log_is_told() {
    let keep = tempfile::tempdir().unwrap();
    let original = killed(keep.path());
    fs::remove_file(journal(&original)).unwrap();
    let log = original.join("state.db-wal");
    let length = fs::metadata(&log).unwrap().len();
    let whole = crash_copy(&original, "whole");
    assert_eq!(open(&whole).unwrap().recovery().cut_pages, 0);
    // Harm in the middle: everything from there on is cut, and counted.
    harm(&log, &Harm::Noise(16), length / 2, &mut Dice(0));
    let recovery = open(&original).unwrap().recovery().clone();
    assert!(recovery.cut_pages > 0, "{recovery:?}");
    assert!(recovery.sentence().unwrap().contains("done again"));
}

#[test]
fn a_row_that_was_changed_behind_our_back_is_noticed() {
    let tampering = [
        ("UPDATE tasks SET state = 3 WHERE id = 7", "task 7"),
        ("UPDATE tasks SET size = size + 1 WHERE id = 7", "task 7"),
        ("DELETE FROM tasks WHERE id = 7", "were found"),
        ("DELETE FROM attempts WHERE task = 59", "open attempt of task 59"),
        ("UPDATE attempts SET pid = pid + 1 WHERE task = 59", "attempt 60"),
        ("DROP TABLE attempts", "attempts"),
        ("UPDATE totals SET tasks = 9000000000000000000", "are recorded"),
    ];
    for (sql, word) in tampering {
        let keep = tempfile::tempdir().unwrap();
        let mut live = begin(keep.path());
        for task in 0..TASKS {
            life(task, u64::from(task) + 1)
                .into_iter()
                .take(4)
                .for_each(|facts| live.append(facts, SyncMode::Written));
        }
        live.settle();
        live.finish();
        let connection = rusqlite::Connection::open(keep.path().join("state.db")).unwrap();
        connection.execute_batch(sql).unwrap();
        drop(connection);
        let all = |state: StateDir| {
            assert!(state.tasks()? < 100_000, "room would be made for tasks that cannot be there");
            state.all("command")
        };
        let error = open(keep.path()).and_then(all).unwrap_err();
        assert!(is_damage(&error) && error.to_string().contains(word), "{sql}: {error}");
    }
}

#[test]
fn what_is_no_state_file_is_told_apart() {
    let keep = tempfile::tempdir().unwrap();
    let file = keep.path().join("state.db");
    let error = |content: &[u8]| {
        fs::write(&file, content).unwrap();
        open(keep.path()).unwrap_err().to_string()
    };
    assert!(error(b"").contains("cut after 0 bytes"));
    assert!(error(&[b'x'; 5000]).contains("first bytes"));
    fs::remove_file(&file).unwrap();
    let foreign = rusqlite::Connection::open(&file).unwrap();
    foreign.execute_batch("CREATE TABLE notes (text)").unwrap();
    drop(foreign);
    let error = open(keep.path()).unwrap_err();
    assert!(error.to_string().contains("not one of process orchestrator"), "{error}");
    assert!(StateReader::open(keep.path()).is_err());
    let fresh = OpenOptions { fresh: true, ..OpenOptions::default() };
    assert!(StateDir::open(keep.path(), &fresh).unwrap().all("command").unwrap().tasks.is_empty());
}

#[test]
fn a_newer_format_is_named_with_its_number() {
    let keep = tempfile::tempdir().unwrap();
    drop(open(keep.path()).unwrap());
    let connection = rusqlite::Connection::open(keep.path().join("state.db")).unwrap();
    connection.pragma_update(None, "user_version", 42).unwrap();
    drop(connection);
    for error in
        [open(keep.path()).map(drop).unwrap_err(), StateReader::open(keep.path()).map(drop).unwrap_err()]
    {
        assert!(matches!(error, StoreError::NewerFormat { found: 42, supported: 1, .. }), "{error}");
    }
}

#[test]
fn a_log_without_its_file_is_not_taken_for_a_new_state() {
    let keep = tempfile::tempdir().unwrap();
    let original = killed(keep.path());
    fs::remove_file(original.join("state.db")).unwrap();
    let error = open(&original).unwrap_err();
    assert!(is_damage(&error) && error.to_string().contains("state.db-wal"), "{error}");
}

#[test]
fn a_start_that_was_killed_while_making_the_file_leaves_no_trace() {
    let keep = tempfile::tempdir().unwrap();
    fs::write(keep.path().join("state.db.new"), b"half").unwrap();
    fs::write(keep.path().join("state.db.new-wal"), b"half").unwrap();
    assert!(open(keep.path()).unwrap().all("command").unwrap().tasks.is_empty());
    assert!(!keep.path().join("state.db.new").exists());
}

#[test]
fn a_full_disk_is_told_and_nothing_recorded_is_lost() {
    use orchestrator_ports::StoreEvent;
    let keep = tempfile::tempdir().unwrap();
    let mut mount = std::process::Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(keep.path());
    if !mount.output().is_ok_and(|done| done.status.success()) {
        eprintln!("SKIPPED: a tmpfs cannot be mounted here (not root)");
        return;
    }
    let mut live = begin(keep.path());
    let (mut recorded, mut task) = (0, 0);
    let detail = loop {
        live.append(life(task, u64::from(task) + 1).concat(), SyncMode::Synced);
        match live.events.recv_timeout(PATIENCE).unwrap() {
            StoreEvent::Committed { .. } => recorded += 1,
            StoreEvent::Failed { detail } => break detail,
        }
        task += 1;
    };
    assert!(detail.contains("disk full"), "{detail}");
    drop(live);
    let tasks = open(keep.path()).and_then(|state| state.all("command")).map(|loaded| loaded.tasks.len());
    let unmounted = std::process::Command::new("umount").arg("-l").arg(keep.path()).status().unwrap();
    assert!(unmounted.success() && recorded > 0);
    match tasks {
        Ok(tasks) => assert_eq!(tasks, recorded),
        Err(error) => assert!(matches!(error, StoreError::DiskFull { .. }), "{error}"),
    }
}
