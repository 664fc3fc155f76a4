//! A crate outside the workspace, built once, and several libraries side by side.

use crate::fixtures::{misbehaving, third_party, tiny};
use crate::world::{World, directory, metrics, with_config};
use orchestrator_plugin_api::{MetricKind, PluginKind};
use orchestrator_plugin_host::PluginFile;
use serde_json::json;

#[test]
fn a_third_partys_plugin_is_loaded_and_configured() {
    let library = third_party();
    let mut world =
        World::of(&library, &[with_config(metrics("LoadAverageCollector"), json!({ "per_core": true }))]);
    assert!(world.failures.is_empty(), "{:?}", world.failures);
    let names: Vec<String> = world.round().system.into_keys().collect();
    assert_eq!(names, ["load.15m", "load.1m", "load.5m"]);
    let wrong = with_config(metrics("LoadAverageCollector"), json!({ "per_cores": true }));
    let world = World::of(&library, &[wrong]);
    assert!(world.failures[0].to_string().contains("unknown key `per_cores`; did you mean `per_core`?"));
}

#[test]
fn its_file_tells_what_it_is_without_being_loaded() {
    let descriptor = PluginFile::inspect(&third_party()).unwrap().descriptor;
    assert_eq!((descriptor.name.as_str(), descriptor.version.as_str()), ("load-average", "0.3.0"));
    assert_eq!(descriptor.api, orchestrator_plugin_api::API_VERSION);
    let class = &descriptor.classes[0];
    assert_eq!((class.class.as_str(), class.kind), ("LoadAverageCollector", PluginKind::Metrics));
    assert_eq!(class.metrics[0].kind, MetricKind::Gauge);
}

#[test]
fn a_stripped_library_still_tells_and_loads() {
    let directory = directory(&[&third_party()]);
    let path = directory.path().join("libload_average.so");
    let whole = std::fs::metadata(&path).unwrap().len();
    let status = std::process::Command::new("strip").arg("-s").arg(&path).status();
    assert!(status.is_ok_and(|status| status.success()), "binutils' strip is needed");
    assert!(std::fs::metadata(&path).unwrap().len() < whole);
    let mut world = World::start(&[directory.path().to_owned()], &[metrics("LoadAverageCollector")]);
    assert!(world.round().system.contains_key("load.1m"));
}

#[test]
fn plugins_of_one_kind_in_one_directory_load_as_themselves() {
    let first = tiny("tiny-first", "Twice", "tiny.first").build();
    let third = tiny("tiny-third", "Third", "tiny.third").build();
    let directory = directory(&[&first, &third, &misbehaving(), &third_party()]);
    let mut again = metrics("Twice");
    again.name = "again".to_owned();
    let specs = [metrics("Third"), metrics("Twice"), metrics("Good"), metrics("LoadAverageCollector"), again];
    let mut world = World::start(&[directory.path().to_owned()], &specs);
    assert!(world.failures.is_empty(), "{:?}", world.failures);
    let system = world.round().system;
    for metric in ["tiny.third", "tiny.first", "good.calls", "load.1m"] {
        assert!(system.contains_key(metric), "{metric} is missing: {system:?}");
    }
}

/// A changed core or host never asks for a rebuild of a plugin: nothing of them is in it.
#[test]
fn of_the_orchestrator_it_knows_the_contract_alone() {
    let lock = crate::fixtures::workspace().join("examples/third-party-plugin/Cargo.lock");
    let lock = std::fs::read_to_string(lock).expect("the example has a lock file");
    let names = lock.lines().filter_map(|line| line.strip_prefix("name = "));
    let ours: Vec<&str> = names.filter(|name| name.contains("orchestrator")).collect();
    assert_eq!(ours, ["\"orchestrator-plugin-api\""]);
}
