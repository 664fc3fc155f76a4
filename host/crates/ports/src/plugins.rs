//! Metrics and capacity plugins, as the runtime sees them: rounds go in, answers come back.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::metrics::{Metrics, ProcessSample};
use orchestrator_core::scheduler::CapacityAnswer;
use orchestrator_core::{AttemptId, TaskId};

/// One running attempt as it is shown to metrics plugins.
#[derive(Clone, Debug)]
pub struct ProcessFacts {
    /// Whose.
    pub attempt: AttemptId,
    /// Its task.
    pub task: TaskId,
    /// Absolute path of its input.
    pub input_file: Arc<Path>,
    /// How long its process has run; `None` before it is known to run.
    pub running_for: Option<Duration>,
    /// Main process.
    pub pid: u32,
    /// Its start time in clock ticks since boot.
    pub start_ticks: u64,
    /// Main process and live descendants: the list that the probe handed out, and the very same one as long as none of
    /// them has run.
    pub tree: Arc<[u32]>,
    /// The host's own reading of the tree; `None` before the first one.
    pub sample: Option<ProcessSample>,
}

/// What one round of collection hands to the plugins.
#[derive(Clone, Debug, Default)]
pub struct PluginRound {
    /// Counts rounds from 1.
    pub number: u64,
    /// The running attempts.
    pub processes: Vec<ProcessFacts>,
    /// The baseline as metrics (`calibration.*`); empty before calibration.
    pub calibration: Metrics,
    /// Built-in metrics of this round (`system.*`, `orchestrator.*`, `limits.*`); the metrics plugins' own values
    /// (sums over processes under the metric's name, and system-wide ones) are added before capacity plugins see it.
    pub current: Metrics,
}

/// A plugin instance's state.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PluginHealth {
    /// Works, again or as it is configured now.
    Ready,
    /// Gone for a moment: it is started again, with the state that it last handed out.
    Restarting {
        /// The sentence: what happened, and when it is started again.
        sentence: String,
    },
    /// Given up for this run, with the one sentence that says why and what to do.
    Failed {
        /// The sentence: file, class, what happened, remedy.
        sentence: String,
        /// `required: true`: the run must end (exit 69).
        required: bool,
    },
}

/// What the plugin room tells.
#[derive(Clone, Debug)]
pub enum PluginEvent {
    /// A round is over: every instance that was asked answered or failed, or the round's patience was at its end. Every
    /// round that was begun ends once, in order.
    RoundFinished {
        /// Which round.
        number: u64,
        /// What was measured of the machine in this round, by name; from `collect_system_metrics`.
        system: Metrics,
        /// What was measured of each attempt in this round, by name; from `collect_metrics`. Shared with those who keep it
        /// for later rounds: there are as many as there are processes.
        processes: Vec<(AttemptId, Arc<Metrics>)>,
        /// One answer per enabled capacity instance, failed ones included.
        capacity: Vec<CapacityAnswer>,
    },
    /// Measured outside a round: by an instance that answered after its round was over, or about the plugins' cost
    /// (`orchestrator.plugin.NAME.calls` and its kin).
    Measured {
        /// About the machine, or about the host itself.
        system: Metrics,
        /// About attempts; some may have ended.
        processes: Vec<(AttemptId, Arc<Metrics>)>,
    },
    /// A reload of the plugins is over.
    Reloaded {
        /// A sentence for each instance that is now another one, or is gone.
        changes: Vec<String>,
        /// A sentence for each instance that is not as the configuration wants it; what ran before goes on.
        refusals: Vec<String>,
    },
    /// An instance's state changed.
    Health {
        /// The instance's name in the configuration.
        instance: String,
        /// Now.
        health: PluginHealth,
    },
    /// A plugin said something worth a line in the log (own words, dropped or bad metrics).
    Said {
        /// The instance's name in the configuration.
        instance: String,
        /// 1 = error … 5 = trace, as `tracing` counts.
        level: u8,
        /// The words.
        message: String,
    },
}

/// The plugin instances of a run.
pub trait Plugins: Send {
    /// Begins a round: metrics instances collect (each on its own thread, under its deadline, one after the other as
    /// far as there is time), then capacity instances calculate. Returns at once; answers with `RoundFinished`. A round
    /// that is still open is closed soon: what its instances answer later is told as `Measured`.
    fn begin_round(&self, round: Arc<PluginRound>);
    /// Whether a round would ask anybody, or tell that somebody was taken out: one that would not need not be begun.
    fn is_due(&self) -> bool {
        true
    }
}
