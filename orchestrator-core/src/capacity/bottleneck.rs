//! What a run is bound by: the bound in force, integrated over time, and what relief would bring.
//!
//! A model, no measurement: while a bound holds, twice of what it stands for lets twice as many run, as far as the next
//! bound allows, and so takes that stretch of time down in proportion.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::control::{Allowed, Hold};
use super::{Bound, CapacityDecision};
use crate::Timestamp;

/// Cores kept busy by a process that computes most of the time.
const COMPUTES: f64 = 0.5;
/// Bytes a second by a process that moves data.
const MOVES: f64 = 1e6;

/// What holds a run back at a moment.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Binding {
    /// The cores, up to their threshold.
    Cpu,
    /// Memory, in use or reserved.
    Memory,
    /// More at once is not faster, and the processes move data.
    Disk,
    /// More at once is not faster, though the processes compute: memory bandwidth, caches, locks.
    Bandwidth,
    /// More at once is not faster, and the processes mostly wait.
    Latency,
    /// The output file system is filled.
    DiskSpace,
    /// A capacity plugin.
    Plugin,
    /// `concurrency.max` or `min`.
    Limit,
    /// The number still grows, or calibration measures.
    Growing,
    /// Too few files are left to fill the machine.
    Tail,
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "CPU",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Bandwidth => "memory bandwidth",
            Self::Latency => "latency",
            Self::DiskSpace => "disk space",
            Self::Plugin => "a capacity plugin",
            Self::Limit => "concurrency.max",
            Self::Growing => "growing",
            Self::Tail => "the last files",
        })
    }
}

/// What is known of the moment beside the decision.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment {
    /// Attempts that hold a slot.
    pub running: u32,
    /// Whether anything waits that could start but for the bounds.
    pub waits: bool,
    /// Whether the throughput limit still grows.
    pub ramping: bool,
    /// Cores that one process keeps busy.
    pub cores_each: f64,
    /// Bytes that one process moves a second.
    pub moved_each: f64,
}

/// What binds under a decision.
#[must_use]
pub fn binding(decision: &CapacityDecision, moment: &Moment) -> Binding {
    if !moment.waits {
        return Binding::Tail;
    }
    match &decision.bound {
        Bound::Max | Bound::Min | Bound::Law(Hold::Max { .. }) => Binding::Limit,
        Bound::Plugin(_) | Bound::NoAnswerYet | Bound::Law(Hold::Plugin { .. }) => Binding::Plugin,
        Bound::Calibration | Bound::WarmUp | Bound::SpawnBackoff | Bound::Law(Hold::Pace) => Binding::Growing,
        Bound::Law(Hold::Cpu { .. }) => Binding::Cpu,
        Bound::Law(Hold::Disk) => Binding::DiskSpace,
        Bound::Law(
            Hold::Memory { .. } | Hold::FirstResults | Hold::MemoryInUse { .. } | Hold::Frozen { .. },
        ) => Binding::Memory,
        Bound::Law(Hold::Throughput { .. }) if moment.ramping => Binding::Growing,
        Bound::Law(Hold::Throughput { .. }) if moment.cores_each >= COMPUTES => Binding::Bandwidth,
        Bound::Law(Hold::Throughput { .. }) if moment.moved_each >= MOVES => Binding::Disk,
        Bound::Law(Hold::Throughput { .. }) => Binding::Latency,
    }
}

/// How many could run with twice of what binds, as a multiple of what runs.
fn relieved(binding: Binding, allowed: Option<&Allowed>, running: f64) -> f64 {
    let none = Allowed::default();
    let allowed = allowed.unwrap_or(&none);
    let least = |bounds: &[Option<u32>]| {
        bounds.iter().flatten().map(|bound| f64::from(*bound)).fold(2.0 * running, f64::min)
    };
    let (cpu, throughput, max, plugins) = (allowed.cpu, allowed.throughput, allowed.max, allowed.plugins);
    let next = match binding {
        Binding::Cpu => least(&[throughput, max, plugins]),
        Binding::Memory => least(&[cpu, throughput, max, plugins]),
        Binding::Disk | Binding::Bandwidth => least(&[cpu, max, plugins]),
        Binding::Plugin => least(&[cpu, throughput, max]),
        Binding::Limit => least(&[cpu, throughput, plugins]),
        Binding::Latency | Binding::DiskSpace | Binding::Growing | Binding::Tail => running,
    };
    (next / running.max(1.0)).max(1.0)
}

/// One bound's part in a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoundShare {
    /// The bound.
    pub binding: Binding,
    /// Share of the time that it was the active one, 0–1.
    pub share: f64,
    /// How many times sooner the run would have come so far with twice of it; for the tail, had the last files been spread
    /// over all places. 1 = no sooner, or unknown.
    pub sooner: f64,
}

/// Integrates bounds over time.
#[derive(Clone, Debug, Default)]
pub struct Bottleneck {
    last: Option<(Timestamp, Binding, f64)>,
    /// Seconds under each bound, and seconds that relief would have saved.
    seconds: BTreeMap<Binding, (f64, f64)>,
    /// The most that ever ran at once.
    widest: u32,
}

impl Bottleneck {
    /// From `now` on this decision is in force.
    pub fn note(&mut self, now: Timestamp, decision: &CapacityDecision, moment: &Moment) {
        if let Some((since, binding, saved)) = self.last {
            let seconds = now.since(since).as_secs_f64();
            let sums = self.seconds.entry(binding).or_default();
            sums.0 += seconds;
            sums.1 += seconds * saved;
        }
        self.widest = self.widest.max(moment.running);
        let running = f64::from(moment.running);
        let binding = binding(decision, moment);
        let saved = match binding {
            // Where nothing runs any more, outputs are being checked: nothing is left to spread.
            Binding::Tail if moment.running == 0 => 0.0,
            Binding::Tail => 1.0 - running / f64::from(self.widest.max(1)),
            _ => 1.0 - 1.0 / relieved(binding, decision.allowed.as_ref(), running),
        };
        self.last = Some((now, binding, saved));
    }

    /// Each bound's share of the time so far, the largest first.
    #[must_use]
    pub fn shares(&self) -> Vec<BoundShare> {
        let all: f64 = self.seconds.values().map(|(seconds, _)| seconds).sum();
        let mut shares: Vec<BoundShare> = self
            .seconds
            .iter()
            .filter(|_| all > 0.0)
            .map(|(binding, (seconds, saved))| BoundShare {
                binding: *binding,
                share: seconds / all,
                sooner: all / (all - saved).max(1e-9),
            })
            .collect();
        shares.sort_unstable_by(|a, b| b.share.total_cmp(&a.share));
        shares
    }
}

/// The shares in words: `memory 82 % (twice of it: 1.6× sooner), CPU 12 %, the last files 6 % (spread out: 1.1× sooner)`.
#[must_use]
pub fn describe(shares: &[BoundShare]) -> String {
    let words = shares.iter().filter(|one| one.share >= 0.05).map(|one| {
        let share = format!("{} {:.0} %", one.binding, 100.0 * one.share);
        match one.binding {
            _ if one.sooner < 1.05 => share,
            Binding::Tail => format!("{share} (spread out: {:.1}× sooner)", one.sooner),
            _ => format!("{share} (twice of it: {:.1}× sooner)", one.sooner),
        }
    });
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bytes;

    fn decision(bound: Bound, allowed: Allowed) -> CapacityDecision {
        CapacityDecision {
            target: 4,
            bound,
            reason: String::new(),
            plugins: Vec::new(),
            allowed: Some(allowed),
        }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp(seconds * 1_000_000)
    }

    #[test]
    fn time_is_shared_out_and_relief_goes_as_far_as_the_next_bound() {
        let mut bottleneck = Bottleneck::default();
        let running = Moment { running: 4, waits: true, ..Moment::default() };
        let memory = Hold::Memory { reserved: Bytes(1), next: Bytes(1), of: Bytes(1) };
        let room = Allowed { cpu: Some(6), ..Allowed::default() };
        bottleneck.note(at(0), &decision(Bound::Law(memory), room), &running);
        bottleneck.note(at(60), &decision(Bound::Law(Hold::Cpu { allows: 4 }), Allowed::default()), &running);
        let last = Moment { running: 1, waits: false, ..running };
        bottleneck.note(at(80), &decision(Bound::Max, Allowed::default()), &last);
        bottleneck.note(at(100), &decision(Bound::Max, Allowed::default()), &last);
        let shares = bottleneck.shares();
        let of = |binding| shares.iter().find(|one| one.binding == binding).unwrap();
        assert_eq!(shares[0].binding, Binding::Memory);
        assert!((of(Binding::Memory).share - 0.6).abs() < 1e-9);
        // 60 s at 4 become 40 s at 6.
        assert!((of(Binding::Memory).sooner - 100.0 / 80.0).abs() < 1e-9, "{shares:?}");
        assert!((of(Binding::Cpu).sooner - 100.0 / 90.0).abs() < 1e-9);
        // 20 s with one of four places filled are worth 5 s.
        assert!((of(Binding::Tail).sooner - 100.0 / 85.0).abs() < 1e-9);
        assert_eq!(
            describe(&shares),
            "memory 60 % (twice of it: 1.2× sooner), CPU 20 % (twice of it: 1.1× sooner), the last files 20 % (spread out: 1.2× sooner)"
        );
    }

    #[test]
    fn throughput_is_named_by_what_the_processes_do() {
        let hold = || Bound::Law(Hold::Throughput { allows: 4, why: String::new() });
        let found =
            |moment| binding(&decision(hold(), Allowed::default()), &Moment { waits: true, ..moment });
        let nothing = Moment::default();
        assert_eq!(found(Moment { cores_each: 0.9, ..nothing }), Binding::Bandwidth);
        assert_eq!(found(Moment { moved_each: 1e8, ..nothing }), Binding::Disk);
        assert_eq!(found(nothing), Binding::Latency);
        assert_eq!(found(Moment { ramping: true, ..nothing }), Binding::Growing);
    }
}
