use std::collections::BTreeMap;
use std::path::Path;

use orchestrator_core::config::{LoadRequest, Sources, load};

use super::*;
use crate::style::Style;

/// One file, no environment.
struct OneFile {
    text: &'static str,
    environment: BTreeMap<String, String>,
}

impl Sources for OneFile {
    fn read(&self, path: &Path) -> io::Result<String> {
        if path == Path::new("/work/config.yaml") {
            Ok(self.text.to_owned())
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }
    fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }
    fn current_directory(&self) -> &Path {
        Path::new("/work")
    }
}

fn failure(file: &str, text: &'static str) -> Failure {
    let request = LoadRequest { file: Some(file.into()), ..LoadRequest::default() };
    Failure::Config(load(&request, &OneFile { text, environment: BTreeMap::new() }).expect_err("it is wrong"))
}

const WRONG: &str = "\
binary: {path: /bin/true, flags: ['{input_flie}']}
input: {files_directory: in}
output: {directory: out}
retyr: {}
";

#[test]
fn every_finding_is_shown_with_its_line_its_column_and_the_nearest_name() {
    let failure = failure("config.yaml", WRONG);
    assert_eq!(failure.exit(), Exit::Config);
    let text: String =
        failure.reports().iter().map(|report| report.human(Style::PLAIN, 100) + "\n").collect();
    for part in [
        "config.yaml:4:1",
        "retyr",
        "did you mean `retry`?",
        "config.yaml:1:",
        "{input_flie}",
        "{input_file}",
    ] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    assert!(!text.contains('\x1b'), "colour without a terminal");
}

#[test]
fn a_finding_is_one_json_object_with_its_place() {
    let reports = failure("config.yaml", WRONG).reports();
    let found = reports.iter().map(Report::json).find(|value| value["code"] == "unknown-key").unwrap();
    assert_eq!((found["line"].as_u64(), found["column"].as_u64()), (Some(4), Some(1)));
    assert_eq!((found["event"].as_str(), found["exit_code"].as_u64()), (Some("error"), Some(78)));
    assert_eq!(found["source"], "config.yaml");
}

#[test]
fn a_missing_configuration_says_how_to_begin() {
    let failure = failure("nothing.yaml", "");
    let text = failure.reports()[0].human(Style::PLAIN, 100);
    assert!(text.contains("nothing.yaml") && text.contains("orchestrator init"), "{text}");
}

#[test]
fn what_is_shut_broken_or_full_is_said_with_its_own_remedy() {
    let shut = failure("config.yaml", "binary: {\n").reports()[0].human(Style::PLAIN, 100);
    assert!(shut.contains("help:") && shut.contains("indentation"), "{shut}");
    let forbidden = io::Error::from(rustix::io::Errno::ACCESS);
    assert!(is_forbidden(&format!("cannot read c.yaml: {forbidden}")) && !is_forbidden("cannot read c.yaml"));
    let told = |errno| {
        let source = io::Error::from(errno);
        let path = "/d/state.db.new".into();
        Failure::State(StoreError::Io { action: "write", path, source }).reports()[0].help.clone().unwrap()
    };
    assert!(told(rustix::io::Errno::NOSPC).contains("free some space"));
    assert!(told(rustix::io::Errno::ROFS).contains("writable"));
    assert!(told(rustix::io::Errno::IO).contains("dmesg"));
}

#[test]
fn sentences_name_the_remedy() {
    let failure = Failure::UnknownTask { name: "bda.dat".to_owned(), like: vec!["bad.dat".to_owned()] };
    assert_eq!(
        failure.reports()[0].human(Style::PLAIN, 100),
        "error: no file called `bda.dat` was ever started here\n  help: did you mean bad.dat?"
    );
    assert_eq!(failure.exit().code(), 2);
}
