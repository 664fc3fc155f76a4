//! Events as JSON lines on standard output; documented in `docs/events.md`.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use orchestrator_core::config::Config;
use orchestrator_core::scheduler::Fact;
use orchestrator_core::view::Snapshot;
use orchestrator_core::{TaskId, Timestamp};
use orchestrator_ports::{Notice, Subscriber};
use serde::Serialize;
use serde_json::{Value, json};

use super::story::Story;
use super::stream::Stream;

/// Time between two snapshots in the stream.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(1);

/// Tells programs.
pub(crate) struct JsonView {
    stream: Stream,
    story: Rc<RefCell<Story>>,
    snapshot_last: Option<Timestamp>,
}

impl JsonView {
    /// Begins the stream with `run_started`.
    pub(crate) fn begin(stream: Stream, story: Rc<RefCell<Story>>, config: &Config, state: &Path) -> Self {
        stream.line(&json!({
            "event": "run_started",
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "binary": config.binary.path,
            "input": config.input.files_directory,
            "pattern": config.input.file_pattern,
            "output": config.output.directory,
            "state": state,
        }));
        Self { stream, story, snapshot_last: None }
    }
}

impl Subscriber for JsonView {
    fn facts(&mut self, at: Timestamp, facts: &[Fact]) {
        let story = self.story.borrow();
        for fact in facts {
            self.stream.line(&fact_event(at, fact, &story));
        }
    }

    fn snapshot(&mut self, snapshot: &Snapshot) {
        if self.snapshot_last.is_none_or(|last| snapshot.at.since(last) >= SNAPSHOT_EVERY) {
            self.snapshot_last = Some(snapshot.at);
            self.stream.line(&event(snapshot.at, "snapshot", snapshot));
        }
    }

    fn report(&mut self, snapshot: &Snapshot) {
        self.stream.line(&event(snapshot.at, "snapshot", snapshot));
    }

    fn notice(&mut self, at: Timestamp, notice: &Notice) {
        let (name, text) = match notice {
            Notice::Warning(text) => ("warning", text),
            Notice::Info(text) => ("info", text),
        };
        self.stream.line(&json!({ "at": at, "event": name, "message": text }));
    }
}

/// The fields of `body` with `at` and `event`.
fn event<T: Serialize>(at: Timestamp, name: &str, body: &T) -> Value {
    // Our own data always serialises; were it not so, the event would at least be seen.
    let mut value =
        serde_json::to_value(body).unwrap_or_else(|error| json!({ "unprintable": error.to_string() }));
    if value.get("at").is_none() {
        value["at"] = json!(at);
    }
    value["event"] = name.into();
    value
}

/// A fact with the path of its task, where that is known, and its reason as a sentence, where it has one.
fn fact_event(at: Timestamp, fact: &Fact, story: &Story) -> Value {
    let mut value = event(at, "fact", fact);
    let task = value["task"].as_u64().and_then(|task| u32::try_from(task).ok()).map(TaskId);
    if let Some(path) = task.and_then(|task| story.path(task)).filter(|_| value.get("path").is_none()) {
        value["path"] = json!(path);
    }
    match fact {
        Fact::AttemptFailed { reason, .. } | Fact::TaskFailed { reason, .. } => {
            value["category"] = json!(reason.category());
            value["sentence"] = reason.to_string().into();
        }
        Fact::Relearned { what, .. } => value["sentence"] = what.to_string().into(),
        Fact::AttemptTerminated { reason, .. } => value["sentence"] = reason.to_string().into(),
        _ => {}
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::progress::tests::snapshot;
    use crate::views::story::{Historian, tests::failing};
    use orchestrator_core::scheduler::FailureReason;

    #[test]
    fn a_fact_says_what_when_which_file_and_why() {
        let story = Rc::new(RefCell::new(Story::default()));
        let facts = failing(4, b"a\xff.dat", FailureReason::OutOfMemory);
        Historian::new(Rc::clone(&story)).facts(Timestamp(9), &facts);
        let value = fact_event(Timestamp(9), &facts[1], &story.borrow());
        let expected = json!({
            "at": 5, "event": "fact", "fact": "task_failed", "task": 4, "attempt": 4, "path": "a\\xff.dat",
            "reason": "out_of_memory", "category": "oom", "sentence": "out of memory: the kernel ended it",
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn a_snapshot_is_its_own_fields_and_an_event() {
        let value = event(Timestamp(1), "snapshot", &snapshot());
        assert_eq!((value["event"].as_str(), value["at"].as_u64()), (Some("snapshot"), Some(90_000_000)));
        assert_eq!(value["counts"]["completed"], 412);
        assert_eq!(value["capacity"]["target"], 8);
    }
}
