//! The same library in this process, in one of its own, and in a sandbox.

use crate::fixtures::misbehaving;
use crate::world::{Round, World, capacity, facts, hasty, metrics, with_config};
use orchestrator_core::config::model::{Grants, Isolation};
use orchestrator_core::metrics::Metrics;
use orchestrator_plugin_host::{InstanceSpec, Runner, StartOptions};
use orchestrator_ports::ProcessFacts;
use orchestrator_tests::artifacts;
use orchestrator_tests::processes::wait_until;
use orchestrator_tests::scene::{QUICK, Scene};
use rustix::process::Signal;
use serde_json::json;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const ALL: [Isolation; 3] = [Isolation::InProcess, Isolation::Process, Isolation::Sandbox];
const APART: [Isolation; 2] = [Isolation::Process, Isolation::Sandbox];

fn isolated(mut spec: InstanceSpec, isolation: Isolation) -> InstanceSpec {
    spec.isolation = isolation;
    spec
}

/// A process of the host's that lives until it is dropped.
struct Sleeper(Child);

impl Sleeper {
    fn start() -> Self {
        let mut command = Command::new("/bin/sleep");
        command.arg("600").env_clear().env("SHOWN", "blue").env("HIDDEN", "red").stdin(Stdio::null());
        let child = command.spawn().expect("a sleeping process");
        // We hear of the new program a moment before its arguments are in place.
        while std::fs::read(format!("/proc/{}/cmdline", child.id())).expect("it lives").is_empty() {
            std::thread::yield_now();
        }
        Self(child)
    }

    fn facts(&self, attempt: u64) -> ProcessFacts {
        let pid = self.0.id();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
        let started = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(19));
        ProcessFacts {
            start_ticks: started.and_then(|ticks| ticks.parse().ok()).expect("a number"),
            ..facts(attempt, pid, &[])
        }
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_same_library_gives_the_same_values_everywhere() {
    let processes: Vec<ProcessFacts> = (1..=150).map(|pid| facts(pid.into(), pid, &[pid + 1000])).collect();
    let mut rounds: Vec<Round> = Vec::new();
    for isolation in ALL {
        let specs = [metrics("Echoes"), capacity("Sums")].map(|spec| isolated(spec, isolation));
        let mut world = World::of(&misbehaving(), &specs);
        assert!(world.failures.is_empty(), "{:?}", world.failures);
        world.built_in(&[("system.cpu.percent", 12.5)]);
        let calibration = Metrics::from([("calibration.seconds".to_owned(), 3.0)]);
        rounds.push(world.round_over(processes.clone(), calibration));
        assert!(world.failed.is_empty() && world.said.is_empty(), "{:?} {:?}", world.failed, world.said);
        let stats = world.host.stats();
        // One for each process, one for the machine and one for the construction; the state is asked for now and then.
        assert!((152..=153).contains(&stats[0].calls) && (2..=3).contains(&stats[1].calls), "{stats:?}");
        assert!(stats.iter().all(|stats| stats.isolation == isolation.word()));
    }
    assert_eq!(rounds[0].processes.len(), 150);
    assert_eq!(rounds[0].processes[149].1["echo.pid"], 150.0);
    assert_eq!(rounds[0].processes[149].1["echo.descendant"], 1150.0);
    assert_eq!(rounds[0].capacity[0].capacity, Some(15));
    assert_eq!(rounds[0].capacity[0].reason, "summed");
    for round in &rounds[1..] {
        assert_eq!(round.system, rounds[0].system);
        assert_eq!(round.processes, rounds[0].processes);
        assert_eq!(round.capacity[0].reason, rounds[0].capacity[0].reason);
        assert_eq!(round.capacity[0].capacity, rounds[0].capacity[0].capacity);
    }
}

#[test]
fn words_and_faults_come_through() {
    for isolation in APART {
        let classes = ["Chatters", "Errs", "Panics", "NotFinite", "Negative", "Usurps"];
        let specs = classes.map(|class| isolated(metrics(class), isolation));
        let mut world = World::of(&misbehaving(), &specs);
        let first = world.round();
        assert_eq!(first.system["fine.one"], 1.0);
        assert_eq!(first.system["fine.signed"], -2.0);
        assert!(
            world.heard("my_NotFinite", "are no finite numbers were dropped: 2 so far, such as `bad.nan`")
        );
        assert!(world.heard("my_Negative", "such as `bad.negative`"));
        assert!(world.heard("my_Usurps", "the host's own"), "{:?}", world.said);
        assert!(world.heard("my_Errs", "the service is down"));
        world.round();
        assert!(world.heard("my_Chatters", "chatter 0"));
        assert!(world.heard("my_Chatters", "of its log records were dropped"), "no word of dropped records");
        let told = world.troubles("my_Panics");
        assert!(told[0].contains("panicked: call 2 went wrong at src/lib.rs:"), "{told:?}");
    }
}

#[test]
fn a_refused_configuration_is_told_as_everywhere() {
    for isolation in APART {
        let spec = isolated(with_config(metrics("FailsToStart"), json!({ "how": "laugh" })), isolation);
        let world = World::of(&misbehaving(), &[spec]);
        let sentence = world.failures[0].to_string();
        assert!(sentence.contains("refuses its configuration: `how` is `laugh`"), "{sentence}");
    }
}

#[test]
fn a_hang_is_killed_at_its_deadline() {
    for isolation in APART {
        let mut world = World::of(
            &misbehaving(),
            &[isolated(hasty(metrics("Hangs")), isolation), isolated(metrics("Good"), isolation)],
        );
        let runner = world.host.stats()[0].runner.expect("a process of its own").pid;
        let round = world.round();
        assert_eq!(round.system["good.calls"], 1.0);
        let told = world.troubles("my_Hangs");
        assert!(told[0].contains("did not answer within 300 ms"), "{told:?}");
        wait_until_gone(runner);
        assert_eq!(world.host.stats()[0].deadline_misses, 1);
    }
}

/// A process that was reaped has no entry any more.
fn wait_until_gone(pid: u32) {
    let entry = format!("/proc/{pid}");
    wait_until("the end of a runner", PATIENCE, || !std::path::Path::new(&entry).exists());
}

#[test]
fn a_sandboxed_plugin_learns_of_processes_what_one_in_this_process_reads() {
    let sleeper = Sleeper::start();
    let mut seen = Vec::new();
    for isolation in ALL {
        let mut spec = isolated(metrics("Curious"), isolation);
        spec.grants = Grants { environment: vec!["SHOWN".to_owned()], ..Grants::default() };
        let mut world = World::of(&misbehaving(), &[spec]);
        assert!(world.failures.is_empty(), "{:?}", world.failures);
        let round = world.round_over(vec![sleeper.facts(1)], Metrics::new());
        assert!(world.failed.is_empty(), "{:?}", world.failed);
        seen.push(round.processes[0].1.clone());
        assert_eq!(
            round.processes[0].1["curious.out_of_turn"], 0.0,
            "it learnt of a process that is not the run's"
        );
    }
    let pid = sleeper.0.id();
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives").count();
    assert_eq!(seen[0]["curious.open_files"], open as f64);
    assert_eq!(seen[0]["curious.arguments"], 2.0);
    let exe = std::fs::read_link(format!("/proc/{pid}/exe")).expect("a link");
    assert_eq!(seen[0]["curious.exe_length"], exe.as_os_str().len() as f64);
    assert_eq!(seen[0]["curious.shown"], 4.0);
    assert!(seen[0]["curious.pss_bytes"] > 0.0);
    assert_eq!(seen[0]["curious.hidden"], 3.0, "in the host's own process it could read it anyway");
    for apart in &mut seen[1..] {
        assert_eq!(apart.remove("curious.hidden"), Some(-1.0), "only granted variables are handed out");
    }
    seen[0].remove("curious.hidden");
    // Shared pages are divided by the number of users, which changes with the processes of other tests.
    let pss: Vec<f64> = seen.iter_mut().filter_map(|metrics| metrics.remove("curious.pss_bytes")).collect();
    assert!(pss.len() == 3 && pss.iter().all(|bytes| *bytes > 0.0), "{pss:?}");
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
}

#[test]
fn state_survives_a_crash() {
    for isolation in APART {
        let spec = isolated(with_config(metrics("Remembers"), json!({ "dies_at": 3 })), isolation);
        let mut world = World::of(&misbehaving(), &[spec]);
        assert_eq!(world.round().system["remembers.calls"], 1.0);
        let after = world.rounds_until(|_, round| round.system.get("remembers.calls") > Some(&3.0));
        assert!(world.troubles("my_Remembers")[0].contains("signal 6"), "{:?}", world.failed);
        assert!(after.system["remembers.calls"] > 3.0);
    }
}

#[test]
fn what_a_runner_uses_is_booked() {
    let mut world = World::of(&misbehaving(), &[isolated(metrics("Good"), Isolation::Sandbox)]);
    world.round();
    let stats = &world.host.stats()[0];
    let runner = stats.runner.expect("a process of its own");
    assert_ne!(runner.pid, std::process::id());
    assert!(runner.memory > 100_000, "{runner:?}");
    assert_eq!(stats.memory, Some(runner.memory));
    drop(world);
    wait_until_gone(runner.pid);
}

#[test]
fn without_a_program_to_run_it_in_nothing_is_isolated() {
    let directory = crate::world::directory(&[&misbehaving()]);
    let catalog = orchestrator_plugin_host::Catalog::scan([directory.path()]);
    let specs = [isolated(metrics("Good"), Isolation::Sandbox)];
    let options = orchestrator_plugin_host::StartOptions::default();
    let (_host, failures) =
        orchestrator_plugin_host::PluginHost::start(&catalog, &specs, &options, std::sync::Arc::new(|_| {}));
    assert!(failures[0].to_string().contains("cannot be isolated"), "{}", failures[0]);
}

#[test]
fn a_runner_is_of_no_use_to_people() {
    let output = Command::new(artifacts::orchestrator()).arg("plugin-runner").output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("needs a socket as standard input"), "{words}");
}

/// A program that is no runner, or a hostile one: whatever it says, it ends with one sentence and without a delay.
#[test]
fn who_only_claims_to_be_a_runner_is_found_out() {
    let directory = crate::world::directory(&[&misbehaving()]);
    for (script, words) in [
        ("exit 0", "exit code 0"),
        ("kill -SEGV $$", "signal 11"),
        ("cat >&0", "what is no message"),
        ("printf hello >&0; exec sleep 600", "what is no message"),
        ("exec cat /dev/zero >&0", "was ended, since its process sent"),
        ("exec 0<&-; exec sleep 600", "cut itself off"),
    ] {
        let runner = Runner { program: "/bin/sh".into(), arguments: ["-c", script].map(Into::into).to_vec() };
        let options = StartOptions { runner: Some(runner), ..StartOptions::default() };
        let mut spec = isolated(metrics("Good"), Isolation::Sandbox);
        spec.required = true;
        let world = World::start_with(&[directory.path().to_owned()], &[spec], &options);
        let told = world.failures[0].to_string();
        assert!(told.contains(words) && told.lines().count() == 1, "{script}: {told}");
    }
}

#[test]
fn a_killed_host_leaves_no_runner() {
    let scene = Scene::new();
    std::fs::copy(misbehaving(), scene.join("plugins/libmisbehaving_plugin.so")).expect("a copy");
    scene.inputs(&["a"]);
    let plugins = format!(
        "{QUICK}plugins:\n  directories: [{}]\n  capacity: []\n  metrics:\n    - {{name: idle, class: Good, interval: 1h}}\n    \
         - {{name: hanging, class: Spins, deadline_ms: 3600000}}\n    - {{name: plain, class: Spins, isolation: process, deadline_ms: 3600000}}\n",
        scene.join("plugins").display()
    );
    scene.config(std::path::Path::new("/bin/sleep"), &["600"], "", &plugins);
    let host = scene.start(&["run", "config.yaml"]);
    let runners = || -> Vec<u32> {
        let children = orchestrator_tests::processes::children(host.pid()).into_iter().map(|child| child.pid);
        children.filter(|pid| command_line(*pid).contains("plugin-runner")).collect()
    };
    wait_until("three runners", PATIENCE, || runners().len() == 3);
    let before = runners();
    let spinning =
        || before.iter().filter(|pid| orchestrator_tests::processes::state(**pid) == Some('R')).count();
    wait_until("two calls without an end", PATIENCE, || spinning() == 2);
    host.signal(Signal::KILL);
    host.wait();
    for pid in before {
        wait_until("the end of a runner", PATIENCE, || !command_line(pid).contains("plugin-runner"));
    }
}

fn command_line(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}
