//! Inputs before a launch, private directories, and the judgement of what is in them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;
use std::sync::mpsc::channel;

use common::{Mount, path, places, record, room, touch};
use orchestrator_core::AttemptId;
use orchestrator_core::scheduler::{FailureReason, OutputFault, SpawnFault};
use orchestrator_core::validation::OutputRules;
use orchestrator_ports::{Files, FilesEvent};

#[test]
fn inputs_that_vanish_or_cannot_be_read_are_told_apart() {
    let (_keep, input, output) = places();
    touch(&input, &["a"]);
    symlink("loop", input.join("loop")).unwrap();
    symlink("gone", input.join("dangling")).unwrap();
    std::fs::create_dir(input.join("dir")).unwrap();
    std::process::Command::new("mkfifo").arg(input.join("pipe")).status().unwrap();
    let room = room(&input, &output, |_| ());
    let inspect = |name: &str| room.files.inspect(&path(name));
    assert_eq!(inspect("a").unwrap().size, 1);
    assert_eq!(inspect("b"), Err(FailureReason::InputVanished));
    assert_eq!(inspect("dangling"), Err(FailureReason::InputVanished));
    for name in ["loop", "dir", "pipe"] {
        assert!(matches!(inspect(name), Err(FailureReason::InputUnreadable { .. })), "{name}");
    }
}

#[test]
fn a_private_directory_that_cannot_be_made_is_nobodys_fault_but_the_machines() {
    let (_keep, input, output) = places();
    let room = room(&input, &output, |_| ());
    let partial = output.join(".orchestrator/partial");
    std::fs::remove_dir(&partial).unwrap();
    std::fs::write(&partial, "in the way").unwrap();
    let Err(FailureReason::Spawn(fault @ SpawnFault::Machine { .. })) =
        room.files.prepare(AttemptId(7), &path("a"))
    else {
        panic!("not the machine's fault")
    };
    assert!(fault.to_string().contains(&format!("private directory {}", partial.display())), "{fault}");
    std::fs::remove_file(&partial).unwrap();
    room.files.prepare(AttemptId(7), &path("a")).expect("as soon as it is mended");
}

#[test]
fn an_attempt_gets_a_directory_of_its_own_and_loses_it() {
    let (_keep, input, output) = places();
    let room = room(&input, &output, |_| ());
    let private = room.files.prepare(AttemptId(7), &path("x/y/a.dat")).unwrap();
    assert_eq!(private.file, room.attempt_dir(7).join("out/x/y/a.dat.out"));
    assert!(private.file.parent().unwrap().is_dir() && private.temp.is_dir());
    assert_eq!(std::fs::metadata(room.attempt_dir(7)).unwrap().permissions().mode() & 0o777, 0o700);
    std::fs::write(&private.file, "stale").unwrap();
    room.files.prepare(AttemptId(7), &path("x/y/a.dat")).unwrap();
    assert!(!private.file.exists(), "leftovers under the same id are removed");

    // What a process may leave to make its removal hard.
    let locked = private.directory.join("locked/inner");
    std::fs::create_dir_all(&locked).unwrap();
    std::fs::write(locked.join("file"), "").unwrap();
    symlink(&input, private.directory.join("link")).unwrap();
    touch(&input, &["precious"]);
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o000)).unwrap();
    room.files.discard(AttemptId(7));
    room.files.discard(AttemptId(99));
    let attempt = room.attempt_dir(7);
    drop(room.files);
    assert!(!attempt.exists());
    assert!(input.join("precious").exists(), "links are not followed");
}

#[test]
fn an_output_name_that_is_too_long_is_the_inputs_fault() {
    let (_keep, input, output) = places();
    let room = room(&input, &output, |_| ());
    let fault = room.files.handle().prepare(AttemptId(1), &path(&"n".repeat(253))).unwrap_err();
    assert!(matches!(fault, SpawnFault::Input { .. }), "{fault}");
    room.files.handle().prepare(AttemptId(1), &path(&"n".repeat(251))).unwrap();
    let deep = "d/".repeat(3_000) + "f";
    let fault = room.files.handle().prepare(AttemptId(2), &path(&deep)).unwrap_err();
    assert!(matches!(fault, SpawnFault::Input { .. }), "{fault}");
}

#[test]
fn a_full_disk_is_told_before_the_launch() {
    let (_keep, input, output) = places();
    let Some(_mount) = Mount::tmpfs(&output, "size=1m,nr_inodes=8") else { return };
    let room = room(&input, &output, |_| ());
    let full = (1..10).find_map(|id| room.files.prepare(AttemptId(id), &path("a")).err());
    assert_eq!(full, Some(FailureReason::DiskFull));
}

#[test]
fn sweep_removes_all_but_what_is_kept() {
    let (_keep, input, output) = places();
    let room = room(&input, &output, |_| ());
    for id in 1..=5 {
        room.write(id, "a", &[("a.out", "x")]);
    }
    touch(&output.join(".orchestrator/partial"), &["README"]);
    let keep = BTreeSet::from([AttemptId(2), AttemptId(5)]);
    assert_eq!(room.files.handle().sweep(&keep).unwrap(), 3);
    let left: Vec<bool> = (1..=5).map(|id| room.attempt_dir(id).exists()).collect();
    assert_eq!(left, [false, true, false, false, true]);
    assert!(output.join(".orchestrator/partial/README").exists(), "what is not ours stays");
}

#[test]
fn outputs_are_listed_with_the_main_one_first() {
    let (_keep, input, output) = places();
    let room = room(&input, &output, |_| ());
    room.write(1, "x/a", &[("x/a.out", "main"), ("a-log", "log"), ("x/deep/er", "")]);
    assert_eq!(
        room.validate(1, "x/a"),
        Ok(vec![record("x/a.out", 4), record("a-log", 3), record("x/deep/er", 0)])
    );
}

#[test]
fn every_fault_of_an_output_is_found() {
    let (_keep, input, output) = places();
    let room =
        room(&input, &output, |o| o.rules = OutputRules { required: true, min_bytes: 3, non_empty: true });
    let judged = |id: u64, files: &[(&str, &str)]| {
        room.write(id, "a", files);
        room.validate(id, "a")
    };
    assert_eq!(judged(1, &[]), Err(OutputFault::Missing));
    assert_eq!(judged(2, &[("b", "x")]), Err(OutputFault::Missing));
    assert_eq!(judged(3, &[("a.out", "")]), Err(OutputFault::Empty));
    assert_eq!(judged(4, &[("a.out", "ab")]), Err(OutputFault::TooSmall { found: 2, wanted: 3 }));
    assert_eq!(judged(5, &[("a.out/inside", "abc")]), Err(OutputFault::NotAFile));
    assert_eq!(
        judged(6, &[("a.out", "abc"), (".orchestrator/state.db", "evil")]),
        Err(OutputFault::NotAFile)
    );
    assert_eq!(judged(7, &[("a.out", "abc")]), Ok(vec![record("a.out", 3)]));
    room.write(8, "a", &[]);
    symlink("/etc/passwd", room.attempt_dir(8).join("out/a.out")).unwrap();
    assert_eq!(room.validate(8, "a"), Err(OutputFault::NotAFile));
    room.write(9, "a", &[]);
    std::fs::remove_dir_all(room.attempt_dir(9)).unwrap();
    assert_eq!(room.validate(9, "a"), Err(OutputFault::Missing));
}

#[test]
fn a_check_sees_output_and_input_and_may_reject_or_break() {
    let (_keep, input, output) = places();
    let room = room(&input, &output, |o| {
        o.rules.required = false;
        o.check = Some(Arc::new(|output, input, attempt| match attempt.0 {
            1 => Ok(()),
            2 => Err(OutputFault::Rejected { code: 3, said: "no".to_owned() }),
            _ => panic!("{} {}", output.display(), input.display()),
        }));
    });
    for id in 1..=3 {
        room.write(id, "a", &[("a.out", "x")]);
    }
    assert_eq!(room.validate(1, "a"), Ok(vec![record("a.out", 1)]));
    assert_eq!(room.validate(2, "a"), Err(OutputFault::Rejected { code: 3, said: "no".to_owned() }));
    assert!(matches!(room.validate(3, "a"), Err(OutputFault::CheckFailed { .. })));
    room.write(4, "a", &[]);
    assert_eq!(room.validate(4, "a"), Ok(vec![]), "no main output, no check");
}

#[test]
fn a_slow_check_holds_up_neither_scans_nor_publications() {
    let (_keep, input, output) = places();
    touch(&input, &["a"]);
    let (release, blocked) = channel::<()>();
    let blocked = std::sync::Mutex::new(blocked);
    let room = room(&input, &output, |o| {
        o.check_threads = 1;
        o.check = Some(Arc::new(move |_, _, _| {
            blocked.lock().unwrap().recv().unwrap();
            Ok(())
        }));
    });
    room.write(1, "a", &[("a.out", "x")]);
    room.write(2, "b", &[("b.out", "y")]);
    room.files.validate(AttemptId(1), &path("a"));
    assert_eq!(room.scan().1.matched, 1);
    assert_eq!(room.publish(2, vec![record("b.out", 1)]), Ok(()));
    release.send(()).unwrap();
    assert!(matches!(room.next(), FilesEvent::Validated { verdict: Ok(_), .. }));
}
