use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use orchestrator_core::config::{LoadRequest, load};

use super::*;
use crate::exit::Exit;
use crate::plugins::NamedBy;
use crate::sources::SystemSources;
use crate::style::Style;

/// Loads `text` as a file of `folder` and checks it without any plugin directory.
fn checked(folder: &Path, text: &str) -> Preflight {
    let file = folder.join("config.yaml");
    fs::write(&file, text).unwrap();
    let request = LoadRequest { file: Some(file), ..LoadRequest::default() };
    let loaded = load(&request, &SystemSources::new()).unwrap();
    let search = SearchPath(vec![(folder.to_owned(), NamedBy::Flag)]);
    let catalog = search.scan(&loaded.config.plugins.trust).unwrap();
    check(&loaded, &search, &catalog, Depth::All)
}

fn exit(preflight: &Preflight) -> Option<Exit> {
    let errors = preflight.reports.iter().filter(|report| report.severity == Severity::Error);
    Exit::of_problems(errors.map(|report| report.exit))
}

fn said(preflight: &Preflight) -> String {
    preflight.reports.iter().map(|report| report.human(Style::PLAIN, 200) + "\n").collect()
}

const NO_PLUGINS: &str = "plugins: {metrics: [], capacity: []}\n";

fn config(binary: &str, more: &str) -> String {
    format!(
        "binary:\n  path: {binary}\n  flags: ['{{input_file}}']\ninput: {{files_directory: in}}\n\
         output: {{directory: out/deep}}\n{NO_PLUGINS}{more}"
    )
}

fn folder(inputs: u32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("in")).unwrap();
    for number in 0..inputs {
        fs::write(folder.path().join(format!("in/{number}.dat")), "x").unwrap();
    }
    folder
}

#[test]
fn a_sound_configuration_gives_a_plan_and_leaves_no_trace() {
    let folder = folder(3);
    let found = checked(folder.path(), &config("sh", ""));
    assert_eq!(exit(&found), None, "{}", said(&found));
    assert_eq!(found.plan.files, Some(3));
    let text = found.plan.text(Style::PLAIN);
    for part in ["/sh {input_file}", "3 files of ", "out/deep/NAME.output", "1 or more, as capacity allows"] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    assert!(!folder.path().join("out").exists());
}

#[test]
fn a_missing_binary_is_shown_in_the_configuration_with_its_neighbour() {
    let folder = folder(1);
    let tool = folder.path().join("convert");
    fs::write(&tool, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let found = checked(folder.path(), &config("./convetr", ""));
    let text = said(&found);
    assert_eq!(exit(&found), Some(Exit::Config));
    for part in ["binary.path", "convetr does not exist", "config.yaml:2:9", "did you mean"] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
}

#[test]
fn what_cannot_be_started_is_said_to_be_so() {
    let folder = folder(1);
    let script = folder.path().join("script");
    fs::write(&script, "#!/nowhere/interpreter -x\n").unwrap();
    assert!(said(&checked(folder.path(), &config("./script", ""))).contains("is not executable"));
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(said(&checked(folder.path(), &config("./script", ""))).contains("/nowhere/interpreter"));
    assert!(said(&checked(folder.path(), &config("./in", ""))).contains("is a directory"));
    assert!(said(&checked(folder.path(), &config("no-such-program-anywhere", ""))).contains("PATH"));
}

#[test]
fn an_empty_directory_is_nothing_to_do_and_a_missing_one_an_error() {
    let folder = folder(0);
    let found = checked(folder.path(), &config("sh", ""));
    assert_eq!(exit(&found), Some(Exit::NothingToDo));
    assert!(said(&found).contains("no file in"), "{}", said(&found));
    fs::remove_dir(folder.path().join("in")).unwrap();
    let found = checked(folder.path(), &config("sh", ""));
    assert_eq!(exit(&found), Some(Exit::Config));
    assert!(said(&found).contains("input.files_directory"), "{}", said(&found));
}

#[test]
fn results_among_the_inputs_are_warned_of_only_where_the_next_run_would_take_them() {
    let folder = folder(1);
    let text = |pattern: &str, more: &str| {
        let input = format!("{{files_directory: in, file_pattern: '{pattern}'{more}}}");
        let output = "{directory: in, file_suffix: .out}";
        config("sh", "").replace("{files_directory: in}", &input).replace("{directory: out/deep}", output)
    };
    let warned = |pattern, more| {
        let said = said(&checked(folder.path(), &text(pattern, more)));
        said.contains("the next run would work on them")
    };
    assert!(warned("*", "") && warned("?*", ""));
    assert!(!warned("*.dat", ""), "a result is called x.dat.out");
    assert!(!warned("*", ", exclude: ['*.out']"));
    fs::create_dir(folder.path().join("in/deep")).unwrap();
    let below = |recursive| {
        let text =
            text("*", recursive).replace("directory: in, file_suffix", "directory: in/deep, file_suffix");
        said(&checked(folder.path(), &text)).contains("the next run would work on them")
    };
    assert!(below(", recursive: true") && !below(""));
}

#[test]
fn what_is_in_the_way_of_outputs_is_to_be_moved_and_not_opened() {
    let folder = folder(1);
    fs::write(folder.path().join("out"), "in the way").unwrap();
    let said = said(&checked(folder.path(), &config("sh", "")));
    assert!(said.contains("move that file away") && !said.contains("permissions"), "{said}");
}

#[test]
fn an_output_directory_below_a_file_cannot_be_made() {
    let folder = folder(1);
    fs::write(folder.path().join("out"), "in the way").unwrap();
    let found = checked(folder.path(), &config("sh", ""));
    assert_eq!(exit(&found), Some(Exit::Config));
    assert!(said(&found).contains("cannot be made"), "{}", said(&found));
}

#[test]
fn all_problems_are_found_at_once_and_a_missing_class_alone_is_unavailable() {
    let folder = folder(1);
    let plugins = "plugins: {metrics: [{name: m, class: NoSuchClass}], capacity: []}\n";
    let text = config("sh", "").replace(NO_PLUGINS, plugins);
    let found = checked(folder.path(), &text);
    assert_eq!(exit(&found), Some(Exit::Unavailable));
    assert!(said(&found).contains("NoSuchClass"), "{}", said(&found));
    fs::remove_dir_all(folder.path().join("in")).unwrap();
    let found = checked(folder.path(), &text.replace("path: sh", "path: ./nothing"));
    assert_eq!(found.reports.len(), 3, "{}", said(&found));
    assert_eq!(exit(&found), Some(Exit::Config));
}
