//! The decision: how many may run, and why.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::control::{Allowed, Hold};

/// Which bound is the active one.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// `concurrency.max` (or `mode: fixed`).
    Max,
    /// `concurrency.min` lifted what the plugins said.
    Min,
    /// A capacity plugin, by instance name.
    Plugin(String),
    /// One measuring instance at a time.
    Calibration,
    /// Growth is limited to a step at a time until its effect has been seen.
    WarmUp,
    /// No plugin has answered yet.
    NoAnswerYet,
    /// The machine could not start another process a moment ago.
    SpawnBackoff,
    /// The control law, by the bound of its that holds the next task back.
    Law(Hold),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Max => f.write_str("concurrency.max"),
            Self::Min => f.write_str("concurrency.min"),
            Self::Plugin(name) => write!(f, "plugin {name}"),
            Self::Calibration => f.write_str("calibration: one at a time"),
            Self::WarmUp => f.write_str("warm-up: growing step by step"),
            Self::NoAnswerYet => f.write_str("no capacity plugin has answered yet"),
            Self::SpawnBackoff => f.write_str("the machine refused to start another process"),
            Self::Law(hold) => hold.fmt(f),
        }
    }
}

/// One capacity plugin's bound as it stands.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct PluginBound {
    /// Instance name.
    pub instance: String,
    /// How many may run by its last good answer; `None` while it has never given one.
    pub capacity: Option<u32>,
    /// Its reason, or why it failed.
    pub reason: String,
    /// Whether its last call failed, so that the old answer stands.
    pub failed: bool,
}

/// How many attempts may hold a slot, which bound says so, and what every plugin said.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct CapacityDecision {
    /// Attempts that may run at once.
    pub target: u32,
    /// The bound that gave the number.
    pub bound: Bound,
    /// The reason in words, as given by whoever bounds.
    pub reason: String,
    /// Every plugin's word.
    pub plugins: Vec<PluginBound>,
    /// What each bound of the control law allows by itself; `None` where it does not decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Allowed>,
}

impl CapacityDecision {
    /// Whether more may run as soon as the effect of the last step has been seen, or memory fills quickly: a reading is worth
    /// having soon.
    #[must_use]
    pub fn is_growing(&self) -> bool {
        matches!(self.bound, Bound::WarmUp) || self.allowed.is_some_and(|allowed| allowed.soon)
    }
}

impl fmt::Display for CapacityDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "capacity {} ({}", self.target, self.bound)?;
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        let hold = match &self.bound {
            Bound::Law(hold) => Some(hold),
            _ => None,
        };
        let others = self.allowed.map(|allowed| allowed.others(hold)).unwrap_or_default();
        if others.is_empty() { f.write_str(")") } else { write!(f, "; {others})") }
    }
}
