//! Readings of process trees.

use std::process::Command;
use std::time::Duration;

use orchestrator_core::AttemptId;
use orchestrator_ports::Probe;

use crate::common::{Subject, probe, wait_until};

#[test]
fn a_sleeping_process_is_one_process_that_sleeps() {
    let mut probe = probe();
    let mut command = Command::new("/bin/sleep");
    command.arg("600");
    let subject = Subject::run(7, command);
    let (sample, pids) =
        wait_until(|| subject.sample(&mut probe).filter(|(sample, _)| sample.states[1] == 1));
    assert_eq!(sample.attempt, AttemptId(7));
    assert_eq!((sample.processes, sample.threads), (1, 1));
    assert_eq!(*pids, [subject.pid()]);
    assert!(sample.rss.0 > 100_000 && sample.virtual_memory.0 > sample.rss.0, "{sample:?}");
}

#[test]
fn cpu_of_descendants_alive_and_reaped_counts() {
    let mut probe = probe();
    let script = "(i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done); : > $DIR/reaped; \
                  (while :; do :; done) & wait";
    let subject = Subject::shell(1, script);
    subject.ready("reaped");
    let (first, _) = subject.sample(&mut probe).unwrap();
    assert!(first.cpu_time >= Duration::from_millis(50), "{first:?}");
    let goal = first.cpu_time + Duration::from_millis(100);
    let (_, pids) = wait_until(|| subject.sample(&mut probe).filter(|(sample, _)| sample.cpu_time >= goal));
    assert_eq!(pids.len(), 2);
    assert_eq!(pids[0], subject.pid());
}

#[test]
fn memory_and_storage_of_the_tree_are_summed() {
    let mut probe = probe();
    let script = "dd if=/dev/zero of=$DIR/data bs=1M count=4 conv=fsync 2>/dev/null; : > $DIR/written; \
                  sh -c 'x=$(head -c 30000000 /dev/zero | tr \"\\0\" x); : > $DIR/big; sleep 600' & wait";
    let subject = Subject::shell(1, script);
    subject.ready("big");
    let (sample, pids) = subject.sample(&mut probe).unwrap();
    assert!(sample.rss.0 > 28 << 20, "{sample:?}");
    assert!(sample.write_bytes.0 >= 4 << 20, "{sample:?}");
    assert!(sample.write_ops >= 4 && sample.read_ops > 0, "{sample:?}");
    assert!(pids.len() >= 2);
}

#[test]
fn a_descendant_that_left_group_and_session_is_counted() {
    let mut probe = probe();
    let subject = Subject::shell(1, "setsid sh -c ': > $DIR/ready; exec sleep 600' & exec sleep 600");
    subject.ready("ready");
    let (sample, pids) = subject.sample(&mut probe).unwrap();
    assert_eq!((sample.processes, pids.len()), (2, 2));
    let escaped = pids[1];
    // Killing the group leaves it alone.
    drop(subject);
    let pid = rustix::process::Pid::from_raw(i32::try_from(escaped).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn an_orphan_that_came_to_the_host_is_counted_by_its_marks() {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let mut probe = probe();
    let escape =
        "(setsid sh -c 'echo $$ > $DIR/part; mv $DIR/part $DIR/pid; exec sleep 600' &) ; exec sleep 600";
    let subject = Subject::shell(1, escape);
    let other = Subject::shell(2, "exec sleep 600");
    subject.ready("pid");
    let orphan: u32 = std::fs::read_to_string(subject.path("pid")).unwrap().trim().parse().unwrap();
    let targets = [other.target, subject.target];
    // At first the orphan's parent may still live; either way it is a member.
    let samples = wait_until(|| {
        let samples = probe.processes(&targets);
        (samples.len() == 2 && *samples[1].1 == [subject.pid(), orphan]).then_some(samples)
    });
    assert_eq!(*samples[0].1, [other.pid()]);
    assert_eq!(samples[0].0.attempt, AttemptId(2));
    let pid = rustix::process::Pid::from_raw(i32::try_from(orphan).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn children_born_after_the_first_look_are_found() {
    let mut probe = probe();
    let script = "while ! [ -e $DIR/go ]; do sleep 0.01; done; sleep 600 & sleep 600 & wait";
    let subject = Subject::shell(1, script);
    assert!(subject.sample(&mut probe).is_some());
    std::fs::write(subject.path("go"), "").unwrap();
    wait_until(|| subject.sample(&mut probe).filter(|(sample, _)| sample.processes == 3));
}

#[test]
fn a_tree_that_becomes_a_target_late_is_whole() {
    let mut probe = probe();
    let first = Subject::shell(1, "exec sleep 600");
    let late = Subject::shell(2, "sleep 600 & sleep 600 & : > $DIR/ready; wait");
    late.ready("ready");
    // Its processes are seen as strangers first.
    assert_eq!(probe.processes(&[first.target]).len(), 1);
    let samples = probe.processes(&[first.target, late.target]);
    assert_eq!(samples[1].0.processes, 3);
}

#[test]
fn stopped_and_dead_processes_are_told() {
    let mut probe = probe();
    let mut subject = Subject::shell(1, "exec sleep 600");
    let pid = rustix::process::Pid::from_raw(i32::try_from(subject.pid()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    wait_until(|| subject.sample(&mut probe).filter(|(sample, _)| sample.states[3] == 1));
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    wait_until(|| subject.sample(&mut probe).is_none().then_some(()));
    subject.kill();
    assert!(subject.sample(&mut probe).is_none());
}

#[test]
fn another_process_under_the_same_number_is_no_target() {
    let mut probe = probe();
    let subject = Subject::shell(1, "exec sleep 600");
    let mut impostor = subject.target;
    impostor.identity.start_ticks += 1;
    assert!(probe.processes(&[impostor]).is_empty());
    assert_eq!(probe.processes(&[subject.target]).len(), 1);
    assert!(probe.processes(&[impostor]).is_empty());
    assert!(probe.processes(&[]).is_empty());
    let mut gone = impostor;
    gone.identity.pid = u32::MAX;
    assert_eq!(probe.processes(&[subject.target, gone]).len(), 1);
    assert!(probe.processes(&[]).is_empty());
}

#[test]
fn a_wicked_name_is_read_well() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("a) R 1 (b");
    std::fs::copy("/bin/sleep", &program).unwrap();
    let mut command = Command::new(&program);
    command.arg("600");
    let subject = Subject::run(1, command);
    let mut probe = probe();
    let (sample, pids) =
        wait_until(|| subject.sample(&mut probe).filter(|(sample, _)| sample.states[1] == 1));
    assert_eq!((sample.processes, sample.threads), (1, 1));
    assert_eq!(*pids, [subject.pid()]);
}

#[test]
fn processes_that_vanish_while_they_are_read_do_no_harm_and_totals_never_fall() {
    let mut probe = probe();
    let script = "f() { while :; do sh -c 'i=0; while [ $i -lt 200 ]; do i=$((i+1)); done'; (/bin/true &); done; }; \
                  f & f & f & wait";
    let subject = Subject::shell(1, script);
    let mut last = Duration::ZERO;
    for _ in 0..150 {
        let (sample, pids) = subject.sample(&mut probe).unwrap();
        assert!(sample.cpu_time >= last, "{:?} after {last:?}", sample.cpu_time);
        assert_eq!(pids.len(), sample.processes as usize);
        last = sample.cpu_time;
    }
}

#[test]
fn what_a_sleeper_does_when_it_wakes_is_in_the_next_sample() {
    let mut probe = probe();
    let script = "mkfifo $DIR/go; read line < $DIR/go; i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; \
                  echo x > $DIR/data; : > $DIR/done; read line < $DIR/go";
    let subject = Subject::shell(1, script);
    subject.ready("go");
    let asleep = subject.settled(&mut probe);
    subject.go();
    let (awake, _) = subject.sample(&mut probe).unwrap();
    assert!(awake.cpu_time >= asleep.cpu_time + Duration::from_millis(50), "{asleep:?} {awake:?}");
    assert!(awake.write_ops > asleep.write_ops, "{asleep:?} {awake:?}");
}

#[test]
fn among_many_sleepers_one_that_works_is_in_the_next_sample() {
    let mut probe = probe();
    let mut subjects: Vec<Subject> = (2..40).map(|n| Subject::shell(n, "exec sleep 600")).collect();
    let script = "mkfifo $DIR/go; read line < $DIR/go; i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; \
                  : > $DIR/done; exec sleep 600";
    subjects.push(Subject::shell(1, script));
    let worker = subjects.last().unwrap();
    worker.ready("go");
    let targets: Vec<_> = subjects.iter().map(|subject| subject.target).collect();
    let mut before = std::sync::Arc::default();
    wait_until(|| {
        let now = probe.processes(&targets);
        let same = now == before && now.iter().all(|(sample, _)| sample.states[1] == 1);
        before = now;
        same.then_some(())
    });
    worker.go();
    let after = probe.processes(&targets);
    let used = after.last().unwrap().0.cpu_time - before.last().unwrap().0.cpu_time;
    assert!(used >= Duration::from_millis(50), "{used:?}");
}

#[test]
fn a_child_born_to_a_sleeper_is_in_the_next_sample() {
    let mut probe = probe();
    let script = "mkfifo $DIR/go; read line < $DIR/go; sleep 600 & : > $DIR/done; wait";
    let subject = Subject::shell(1, script);
    subject.ready("go");
    assert_eq!(subject.settled(&mut probe).processes, 1);
    subject.go();
    assert_eq!(subject.sample(&mut probe).unwrap().0.processes, 2);
}

#[test]
fn a_child_of_a_sleeper_that_is_gone_is_missing_from_the_next_sample() {
    let mut probe = probe();
    // The main process is stopped, so that it neither runs nor reaps.
    let subject =
        Subject::shell(1, "mkfifo $DIR/go; (read line < $DIR/go; : > $DIR/done; read line < $DIR/go) & wait");
    subject.ready("go");
    wait_until(|| (subject.settled(&mut probe).processes == 2).then_some(()));
    let child = subject.sample(&mut probe).unwrap().1[1];
    let pid = |pid: u32| rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid(subject.pid()), rustix::process::Signal::STOP).unwrap();
    wait_until(|| subject.sample(&mut probe).filter(|(sample, _)| sample.states[3] == 1));
    rustix::process::kill_process(pid(child), rustix::process::Signal::KILL).unwrap();
    let stat = format!("/proc/{child}/stat");
    wait_until(|| std::fs::read_to_string(&stat).unwrap().contains(") Z ").then_some(()));
    let (sample, pids) = subject.sample(&mut probe).unwrap();
    assert_eq!((sample.processes, sample.states[4]), (1, 1));
    assert_eq!(*pids, [subject.pid()]);
}

/// Not a test of anything: the program of the next one. Its first thread sleeps while another one waits, and works.
#[test]
#[ignore = "run as a subject by another test"]
fn one_thread_sleeps_while_another_works() {
    let Some(directory) = std::env::var_os("DIR").map(std::path::PathBuf::from) else { return };
    std::fs::write(directory.join("begun"), "").unwrap();
    wait_until(|| directory.join("go").exists().then_some(()));
    let until = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let used = || rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    while used().tv_nsec - until.tv_nsec + (used().tv_sec - until.tv_sec) * 1_000_000_000 < 200_000_000 {}
    std::fs::write(directory.join("done"), "").unwrap();
    std::thread::sleep(crate::common::PATIENCE);
}

#[test]
fn work_of_another_thread_than_the_first_is_in_the_next_sample() {
    let mut probe = probe();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "trees::one_thread_sleeps_while_another_works", "--ignored"]);
    let subject = Subject::run(1, command);
    subject.ready("begun");
    let before = subject.sample(&mut probe).unwrap().0;
    assert!(before.threads >= 2, "{before:?}");
    subject.go();
    let after = subject.sample(&mut probe).unwrap().0;
    assert!(after.cpu_time >= before.cpu_time + Duration::from_millis(150), "{before:?} {after:?}");
}

#[test]
fn a_number_given_to_a_stranger_between_two_samples_is_no_member_any_more() {
    let last = "/proc/sys/kernel/ns_last_pid";
    if std::fs::read_to_string(last).and_then(|text| std::fs::write(last, text.trim())).is_err() {
        eprintln!("skipped: this kernel, or this user, cannot choose the next number");
        return;
    }
    let mut probe = probe();
    let script =
        "mkfifo $DIR/go; while :; do sh -c 'echo $$ > $DIR/pid; : > $DIR/done; read line < $DIR/go'; done";
    let subject = Subject::shell(1, script);
    // Others start processes, too: until the number is had again.
    wait_until(|| {
        subject.ready("done");
        let child: u32 =
            wait_until(|| std::fs::read_to_string(subject.path("pid")).ok()?.trim().parse().ok());
        wait_until(|| subject.sample(&mut probe).filter(|(_, pids)| **pids == [subject.pid(), child]));
        let main = rustix::process::Pid::from_raw(i32::try_from(subject.pid()).unwrap()).unwrap();
        std::fs::remove_file(subject.path("done")).unwrap();
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(i32::try_from(child).unwrap()).unwrap(),
            rustix::process::Signal::KILL,
        )
        .unwrap();
        wait_until(|| (!std::path::Path::new(&format!("/proc/{child}")).exists()).then_some(()));
        std::fs::write(last, (child - 1).to_string()).unwrap();
        let mut stranger = Command::new("/bin/sleep").arg("600").spawn().unwrap();
        let again = stranger.id() == child;
        let pids = subject.sample(&mut probe).unwrap().1;
        stranger.kill().unwrap();
        stranger.wait().unwrap();
        assert!(!pids.contains(&stranger.id()), "{pids:?} hold a stranger");
        assert_eq!(pids[0], u32::try_from(main.as_raw_nonzero().get()).unwrap());
        again.then_some(())
    });
}

#[test]
fn descriptors_are_kept_while_watched_and_given_back() {
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let subjects: Vec<Subject> = (0..20).map(|n| Subject::shell(n, "exec sleep 600")).collect();
    let targets: Vec<_> = subjects.iter().map(|subject| subject.target).collect();
    let mut probe = probe();
    let before = open();
    assert_eq!(probe.processes(&targets).len(), 20);
    // One of each that only sleeps, three of each that runs.
    assert!((before + 20..=before + 60).contains(&open()), "{} after {before}", open());
    assert_eq!(probe.processes(&targets).len(), 20);
    assert!((before + 20..=before + 60).contains(&open()), "{} after {before}", open());
    assert_eq!(probe.processes(&targets[..5]).len(), 5);
    assert!((before + 5..=before + 15).contains(&open()), "{} after {before}", open());
    assert!(probe.processes(&[]).is_empty());
    assert_eq!(open(), before);
    assert_eq!(probe.cost().process_calls, 4);
    assert_eq!(probe.cost().processes_read, 45);
}
