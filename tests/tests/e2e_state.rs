//! The durable state from outside: two hosts at once, files torn or from another time, changed inputs.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use orchestrator_tests::dice::Dice;
use orchestrator_tests::host::Outcome;
use orchestrator_tests::processes::wait_until;
use orchestrator_tests::scene::{QUICK, Scene};
use rustix::process::Signal;

const STATE_IO: i32 = 74;
const INPUTS: usize = 12;

fn finished() -> Scene {
    let scene = Scene::new();
    let names: Vec<String> = (0..INPUTS).map(|i| format!("{i:02}.dat")).collect();
    scene.inputs(&names);
    scene.fixture_config(&[], QUICK);
    let _said = scene.run_config().expect_code(0);
    assert_eq!(scene.outputs().len(), INPUTS);
    scene
}

#[test]
fn a_finished_run_is_not_run_again() {
    let scene = finished();
    let _said = scene.run_config().expect_code(0);
    assert_eq!(scene.executions().len(), INPUTS);
}

#[test]
fn changed_input_is_new_work() {
    let scene = finished();
    fs::write(scene.join("in/03.dat"), "something else, longer than before\n").expect("an input");
    let _said = scene.run_config().expect_code(0);
    assert_eq!(scene.executions().len(), INPUTS + 1);
    assert_eq!(scene.executions()[INPUTS], "03.dat");
    let output = fs::read_to_string(scene.join("out/03.dat.out")).expect("its output");
    assert_eq!(output, "something else, longer than before\n");
}

#[test]
fn changed_command_is_new_work() {
    let scene = finished();
    scene.fixture_config(&["--burn-ms", "1"], QUICK);
    let _said = scene.run_config().expect_code(0);
    assert_eq!(scene.executions().len(), 2 * INPUTS);
}

#[test]
fn fresh_forgets() {
    let scene = finished();
    let _said = scene.run(&["run", "--fresh", "config.yaml"]).expect_code(0);
    assert_eq!(scene.executions().len(), 2 * INPUTS);
}

#[test]
fn an_output_that_was_deleted_is_made_again() {
    let scene = finished();
    fs::remove_file(scene.join("out/05.dat.out")).expect("an output");
    let _said = scene.run_config().expect_code(0);
    assert_eq!(scene.outputs().len(), INPUTS, "COMPLETED without its output");
    assert_eq!(scene.executions().len(), INPUTS + 1);
}

#[test]
fn an_unfinished_input_that_was_removed_does_no_harm() {
    let scene = Scene::new();
    scene.inputs(&["a.dat", "b.dat", "c.dat"]);
    let gate = scene.join("gate");
    scene.fixture_config(&["--wait-for", &gate.to_string_lossy()], QUICK);
    let host = scene.start(&["run", "config.yaml"]);
    wait_until("an attempt is under way", Duration::from_secs(60), || !scene.executions().is_empty());
    host.signal(Signal::KILL);
    drop(host.wait());
    let begun = scene.executions()[0].clone();
    fs::remove_file(scene.join("in").join(&begun)).expect("an input");
    fs::write(&gate, "").expect("the gate");

    let _said = scene.run_config().expect_code(0).expect_words(&["not found"]);
    assert_eq!(scene.outputs().len(), 2, "the others are done");
    fs::write(scene.join("in").join(&begun), "it is back\n").expect("an input");
    let _said = scene.run_config().expect_code(0);
    assert_eq!(scene.outputs().len(), 3, "and it, once it is back");
}

#[test]
fn an_input_that_failed_unseen_is_new_work_when_it_is_there() {
    let scene = Scene::new();
    scene.inputs(&["a.dat"]);
    std::os::unix::fs::symlink("nowhere", scene.join("in/b.dat")).expect("a dangling link");
    scene.fixture_config(&[], QUICK);
    let _said = scene.run_config();
    fs::remove_file(scene.join("in/b.dat")).expect("the link");
    fs::write(scene.join("in/b.dat"), "now it is here\n").expect("an input");
    let _said = scene.run_config().expect_code(0);
    assert_eq!(scene.outputs().len(), 2);
}

#[test]
fn two_hosts_at_once() {
    let scene = Scene::new();
    scene.inputs(&["a.dat"]);
    let gate = scene.join("gate");
    scene.fixture_config(&["--wait-for", &gate.to_string_lossy()], QUICK);
    let first = scene.start(&["run", "config.yaml"]);
    wait_until("the first host works", Duration::from_secs(60), || scene.executions().len() == 1);
    let holder = first.pid().to_string();
    let _said = scene.run_config().expect_code(STATE_IO).expect_words(&[&holder]);
    fs::write(gate, "").expect("the gate");
    let _said = first.wait().expect_code(0);
    assert_eq!(scene.executions().len(), 1);
}

/// Every file of the state, with its content.
fn snapshot(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("the state").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(snapshot(&path));
        } else if let Ok(content) = fs::read(&path) {
            files.push((path, content));
        }
    }
    files
}

fn restore(folder: &Path, files: &[(PathBuf, Vec<u8>)]) {
    fs::remove_dir_all(folder).expect("the state goes");
    for (path, content) in files {
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder of the state");
        fs::write(path, content).expect("a file of the state");
    }
}

/// Either the work is all there, or a sentence names the file and the way out; never a panic.
#[track_caller]
fn continued_or_explained(scene: &Scene, said: Outcome, torn: &Path) -> bool {
    assert!(!said.text().contains("panicked"), "{}", said.text());
    if said.code() == STATE_IO {
        let name = torn.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let _said = said.expect_words(&[&name, "--fresh"]);
        return false;
    }
    let _said = said.expect_code(0);
    for i in 0..INPUTS {
        let input = fs::read(scene.join(&format!("in/{i:02}.dat"))).expect("an input");
        let output = fs::read(scene.join(&format!("out/{i:02}.dat.out"))).expect("an output");
        assert_eq!(input, output);
    }
    true
}

/// The largest file of the state whose name ends so.
fn find<'a>(files: &'a [(PathBuf, Vec<u8>)], ending: &str) -> &'a (PathBuf, Vec<u8>) {
    let matching = files.iter().filter(|(path, _)| path.to_string_lossy().ends_with(ending));
    matching.max_by_key(|(_, content)| content.len()).unwrap_or_else(|| panic!("no *{ending} in the state"))
}

mod heavy {
    use super::*;

    #[test]
    fn a_torn_database_is_told_or_cut_never_a_panic() {
        let mut dice = Dice::from_environment();
        let scene = finished();
        let state = scene.join("out/.orchestrator");
        let files = snapshot(&state);
        let (path, content) = find(&files, ".db");
        let mut refused = 0;
        for _ in 0..50 {
            restore(&state, &files);
            let offset = dice.below(content.len() as u64);
            OpenOptions::new().write(true).open(path).expect("it").set_len(offset).expect("a torn file");
            if !continued_or_explained(&scene, scene.run_config(), path) {
                refused += 1;
            }
        }
        eprintln!("{refused} of 50 torn databases were refused with a sentence, the others continued");
        // The way out that the sentence names is one.
        restore(&state, &files);
        OpenOptions::new()
            .write(true)
            .open(path)
            .expect("it")
            .set_len(content.len() as u64 / 2)
            .expect("torn");
        let said = scene.run(&["run", "--fresh", "config.yaml"]);
        assert!(continued_or_explained(&scene, said, path));
    }

    #[test]
    fn a_torn_log_loses_its_tail_at_most() {
        let mut dice = Dice::from_environment();
        let scene = Scene::new();
        let names: Vec<String> = (0..INPUTS).map(|i| format!("{i:02}.dat")).collect();
        scene.inputs(&names);
        let gate = scene.join("gate");
        scene.fixture_config(&["--only", "11", "--wait-for", &gate.to_string_lossy()], QUICK);
        let first = scene.start(&["run", "config.yaml"]);
        wait_until("all but one are done", Duration::from_secs(60), || scene.outputs().len() == INPUTS - 1);
        first.signal(Signal::KILL);
        let _killed = first.wait();
        fs::write(&gate, "").expect("the gate");
        let state = scene.join("out/.orchestrator");
        let files = snapshot(&state);
        let (path, content) = find(&files, "-wal");
        for _ in 0..50 {
            restore(&state, &files);
            let offset = dice.below(content.len() as u64);
            OpenOptions::new().write(true).open(path).expect("it").set_len(offset).expect("a torn log");
            assert!(continued_or_explained(&scene, scene.run_config(), path), "a torn tail stopped the run");
        }
    }
}

#[test]
fn state_from_a_newer_version() {
    let scene = finished();
    let state = scene.join("out/.orchestrator");
    let files = snapshot(&state);
    let (path, _) = find(&files, ".db");
    let database = rusqlite::Connection::open(path).expect("the state is a database");
    database.pragma_update(None, "user_version", 9_999).expect("a version from the future");
    drop(database);
    let said = scene.run_config().expect_code(STATE_IO).expect_words(&["newer"]);
    assert!(!said.text().contains("panicked"));
    assert_eq!(scene.executions().len(), INPUTS);
    assert_eq!(scene.outputs().len(), INPUTS);
}
