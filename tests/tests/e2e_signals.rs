//! Signals: drain, stop, leave; pause and go on; read the configuration again.

use std::fs;
use std::time::Duration;

use orchestrator_tests::host::Running;
use orchestrator_tests::processes::{Seen, mentioning, state, wait_until};
use orchestrator_tests::scene::{QUICK, Scene};
use rustix::process::Signal;

const INTERRUPTED: i32 = 75;
const PATIENCE: Duration = Duration::from_secs(60);

/// Ten inputs, two at a time, each waiting for the file `gate`.
struct Gated {
    scene: Scene,
    host: Running,
}

impl Gated {
    fn start(acts: &[&str], more: &str) -> Self {
        let scene = Scene::new();
        let names: Vec<String> = (0..10).map(|i| format!("{i}.dat")).collect();
        scene.inputs(&names);
        let gate = scene.join("gate").to_string_lossy().into_owned();
        let acts: Vec<&str> = acts.iter().copied().chain(["--wait-for", &gate]).collect();
        scene.fixture_config(&acts, &format!("{}{more}", QUICK.replace("max: 4", "max: 2")));
        let host = scene.start(&["run", "config.yaml"]);
        let gated = Self { scene, host };
        gated.until_started(2);
        gated
    }

    fn until_started(&self, count: usize) {
        wait_until("processes were started", PATIENCE, || {
            assert!(state(self.host.pid()).is_some(), "the host ended:\n{}", self.host.said());
            self.scene.executions().len() >= count
        });
    }

    /// The processes of tasks.
    fn workers(&self) -> Vec<Seen> {
        workers(&self.scene)
    }

    fn open_gate(&self) {
        fs::write(self.scene.join("gate"), "").expect("the gate");
    }
}

/// The processes of tasks; not the host and not its helpers.
fn workers(scene: &Scene) -> Vec<Seen> {
    mentioning(scene.path()).into_iter().filter(|seen| seen.command.contains("--input")).collect()
}

/// What was interrupted is completed by the next run, each input published once.
fn next_run_ends_the_work(scene: &Scene) {
    fs::write(scene.join("gate"), "").expect("the gate");
    let _said = scene.run_config().expect_code(0);
    assert_eq!(scene.outputs().len(), 10);
}

fn drains_on(signal: Signal) {
    let gated = Gated::start(&[], "shutdown: {drain_seconds: 60}\n");
    gated.host.signal(signal);
    wait_until("it says so", PATIENCE, || gated.host.said().to_lowercase().contains("drain"));
    gated.open_gate();
    let Gated { scene, host } = gated;
    let _said = host.wait().expect_code(INTERRUPTED);
    assert_eq!(scene.outputs().len(), 2, "running tasks end in peace");
    assert_eq!(scene.executions().len(), 2, "nothing new is started");
    next_run_ends_the_work(&scene);
    assert_eq!(scene.executions().len(), 10);
}

#[test]
fn interrupt_once_drains() {
    drains_on(Signal::INT);
}

#[test]
fn terminate_once_drains() {
    drains_on(Signal::TERM);
}

#[test]
fn a_drain_that_takes_too_long_stops() {
    let gated = Gated::start(&[], "shutdown: {drain_seconds: 1, grace_seconds: 5}\n");
    gated.host.signal(Signal::INT);
    let Gated { scene, host } = gated;
    let _said = host.wait().expect_code(INTERRUPTED);
    assert!(scene.outputs().is_empty());
    assert!(workers(&scene).is_empty());
    next_run_ends_the_work(&scene);
}

#[test]
fn interrupt_twice_stops_now() {
    let gated = Gated::start(&[], "shutdown: {drain_seconds: 600, grace_seconds: 5}\n");
    gated.host.signal(Signal::INT);
    wait_until("it drains", PATIENCE, || gated.host.said().to_lowercase().contains("drain"));
    gated.host.signal(Signal::INT);
    let Gated { scene, host } = gated;
    let _said = host.wait().expect_code(INTERRUPTED);
    assert!(workers(&scene).is_empty(), "left running: {:?}", workers(&scene));
    assert!(scene.outputs().is_empty());
    next_run_ends_the_work(&scene);
}

#[test]
fn interrupt_thrice_leaves_at_once_and_the_next_start_cleans_up() {
    let gated = Gated::start(&["--ignore-term"], "shutdown: {drain_seconds: 600, grace_seconds: 600}\n");
    gated.host.signal(Signal::INT);
    wait_until("it drains", PATIENCE, || gated.host.said().to_lowercase().contains("drain"));
    let before = gated.host.said().len();
    gated.host.signal(Signal::INT);
    wait_until("it stops", PATIENCE, || gated.host.said().len() > before);
    gated.host.signal(Signal::INT);
    let Gated { scene, host } = gated;
    let _said = host.wait().expect_code(INTERRUPTED);
    let left = workers(&scene);
    next_run_ends_the_work(&scene);
    for seen in left {
        assert!(!workers(&scene).contains(&seen), "{seen:?} survived the next start");
    }
}

#[test]
fn a_check_of_an_output_holds_nobody_up_who_stops_and_is_not_left_behind() {
    let scene = Scene::new();
    scene.inputs(&["a.dat", "b.dat"]);
    let check = scene.join("check");
    let hang = scene.join("hang");
    fs::write(&check, format!("[ -e '{0}' ] || exit 0\nsleep 600\n", hang.display())).expect("the check");
    fs::write(&hang, "").expect("what makes it hang");
    let config = scene.fixture_config(&[], QUICK);
    let command = format!("  validation: {{command: [/bin/sh, '{}', '{{output_file}}']}}\n", check.display());
    let text = fs::read_to_string(&config).expect("the configuration");
    let text = text.replace("  file_suffix", &format!("{command}  file_suffix"));
    fs::write(&config, text).expect("the configuration");
    let host = scene.start(&["run", "config.yaml"]);
    let checks = || mentioning(&check).into_iter().filter(|seen| seen.command.starts_with("/bin/sh"));
    wait_until("both outputs are checked", PATIENCE, || checks().count() == 2);
    host.signal(Signal::INT);
    wait_until("it drains", PATIENCE, || host.said().to_lowercase().contains("drain"));
    host.signal(Signal::INT);
    let _said = host.wait().expect_code(INTERRUPTED);
    assert_eq!(checks().count(), 0, "left running");
    assert!(scene.outputs().is_empty());
    fs::remove_file(&hang).expect("it hangs no more");
    let _said = scene.run_config().expect_code(0);
    assert_eq!(scene.outputs().len(), 2);
}

#[test]
fn pause_and_go_on() {
    let gated = Gated::start(&[], "timeouts: {attempt: 60s}\n");
    let workers = gated.workers();
    assert_eq!(workers.len(), 2, "{workers:?}");
    gated.host.signal(Signal::TSTP);
    let stopped = |pid: u32| state(pid) == Some('T');
    wait_until("the workers pause", PATIENCE, || workers.iter().all(|seen| stopped(seen.pid)));
    wait_until("the host pauses", PATIENCE, || stopped(gated.host.pid()));
    gated.host.signal(Signal::CONT);
    wait_until("the workers go on", PATIENCE, || workers.iter().all(|seen| !stopped(seen.pid)));
    gated.open_gate();
    let Gated { scene, host } = gated;
    let _said = host.wait().expect_code(0);
    assert_eq!(scene.outputs().len(), 10);
    assert_eq!(scene.executions().len(), 10, "a pause costs no attempt");
}

#[test]
fn hangup_reads_the_configuration_again() {
    let gated = Gated::start(&[], "");
    let path = gated.scene.join("config.yaml");
    let text = fs::read_to_string(&path).expect("the configuration");
    // A mistake changes nothing.
    fs::write(&path, text.replace("max: 2", "max: many")).expect("a mistake");
    let before = gated.host.said().len();
    gated.host.signal(Signal::HUP);
    wait_until("it refuses", PATIENCE, || gated.host.said().len() > before);
    assert_eq!(gated.workers().len(), 2);
    // A change counts at once.
    fs::write(&path, text.replace("max: 2", "max: 5")).expect("a change");
    gated.host.signal(Signal::HUP);
    gated.until_started(5);
    assert_eq!(gated.workers().len(), 5);
    gated.open_gate();
    let Gated { scene, host } = gated;
    let _said = host.wait().expect_code(0);
    assert_eq!(scene.executions().len(), 10);
}

#[test]
fn user_signal_prints_the_status() {
    let gated = Gated::start(&[], "");
    let before = gated.host.said().len();
    gated.host.signal(Signal::USR1);
    wait_until("it tells", PATIENCE, || gated.host.said().len() > before);
    assert!(gated.host.said()[before..].contains('2'), "two are running:\n{}", gated.host.said());
    gated.open_gate();
    let _said = gated.host.wait().expect_code(0);
}
