//! The directories that are written: outputs and state.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use orchestrator_core::config::Config;
use rustix::fs::{Access, access, statvfs};

use super::Findings;
use crate::exit::Exit;

/// Checks both.
pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    let output = &config.output.directory;
    replaces_inputs(config, findings);
    if let Err(message) = writable(output) {
        let help = "change its permissions, or choose another".to_owned();
        findings.error(Exit::Config, "output.directory", &message, Some(help));
    } else {
        fill(config, findings);
    }
    if let Some(state) = &config.state.directory
        && let Err(message) = writable(state)
    {
        let help = "change its permissions, or choose another".to_owned();
        findings.error(Exit::StateIo, "state.directory", &message, Some(help));
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

/// Whether a directory can be written, or made.
fn writable(directory: &Path) -> Result<(), String> {
    let shown = directory.display();
    let existing =
        directory.ancestors().find(|path| path.symlink_metadata().is_ok()).unwrap_or(Path::new("/"));
    let itself = existing == directory;
    let what = if itself { format!("{shown} cannot be written") } else { format!("{shown} cannot be made") };
    if !existing.is_dir() {
        return Err(match itself {
            true => format!("{shown} is not a directory"),
            false => format!("{what}: {} is not a directory", existing.display()),
        });
    }
    access(existing, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| {
        let words = io::Error::from(error);
        if itself { format!("{what}: {words}") } else { format!("{what} in {}: {words}", existing.display()) }
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
