//! The directories that are written: outputs and state.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use orchestrator_core::config::Config;
use orchestrator_files::selects;
use rustix::fs::{Access, access, statvfs};
use rustix::io::Errno;

use super::Findings;
use crate::compose::files_options;
use crate::exit::Exit;

/// Checks both.
pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    let output = &config.output.directory;
    replaces_inputs(config, findings);
    becomes_inputs(config, findings);
    if let Err((message, help)) = writable(output) {
        findings.error(Exit::Config, "output.directory", &message, Some(help.to_owned()));
    } else {
        fill(config, findings);
    }
    if let Some(state) = &config.state.directory
        && let Err((message, help)) = writable(state)
    {
        findings.error(Exit::StateIo, "state.directory", &message, Some(help.to_owned()));
    }
}

/// Without a suffix, results in the input directory (by whatever path it is named) would replace their inputs.
fn replaces_inputs(config: &Config, findings: &mut Findings<'_>) {
    let identity = |path: &Path| std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    let (input, output) = (&config.input.files_directory, &config.output.directory);
    let same = identity(input).is_some_and(|input| Some(input) == identity(output));
    if same && config.output.file_suffix.is_empty() {
        let message =
            format!("{} is the input directory: results would replace their inputs", output.display());
        let help = "give another directory, or a suffix (output.file_suffix)".to_owned();
        findings.error(Exit::Config, "output.directory", &message, Some(help));
    }
}

/// Results that lie among the inputs and match the pattern are inputs of the next run, and theirs of the one after it.
fn becomes_inputs(config: &Config, findings: &mut Findings<'_>) {
    let (suffix, pattern) = (&config.output.file_suffix, config.input.file_pattern.as_str());
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let (input, output) = (real(&config.input.files_directory), real(&config.output.directory));
    let among = output == input || config.input.recursive && output.starts_with(&input);
    let name = pattern.replace(['*', '?'], "x");
    let options = files_options(config, Arc::new(|_| false));
    let is_input = |name: &str| selects(&options, name.as_bytes());
    if among && !suffix.is_empty() && is_input(&name) && is_input(&format!("{name}{suffix}")) {
        let message = format!(
            "results lie among the inputs, and their names match {pattern}: the next run would work on them, too"
        );
        let help = format!("choose another directory, or add \"*{suffix}\" to input.exclude");
        findings.warning("output.directory", &message, Some(help));
    }
}

/// Whether a directory can be written, or made; else why not, and what to do.
fn writable(directory: &Path) -> Result<(), (String, &'static str)> {
    let shown = directory.display();
    let existing =
        directory.ancestors().find(|path| path.symlink_metadata().is_ok()).unwrap_or(Path::new("/"));
    let itself = existing == directory;
    let what = if itself { format!("{shown} cannot be written") } else { format!("{shown} cannot be made") };
    if !existing.is_dir() {
        let message = match itself {
            true => format!("{shown} is not a directory"),
            false => format!("{what}: {} is not a directory", existing.display()),
        };
        return Err((message, "move that file away, or choose another directory"));
    }
    access(existing, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| {
        let help = match error {
            Errno::ROFS => "mount that file system writable, or choose another directory",
            _ => "change its permissions, or choose another directory",
        };
        let words = io::Error::from(error);
        let place = if itself { String::new() } else { format!(" in {}", existing.display()) };
        (format!("{what}{place}: {words}"), help)
    })
}

/// Warns when the output file system is fuller than the threshold allows before anything is written.
fn fill(config: &Config, findings: &mut Findings<'_>) {
    let output = &config.output.directory;
    let Some(existing) = output.ancestors().find(|path| path.is_dir()) else { return };
    let Ok(facts) = statvfs(existing) else { return };
    let used = facts.f_blocks.saturating_sub(facts.f_bfree);
    let usable = used + facts.f_bavail;
    let threshold = config.resource_limits.disk_usage_threshold_percent.get();
    let percent = if usable == 0 { 0.0 } else { used as f64 * 100.0 / usable as f64 };
    if percent > threshold {
        let message =
            format!("the file system of {} is {percent:.0} % full, above {threshold:.0} %", output.display());
        let help = "free some space or raise the threshold: until then one process runs at a time".to_owned();
        findings.warning("resource_limits.disk_usage_threshold_percent", &message, Some(help));
    }
}
