//! What a task was, or is, expected to take: from what had completed before its first attempt began.

use orchestrator_core::outlook::{Expectations, Promise, Took};
use orchestrator_core::predict::{Features, Kind};
use orchestrator_core::scheduler::InputPath;
use orchestrator_core::{Bytes, Timestamp};
use orchestrator_store::TaskView;

use super::state::State;
use crate::errors::Failure;

/// Results that are looked at: the predictors keep as many.
const RESULTS: u32 = 300;

/// What a task was expected to take before its first attempt began; `None` where too little was known by then, as of the first
/// tasks ever.
///
/// # Errors
/// The state cannot be read.
pub(super) fn of_task(state: &State, task: &TaskView, now: Timestamp) -> Result<Option<Promise>, Failure> {
    let began = task.attempts.first().map_or(now, |attempt| attempt.planned_at);
    let size = task.fingerprint.map(|print| print.size).or_else(|| state.size(&task.path));
    of_input(state, &task.path, size, began)
}

/// What a file is expected to take that was never launched.
///
/// # Errors
/// The state cannot be read.
pub(super) fn of_waiting(
    state: &State,
    path: &InputPath,
    now: Timestamp,
) -> Result<Option<Promise>, Failure> {
    of_input(state, path, state.size(path), now)
}

fn of_input(
    state: &State,
    path: &InputPath,
    size: Option<u64>,
    before: Timestamp,
) -> Result<Option<Promise>, Failure> {
    let mut model = Expectations::default();
    for (task, published) in state.reader.last_measured(before, RESULTS)? {
        let took = Took {
            seconds: task.wall.as_secs_f64(),
            cpu: task.cpu.as_secs_f64(),
            io: task.moved as f64,
            peak: task.peak_rss as f64,
            output: (published > 0).then_some(published as f64),
        };
        let features = Features { input: task.input.map(Bytes), kind: task.kind, ..Features::default() };
        model.observe(&features, took);
    }
    let kind = Kind::of(path.as_bytes());
    Ok(model.predict(&Features { input: size.map(Bytes), kind, ..Features::default() }))
}
