//! What anyone would write without an orchestrator: a loop.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::{LOOP_TIME, Stage};
use crate::error::Failure;

/// What the loop did.
pub(super) struct Baseline {
    pub files: usize,
    pub megabytes: f64,
    pub seconds: f64,
}

/// Compresses `sources` one by one until all are done or [`LOOP_TIME`] is over. Each finished one becomes an
/// input of the demo, so that a slow machine gets less work, not a longer demo.
///
/// # Errors
/// The tool fails, or a file cannot be copied.
pub(super) fn run(stage: &Stage, sources: &[PathBuf]) -> Result<Baseline, Failure> {
    let start = Instant::now();
    let mut baseline = Baseline { files: 0, megabytes: 0.0, seconds: 0.0 };
    for source in sources {
        let name = source.file_name().unwrap_or_default().to_string_lossy();
        let input = stage.input().join(format!("{:03}-{name}", baseline.files));
        let bytes = fs::copy(source, &input).map_err(|error| Failure::file(&input, error))?;
        compress(stage, &input)?;
        baseline.files += 1;
        baseline.megabytes += bytes as f64 / 1e6;
        if start.elapsed() > LOOP_TIME {
            break;
        }
    }
    baseline.seconds = start.elapsed().as_secs_f64();
    Ok(baseline)
}

fn compress(stage: &Stage, input: &Path) -> Result<(), Failure> {
    let name = input.file_name().unwrap_or_default().to_string_lossy();
    let output = stage.folder.join("sequential").join(format!("{name}{}", stage.tool.suffix));
    let file = File::create(&output).map_err(|source| Failure::file(&output, source))?;
    let line = stage.command();
    let mut command = Command::new(line[0]);
    command.args(&line[1..]).arg(input).stdin(Stdio::null()).stdout(file);
    crate::shell::quietly(&mut command)
}
