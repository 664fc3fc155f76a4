//! The inputs: the directory is there and can be read, and something in it matches.

use std::fs;
use std::io;
use std::sync::Arc;

use orchestrator_core::config::Config;
use orchestrator_core::scheduler::ScanReport;
use orchestrator_files::{SurveyError, survey};
use rustix::fs::{Access, access};

use super::{Depth, Findings};
use crate::compose::files_options;
use crate::exit::Exit;

const KEY: &str = "input.files_directory";
/// What to do about a directory that is not one.
const NAME: &str = "name the directory of the files to work on";
/// What to do about one that is shut.
const OPEN: &str = "change its permissions (reading a directory takes r and x), or name another directory";
/// Unreadable entries that are told of by name.
const NAMED: usize = 5;

/// Looks for inputs; how many there are, if all were counted.
pub(super) fn check(config: &Config, depth: Depth, findings: &mut Findings<'_>) -> Option<u64> {
    let directory = &config.input.files_directory;
    let shown = directory.display();
    let wrong = match fs::metadata(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Some((format!("{shown} does not exist"), NAME))
        }
        Err(error) => Some((format!("{shown} cannot be read: {error}"), OPEN)),
        Ok(data) if !data.is_dir() => Some((format!("{shown} is not a directory"), NAME)),
        Ok(_) => access(directory, Access::READ_OK | Access::EXEC_OK)
            .err()
            .map(|error| (format!("{shown} cannot be read: {}", io::Error::from(error)), OPEN)),
    };
    if let Some((message, help)) = wrong {
        findings.error(Exit::Config, KEY, &message, Some(help.to_owned()));
        return None;
    }
    let options = files_options(config, Arc::new(|_| false));
    match survey(&options, if depth == Depth::First { 1 } else { u64::MAX }) {
        Ok(report) => counted(config, &report, depth, findings),
        Err(SurveyError::Pattern(error)) => {
            findings.error(Exit::Config, "input.file_pattern", &error.to_string(), None);
            None
        }
        Err(error @ SurveyError::Directory(_)) => {
            findings.error(Exit::Config, KEY, &error.to_string(), None);
            None
        }
    }
}

fn counted(config: &Config, report: &ScanReport, depth: Depth, findings: &mut Findings<'_>) -> Option<u64> {
    for (path, words) in report.unreadable.iter().take(NAMED) {
        findings.warning(KEY, &format!("{path} cannot be read: {words}"), None);
    }
    let more = report.unreadable_total.saturating_sub(NAMED as u64);
    if more > 0 {
        findings.warning(KEY, &format!("{more} more entries cannot be read"), None);
    }
    if report.matched == 0 {
        let pattern = config.input.file_pattern.as_str();
        let message =
            format!("nothing to do: no file in {} matches {pattern}", config.input.files_directory.display());
        findings.error(Exit::NothingToDo, "input.file_pattern", &message, Some(help_for_none(config)));
    }
    (depth == Depth::All).then_some(report.matched)
}

fn help_for_none(config: &Config) -> String {
    let entries = fs::read_dir(&config.input.files_directory).into_iter().flatten().flatten();
    let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).count();
    match below {
        0 => "put files there, or change input.file_pattern".to_owned(),
        _ if config.input.recursive => "change input.file_pattern or input.exclude".to_owned(),
        _ => format!("it has {below} directories: `input.recursive: true` looks into them"),
    }
}
