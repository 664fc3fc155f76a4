//! `explain`: every wait and every death of a task has a reason in plain words.

use std::path::PathBuf;

use orchestrator_core::outlook::Promise;
use orchestrator_core::placement::CpuSet;
use orchestrator_core::scheduler::{InputPath, TaskState};
use orchestrator_core::{AttemptId, Timestamp};
use orchestrator_store::{AttemptOutcome, AttemptView, TaskView};
use serde_json::{Value, json};

use super::foretell;
use super::state::{State, Way, now};
use crate::cli::{ExplainArgs, shell_word};
use crate::errors::Failure;
use crate::exit::Exit;
use crate::session::Session;
use crate::views::forecast;
use crate::views::status_file::Live;
use crate::views::words::{duration, plural};

/// Prints the task's state, why it is so, every attempt, and where its output and logs are.
pub(super) fn explain(args: &ExplainArgs, session: &Session) -> Result<Exit, Failure> {
    let state = State::open(&args.state, session)?;
    let is_live = state.reader.live().is_some();
    let live = if is_live { Live::read(&state.directory) } else { None };
    let task = match state.task(&args.task) {
        Err(Failure::UnknownTask { name, like }) => match state.waiting(&args.task) {
            Some(path) => {
                let expected = foretell::of_waiting(&state, &path, now())?;
                return explain_waiting(&path, is_live, live.as_ref(), expected.as_ref(), session);
            }
            None if is_live => {
                return Err(Failure::NeverLaunched { name, like, waiting: waiting(live.as_ref()) });
            }
            None => return Err(Failure::UnknownTask { name, like }),
        },
        other => other?,
    };
    let why = why(&task, live.as_ref(), is_live, now());
    let expected = foretell::of_task(&state, &task, now())?;
    if session.json() {
        let mut value = explain_json(&task, &why, |attempt, stream| state.log(attempt, stream));
        value["expected"] = json!(expected);
        session.print_json(&value)?;
    } else {
        session.print(&explain_text(&task, &why, expected.as_ref(), &state))?;
    }
    Ok(Exit::Success)
}

/// A file of the input directory that no attempt was made at.
fn explain_waiting(
    path: &InputPath,
    is_live: bool,
    live: Option<&Live>,
    expected: Option<&Promise>,
    session: &Session,
) -> Result<Exit, Failure> {
    let why = match is_live {
        true => format!("it was not launched yet: {}", waiting(live)),
        false => "no run is under way: the next run launches it, unless input.file_pattern or input.exclude \
                  leaves it out"
            .to_owned(),
    };
    if session.json() {
        let state = TaskState::Pending;
        session.print_json(&json!({
            "event": "explanation", "path": path, "state": state, "why": why, "attempts": [],
            "expected": expected,
        }))?;
    } else {
        let expected = expected.map(|promise| format!("  expected: {}\n", forecast::promise(promise)));
        let state = TaskState::Pending.name();
        session.print(&format!("{path}: {state}\n  why: {why}\n{}", expected.unwrap_or_default()))?;
    }
    Ok(Exit::Success)
}

fn waiting(live: Option<&Live>) -> String {
    match live {
        Some(live) if !live.snapshot.scan_finished => "the scan of the input directory goes on".to_owned(),
        Some(live) => format!("{} files wait; {}", live.snapshot.counts.pending, live.snapshot.capacity),
        None => "the run has only begun".to_owned(),
    }
}

/// Why the task is in its state, in one sentence.
fn why(task: &TaskView, live: Option<&Live>, is_live: bool, now: Timestamp) -> String {
    let last = task.attempts.last();
    match task.state {
        TaskState::Completed => "its output is in place".to_owned(),
        TaskState::Failed => match last.map(|attempt| &attempt.outcome) {
            Some(AttemptOutcome::Failed(reason)) => format!("{reason}; it is not tried again by itself"),
            _ => "it is not tried again by itself".to_owned(),
        },
        TaskState::Running | TaskState::Calibrating if !is_live => {
            "no run is under way: the orchestrator ended while it ran, and the next run starts it anew"
                .to_owned()
        }
        TaskState::Running => active(last, "its process runs, or its output is being checked and moved", now),
        TaskState::Calibrating => active(last, "its process runs and is measured", now),
        TaskState::Pending | TaskState::Terminated => pending(task, live, is_live, now),
    }
}

fn active(last: Option<&AttemptView>, what: &str, now: Timestamp) -> String {
    let since = last.and_then(|attempt| attempt.started_at).map(|start| duration(now.since(start)));
    since.map_or_else(|| what.to_owned(), |since| format!("{what}, for {since} now"))
}

fn pending(task: &TaskView, live: Option<&Live>, is_live: bool, now: Timestamp) -> String {
    let before = match task.attempts.last().map(|attempt| &attempt.outcome) {
        Some(AttemptOutcome::Failed(reason)) => {
            format!("after {}: {reason}; ", plural(u64::from(task.failures), "failure"))
        }
        Some(AttemptOutcome::Terminated(reason)) => format!("its last attempt was {reason}; "),
        _ => String::new(),
    };
    let wait = match task.retry_at.filter(|at| *at > now) {
        _ if !is_live => "no run is under way: the next run tries it".to_owned(),
        Some(at) => format!("back-off: it is tried again in {}", duration(at.since(now))),
        None => match live {
            Some(live) if live.snapshot.stopping => {
                "the run is ending early and starts nothing new".to_owned()
            }
            Some(live) => format!("it waits for a free place: {}", live.snapshot.capacity),
            None => "it waits for a free place".to_owned(),
        },
    };
    format!("{before}{wait}")
}

fn explain_text(task: &TaskView, why: &str, expected: Option<&Promise>, state: &State) -> String {
    let mut lines =
        vec![format!("{} (task {}): {}", task.path, task.task, task.state.name()), format!("  why: {why}")];
    if let Some(print) = task.fingerprint {
        lines.push(format!("  input: {}", orchestrator_core::Bytes(print.size)));
    }
    if let Some(expected) = expected {
        let when = if task.attempts.is_empty() { "expected" } else { "expected before it ran" };
        lines.push(format!("  {when}: {}", forecast::promise(expected)));
    }
    for attempt in &task.attempts {
        lines.push(format!(
            "  attempt {} (run {}, slot {}): {}",
            attempt.number,
            attempt.run,
            attempt.slot,
            ending(attempt)
        ));
        lines.extend(usage(attempt));
        lines.extend(processors(attempt).map(where_it_may_run));
        for output in attempt.outputs.iter().flatten() {
            lines.push(format!("    output: {} ({})", output.path, orchestrator_core::Bytes(output.size)));
        }
        for stream in ["stdout", "stderr"] {
            let log = state.log(attempt.attempt, stream);
            if log.exists() {
                lines.push(format!("    {stream}: {}", log.display()));
            }
        }
    }
    if task.attempts.is_empty() {
        lines.push("  no attempt was made yet".to_owned());
    }
    lines.extend(next(task, &state.way));
    lines.join("\n") + "\n"
}

/// How an attempt ended, as a sentence.
fn ending(attempt: &AttemptView) -> String {
    match &attempt.outcome {
        AttemptOutcome::Open => "no end is recorded".to_owned(),
        AttemptOutcome::Completed => "completed".to_owned(),
        AttemptOutcome::Failed(reason) => format!("failed: {reason}"),
        AttemptOutcome::Terminated(reason) => format!("terminated: {reason}"),
    }
}

fn usage(attempt: &AttemptView) -> Option<String> {
    let usage = attempt.usage.as_ref()?;
    let (wall, cpu) = (duration(usage.wall), duration(usage.cpu()));
    Some(format!("    took {wall}, {cpu} of CPU, up to {} of memory", usage.peak_rss))
}

fn where_it_may_run(cpus: CpuSet) -> String {
    format!("    may run on {} {cpus}", if cpus.len() == 1 { "CPU" } else { "CPUs" })
}

/// The processors that the attempt's process may run on, as the kernel says, while it runs.
fn processors(attempt: &AttemptView) -> Option<CpuSet> {
    let identity = attempt.identity.filter(|_| matches!(attempt.outcome, AttemptOutcome::Open))?;
    let cpus = orchestrator_sysmon::topology::of_process(identity.pid)?;
    // The process of then, not another one that has its number now.
    (orchestrator_exec_local::start_ticks(identity.pid)? == identity.start_ticks).then_some(cpus)
}

fn next(task: &TaskView, way: &Way) -> Vec<String> {
    let name = match task.path.to_string() {
        path if path.starts_with('-') => format!("./{path}"),
        path => path,
    };
    let logs = (!task.attempts.is_empty()).then(|| way.look(&format!("logs {}", shell_word(&name))));
    let again = (task.state == TaskState::Failed).then(|| way.run("--retry-failed"));
    logs.into_iter().chain(again).map(|hint| format!("next: {hint}")).collect()
}

fn explain_json(task: &TaskView, why: &str, log: impl Fn(AttemptId, &str) -> PathBuf) -> Value {
    let attempts = task.attempts.iter().map(|attempt| {
        let logs = ["stdout", "stderr"].map(|stream| log(attempt.attempt, stream));
        let logs: Vec<_> = logs.into_iter().filter(|log| log.exists()).collect();
        json!({
            "attempt": attempt.attempt, "number": attempt.number, "run": attempt.run, "slot": attempt.slot,
            "calibrating": attempt.calibrating, "identity": attempt.identity,
            "planned_at": attempt.planned_at, "started_at": attempt.started_at, "ended_at": attempt.ended_at,
            "exit": attempt.exit, "outcome": outcome_json(&attempt.outcome), "sentence": ending(attempt),
            "cpus": processors(attempt), "usage": attempt.usage, "outputs": attempt.outputs, "logs": logs,
        })
    });
    json!({
        "event": "explanation",
        "task": task.task, "path": task.path, "state": task.state, "why": why,
        "failures": task.failures, "retry_at": task.retry_at, "ended_at": task.ended_at,
        "fingerprint": task.fingerprint, "attempts": attempts.collect::<Vec<_>>(),
    })
}

fn outcome_json(outcome: &AttemptOutcome) -> Value {
    match outcome {
        AttemptOutcome::Open => json!({ "outcome": "open" }),
        AttemptOutcome::Completed => json!({ "outcome": "completed" }),
        AttemptOutcome::Failed(reason) => {
            json!({ "outcome": "failed", "reason": reason, "category": reason.category() })
        }
        AttemptOutcome::Terminated(reason) => json!({ "outcome": "terminated", "reason": reason }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::documented::says_all_of;
    use crate::views::progress::tests::snapshot;
    use orchestrator_core::scheduler::{
        FailureReason, Fingerprint, OutputRecord, ProcessIdentity, TerminationReason,
    };
    use orchestrator_core::{RunId, SlotId, TaskId};

    fn task(state: TaskState, outcome: AttemptOutcome) -> TaskView {
        let attempt = AttemptView {
            attempt: AttemptId(9),
            run: RunId(1),
            number: 1,
            slot: SlotId(2),
            calibrating: false,
            identity: None,
            planned_at: Timestamp(0),
            started_at: Some(Timestamp(1)),
            ended_at: Some(Timestamp(2)),
            exit: None,
            outcome,
            usage: None,
            outputs: None,
        };
        TaskView {
            task: TaskId(4),
            path: InputPath::new(b"bad.dat"),
            state,
            failures: 1,
            fingerprint: None,
            retry_at: None,
            ended_at: None,
            attempts: vec![attempt],
        }
    }

    #[test]
    fn every_wait_and_every_death_has_a_reason() {
        let failed = || AttemptOutcome::Failed(FailureReason::ExitCode(7));
        let live = Live::of(1, snapshot());
        let now = Timestamp(10_000_000);
        let dead = why(&task(TaskState::Failed, failed()), None, false, now);
        assert_eq!(dead, "exit code 7; it is not tried again by itself");
        let mut backing_off = task(TaskState::Pending, failed());
        backing_off.retry_at = Some(Timestamp(14_000_000));
        let text = why(&backing_off, Some(&live), true, now);
        assert_eq!(text, "after 1 failure: exit code 7; back-off: it is tried again in 4.0 s");
        let stopped = AttemptOutcome::Terminated(TerminationReason::Resources { bound: "memory".to_owned() });
        let text = why(&task(TaskState::Pending, stopped), Some(&live), true, now);
        assert!(text.contains("stopped to free resources (memory)") && text.contains("capacity 8"), "{text}");
        let text = why(&task(TaskState::Running, AttemptOutcome::Open), None, false, now);
        assert!(text.contains("the next run starts it anew"), "{text}");
    }

    #[test]
    fn every_field_is_documented() {
        let mut task = task(TaskState::Failed, AttemptOutcome::Failed(FailureReason::ExitCode(7)));
        task.fingerprint = Some(Fingerprint { size: 1, version: 2 });
        let attempt = &mut task.attempts[0];
        attempt.identity = Some(ProcessIdentity { pid: 1, start_ticks: 1 });
        attempt.outputs = Some(vec![OutputRecord { path: InputPath::new(b"a.out"), size: 1 }]);
        let mut value = explain_json(&task, "why", |_, _| PathBuf::new());
        value["attempts"][0]["outcome"]["reason"] = Value::Null;
        says_all_of(&["## explain"], &value);
    }

    #[test]
    fn what_to_type_next_survives_odd_names() {
        let mut odd = task(TaskState::Failed, AttemptOutcome::Completed);
        odd.path = InputPath::new(b"-rf x");
        assert_eq!(
            next(&odd, &Way::default()),
            ["next: orchestrator logs './-rf x'", "next: orchestrator run --retry-failed"]
        );
    }
}
