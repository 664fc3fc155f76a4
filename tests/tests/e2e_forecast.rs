//! What prediction does for the user: time left, what a file takes, changes that are noticed, retries with more memory.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use orchestrator_tests::artifacts;
use orchestrator_tests::group::MemoryGroup;
use orchestrator_tests::host::{LIMIT, Running};
use orchestrator_tests::scene::Scene;
use rustix::process::Signal;
use serde_json::Value;

const PLAIN: &str = "plugins: {metrics: [], capacity: []}\nmetrics: {interval: 200ms}\n";

fn events(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

fn facts<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["fact"] == name).collect()
}

/// A program whose first word is the input and whose second is the output.
fn script(scene: &Scene, text: &str) -> PathBuf {
    let path = scene.join("work.sh");
    fs::write(&path, format!("#!/bin/sh\nset -e\n{text}\n")).expect("a script");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&path, mode).expect("a program");
    path
}

const FLAGS: [&str; 2] = ["{input_file}", "{output_file}"];

/// Run time follows the size of the input, in kilobytes of 50 ms each.
fn sized(scene: &Scene, kilobytes: &[usize]) {
    for (at, size) in kilobytes.iter().enumerate() {
        fs::write(scene.join(&format!("in/{at:03}.dat")), vec![b'x'; size * 1000]).expect("an input");
    }
    let text = "n=$(stat -c %s \"$1\")\nsleep $(awk \"BEGIN{print $n/20000}\")\ncp \"$1\" \"$2\"";
    let program = script(scene, text);
    scene.config(&program, &FLAGS, "", &format!("{PLAIN}concurrency: {{mode: fixed, max: 4}}\n"));
}

#[test]
fn time_left_weighs_files_by_size_and_is_held_against_what_came() {
    let scene = Scene::new();
    let mut sizes: Vec<usize> = (0..40).map(|at| 1 + at * 7 % 10).collect();
    sizes.extend([60, 60, 60, 60]);
    sized(&scene, &sizes);
    let outcome = scene.run(&["run", "config.yaml", "--format", "json"]).expect_code(0);
    let events = events(&outcome.stdout);
    let snapshots: Vec<_> = events.iter().filter(|event| event["event"] == "snapshot").collect();
    let said = snapshots.iter().find(|one| one["eta"].is_object()).expect("time left was said");
    let each = &said["forecast"]["each"];
    assert!(each["seconds"]["p50"].as_f64() <= each["seconds"]["p95"].as_f64(), "{said}");
    let last = events.last().expect("a last event");
    let (first, accuracy) = (&last["forecast"]["first"], &last["forecast"]["accuracy"]);
    assert!(first["eta"]["likely"].is_object() && accuracy["tasks"].as_u64() > Some(5), "{last}");

    let expected = |file: &str| {
        let outcome = scene.run(&["explain", file, "config.yaml", "--format", "json"]).expect_code(0);
        let value: Value = serde_json::from_str(&outcome.stdout).expect("one line of JSON");
        value["expected"].clone()
    };
    // Nobody ran a minute's worth of it: what is said of a large file comes from its size.
    for (file, kilobytes) in [("large.dat", 80.0), ("small.dat", 2.0)] {
        fs::write(scene.join("in").join(file), vec![b'x'; kilobytes as usize * 1000]).expect("an input");
        let promise = expected(file);
        let output = promise["output_bytes"]["p50"].as_f64().expect("bytes");
        assert!((output / (1000.0 * kilobytes) - 1.0).abs() < 0.3, "{file}: {promise}");
    }
    let (large, small) = (expected("large.dat"), expected("small.dat"));
    let seconds = |promise: &Value| promise["seconds"]["p50"].as_f64().expect("seconds");
    assert!(seconds(&large) > 4.0 * seconds(&small), "{large} {small}");
    scene.run(&["explain", "large.dat", "config.yaml"]).expect_code(0).expect_words(&["expected:", "memory"]);
}

#[test]
fn tasks_that_take_more_memory_than_in_an_earlier_run_are_told_of_once() {
    let scene = Scene::new();
    let fixture = artifacts::fixture();
    let text = format!(
        "{} --input \"$1\" --output \"$2\" --grow-mib $(cat {}) --sleep-ms 50",
        fixture.display(),
        scene.join("grow").display()
    );
    let program = script(&scene, &text);
    scene.config(&program, &FLAGS, "", &format!("{PLAIN}calibration: {{enabled: false}}\n"));
    let run = |grow: &str, prefix: &str, inputs: usize| {
        fs::write(scene.join("grow"), grow).expect("a number");
        scene.inputs(&(0..inputs).map(|at| format!("{prefix}{at:02}.dat")).collect::<Vec<_>>());
        scene.run_config().expect_code(0).stderr
    };
    let words = "× the memory that earlier ones of the same size took: relearning";
    assert_eq!(run("30", "a", 60).matches(words).count(), 0);
    let second = run("90", "b", 80);
    assert_eq!(second.matches(words).count(), 1, "{second}");
    assert_eq!(run("90", "c", 30).matches(words).count(), 0, "it is what is usual now");
}

/// Five tasks of which each soon needs more than half of a group of this size.
const HUNGRY: u64 = 240 << 20;

fn hungry(scene: &Scene) {
    scene.inputs(&["a", "b", "c", "d", "e"]);
    let text = format!(
        "sleep 2\nexec {} --input \"$1\" --output \"$2\" --grow-mib 140 --sleep-ms 1000",
        artifacts::fixture().display()
    );
    let program = script(scene, &text);
    let more = format!(
        "{PLAIN}calibration: {{enabled: false}}\nconcurrency: {{freeze: false, evict: false}}\n\
         retry: {{max_attempts: 4, delay: 100ms}}\n"
    );
    scene.config(&program, &FLAGS, "", &more);
}

fn start_in(group: &MemoryGroup, scene: &Scene) -> Running {
    scene.start_command(group.command(&scene.command(&["run", "config.yaml", "--format", "json"])))
}

#[test]
fn a_task_that_died_for_want_of_memory_comes_again_with_more_reserved() {
    let Some(group) = MemoryGroup::new(HUNGRY) else { return };
    let scene = Scene::new();
    hungry(&scene);
    let outcome = start_in(&group, &scene).wait().expect_code(0);
    let events = events(&outcome.stdout);
    let raised = facts(&events, "reservation_raised");
    assert!(!raised.is_empty(), "nothing died for want of memory: {}", outcome.text());
    for fact in &raised {
        assert!(fact["reserved"].as_u64() > fact["used"].as_u64(), "{fact}");
        let again =
            facts(&events, "reservation_raised").iter().filter(|one| one["task"] == fact["task"]).count();
        assert!(again <= 2, "task {} died {again} times: {}", fact["task"], outcome.stdout);
    }
    assert_eq!(scene.outputs().len(), 5);
}

#[test]
fn a_raised_reservation_outlives_a_host_that_is_killed() {
    let Some(group) = MemoryGroup::new(HUNGRY) else { return };
    let scene = Scene::new();
    hungry(&scene);
    let first = start_in(&group, &scene);
    let started = Instant::now();
    // Whole lines alone: what is read may end in the middle of one.
    let said = || {
        let text = first.said();
        let whole = text.rfind("\n{").map_or("", |end| &text[..end]);
        whole.lines().filter_map(|line| serde_json::from_str(line).ok()).collect::<Vec<Value>>()
    };
    while facts(&said(), "attempt_failed").is_empty() {
        assert!(started.elapsed() < LIMIT, "nothing died for want of memory: {}", first.said());
        std::thread::sleep(Duration::from_millis(10));
    }
    let raised: Vec<Value> =
        facts(&said(), "reservation_raised").iter().map(|fact| fact["task"].clone()).collect();
    first.signal(Signal::KILL);
    first.wait().expect_code(-9);

    let outcome = start_in(&group, &scene).wait().expect_code(0);
    // What had died reserves more than there is in all, so it runs alone from its first attempt on.
    let mut running: Vec<Value> = Vec::new();
    let mut met = 0;
    for event in events(&outcome.stdout) {
        let task = event["task"].clone();
        match event["fact"].as_str() {
            Some("attempt_planned") => {
                running.push(task);
                let alone = running.len() == 1 || running.iter().all(|task| !raised.contains(task));
                assert!(alone, "{running:?} at once, of which {raised:?} had died: {}", outcome.stdout);
                met += usize::from(raised.contains(&running[0]));
            }
            Some("attempt_exited") => running.retain(|one| *one != task),
            _ => {}
        }
    }
    assert!(met >= raised.len() && !raised.is_empty(), "{raised:?}: {}", outcome.stdout);
    assert_eq!(scene.outputs().len(), 5);
}

/// A file system of its own with little space, mounted over a folder; unmounted at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new(folder: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir_all(&folder).ok()?;
        let size = format!("size={size}");
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&folder);
        let mounted = mount.stderr(std::process::Stdio::null()).status().is_ok_and(|status| status.success());
        mounted.then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _left = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn that_outputs_will_not_fit_is_said_early_and_once() {
    let scene = Scene::new();
    let Some(_disk) = SmallDisk::new(scene.join("out"), "80m") else {
        eprintln!("skipped: no file system can be mounted here");
        return;
    };
    for at in 0..45 {
        fs::write(scene.join(&format!("in/{at:02}.dat")), vec![b'x'; 1 << 20]).expect("an input");
    }
    let program = script(&scene, "sleep 0.1\ncp \"$1\" \"$2\"");
    // Two fifths of 80 MiB are less than what 45 MiB of outputs need; the law holds there, and one at a time goes on.
    let more = "calibration: {enabled: false}\nresource_limits: {disk_usage_threshold_percent: 40}\n";
    scene.config(&program, &FLAGS, "", &format!("{PLAIN}{more}"));
    let outcome = scene.run_config().expect_code(0);
    let words = "the outputs of what is left will need about";
    assert_eq!(outcome.stderr.matches(words).count(), 1, "{}", outcome.stderr);
    assert_eq!(scene.outputs().len(), 45);
}
