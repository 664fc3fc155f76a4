//! Work: tasks made of phases.

/// What a phase is bound by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Computing; amount in CPU seconds.
    Cpu,
    /// Computing that moves more memory than the machine can feed to many; amount in CPU seconds.
    Bandwidth,
    /// Reading or writing the disk; amount in MB.
    Disk,
    /// Waiting for something remote; amount in seconds.
    Wait,
}

/// A phase of a task.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Phase {
    /// What it is bound by.
    pub kind: Kind,
    /// How much of it.
    pub amount: f64,
}

/// A task. Units: GB, MB, s.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// One after another.
    pub phases: Vec<Phase>,
    /// Threads that compute.
    pub threads: f64,
    /// Size of the input, MB; 0 = unknown.
    pub input: f64,
    /// Resident memory at the start, GB.
    pub base: f64,
    /// Largest resident memory, GB.
    pub peak: f64,
    /// Share of its work at which the peak is reached, growing in proportion until then.
    pub peak_at: f64,
}

/// Work to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// Its name.
    pub name: String,
    /// The tasks, in order of discovery.
    pub tasks: Vec<Task>,
    /// MB/s that one disk stream can take.
    pub rate: f64,
    /// Whether tasks read their input bit by bit as they go on, so that their progress is seen in bytes read.
    pub streams: bool,
    /// Cores that a waiting process takes.
    pub duty: f64,
}

impl Work {
    /// Seconds that a phase takes with the machine to itself.
    pub(super) fn solo(&self, task: &Task, phase: &Phase) -> f64 {
        match phase.kind {
            Kind::Cpu | Kind::Bandwidth => phase.amount / task.threads,
            Kind::Disk => phase.amount / self.rate,
            Kind::Wait => phase.amount,
        }
    }

    /// Seconds that a task takes with the machine to itself.
    #[must_use]
    pub fn alone(&self, task: &Task) -> f64 {
        task.phases.iter().map(|phase| self.solo(task, phase)).sum()
    }

    /// Seconds that all take one after another.
    #[must_use]
    pub fn sequential(&self) -> f64 {
        self.tasks.iter().map(|task| self.alone(task)).sum()
    }
}
