//! `output.validation.command` as a check of the files room.

use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use orchestrator_core::config::model::Config;
use orchestrator_core::plan::template::{Placeholders, Template};
use orchestrator_core::scheduler::{ExitStatus, OutputFault};
use orchestrator_core::{AttemptId, Bytes, RunId, SlotId, TaskId};
use orchestrator_exec_local::{CheckError, CheckOutcome, Checks};
use orchestrator_files::Check;

/// It may take so long.
const LIMIT: Duration = Duration::from_secs(600);
/// Characters of what it said that are kept with the verdict.
const SAID: usize = 200;

/// The check that runs the command; none when no command is configured. Its processes carry the state's id, by which
/// the next start finds those that a killed host left behind. `run` is set before the first output is checked. They run as
/// some of `checks`.
pub(crate) fn output_check(
    config: &Config,
    state_id: &str,
    run: Arc<OnceLock<RunId>>,
    checks: Arc<Checks>,
) -> Option<Check> {
    let command = config.output.validation.command.clone();
    if command.is_empty() {
        return None;
    }
    let directory = config.output.directory.clone();
    let state_id = OsString::from(state_id);
    Some(Arc::new(move |output: &Path, input: &Path, attempt: AttemptId| {
        let run = run.get().copied().unwrap_or(RunId(0));
        let argv = expand(&command, output, input, &directory);
        let env = [
            ("ORCHESTRATOR_STATE_ID", state_id.clone()),
            ("ORCHESTRATOR_RUN_ID", run.to_string().into()),
            ("ORCHESTRATOR_ATTEMPT_ID", attempt.to_string().into()),
        ];
        let env = env.map(|(name, value)| (OsString::from(name), value));
        verdict(checks.run(&argv, None, &env, LIMIT))
    }))
}

/// The configuration's rules let the command name files alone: the rest is never looked at.
fn expand(command: &[Template], output: &Path, input: &Path, directory: &Path) -> Vec<OsString> {
    let values = Placeholders {
        input_file: input,
        output_file: output,
        input_size: Bytes(std::fs::metadata(input).map_or(0, |data| data.len())),
        output_dir: output.parent().unwrap_or(directory),
        temp_dir: Path::new("/tmp"),
        task_id: TaskId(0),
        attempt: 0,
        slot: SlotId(0),
        seq: 0,
        run_id: RunId(0),
    };
    command.iter().map(|part| part.expand(&values)).collect()
}

fn verdict(outcome: Result<CheckOutcome, CheckError>) -> Result<(), OutputFault> {
    let outcome = outcome.map_err(|error| OutputFault::CheckFailed { detail: error.to_string() })?;
    let code = match outcome.status {
        ExitStatus::Code(0) => return Ok(()),
        ExitStatus::Code(code) => code,
        ExitStatus::Signal(signal) => -signal,
    };
    Err(OutputFault::Rejected { code, said: first_line(&outcome.output) })
}

/// The first line that is not blank, without what could move a terminal's cursor.
fn first_line(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SAID).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_one_short_line() {
        assert_eq!(first_line(b""), "");
        assert_eq!(first_line(b"\n  \n bad\theader \nmore\n"), "bad header");
        assert_eq!(first_line(b"\x1b[2Jgone"), " [2Jgone");
        assert_eq!(first_line("ä".repeat(1000).as_bytes()), "ä".repeat(SAID));
    }
}
