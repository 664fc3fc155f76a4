//! Plugins beside a live run: listed, replaced, killed; what they cost is told.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use orchestrator_plugin_host::PluginFile;
use orchestrator_tests::artifacts;
use orchestrator_tests::host::{Outcome, Running};
use orchestrator_tests::processes::{children, state, wait_until};
use orchestrator_tests::scene::{QUICK, Scene};
use rustix::process::Signal;
use serde_json::Value;

#[path = "plugins/fixtures.rs"]
#[expect(dead_code, reason = "the other tests of plugins build more of them")]
mod fixtures;

const UNAVAILABLE: i32 = 69;
const PATIENCE: Duration = Duration::from_secs(60);

/// A library of classes that count, in one of its versions.
fn lively(version: u32) -> PathBuf {
    let package = if version == 1 { "lively-one" } else { "lively-two" };
    let library = fixtures::Crate::fixture("lively", package).replace("PACKAGE", package);
    library.replace("VERSION", &version.to_string()).build()
}

/// A run of a few inputs, each waiting for the file `gate`, with an instance `life` in a sandbox.
struct Live {
    scene: Scene,
    host: Running,
}

impl Live {
    fn start(arguments: &[&str]) -> Self {
        let scene = Scene::new();
        scene.inputs(&["1.dat", "2.dat", "3.dat"]);
        let live = Self { host: Self::configured(&scene, "").start(arguments), scene };
        wait_until("the instance works", PATIENCE, || {
            assert!(state(live.host.pid()).is_some(), "the host ended:\n{}", live.host.said());
            live.instance()["calls"].as_u64().is_some_and(|calls| calls > 2)
        });
        live
    }

    /// Writes the configuration, with `more` in the instance's own section.
    fn configured<'s>(scene: &'s Scene, more: &str) -> &'s Scene {
        if fs::read_dir(scene.join("plugins")).expect("a folder").next().is_none() {
            install(scene, 1);
        }
        let gate = scene.join("gate").to_string_lossy().into_owned();
        let plugins = format!(
            "{QUICK}metrics: {{interval: 200ms}}\nplugins:\n  directories: [plugins]\n  capacity: []\n  metrics:\n    \
             - {{name: life, class: Counts, config: {{name: life{more}}}}}\n"
        );
        scene.fixture_config(&["--wait-for", &gate], &plugins);
        scene
    }

    fn configure(&self, more: &str) {
        Self::configured(&self.scene, more);
    }

    /// `plugin list` beside the run: the instance.
    fn instance(&self) -> Value {
        let said = self.scene.run(&["plugin", "list", "--format", "json"]).expect_code(0);
        let list: Value = serde_json::from_str(&said.stdout).expect("one object");
        if list["live"] == true { list["instances"][0].clone() } else { Value::Null }
    }

    fn reload(&self) -> Outcome {
        self.scene.run(&["plugin", "reload"])
    }

    fn end(self) -> Outcome {
        fs::write(self.scene.join("gate"), "").expect("the gate");
        let outcome = self.host.wait().expect_code(0);
        assert_eq!(self.scene.outputs().len(), 3, "the run is as if nothing had happened");
        outcome
    }
}

/// A library is replaced as an installer does it: another file takes its name.
fn install(scene: &Scene, version: u32) {
    let new = scene.join("plugins/new");
    fs::copy(lively(version), &new).expect("a copy of the library");
    fs::rename(new, scene.join("plugins/lively.so")).expect("it takes the name");
}

#[test]
fn a_live_run_takes_over_what_changed_and_keeps_what_cannot_be_replaced() {
    let live = Live::start(&["run", "config.yaml"]);
    live.configure(", mark: 3");
    live.host.signal(Signal::HUP);
    wait_until("the run says what changed", PATIENCE, || {
        live.host.said().contains("`life` runs with its new configuration; its state went along")
    });
    live.configure(", mark: 3, refuses: no licence");
    live.reload().expect_code(UNAVAILABLE).expect_words(&["no licence", "the old one goes on"]);
    assert_eq!(live.instance()["state"], "running");
    install(&live.scene, 2);
    live.configure(", mark: 3");
    live.reload().expect_code(0).expect_words(&["from its new library (lively-two 2.0.0)"]);
    wait_until("the list shows it", PATIENCE, || live.instance()["library"]["version"] == "2.0.0");
    let instance = live.instance();
    assert_eq!((&instance["reloads"], &instance["isolation"]), (&2.into(), &"sandbox".into()));
    live.end();
}

#[test]
fn a_mistake_in_the_configuration_is_told_on_both_sides_and_changes_nothing() {
    let live = Live::start(&["run", "config.yaml"]);
    let path = live.scene.join("config.yaml");
    let text = fs::read_to_string(&path).expect("the configuration");
    fs::write(&path, format!("{text}colour: blue\n")).expect("the configuration");
    // The command cannot read it itself: the state directory is named.
    let directory = live.scene.join("out/.orchestrator").to_string_lossy().into_owned();
    let arguments = ["plugin", "reload", "--state-dir", &directory];
    live.scene.run(&arguments).expect_code(78).expect_words(&["1 mistake", "nothing was changed"]);
    assert!(live.host.said().contains("colour"), "{}", live.host.said());
    fs::write(
        &path,
        text.replace("delay: 10ms", "delay: 20ms").replace("file_suffix: .out", "file_suffix: .x"),
    )
    .expect("the configuration");
    live.reload().expect_code(0).expect_words(&["`life` is unchanged"]);
    wait_until("the run says what it cannot change", PATIENCE, || {
        live.host.said().contains("in force with the next run only: output.file_suffix")
    });
    live.end();
}

#[test]
fn a_required_plugin_that_is_revoked_ends_the_run_with_the_next_reload() {
    let live = Live::start(&["run", "config.yaml"]);
    let path = live.scene.join("config.yaml");
    let text = fs::read_to_string(&path).expect("the configuration");
    let sha256 = PluginFile::inspect(&lively(1)).expect("a plugin").sha256;
    let trust = format!("plugins:\n  trust: {{revoked: ['{sha256}']}}\n");
    let text = text.replace("plugins:\n", &trust).replace("class: Counts,", "class: Counts, required: true,");
    fs::write(&path, text).expect("the configuration");
    live.host.signal(Signal::HUP);
    let outcome = live.host.wait().expect_code(UNAVAILABLE);
    outcome.expect_words(&["trusted no longer", "plugins.trust.revoked"]);
}

#[test]
fn a_killed_runner_is_started_again_and_the_run_goes_on() {
    let live = Live::start(&["run", "config.yaml"]);
    let all = children(live.host.pid());
    let runner = all.iter().find(|seen| seen.command.contains("plugin-runner")).expect("a runner");
    let pid = i32::try_from(runner.pid).ok().and_then(rustix::process::Pid::from_raw).expect("a pid");
    rustix::process::kill_process(pid, Signal::KILL).expect("a signal");
    wait_until("it works again", PATIENCE, || {
        let instance = live.instance();
        instance["restarts"] == 1 && instance["state"] == "running"
    });
    wait_until("the run says so", PATIENCE, || live.host.said().contains("plugin `life` works again"));
    assert!(live.host.said().contains("it is started again in 1 s"), "{}", live.host.said());
    live.end().expect_words(&["plugins: life was restarted 1 time"]);
}

#[test]
fn the_last_event_and_the_history_know_what_plugins_cost() {
    let live = Live::start(&["run", "config.yaml", "--format", "json"]);
    fs::write(live.scene.join("gate"), "").expect("the gate");
    let Live { scene, host } = live;
    let outcome = host.wait().expect_code(0);
    let last = outcome.stdout.lines().last().expect("events");
    let last: Value = serde_json::from_str(last).expect("an object");
    let instance = &last["plugins"][0];
    assert_eq!((&last["event"], &instance["instance"]), (&"run_finished".into(), &"life".into()));
    assert!(instance["calls"].as_u64().is_some_and(|calls| calls > 2), "{instance}");
    assert!(instance["p99_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{instance}");
    assert!(instance["memory_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{instance}");
    assert!(last["ticks"]["count"].as_u64().is_some_and(|count| count > 0), "{}", last["ticks"]);
    let database = rusqlite::Connection::open(scene.join("out/.orchestrator/state.db")).expect("a database");
    for name in [
        "orchestrator.plugin.life.calls",
        "orchestrator.plugin.life.memory_bytes",
        "orchestrator.tick.p99_seconds",
    ] {
        let known = "SELECT count(*) FROM metrics WHERE name = ?1";
        let count: u32 = database.query_row(known, [name], |row| row.get(0)).expect("a count");
        assert_eq!(count, 1, "{name}");
    }
}

#[test]
fn without_a_run_there_is_nothing_to_reload_and_the_list_shows_what_is_configured() {
    let scene = Scene::new();
    scene.inputs(&["1.dat"]);
    Live::configured(&scene, "");
    scene.run(&["plugin", "reload"]).expect_code(UNAVAILABLE).expect_words(&["no run is under way"]);
    let said = scene.run(&["plugin", "list"]).expect_code(0);
    said.expect_words(&["nothing runs", "metrics life Counts: lively-one 1.0.0"]);
}

#[test]
fn nobody_misses_a_metric_before_it_can_have_been_measured() {
    let scene = Scene::new();
    let names: Vec<String> = (0..30).map(|number| format!("{number}.dat")).collect();
    scene.inputs(&names);
    artifacts::copy_plugins(&artifacts::PLUGINS, &scene.join("plugins"));
    let plugins = "\
calibration: {enabled: false}
metrics: {interval: 200ms}
plugins:
  directories: [plugins]
  metrics:
    - {name: connections, class: ConnectionMetricsCollector, isolation: in_process}
  capacity:
    - {name: custom, class: CustomCapacityCalculator, isolation: in_process, config: {max_connections: 1000}}
";
    scene.fixture_config(&["--sleep-ms", "100"], plugins);
    let said = scene.run_config().expect_code(0).text();
    assert!(!said.contains("nobody measures"), "{said}");
}
