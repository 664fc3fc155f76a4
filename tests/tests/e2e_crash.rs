//! The host is killed without warning, again and again: nothing is lost, done twice, left in part or left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use orchestrator_tests::artifacts;
use orchestrator_tests::corpus::crate_sources;
use orchestrator_tests::dice::Dice;
use orchestrator_tests::processes::{mentioning, wait_until};
use orchestrator_tests::scene::{QUICK, Scene};
use orchestrator_tests::watcher::{Expected, Watcher};
use rustix::process::Signal;

const PATIENCE: Duration = Duration::from_secs(60);

/// What a plain loop makes of each input: output name → content.
fn sequential(inputs: &[PathBuf]) -> Expected {
    let mut expected = BTreeMap::new();
    for input in inputs {
        let made = Command::new("gzip").args(["-9", "-n", "-c"]).arg(input).output().expect("gzip");
        assert!(made.status.success(), "gzip {}", input.display());
        let mut name = OsString::from(input.file_name().expect("an input has a name"));
        name.push(".out");
        expected.insert(name, made.stdout);
    }
    expected
}

/// Tasks whose completion was told, by the lines of `--format json`.
fn told_completed(stdout: &str) -> BTreeSet<String> {
    let events = stdout.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let completed = events.filter(|event| event["fact"] == "task_completed");
    completed.map(|event| event["task"].to_string()).collect()
}

/// The tasks that started after the first `skip` lines of the executions' log.
fn started_after(scene: &Scene, skip: usize) -> Vec<String> {
    let text = fs::read_to_string(scene.join("executions.log")).unwrap_or_default();
    let starts = text.lines().filter(|line| line.starts_with("start\t")).skip(skip);
    starts.filter_map(|line| line.split('\t').nth(2)).map(str::to_owned).collect()
}

/// The configuration: the fixture logs its start and becomes `gzip`, which writes to standard output.
fn gzip_config(scene: &Scene) {
    let log = scene.join("executions.log").to_string_lossy().into_owned();
    let flags = ["--input", "{input_file}", "--log", &log, "--", "gzip", "-9", "-n", "-c", "{input_file}"];
    scene.config(&artifacts::fixture(), &flags, "  stdout: \"{output_file}\"\n", QUICK);
}

fn outputs_equal(scene: &Scene, expected: &Expected) {
    for (name, content) in expected {
        let path = Path::new("out").join(name);
        let found =
            fs::read(scene.path().join(&path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(found == *content, "{} differs from the sequential loop's", path.display());
    }
    assert_eq!(scene.outputs().len(), expected.len(), "files that nobody asked for");
}

/// One host's short life.
struct Kill {
    /// Tasks that it told as completed.
    told: BTreeSet<String>,
    /// Executions up to its end.
    starts: usize,
}

/// Starts the host and kills it: every fifth time while it starts up, else after up to `share` more executions (outputs
/// appear in groups, too coarse a clock).
fn start_and_kill(scene: &Scene, dice: &mut Dice, number: usize, share: usize) -> Kill {
    let at_start = number % 5 == 4;
    let more = if at_start { 0 } else { 1 + dice.below(share as u64) as usize };
    let pause = Duration::from_millis(dice.below(if at_start { 100 } else { 10 }));
    let goal = scene.executions().len() + more;
    let mut host = scene.start(&["run", "--format", "json", "config.yaml"]);
    wait_until("more executions", PATIENCE, || {
        assert!(host.is_running(), "ended before kill {number}:\n{}", host.said());
        scene.executions().len() >= goal
    });
    std::thread::sleep(pause);
    host.signal(Signal::KILL);
    let said = host.wait();
    assert_eq!(said.code(), -9, "{}", said.text());
    let kill = Kill { told: told_completed(&said.stdout), starts: scene.executions().len() };
    let outputs = scene.outputs().len();
    eprintln!("kill {number}: {outputs} outputs, {} starts, {} told", kill.starts, kill.told.len());
    kill
}

mod heavy {
    use super::*;

    #[test]
    fn two_thousand_files_and_twenty_kills() {
        const FILES: usize = 2_000;
        const KILLS: usize = 20;
        let mut dice = Dice::from_environment();
        let scene = Scene::new();
        let inputs = crate_sources(FILES, 16 * 1024, &scene.join("in"));
        let expected = sequential(&inputs);
        gzip_config(&scene);
        fs::create_dir(scene.join("out")).expect("the output folder");
        let watcher = Watcher::start(&scene.join("out"), expected.clone());

        let mut kills = Vec::new();
        for kill in 0..KILLS {
            // The last two fifths stay out of reach: a pause of this thread must not let the host come to its end.
            let within_reach = (FILES * 3 / 5).saturating_sub(scene.executions().len());
            kills.push(start_and_kill(&scene, &mut dice, kill, within_reach / (KILLS - kill)));
        }
        let _said = scene.run(&["run", "--format", "json", "config.yaml"]).expect_code(0);

        outputs_equal(&scene, &expected);
        let report = watcher.finish();
        assert!(report.partial.is_empty(), "{:?}", report.partial);
        assert!(report.looks >= FILES, "the watcher saw only {} appearances", report.looks);
        let told: usize = kills.iter().map(|kill| kill.told.len()).sum();
        assert!(told > FILES / 20, "events told of {told} completions only");
        for kill in &kills {
            let later = started_after(&scene, kill.starts);
            let again: Vec<&String> = later.iter().filter(|task| kill.told.contains(*task)).collect();
            assert!(again.is_empty(), "told as completed, and started again: {again:?}");
        }
        let extra = scene.executions().len() - FILES;
        // A kill costs what was in flight (4) and what was not yet recorded; never a large part.
        assert!(extra <= KILLS * 40, "{extra} executions too many for {KILLS} kills");
        assert!(mentioning(scene.path()).is_empty(), "left behind: {:?}", mentioning(scene.path()));
    }
}

#[test]
fn orphans_are_ended_by_the_next_start() {
    let scene = Scene::new();
    scene.inputs(&["a.dat", "b.dat", "c.dat"]);
    let gate = scene.join("gate").to_string_lossy().into_owned();
    let acts = ["--ignore-term", "--grandchild", "600", "--setsid-grandchild", "600", "--wait-for", &gate];
    scene.fixture_config(&acts, &format!("{QUICK}shutdown: {{grace_seconds: 1}}\n"));
    let host = scene.start(&["run", "config.yaml"]);
    wait_until("three work", PATIENCE, || scene.executions().len() == 3);
    // Three tasks, each with two grandchildren.
    wait_until("nine processes", PATIENCE, || orphans(&scene, host.pid()).len() >= 9);
    host.signal(Signal::KILL);
    let _killed = host.wait();
    let orphans = orphans(&scene, 0);
    assert!(!orphans.is_empty(), "nothing survived the kill: this test tests nothing");

    let next = scene.start(&["run", "config.yaml"]);
    wait_until("the orphans end", PATIENCE, || {
        let living = mentioning(scene.path());
        orphans.iter().all(|orphan| !living.contains(orphan))
    });
    fs::write(gate, "").expect("the gate");
    let _said = next.wait().expect_code(0);
    assert_eq!(scene.outputs(), ["a.dat.out", "b.dat.out", "c.dat.out"]);
}

/// The processes of tasks and their descendants: all that mention the scene but the host.
fn orphans(scene: &Scene, host: u32) -> Vec<orchestrator_tests::processes::Seen> {
    mentioning(scene.path())
        .into_iter()
        .filter(|seen| seen.pid != host && seen.command.contains("fixture"))
        .collect()
}
