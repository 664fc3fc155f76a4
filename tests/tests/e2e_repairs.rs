//! Corners of the main job: checks that outlive a killed host, neighbours in one output directory, what logs say.

use std::fs;
use std::path::Path;
use std::time::Duration;

use orchestrator_tests::artifacts;
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
