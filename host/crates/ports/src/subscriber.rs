//! Those who watch: progress views, JSON event streams, logs.

use orchestrator_core::Timestamp;
use orchestrator_core::scheduler::Fact;
use orchestrator_core::view::Snapshot;

/// Something worth telling that is no fact of a task.
#[derive(Clone, Debug)]
pub enum Notice {
    /// A warning for the user, one sentence.
    Warning(String),
    /// Something the user may want to know, one sentence.
    Info(String),
}

/// Watches a run. Called from the loop after facts are durable: must return quickly and never block on a terminal.
pub trait Subscriber {
    /// Facts of one step, already recorded.
    fn facts(&mut self, at: Timestamp, facts: &[Fact]);
    /// The state of things, at most a few times a second and once at the end.
    fn snapshot(&mut self, snapshot: &Snapshot);
    /// Somebody asked where things stand (SIGUSR1): to be shown whatever the cadence.
    fn report(&mut self, snapshot: &Snapshot) {
        self.snapshot(snapshot);
    }
    /// Something worth telling.
    fn notice(&mut self, at: Timestamp, notice: &Notice);
}
