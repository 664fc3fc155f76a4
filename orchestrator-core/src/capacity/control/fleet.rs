//! What runs, as the law sees it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::forecast::Course;
use super::growth::Life;
use super::reading::Candidate;
use super::size_law::Need;
use crate::AttemptId;

/// Why an attempt stands still.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FrozenFor {
    /// More ran than helps.
    Throughput,
    /// Memory was about to run out.
    Memory,
    /// It was started on memory that those before it did not need yet, and now do.
    Room,
}

impl FrozenFor {
    /// Whether it goes on as soon as there is memory for it.
    pub(super) fn wants_memory(self) -> bool {
        self != Self::Throughput
    }
}

impl std::fmt::Display for FrozenFor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Throughput => "more ran than helps",
            Self::Memory => "memory was about to run out",
            Self::Room => "those before it need the memory",
        })
    }
}

/// A running attempt.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) candidate: Candidate,
    /// When it started, s.
    pub(super) since: f64,
    /// Integral of the number of active attempts over time, at its start.
    pub(super) integral_at_start: f64,
    /// How many ran just after its start.
    pub(super) beside_at_start: f64,
    pub(super) frozen: Option<FrozenFor>,
    /// Seconds that it stood still.
    pub(super) still: f64,
    /// At the last reading; `None` before the first.
    pub(super) seen: Option<Seen>,
    /// How fast its memory grew before the last reading, bytes per second.
    pub(super) grows: f64,
    /// What it was expected to need before it ran.
    pub(super) need: Need,
    /// The same in the light of what it has used so far.
    pub(super) expected: Need,
    /// What it needs at most by what it has used so far, bytes; infinite while nothing is known of that.
    pub(super) most: f64,
    /// What it is expected to need over time, as the forecast has it.
    pub(super) course: Course,
    /// Share of its work done; `None` while unknown.
    pub(super) share: Option<f64>,
    pub(super) life: Life,
}

/// The last reading of an attempt.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) cpu: f64,
    pub(super) io: f64,
    pub(super) rss: f64,
}

impl Member {
    pub(super) fn rss(&self) -> f64 {
        self.seen.map_or(0.0, |seen| seen.rss)
    }
}

/// All that run, by attempt: an attempt with a larger number started later.
pub(super) type Fleet = BTreeMap<AttemptId, Member>;

pub(super) fn active(fleet: &Fleet) -> usize {
    fleet.values().filter(|member| member.frozen.is_none()).count()
}
