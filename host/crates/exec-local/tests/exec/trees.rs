//! Signals to trees, descendants that outlive, leaks, orphans of the host, on real processes.

use std::time::Duration;

use crate::common::{Bench, children, launch, lives, state, wait_until};
use orchestrator_core::scheduler::ExitStatus;
use orchestrator_exec_local::Options;
use orchestrator_ports::{SignalScope, StopSignal};

#[test]
fn a_signal_ends_the_tree() {
    let bench = Bench::new();
    let file = bench.path("pid");
    let file = file.display();
    let script = format!("sleep 600 & echo $! > {file}.part; mv {file}.part {file}; wait");
    bench.executor.launch(bench.shell(1, &script));
    let main = bench.started(1).pid;
    let inner = bench.pid_in("pid");
    assert!(lives(inner));
    bench.signal(1, 15, SignalScope::Tree);
    let exit = bench.exited(1);
    assert_eq!(exit.status, ExitStatus::Signal(15));
    assert!(!exit.leaked, "what we end ourselves is no leak");
    assert!(!lives(main) && !lives(inner));
}

#[test]
fn a_signal_to_the_main_process_leaves_its_child_a_moment() {
    let bench = Bench::with(Options { leak_timeout: Duration::from_secs(30), ..Options::default() });
    let file = bench.path("pid");
    let file = file.display();
    let script = format!(
        "sh -c 'trap \"\" TERM; echo $$ > {file}.part; mv {file}.part {file}; sleep 0.3; echo last words' & wait"
    );
    bench.executor.launch(bench.shell(1, &script));
    bench.started(1);
    bench.pid_in("pid");
    bench.signal(1, 15, SignalScope::Main);
    let exit = bench.exited(1);
    assert_eq!(exit.status, ExitStatus::Signal(15));
    assert_eq!(bench.read("out"), "last words\n");
    assert!(!exit.leaked);
}

/// A script whose grandchild leaves session, group and parents behind and then writes its pid.
fn escape(bench: &Bench, then: &str) -> String {
    let file = bench.path("pid");
    let file = file.display();
    format!(
        "(setsid sh -c 'echo $$ > {file}.part; mv {file}.part {file}; exec sleep 600' </dev/null >/dev/null 2>&1 &) ; \
         while ! [ -e {file} ]; do sleep 0.01; done; {then}"
    )
}

#[test]
fn a_grandchild_that_left_by_setsid_dies_with_the_tree() {
    let bench = Bench::new();
    bench.executor.launch(bench.shell(1, &escape(&bench, "sleep 600")));
    let main = bench.started(1).pid;
    let grandchild = bench.pid_in("pid");
    assert!(lives(grandchild));
    bench.signal(1, 9, SignalScope::Tree);
    let exit = bench.exited(1);
    assert_eq!(exit.status, ExitStatus::Signal(9));
    assert!(!exit.leaked && !exit.oom);
    assert!(!lives(main) && !lives(grandchild));
    assert_eq!(children(), Vec::<u32>::new());
}

#[test]
fn a_daemon_that_outlives_its_task_is_ended_and_told() {
    let bench = Bench::new();
    let exit = bench.run(bench.shell(1, &escape(&bench, "exit 0")));
    assert_eq!(exit.status, ExitStatus::Code(0));
    assert!(exit.leaked);
    assert!(!lives(bench.pid_in("pid")));
    assert_eq!(children(), Vec::<u32>::new());
}

#[test]
fn a_daemon_without_the_marks_is_ended_when_nothing_else_runs() {
    let bench = Bench::new();
    let mut shell = bench.shell(1, &escape(&bench, "exit 0"));
    shell.env = orchestrator_core::plan::Environment::default();
    let exit = bench.run(shell);
    assert!(exit.leaked);
    assert!(!lives(bench.pid_in("pid")));
}

#[test]
fn the_daemon_of_one_attempt_is_not_taken_for_anothers() {
    let bench = Bench::new();
    bench.executor.launch(bench.shell(1, &escape(&bench, "sleep 600")));
    bench.started(1);
    let daemon = bench.pid_in("pid");
    // It came to us: its own parents are dead.
    wait_until(|| children().contains(&daemon).then_some(()));
    for attempt in 2..12 {
        let mut other = launch(attempt, "/bin/sh", &["-c", "/bin/true; /bin/true"]);
        other.stdout = bench.capture("other");
        let exit = bench.run(other);
        assert!(!exit.leaked);
    }
    assert!(lives(daemon));
    bench.signal(1, 9, SignalScope::Tree);
    bench.exited(1);
    assert!(!lives(daemon));
}

#[test]
fn a_background_child_that_holds_the_pipe_is_a_leak() {
    let bench = Bench::new();
    let exit = bench.run(bench.shell(1, "echo before; sleep 600 & exit 5"));
    assert_eq!(exit.status, ExitStatus::Code(5));
    assert!(exit.leaked);
    assert_eq!(bench.read("out"), "before\n");
    assert_eq!(children(), Vec::<u32>::new());
}

#[test]
fn a_background_child_that_ends_in_time_is_no_leak_and_its_words_count() {
    let bench = Bench::with(Options { leak_timeout: Duration::from_secs(30), ..Options::default() });
    let exit = bench.run(bench.shell(1, "(sleep 0.3; echo late) & echo early; exit 0"));
    assert!(!exit.leaked);
    assert_eq!(bench.read("out"), "early\nlate\n");
}

#[test]
fn a_pipe_held_by_a_process_that_is_not_ours_is_a_leak_that_ends_the_wait() {
    let bench = Bench::new();
    let shell = bench.shell(1, "sleep 600; echo never");
    bench.executor.launch(shell);
    let main = bench.started(1).pid;
    // This very process holds the writing end open, through /proc.
    let held = wait_until(|| std::fs::OpenOptions::new().write(true).open(format!("/proc/{main}/fd/1")).ok());
    bench.signal(1, 9, SignalScope::Tree);
    let exit = bench.exited(1);
    assert!(exit.leaked);
    drop(held);
}

#[test]
fn a_tree_that_ignores_term_falls_to_kill() {
    let bench = Bench::new();
    let file = bench.path("pid");
    let file = file.display();
    let script =
        format!("trap '' TERM; echo $$ > {file}.part; mv {file}.part {file}; while :; do sleep 0.05; done");
    bench.executor.launch(bench.shell(1, &script));
    let main = bench.started(1).pid;
    bench.pid_in("pid");
    bench.signal(1, 15, SignalScope::Tree);
    bench.executor.launch(launch(2, "/bin/true", &[]));
    bench.started(2);
    bench.exited(2);
    assert!(lives(main));
    bench.signal(1, 9, SignalScope::Tree);
    assert_eq!(bench.exited(1).status, ExitStatus::Signal(9));
    assert_eq!(children(), Vec::<u32>::new());
}

#[test]
fn stop_and_continue_reach_the_tree() {
    let bench = Bench::new();
    bench.executor.launch(launch(1, "/bin/sleep", &["600"]));
    let main = bench.started(1).pid;
    bench.executor.signal_all(StopSignal(20));
    wait_until(|| (state(main) == Some('T')).then_some(()));
    bench.executor.signal_all(StopSignal(18));
    wait_until(|| (state(main) != Some('T')).then_some(()));
    bench.executor.signal_all(StopSignal(19));
    wait_until(|| (state(main) == Some('T')).then_some(()));
    // A suspended process hears that it is to end.
    bench.signal(1, 15, SignalScope::Tree);
    assert_eq!(bench.exited(1).status, ExitStatus::Signal(15));
}

#[test]
fn a_tree_that_keeps_forking_is_ended() {
    let bench = Bench::new();
    let ready = bench.path("ready");
    let script = format!(
        "f() {{ while :; do (sleep 0.01; :) & (setsid sh -c 'sleep 0.02; sleep 0.02' &); sleep 0.005; : > {}; done; }}; \
         f & f & wait",
        ready.display()
    );
    bench.executor.launch(launch(1, "/bin/sh", &["-c", &script]));
    bench.started(1);
    wait_until(|| ready.exists().then_some(()));
    bench.signal(1, 9, SignalScope::Tree);
    assert_eq!(bench.exited(1).status, ExitStatus::Signal(9));
    assert_eq!(children(), Vec::<u32>::new());
}

#[test]
fn orphans_that_end_early_do_not_pile_up_as_zombies() {
    let bench = Bench::new();
    let script = "i=0; while [ $i -lt 40 ]; do (setsid /bin/true &); i=$((i+1)); done; sleep 600";
    bench.executor.launch(bench.shell(1, script));
    let main = bench.started(1).pid;
    // All forty came and went, and only the main process is left.
    wait_until(|| {
        let sleeping = std::fs::read_to_string("/proc/self/stat").is_ok();
        (sleeping && bench_is_asleep(main) && children() == [main]).then_some(())
    });
    bench.signal(1, 9, SignalScope::Tree);
    bench.exited(1);
}

/// Whether the shell has come to its last command.
fn bench_is_asleep(main: u32) -> bool {
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).any(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        (pid == main || parent == Some(main)) && command.starts_with(b"sleep\x00600")
    })
}

#[test]
fn dropping_the_executor_leaves_nothing() {
    let bench = Bench::new();
    bench.executor.launch(bench.shell(1, &escape(&bench, "sleep 600")));
    bench.started(1);
    let daemon = bench.pid_in("pid");
    for attempt in 2..6 {
        bench.executor.launch(launch(attempt, "/bin/sleep", &["600"]));
        bench.started(attempt);
    }
    drop(bench.executor);
    assert!(!lives(daemon));
    assert_eq!(children(), Vec::<u32>::new());
}

#[test]
fn the_cpu_of_ended_strays_is_counted() {
    let bench = Bench::with(Options { leak_timeout: Duration::from_secs(30), ..Options::default() });
    let script = "(i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done) & exit 0";
    let exit = bench.run(bench.shell(1, script));
    assert!(exit.usage.cpu() > Duration::from_millis(20), "{:?}", exit.usage);
}

#[test]
fn a_signal_for_nobody_is_nothing() {
    let bench = Bench::new();
    bench.signal(99, 9, SignalScope::Tree);
    bench.signal(99, 4711, SignalScope::Main);
    assert_eq!(bench.run(launch(1, "/bin/true", &[])).status, ExitStatus::Code(0));
    bench.signal(1, 9, SignalScope::Tree);
    assert!(bench.nothing_more());
}

#[test]
fn all_can_be_killed_while_the_thread_that_owns_them_hangs() {
    let bench = Bench::new();
    let mut mains = Vec::new();
    for attempt in 1..=3 {
        let escapes =
            format!("setsid sleep 300 & echo $! > part{attempt}; mv part{attempt} {attempt}.pid; sleep 300");
        let mut launch = launch(
            attempt,
            "/bin/sh",
            &["-c", &format!("cd {}; {escapes}", bench.directory.path().display())],
        );
        launch.stdout = bench.capture(&format!("out{attempt}"));
        bench.executor.launch(launch);
        mains.push(bench.started(attempt).pid);
    }
    let escaped: Vec<u32> = (1..=3).map(|attempt| bench.pid_in(&format!("{attempt}.pid"))).collect();
    let hanging = bench.executor.hang();
    assert!(orchestrator_exec_local::kill_launched());
    wait_until(|| mains.iter().chain(&escaped).all(|pid| !lives(*pid)).then_some(()));
    assert!(bench.nothing_more(), "the owner hangs still");
    drop(hanging);
}
