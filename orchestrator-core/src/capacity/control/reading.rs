//! What the law hears.

use crate::predict::{Features, Kind};
use crate::{AttemptId, Bytes, TaskId};

/// The machine at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MachineReading {
    /// Usable cores.
    pub cores: f64,
    /// Cores kept busy by everybody since the previous reading.
    pub cores_busy: f64,
    /// Usable memory, bytes.
    pub memory_total: f64,
    /// Memory in use by everybody, bytes.
    pub memory_used: f64,
    /// Fill of the output file system, 0–1.
    pub disk_fill: f64,
}

/// A running attempt's process tree at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttemptReading {
    /// Which attempt.
    pub attempt: AttemptId,
    /// CPU time so far, s.
    pub cpu: f64,
    /// Bytes read and written so far, whatever they are served from.
    pub io: f64,
    /// Resident memory, bytes.
    pub rss: f64,
}

/// A task that wants to start or has started.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Candidate {
    /// Which task.
    pub task: TaskId,
    /// Size of its input, bytes; `None` if unknown.
    pub input: Option<u64>,
    /// What sort of file its input is, by its name.
    pub kind: Option<Kind>,
}

impl Candidate {
    /// What is known of the task.
    #[must_use]
    pub fn features(&self) -> Features {
        Features { input: self.input.map(Bytes), kind: self.kind, ..Features::default() }
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// By itself, successfully: its figures are those of a whole task.
    Completed,
    /// Killed for want of memory.
    OutOfMemory,
    /// Otherwise: its figures say nothing of a whole task.
    Other,
}

/// What an attempt used over its life.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Used {
    /// Largest resident memory, bytes.
    pub peak: f64,
    /// CPU time, s.
    pub cpu: f64,
    /// Bytes read and written, whatever they are served from.
    pub io: f64,
}
