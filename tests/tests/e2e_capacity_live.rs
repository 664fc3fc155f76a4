//! The law live, in a control group with little memory: what it decides while memory runs short, told from the timeline
//! of the run alone. No assertion is about time.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use orchestrator_tests::group::MemoryGroup;
use orchestrator_tests::host::{LIMIT, Running};
use orchestrator_tests::scene::Scene;
use rustix::process::Signal;
use serde_json::Value;

/// The law alone: what a plugin would say of the other programs of a busy machine is not asked.
const LAW: &str = "plugins: {metrics: [], capacity: []}\nmetrics: {interval: 200ms}\n";

/// What the run told so far, in order.
fn timeline(said: &str) -> Vec<Value> {
    // The last line may not be whole yet.
    said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn is_fact(event: &Value, kind: &str) -> bool {
    event["fact"] == kind
}

fn count(timeline: &[Value], kind: &str) -> usize {
    timeline.iter().filter(|event| is_fact(event, kind)).count()
}

/// How many attempts hold a place after each event.
fn in_flight(timeline: &[Value]) -> Vec<usize> {
    let mut held = BTreeSet::new();
    let mut after = |event: &Value| {
        let attempt = event["attempt"].as_u64();
        match (event["fact"].as_str(), attempt) {
            (Some("attempt_planned"), Some(attempt)) => drop(held.insert(attempt)),
            (
                Some("attempt_exited" | "attempt_failed" | "task_failed" | "attempt_terminated"),
                Some(attempt),
            ) => {
                held.remove(&attempt);
            }
            _ => {}
        }
        held.len()
    };
    timeline.iter().map(&mut after).collect()
}

/// Whether a snapshot shows memory in use above the threshold of 75 %; `None` for other events.
fn above(event: &Value) -> Option<bool> {
    let system = &event["system"];
    let (used, all) = (system["memory_used"].as_f64()?, system["memory_total"].as_f64()?);
    Some(used > 0.75 * all)
}

/// Whether the bound that a snapshot names is memory.
fn bound_by_memory(event: &Value) -> bool {
    let law = &event["capacity"]["bound"]["law"];
    ["memory", "memory_in_use", "frozen"].iter().any(|kind| law.get(kind).is_some() || law == kind)
}

fn wait_until(host: &mut Running, what: &str, mut seen: impl FnMut(&[Value]) -> bool) {
    let start = Instant::now();
    while !seen(&timeline(&host.said())) {
        let said = host.said();
        assert!(host.is_running() && start.elapsed() < LIMIT, "{what} was not seen:\n{said}");
        std::thread::sleep(Duration::from_millis(250));
    }
}

/// A process that is ended with its children when it is no longer wanted.
struct Outside(Child);

impl Outside {
    /// Takes so much memory of the group and holds it; `None`, and a message, without stress-ng.
    fn memory(group: &MemoryGroup, bytes: &str) -> Option<Self> {
        let mut command = Command::new("stress-ng");
        command.args(["--vm", "1", "--vm-bytes", bytes, "--vm-hang", "0", "--vm-populate", "--quiet"]);
        if Command::new("stress-ng").arg("--version").stdout(Stdio::null()).status().is_err() {
            eprintln!("skipped: there is no stress-ng (apt-get install stress-ng)");
            return None;
        }
        let mut inside = group.command(&command);
        let child = inside.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Some(Self(child.expect("stress-ng starts")))
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        // It ends its workers on this one.
        let pid = i32::try_from(self.0.id()).ok().and_then(rustix::process::Pid::from_raw);
        let _ended_meanwhile = pid.map(|pid| rustix::process::kill_process(pid, Signal::INT));
        let _status = self.0.wait();
    }
}

/// Others take more memory than the threshold leaves, and give it back.
#[test]
fn while_others_hold_the_memory_nothing_starts_and_afterwards_it_goes_on() {
    let Some(group) = MemoryGroup::new(500 << 20) else { return };
    let scene = Scene::new();
    let names: Vec<String> = (0..4_000).map(|number| format!("{number:04}")).collect();
    scene.inputs(&names);
    scene.fixture_config(
        &["--grow-mib", "8", "--sleep-ms", "400"],
        &format!("{LAW}concurrency: {{max: 4}}\n"),
    );
    let command = group.command(&scene.command(&["run", "config.yaml", "--format", "json"]));
    let mut host = scene.start_command(command);
    wait_until(&mut host, "several at once", |seen| {
        count(seen, "task_completed") >= 8 && in_flight(seen).last().is_some_and(|now| *now >= 3)
    });
    let Some(outside) = Outside::memory(&group, "390M") else { return };
    // Six snapshots with memory above the threshold.
    wait_until(&mut host, "memory above its threshold", |seen| {
        seen.iter().filter(|event| above(event) == Some(true)).count() >= 6
    });
    drop(outside);
    let before = timeline(&host.said()).len();
    wait_until(&mut host, "several at once again", |seen| {
        let after = seen.iter().zip(in_flight(seen)).skip(before);
        after.filter(|(event, held)| is_fact(event, "attempt_planned") && *held >= 3).count() >= 4
    });
    host.signal(Signal::INT);
    let outcome = host.wait().expect_code(75);
    let timeline = timeline(&outcome.stdout);
    assert_eq!(group.kills(), 0, "nothing ran out of memory");
    assert_eq!(count(&timeline, "task_failed"), 0, "{}", outcome.stderr);
    held_back(&timeline);
}

/// From the first snapshot above the threshold to the last, one runs at most beside what ran before, memory is named, and
/// those that ran are frozen or evicted.
fn held_back(timeline: &[Value]) {
    let places: Vec<usize> = (0..timeline.len()).filter(|at| above(&timeline[*at]) == Some(true)).collect();
    let (first, last) = (places[0], places[places.len() - 1]);
    let held = in_flight(timeline);
    for at in first..last {
        let started = is_fact(&timeline[at], "attempt_planned");
        assert!(!started || held[at] == 1, "started beside others while memory was short: {}", timeline[at]);
    }
    let during = &timeline[first..=last];
    let snapshots: Vec<&Value> = during.iter().filter(|event| above(event).is_some()).collect();
    assert!(snapshots.iter().all(|event| above(event) == Some(true)), "memory was short all the time");
    let named = snapshots.iter().filter(|event| bound_by_memory(event)).count();
    assert!(named * 2 >= snapshots.len(), "memory is named: {} of {}", named, snapshots.len());
}

/// Small files that only need the CPU, then large ones that need memory, in one directory.
#[test]
fn two_phases_in_one_directory_run_out_of_nothing() {
    let limit = 360 << 20;
    let Some(group) = MemoryGroup::new(limit) else { return };
    let scene = Scene::new();
    let large = 8;
    for number in 0..16 {
        fs::write(scene.join(&format!("in/a{number:02}")), vec![b'a' + number; 60_000]).expect("an input");
    }
    for number in 0..large {
        fs::write(scene.join(&format!("in/b{number:02}")), sparse(16 << 20, number)).expect("an input");
    }
    let more = format!("{LAW}resource_limits: {{cpu_threshold_percent: 100}}\nconcurrency: {{min: 1}}\n");
    scene.config(
        Path::new("xz"),
        &["-9e", "-T1", "-c", "{input_file}"],
        "  stdout: \"{output_file}\"\n",
        &more,
    );
    let command = group.command(&scene.command(&["run", "config.yaml", "--format", "json"]));
    let outcome = scene.start_command(command).wait().expect_code(0);
    let timeline = timeline(&outcome.stdout);
    assert_eq!(
        (group.kills(), scene.outputs().len()),
        (0, 24),
        "nothing ran out of memory:\n{}",
        outcome.stderr
    );
    assert_eq!(count(&timeline, "attempt_failed") + count(&timeline, "task_failed"), 0, "{}", outcome.stderr);
    let total = timeline.iter().find_map(|event| event["system"]["memory_total"].as_u64());
    assert_eq!(total, Some(limit), "the group's limit is the machine");
    // What the law avoided: as many at once as a fixed number would run.
    let line = "printf '%s\\n' \"$0\"/in/b* | xargs -P 8 -I{} sh -c 'xz -9e -T1 -c {} > /dev/null'";
    let mut blind = Command::new("sh");
    blind.args(["-c", line]).arg(scene.path()).stderr(Stdio::null());
    let _failed = group.command(&blind).stderr(Stdio::null()).status();
    assert!(group.kills() > 0, "eight at once run out of memory");
}

/// An eighth of text, the rest empty: quick to pack, and yet as much memory as its size asks for.
fn sparse(bytes: usize, seed: u8) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    let mut out = vec![0; bytes];
    for piece in out.chunks_mut(128 << 10) {
        for byte in piece.iter_mut().take(8 << 10) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = b'a' + (state >> 60) as u8;
        }
    }
    out
}
