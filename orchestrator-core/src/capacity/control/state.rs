//! What is kept across runs.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::Bytes;
use crate::predict::{Features, Kind};

/// Completed tasks kept.
const KEPT: usize = 400;

/// A task that ran to its end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Completed {
    /// Size of its input, bytes; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<u64>,
    /// What sort of file it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Largest resident memory, bytes.
    pub peak: f64,
    /// CPU time, s.
    pub cpu: f64,
    /// Bytes read and written.
    pub io: f64,
    /// Run time without the time it stood still, s.
    pub seconds: f64,
}

impl Completed {
    /// What was known of it before.
    pub(crate) fn features(&self) -> Features {
        Features { input: self.input.map(Bytes), kind: self.kind, ..Features::default() }
    }

    /// Whether it can be learned from.
    pub(crate) fn is_sane(&self) -> bool {
        [self.peak, self.cpu, self.io, self.seconds].iter().all(|value| value.is_finite() && *value >= 0.0)
    }
}

/// What the law learned of one binary with one set of flags.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ControlState {
    /// Completed tasks, oldest first; at most 400.
    pub completed: Vec<Completed>,
    /// How memory grows, for each tenth of a task's work: weight, mean and variance of the log of memory over peak.
    pub growth: Vec<[f64; 3]>,
    /// As many as ran at once and helped; 0 = not known.
    #[serde(default)]
    pub at_once: f64,
}

/// The last completed tasks.
#[derive(Clone, Debug, Default)]
pub(super) struct Records(VecDeque<Completed>);

impl Records {
    pub(super) fn push(&mut self, one: Completed) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(one);
    }

    pub(super) fn keep_last(&mut self, keep: usize) {
        self.0.drain(..self.0.len().saturating_sub(keep));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Completed> + Clone {
        self.0.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn to_vec(&self) -> Vec<Completed> {
        self.0.iter().copied().collect()
    }
}
