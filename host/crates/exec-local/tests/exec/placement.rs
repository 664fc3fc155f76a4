//! The thread that launches may be bound to a core; its children never are.

use orchestrator_exec_local::{Binding, Options};

use crate::common::{Bench, launch, wait_until};

const LINE: &str = "Cpus_allowed_list:";

fn cores(status: &str) -> Option<String> {
    status.lines().find_map(|line| line.strip_prefix(LINE)).map(|cores| cores.trim().to_owned())
}

/// The cores that the driver's thread may run on.
fn drivers() -> Option<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let mut statuses = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok());
    cores(&statuses.find(|status| status.starts_with("Name:\tdriver"))?)
}

#[test]
fn a_child_of_a_bound_thread_is_free() {
    let own = cores(&std::fs::read_to_string("/proc/self/status").unwrap()).unwrap();
    if !own.contains([',', '-']) {
        eprintln!("skipped: this machine gives the test one core");
        return;
    }
    let bench = Bench::with(Options { binding: Binding::Always, ..Options::default() });
    let mut attempt = 0;
    wait_until(|| {
        attempt += 1;
        bench.run(launch(attempt, "/bin/true", &[]));
        (drivers()? != own).then_some(())
    });
    bench.run(bench.shell(attempt + 1, "cat /proc/self/status"));
    assert_eq!(cores(&bench.read("out")), Some(own.clone()));
    assert_ne!(drivers(), Some(own), "bound all the while");
}
