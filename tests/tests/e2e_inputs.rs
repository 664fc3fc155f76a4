//! Inputs as the world makes them: odd names, missing files, nothing at all.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use orchestrator_tests::artifacts;
use orchestrator_tests::scene::{QUICK, Scene};

const NOTHING_TO_DO: i32 = 4;
const CONFIGURATION: i32 = 78;
const SOME_FAILED: i32 = 100;

#[test]
fn nothing_to_do() {
    let scene = Scene::new();
    scene.fixture_config(&[], QUICK);
    let _said = scene.run_config().expect_code(NOTHING_TO_DO);
    scene.inputs(&["a.dat"]);
    edit_pattern(&scene, "*.txt");
    let _said = scene.run_config().expect_code(NOTHING_TO_DO).expect_words(&["*.txt"]);
}

fn edit_pattern(scene: &Scene, pattern: &str) {
    let path = scene.join("config.yaml");
    let text = fs::read_to_string(&path).expect("the configuration");
    fs::write(path, text.replace("output:", &format!("  file_pattern: '{pattern}'\noutput:")))
        .expect("it again");
}

#[test]
fn a_pattern_chooses() {
    let scene = Scene::new();
    scene.inputs(&["a.dat", "b.txt", "c.dat"]);
    scene.fixture_config(&[], QUICK);
    edit_pattern(&scene, "*.dat");
    let _said = scene.run_config().expect_code(0);
    assert_eq!(scene.outputs(), ["a.dat.out", "c.dat.out"]);
}

#[test]
fn hidden_files_are_worked_on_when_the_pattern_says_so() {
    let scene = Scene::new();
    scene.inputs(&["a.dat", ".hidden"]);
    scene.fixture_config(&[], QUICK);
    let _said = scene.run_config().expect_code(0);
    assert_eq!(scene.outputs(), ["a.dat.out"]);
    edit_pattern(&scene, ".*");
    let _said = scene.run_config().expect_code(0);
    assert_eq!(scene.outputs(), [".hidden.out", "a.dat.out"]);
}

#[test]
fn odd_names_arrive_unchanged() {
    let names: Vec<OsString> = [
        &b"plain.dat"[..],
        b"two words.dat",
        b"-leading-dash",
        b"new\nline",
        b"tab\tand\x07bell",
        b"latin1-\xe9t\xe9.dat",
        b"\xff\xfe\xfd",
        b"quote'\"$(touch pwned)`;&|<>*?[x]{input_file}\\",
        b"{output_file}",
        b"%s%n",
    ]
    .iter()
    .map(|bytes| OsString::from_vec(bytes.to_vec()))
    .collect();
    let scene = Scene::new();
    scene.inputs(&names);
    fs::write(scene.join("in/empty.dat"), "").expect("an empty input");
    let long = "n".repeat(255 - ".out".len());
    scene.inputs(&[&long]);
    scene.fixture_config(&[], QUICK);
    let _said = scene.run_config().expect_code(0);
    for name in names.iter().chain([&OsString::from("empty.dat"), &OsString::from(long)]) {
        let mut output = name.clone();
        output.push(".out");
        let found =
            fs::read(scene.join("out").join(&output)).unwrap_or_else(|error| panic!("{output:?}: {error}"));
        assert_eq!(found, fs::read(scene.join("in").join(name)).expect("the input"), "{name:?}");
    }
    assert_eq!(scene.outputs().len(), names.len() + 2);
    assert!(!scene.join("pwned").exists());
}

#[test]
fn a_file_that_vanishes_before_its_turn_fails_alone() {
    let scene = Scene::new();
    scene.inputs(&["a.dat", "b.dat", "c.dat"]);
    // The first to run removes the inputs of all others.
    let script = "for f in \"$3\"/*; do [ \"$f\" = \"$1\" ] || rm -f \"$f\"; done; cp \"$1\" \"$2\"";
    let folder = scene.join("in");
    let flags = ["-c", script, "sh", "{input_file}", "{output_file}", &folder.to_string_lossy()];
    let one_by_one = QUICK.replace("max: 4", "max: 1").replace("max_attempts: 1", "max_attempts: 3");
    scene.config(Path::new("/bin/sh"), &flags, "", &one_by_one);
    let _said = scene.run_config().expect_code(SOME_FAILED).expect_words(&["vanished"]);
    assert_eq!(scene.outputs().len(), 1, "{:?}", scene.outputs());
}

#[test]
fn links_and_folders_are_no_files_unless_asked_for() {
    let scene = Scene::new();
    scene.inputs(&["a.dat"]);
    symlink("nowhere", scene.join("in/dangling")).expect("a link");
    symlink("loop", scene.join("in/loop")).expect("a link to itself");
    symlink(".", scene.join("in/self")).expect("a link to its folder");
    fs::create_dir(scene.join("in/folder")).expect("a folder");
    scene.fixture_config(&[], &format!("{QUICK}timeouts: {{attempt: 20s}}\n"));
    let _said = scene.run_config().expect_code(0);
    assert_eq!(scene.outputs(), ["a.dat.out"]);
}

#[test]
fn recursion_follows_no_loop() {
    let scene = Scene::new();
    scene.inputs(&["a.dat"]);
    fs::create_dir_all(scene.join("in/x/y")).expect("folders");
    fs::write(scene.join("in/x/y/deep.dat"), "deep").expect("a deep input");
    symlink("..", scene.join("in/x/up")).expect("a loop");
    scene.fixture_config(&[], QUICK);
    let path = scene.join("config.yaml");
    let text = fs::read_to_string(&path).expect("the configuration");
    let text = text.replace("output:", "  recursive: true\n  follow_symlinks: true\noutput:");
    fs::write(&path, text).expect("the configuration");
    let _said = scene.run_config().expect_code(0);
    assert_eq!(scene.executions().len(), 2);
    assert_eq!(fs::read(scene.join("out/x/y/deep.dat.out")).expect("its output"), b"deep");
}

/// Permissions do not bind root, so the host is started as nobody, from copies that nobody can reach.
fn run_as_nobody(scene: &Scene) -> orchestrator_tests::host::Outcome {
    run_as(scene, 65_534, "exec \"$0\" \"$@\"")
}

/// The same as any user, by a shell script that is given the host and its arguments.
fn run_as(scene: &Scene, user: u32, script: &str) -> orchestrator_tests::host::Outcome {
    let everyone = |path: &Path, mode: u32| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions of our own file");
    };
    // Everyone may add to the folder, and nobody may replace the program and its plugins.
    everyone(scene.path(), 0o1777);
    let bin = scene.join("nobodys");
    fs::create_dir(&bin).expect("a folder");
    let host = bin.join("orchestrator");
    fs::copy(artifacts::orchestrator(), &host).expect("a copy of the host");
    artifacts::copy_plugins(&artifacts::PLUGINS, &bin.join("plugins"));
    let mut command = scene.command(&["run", "config.yaml"]);
    if rustix::process::geteuid().is_root() {
        let arguments = command.get_args().map(ToOwned::to_owned).collect::<Vec<_>>();
        let mut other = std::process::Command::new("setpriv");
        other.args([&format!("--reuid={user}"), "--regid=65534", "--clear-groups", "sh", "-c", script]);
        other.arg(&host).args(arguments);
        other.current_dir(scene.path()).env("NO_COLOR", "1");
        command = other;
    }
    scene.start_command(command).wait()
}

#[test]
fn where_the_machine_bears_few_processes_all_get_done_with_fewer_at_once() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!(
            "skipped: the limit counts all processes of a user, and needs one who has no others"
        );
    }
    let scene = Scene::new();
    let names: Vec<String> = (0..40).map(|number| format!("{number:02}.dat")).collect();
    scene.inputs(&names);
    let more = "calibration: {enabled: false}\nconcurrency: {mode: fixed, max: 40}\n\
                plugins: {metrics: [], capacity: []}\nretry: {max_attempts: 8, delay: 300ms}\n";
    // Each needs a second process of its own, which is refused as well while too many run.
    let flags = ["-c", "sleep 0.2; cp -- \"$0\" \"$1\"", "{input_file}", "{output_file}"];
    scene.config(Path::new("/bin/sh"), &flags, "", more);
    let said = run_as(&scene, 64_123, "exec prlimit --nproc=25:25 \"$0\" \"$@\"").expect_code(0);
    assert!(said.text().contains("Resource temporarily unavailable"), "{}", said.text());
    assert_eq!(scene.outputs().len(), names.len());
}

#[test]
fn an_unreadable_input_fails_alone() {
    let scene = Scene::new();
    scene.inputs(&["a.dat", "b.dat", "secret.dat"]);
    let secret = scene.join("in/secret.dat");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).expect("permissions");
    scene.config(Path::new("/bin/cp"), &["--", "{input_file}", "{output_file}"], "", QUICK);
    let _said =
        run_as_nobody(&scene).expect_code(SOME_FAILED).expect_words(&["secret.dat", "permission denied"]);
    assert_eq!(scene.outputs(), ["a.dat.out", "b.dat.out"]);
}

#[test]
fn an_output_directory_that_cannot_be_written_is_found_at_once() {
    let scene = Scene::new();
    scene.inputs(&["a.dat"]);
    fs::create_dir(scene.join("out")).expect("an output folder");
    fs::set_permissions(scene.join("out"), fs::Permissions::from_mode(0o555)).expect("permissions");
    scene.config(Path::new("/bin/cp"), &["--", "{input_file}", "{output_file}"], "", QUICK);
    let _said = run_as_nobody(&scene).expect_code(CONFIGURATION).expect_words(&["out", "permission denied"]);
}

#[test]
fn an_output_directory_below_a_file_is_found_at_once() {
    let scene = Scene::new();
    scene.inputs(&["a.dat"]);
    fs::write(scene.join("out"), "in the way").expect("a file");
    scene.fixture_config(&[], QUICK);
    let _said = scene.run_config().expect_code(CONFIGURATION).expect_words(&["out"]);
    assert!(scene.executions().is_empty());
}
