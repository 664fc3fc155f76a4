//! `plugin check`, `plugin run`, `plugin bench` as they are typed, over real libraries.

use crate::fixtures::{Crate, crashing, no_plugin, zoo};
use orchestrator_tests::artifacts;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn flawed() -> PathBuf {
    Crate::fixture("flawed", "flawed-plugin").build()
}

fn called(arguments: &[&str]) -> Output {
    Command::new(artifacts::orchestrator())
        .arg("plugin")
        .args(arguments)
        .output()
        .expect("the program starts")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn word(value: &Value) -> &str {
    value.as_str().expect("text")
}

/// What `plugin check` found, and its exit code.
struct Report {
    value: Value,
    code: Option<i32>,
}

impl Report {
    fn of(library: &Path, more: &[&str]) -> Self {
        // However slow this machine is just now, no call costs too much.
        let usual = ["check", text(library), "--format", "json", "--budget-us", "60000000"];
        let output = called(&[&usual[..], more].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
        Self { value, code: output.status.code() }
    }

    /// Verdict and sentence of a check, of a class or of the file.
    fn found(&self, class: Option<&str>, check: &str) -> (&str, &str) {
        let all = self.value["findings"].as_array().expect("a list");
        let same = |finding: &&Value| finding["class"].as_str() == class && finding["check"] == check;
        let found = all.iter().find(same).unwrap_or_else(|| panic!("no {check} of {class:?}: {all:#?}"));
        (word(&found["verdict"]), word(&found["sentence"]))
    }

    #[track_caller]
    fn expect(&self, class: &str, check: &str, verdict: &str, words: &str) {
        let (found, sentence) = self.found(Some(class), check);
        assert_eq!(found, verdict, "{class} {check}: {sentence}");
        assert!(sentence.contains(words), "{class} {check}: {sentence}");
        assert!(!sentence.contains('\n'), "{sentence}");
    }

    /// Everything of a class that is not as it should be.
    fn flaws(&self, class: &str) -> Vec<&str> {
        let all = self.value["findings"].as_array().expect("a list").iter();
        let bad = all.filter(|finding| finding["class"] == class && finding["verdict"] != "pass");
        bad.map(|finding| word(&finding["check"])).collect()
    }
}

/// The report about one class of the flawed library.
fn about(class: &str) -> Report {
    Report::of(&flawed(), &["--class", class])
}

#[test]
fn a_sound_class_has_no_flaw() {
    let report = about("Sound");
    assert_eq!((report.code, report.flaws("Sound")), (Some(0), Vec::new()), "{:#}", report.value);
    report.expect("Sound", "state", "pass", "goes on from its state");
    report.expect("Sound", "start", "pass", r#"{"step":1}"#);
}

#[test]
fn configurations_that_break_it_or_that_it_swallows_are_found() {
    let report = about("Careless");
    assert_eq!(report.code, Some(69));
    report.expect("Careless", "config", "fail", "zero for `step`");
    report.expect("Careless", "config", "fail", "panicked");
    report.expect("Careless", "state", "fail", "a state of another length");
    about("Swallows").expect("Swallows", "config", "warn", "such as text for `size`");
}

#[test]
fn metrics_other_than_declared_are_found() {
    let report = about("Falls");
    report.expect("Falls", "metrics", "fail", "the counter `flawed.counter` fell");
    assert!(!report.flaws("Falls").contains(&"calls"));
    about("Undeclared").expect("Undeclared", "metrics", "warn", "`flawed.unheard_of`");
}

#[test]
fn what_is_kept_is_found() {
    about("LeaksFiles").expect("LeaksFiles", "leaks", "fail", "more open files");
    about("LeaksMemory").expect("LeaksMemory", "leaks", "fail", "more bytes of memory");
    about("Hoards").expect("Hoards", "leaks", "fail", "open files; a plugin needs 256 at most");
}

#[test]
fn the_grant_that_is_missing_in_a_sandbox_is_named() {
    let words = "does not measure flawed.value; with `grants: {network: true}`";
    about("NeedsNetwork").expect("NeedsNetwork", "sandbox", "warn", words);
}

#[test]
fn answers_without_a_reason_and_by_mood_are_found() {
    about("Moody").expect("Moody", "repeatable", "warn", "answered the same readings differently");
    let report = about("Curt");
    report.expect("Curt", "answers", "warn", "have no reason");
    report.expect("Curt", "sandbox", "pass", "answers the same");
}

#[test]
fn what_ends_the_process_ends_a_process_of_its_own_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.json");
    let cases = [
        ("panic", "panicked: a beast panics"),
        ("abort", "signal 6"),
        ("segfault", "signal 11"),
        ("exit", "exit code 0"),
        ("deadlock", "did not answer within"),
    ];
    for (act, words) in cases {
        std::fs::write(&config, json!({ "act": act }).to_string()).unwrap();
        let report = Report::of(&zoo(), &["--config", text(&config)]);
        assert_eq!(report.code, Some(69), "{act}");
        report.expect("Beast", "calls", "fail", words);
    }
    std::fs::write(&config, json!({ "act": "nan" }).to_string()).unwrap();
    let report = Report::of(&zoo(), &["--config", text(&config)]);
    report.expect("Beast", "metrics", "fail", "no finite numbers");
}

#[test]
fn the_bundled_plugins_pass() {
    for name in artifacts::PLUGINS {
        let report = Report::of(&artifacts::plugin(name), &[]);
        assert_eq!(report.code, Some(0), "{name}: {:#}", report.value);
        assert_eq!(report.found(None, "contract").0, "pass");
    }
}

#[test]
fn a_budget_that_no_call_can_keep_is_exceeded() {
    let library = artifacts::plugin("system-metrics");
    let output = called(&["check", text(&library), "--budget-us", "1", "--format", "json"]);
    let value = serde_json::from_slice(&output.stdout).unwrap();
    let report = Report { value, code: output.status.code() };
    assert_eq!(report.code, Some(69));
    report.expect("SystemMetricsCollector", "cost", "fail", "more than the budget of 1.0 µs");
}

#[test]
fn a_file_that_is_no_plugin_or_does_not_load_ends_the_check_early() {
    let report = Report::of(&no_plugin(), &[]);
    assert_eq!((report.code, report.found(None, "descriptor").0), (Some(69), "fail"));
    let report = Report::of(&crashing(), &[]);
    let (verdict, sentence) = report.found(None, "load");
    assert!(verdict == "fail" && sentence.contains("crashed (signal 6)"), "{sentence}");
    let whole = std::fs::read(artifacts::plugin("system-metrics")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.so");
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(Report::of(&cut, &[]).found(None, "elf").0, "fail");
}

#[test]
fn mistakes_in_asking_are_answered_in_one_sentence() {
    let (many, single) = (flawed(), artifacts::plugin("system-metrics"));
    let said = |arguments: &[&str]| {
        let output = called(arguments);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), words)
    };
    let (code, words) = said(&["run", text(&many), "--self"]);
    assert_eq!(code, Some(2), "{words}");
    assert!(words.contains("name one with --class (Sound, Careless,"), "{words}");
    let (code, words) = said(&["run", text(&single), "--self", "--class", "Nothing"]);
    assert_eq!(code, Some(2), "{words}");
    assert!(words.contains("exports no class `Nothing`; it exports SystemMetricsCollector"), "{words}");
    let (code, words) = said(&["run", text(&single), "--pid", "4194305"]);
    assert_eq!(code, Some(2), "{words}");
    assert!(words.contains("there is no process 4194305"), "{words}");
    let (code, words) = said(&["run", text(&single)]);
    assert_eq!(code, Some(2), "{words}");
    let (code, words) = said(&["run", "/nowhere.so", "--self"]);
    assert_eq!(code, Some(69), "{words}");
    assert!(words.contains("check that it exists"), "{words}");
    let (code, words) = said(&["check", text(&many), "--config", "/nowhere.yaml"]);
    assert_eq!(code, Some(78), "{words}");
}

#[test]
fn run_shows_the_numbers_of_a_process() {
    let library = artifacts::plugin("system-metrics");
    for isolation in ["in_process", "process", "sandbox"] {
        let arguments = ["run", text(&library), "--self", "--count", "2", "--interval", "10ms"];
        let more = ["--isolation", isolation, "--format", "json"];
        let output = called(&[&arguments[..], &more].concat());
        let lines: Vec<Value> = output
            .stdout
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect();
        assert_eq!(lines.len(), 2, "{output:?}");
        let metrics = &lines[1]["processes"][0]["metrics"];
        assert!(metrics["process.memory.rss_bytes"].as_f64().unwrap() > 0.0, "{metrics}");
        assert!(lines[1]["processes"][0]["pid"].as_u64() > Some(1), "{}", lines[1]);
    }
    let output = called(&["run", text(&library), "--self", "--count", "1"]);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.contains("process.memory.rss_bytes") && table.contains("By"), "{table}");
}

#[test]
fn run_grants_what_it_is_told_to() {
    let library = flawed();
    let usual =
        ["run", text(&library), "--class", "NeedsNetwork", "--self", "--count", "1", "--format", "json"];
    let found = |more: &[&str]| {
        let output = called(&[&usual[..], &["--isolation", "sandbox"], more].concat());
        let line: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        line["system"]["flawed.value"].as_f64()
    };
    assert_eq!(found(&[]), None);
    assert_eq!(found(&["--grant", "network"]), Some(1.0));
    let output = called(&[&usual[..], &["--grant", "everything"]].concat());
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn bench_has_a_row_for_each_isolation_and_batch() {
    let config = tempfile::tempdir().unwrap().keep().join("config.yaml");
    std::fs::write(&config, "step: 1\n").unwrap();
    let library = flawed();
    let arguments =
        ["bench", text(&library), "--class", "Sound", "--config", text(&config), "--format", "json"];
    let output = called(&arguments);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let rows = report["rows"].as_array().unwrap();
    let of = |isolation: &str| rows.iter().filter(|row| row["isolation"] == isolation).count();
    assert_eq!(["in_process", "process", "sandbox"].map(of), [4, 4, 4]);
    for row in rows {
        let (p50, p99, max) = (row["p50_us"].as_f64(), row["p99_us"].as_f64(), row["max_us"].as_f64());
        assert!(p50 > Some(0.0) && p50 <= p99 && p99 <= max, "{row}");
    }
}

#[test]
fn mistakes_in_asking_are_named() {
    let library = artifacts::plugin("system-metrics");
    let library = text(&library);
    let nowhere = ["plugin", "list", "--state-dir", "/nowhere"];
    let run = ["plugin", "run", library, "--self", "--config", r#"{"descendant": true}"#];
    let cases: [(&[&str], i32, &[&str]); 5] = [
        (&run, 78, &["cannot read the file", "--config names a YAML or JSON file"]),
        (&["plugin", "run", library], 2, &["--pid", "--self"]),
        (&["plugin", "inspect", "/tmp"], 69, &["it is a directory"]),
        (&["plugin", "check", "/tmp"], 69, &["it is a directory"]),
        (&nowhere, 0, &["no run is under way in /nowhere"]),
    ];
    for (arguments, code, words) in cases {
        let output = crate::trust::called(arguments);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        for word in words {
            assert!(said.contains(word), "{arguments:?}: {said}");
        }
    }
}
