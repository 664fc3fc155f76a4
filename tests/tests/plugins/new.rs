//! `orchestrator plugin new`: what it writes builds, passes its own test, is clean, and works in a run.

use crate::fixtures::{cargo, fixtures, lock, take_lock_file, workspace};
use crate::museum::this_process;
use crate::world::{World, capacity, metrics};
use orchestrator_core::metrics::Metrics;
use orchestrator_tests::scene::Scene;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const USAGE: i32 = 2;

fn contract() -> String {
    workspace().join("orchestrator-plugin-api").display().to_string()
}

/// Makes the crate, passes its own checks, builds it; returns its folder and its library.
fn made(scene: &Scene, name: &str, kind: &str) -> (PathBuf, PathBuf) {
    let _lock = lock(name);
    // Always at the same place, so that a second run of this test builds nothing anew but the crate itself.
    let folder = fixtures().join("src").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("a folder of an earlier run");
    }
    let path = folder.display().to_string();
    let arguments = ["plugin", "new", name, "--kind", kind, "--api-path", &contract(), "--path", &path];
    let _said = scene.run(&arguments).expect_code(0).expect_words(&["cargo build --release"]);
    for file in ["LICENSE", "README.md", ".gitignore", ".github/workflows/ci.yml", "example.yaml"] {
        assert!(folder.join(file).is_file(), "{file} is missing");
    }
    take_lock_file(&folder);
    let manifest = folder.join("Cargo.toml");
    well_formed(&folder.join("src/lib.rs"));
    cargo(&["test", "--offline"], &manifest, &[]);
    cargo(&["clippy", "--offline", "--all-targets"], &manifest, &["-D", "warnings"]);
    cargo(&["build", "--offline"], &manifest, &[]);
    let library = fixtures().join(format!("debug/lib{}.so", name.replace('-', "_")));
    let copy = scene.join("plugins").join(library.file_name().expect("a file name"));
    fs::copy(library, &copy).expect("a copy of the library");
    (folder, copy)
}

fn well_formed(source: &Path) {
    let output = Command::new("rustfmt").args(["--check", "--edition", "2024"]).arg(source).output();
    let output = output.expect("rustfmt comes with the toolchain");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Runs the example as it was written, but for the place of the library; returns the events.
fn example(scene: &Scene, folder: &Path) -> String {
    let set = |key: &str, value: &Path| format!("{key}={}", value.display());
    let config = folder.join("example.yaml");
    let arguments = [
        "run".to_owned(),
        config.display().to_string(),
        "--format=json".to_owned(),
        format!("--set=plugins.directories=[{}]", scene.join("plugins").display()),
        format!("--set={}", set("output.directory", &scene.join("out"))),
    ];
    let said = scene.run(&arguments).expect_code(0);
    assert!(
        scene.outputs().len() >= 4,
        "a checksum of each of the files of the crate: {:?}",
        scene.outputs()
    );
    let text = said.text();
    assert!(!text.contains("\"event\":\"warning\""), "{text}");
    text
}

#[test]
fn a_new_metrics_plugin_is_sound_and_measures() {
    let scene = Scene::new();
    let (folder, library) = made(&scene, "new-metrics", "metrics");
    let mut world = World::of(&library, &[metrics("NewMetricsCollector")]);
    assert!(world.failures.is_empty(), "{}", world.failures[0]);
    let round = world.round_over(vec![this_process()], Metrics::new());
    assert!(round.processes[0].1["new_metrics.open_files"] >= 3.0, "{:?}", round.processes);
    example(&scene, &folder);
}

#[test]
fn a_new_capacity_plugin_is_sound_and_limits() {
    let scene = Scene::new();
    let (folder, library) = made(&scene, "new-capacity", "capacity");
    let mut world = World::of(&library, &[capacity("NewCapacityCapacity")]);
    assert!(world.failures.is_empty(), "{}", world.failures[0]);
    world.built_in(&[("system.cpu.cores", 12.0)]);
    let answer = &world.round().capacity[0];
    assert_eq!((answer.capacity, answer.reason.as_str()), (Some(12), "12 cores, 1 for each"));
    let events = example(&scene, &folder);
    assert!(events.contains(" cores, 1 for each"), "{events}");
}

#[test]
fn without_a_folder_the_contract_is_named_by_version() {
    let scene = Scene::new();
    let _said = scene.run(&["plugin", "new", "by-version", "--kind", "metrics"]).expect_code(0);
    let manifest = fs::read_to_string(scene.join("by-version/Cargo.toml")).expect("the manifest");
    let (minor, _) = orchestrator_plugin_api::API_VERSION.rsplit_once('.').expect("a version has dots");
    assert!(manifest.contains(&format!("orchestrator-plugin-api = \"{minor}\"\n")), "{manifest}");
}

#[test]
fn what_is_there_is_left_alone_and_bad_names_are_told() {
    let scene = Scene::new();
    fs::create_dir(scene.join("taken")).expect("a folder");
    let refused = |arguments: &[&str], words: &[&str]| {
        let all = [&["plugin", "new", "--kind", "metrics"], arguments].concat();
        let _said = scene.run(&all).expect_code(USAGE).expect_words(words);
    };
    refused(&["taken"], &["taken exists already", "--path"]);
    refused(&["Taken"], &["`Taken` is no name", "lower-case"]);
    refused(&["crate"], &["`crate` is no name", "Rust"]);
    refused(&["../up"], &["`../up` is no name"]);
    refused(&["system-metrics"], &["`system-metrics` would export", "SystemMetricsCollector"]);
    refused(&["fine", "--api-path", "taken"], &["taken is not the crate orchestrator-plugin-api"]);
    assert_eq!(fs::read_dir(scene.join("taken")).expect("a folder").count(), 0);
    assert!(!scene.join("fine").exists());
}

/// The first block of commands under a heading of the guide.
fn commands_of(heading: &str) -> String {
    let guide = fs::read_to_string(workspace().join("docs/plugin-guide.md")).expect("the guide");
    let (_, section) = guide.split_once(&format!("\n## {heading}\n")).expect("a section of the guide");
    let (_, block) = section.split_once("```sh\n").expect("a block of commands");
    block.split_once("```").expect("the block's end").0.to_owned()
}

/// What a reader types, with three differences: the contract lies elsewhere, nothing is downloaded, and the build is one
/// without optimisation in the folder that all these tests share.
fn as_typed(heading: &str, library: &str) {
    let scene = Scene::new();
    let (target, locked) =
        (fixtures().display().to_string(), workspace().join("Cargo.lock").display().to_string());
    let build = format!(
        "cargo build --offline --target-dir {target}\nmkdir -p target/release\ncp {target}/debug/{library} target/release"
    );
    let typed = commands_of(heading);
    let differences = [
        ("~/process-orchestrator/orchestrator-plugin-api", contract()),
        ("cargo test", format!("cp {locked} .\ncargo test --offline --target-dir {target}")),
        ("cargo build --release", build),
    ];
    let script = differences.iter().fold(typed, |script, (word, by)| {
        assert!(script.contains(word), "the guide has no `{word}` any more:\n{script}");
        script.replace(word, by)
    });
    let program = orchestrator_tests::artifacts::orchestrator();
    let path = std::env::join_paths(
        [program.parent().expect("a folder").to_owned()]
            .into_iter()
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let mut shell = Command::new("sh");
    shell.args(["-eu", "-c", &script]).current_dir(scene.path()).env("PATH", path.expect("a search path"));
    for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"] {
        shell.env_remove(variable);
    }
    let output = shell.output().expect("a shell");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{said}");
    assert!(said.contains("0 to be improved, 0 failed"), "{said}");
}

#[test]
fn the_guide_to_metrics_works_as_typed() {
    as_typed("A metrics plugin", "libdisk_watch.so");
}

#[test]
fn the_guide_to_capacity_works_as_typed() {
    as_typed("A capacity plugin", "libcore_share.so");
}
