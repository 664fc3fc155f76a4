//! A thread that panics still answers: the run would wait for ever otherwise.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use common::{PATIENCE, Room, path, places, record, room, touch};
use orchestrator_core::AttemptId;
use orchestrator_core::scheduler::{FailureReason, OutputFault};
use orchestrator_files::{FilesOptions, LocalFiles};
use orchestrator_ports::{Files, FilesEvent, PublishJob};

#[test]
fn a_scan_that_panics_has_failed_and_the_next_one_is_made() {
    let (_keep, input, output) = places();
    touch(&input, &["a"]);
    let once = AtomicBool::new(true);
    let room = room(&input, &output, |options| {
        options.known = Arc::new(move |_| {
            assert!(!once.swap(false, Ordering::SeqCst), "a panic of the test's own");
            false
        });
    });
    room.files.scan();
    assert!(matches!(room.next(), FilesEvent::ScanFailed { .. }));
    assert_eq!(room.scan().1.matched, 1);
}

/// A room whose listener panics over the first event that `when` picks.
fn startled(when: fn(&FilesEvent) -> bool) -> (tempfile::TempDir, Room) {
    let (keep, input, output) = places();
    let mut options = FilesOptions::new(input.clone(), output.clone(), ".out");
    options.check_threads = 1;
    let (sender, events) = channel();
    let once = AtomicBool::new(true);
    let sink = move |event| {
        assert!(!(when(&event) && once.swap(false, Ordering::SeqCst)), "a panic of the test's own");
        drop(sender.send(event));
    };
    let files = LocalFiles::start(options, Arc::new(sink)).unwrap();
    (keep, Room { files, events, input, output })
}

#[test]
fn every_job_of_a_publication_that_panics_has_failed() {
    let (_keep, room) = startled(|event| matches!(event, FilesEvent::Published { .. }));
    for (id, name) in [(1, "a"), (2, "b")] {
        room.write(id, name, &[(&format!("{name}.out"), "x")]);
        let outputs = vec![record(&format!("{name}.out"), 1)];
        room.files.publish(PublishJob { attempt: AttemptId(id), outputs });
    }
    room.files.flush();
    for id in [1, 2] {
        let (attempt, outcome) = room.published();
        assert_eq!(attempt, id);
        assert!(matches!(outcome, Err(FailureReason::Publish { .. })), "{outcome:?}");
    }
    room.write(3, "c", &[("c.out", "x")]);
    assert_eq!(room.publish(3, vec![record("c.out", 1)]), Ok(()), "the thread goes on");
}

#[test]
fn what_no_thread_is_left_to_check_is_answered() {
    let (_keep, room) = startled(|event| matches!(event, FilesEvent::Validated { .. }));
    room.write(1, "a", &[("a.out", "x")]);
    room.files.validate(AttemptId(1), &path("a"));
    let started = std::time::Instant::now();
    // What is sent while the thread still unwinds is lost with it.
    let answer = loop {
        room.files.validate(AttemptId(1), &path("a"));
        if let Ok(answer) = room.events.recv_timeout(Duration::from_millis(10)) {
            break answer;
        }
        assert!(started.elapsed() < PATIENCE, "never answered");
    };
    let FilesEvent::Validated { verdict, .. } = answer else { panic!("{answer:?}") };
    assert!(matches!(verdict, Err(OutputFault::CheckFailed { .. })), "{verdict:?}");
}
