//! The thread that launches may be bound to a core; its children never are.

use std::time::{Duration, Instant};

use crate::common::{Bench, launch};

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
    let bench = Bench::new();
    let (mut attempt, begin) = (0, Instant::now());
    // Not bound where the machine is too busy, or has one core: then there is nothing to be seen.
    while drivers().as_ref() == Some(&own) && begin.elapsed() < Duration::from_secs(3) {
        attempt += 1;
        bench.run(launch(attempt, "/bin/true", &[]));
    }
    bench.run(bench.shell(attempt + 1, "cat /proc/self/status"));
    assert_eq!(cores(&bench.read("out")), Some(own));
}
