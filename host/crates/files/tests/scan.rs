//! Scans of real directories, as unfriendly as they come.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use common::{places, room, set, touch};
use orchestrator_files::{FilesError, FilesOptions, LocalFiles};
use orchestrator_ports::{Files, FilesEvent};

#[test]
fn a_plain_pattern_stays_in_the_top_directory() {
    let (_keep, input, output) = places();
    touch(&input, &["a.dat", "b.dat", "c.txt", ".hidden.dat", "sub/d.dat"]);
    assert_eq!(room(&input, &output, |o| o.pattern = "*.dat".into()).names(), set(&["a.dat", "b.dat"]));
    let hidden = room(&input, &output, |o| o.pattern = ".*.dat".into());
    assert_eq!(hidden.names(), set(&[".hidden.dat"]));
}

#[test]
fn recursion_is_asked_for_by_option_or_by_pattern() {
    let (_keep, input, output) = places();
    touch(&input, &["a.dat", "x/b.dat", "x/y/c.dat", "x/.git/d.dat", ".cache/e.dat", "skip/f.dat"]);
    let all = room(&input, &output, |o| {
        o.pattern = "*.dat".into();
        o.recursive = true;
        o.exclude = vec!["skip".into()];
    });
    assert_eq!(all.names(), set(&["a.dat", "x/b.dat", "x/y/c.dat"]));
    let one = room(&input, &output, |o| o.pattern = "x/*.dat".into());
    assert_eq!(one.names(), set(&["x/b.dat"]));
    let deep = room(&input, &output, |o| o.pattern = "**/*.dat".into());
    assert_eq!(deep.names(), set(&["a.dat", "x/b.dat", "x/y/c.dat", "skip/f.dat"]));
    let dotted = room(&input, &output, |o| o.pattern = ".cache/*".into());
    assert_eq!(dotted.names(), set(&[".cache/e.dat"]));
}

#[test]
fn names_are_any_bytes() {
    let (_keep, input, output) = places();
    for name in [
        b"caf\xe9.dat".as_slice(),
        b"two\nlines.dat",
        b"-rf.dat",
        b" .dat",
        b"q\"'*?[.dat",
        b"back\\slash.dat",
    ] {
        std::fs::write(input.join(OsStr::from_bytes(name)), "").unwrap();
    }
    let found = room(&input, &output, |o| o.pattern = "*.dat".into());
    let expected =
        ["caf\\xe9.dat", "two\\x0alines.dat", "-rf.dat", " .dat", "q\"'*?[.dat", "back\\x5cslash.dat"];
    assert_eq!(found.names(), set(&expected));
}

#[test]
fn symbolic_links_to_files_count_and_loops_end() {
    let (keep, input, output) = places();
    touch(&input, &["real.dat", "dir/in.dat"]);
    touch(keep.path(), &["elsewhere/far.dat"]);
    symlink("real.dat", input.join("link.dat")).unwrap();
    symlink("nowhere", input.join("dangling.dat")).unwrap();
    symlink("nowhere", input.join("dangling.txt")).unwrap();
    symlink("self.dat", input.join("self.dat")).unwrap();
    symlink("..", input.join("dir/up")).unwrap();
    symlink(keep.path().join("elsewhere"), input.join("out-link")).unwrap();

    let plain = room(&input, &output, |o| {
        o.pattern = "*.dat".into();
        o.recursive = true;
    });
    let (batches, report) = plain.scan();
    let names = batches.into_iter().flatten().map(|found| found.path.to_string()).collect();
    assert_eq!(set(&["real.dat", "link.dat", "dir/in.dat"]), names);
    assert_eq!(report.unreadable_total, 2, "{report:?}");
    let mut unreadable: Vec<_> = report.unreadable.iter().map(|(path, _)| path.to_string()).collect();
    unreadable.sort();
    assert_eq!(unreadable, ["dangling.dat", "self.dat"]);

    let following = room(&input, &output, |o| {
        o.pattern = "*.dat".into();
        o.recursive = true;
        o.follow_symlinks = true;
    });
    assert_eq!(following.names(), set(&["real.dat", "link.dat", "dir/in.dat", "out-link/far.dat"]));
}

#[test]
fn things_that_are_no_files_are_passed_over() {
    let (_keep, input, output) = places();
    touch(&input, &["a.dat"]);
    std::fs::create_dir(input.join("dir.dat")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(input.join("socket.dat")).unwrap();
    let fifo = std::process::Command::new("mkfifo").arg(input.join("pipe.dat")).status().unwrap();
    assert!(fifo.success());
    let found = room(&input, &output, |o| {
        o.pattern = "*.dat".into();
        o.recursive = true;
    });
    assert_eq!(found.names(), set(&["a.dat"]));
}

#[test]
fn the_output_and_state_directories_are_never_inputs() {
    let (_keep, input, _) = places();
    let output = input.join("results");
    touch(&input, &["a", "results/a.out", "results/.orchestrator/state", "state/state.db"]);
    let found = room(&input, &output, |o| {
        o.recursive = true;
        o.skip_dirs.push(input.join("state"));
    });
    assert_eq!(found.names(), set(&["a"]));
}

#[test]
fn outputs_beside_their_inputs_are_not_taken_for_inputs() {
    let (_keep, input, _) = places();
    touch(&input, &["a", "a.out", "lonely.out", "sub/b", "sub/b.out", "sub/a.out"]);
    let found = room(&input, &input, |o| o.recursive = true);
    assert_eq!(found.names(), set(&["a", "lonely.out", "sub/b", "sub/a.out"]));
}

#[test]
fn a_missing_input_directory_fails_the_scan_and_an_unreadable_one_below_does_not() {
    let (_keep, input, output) = places();
    let gone = room(&input.join("missing"), &output, |_| ());
    gone.files.scan();
    match gone.next() {
        FilesEvent::ScanFailed { detail } => {
            assert!(detail.contains("missing") && detail.contains("No such file"), "{detail}");
        }
        other => panic!("{other:?}"),
    }
    // A tree deeper than any path can name: unreadable for everybody, root included.
    let part = "d".repeat(250);
    let mut directory =
        rustix::fs::openat(rustix::fs::CWD, &input, rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty())
            .unwrap();
    for _ in 0..20 {
        rustix::fs::mkdirat(&directory, &part, rustix::fs::Mode::RWXU).unwrap();
        directory =
            rustix::fs::openat(&directory, &part, rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty())
                .unwrap();
    }
    touch(&input, &["a"]);
    let (batches, report) = room(&input, &output, |o| o.recursive = true).scan();
    assert_eq!(batches.concat().len(), 1);
    assert_eq!((report.unreadable_total, report.matched), (1, 1));
    assert!(report.unreadable[0].1.contains("File name too long"), "{report:?}");
}

#[test]
fn fingerprints_are_taken_of_early_and_of_known_files() {
    let (_keep, input, output) = places();
    let names: Vec<String> = (0..17_000).map(|n| format!("f{n}")).collect();
    touch(&input, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let (batches, _) = room(&input, &output, |_| ()).scan();
    assert_eq!(batches[0].len(), 32, "the first batch is small");
    let found = batches.concat();
    assert_eq!(found.iter().filter(|file| file.fingerprint.is_some()).count(), 16_384);
    let known = room(&input, &output, |o| o.known = Arc::new(|path| path == b"f399" || path == b"f0"));
    let found = known.scan().0.concat();
    for name in ["f399", "f0"] {
        let file = found.iter().find(|file| file.path.as_bytes() == name.as_bytes()).unwrap();
        assert_eq!(file.fingerprint.unwrap().size, name.len() as u64);
        assert_eq!(known.files.inspect(&file.path).unwrap(), file.fingerprint.unwrap());
    }
}

#[test]
fn content_fingerprints_see_a_change_that_keeps_size_and_time() {
    let (_keep, input, output) = places();
    touch(&input, &["a"]);
    let room = room(&input, &output, |o| {
        o.content_fingerprints = true;
        o.known = Arc::new(|_| true);
    });
    let seen = room.scan().0.concat()[0].fingerprint.unwrap();
    let time = std::fs::metadata(input.join("a")).unwrap().modified().unwrap();
    std::fs::write(input.join("a"), "b").unwrap();
    std::fs::File::options().write(true).open(input.join("a")).unwrap().set_modified(time).unwrap();
    let now = room.files.inspect(&common::path("a")).unwrap();
    assert_eq!(now.size, seen.size);
    assert_ne!(now.version, seen.version);
}

#[test]
fn batches_stream_and_a_dropped_room_ends_its_scan() {
    let (_keep, input, output) = places();
    for n in 0..3_000 {
        std::fs::write(input.join(n.to_string()), "").unwrap();
    }
    let (batches, report) = room(&input, &output, |_| ()).scan();
    assert_eq!(report.matched, 3_000);
    assert!(batches.len() >= 3 && batches.iter().all(|batch| !batch.is_empty() && batch.len() <= 1024));
    let room = room(&input, &output, |_| ());
    room.files.scan();
    drop(room.files);
    while room.events.recv().is_ok() {}
}

/// More files than may be under way: 32 batches, the first of 32 files.
const MANY: usize = 40 * 1024;

#[test]
fn a_scan_waits_for_those_who_work_its_files_off_and_ends_without_them() {
    let (_keep, input, output) = places();
    for n in 0..MANY {
        std::fs::write(input.join(n.to_string()), "").unwrap();
    }
    let held = room(&input, &output, |_| ());
    held.files.scan();
    // Each is worked off as the next one comes: all get through.
    let (mut last, mut found) = (None, 0);
    loop {
        match held.next() {
            FilesEvent::ScanFinished(report) => break assert_eq!(report.matched, found),
            FilesEvent::Discovered { found: files, permit } => {
                found += files.len() as u64;
                drop(last.replace(permit));
            }
            other => panic!("{other:?}"),
        }
    }
    drop(last);
    // Nobody works anything off: the scan cannot come to its end, and a room that is dropped does not wait for it.
    held.files.scan();
    let events: Vec<_> = (0..32).map(|_| held.next()).collect();
    drop(held.files);
    let rest: Vec<_> = held.events.iter().collect();
    let is_over = |event: &FilesEvent| matches!(event, FilesEvent::ScanFinished(_));
    let under_way = events.iter().filter(|event| !is_over(event)).count();
    assert_eq!(under_way, 32);
    let files = |event: &FilesEvent| match event {
        FilesEvent::Discovered { found, .. } => found.len(),
        _ => 0,
    };
    assert!(events.iter().chain(&rest).map(files).sum::<usize>() < MANY, "it did not wait");
}

#[test]
fn what_cannot_work_is_said_at_the_start() {
    let (keep, input, output) = places();
    let start = |options: FilesOptions| LocalFiles::start(options, Arc::new(|_| ())).map(drop).unwrap_err();
    let mut broken = FilesOptions::new(input.clone(), output.clone(), ".out");
    broken.pattern = "{a".into();
    assert!(matches!(start(broken), FilesError::Pattern { .. }));
    touch(keep.path(), &["file"]);
    let blocked = FilesOptions::new(input.clone(), keep.path().join("file/out"), ".out");
    let error = start(blocked);
    assert!(matches!(error, FilesError::OutputUnwritable { .. }), "{error}");
    let other = std::path::Path::new("/dev/shm");
    if other.is_dir() {
        let foreign = tempfile::tempdir_in(other).unwrap();
        let mut options = FilesOptions::new(input, output, ".out");
        options.partial_dir = foreign.path().join("partial");
        assert!(matches!(start(options), FilesError::PartialElsewhere { .. }));
    }
}
