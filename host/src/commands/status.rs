//! `status`: where a run stands, or how it ended.

use orchestrator_core::scheduler::Counts;
use orchestrator_core::{TaskId, Timestamp};
use orchestrator_store::{FailedTask, Overview};
use serde_json::{Value, json};

use super::state::{State, Way, now};
use crate::cli::StatusArgs;
use crate::errors::Failure;
use crate::exit::Exit;
use crate::session::Session;
use crate::style::Style;
use crate::views::status_file::Live;
use crate::views::summary::{by_kind, rate};
use crate::views::words::{duration, number, plural};
use crate::views::{forecast, progress};

/// Failed tasks that are read at a time.
const PAGE: u32 = 1_000;
/// Running attempts that are listed.
const SHOWN: usize = 8;

/// Prints counts, failures, throughput and the next command to type.
pub(super) fn status(args: &StatusArgs, session: &Session) -> Result<Exit, Failure> {
    let state = State::open(&args.state, session)?;
    let now = now();
    let mut overview = state.reader.overview(now)?;
    let waiting = waiting(&mut overview, |began| Live::left_behind(&state.directory, began));
    let live = overview.live.as_ref().and_then(|_| Live::read(&state.directory));
    if session.json() {
        let mut value = status_json(&overview, live.as_ref(), waiting, now);
        if args.failed {
            let mut failed = Vec::new();
            each_failed(&state, |task| {
                failed.push(failed_json(task));
                Ok(())
            })?;
            value["failed_tasks"] = failed.into();
        }
        session.print_json(&value)?;
        return Ok(Exit::Success);
    }
    session.print(&status_text(&overview, live.as_ref(), waiting, now, &state.way, Style::PLAIN))?;
    if args.failed {
        each_failed(&state, |task| {
            session.print(&format!(
                "failed {} (task {}): {}, {}",
                task.path,
                task.task,
                task.reason,
                plural(u64::from(task.attempts), "attempt")
            ))
        })?;
    }
    Ok(Exit::Success)
}

/// What is known of the tasks that were never launched.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Waiting {
    /// They are counted.
    Counted,
    /// The last run was killed; what it had said of them last is counted.
    LastSaid,
    /// The last run was killed before it had said how many there are.
    Unknown,
}

/// After a run that was killed, what waits is what it had last said of all, less what came of them since.
fn waiting(overview: &mut Overview, last: impl FnOnce(Timestamp) -> Option<Live>) -> Waiting {
    let killed =
        overview.live.is_none() && overview.last_run.as_ref().is_some_and(|run| run.ended_at.is_none());
    let Some(began) = overview.last_run.as_ref().map(|run| run.started_at).filter(|_| killed) else {
        return Waiting::Counted;
    };
    interrupted(&mut overview.counts, last(began).as_ref())
}

fn interrupted(counts: &mut Counts, last: Option<&Live>) -> Waiting {
    let Some(live) = last.filter(|live| live.snapshot.scan_finished) else { return Waiting::Unknown };
    let launched = counts.total() - counts.pending;
    counts.pending = counts.pending.max(live.snapshot.counts.total().saturating_sub(launched));
    Waiting::LastSaid
}

/// Hands out the failed tasks page by page.
fn each_failed(
    state: &State,
    mut each: impl FnMut(&FailedTask) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut after: Option<TaskId> = None;
    loop {
        let page = state.reader.failed(after, PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.task);
        page.iter().try_for_each(&mut each)?;
    }
}

fn status_text(
    overview: &Overview,
    live: Option<&Live>,
    waiting: Waiting,
    now: Timestamp,
    way: &Way,
    style: Style,
) -> String {
    let mut lines = vec![headline(overview, now, style)];
    // What waits and was never launched is known to the live run alone.
    let counts = live.map_or(overview.counts, |live| live.snapshot.counts);
    let complete = live.is_none_or(|live| live.snapshot.scan_finished);
    lines.push(counts_line(counts, overview.flaky, waiting, complete));
    if !overview.failures.is_empty() {
        lines.push(format!("failures: {}", by_kind(&overview.failures)));
    }
    if let Some(live) = live {
        lines.extend(live_lines(live));
        lines.push(format!("throughput{}", rate(overview.completed_per_second)));
    } else if let Some(throughput) = past_throughput(overview) {
        lines.push(throughput);
    }
    lines.extend(next(overview, way).into_iter().map(|hint| format!("next: {hint}")));
    lines.join("\n") + "\n"
}

fn headline(overview: &Overview, now: Timestamp, style: Style) -> String {
    let Some(run) = &overview.last_run else { return "nothing was run yet".to_owned() };
    if let Some(holder) = &overview.live {
        let since = duration(now.since(run.started_at));
        return format!("{} for {since}: run {} ({holder})", style.good("running"), run.run);
    }
    let Some(ended) = run.ended_at else {
        return format!(
            "{}: run {} was killed; the next one continues",
            style.warning("interrupted"),
            run.run
        );
    };
    let (took, ago) = (duration(ended.since(run.started_at)), duration(now.since(ended)));
    let how = match run.exit {
        Some(0) => style.good("finished"),
        Some(75) => style.warning("interrupted"),
        Some(code) => style.error(&format!("ended with exit code {code}")),
        None => style.warning("ended"),
    };
    format!("{how} {ago} ago: run {}, after {took}", run.run)
}

fn counts_line(counts: Counts, flaky: u64, waiting: Waiting, complete: bool) -> String {
    let active = counts.running + counts.calibrating;
    let open = if waiting == Waiting::Counted { "running" } else { "interrupted" };
    let more = [(counts.failed, "failed"), (flaky, "flaky"), (active, open), (counts.pending, "waiting")];
    let mut text = format!("{} completed", number(counts.completed));
    for (count, word) in more.into_iter().filter(|(count, _)| *count > 0) {
        text.push_str(&format!(", {} {word}", number(count)));
    }
    if waiting == Waiting::Unknown {
        text.push_str("; how many wait beside these is not known before the next run");
    }
    if !complete {
        text.push_str("; the scan of the input directory goes on");
    }
    text
}

fn live_lines(live: &Live) -> Vec<String> {
    let snapshot = &live.snapshot;
    let mut lines = vec![snapshot.capacity.to_string()];
    for bound in &snapshot.capacity.plugins {
        let capacity =
            bound.capacity.map_or_else(|| "no answer yet".to_owned(), |capacity| capacity.to_string());
        let failed = if bound.failed { " (its last call failed, the old answer stands)" } else { "" };
        lines
            .push(format!("  {}: {capacity}{failed} {}", bound.instance, bound.reason).trim_end().to_owned());
    }
    for attempt in snapshot.attempts.iter().take(SHOWN) {
        lines.push(format!("  {}", progress::attempt(attempt)));
    }
    let more = (snapshot.running as usize).saturating_sub(snapshot.attempts.len().min(SHOWN));
    if more > 0 {
        lines.push(format!("  and {more} more"));
    }
    let bound = orchestrator_core::capacity::bottleneck::describe(&snapshot.bound_by);
    if !bound.is_empty() {
        lines.push(format!("bound by: {bound}"));
    }
    lines.extend(forecast::lines(&snapshot.forecast));
    match snapshot.eta {
        Some(eta) => lines.push(forecast::left(&eta)),
        None => lines.extend(progress::unknown(snapshot).map(str::to_owned)),
    }
    lines
}

fn past_throughput(overview: &Overview) -> Option<String> {
    let run = overview.last_run.as_ref()?;
    let seconds = run.ended_at?.since(run.started_at).as_secs_f64();
    let done = overview.completed_in_last_run;
    (done > 0 && seconds > 0.0)
        .then(|| format!("the last run completed {}{}", plural(done, "file"), rate(done as f64 / seconds)))
}

fn next(overview: &Overview, way: &Way) -> Vec<String> {
    if overview.live.is_some() {
        return Vec::new();
    }
    let mut hints = Vec::new();
    let interrupted =
        overview.last_run.as_ref().is_some_and(|run| run.exit != Some(0) && run.exit != Some(100));
    if interrupted || overview.counts.pending > 0 {
        hints.push(way.run(""));
    }
    if overview.counts.failed > 0 {
        hints.push(way.look("status --failed"));
        hints.push(way.run("--retry-failed"));
    }
    hints
}

fn status_json(overview: &Overview, live: Option<&Live>, waiting: Waiting, now: Timestamp) -> Value {
    let failures = overview.failures.iter().map(|(kind, count)| json!({ "category": kind, "count": count }));
    json!({
        "event": "status",
        "at": now,
        "live": overview.live.is_some(),
        "complete": waiting != Waiting::Unknown && live.is_none_or(|live| live.snapshot.scan_finished),
        "counts": live.map_or(overview.counts, |live| live.snapshot.counts),
        "flaky": overview.flaky,
        "failures": failures.collect::<Vec<_>>(),
        "completed_in_last_run": overview.completed_in_last_run,
        "completed_per_second": overview.completed_per_second,
        "run": overview.last_run.as_ref().map(|run| json!({
            "run": run.run,
            "started_at": run.started_at,
            "ended_at": run.ended_at,
            "exit_code": run.exit,
            "clean": run.clean,
        })),
        "snapshot": live.map(|live| &live.snapshot),
    })
}

fn failed_json(task: &FailedTask) -> Value {
    json!({
        "task": task.task,
        "path": task.path,
        "attempts": task.attempts,
        "reason": task.reason,
        "category": task.reason.category(),
        "sentence": task.reason.to_string(),
        "ended_at": task.ended_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::documented::says_all_of;
    use crate::views::progress::tests::{full_snapshot, snapshot};
    use orchestrator_core::scheduler::FailureCategory;
    use orchestrator_store::{OpenOptions, RunInfo, StateDir, StateReader};
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn overview() -> Overview {
        Overview {
            counts: Counts { completed: 997, failed: 3, ..Counts::default() },
            flaky: 2,
            failures: BTreeMap::from([(FailureCategory::ExitCode, 2), (FailureCategory::Timeout, 1)]),
            last_run: None,
            live: None,
            completed_in_last_run: 0,
            completed_per_second: 0.0,
        }
    }

    #[test]
    fn a_state_at_rest_is_counted_and_followed_by_what_to_type() {
        let text = status_text(
            &overview(),
            None,
            Waiting::Counted,
            Timestamp(0),
            &Way::of(&["c.yaml"]),
            Style::PLAIN,
        );
        assert_eq!(
            text,
            "nothing was run yet\n997 completed, 3 failed, 2 flaky\nfailures: 2 exit code, 1 timeout\n\
             next: orchestrator status --failed c.yaml\nnext: orchestrator run --retry-failed c.yaml\n"
        );
    }

    #[test]
    fn after_a_kill_what_ran_is_interrupted_and_what_waits_is_as_last_said() {
        let found = Counts { completed: 9, running: 2, ..Counts::default() };
        let counts = Counts { completed: 8, running: 2, pending: 30, ..Counts::default() };
        let last = Live::of(1, orchestrator_core::view::Snapshot { counts, ..snapshot() });
        let mut known = found;
        let said = interrupted(&mut known, Some(&last));
        assert_eq!(counts_line(known, 0, said, true), "9 completed, 2 interrupted, 29 waiting");
        let mut unknown = found;
        let said = interrupted(&mut unknown, None);
        assert!(counts_line(unknown, 0, said, true).ends_with("is not known before the next run"));
    }

    #[test]
    fn every_field_is_documented() {
        use orchestrator_core::scheduler::{FailureReason, InputPath};
        let folder = tempfile::tempdir().unwrap();
        let info = RunInfo {
            started_at: Timestamp(1),
            command_hash: String::new(),
            calibration_key: String::new(),
            config_digest: String::new(),
        };
        let state = StateDir::open(folder.path(), &OpenOptions::default()).unwrap();
        let _begun = state.start(&info, Arc::new(|_| {})).unwrap();
        let read = StateReader::open(folder.path()).and_then(|reader| reader.overview(Timestamp(2))).unwrap();
        assert!(read.last_run.is_some());
        let overview = Overview { failures: overview().failures, ..read };
        let live = Live::of(1, full_snapshot());
        let mut value = status_json(&overview, Some(&live), Waiting::Counted, Timestamp(2));
        says_all_of(&["## snapshot"], &value["snapshot"]);
        value["snapshot"] = Value::Null;
        value["failed_tasks"] = json!([failed_json(&FailedTask {
            task: TaskId(1),
            path: InputPath::new(b"a"),
            attempts: 2,
            attempt: orchestrator_core::AttemptId(1),
            reason: FailureReason::ExitCode(1),
            ended_at: None,
        })]);
        // `counts` are those of snapshots; a reason's own fields stand with its sentence.
        value["counts"] = Value::Null;
        value["failed_tasks"][0]["reason"] = Value::Null;
        says_all_of(&["## status"], &value);
    }

    #[test]
    fn a_live_run_shows_its_capacity_and_what_is_left() {
        let live = Live::of(1, snapshot());
        let lines = live_lines(&live).join("\n");
        assert!(lines.contains("capacity 8 (plugin resource_capacity: cpu"), "{lines}");
        assert!(lines.contains("and 8 more") && lines.contains("about 2m 10s left"), "{lines}");
    }
}
