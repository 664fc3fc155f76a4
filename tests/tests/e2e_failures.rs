//! Programs that fail in every way they can: the right verdict, nothing published that is not whole, and the
//! files beside them go on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use orchestrator_tests::artifacts;
use orchestrator_tests::processes::{mentioning, wait_until};
use orchestrator_tests::scene::{QUICK, Scene};

const SOME_FAILED: i32 = 100;
const STATE_IO: i32 = 74;
const CONFIGURATION: i32 = 78;

/// One bad input among two good ones: exit 100, `words` said, the good ones published, the bad one not.
#[track_caller]
fn fails_alone(acts: &[&str], more: &str, words: &[&str]) -> Scene {
    let scene = Scene::new();
    scene.inputs(&["a.dat", "bad.dat", "c.dat"]);
    let acts: Vec<&str> = ["--only", "bad"].iter().chain(acts).copied().collect();
    scene.fixture_config(&acts, &format!("{QUICK}{more}"));
    let _said = scene.run_config().expect_code(SOME_FAILED).expect_words(&["bad.dat"]).expect_words(words);
    assert_eq!(scene.outputs(), ["a.dat.out", "c.dat.out"]);
    assert_eq!(scene.executions().len(), 3, "one try each: {:?}", scene.executions());
    scene
}

#[test]
fn exit_code() {
    fails_alone(&["--exit", "7"], "", &["exit code 7"]);
}

#[test]
fn killed_by_a_signal() {
    fails_alone(&["--signal", "6"], "", &["SIGABRT"]);
}

#[test]
fn output_missing() {
    fails_alone(&["--no-output"], "", &["output"]);
}

#[test]
fn output_empty() {
    // A second `output:` key would be an error, so the rule comes by --set.
    let scene = Scene::new();
    scene.inputs(&["a.dat", "bad.dat"]);
    scene.fixture_config(&["--only", "bad", "--empty-output"], QUICK);
    let rule = ["run", "--set", "output.validation.non_empty=true", "config.yaml"];
    let _said = scene.run(&rule).expect_code(SOME_FAILED).expect_words(&["bad.dat", "empty"]);
    assert_eq!(scene.outputs(), ["a.dat.out"]);
}

#[test]
fn output_refused_by_the_users_own_check() {
    let scene = Scene::new();
    scene.inputs(&["a.dat", "bad.dat"]);
    scene.fixture_config(&[], QUICK);
    let rule = "output.validation.command=[\"/bin/sh\", \"-c\", \"! grep -q bad \\\"$1\\\"\", \"sh\", \"{output_file}\"]";
    let _said =
        scene.run(&["run", "--set", rule, "config.yaml"]).expect_code(SOME_FAILED).expect_words(&["bad.dat"]);
    assert_eq!(scene.outputs(), ["a.dat.out"]);
}

#[test]
fn output_left_half_written_is_never_published() {
    let scene = Scene::new();
    scene.inputs(&["bad.dat"]);
    let script = "head -c 5 \"$1\" > \"$2\"; exit 1";
    scene.config(Path::new("/bin/sh"), &["-c", script, "sh", "{input_file}", "{output_file}"], "", QUICK);
    let _said = scene.run_config().expect_code(SOME_FAILED);
    assert!(scene.outputs().is_empty(), "{:?}", scene.outputs());
    assert!(leftovers(&scene.join("out")).is_empty(), "{:?}", leftovers(&scene.join("out")));
}

/// Files below `folder` that hold a part of an output.
fn leftovers(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(leftovers(&path));
        } else if path.extension().is_some_and(|ending| ending == "out") {
            found.push(path);
        }
    }
    found
}

#[test]
fn too_slow() {
    let scene = fails_alone(&["--sleep-ms", "60000"], "timeouts: {attempt: 1s}\n", &["limit"]);
    assert!(mentioning(scene.path()).is_empty());
}

#[test]
fn the_whole_tree_is_ended() {
    let acts = ["--setsid-grandchild", "300", "--grandchild", "300", "--ignore-term", "--sleep-ms", "300000"];
    let scene = fails_alone(&acts, "timeouts: {attempt: 2s}\nshutdown: {grace_seconds: 1}\n", &["limit"]);
    wait_until("no process is left", std::time::Duration::from_secs(10), || {
        mentioning(scene.path()).is_empty()
    });
}

#[test]
fn output_pipes_held_open_are_a_leak() {
    let scene = Scene::new();
    scene.inputs(&["a.dat", "bad.dat"]);
    scene.fixture_config(&["--only", "bad", "--hold-stdout", "300"], QUICK);
    let _said = scene.run_config().expect_code(0).expect_words(&["leak"]);
    assert_eq!(scene.outputs(), ["a.dat.out", "bad.dat.out"]);
    fails_alone(&["--hold-stdout", "300"], "timeouts: {on_leak: fail}\n", &["held its output pipes open"]);
}

#[test]
fn much_stderr_is_kept_within_bounds() {
    let scene = Scene::new();
    scene.inputs(&["a.dat"]);
    scene.fixture_config(&["--stderr-bytes", "20000000"], &format!("{QUICK}logging: {{max_bytes: 1MiB}}\n"));
    let _said = scene.run_config().expect_code(0);
    let size = size_of(&scene.join("out/.orchestrator"));
    assert!(size < 8 << 20, "{size} bytes of state and logs for 1 MiB of kept output");
}

fn size_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            if entry.path().is_dir() {
                size_of(&entry.path())
            } else {
                entry.metadata().map_or(0, |m| m.len())
            }
        })
        .sum()
}

#[test]
fn a_pass_after_a_retry_is_flaky_and_shown() {
    let scene = Scene::new();
    scene.inputs(&["a.dat", "bad.dat"]);
    let more = QUICK.replace("max_attempts: 1", "max_attempts: 3");
    scene.fixture_config(&["--only", "bad", "--fail-first", "2"], &more);
    let _said = scene.run_config().expect_code(0).expect_words(&["flaky"]);
    assert_eq!(scene.executions().iter().filter(|name| *name == "bad.dat").count(), 3);
    assert_eq!(scene.outputs(), ["a.dat.out", "bad.dat.out"]);
}

#[test]
fn failed_tasks_wait_for_retry_failed() {
    let scene = fails_alone(&["--fail-first", "1"], "", &["exit code 9"]);
    let _said = scene.run_config().expect_code(SOME_FAILED);
    assert_eq!(scene.executions().len(), 3, "a plain continuation runs a failed task again");
    let _said = scene.run(&["run", "--retry-failed", "config.yaml"]).expect_code(0);
    assert_eq!(scene.executions().len(), 4);
    assert_eq!(scene.outputs(), ["a.dat.out", "bad.dat.out", "c.dat.out"]);
}

#[test]
fn a_binary_that_goes_away_burns_nothing() {
    let scene = Scene::new();
    let names: Vec<String> = (0..20).map(|i| format!("{i:02}.dat")).collect();
    scene.inputs(&names);
    let program = scene.join("tool");
    let write_tool = |more: &str| {
        let text = format!("#!/bin/sh\n{more}\ncp \"$1\" \"$2\"\n");
        fs::write(scene.join("tool.new"), text).expect("a tool");
        fs::set_permissions(scene.join("tool.new"), fs::Permissions::from_mode(0o755))
            .expect("its permissions");
        fs::rename(scene.join("tool.new"), &program).expect("the tool");
    };
    // It removes itself when it runs first.
    write_tool("rm -f \"$0\"");
    let one_by_one = QUICK.replace("max: 4", "max: 1");
    scene.config(&program, &["{input_file}", "{output_file}"], "", &one_by_one);
    let _said = scene.run_config().expect_code(CONFIGURATION).expect_words(&["tool"]);
    assert!(scene.outputs().len() < names.len());
    write_tool("");
    let _said = scene.run_config().expect_code(0);
    assert_eq!(scene.outputs().len(), names.len(), "a missing binary burnt a part of the queue");
}

/// A file system of 1 MB, gone with the test.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf) -> Self {
        fs::create_dir_all(&at).expect("a mount point");
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&at).status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "this test mounts a tmpfs of 1 MB: run it as root"
        );
        Self(at)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A process of the test that still holds it delays the end of the mount, never the test.
        let _status = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn outputs_on_a_full_disk() {
    let scene = Scene::new();
    for i in 0..8 {
        fs::write(scene.join(&format!("in/{i}.dat")), vec![b'x'; 300 * 1024]).expect("an input");
    }
    let disk = SmallDisk::mount(scene.join("out"));
    let state = scene.join("state");
    let more = format!("{QUICK}state: {{directory: {}}}\n", state.display());
    scene.config(Path::new("/bin/cp"), &["--", "{input_file}", "{output_file}"], "", &more);
    let _said = scene.run_config().expect_code(SOME_FAILED);
    for name in scene.outputs() {
        let size = fs::metadata(scene.join("out").join(&name)).expect("an output").len();
        assert_eq!(size, 300 * 1024, "{name} was published in part");
    }
    drop(disk);
    fs::remove_dir(scene.join("out")).expect("the empty mount point");
    // With room again, and the lost disk's outputs gone, the same command line ends the work.
    let _said = scene.run(&["run", "--retry-failed", "config.yaml"]).expect_code(0);
    assert_eq!(scene.outputs().len(), 8);
}

#[test]
fn state_on_a_full_disk() {
    let scene = Scene::new();
    let names: Vec<String> = (0..40).map(|i| format!("{i:02}.dat")).collect();
    scene.inputs(&names);
    let disk = SmallDisk::mount(scene.join("state"));
    let used = fs::File::create(scene.join("state/filler"))
        .and_then(|mut file| std::io::copy(&mut std::io::Read::take(std::io::repeat(0), 4 << 20), &mut file));
    assert!(used.is_err(), "the small disk took 4 MB");
    scene.fixture_config(&[], &format!("{QUICK}state: {{directory: {}}}\n", scene.join("state").display()));
    let _said = scene.run_config().expect_code(STATE_IO).expect_words(&["state"]);
    assert!(scene.executions().is_empty(), "work was done that could not be recorded");
    fs::remove_file(scene.join("state/filler")).expect("the filler");
    let _said = scene.run_config().expect_code(0);
    assert_eq!(scene.outputs().len(), names.len());
    drop(disk);
}

#[test]
fn the_fixture_is_what_the_tests_think_it_is() {
    let code =
        |acts: &[&str]| Command::new(artifacts::fixture()).args(acts).status().expect("the fixture").code();
    assert_eq!(code(&["--no-output"]), Some(0));
    assert_eq!(code(&["--no-output", "--exit", "7"]), Some(7));
    assert_eq!(code(&["--no-output", "--signal", "15"]), None);
    assert_eq!(code(&["--no-output", "--ignore-term", "--signal", "15"]), Some(0));
}
