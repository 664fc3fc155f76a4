//! The decision: how many may run, which bound says so, and what each of the others would allow.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

use super::limit::LARGEST;
use crate::Bytes;

/// Why no more may start.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// `concurrency.max`.
    Max {
        /// Its value.
        max: u32,
    },
    /// A capacity plugin.
    Plugin {
        /// Its instance name.
        instance: String,
        /// What it allows.
        allows: u32,
    },
    /// The cores: as many as stay below the threshold run.
    Cpu {
        /// What the cores bear.
        allows: u32,
    },
    /// More at once would not be faster.
    Throughput {
        /// What helps.
        allows: u32,
        /// Why it is not more, in words.
        why: String,
    },
    /// Memory that the running tasks will need is reserved.
    Memory {
        /// In use by others and reserved for what runs, margins included.
        reserved: Bytes,
        /// What the task that wants to start is expected to need.
        next: Bytes,
        /// What may be in use.
        of: Bytes,
    },
    /// Until a few tasks have ended nobody knows what they need.
    FirstResults,
    /// Memory in use is above the threshold already.
    MemoryInUse {
        /// In use by everybody.
        used: Bytes,
        /// What may be in use.
        of: Bytes,
    },
    /// The output file system is filled up to the threshold.
    Disk,
    /// Frozen attempts go on before anything new starts.
    Frozen {
        /// How many stand still.
        frozen: u32,
    },
    /// Enough was started since the last look at the machine.
    Pace,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Max { max } => write!(f, "concurrency.max is {max}"),
            Self::Plugin { instance, allows } => write!(f, "plugin {instance} allows {allows}"),
            Self::Cpu { allows } => write!(f, "CPU: the threshold bears {allows}"),
            Self::Throughput { allows, why } => write!(f, "throughput: {allows}, {why}"),
            Self::Memory { reserved, next, of } => {
                write!(f, "memory: {reserved} of {of} reserved, the next needs {next}")
            }
            Self::FirstResults => {
                f.write_str("memory: until first results tell what a task needs, few run at once")
            }
            Self::MemoryInUse { used, of } => write!(f, "memory: {used} in use of {of}"),
            Self::Disk => f.write_str("the output file system is filled up to its threshold"),
            Self::Frozen { frozen } => write!(f, "{frozen} frozen attempts go on first"),
            Self::Pace => f.write_str("pace: as many as the last reading allows were started"),
        }
    }
}

/// What each bound allows by itself; `None` = it says nothing yet.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Allowed {
    /// The cores.
    pub cpu: Option<u32>,
    /// Throughput.
    pub throughput: Option<u32>,
    /// `concurrency.max`.
    pub max: Option<u32>,
    /// The smallest of the plugins' answers.
    pub plugins: Option<u32>,
    /// Memory reserved by what runs, margins included.
    pub reserved: Bytes,
    /// Memory that may be in use.
    pub memory: Bytes,
    /// Whether the next reading is worth having soon: the number grows step by step, memory fills quickly, or an attempt may
    /// have to be stopped.
    #[serde(default)]
    pub soon: bool,
}

/// How many may run, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ControlDecision {
    /// Attempts that may run at once.
    pub target: u32,
    /// The bound that forbids another start now; `None` = one may start.
    pub hold: Option<Hold>,
    /// What each bound allows by itself.
    pub allowed: Allowed,
}

impl Allowed {
    /// The numbers in words, without those of the active bound.
    pub(crate) fn others(&self, hold: Option<&Hold>) -> String {
        let mut out = String::new();
        let mut add = |name: &str, allows: Option<u32>, shown: bool| {
            if let Some(allows) = allows.filter(|_| !shown) {
                let words = if out.is_empty() { " would allow" } else { "" };
                let separator = if out.is_empty() { "" } else { ", " };
                let _ = write!(out, "{separator}{name}{words} {allows}");
            }
        };
        add("CPU", self.cpu, matches!(hold, Some(Hold::Cpu { .. })));
        add("throughput", self.throughput, matches!(hold, Some(Hold::Throughput { .. })));
        add("plugins", self.plugins, matches!(hold, Some(Hold::Plugin { .. })));
        // The law never goes beyond: a larger maximum says nothing (nobody set it, mostly).
        let max = self.max.filter(|max| f64::from(*max) < LARGEST);
        add("concurrency.max", max, matches!(hold, Some(Hold::Max { .. })));
        if self.memory.0 > 0 && !matches!(hold, Some(Hold::Memory { .. } | Hold::MemoryInUse { .. })) {
            let separator = if out.is_empty() { "" } else { "; " };
            let _ = write!(out, "{separator}memory {} of {} reserved", self.reserved, self.memory);
        }
        out
    }
}

impl fmt::Display for ControlDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "capacity {} (", self.target)?;
        if let Some(hold) = &self.hold {
            write!(f, "{hold}")?;
        } else {
            f.write_str("another may start")?;
        }
        let others = self.allowed.others(self.hold.as_ref());
        if others.is_empty() { f.write_str(")") } else { write!(f, "; {others})") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_names_the_bound_and_what_the_others_would_allow() {
        let hold = Hold::Memory { reserved: Bytes(11 << 30), next: Bytes(2 << 30), of: Bytes(12 << 30) };
        let allowed = Allowed { cpu: Some(19), throughput: Some(40), ..Allowed::default() };
        let decision = ControlDecision { target: 14, hold: Some(hold), allowed };
        assert_eq!(
            decision.to_string(),
            "capacity 14 (memory: 11.0 GiB of 12.0 GiB reserved, the next needs 2.0 GiB; CPU would allow 19, throughput 40)"
        );
        let memory = (Bytes(9 << 30), Bytes(12 << 30));
        let allowed = Allowed { max: Some(3_483), reserved: memory.0, memory: memory.1, ..allowed };
        let decision = ControlDecision { hold: Some(Hold::Cpu { allows: 14 }), allowed, ..decision };
        assert_eq!(
            decision.to_string(),
            "capacity 14 (CPU: the threshold bears 14; throughput would allow 40; memory 9.0 GiB of 12.0 GiB reserved)"
        );
    }
}
