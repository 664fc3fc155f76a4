//! Wrong configurations: each is refused with the promised exit code and a sentence that helps, by `check`
//! as by `run`, before anything of the queue is touched.

use std::fs;

use orchestrator_tests::scene::{QUICK, Scene};
use serde_json::Value;

const CONFIGURATION: i32 = 78;
const UNAVAILABLE: i32 = 69;

/// Both commands refuse `scene`'s configuration with `code`, saying `words`; nothing was executed.
#[track_caller]
fn refused(scene: &Scene, code: i32, words: &[&str]) {
    for command in ["check", "run"] {
        let _said = scene.run(&[command, "config.yaml"]).expect_code(code).expect_words(words);
    }
    assert!(scene.executions().is_empty(), "a refused configuration ran something");
    assert!(scene.outputs().is_empty(), "a refused configuration left outputs");
}

/// A scene with one input whose valid configuration is followed by `more`.
fn scene_with(more: &str) -> Scene {
    let scene = Scene::new();
    scene.inputs(&["a.dat"]);
    scene.fixture_config(&[], more);
    scene
}

/// Replaces text in `config.yaml`.
#[track_caller]
fn edit(scene: &Scene, from: &str, to: &str) {
    let path = scene.join("config.yaml");
    let text = fs::read_to_string(&path).expect("the configuration");
    assert!(text.contains(from), "{from:?} is not in the configuration");
    fs::write(&path, text.replace(from, to)).expect("the configuration");
}

#[test]
fn a_good_configuration_passes_check_and_leaves_no_trace() {
    let scene = scene_with(QUICK);
    scene.run(&["check", "config.yaml"]).expect_code(0);
    assert!(scene.outputs().is_empty() && scene.executions().is_empty());
}

#[test]
fn binary_missing() {
    let scene = scene_with("");
    edit(&scene, "fixture\n", "no-such-program\n");
    refused(&scene, CONFIGURATION, &["no-such-program", "binary.path"]);
}

#[test]
fn binary_not_executable() {
    let scene = scene_with("");
    fs::write(scene.join("plain.txt"), "no program").expect("a plain file");
    scene.config(&scene.join("plain.txt"), &[], "", "");
    refused(&scene, CONFIGURATION, &["plain.txt", "executable"]);
}

#[test]
fn binary_is_a_directory() {
    let scene = scene_with("");
    scene.config(&scene.join("plugins"), &[], "", "");
    refused(&scene, CONFIGURATION, &["plugins", "binary.path"]);
}

#[test]
fn input_directory_missing() {
    let scene = scene_with("");
    edit(&scene, "/in\n", "/nowhere\n");
    refused(&scene, CONFIGURATION, &["/nowhere", "files_directory"]);
}

#[test]
fn yaml_syntax() {
    let scene = scene_with("retry: {max_attempts: [1\n");
    refused(&scene, CONFIGURATION, &["config.yaml"]);
}

#[test]
fn yaml_duplicate_key() {
    refused(&scene_with("retry: {}\nretry: {}\n"), CONFIGURATION, &["retry"]);
}

#[test]
fn wrong_types() {
    refused(&scene_with("retry: {max_attempts: many}\n"), CONFIGURATION, &["max_attempts", "many"]);
    refused(&scene_with("calibration: yes please\n"), CONFIGURATION, &["calibration"]);
    refused(&scene_with("plugins: {metrics: {name: x}}\n"), CONFIGURATION, &["metrics"]);
}

#[test]
fn unknown_key_with_the_nearest() {
    let scene = scene_with("resource_limits: {cpu_treshold_percent: 80}\n");
    refused(&scene, CONFIGURATION, &["cpu_treshold_percent", "cpu_threshold_percent"]);
}

#[test]
fn unknown_placeholder_with_the_nearest() {
    let scene = scene_with("");
    edit(&scene, "{output_file}", "{output_fiel}");
    refused(&scene, CONFIGURATION, &["{output_fiel}", "{output_file}"]);
}

#[test]
fn thresholds_out_of_range() {
    for value in ["0", "101", "-5", ".nan", ".inf", "a lot"] {
        let scene = scene_with(&format!("resource_limits: {{cpu_threshold_percent: {value}}}\n"));
        refused(&scene, CONFIGURATION, &["cpu_threshold_percent"]);
    }
}

#[test]
fn all_errors_at_once_each_with_its_place() {
    let scene = scene_with(
        "resource_limits:\n  cpu_threshold_percent: 101\n  memory_threshold_percent: 0\nretyr: {}\nhalt: {when: never}\n",
    );
    edit(&scene, "{input_file}", "{input_flie}");
    let words =
        ["cpu_threshold_percent", "memory_threshold_percent", "retyr", "retry", "never", "{input_flie}"];
    refused(&scene, CONFIGURATION, &words);
    let text = scene.run(&["check", "config.yaml"]).text();
    let line = fs::read_to_string(scene.join("config.yaml"))
        .expect("the configuration")
        .lines()
        .position(|line| line.starts_with("retyr"))
        .expect("the wrong line")
        + 1;
    assert!(
        text.contains(&format!("config.yaml:{line}:1")),
        "line and column of `retyr` are missing:\n{text}"
    );
}

#[test]
fn configuration_file_missing() {
    let scene = Scene::new();
    for command in ["check", "run"] {
        scene.run(&[command, "nothing.yaml"]).expect_code(CONFIGURATION).expect_words(&["nothing.yaml"]);
    }
}

#[test]
fn inheritance_cycle() {
    let scene = scene_with("extends: [config.yaml]\n");
    refused(&scene, CONFIGURATION, &["extends", "config.yaml"]);
}

#[test]
fn class_that_no_library_exports() {
    let scene = scene_with("plugins: {metrics: [{name: m, class: SystemMetricsColector}]}\n");
    refused(&scene, UNAVAILABLE, &["SystemMetricsColector", "SystemMetricsCollector"]);
}

/// The sentences of all findings about plugins in the lines of `--format json`, sorted.
fn about_plugins(lines: &str) -> Vec<String> {
    let objects = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let found = objects.filter(|object| object["code"] == "plugin");
    let mut sentences: Vec<String> =
        found.filter_map(|object| object["message"].as_str().map(str::to_owned)).collect();
    sentences.sort();
    sentences
}

#[test]
fn what_a_plugin_refuses_is_found_by_check_in_the_words_of_the_run() {
    let scene = scene_with(
        "plugins:\n  metrics:\n    - name: net\n      class: ConnectionMetricsCollector\n      isolation: sandbox\n      \
         config:\n        portss: [80]\n    - name: web\n      class: ConnectionMetricsCollector\n      \
         config: {ports: many}\n      isolation: process\n    - {name: good, class: ConnectionMetricsCollector}\n  \
         capacity: []\n",
    );
    let json = |command| scene.run(&[command, "config.yaml", "--format", "json"]);
    let check = json("check").expect_code(CONFIGURATION);
    assert!(scene.executions().is_empty() && !scene.join("out").exists(), "check worked or wrote");
    let sentences = about_plugins(&check.text());
    assert_eq!(sentences.len(), 2, "{sentences:?}");
    assert!(sentences[0].contains("`net`") && sentences[0].contains("`portss`"), "{sentences:?}");
    assert!(sentences[1].contains("`web`") && sentences[1].contains("ports"), "{sentences:?}");
    // They are not required: the run goes on without them, and says why.
    let run = json("run").expect_code(0);
    assert_eq!(about_plugins(&run.text()), sentences);
    let _shown_in_place =
        scene.run(&["check", "config.yaml"]).expect_words(&["config.yaml:15:", "portss: [80]"]);
}

#[test]
fn what_a_required_plugin_refuses_ends_the_run_as_check_said() {
    let scene = scene_with(
        "plugins:\n  metrics: []\n  capacity:\n    - name: cap\n      class: CustomCapacityCalculator\n      \
         required: true\n      config: {limits: 3}\n",
    );
    refused(&scene, CONFIGURATION, &["capacity plugin `cap`", "refuses its configuration", "limits"]);
}

#[test]
fn instances_that_take_their_configuration_are_nothing_to_check() {
    let class = "class: ConnectionMetricsCollector, config: {ports: [80]}";
    let scene = scene_with(&format!(
        "plugins:\n  metrics:\n    - {{name: a, {class}}}\n    - {{name: b, {class}, isolation: process}}\n    \
         - {{name: c, {class}, isolation: sandbox}}\n  capacity: []\n"
    ));
    let check = scene.run(&["check", "config.yaml", "--format", "json"]).expect_code(0);
    assert_eq!(about_plugins(&check.text()), Vec::<String>::new());
    assert!(!scene.join("out").exists(), "check wrote");
}

#[test]
fn wrong_command_line() {
    let scene = scene_with("");
    let _said = scene.run(&["run", "--no-such-flag", "config.yaml"]).expect_code(2);
    let _said = scene.run(&["rum"]).expect_code(2).expect_words(&["run"]);
}
