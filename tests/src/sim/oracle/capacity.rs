//! How many may run: an independent reading of the law of capacity and of calibration.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_core::AttemptId;
use orchestrator_core::capacity::{CalibrationPlan, CapacityLimits};
use orchestrator_core::scheduler::CapacityAnswer;

/// Upper and lower bounds on what may run.
#[derive(Clone, Debug)]
pub(super) struct Capacity {
    pub(super) limits: CapacityLimits,
    expected: usize,
    /// Last good answer of every instance that was heard of.
    answers: BTreeMap<String, Option<u32>>,
    /// What was left alone in every round so far: surplus counts from the most of the last three.
    floors: Vec<u32>,
    /// What may run until the next round: at most twice what ran in the last one, one more at least.
    growth: u32,
}

impl Capacity {
    pub(super) fn new(limits: CapacityLimits, expected: usize) -> Self {
        Self { limits, expected, answers: BTreeMap::new(), floors: Vec::new(), growth: 0 }
    }

    pub(super) fn set_limits(&mut self, limits: CapacityLimits) {
        self.growth = self.growth.max(self.min()).max(limits.min);
        self.limits = limits;
    }

    pub(super) fn answered(&mut self, answers: &[CapacityAnswer], holding: u32) {
        for answer in answers {
            let last = self.answers.entry(answer.instance.clone()).or_default();
            *last = answer.capacity.or(*last);
        }
        self.growth = 2 * (holding + 1);
        self.floors.push(self.floor());
    }

    /// The smallest of the plugins' last good words; nothing is allowed while one is silent.
    fn smallest(&self) -> u32 {
        if self.expected == 0 {
            return u32::MAX;
        }
        if self.answers.len() < self.expected {
            return 0;
        }
        self.answers.values().map(|answer| answer.unwrap_or(0)).min().unwrap_or(0)
    }

    /// What is left alone however many there are.
    fn floor(&self) -> u32 {
        self.smallest().max(self.min())
    }

    /// `concurrency.min`.
    pub(super) fn min(&self) -> u32 {
        self.limits.min.max(1)
    }

    /// No more than this may hold a slot when another one is admitted.
    pub(super) fn upper(&self) -> u32 {
        let max = self.limits.max.unwrap_or(u32::MAX);
        if self.limits.fixed {
            return max;
        }
        let bounded = self.smallest().min(max);
        let grown = if self.expected == 0 { bounded } else { bounded.min(self.growth) };
        grown.max(self.min())
    }

    /// At least this many are to hold a slot while there is work.
    pub(super) fn lower(&self, law: bool) -> u32 {
        if law {
            return self.min();
        }
        let max = self.limits.max.unwrap_or(u32::MAX);
        match (self.limits.fixed, self.expected) {
            (true, _) => max,
            (false, 0) => max.max(self.min()),
            (false, _) => self.min(),
        }
    }

    /// How many of `holding` are too many, for long enough.
    pub(super) fn surplus(&self, holding: u32) -> u32 {
        match self.floors.as_slice() {
            [.., a, b, c] if !self.limits.fixed => holding.saturating_sub(*a.max(b).max(c)),
            _ => 0,
        }
    }
}

/// Progress of calibration.
#[derive(Clone, Debug)]
pub(super) struct Calibration {
    pub(super) plan: CalibrationPlan,
    reused: bool,
    pub(super) measuring: BTreeSet<AttemptId>,
    pub(super) tried: u32,
    pub(super) samples: u32,
}

impl Calibration {
    pub(super) fn new(plan: CalibrationPlan, reused: bool) -> Self {
        Self { plan, reused, measuring: BTreeSet::new(), tried: 0, samples: 0 }
    }

    pub(super) fn is_open(&self) -> bool {
        !self.reused && self.tried < self.plan.inputs
    }

    /// A measurement was taken, or cannot be.
    pub(super) fn tried(&mut self, attempt: AttemptId, counts: bool) {
        if self.measuring.remove(&attempt) {
            self.tried += 1;
            self.samples += u32::from(counts);
        }
    }

    /// The measurement is dropped: another input will be measured.
    pub(super) fn dropped(&mut self, attempt: AttemptId) {
        self.measuring.remove(&attempt);
    }
}
