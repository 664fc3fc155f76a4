//! Every way of launching gives the child the same start.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;

use orchestrator_core::placement::CpuSet;
use orchestrator_core::plan::Environment;
use orchestrator_core::scheduler::{ExitStatus, SpawnFault};
use orchestrator_exec_local::{LaunchPath, Options};
use orchestrator_ports::{ChildSettings, InputSource};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::common::{Bench, launch};

const WAYS: [LaunchPath; 2] = [LaunchPath::Clone3, LaunchPath::PosixSpawn];

fn bench(way: LaunchPath) -> Bench {
    Bench::with(Options { launch_path: Some(way), ..Options::default() })
}

/// Fields of the child's own /proc/self/status.
fn status(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim())).collect()
}

#[test]
#[cfg(target_arch = "x86_64")]
fn this_kernel_has_the_quick_way() {
    assert_eq!(LaunchPath::best(), LaunchPath::Clone3);
}

#[test]
fn signals_descriptors_and_group_are_as_a_shell_would_give_them() {
    for way in WAYS {
        let bench = bench(way);
        let mut cat = launch(1, "/bin/cat", &["/proc/self/status"]);
        cat.stdout = bench.capture("status");
        bench.executor.launch(cat);
        let identity = bench.started(1);
        assert_eq!(bench.exited(1).status, ExitStatus::Code(0), "{way}");
        let text = bench.read("status");
        let status = status(&text);
        assert_eq!(status["Pid"], identity.pid.to_string(), "{way}");
        assert_eq!(status["NSpgid"], identity.pid.to_string(), "{way}: a group of its own");
        for set in ["SigBlk", "SigCgt"] {
            assert_eq!(u64::from_str_radix(status[set], 16), Ok(0), "{way}: {set}");
        }
        let sigpipe = 1 << (13 - 1);
        assert_eq!(u64::from_str_radix(status["SigIgn"], 16).map(|set| set & sigpipe), Ok(0), "{way}");

        let mut list = launch(2, "/bin/ls", &["/proc/self/fd"]);
        list.stdout = bench.capture("fds");
        bench.run(list);
        // What the test itself was given to pass on is passed on; nothing of the executor's is.
        let passed_on = Command::new("/bin/ls").arg("/proc/self/fd").output().unwrap().stdout;
        assert_eq!(bench.read("fds").as_bytes(), passed_on, "{way}");
    }
}

#[test]
fn streams_arguments_environment_and_directory_arrive() {
    for way in WAYS {
        let bench = bench(way);
        std::fs::write(bench.path("input"), "from the file").unwrap();
        let script = "cat; printf '|%s' \"$@\" \"$A\" \"$B\" \"$PWD\"; printf problem >&2";
        let mut shell = bench.shell(1, script);
        shell.args.extend(["name", "", "two words"].map(Into::into));
        shell.env = [("A", "lost"), ("A", "own")].into_iter().collect();
        shell.stdin = InputSource::File(bench.path("input"));
        let env = vec![("A".into(), "shared".into()), ("B".into(), "both".into())];
        let working_directory = Some("/usr".into());
        shell.settings = Arc::new(ChildSettings { env, clear_env: true, working_directory });
        assert_eq!(bench.run(shell).status, ExitStatus::Code(0), "{way}");
        assert_eq!(bench.read("out"), "from the file||two words|own|both|/usr", "{way}");
        assert_eq!(bench.read("err"), "problem", "{way}");
    }
}

#[test]
fn a_bare_name_is_looked_up_in_the_childs_path() {
    for way in WAYS {
        let bench = bench(way);
        let mut bare = launch(1, "true", &[]);
        assert_eq!(bench.run(bare.clone()).status, ExitStatus::Code(0), "{way}");
        bare.env.set("PATH", "/nowhere");
        assert!(matches!(bench.refuse(bare.clone()), SpawnFault::Config { .. }), "{way}");
        bare.env = Environment::default();
        bare.settings = Arc::new(ChildSettings { clear_env: true, ..ChildSettings::default() });
        assert_eq!(bench.run(bare).status, ExitStatus::Code(0), "{way}");
    }
}

#[test]
fn a_refusal_names_the_same_fault_and_leaves_nothing() {
    for way in WAYS {
        let bench = bench(way);
        std::fs::write(bench.path("plain"), "no program").unwrap();
        let plain = bench.path("plain").to_string_lossy().into_owned();
        let nothing = bench.path("nothing").to_string_lossy().into_owned();
        for program in [&plain, &nothing, "/bin"] {
            let fault = bench.refuse(launch(1, program, &[]));
            assert!(matches!(fault, SpawnFault::Config { .. }), "{way}: {program}: {fault:?}");
        }
        let mut lost = launch(2, "/bin/true", &[]);
        let nowhere = ChildSettings { working_directory: Some(nothing.into()), ..ChildSettings::default() };
        lost.settings = Arc::new(nowhere);
        let SpawnFault::Config { detail } = bench.refuse(lost) else { panic!("{way}") };
        assert!(detail.contains("working directory"), "{way}: {detail}");
        let long = "x".repeat(3 << 20);
        let fault = bench.refuse(launch(3, "/bin/true", &[&long]));
        assert!(matches!(fault, SpawnFault::Input { .. }), "{way}: {fault:?}");
        assert_eq!(crate::common::children(), Vec::<u32>::new(), "{way}");
    }
}

#[test]
fn born_by_clone3_a_child_never_sees_the_limit_that_the_host_raised() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(300), maximum }).unwrap();
    let bench = bench(LaunchPath::Clone3);
    assert_eq!(getrlimit(Resource::Nofile).current, maximum);
    for attempt in 0..50 {
        let mut cat = launch(attempt, "/bin/cat", &["/proc/self/limits"]);
        cat.stdout = bench.capture(&format!("limits-{attempt}"));
        bench.run(cat);
        let limits = bench.read(&format!("limits-{attempt}"));
        let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        assert_eq!(line.split_whitespace().nth(3), Some("300"), "{line}");
    }
}

/// The processors that a child of `cat /proc/self/status` was given, as a list.
fn processors(bench: &Bench, attempt: u64, cpus: Option<CpuSet>) -> String {
    let mut cat = launch(attempt, "/bin/cat", &["/proc/self/status"]);
    cat.stdout = bench.capture("status");
    cat.cpus = cpus;
    bench.run(cat);
    status(&bench.read("status"))["Cpus_allowed_list"].to_owned()
}

#[test]
fn a_child_is_kept_to_its_processors_and_the_host_is_not() {
    let own = || std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let before = own();
    let all = CpuSet::parse(status(&before)["Cpus_allowed_list"]).unwrap();
    for way in WAYS {
        let bench = bench(way);
        for (attempt, cpu) in (1..).zip(all.iter().take(4)) {
            let one: CpuSet = [cpu].into_iter().collect();
            assert_eq!(processors(&bench, attempt, Some(one.clone())), one.to_string(), "{way}");
        }
        let nowhere: CpuSet = [8000].into_iter().collect();
        assert_eq!(
            processors(&bench, 8, Some(nowhere)),
            all.to_string(),
            "{way}: there is no such processor"
        );
        assert_eq!(processors(&bench, 9, None), all.to_string(), "{way}");
    }
    assert_eq!(status(&own())["Cpus_allowed_list"], all.to_string());
}
