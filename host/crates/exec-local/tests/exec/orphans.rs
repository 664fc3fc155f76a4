//! What a killed host leaves running, and validation commands.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::{self, lives, wait_until};
use orchestrator_core::scheduler::{ExitStatus, ProcessIdentity};
use orchestrator_exec_local::orphans::{find_orphans, kill_orphans};
use orchestrator_exec_local::{CheckError, Checks, start_ticks};

/// Starts a tree as a host that died would leave it: a marked shell with a child, in a group of their own.
fn left_behind(state: Option<&str>) -> (std::process::Child, u32) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pid");
    // Nothing but the two may run once the number is there, so the shell itself writes it, line end last.
    let script = format!("sleep 600 & echo $! > {}; wait", file.display());
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &script]).process_group(0).stdout(Stdio::null());
    if let Some(state) = state {
        command.env("ORCHESTRATOR_STATE_ID", state);
    }
    let child = command.spawn().unwrap();
    let inner = wait_until(|| std::fs::read_to_string(&file).ok()?.strip_suffix('\n')?.parse().ok());
    (child, inner)
}

#[test]
fn marked_processes_are_found_and_ended() {
    let state = format!("state-{}", std::process::id());
    assert!(find_orphans(&state, &[]).is_empty());
    let (mut outer, inner) = left_behind(Some(&state));
    let found: Vec<u32> = find_orphans(&state, &[]).iter().map(|orphan| orphan.pid).collect();
    assert!(found.contains(&outer.id()) && found.contains(&inner), "{found:?}");
    assert_eq!(found.len(), 2);
    assert_eq!(kill_orphans(&state, &[], common::PATIENCE).unwrap(), 2);
    assert!(!lives(outer.id()) && !lives(inner));
    assert!(!outer.wait().unwrap().success());
    assert_eq!(kill_orphans(&state, &[], common::PATIENCE).unwrap(), 0);
}

#[test]
fn another_states_processes_are_spared() {
    let mine = format!("mine-{}", std::process::id());
    let (mut outer, inner) = left_behind(Some(&format!("{mine}0")));
    assert_eq!(kill_orphans(&mine, &[], common::PATIENCE).unwrap(), 0);
    assert!(lives(outer.id()) && lives(inner));
    assert_eq!(kill_orphans(&format!("{mine}0"), &[], common::PATIENCE).unwrap(), 2);
    outer.wait().unwrap();
}

#[test]
fn recorded_processes_are_ended_unless_the_number_was_given_to_another() {
    let state = format!("recorded-{}", std::process::id());
    let (mut outer, inner) = left_behind(None);
    let start = start_ticks(outer.id()).unwrap();
    let other = ProcessIdentity { pid: outer.id(), start_ticks: start + 1 };
    assert_eq!(kill_orphans(&state, &[other], common::PATIENCE).unwrap(), 0);
    assert!(lives(outer.id()) && lives(inner));
    let recorded = ProcessIdentity { pid: outer.id(), start_ticks: start };
    assert_eq!(kill_orphans(&state, &[recorded], common::PATIENCE).unwrap(), 2);
    assert!(!lives(outer.id()) && !lives(inner));
    outer.wait().unwrap();
}

#[test]
fn the_caller_is_never_an_orphan() {
    let me = std::process::id();
    let recorded = ProcessIdentity { pid: me, start_ticks: start_ticks(me).unwrap() };
    let found = find_orphans("none", &[recorded]);
    assert!(found.iter().all(|orphan| orphan.pid != me), "{found:?}");
}

fn checks() -> Checks {
    Checks::new().unwrap()
}

fn argv(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

#[test]
fn a_check_reports_its_status_and_first_words() {
    let env = [("VALUE".into(), "seen".into())];
    let directory = tempfile::tempdir().unwrap();
    let script = "echo $VALUE; pwd >&2; exit 9";
    let outcome =
        checks().run(&argv(&["sh", "-c", script]), Some(directory.path()), &env, common::PATIENCE).unwrap();
    assert_eq!(outcome.status, ExitStatus::Code(9));
    let expected = format!("seen\n{}\n", directory.path().canonicalize().unwrap().display());
    assert_eq!(String::from_utf8(outcome.output).unwrap(), expected);
}

#[test]
fn a_talkative_check_is_cut_and_not_blocked() {
    let outcome = checks().run(&argv(&["seq", "1", "300000"]), None, &[], common::PATIENCE).unwrap();
    assert_eq!(outcome.status, ExitStatus::Code(0));
    assert_eq!(outcome.output.len(), 4096);
}

#[test]
fn a_check_that_hangs_is_killed_with_its_tree() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pid");
    let script = format!("setsid sleep 600 & echo $! > {}; sleep 600", file.display());
    let outcome = checks().run(&argv(&["sh", "-c", &script]), None, &[], Duration::from_secs(1));
    assert!(matches!(outcome, Err(CheckError::TimedOut { .. })), "{outcome:?}");
    let inner: u32 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
    assert!(!lives(inner));
    assert_eq!(common::children(), Vec::<u32>::new());
}

#[test]
fn checks_are_ended_together_with_their_trees_and_none_is_begun_after_that() {
    let directory = tempfile::tempdir().unwrap();
    let files = [1, 2].map(|number| directory.path().join(number.to_string()));
    let checks = checks();
    let hang = |file: &std::path::Path| {
        let script =
            format!("setsid sleep 600 & echo $! > {0}.new; mv {0}.new {0}; sleep 600", file.display());
        checks.run(&argv(&["sh", "-c", &script]), None, &[], common::PATIENCE)
    };
    std::thread::scope(|scope| {
        let hanging = files.each_ref().map(|file| scope.spawn(move || hang(file)));
        common::wait_until(|| files.iter().all(|file| file.exists()).then_some(()));
        checks.end();
        let inner =
            files.each_ref().map(|file| std::fs::read_to_string(file).unwrap().trim().parse().unwrap());
        assert!(inner.into_iter().all(|pid: u32| !lives(pid)));
        for check in hanging {
            assert!(matches!(check.join().unwrap(), Err(CheckError::Ended)));
        }
    });
    assert!(matches!(hang(&files[0]), Err(CheckError::Ended)));
    assert_eq!(common::children(), Vec::<u32>::new());
}

#[test]
fn a_check_that_leaves_a_child_behind_does_not_wait_for_it() {
    let outcome =
        checks().run(&argv(&["sh", "-c", "echo ok; sleep 600 &"]), None, &[], common::PATIENCE).unwrap();
    assert_eq!(outcome.status, ExitStatus::Code(0));
    assert_eq!(outcome.output, b"ok\n");
}

#[test]
fn a_check_that_does_not_exist_is_an_error() {
    let outcome = checks().run(&argv(&["/no/such/check"]), None, &[], common::PATIENCE);
    assert!(matches!(outcome, Err(CheckError::Spawn { .. })), "{outcome:?}");
    assert!(matches!(checks().run(&[], None, &[], common::PATIENCE), Err(CheckError::Empty)));
}
