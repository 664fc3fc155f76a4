//! Corners of the main job: checks that outlive a killed host, neighbours in one output directory, what logs say.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use orchestrator_tests::artifacts;
use orchestrator_tests::host::Outcome;
use orchestrator_tests::processes::{Seen, mentioning, wait_until};
use orchestrator_tests::scene::{QUICK, Scene};
use rustix::process::Signal;

const PATIENCE: Duration = Duration::from_secs(60);
const SOME_FAILED: i32 = 100;

/// `output.validation` with this command.
fn validation(command: &[&str]) -> String {
    let words = serde_json::to_string(command).expect("strings are JSON");
    format!("  validation: {{command: {words}}}\n{QUICK}")
}

/// The fixture as a check that waits until `gate` exists.
fn waiting_check(gate: &Path) -> String {
    let program = artifacts::fixture();
    let (program, gate) = (program.to_string_lossy(), gate.to_string_lossy());
    validation(&[&program, "--input", "{output_file}", "--no-output", "--wait-for", &gate])
}

fn checks(scene: &Scene) -> Vec<Seen> {
    let seen = mentioning(scene.path());
    seen.into_iter().filter(|seen| seen.command.contains("--no-output")).collect()
}

#[test]
fn a_check_that_a_killed_host_left_behind_is_ended_by_the_next_start() {
    let scene = Scene::new();
    scene.inputs(&["a.dat"]);
    scene.fixture_config(&[], &waiting_check(&scene.join("never")));
    let host = scene.start(&["run", "config.yaml"]);
    wait_until("the check works", PATIENCE, || checks(&scene).len() == 1);
    host.signal(Signal::KILL);
    let _said = host.wait();
    assert_eq!(checks(&scene).len(), 1, "nothing is left behind: this test tests nothing");

    let open = scene.join("open");
    fs::write(&open, "").expect("a gate");
    scene.fixture_config(&[], &waiting_check(&open));
    let _said = scene.run_config().expect_code(0);
    assert_eq!(checks(&scene), []);
    assert_eq!(scene.outputs(), ["a.dat.out"]);
}

#[test]
fn a_rejection_says_what_the_check_said() {
    let scene = Scene::new();
    scene.inputs(&["a.dat"]);
    let check = ["sh", "-c", "echo 'line 7: no header' >&2; echo more; exit 3", "{output_file}"];
    scene.fixture_config(&[], &validation(&check));
    let _said = scene.run_config().expect_code(SOME_FAILED);
    let _said = scene
        .run(&["explain", "a.dat", "config.yaml"])
        .expect_words(&["rejected the output (exit 3): line 7: no header"]);
}

#[test]
fn a_task_is_found_by_the_path_that_a_shell_completes() {
    let scene = Scene::new();
    scene.inputs(&["a.dat"]);
    scene.fixture_config(&[], QUICK);
    let _said = scene.run_config().expect_code(0);
    let absolute = scene.join("in/a.dat");
    for name in ["a.dat", "./a.dat", "in/a.dat", "./in/a.dat", &absolute.to_string_lossy()] {
        let _said = scene.run(&["explain", name, "config.yaml"]).expect_code(0).expect_words(&["COMPLETED"]);
    }
    scene.inputs(&["b.dat"]);
    let _said = scene
        .run(&["explain", "in/b.dat", "config.yaml"])
        .expect_code(0)
        .expect_words(&["the next run launches it"]);
    let _said = scene.run(&["explain", "in/c.dat", "config.yaml"]).expect_code(2);
}

#[test]
fn runs_with_states_of_their_own_share_an_output_directory() {
    let scene = Scene::new();
    scene.inputs(&["a.dat"]);
    let gate = scene.join("gate");
    let state = |name: &str| format!("{QUICK}state: {{directory: {}}}\n", scene.join(name).display());
    scene.fixture_config(&["--wait-for", &gate.to_string_lossy()], &state("first"));
    let first = scene.start(&["run", "config.yaml"]);
    wait_until("the first run works", PATIENCE, || scene.executions().len() == 1);

    scene.fixture_config(&[], &state("second"));
    let _said = scene.run_config().expect_code(0);
    fs::remove_file(scene.join("out/a.dat.out")).expect("the second run's output");
    fs::write(gate, "").expect("a gate");
    let _said = first.wait().expect_code(0);
    assert_eq!(scene.outputs(), ["a.dat.out"]);
    assert_eq!(scene.executions().len(), 2, "the first run's only attempt was spoilt");
}

#[test]
fn after_a_fresh_start_logs_are_those_of_the_new_attempts() {
    let scene = Scene::new();
    scene.inputs(&["a.dat"]);
    scene.fixture_config(&["--stderr-bytes", "50"], QUICK);
    let _said = scene.run_config().expect_code(0);
    fs::remove_file(scene.join("in/a.dat")).expect("an input");
    scene.inputs(&["b.dat"]);
    scene.fixture_config(&[], QUICK);
    let _said = scene.run(&["run", "--fresh", "config.yaml"]).expect_code(0);
    let said = scene.run(&["logs", "b.dat", "config.yaml"]).expect_code(0);
    assert_eq!(said.stdout, "");
}

/// The most executions that the fixture's log shows at once.
fn peak(scene: &Scene) -> usize {
    let log = fs::read_to_string(scene.join("executions.log")).expect("the log");
    let (mut running, mut peak) = (0_usize, 0);
    for line in log.lines() {
        running = if line.starts_with("start\t") { running + 1 } else { running.saturating_sub(1) };
        peak = peak.max(running);
    }
    peak
}

/// Starts the host over `count` inputs that wait until as many as `enough` run; ends when all are done.
fn run_together(scene: &Scene, command: Command, count: usize, enough: usize) -> Outcome {
    let names: Vec<String> = (0..count).map(|number| format!("{number:03}.dat")).collect();
    scene.inputs(&names);
    let host = scene.start_command(command);
    wait_until("so many run at once", PATIENCE, || scene.executions().len() >= enough);
    fs::write(scene.join("gate"), "").expect("a gate");
    host.wait().expect_code(0)
}

#[test]
fn open_files_bound_how_many_run_and_that_is_told() {
    let scene = Scene::new();
    let gate = scene.join("gate").to_string_lossy().into_owned();
    let more = "calibration: {enabled: false}\nconcurrency: {mode: fixed, max: 100}\n";
    scene.fixture_config(&["--wait-for", &gate], more);
    let host = scene.command(&["run", "config.yaml"]);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 160; exec \"$0\" \"$@\""]).arg(host.get_program()).args(host.get_args());
    command.current_dir(scene.path());
    let said = run_together(&scene, command, 110, 1).expect_words(&["instead of 100", "ulimit -n"]);
    let bound = said.text().split("at most ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
    let bound: usize = bound.unwrap_or_else(|| panic!("no number in {}", said.text()));
    assert!((1..=100).contains(&bound) && peak(&scene) <= bound, "{} ran, bound {bound}", peak(&scene));
    assert_eq!(scene.outputs().len(), 110);
}

#[test]
fn cores_bound_how_many_run_when_nothing_else_does() {
    let scene = Scene::new();
    let gate = scene.join("gate").to_string_lossy().into_owned();
    let more = "calibration: {enabled: false}\nplugins: {metrics: [], capacity: []}\n";
    scene.fixture_config(&["--wait-for", &gate], more);
    let cores = std::thread::available_parallelism().expect("a number of cores").get();
    let _said = run_together(&scene, scene.command(&["run", "config.yaml"]), 4 * cores, cores);
    assert_eq!(peak(&scene), cores);
}
