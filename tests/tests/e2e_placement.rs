//! Where processes run, as their own kernel sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use orchestrator_core::placement::CpuSet;
use orchestrator_tests::artifacts;
use orchestrator_tests::processes::wait_until;
use orchestrator_tests::scene::Scene;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

/// Those of them that are there: a mask may name some that could be plugged in.
fn present() -> CpuSet {
    let online = fs::read_to_string("/sys/devices/system/cpu/online").expect("a list of processors");
    let online = CpuSet::parse(&online).expect("a list");
    own().iter().filter(|cpu| online.contains(*cpu)).collect()
}

/// The processors of this very test.
fn own() -> CpuSet {
    let status = fs::read_to_string("/proc/self/status").expect("our status");
    CpuSet::parse(line(&status)).expect("a list")
}

fn line(status: &str) -> &str {
    status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .expect("a list of processors")
        .trim()
}

/// Two processes at a time, each of which writes down its processors and then waits for `before_end`.
fn scene(files: u32, placement: &str, before_end: &str) -> Scene {
    let scene = Scene::new();
    let names: Vec<String> = (0..files).map(|file| format!("f{file}")).collect();
    scene.inputs(&names);
    let script = format!("grep Cpus_allowed_list /proc/self/status > {{output_file}}; {before_end}");
    let more = format!(
        "calibration: {{enabled: false}}\nconcurrency: {{mode: fixed, max: 2, placement: '{placement}'}}\n"
    );
    scene.config(Path::new("/bin/sh"), &["-c", &script], "", &more);
    scene
}

/// The processors that each finished process had.
fn given(scene: &Scene) -> Vec<String> {
    let read = |name: &String| fs::read_to_string(scene.join("out").join(name)).expect("an output");
    scene.outputs().iter().map(|name| line(&read(name)).to_owned()).collect()
}

/// What a command prints as its only line of JSON.
fn said(scene: &Scene, words: &[&str]) -> Value {
    let outcome = scene.run(&[words, &["--format", "json"]].concat()).expect_code(0);
    serde_json::from_str(outcome.stdout.trim()).expect("one line of JSON")
}

/// Where the attempts of a run are by its last snapshot, by file; nothing as long as there is none.
fn shown(scene: &Scene) -> BTreeMap<String, String> {
    let outcome = scene.run(&["status", "--format", "json"]);
    let status: Value = serde_json::from_str(outcome.stdout.trim()).unwrap_or_default();
    let attempts = status["snapshot"]["attempts"].as_array().cloned().unwrap_or_default();
    let place =
        |one: &Value| Some((one["path"].as_str()?.to_owned(), one["place"]["cpus"].as_str()?.to_owned()));
    attempts.iter().filter_map(place).collect()
}

#[test]
fn two_at_once_have_a_processor_each_and_that_is_told_while_they_run() {
    if present().len() < 2 {
        eprintln!("skipped: this machine has one processor");
        return;
    }
    let scene = scene(2, "core", "until [ -e go ]; do sleep 0.02; done");
    let mut host = scene.start(&["run", "config.yaml"]);
    let mut places = BTreeMap::new();
    wait_until("both are shown with their places", LIMIT, || {
        assert!(host.is_running(), "{}", host.said());
        places = shown(&scene);
        places.len() == 2
    });
    for (file, place) in &places {
        wait_until("its process runs", LIMIT, || {
            said(&scene, &["explain", file])["attempts"][0]["cpus"].as_str() == Some(place.as_str())
        });
        let outcome = scene.run(&["explain", file]).expect_code(0);
        assert!(outcome.stdout.contains(&format!("may run on CPU {place}\n")), "{}", outcome.stdout);
    }
    let places: Vec<String> = places.into_values().collect();
    fs::write(scene.join("go"), "").expect("a file");
    host.wait().expect_code(0);
    assert_eq!(given(&scene), places);
    assert_ne!(places[0], places[1]);
    assert!(places.iter().all(|one| CpuSet::parse(one).is_some_and(|one| one.len() == 1)), "{places:?}");
    let over = said(&scene, &["explain", "f0"]);
    assert_eq!(over["attempts"][0]["cpus"], Value::Null, "it runs no more: {over}");
}

#[test]
fn places_are_given_again_and_no_other_ones() {
    let all = present();
    let scene = scene(30, "core", "");
    scene.run_config().expect_code(0);
    let given: BTreeSet<String> = given(&scene).into_iter().collect();
    assert!(given.len() <= 2, "two at a time need two processors, not {given:?}");
    if all.len() > 1 {
        assert!(given.iter().all(|one| CpuSet::parse(one).is_some_and(|one| one.len() == 1)), "{given:?}");
    }
    let within = |one: &String| CpuSet::parse(one).is_some_and(|one| one.iter().all(|cpu| all.contains(cpu)));
    assert!(given.iter().all(within), "{given:?} of {all}");
}

#[test]
fn what_the_host_may_not_use_is_given_to_nobody() {
    let last = present().iter().last().expect("a processor").to_string();
    for placement in ["core", "auto", "node", "none"] {
        let scene = scene(4, placement, "");
        let mut host = Command::new("taskset");
        host.args(["-c", &last]).arg(artifacts::orchestrator()).args(["run", "config.yaml"]);
        host.current_dir(scene.path()).env("NO_COLOR", "1");
        scene.start_command(host).wait().expect_code(0);
        assert_eq!(given(&scene), vec![last.clone(); 4], "{placement}");
    }
}

#[test]
fn nothing_is_confined_where_nobody_asked_for_it() {
    let all = own().to_string();
    for placement in ["none", "core:65000"] {
        let scene = scene(4, placement, "");
        scene.run_config().expect_code(0);
        assert_eq!(given(&scene), vec![all.clone(); 4], "{placement}");
    }
}

#[test]
fn check_shows_the_machine_and_what_the_wish_means_there() {
    let all = present();
    let scene = scene(1, "core", "");
    let plan = said(&scene, &["check", "config.yaml"])["plan"].clone();
    assert_eq!(plan["machine"]["cpus"], Value::from(all.len()), "{plan}");
    let nodes = plan["machine"]["nodes"].as_array().expect("nodes");
    let cpus: usize = nodes
        .iter()
        .map(|node| CpuSet::parse(node["cpus"].as_str().unwrap_or_default()).map_or(0, |cpus| cpus.len()))
        .sum();
    assert_eq!(cpus, all.len(), "{plan}");
    let words = scene.run(&["check", "config.yaml"]).expect_code(0);
    assert!(words.stdout.contains("placement  core"), "{}", words.stdout);
    let wrong = scene.run(&["check", "config.yaml", "--set", "concurrency.placement=socket"]).expect_code(78);
    assert!(wrong.text().contains("write auto, none, node, core"), "{}", wrong.text());
}
