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
    assert_eq!(pids, [subject.pid()]);
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
        (samples.len() == 2 && samples[1].1 == [subject.pid(), orphan]).then_some(samples)
    });
    assert_eq!(samples[0].1, [other.pid()]);
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
    assert_eq!(pids, [subject.pid()]);
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
fn descriptors_are_kept_while_watched_and_given_back() {
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let subjects: Vec<Subject> = (0..20).map(|n| Subject::shell(n, "exec sleep 600")).collect();
    let targets: Vec<_> = subjects.iter().map(|subject| subject.target).collect();
    let mut probe = probe();
    let before = open();
    assert_eq!(probe.processes(&targets).len(), 20);
    assert_eq!(open(), before + 40);
    assert_eq!(probe.processes(&targets).len(), 20);
    assert_eq!(open(), before + 40);
    assert_eq!(probe.processes(&targets[..5]).len(), 5);
    assert_eq!(open(), before + 10);
    assert!(probe.processes(&[]).is_empty());
    assert_eq!(open(), before);
    assert_eq!(probe.cost().process_calls, 4);
    assert_eq!(probe.cost().processes_read, 45);
}
