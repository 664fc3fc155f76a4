//! The main job, from outside: real files, real tools, plugins from a directory, results as of a plain loop.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use orchestrator_tests::artifacts;
use orchestrator_tests::corpus::crate_sources;
use orchestrator_tests::processes::children;
use orchestrator_tests::scene::Scene;

/// The four bundled plugins from `plugins/`, in automatic mode, after a short calibration.
const AUTOMATIC: &str = "\
calibration: {warmup_time_seconds: 1, calibration_duration: 2}
metrics: {interval: 200ms}
plugins:
  directories: [plugins]
  metrics:
    - {name: system_metrics, class: SystemMetricsCollector}
    - {name: connections, class: ConnectionMetricsCollector, config: {ports: [8080, 8081]}}
  capacity:
    - {name: resources, class: SystemResourceCapacity}
    - {name: custom, class: CustomCapacityCalculator, config: {max_connections: 1000}}
";

/// The host away from its build folder, so that no plugin lies beside it, with plugins in `plugins/`.
fn moved_host(scene: &Scene) -> Command {
    artifacts::copy_plugins(&artifacts::PLUGINS, &scene.join("plugins"));
    let host = scene.join("bin/orchestrator");
    fs::create_dir(scene.join("bin")).expect("a folder");
    fs::copy(artifacts::orchestrator(), &host).expect("a copy of the host");
    let mut command = Command::new(host);
    command.args(["run", "config.yaml"]).current_dir(scene.path()).env("NO_COLOR", "1");
    command
}

#[test]
fn three_hundred_files_as_by_a_plain_loop() {
    let scene = Scene::new();
    let inputs = crate_sources(300, 64 * 1024, &scene.join("in"));
    let flags = ["-9", "-n", "-c", "{input_file}"];
    scene.config(Path::new("gzip"), &flags, "  stdout: \"{output_file}\"\n", AUTOMATIC);
    let command = moved_host(&scene);
    let _said = scene.start_command(command).wait().expect_code(0);
    for input in &inputs {
        let name = input.file_name().expect("a name").to_string_lossy();
        let expected =
            Command::new("gzip").args(["-9", "-n", "-c"]).arg(input).output().expect("gzip").stdout;
        let found = fs::read(scene.join(&format!("out/{name}.out"))).expect("an output");
        assert!(found == expected, "{name} differs");
    }
    assert_eq!(scene.outputs().len(), inputs.len());
}

/// However busy the machine is: a limit of four threads lets several of these one-thread processes run, and not all.
#[test]
fn a_capacity_plugin_decides_how_many_run() {
    let scene = Scene::new();
    let names: Vec<String> = (0..40).map(|i| format!("{i:02}.dat")).collect();
    scene.inputs(&names);
    let limited = "\
calibration: {enabled: false}
metrics: {interval: 200ms}
plugins:
  directories: [plugins]
  metrics: [{name: system_metrics, class: SystemMetricsCollector}]
  capacity: [{name: custom, class: CustomCapacityCalculator, config: {limits: {process.threads: 4}}}]
";
    scene.fixture_config(&["--sleep-ms", "500"], limited);
    let command = moved_host(&scene);
    let mut host = scene.start_command(command);
    let mut most = 0;
    while host.is_running() {
        let working = children(host.pid()).iter().filter(|seen| seen.command.contains("--input")).count();
        most = most.max(working);
        std::thread::sleep(Duration::from_millis(5));
    }
    let said = host.wait().expect_code(0);
    assert_eq!(scene.outputs().len(), names.len());
    // Until the first processes are measured, each answer is at most twice as many as run: four may become eight once.
    assert!((2..=8).contains(&most), "{most} at once:\n{}", said.text());
}

#[test]
fn without_its_plugins_the_host_names_the_missing_class() {
    let scene = Scene::new();
    scene.inputs(&["a.dat"]);
    scene.fixture_config(&[], AUTOMATIC);
    let command = moved_host(&scene);
    fs::remove_file(scene.join("plugins/liborchestrator_plugin_resource_capacity.so")).expect("a plugin");
    let _said = scene.start_command(command).wait().expect_code(69).expect_words(&["SystemResourceCapacity"]);
    assert!(scene.executions().is_empty());
}

#[test]
fn no_file_but_the_command_line() {
    let scene = Scene::new();
    scene.inputs(&["a.dat", "b.txt"]);
    let words = [
        "run",
        "--input",
        "in",
        "--pattern",
        "*.dat",
        "--output",
        "out",
        "--",
        "cp",
        "{input_file}",
        "{output_file}",
    ];
    let _said = scene.run(&words).expect_code(0);
    let outputs = scene.outputs();
    assert_eq!(outputs.len(), 1);
    assert!(outputs[0].starts_with("a.dat"), "{outputs:?}");
    assert_eq!(
        fs::read(scene.join("out").join(&outputs[0])).expect("it"),
        fs::read(scene.join("in/a.dat")).expect("it")
    );
}

#[test]
fn events_are_json_lines_and_nothing_else() {
    let scene = Scene::new();
    scene.inputs(&["a.dat", "b.dat"]);
    scene.fixture_config(&[], orchestrator_tests::scene::QUICK);
    let said = scene.run(&["run", "--format", "json", "config.yaml"]).expect_code(0);
    let mut completed = 0;
    for line in said.stdout.lines() {
        let event: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
        assert!(event.is_object(), "{line}");
        completed += usize::from(event["fact"] == "task_completed");
    }
    assert_eq!(completed, 2, "{}", said.stdout);
}
