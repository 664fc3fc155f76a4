//! Every configuration in `examples/` runs as it stands, on real files.

use std::fs;
use std::path::{Path, PathBuf};

use orchestrator_tests::scene::Scene;

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let entries = fs::read_dir(folder).expect("the examples").flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect();
    found.sort();
    found
}

#[test]
fn every_example_passes_check_and_run() {
    let examples = examples();
    assert!(examples.len() >= 3, "{examples:?}");
    for example in examples {
        let scene = Scene::new();
        let config = example.to_string_lossy();
        let set = format!("output.directory={}", scene.join("out").display());
        let _said = scene.run(&["check", &config, "--set", &set]).expect_code(0);
        let _said = scene.run(&["run", &config, "--set", &set]).expect_code(0);
        assert!(!scene.outputs().is_empty(), "{config} made nothing");
    }
}
