//! Plugins and hosts frozen as they were built against every published version of the contract, and against versions that
//! do not exist yet: who takes whom is written in `docs/plugin-compatibility.md`, what lies there in `tests/compat`.
//!
//! Each test runs in a process of its own, so that each load order starts from nothing.

use crate::fixtures::{tiny, workspace};
use crate::world::{World, capacity, directory, facts, metrics, runner, with_config};
use orchestrator_core::config::model::Isolation;
use orchestrator_core::metrics::Metrics;
use orchestrator_plugin_host::{
    Catalog, FileFault, InstanceSpec, Library, PluginFile, ReloadOutcome, StartOptions,
};
use orchestrator_ports::ProcessFacts;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every exhibit that a host of major version 1 takes.
const TAKEN: [&str; 3] = ["1.0.0", "1.1.0", "1.99.0"];

fn frozen(name: &str) -> PathBuf {
    workspace().join("tests/compat/frozen").join(name)
}

fn exhibit(version: &str) -> PathBuf {
    frozen(&format!("museum-{version}.so"))
}

/// The metrics and the capacity class of an exhibit.
fn specs(version: &str, isolation: Isolation) -> [InstanceSpec; 2] {
    let version = version.replace('.', "_");
    [metrics(&format!("Exhibit_{version}")), capacity(&format!("Limit_{version}"))]
        .map(|spec| InstanceSpec { isolation, ..spec })
}

/// The running test as the host would show it: facts are read only of the process that was started then.
pub(crate) fn this_process() -> ProcessFacts {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("our own state");
    // What follows the name, which may hold anything, begins with field 3.
    let (_, rest) = stat.rsplit_once(") ").expect("a name in brackets");
    let start_ticks = rest.split(' ').nth(22 - 3).and_then(|field| field.parse().ok()).expect("field 22");
    ProcessFacts { start_ticks, ..facts(1, std::process::id(), &[]) }
}

/// Values by name, capacities by the reason that goes with them.
fn answers(world: &mut World) -> Metrics {
    let round = world.round_over(vec![this_process()], Metrics::new());
    let mut answers = round.system;
    answers.extend(round.processes.into_iter().flat_map(|(_, metrics)| metrics));
    for answer in round.capacity {
        answers.insert(answer.reason, answer.capacity.map_or(-1.0, f64::from));
    }
    answers
}

/// What an exhibit answers on a host of the present.
#[track_caller]
fn as_promised(version: &str, answers: &Metrics) {
    let of = |name: &str| answers.get(name).copied();
    let pid = f64::from(std::process::id());
    match version {
        "1.0.0" => {
            assert_eq!((of("v1_0_0.system"), of("v1_0_0.pid")), (Some(100.0), Some(pid)), "{answers:?}");
            assert_eq!((of("v1_0_0.timed"), of("v1_0_0.tree")), (Some(1.0), Some(1.0)), "{answers:?}");
            assert_eq!((of("v1_0_0.task"), of("v1_0_0")), (Some(7.0), Some(10.0)), "{answers:?}");
        }
        "1.1.0" => {
            assert_eq!((of("v1_1_0.calls"), of("v1_1_0.pid")), (Some(1.0), Some(pid)), "{answers:?}");
            assert_eq!((of("v1_1_0"), of("v1_1_0.exe")), (Some(11.0), Some(1.0)), "{answers:?}");
            assert_eq!(of("v1_1_0.words"), Some(std::env::args_os().count() as f64), "{answers:?}");
            assert_eq!(of("v1_1_0.unset"), Some(77.0), "{answers:?}");
            assert!(of("v1_1_0.open_files").is_some_and(|open| (3.0..77.0).contains(&open)), "{answers:?}");
        }
        "1.99.0" => {
            let missing = (Some(77.0), Some(77.0));
            assert_eq!((of("v1_99_0.later_service"), of("v1_99_0.later_fact")), missing, "{answers:?}");
            assert_eq!((of("v1_99_0"), of("v1_99_0.pid")), (Some(99.0), Some(pid)), "{answers:?}");
        }
        other => panic!("no exhibit {other}"),
    }
}

/// Loads the exhibits one after the other into this process, then lets all of them answer.
fn in_this_order(order: &[&str]) {
    let libraries: Vec<PathBuf> = order.iter().map(|version| exhibit(version)).collect();
    let directory = directory(&libraries.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    for library in &libraries {
        let copy = directory.path().join(library.file_name().expect("a file name"));
        Library::load(&copy, None).expect("the policy says that it is taken");
    }
    let specs: Vec<_> = order.iter().flat_map(|version| specs(version, Isolation::InProcess)).collect();
    let mut world = World::start(&[directory.path().to_owned()], &specs);
    assert!(world.failures.is_empty(), "{}", world.failures[0]);
    let answers = answers(&mut world);
    for version in order {
        as_promised(version, &answers);
    }
}

#[test]
fn from_the_oldest_to_the_newest() {
    in_this_order(&["1.0.0", "1.1.0", "1.99.0"]);
}

#[test]
fn from_the_newest_to_the_oldest() {
    in_this_order(&["1.99.0", "1.1.0", "1.0.0"]);
}

#[test]
fn the_oldest_between_the_newer_ones() {
    in_this_order(&["1.1.0", "1.0.0", "1.99.0"]);
}

#[test]
fn the_newest_between_the_older_ones() {
    in_this_order(&["1.0.0", "1.99.0", "1.1.0"]);
}

#[test]
fn each_alone_in_every_isolation() {
    for isolation in [Isolation::InProcess, Isolation::Process, Isolation::Sandbox] {
        for version in TAKEN {
            let mut world = World::of(&exhibit(version), &specs(version, isolation));
            assert!(world.failures.is_empty(), "{version} {isolation:?}: {}", world.failures[0]);
            as_promised(version, &answers(&mut world));
        }
    }
}

/// The state of a plugin of 1.1 goes along, from the host's process into a sandbox; one of 1.0 has none, and starts anew.
#[test]
fn replaced_while_it_works_each_keeps_what_its_version_can_keep() {
    let directory = directory(&[&exhibit("1.0.0"), &exhibit("1.1.0")]);
    let both = |isolation, factor: f64| {
        let [old, _] = specs("1.0.0", isolation);
        let [new, _] = specs("1.1.0", isolation);
        [with_config(old, json!({ "factor": factor })), new]
    };
    let options = StartOptions { runner: Some(runner()), ..StartOptions::default() };
    let before = both(Isolation::InProcess, 1.0);
    let mut world = World::start_with(&[directory.path().to_owned()], &before, &options);
    assert!(world.failures.is_empty(), "{}", world.failures[0]);
    for calls in 1..=3 {
        let answers = answers(&mut world);
        assert_eq!((answers["v1_1_0.calls"], answers["v1_0_0.system"]), (f64::from(calls), 100.0));
    }
    let control = world.host.control();
    control.reload(Catalog::scan([directory.path()]), both(Isolation::Sandbox, 2.0).to_vec());
    world.rounds_until(|_, _| control.last_reload().is_some());
    let report = control.last_reload().expect("a report");
    let outcomes: Vec<ReloadOutcome> = report.lines.iter().map(|line| line.outcome).collect();
    assert_eq!(outcomes, [ReloadOutcome::Replaced; 2], "{:?}", report.lines);
    let once = answers(&mut world);
    assert_eq!(once["v1_0_0.system"], 200.0);
    assert!(once["v1_1_0.calls"] > 3.0, "its count went along: {once:?}");
    assert_eq!(answers(&mut world)["v1_1_0.calls"], once["v1_1_0.calls"] + 1.0);
}

#[test]
fn another_major_version_is_refused_and_disturbs_nobody() {
    let libraries = [exhibit("2.0.0"), exhibit("1.0.0")];
    let directory = directory(&[&libraries[0], &libraries[1]]);
    let refused = Library::load(&directory.path().join("museum-2.0.0.so"), None).err().expect("a refusal");
    assert!(matches!(refused.fault, FileFault::Major { .. }), "{refused}");
    let told = refused.to_string();
    assert!(told.lines().count() == 1 && told.contains("2.0.0"), "{told}");
    let catalog = Catalog::scan([directory.path()]);
    assert!(catalog.problems().any(|problem| problem.to_string().contains("version 2.0.0")));
    let mut world = World::start(&[directory.path().to_owned()], &specs("1.0.0", Isolation::InProcess));
    assert!(world.failures.is_empty(), "{}", world.failures[0]);
    as_promised("1.0.0", &answers(&mut world));
}

#[test]
fn every_recorded_version_is_on_show_and_says_so_itself() {
    let records = std::fs::read_dir(workspace().join("orchestrator-plugin-api/abi")).expect("the records");
    let mut versions: Vec<String> = records
        .filter_map(|entry| entry.expect("a record").path().file_stem()?.to_str().map(str::to_owned))
        .collect();
    versions.sort();
    assert_eq!(versions.last().map(String::as_str), Some(orchestrator_plugin_api::API_VERSION));
    versions.push("1.99.0".to_owned());
    for version in versions {
        let file = PluginFile::inspect(&exhibit(&version)).expect("an exhibit for every published version");
        assert_eq!(file.descriptor.api, version);
    }
}

/// What a frozen host prints for these libraries, loaded in this order.
fn on_host(version: &str, libraries: &[&Path]) -> String {
    let host = frozen(&format!("host-{version}"));
    let output = Command::new(&host).args(libraries).output().expect("the frozen host runs on this machine");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[track_caller]
fn says(said: &str, lines: &[&str]) {
    for line in lines {
        assert!(said.lines().any(|own| own == *line), "no `{line}` in:\n{said}");
    }
}

/// On a host of 1.0 nothing that came later is there, and nothing else is missing.
const ON_1_0: [(&str, &[&str]); 3] = [
    ("1.0.0", &["v1_0_0.system 100", "v1_0_0.age 3", "v1_0_0.task 7"]),
    (
        "1.1.0",
        &["v1_1_0.calls 1", "v1_1_0.age 3", "v1_1_0.open_files 77", "v1_1_0.words 77", "v1_1_0.exe 77"],
    ),
    ("1.99.0", &["v1_99_0.later_service 77", "v1_99_0.later_fact 77"]),
];

#[test]
fn a_host_of_1_0_takes_every_later_plugin_of_its_major() {
    let orders: [&[usize]; 6] = [&[0], &[1], &[2], &[0, 1, 2], &[2, 1, 0], &[1, 0, 2]];
    for order in orders {
        let libraries: Vec<PathBuf> = order.iter().map(|index| exhibit(ON_1_0[*index].0)).collect();
        let said = on_host("1.0.0", &libraries.iter().map(PathBuf::as_path).collect::<Vec<_>>());
        order.iter().for_each(|index| says(&said, ON_1_0[*index].1));
        assert!(!said.contains("refused") && !said.contains("failed"), "{said}");
    }
    let said = on_host("1.0.0", &[&exhibit("2.0.0")]);
    assert!(said.starts_with("refused ") && said.contains("version 2.0.0"), "{said}");
}

#[test]
fn a_host_of_1_0_takes_a_plugin_built_today() {
    let library = tiny("tiny-today", "Today", "tiny.today").build();
    says(&on_host("1.0.0", &[&library]), &["tiny.today 1"]);
}
