//! Publication: whole or not at all, again after a crash, and with a full disk.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;

use common::{Mount, Room, path, places, record, room, touch};
use orchestrator_core::AttemptId;
use orchestrator_core::scheduler::FailureReason;
use orchestrator_files::Durability;
use orchestrator_ports::{Files, PublishJob};

const ALL: [Durability; 3] = [Durability::Batch, Durability::Strict, Durability::Relaxed];

fn is_publish(result: &Result<(), FailureReason>) -> bool {
    matches!(result, Err(FailureReason::Publish { .. }))
}

#[test]
fn outputs_are_moved_into_place_with_every_durability() {
    for durability in ALL {
        let (_keep, input, output) = places();
        touch(&output, &["x/a.out"]);
        let room = room(&input, &output, |o| o.durability = durability);
        room.write(1, "x/a", &[("x/a.out", "new"), ("extra/deep/log", "log")]);
        let outputs = room.validate(1, "x/a").unwrap();
        assert_eq!(room.publish(1, outputs.clone()), Ok(()));
        assert_eq!((room.read("x/a.out"), room.read("extra/deep/log")), ("new".into(), "log".into()));
        assert_eq!(room.publish(1, outputs.clone()), Ok(()), "again after a crash");
        assert_eq!(room.read("x/a.out"), "new");
    }
}

#[test]
fn a_batch_is_published_together_and_without_a_flush_after_a_while() {
    let (_keep, input, output) = places();
    let room = room(&input, &output, |_| ());
    for id in 1..=40 {
        let name = format!("d{}/f{id}.out", id % 3);
        room.write(id, &format!("d{}/f{id}", id % 3), &[(&name, "x")]);
        room.files.publish(PublishJob { attempt: AttemptId(id), outputs: vec![record(&name, 1)] });
    }
    let done: BTreeSet<u64> =
        (1..=40).map(|_| room.published()).map(|(id, result)| (id, result.unwrap()).0).collect();
    assert_eq!(done, (1..=40).collect());
    assert!((1..=40).all(|id| output.join(format!("d{}/f{id}.out", id % 3)).is_file()));
}

#[test]
fn more_jobs_than_a_group_holds_go_out_without_waiting() {
    let (_keep, input, output) = places();
    let room = room(&input, &output, |_| ());
    for id in 1..=600 {
        let name = format!("f{id}.out");
        room.write(id, &format!("f{id}"), &[(&name, "x")]);
        room.files.publish(PublishJob { attempt: AttemptId(id), outputs: vec![record(&name, 1)] });
    }
    room.files.flush();
    assert!((1..=600).all(|_| room.published().1.is_ok()));
}

/// Every state in which a kill can leave a job of three files: each either moved or not.
#[test]
fn a_job_is_completed_from_every_point_where_a_kill_can_leave_it() {
    for moved in 0..8_u32 {
        let (_keep, input, output) = places();
        let room = room(&input, &output, |_| ());
        let files = [("a.out", "main"), ("b", "bb"), ("c", "c")];
        room.write(1, "a", &files);
        let outputs = room.validate(1, "a").unwrap();
        for (bit, (name, _)) in files.iter().enumerate().filter(|(bit, _)| moved >> bit & 1 == 1) {
            let _ = bit;
            std::fs::rename(room.attempt_dir(1).join("out").join(name), output.join(name)).unwrap();
        }
        assert_eq!(room.publish(1, outputs), Ok(()), "{moved:03b}");
        assert_eq!(
            (room.read("a.out"), room.read("b"), room.read("c")),
            ("main".into(), "bb".into(), "c".into())
        );
    }
}

#[test]
fn what_is_lost_is_not_counted() {
    let (_keep, input, output) = places();
    let room = room(&input, &output, |_| ());
    let outputs = vec![record("a.out", 4)];
    room.write(1, "a", &[]);
    assert!(is_publish(&room.publish(1, outputs.clone())), "neither private nor final");
    touch(&output, &["a.out"]);
    assert!(is_publish(&room.publish(1, outputs.clone())), "a final file of another size");
    std::fs::write(output.join("a.out"), "1234").unwrap();
    assert_eq!(room.publish(1, outputs.clone()), Ok(()), "it was moved");
    assert!(is_publish(&room.publish(2, outputs)), "an attempt without a directory never wrote this file");
}

#[test]
fn a_file_that_changed_after_its_validation_is_not_published() {
    for durability in ALL {
        let (_keep, input, output) = places();
        let room = room(&input, &output, |o| o.durability = durability);
        room.write(1, "a", &[("a.out", "good")]);
        let outputs = room.validate(1, "a").unwrap();
        std::fs::write(room.attempt_dir(1).join("out/a.out"), "good and more").unwrap();
        let result = room.publish(1, outputs.clone());
        assert!(is_publish(&result), "{result:?}");
        std::fs::remove_file(room.attempt_dir(1).join("out/a.out")).unwrap();
        touch(&input, &["1234"]);
        symlink(input.join("1234"), room.attempt_dir(1).join("out/a.out")).unwrap();
        assert!(is_publish(&room.publish(1, outputs)));
        assert!(!output.join("a.out").exists());
    }
}

#[test]
fn a_final_name_that_is_taken_by_a_directory_fails_that_job_alone() {
    let (_keep, input, output) = places();
    let room = room(&input, &output, |_| ());
    touch(&output, &["a.out/inside", "file"]);
    room.write(1, "a", &[("a.out", "x"), ("extra", "e")]);
    room.write(2, "b", &[("b.out", "x")]);
    room.write(3, "file/c", &[("file/c.out", "x")]);
    let jobs = [
        (1, vec![record("a.out", 1), record("extra", 1)]),
        (2, vec![record("b.out", 1)]),
        (3, vec![record("file/c.out", 1)]),
    ];
    for (id, outputs) in jobs {
        room.files.publish(PublishJob { attempt: AttemptId(id), outputs });
    }
    room.files.flush();
    let results: Vec<_> = (0..3).map(|_| room.published()).collect();
    assert!(is_publish(&results[0].1) && results[1].1.is_ok() && is_publish(&results[2].1), "{results:?}");
    assert_eq!(room.read("b.out"), "x");
    assert_eq!(room.read("a.out/inside"), "a.out/inside");
}

#[test]
fn a_full_disk_fails_a_publication_as_such() {
    let (_keep, input, output) = places();
    let Some(_mount) = Mount::tmpfs(&output, "size=1m,nr_inodes=12") else { return };
    let room = room(&input, &output, |o| o.make_temp = false);
    room.write(1, "x/a", &[("x/a.out", "x")]);
    let outputs = room.validate(1, "x/a").unwrap();
    let full = (0..20).find(|n| std::fs::write(output.join(format!("fill{n}")), "").is_err());
    assert!(full.is_some());
    assert_eq!(room.publish(1, outputs.clone()), Err(FailureReason::DiskFull));
    assert!(!output.join("x").exists());
    std::fs::remove_file(output.join("fill0")).unwrap();
    assert_eq!(room.publish(1, outputs), Ok(()), "nothing was lost");
}

/// Private output of a mebibyte in a room whose output has `sub` on a file system of its own.
fn across(room: &Room, id: u64) -> Result<(), FailureReason> {
    let big = "x".repeat(600 << 10);
    let name = format!("sub/f{id}.out");
    room.write(id, &format!("sub/f{id}"), &[(&name, &big)]);
    let outputs = room.validate(id, &format!("sub/f{id}")).unwrap();
    room.publish(id, outputs)
}

#[test]
fn a_mount_below_the_output_directory_is_reached_by_a_hidden_copy() {
    for durability in ALL {
        let (_keep, input, output) = places();
        std::fs::create_dir(output.join("sub")).unwrap();
        let Some(_mount) = Mount::tmpfs(&output.join("sub"), "size=1m") else { return };
        let room = room(&input, &output, |o| o.durability = durability);
        assert_eq!(across(&room, 1), Ok(()));
        assert_eq!(room.read("sub/f1.out").len(), 600 << 10);
        assert_eq!(across(&room, 2), Err(FailureReason::DiskFull));
        let names: Vec<_> =
            std::fs::read_dir(output.join("sub")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["f1.out"], "nothing partial is left");
        assert_eq!(room.publish(1, vec![record("sub/f1.out", 600 << 10)]), Ok(()), "again after a crash");

        // A crash in the middle of a copy: the next discard finds the copy through its link.
        let copies = room.attempt_dir(3).join("copies");
        std::fs::create_dir_all(&copies).unwrap();
        let half = output.join("sub/.orchestrator-3-0.partial");
        std::fs::write(&half, "half").unwrap();
        symlink(&half, copies.join("0")).unwrap();
        room.files.discard(AttemptId(3));
        drop(room.files);
        assert!(!half.exists());
    }
}

#[test]
fn gathered_jobs_of_a_dropped_room_are_left_to_the_next() {
    let (_keep, input, output) = places();
    let first = room(&input, &output, |_| ());
    first.write(1, "a", &[("a.out", "x")]);
    let outputs = first.validate(1, "a").unwrap();
    first.files.publish(PublishJob { attempt: AttemptId(1), outputs: outputs.clone() });
    drop(first.files);
    let second = room(&input, &output, |_| ());
    assert_eq!(second.publish(1, outputs), Ok(()));
    assert_eq!(second.read("a.out"), "x");
    assert_eq!(second.files.handle().published(&path("a")), output.join("a.out"));
}
