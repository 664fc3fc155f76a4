//! Capacity, prediction and adaptation through the command line.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use orchestrator_tests::scene::Scene;
use serde_json::Value;

const HEADER: &str = "workflow,task,seq,input_bytes,runtime_s,peak_rss_bytes,cpu_pct,user_mem_bytes";

/// Two kinds of task, interleaved: memory follows the size in one; of the other no size is known.
fn synthetic(rows: u64) -> String {
    let mut text = format!("{HEADER}\n");
    for seq in 0..rows {
        let size = 100_000_000 + seq * 37 % 41 * 50_000_000;
        let (task, input, peak) = match seq % 2 {
            0 => ("sized", size.to_string(), 200_000_000 + 2 * size),
            _ => ("blind", "-1".to_owned(), 300_000_000 + seq % 7 * 10_000_000),
        };
        let _ = writeln!(text, "flow,{task},{seq},{input},{}.5,{peak},100,", 10 + size / 100_000_000);
    }
    text
}

/// Each line of an answer, and the totals that end it.
fn replayed(scene: &Scene, file: &Path, more: &[&str]) -> (Vec<Value>, Value) {
    let file = file.to_string_lossy();
    let words = [&["replay-trace", &file, "--format", "json"], more].concat();
    let outcome = scene.run(&words).expect_code(0);
    let mut lines: Vec<Value> =
        outcome.stdout.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let last = lines.pop().expect("a last line");
    (lines, last["totals"].clone())
}

#[test]
fn a_trace_is_answered_row_by_row_and_then_in_all() {
    let scene = Scene::new();
    let file = scene.join("trace.csv");
    fs::write(&file, synthetic(120)).expect("a trace");
    let (lines, totals) = replayed(&scene, &file, &["--lag", "8"]);
    assert_eq!(lines.len(), 120);
    for (seq, line) in lines.iter().enumerate() {
        assert_eq!((line["seq"].as_u64(), line["workflow"].as_str()), (Some(seq as u64), Some("flow")));
        let ladder: Vec<u64> =
            line["ladder_bytes"].as_array().expect("a ladder").iter().filter_map(Value::as_u64).collect();
        assert!(!ladder.is_empty() && ladder.is_sorted() && ladder[0] >= 64_000_000, "{line}");
        assert!(line["runtime_s"].get("p50").is_some() && line["runtime_s"].get("p95").is_some(), "{line}");
    }
    let late = &lines[100];
    assert!(late["runtime_s"]["p50"].as_f64() <= late["runtime_s"]["p95"].as_f64(), "{late}");
    assert_eq!(totals["n"].as_u64(), Some(100), "two streams of 60, the first ten of each unscored");
    let maq = totals["maq"].as_f64().expect("a share");
    assert!((0.8..=1.0).contains(&maq), "a clean law is learned: {totals}");
    assert!(totals["runtime_median_error"].as_f64().expect("an error") < 0.1, "{totals}");
    assert!(totals["cost_gbh"].as_f64() > Some(0.0) && totals["failures"].as_u64() < Some(10), "{totals}");
}

/// What comes of a row must change no answer before it is known: `lag` rows of its stream later.
#[test]
fn an_answer_does_not_know_its_result() {
    let scene = Scene::new();
    let (one, two) = (scene.join("one.csv"), scene.join("two.csv"));
    let text = synthetic(80);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    fs::write(&one, &text).expect("a trace");
    let changed = 41;
    let mut cells: Vec<&str> = lines[changed].split(',').collect();
    cells[4] = "99999";
    cells[5] = "60000000000";
    lines[changed] = cells.join(",");
    fs::write(&two, lines.join("\n")).expect("a trace");
    for lag in [0, 8] {
        let lag_word = lag.to_string();
        let (one, _) = replayed(&scene, &one, &["--lag", &lag_word]);
        let (two, _) = replayed(&scene, &two, &["--lag", &lag_word]);
        let first = one.iter().zip(&two).position(|(one, two)| one != two);
        assert_eq!(first, Some(40 + 2 * (lag + 1)), "lag {lag}");
    }
}

#[test]
fn odd_traces_are_answered_in_one_sentence() {
    let scene = Scene::new();
    let file = scene.join("odd.csv");
    let refuse = |text: &str, words: &[&str]| {
        fs::write(&file, text).expect("a trace");
        let outcome =
            scene.run(&["replay-trace", "odd.csv", "--format", "json"]).expect_code(2).expect_words(words);
        assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    };
    refuse("", &["odd.csv", "empty"]);
    refuse("workflow,task,seq,runtime_s\n", &["no column peak_rss_bytes"]);
    refuse(&format!("{HEADER}\nw,t,0,7,fast,9,1,\n"), &["line 2", "runtime_s", "fast"]);
    refuse(&format!("{HEADER}\nw,t,0,7\n"), &["line 2", "no value"]);
    scene.run(&["replay-trace", "missing.csv"]).expect_code(74).expect_words(&["missing.csv"]);
    fs::write(&file, format!("\u{feff}{HEADER}\r\nw,t,5,7,1,9,1,\r\nw,t,3,7,1,9,1,\r\n")).expect("a trace");
    let unsorted = scene.run(&["replay-trace", "odd.csv", "--format", "json"]).expect_code(0);
    assert_eq!(unsorted.stdout.lines().count(), 3, "{}", unsorted.stdout);
    unsorted.expect_words(&["seq goes back from 5 to 3"]);
}

/// Where recorded traces lie beside the checkout, the program answers as the replay in the library does.
#[test]
fn recorded_traces_are_answered_at_a_bearable_cost() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/traces");
    let folder = std::env::var_os("ORCHESTRATOR_TRACES").map_or(beside, PathBuf::from);
    let file = folder.join("ponder_rnaseq.csv");
    let Ok(text) = fs::read_to_string(&file) else {
        eprintln!("skipped: there is no {}", file.display());
        return;
    };
    let (lines, totals) = replayed(&Scene::new(), &file, &[]);
    assert_eq!(lines.len(), text.lines().skip(1).filter(|line| !line.trim().is_empty()).count());
    let share = totals["failures"].as_f64().expect("a number") / totals["n"].as_f64().expect("a number");
    assert!(share <= 0.035, "{totals}");
    assert!(totals["cost_gbh"].as_f64().expect("a number") <= 1.1 * 76.7, "{totals}");
}

#[test]
fn a_simulation_plans_a_trace_for_another_machine() {
    let scene = Scene::new();
    let mut text = "workflow,task,seq,runtime_s,peak_rss_bytes,input_bytes,cpu_pct\n".to_owned();
    for seq in 0..40 {
        let _ = writeln!(text, "w,align,{seq},{},4e9,1000000,100", 20 + seq % 5);
        let _ = writeln!(text, "w,index,{seq},3,1e8,1000,100");
    }
    fs::write(scene.join("trace.csv"), text).expect("a trace");
    let plan = |machine: &str| -> Value {
        let words =
            ["simulate", "--trace", "trace.csv", "--task", "align", "--machine", machine, "--format", "json"];
        serde_json::from_str(&scene.run(&words).expect_code(0).stdout).expect("one line of JSON")
    };
    let (small, large) = (plan("cores=8,memory=16GB"), plan("cores=8,memory=64GB"));
    assert_eq!(small["work"]["tasks"].as_u64(), Some(40));
    let number = |value: &Value| value.as_f64().expect("a number");
    assert!(
        number(&small["policy"]["makespan"]) > 1.5 * number(&large["policy"]["makespan"]),
        "{small} {large}"
    );
    assert_eq!(small["policy"]["out_of_memory"].as_u64(), Some(0));
    let fixed = small["fixed"].as_array().expect("tries");
    assert!(fixed.iter().any(|one| number(&one["out_of_memory"]) > 0.0), "too many at once die: {small}");
    let best = small["best_within_thresholds"].as_u64().expect("a number");
    assert!((1..=3).contains(&best), "three of 4 GB are all that 12 GB hold: {small}");
    let words = ["simulate", "--trace", "trace.csv", "--machine", "cores=2,memory=8G"];
    scene.run(&words).expect_code(0).expect_words(&["this policy", "-j 2", "twice the memory"]);
    scene
        .run(&["simulate", "--trace", "trace.csv", "--task", "none"])
        .expect_code(4)
        .expect_words(&["no task"]);
    scene.run(&["simulate", "--workload", "two_cores", "--machine", "cores=many"]).expect_code(2);
}

#[test]
fn a_simulation_runs_what_earlier_runs_measured() {
    let scene = Scene::new();
    scene.inputs(&["a", "b", "c"]);
    scene.fixture_config(&[], orchestrator_tests::scene::QUICK);
    scene.run(&["simulate"]).expect_code(4).expect_words(&["holds no state"]);
    scene.run_config().expect_code(0);
    let outcome = scene.run(&["simulate", "--format", "json"]).expect_code(0);
    let plan: Value = serde_json::from_str(&outcome.stdout).expect("one line of JSON");
    assert_eq!((plan["work"]["tasks"].as_u64(), plan["policy"]["done"].as_u64()), (Some(3), Some(3)));
}

/// Facts of a kind in a run's stream of events.
fn facts(stdout: &str, kind: &str) -> usize {
    let is = |line: &str| {
        serde_json::from_str::<Value>(line)
            .is_ok_and(|event| event.to_string().contains(&format!("\"fact\":\"{kind}\"")))
    };
    stdout.lines().filter(|line| is(line)).count()
}

/// Three must run, but memory is above its threshold whatever runs: the younger ones stand still while the oldest goes on.
const CROWDED: &str = "\
calibration: {enabled: false}
plugins: {metrics: [], capacity: []}
resource_limits: {memory_threshold_percent: 0.1}
metrics: {interval: 200ms}
timeouts: {attempt: 8s}
";

#[test]
fn who_stands_still_goes_on_later_and_that_time_counts_against_no_limit() {
    let scene = Scene::new();
    let names: Vec<String> = (0..8).map(|i| format!("{i}.dat")).collect();
    scene.inputs(&names);
    let more = format!("{CROWDED}concurrency: {{min: 3, evict: false}}\nretry: {{max_attempts: 1}}\n");
    scene.fixture_config(&["--sleep-ms", "1500"], &more);
    let mut host = scene.start(&["run", "config.yaml", "--format", "json"]);
    let mut stopped = false;
    while host.is_running() {
        let seen = orchestrator_tests::processes::mentioning(scene.path());
        stopped |= seen.iter().any(|seen| stands_still(seen.pid));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let outcome = host.wait().expect_code(0);
    assert!(stopped, "a process was seen standing still");
    assert_eq!(scene.outputs().len(), names.len());
    let (frozen, thawed) =
        (facts(&outcome.stdout, "attempt_frozen"), facts(&outcome.stdout, "attempt_thawed"));
    assert!(frozen > 0 && thawed > 0, "{frozen} frozen, {thawed} thawed:\n{}", outcome.text());
    assert_eq!(facts(&outcome.stdout, "attempt_terminated"), 0, "nothing was evicted");
}

/// The state letter of `/proc/PID/stat` is T.
fn stands_still(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
}

#[test]
fn who_is_evicted_comes_again_and_loses_no_try() {
    let scene = Scene::new();
    let names: Vec<String> = (0..5).map(|i| format!("{i}.dat")).collect();
    scene.inputs(&names);
    let more = format!("{CROWDED}concurrency: {{min: 3}}\nretry: {{max_attempts: 1}}\n");
    scene.fixture_config(&["--sleep-ms", "1000"], &more);
    let outcome = scene.run(&["run", "config.yaml", "--format", "json"]).expect_code(0);
    assert_eq!(scene.outputs().len(), names.len());
    assert!(facts(&outcome.stdout, "attempt_terminated") > 0, "{}", outcome.text());
    assert!(outcome.stdout.contains("in use of"), "the reason is the memory: {}", outcome.stdout);
}

#[test]
fn what_was_learned_is_kept_and_a_torn_piece_of_it_does_no_harm() {
    let scene = Scene::new();
    scene.inputs(&["a", "b", "c", "d"]);
    scene.fixture_config(&[], "calibration: {enabled: false}\nplugins: {metrics: [], capacity: []}\n");
    scene.run_config().expect_code(0);
    let learned = || {
        let entries = fs::read_dir(scene.join("out/.orchestrator")).expect("the state").flatten();
        let path = entries.map(|entry| entry.path());
        path.filter(|path| path.to_string_lossy().contains("/learned-")).collect::<Vec<_>>()
    };
    let files = learned();
    assert_eq!(files.len(), 1, "{files:?}");
    let whole = fs::read(&files[0]).expect("what was learned");
    for piece in [&whole[..whole.len() / 2], b"", b"nonsense"] {
        fs::write(&files[0], piece).expect("a torn piece");
        fs::write(scene.join("in").join(format!("more{}", piece.len())), "x").expect("an input");
        scene.run_config().expect_code(0);
    }
    assert!(fs::read(&files[0]).expect("what was learned").len() > 100, "learned anew");
    fs::remove_file(&files[0]).expect("it goes");
    fs::write(scene.join("in/last"), "x").expect("an input");
    scene.run(&["run", "config.yaml", "--set", "learn=run"]).expect_code(0);
    assert_eq!(learned(), Vec::<PathBuf>::new(), "nothing is kept unless asked for");
}

#[test]
fn a_file_that_takes_far_longer_than_others_is_told_of_once() {
    let scene = Scene::new();
    fs::create_dir_all(scene.join("in")).expect("a folder");
    for i in 0..14 {
        fs::write(scene.join(&format!("in/{i:02}.dat")), "0.1 ").expect("an input");
    }
    fs::write(scene.join("in/zz.dat"), "9.0 ").expect("an input");
    let more = "concurrency: {mode: fixed, max: 2}\nmetrics: {interval: 200ms}\nplugins: {metrics: [], capacity: []}\n";
    scene.config(Path::new("sh"), &["-c", "sleep $(cat {input_file}) && : > {output_file}"], "", more);
    let outcome =
        scene.run_config().expect_code(0).expect_words(&["zz.dat has run for", "were expected for its size"]);
    assert_eq!(outcome.stderr.matches("were expected for its size").count(), 1, "{}", outcome.stderr);
}
