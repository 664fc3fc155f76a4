//! Launch, streams, capture, ends and faults, on real processes.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use crate::common::{self, Bench, PATIENCE, children, launch, open_files};
use crate::driver::Driver;
use orchestrator_core::AttemptId;
use orchestrator_core::scheduler::{ExitStatus, SpawnFault};
use orchestrator_exec_local::{Options, start_ticks};
use orchestrator_ports::{ChildSettings, ExecutorEvent, InputSource, OutputSink};

#[test]
fn an_exit_code_is_told() {
    let bench = Bench::new();
    for code in [0, 1, 7, 255] {
        let exit = bench.run(bench.shell(code, &format!("exit {code}")));
        assert_eq!(exit.status, ExitStatus::Code(i32::try_from(code).unwrap()));
        assert!(!exit.oom && !exit.leaked);
    }
}

#[test]
fn a_signal_is_told() {
    let bench = Bench::new();
    let exit = bench.run(bench.shell(1, "kill -SEGV $$"));
    assert_eq!(exit.status, ExitStatus::Signal(11));
    let exit = bench.run(bench.shell(2, "kill -KILL $$"));
    assert_eq!(exit.status, ExitStatus::Signal(9));
    assert!(!exit.oom, "nobody ran out of memory");
}

#[test]
fn the_identity_is_that_of_the_process_and_its_group() {
    let bench = Bench::new();
    bench.executor.launch(launch(1, "/bin/sleep", &["600"]));
    let identity = bench.started(1);
    assert_eq!(start_ticks(identity.pid), Some(identity.start_ticks));
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", identity.pid)).unwrap();
    let group = stat.rsplit(')').next().unwrap().split_whitespace().nth(2).unwrap().to_owned();
    assert_eq!(group, identity.pid.to_string());
    drop(bench.executor);
    assert!(!common::lives(identity.pid));
}

#[test]
fn streams_come_from_and_go_to_files() {
    let bench = Bench::new();
    std::fs::write(bench.path("input"), "one\ntwo\n").unwrap();
    let mut cat = launch(1, "/bin/cat", &[]);
    cat.stdin = InputSource::File(bench.path("input"));
    cat.stdout = OutputSink::File(bench.path("output"));
    assert_eq!(bench.run(cat).status, ExitStatus::Code(0));
    assert_eq!(bench.read("output"), "one\ntwo\n");
}

#[test]
fn output_is_captured_apart() {
    let bench = Bench::new();
    let exit = bench.run(bench.shell(1, "echo spoken; echo complained >&2"));
    assert_eq!(exit.status, ExitStatus::Code(0));
    assert_eq!(bench.read("out"), "spoken\n");
    assert_eq!(bench.read("err"), "complained\n");
}

#[test]
fn silence_creates_no_file() {
    let bench = Bench::new();
    bench.run(bench.shell(1, "true"));
    assert!(!bench.path("out").exists());
    assert!(!bench.path("err").exists());
}

#[test]
fn a_missing_directory_of_captures_is_made() {
    let bench = Bench::new();
    let mut shell = bench.shell(1, "echo here");
    shell.stdout = bench.capture("deep/er/out");
    bench.run(shell);
    assert_eq!(bench.read("deep/er/out"), "here\n");
}

#[test]
fn the_cap_cuts_the_file_but_never_the_child() {
    let bench = Bench::new();
    let mut shell = bench.shell(1, "head -c 5000000 /dev/zero | tr '\\0' x; echo done >&2; exit 3");
    shell.stdout = OutputSink::Capture { path: bench.path("out"), max_bytes: 1000 };
    let exit = bench.run(shell);
    assert_eq!(exit.status, ExitStatus::Code(3));
    assert_eq!(bench.read("err"), "done\n");
    let kept = bench.read("out");
    assert!(kept.starts_with(&"x".repeat(1000)));
    let marker = &kept[1000..];
    assert!(!marker.starts_with('x'), "more than 1000 bytes were kept");
    assert!(marker.contains("4999000"), "{marker}");
    assert_eq!(marker.trim().lines().count(), 1);
}

#[test]
fn output_that_fits_the_cap_exactly_has_no_marker() {
    let bench = Bench::new();
    let mut shell = bench.shell(1, "printf 12345");
    shell.stdout = OutputSink::Capture { path: bench.path("out"), max_bytes: 5 };
    bench.run(shell);
    assert_eq!(bench.read("out"), "12345");
}

#[test]
fn much_output_arrives_whole() {
    let bench = Bench::new();
    let mut shell = bench.shell(1, "seq 1 400000");
    shell.stdout = OutputSink::Capture { path: bench.path("out"), max_bytes: u64::MAX };
    bench.run(shell);
    let expected: String = (1..=400_000).map(|n| format!("{n}\n")).collect();
    assert!(bench.read("out") == expected);
}

#[test]
fn a_capture_that_cannot_be_written_does_not_harm_the_child() {
    let bench = Bench::new();
    let mut shell = bench.shell(1, "seq 1 100000; exit 4");
    shell.stdout = OutputSink::Capture { path: "/dev/full".into(), max_bytes: 1 << 20 };
    assert_eq!(bench.run(shell).status, ExitStatus::Code(4));
}

#[test]
fn environment_directory_and_arguments_reach_the_child_untouched() {
    let bench = Bench::new();
    let odd = OsString::from_vec(b"a b\n'\"$HOME\xff*".to_vec());
    let mut shell = bench.shell(1, "pwd; printf '%s' \"$MINE:$LATER:$0\"");
    shell.args.push(odd.clone());
    shell.env.set("LATER", "attempt");
    shell.settings = Arc::new(ChildSettings {
        env: vec![("MINE".into(), "settings".into()), ("LATER".into(), "settings".into())],
        clear_env: false,
        working_directory: Some(bench.directory.path().to_owned()),
    });
    bench.run(shell);
    let out = std::fs::read(bench.path("out")).unwrap();
    let real = bench.directory.path().canonicalize().unwrap();
    let mut expected = format!("{}\nsettings:attempt:", real.display()).into_bytes();
    expected.extend(odd.into_vec());
    assert_eq!(out, expected);
}

#[test]
fn a_cleared_environment_holds_what_was_given_alone() {
    let bench = Bench::new();
    let mut env = launch(1, "env", &[]);
    env.stdout = bench.capture("out");
    env.env = [("ONLY", "this")].into_iter().collect();
    let settings = ChildSettings {
        env: vec![("PATH".into(), "/nowhere:/usr/bin:/bin".into())],
        clear_env: true,
        working_directory: None,
    };
    env.settings = Arc::new(settings);
    assert_eq!(bench.run(env).status, ExitStatus::Code(0));
    let out = bench.read("out");
    let mut lines: Vec<&str> = out.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["ONLY=this", "PATH=/nowhere:/usr/bin:/bin"]);
}

#[test]
fn a_relative_program_is_meant_from_the_hosts_directory() {
    let bench = Bench::new();
    let here = std::env::current_dir().unwrap();
    let up: std::path::PathBuf = here.components().skip(1).map(|_| "..").collect();
    let mut program = launch(1, up.join("bin/true"), &[]);
    let settings =
        ChildSettings { working_directory: Some(bench.directory.path().to_owned()), ..Default::default() };
    program.settings = Arc::new(settings);
    assert_eq!(bench.run(program).status, ExitStatus::Code(0));
}

#[test]
fn usage_is_measured() {
    let bench = Bench::new();
    let script = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; sleep 0.2";
    let exit = bench.run(bench.shell(1, script));
    assert!(exit.usage.cpu() > Duration::from_millis(20), "{:?}", exit.usage);
    assert!(exit.usage.wall >= Duration::from_millis(200), "{:?}", exit.usage);
    assert!(exit.usage.peak_rss.0 > 500_000, "{:?}", exit.usage);
}

#[test]
fn bytes_written_to_storage_are_counted() {
    let bench = Bench::new();
    let target = bench.path("data");
    let script = format!("dd if=/dev/zero of={} bs=1M count=8 conv=fsync 2>/dev/null", target.display());
    let exit = bench.run(bench.shell(1, &script));
    assert_eq!(exit.status, ExitStatus::Code(0));
    assert!(exit.usage.write_bytes.0 >= 8 << 20, "{:?}", exit.usage);
}

#[test]
fn faults_of_the_configuration() {
    let bench = Bench::new();
    let config = |fault: SpawnFault, word: &str| match fault {
        SpawnFault::Config { detail } => assert!(detail.contains(word), "{detail}"),
        other => panic!("{other:?}"),
    };
    config(bench.refuse(launch(1, "/no/such/binary", &[])), "/no/such/binary");
    config(bench.refuse(launch(2, "no-such-binary-anywhere", &[])), "PATH");
    config(bench.refuse(launch(3, "/etc/passwd", &[])), "execute permission");
    config(bench.refuse(launch(4, "/etc", &[])), "directory");
    config(bench.refuse(launch(5, "/etc/passwd/x", &[])), "/etc/passwd/x");

    let script = bench.path("no-format");
    std::fs::write(&script, "neither a magic number nor an interpreter\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    config(bench.refuse(launch(6, &script, &[])), "no-format");
    std::fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    config(bench.refuse(launch(7, &script, &[])), "interpreter");

    let mut elsewhere = launch(8, "/bin/true", &[]);
    let settings =
        ChildSettings { working_directory: Some("/no/such/directory".into()), ..Default::default() };
    elsewhere.settings = Arc::new(settings);
    config(bench.refuse(elsewhere), "/no/such/directory");

    let mut unwritable = launch(9, "/bin/true", &[]);
    unwritable.stdout = OutputSink::File("/no/such/directory/out".into());
    config(bench.refuse(unwritable), "/no/such/directory/out");
    assert_eq!(children(), Vec::<u32>::new());
}

#[test]
fn faults_of_the_input() {
    let bench = Bench::new();
    let input = |fault: SpawnFault| assert!(matches!(fault, SpawnFault::Input { .. }), "{fault:?}");
    let mut missing = launch(1, "/bin/cat", &[]);
    missing.stdin = InputSource::File(bench.path("vanished"));
    input(bench.refuse(missing));
    let mut directory = launch(2, "/bin/cat", &[]);
    directory.stdin = InputSource::File(bench.directory.path().to_owned());
    input(bench.refuse(directory));
    input(bench.refuse(launch(3, "/bin/true", &["a\0b"])));
    let huge = "x".repeat(4 << 20);
    input(bench.refuse(launch(4, "/bin/true", &[&huge])));
}

#[test]
fn a_pipe_as_input_blocks_nobody() {
    let bench = Bench::new();
    let fifo = bench.path("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let mut cat = launch(1, "/bin/cat", &[]);
    cat.stdin = InputSource::File(fifo);
    assert_eq!(bench.run(cat).status, ExitStatus::Code(0));
    assert_eq!(bench.run(launch(2, "/bin/true", &[])).status, ExitStatus::Code(0));
}

#[test]
fn two_hundred_at_once() {
    let bench = Bench::new();
    let gate = bench.path("gate");
    assert!(std::process::Command::new("mkfifo").arg(&gate).status().unwrap().success());
    for attempt in 0..200 {
        let mut shell = bench.shell(attempt, &format!("read x < {}; exit {}", gate.display(), attempt % 7));
        shell.stdout = bench.capture(&format!("out-{attempt}"));
        bench.executor.launch(shell);
    }
    let mut running = 0;
    while running < 200 {
        assert!(matches!(bench.event(), ExecutorEvent::Started { .. }));
        running += 1;
    }
    assert_eq!(children().len(), 200);
    // Held open for writing until all have seen the end of it: whoever opens later is served, too.
    let writer = std::fs::OpenOptions::new().read(true).write(true).open(&gate).unwrap();
    let lines = "\n".repeat(4000);
    std::io::Write::write_all(&mut &writer, lines.as_bytes()).unwrap();
    for _ in 0..200 {
        let ExecutorEvent::Exited { attempt, status, leaked, .. } = bench.event() else { panic!("an exit") };
        assert_eq!(status, ExitStatus::Code(i32::try_from(attempt.0 % 7).unwrap()));
        assert!(!leaked);
    }
    assert_eq!(children(), Vec::<u32>::new());
}

#[test]
fn five_hundred_launches_leave_no_descriptor_and_no_zombie() {
    let bench = Bench::new();
    bench.run(bench.shell(0, "echo x"));
    let before = open_files();
    for attempt in 1..=500 {
        if attempt % 10 == 0 {
            bench.refuse(launch(attempt, "/no/such/binary", &[]));
        } else {
            bench.run(bench.shell(attempt, "echo x"));
        }
    }
    assert_eq!(open_files(), before);
    assert_eq!(children(), Vec::<u32>::new());
    assert!(bench.nothing_more());
}

#[test]
fn a_launch_after_the_end_of_the_executor_is_answered() {
    let bench = Bench::new();
    bench.executor.launch(launch(1, "/bin/sleep", &["600"]));
    bench.started(1);
    let Bench { executor, .. } = bench;
    executor.shutdown();
    assert_eq!(children(), Vec::<u32>::new());
}

#[test]
fn after_a_panic_of_its_thread_nothing_is_left_running_or_untold() {
    let (sender, events) = std::sync::mpsc::channel();
    let (ordered, third_is_ordered) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(Some(third_is_ordered));
    let sink = move |event| {
        let startled = matches!(event, ExecutorEvent::Started { attempt: AttemptId(2), .. });
        drop(sender.send(event));
        if startled && let Some(gate) = gate.lock().unwrap().take() {
            gate.recv_timeout(PATIENCE).expect("the third order");
            panic!("a panic of the test's own");
        }
    };
    let executor = Driver::start(Arc::new(sink), Options::default()).unwrap();
    for attempt in 1..=2 {
        // One after the other: the second's start is the one that panics, and waits for the third order.
        executor.launch(launch(attempt, "/bin/sleep", &["600"]));
        assert!(matches!(events.recv_timeout(PATIENCE), Ok(ExecutorEvent::Started { .. })));
    }
    executor.launch(launch(3, "/bin/sleep", &["600"]));
    ordered.send(()).unwrap();
    let mut ended = std::collections::BTreeMap::new();
    let mut third = false;
    while ended.len() < 2 || !third {
        match events.recv_timeout(PATIENCE).expect("an answer") {
            ExecutorEvent::Exited { attempt, status, .. } => drop(ended.insert(attempt.0, status)),
            ExecutorEvent::Started { attempt, .. } => third |= attempt.0 == 3,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(ended, [(1, ExitStatus::Signal(9)), (2, ExitStatus::Signal(9))].into());
    executor.shutdown();
    let last = events.recv_timeout(PATIENCE).expect("the third one's end");
    assert!(matches!(last, ExecutorEvent::Exited { attempt: AttemptId(3), .. }), "{last:?}");
}
