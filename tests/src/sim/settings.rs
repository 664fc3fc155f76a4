//! What one universe is like: drawn once, from its seed.

use std::time::Duration;

use orchestrator_core::capacity::control::ControlRules;
use orchestrator_core::capacity::{CalibrationPlan, CapacityLimits};
use orchestrator_core::config::model::{
    Backoff, Durability, Halt, HaltWhen, LeakPolicy, ResumeKey, Retry, Timeouts,
};
use orchestrator_core::config::units::HumanDuration;
use orchestrator_core::config::values::{RetryCause, Threshold, TimeLimit};
use orchestrator_core::placement::Placement;
use orchestrator_core::scheduler::{FailureCategory, Policy};

use super::chance::Chance;

/// How capacity plugins behave while the world is hostile.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PluginMood {
    Steady,
    Flapping,
    Zero,
    Huge,
    Failing,
    Dead,
}

/// What one universe is like. Rates are per mille; times are microseconds.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) tasks: u32,
    pub(super) has_output: bool,
    pub(super) resume_key: ResumeKey,
    pub(super) calibration: CalibrationPlan,
    pub(super) plugins: usize,
    pub(super) mood: PluginMood,
    pub(super) hostile_runs: u32,
    pub(super) crash: u32,
    pub(super) commit_latency: u64,
    pub(super) answer_latency: u64,
    pub(super) launch_latency: u64,
    pub(super) scan_latency: u64,
    pub(super) reorder: bool,
    pub(super) duplicates: u32,
    pub(super) forged: u32,
    pub(super) early_ticks: bool,
    pub(super) jumps: u32,
    pub(super) samples: bool,
    pub(super) stops: bool,
    pub(super) policy_changes: bool,
    pub(super) halts: bool,
    pub(super) calibrate_only: bool,
    pub(super) stale: bool,
    pub(super) retry_failed: bool,
    pub(super) inputs_change: bool,
    pub(super) disk_windows: bool,
    pub(super) broken_binary: bool,
    pub(super) refusals: u32,
    pub(super) spawn_input: u32,
    pub(super) vanish: u32,
    pub(super) unreadable: u32,
    pub(super) exit_codes: u32,
    pub(super) signals: u32,
    pub(super) oom: u32,
    pub(super) leaks: u32,
    pub(super) hangs: u32,
    pub(super) stubborn: u32,
    pub(super) bad_output: u32,
    pub(super) no_output: u32,
    pub(super) publish_faults: u32,
    pub(super) life: u64,
    /// Whether the control law decides.
    pub(super) law: bool,
    pub(super) cores: u64,
    /// How much a process grows, bytes a second; 64 MiB is all there is.
    pub(super) growth: u64,
    pub(super) topology_changes: bool,
}

fn millis(chance: &mut Chance, low: u64, high: u64) -> Duration {
    Duration::from_millis(chance.between(low, high))
}

impl Settings {
    pub(super) fn draw(chance: &mut Chance) -> Self {
        let calibration = CalibrationPlan {
            inputs: if chance.coin() { 0 } else { chance.small(1, 4) },
            warmup: millis(chance, 0, 2_000),
            duration: millis(chance, 0, 3_000),
        };
        let moods = [
            PluginMood::Steady,
            PluginMood::Flapping,
            PluginMood::Flapping,
            PluginMood::Zero,
            PluginMood::Huge,
            PluginMood::Failing,
            PluginMood::Dead,
        ];
        Self {
            tasks: chance.small(1, 14),
            has_output: chance.hits(800),
            resume_key: chance.pick(&[ResumeKey::Metadata, ResumeKey::Content, ResumeKey::Lenient]),
            calibration,
            plugins: chance.below(3) as usize,
            mood: chance.pick(&moods),
            hostile_runs: chance.small(0, 4),
            crash: chance.rate(60),
            commit_latency: chance.pick(&[0, 0, 5_000, 200_000]),
            answer_latency: chance.pick(&[1, 10_000, 300_000]),
            launch_latency: chance.pick(&[1, 10_000, 2_000_000]),
            scan_latency: chance.pick(&[1, 10_000, 3_000_000]),
            reorder: chance.hits(300),
            duplicates: chance.rate(200),
            forged: chance.rate(200),
            early_ticks: chance.hits(200),
            jumps: chance.rate(30),
            samples: chance.coin(),
            stops: chance.hits(400),
            policy_changes: chance.hits(400),
            halts: chance.hits(300),
            calibrate_only: chance.hits(150),
            stale: chance.hits(300),
            retry_failed: chance.hits(300),
            inputs_change: chance.coin(),
            disk_windows: chance.hits(250),
            broken_binary: chance.hits(150),
            refusals: chance.rate(400),
            spawn_input: chance.rate(60),
            vanish: chance.rate(60),
            unreadable: chance.rate(60),
            exit_codes: chance.rate(400),
            signals: chance.rate(150),
            oom: chance.rate(150),
            leaks: chance.rate(200),
            hangs: chance.rate(200),
            stubborn: chance.rate(500),
            bad_output: chance.rate(200),
            no_output: chance.rate(100),
            publish_faults: chance.rate(500),
            life: chance.pick(&[50_000, 1_000_000, 5_000_000, 20_000_000]),
            law: chance.coin(),
            cores: chance.pick(&[1, 2, 4, 16]),
            growth: chance.pick(&[1 << 10, 1 << 20, 8 << 20]),
            topology_changes: chance.coin(),
        }
    }

    /// A policy for a run, or to change to in its course.
    pub(super) fn policy(&self, chance: &mut Chance, hostile: bool) -> Policy {
        Policy {
            limits: limits(chance),
            law: (self.law && chance.hits(850)).then(|| rules(chance)),
            placement: placement(chance),
            disk_threshold: ControlRules::default().disk_threshold,
            covered: Vec::new(),
            capacity_plugins: self.plugins,
            calibration: self.calibration,
            calibrate_only: hostile && self.calibrate_only && chance.coin(),
            retry: retry(chance),
            halt: if hostile && self.halts && chance.coin() { halt(chance) } else { Halt::default() },
            timeouts: Timeouts {
                attempt: time_limit(chance, 300),
                slow_after: time_limit(chance, 100),
                stuck: chance.coin().then(|| human(chance, 500, 4_000)),
                on_leak: chance.pick(&[LeakPolicy::Pass, LeakPolicy::Fail]),
                ..Timeouts::default()
            },
            drain: millis(chance, 0, 4_000),
            grace: if chance.hits(200) { Duration::ZERO } else { millis(chance, 1, 2_000) },
            max_unpublished: chance.between(1, 4) as usize,
            resume_key: self.resume_key,
            has_output: self.has_output,
            durability: Durability::Batch,
        }
    }
}

fn placement(chance: &mut Chance) -> Placement {
    let core = Placement::Core(chance.small(1, 4));
    chance.pick(&[Placement::Auto, Placement::None, Placement::Node, core])
}

fn rules(chance: &mut Chance) -> ControlRules {
    ControlRules { freeze: chance.hits(850), evict: chance.hits(850), ..ControlRules::default() }
}

fn limits(chance: &mut Chance) -> CapacityLimits {
    if chance.hits(250) {
        return CapacityLimits { min: 1, max: Some(chance.small(1, 5)), fixed: true };
    }
    let min = chance.small(1, 3);
    let max = chance.coin().then(|| chance.small(min, 7));
    CapacityLimits { min, max, fixed: false }
}

fn causes(chance: &mut Chance, most: u64) -> Vec<RetryCause> {
    let all = [
        RetryCause::ExitCode(1),
        RetryCause::ExitCode(3),
        RetryCause::Kind(FailureCategory::Signal),
        RetryCause::Kind(FailureCategory::Oom),
        RetryCause::Kind(FailureCategory::Timeout),
        RetryCause::Kind(FailureCategory::Stuck),
        RetryCause::Kind(FailureCategory::InvalidOutput),
        RetryCause::Kind(FailureCategory::DiskFull),
        RetryCause::Kind(FailureCategory::ExitCode),
        RetryCause::Kind(FailureCategory::Input),
    ];
    (0..chance.below(most)).map(|_| chance.pick(&all)).collect()
}

fn retry(chance: &mut Chance) -> Retry {
    let zero = HumanDuration::from_millis(0);
    let mut retry = Retry {
        max_attempts: chance.small(1, 4),
        backoff: chance.pick(&[Backoff::Exponential, Backoff::Constant, Backoff::Linear]),
        delay: if chance.hits(200) { zero } else { human(chance, 1, 1_500) },
        max_delay: human(chance, 500, 4_000),
        jitter: chance.pick(&[0.0, 0.3, 1.0]),
        never_on: if chance.coin() { vec![] } else { causes(chance, 3) },
        ..Retry::default()
    };
    if chance.coin() {
        retry.retry_on = causes(chance, 8);
    }
    retry
}

fn halt(chance: &mut Chance) -> Halt {
    let mut threshold = || {
        chance.hits(400).then(|| match chance.coin() {
            true => Threshold::Count(chance.between(1, 4)),
            false => Threshold::Share(chance.between(10, 100) as f64),
        })
    };
    let (fail, success, done) = (threshold(), threshold(), threshold());
    Halt { when: chance.pick(&[HaltWhen::Now, HaltWhen::Soon]), fail, success, done }
}

fn human(chance: &mut Chance, low: u64, high: u64) -> HumanDuration {
    HumanDuration::from_millis(chance.between(low, high))
}

fn time_limit(chance: &mut Chance, shortest: u64) -> Option<TimeLimit> {
    match chance.below(4) {
        0 | 1 => Some(TimeLimit::Absolute(human(chance, shortest, 8_000))),
        2 => Some(TimeLimit::OfMedian(chance.between(100, 400) as f64)),
        _ => None,
    }
}
