//! Talk on standard error: a line for each failure, retry and stop, and the progress below them.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use orchestrator_core::Timestamp;
use orchestrator_core::scheduler::{Fact, TerminationReason};
use orchestrator_core::view::Snapshot;
use orchestrator_ports::{Notice, Subscriber};

use super::progress::{self, Thresholds};
use super::story::Story;
use super::words::duration;
use crate::console::Console;
use crate::style::width;

/// Time between two lines of progress where nothing can be drawn anew.
const PLAIN_EVERY: Duration = Duration::from_secs(5);
/// Lines about single attempts that are told in a second; a run in which all fail must not drown its own progress.
const LINES_A_SECOND: u32 = 20;

/// Tells people.
pub(crate) struct HumanView {
    console: Console,
    story: Rc<RefCell<Story>>,
    thresholds: Thresholds,
    plain_last: Option<Timestamp>,
    budget: Budget,
}

impl HumanView {
    pub(crate) fn new(console: Console, story: Rc<RefCell<Story>>, thresholds: Thresholds) -> Self {
        Self { console, story, thresholds, plain_last: None, budget: Budget::default() }
    }

    fn tell(&mut self, at: Timestamp, line: &str) {
        let (passes, held_back) = self.budget.spend(at);
        if held_back > 0 {
            self.console
                .line(&format!("… and {held_back} lines like these; `orchestrator status` counts them all"));
        }
        if passes {
            self.console.line(line);
        }
    }
}

impl Subscriber for HumanView {
    fn facts(&mut self, at: Timestamp, facts: &[Fact]) {
        for fact in facts {
            let line = line_of(fact, at, &self.story.borrow(), &self.console);
            if let Some(line) = line {
                self.tell(at, &line);
            }
        }
    }

    fn snapshot(&mut self, snapshot: &Snapshot) {
        let style = self.console.style();
        if style.animate() {
            self.console.block(progress::block(snapshot, self.thresholds, width(), style));
            return;
        }
        let due = self.plain_last.is_none_or(|last| snapshot.at.since(last) >= PLAIN_EVERY);
        if due {
            // The first one would only say that nothing has happened yet.
            if self.plain_last.is_some() {
                self.console.line(&progress::line(snapshot, self.thresholds));
            }
            self.plain_last = Some(snapshot.at);
        }
    }

    fn report(&mut self, snapshot: &Snapshot) {
        self.plain_last = Some(snapshot.at);
        self.console.line(&progress::line(snapshot, self.thresholds));
        for attempt in &snapshot.attempts {
            self.console.line(&format!("  {}", progress::attempt(attempt)));
        }
    }

    fn notice(&mut self, _at: Timestamp, notice: &Notice) {
        let style = self.console.style();
        match notice {
            Notice::Warning(text) => self.console.line(&format!("{}: {text}", style.warning("warning"))),
            Notice::Info(text) => self.console.line(text),
        }
    }
}

/// What people are told of a fact; nothing of what goes well.
fn line_of(fact: &Fact, at: Timestamp, story: &Story, console: &Console) -> Option<String> {
    let style = console.style();
    match fact {
        Fact::TaskFailed { task, reason, .. } => {
            Some(format!("{} {}: {reason}", style.error("failed"), story.name(*task)))
        }
        Fact::AttemptFailed { task, reason, retry_at, .. } => {
            let wait = duration(retry_at.since(at));
            Some(format!("{} {} in {wait}: {reason}", style.warning("retry"), story.name(*task)))
        }
        // At a shutdown all are stopped: the summary says so once.
        Fact::AttemptTerminated {
            reason: TerminationReason::Shutdown | TerminationReason::Halted, ..
        } => None,
        Fact::AttemptTerminated { task, reason, .. } => {
            Some(format!("{} {}: {reason}; it waits again", style.warning("stopped"), story.name(*task)))
        }
        Fact::ReservationRaised { task, reserved, evicted: true, .. } => Some(format!(
            "{} was evicted to keep memory below its threshold; it begins again with {reserved} reserved",
            story.name(*task)
        )),
        Fact::ReservationRaised { task, used, reserved, .. } => Some(format!(
            "{} ran out of memory at {used}: its next attempt reserves {reserved}",
            story.name(*task)
        )),
        Fact::Relearned { what, .. } => Some(format!("{}: {what}", style.warning("changed"))),
        Fact::Calibrated { baseline } if baseline.samples > 0 => Some(super::words::baseline(baseline)),
        _ => None,
    }
}

/// How many lines may still be told in this second.
#[derive(Debug, Default)]
struct Budget {
    second: u64,
    spent: u32,
    held_back: u64,
}

impl Budget {
    /// Whether one more line may be told, and how many were held back before it and are to be mentioned now.
    fn spend(&mut self, at: Timestamp) -> (bool, u64) {
        let second = at.0 / 1_000_000;
        let mut mention = 0;
        if second != self.second {
            mention = std::mem::take(&mut self.held_back);
            *self = Self { second, ..Self::default() };
        }
        self.spent += 1;
        let passes = self.spent <= LINES_A_SECOND;
        self.held_back += u64::from(!passes);
        (passes, mention)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::style::Style;
    use crate::views::story::{Historian, tests::failing};
    use orchestrator_core::scheduler::FailureReason;

    #[test]
    fn a_failure_is_one_line_with_its_file_and_its_reason() {
        let story = Rc::new(RefCell::new(Story::default()));
        let facts = failing(0, b"sub/bad.dat", FailureReason::Signal(11));
        Historian::new(Rc::clone(&story)).facts(Timestamp(1), &facts);
        let console = Console::stderr(Style::PLAIN);
        let line = line_of(&facts[1], Timestamp(1), &story.borrow(), &console);
        assert_eq!(line.as_deref(), Some("failed sub/bad.dat: ended by signal 11 (SIGSEGV)"));
    }

    #[test]
    fn a_flood_of_lines_is_held_back_and_counted() {
        let mut budget = Budget::default();
        let passed = (0..100).filter(|_| budget.spend(Timestamp(7_500_000)).0).count();
        assert_eq!(passed, LINES_A_SECOND as usize);
        assert_eq!(budget.spend(Timestamp(8_000_000)), (true, 80));
        assert_eq!(budget.spend(Timestamp(8_000_001)), (true, 0));
    }
}
