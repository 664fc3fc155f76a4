//! The law's memory: what it was told, and what it learned.

use std::collections::BTreeMap;

use super::backfill::Reserved;
use super::cpu::CpuBound;
use super::extremes::Extremes;
use super::fleet::{Fleet, FrozenFor, Member};
use super::forecast::Forecast;
use super::growth::{Growth, Life};
use super::kinds::KindLaw;
use super::knee::KneeFinder;
use super::limit::{LARGEST, ThroughputLimit};
use super::progress::{Progress, Rate};
use super::reading::{Candidate, Ending, MachineReading, Used};
use super::rules::ControlRules;
use super::size_law::{FEW_RESULTS, LEAST_BASE, Need, SizeLaw, log_size};
use super::state::{Completed, ControlState, Records};
use super::surplus::Net;
use super::vigilance::Vigilance;
use crate::{AttemptId, TaskId, Timestamp};

/// Before the size law says anything a task is taken to need this multiple of the largest one running, and at least this
/// share of the memory; of a larger input's memory what its size raised to the exponent leaves (the law's own before any result).
const UNKNOWN_MULTIPLE: f64 = 6.0;
const UNKNOWN_SHARE: f64 = 0.02;
const UNKNOWN_EXPONENT: f64 = 0.6;
/// The share is half of that when the oldest has run for so long, s.
const UNKNOWN_AGE: f64 = 20.0;
/// After the kernel killed a task for want of memory its reservation grows by this.
const AFTER_OOM: f64 = 1.5;
/// A task that stood still for more than this share of its life says nothing of run times.
const STILL: f64 = 0.3;
/// Nor one beside which on average this multiple ran of what ran at its start: of those that began together the longer ones
/// saw more of a ramp, which looks as if company made them longer.
const VARIED: f64 = 2.0;
/// Share of what helped at the end of the last run that the next one begins with.
const AGAIN: f64 = 0.5;
/// With no more than these left running each of the first results counts at once, not from the next reading on: cores are idle, and
/// one result changes much.
const FEW_RUNNING: usize = 2;
/// Completed tasks that are learned from between two readings: where they come by the thousand, these say it all.
const LEARNED: u32 = 200;

/// As what share of the memory of an input that of a smaller one counts before any result.
fn smaller(input: Option<u64>, than: Option<u64>) -> f64 {
    let apart = |(input, than): (u64, u64)| (input as f64 + LEAST_BASE) / (than as f64 + LEAST_BASE);
    input.zip(than).map(apart).map_or(1.0, |times| times.min(1.0).powf(UNKNOWN_EXPONENT))
}

/// The control law. Pure: the same events give the same decisions, live, in simulation and in replay.
///
/// Tell it of every attempt that [`started`](Self::started) and [`ended`](Self::ended), and of every reading of the
/// machine ([`sampled`](Self::sampled), about once a second); ask it before each start ([`may_start`](Self::may_start)).
#[derive(Clone, Debug)]
pub struct Control {
    pub(super) rules: ControlRules,
    pub(super) plugins: Option<(u32, String)>,
    pub(super) machine: MachineReading,
    pub(super) fleet: Fleet,
    /// Members of the fleet that are not frozen.
    pub(super) active: usize,
    /// Mean number of active attempts between the last two readings.
    pub(super) mean_active: f64,
    /// At most this many may run before the next reading.
    pub(super) pace: usize,
    /// So many may always, because they did in an earlier run.
    pub(super) at_once: usize,
    pub(super) sizes: SizeLaw,
    pub(super) kinds: KindLaw,
    pub(super) growth: Growth,
    pub(super) forecast: Forecast,
    pub(super) extremes: Extremes,
    /// Who was started on memory that others do not need yet.
    pub(super) preemptible: Option<AttemptId>,
    /// What is kept for it.
    pub(super) kept: Option<Reserved>,
    pub(super) cpu: CpuBound,
    pub(super) progress: Progress,
    pub(super) knees: KneeFinder,
    pub(super) limit: ThroughputLimit,
    pub(super) net: Net,
    pub(super) vigilance: Vigilance,
    /// How much more than the size law says tasks reserve that ran out of memory before.
    pub(super) raised: BTreeMap<TaskId, f64>,
    /// What tasks reserve at least, bytes, that outgrew what they had.
    pub(super) floors: BTreeMap<TaskId, f64>,
    /// Memory in use that is not ours, bytes.
    pub(super) others: f64,
    /// How fast memory in use grew between the last two readings, bytes per second.
    pub(super) filling: f64,
    /// What others had left of the allowed memory when margins last decided about a start, bytes.
    pub(super) room: f64,
    /// The last moment heard of, and the last reading, s.
    pub(super) now: Option<f64>,
    pub(super) sampled_at: Option<f64>,
    /// Integral of `active` over time, now and at the last reading.
    pub(super) integral: f64,
    pub(super) integral_sampled: f64,
    /// Moved since the last reading.
    pub(super) moved: Rate,
    /// Whether the laws have learned since needs were worked out.
    pub(super) stale: bool,
    /// Completed tasks learned from since the last reading.
    pub(super) learned: u32,
    pub(super) records: Records,
}

impl Control {
    /// A law that knows nothing of the work yet.
    #[must_use]
    pub fn new(rules: ControlRules) -> Self {
        Self {
            rules,
            plugins: None,
            machine: MachineReading::default(),
            fleet: Fleet::new(),
            active: 0,
            mean_active: 0.0,
            pace: 1,
            at_once: 1,
            sizes: SizeLaw::default(),
            kinds: KindLaw::default(),
            growth: Growth::default(),
            forecast: Forecast::default(),
            extremes: Extremes::default(),
            preemptible: None,
            kept: None,
            cpu: CpuBound::default(),
            progress: Progress::default(),
            knees: KneeFinder::default(),
            limit: ThroughputLimit::default(),
            net: Net::default(),
            vigilance: Vigilance::default(),
            raised: BTreeMap::new(),
            floors: BTreeMap::new(),
            others: 0.0,
            filling: 0.0,
            room: f64::INFINITY,
            now: None,
            sampled_at: None,
            integral: 0.0,
            integral_sampled: 0.0,
            moved: Rate::default(),
            stale: false,
            learned: 0,
            records: Records::default(),
        }
    }

    /// A law that learned what tasks need from earlier runs of the same binary with the same flags. What depends on the
    /// machine's state (throughput, other people's load) is learned anew, from half of what helped on.
    #[must_use]
    pub fn restore(rules: ControlRules, state: &ControlState) -> Self {
        let mut law = Self::new(rules);
        law.growth = Growth::restore(&state.growth);
        for one in state.completed.iter().filter(|one| one.is_sane()) {
            law.learn(*one);
        }
        law.learned = 0;
        law.tell_kinds_apart();
        law.sizes.refresh();
        law.progress.refresh();
        if state.at_once.is_finite() {
            let again = (AGAIN * state.at_once).clamp(1.0, LARGEST);
            law.limit.begin_again(again);
            law.pace = again as usize;
            law.at_once = again as usize;
        }
        law
    }

    /// What to keep across runs.
    #[must_use]
    pub fn state(&self) -> ControlState {
        ControlState {
            completed: self.records.to_vec(),
            growth: self.growth.state(),
            // A run too short to grow takes nothing back from what an earlier one found.
            at_once: self.limit.helped().max(if self.limit.known() > 1.0 {
                self.limit.known() / AGAIN
            } else {
                1.0
            }),
        }
    }

    /// Changes what the user set; in force from the next decision.
    pub fn set_rules(&mut self, rules: ControlRules) {
        self.rules = rules;
    }

    /// The smallest of the capacity plugins' answers and whose it is: an upper bound.
    pub fn set_plugins(&mut self, bound: Option<(u32, String)>) {
        self.plugins = bound;
    }

    pub(super) fn advance(&mut self, now: Timestamp) -> f64 {
        let now = now.0 as f64 / 1e6;
        let seconds = self.now.map_or(0.0, |before| (now - before).max(0.0));
        self.integral += self.active as f64 * seconds;
        if self.active < self.fleet.len() {
            for member in self.fleet.values_mut().filter(|member| member.frozen.is_some()) {
                member.still += seconds;
            }
        }
        self.now = Some(now);
        now
    }

    /// An attempt was started.
    pub fn started(&mut self, now: Timestamp, attempt: AttemptId, candidate: Candidate) {
        let since = self.advance(now);
        let need = self.need(candidate);
        let course = self.course_of(candidate);
        let member = Member {
            candidate,
            since,
            integral_at_start: self.integral,
            beside_at_start: (self.active + 1) as f64,
            frozen: None,
            still: 0.0,
            seen: None,
            grows: 0.0,
            need,
            expected: need,
            most: f64::INFINITY,
            course,
            share: None,
            life: Life::default(),
        };
        if !self.is_free() {
            self.room = self.allowed_memory() - self.others;
            if self.knows_memory() && !self.fits_beside(&course) {
                self.preemptible = Some(attempt);
            }
        }
        self.forecast.add(&course, &self.growth);
        self.runs_beside(&member);
        self.fleet.insert(attempt, member);
        self.active += 1;
    }

    /// An attempt ended. Attempts that the law does not know (any more) change nothing.
    pub fn ended(&mut self, now: Timestamp, attempt: AttemptId, ending: Ending, used: Used) {
        let now = self.advance(now);
        let Some(member) = self.fleet.remove(&attempt) else { return };
        self.active -= usize::from(member.frozen.is_none());
        self.forget_preemptible(attempt);
        self.forecast.remove(&member.course, &self.growth);
        self.ran_beside(&member);
        self.keep_place_of_preemptible();
        let seen = member.seen.unwrap_or_default();
        let (io, cpu) = ((used.io - seen.io).max(0.0), (used.cpu - seen.cpu).max(0.0));
        let times = self.kinds.of(member.candidate.kind);
        self.moved.add(&self.progress, io, cpu, member.candidate.input, times);
        match ending {
            Ending::Completed => self.completed(now, &member, used),
            Ending::OutOfMemory => {
                self.vigilance.killed();
                self.note_killed(used.peak.max(seen.rss), &member.need);
                let raised = self.raised.entry(member.candidate.task).or_insert(1.0);
                *raised *= AFTER_OOM;
            }
            Ending::Other => {}
        }
    }

    fn completed(&mut self, now: f64, member: &Member, used: Used) {
        let wall = now - member.since;
        let ran = wall - member.still;
        let Candidate { input, kind, .. } = member.candidate;
        self.raised.remove(&member.candidate.task);
        self.floors.remove(&member.candidate.task);
        self.limit.completed();
        if self.learned >= LEARNED {
            return;
        }
        self.learn(Completed { input, kind, peak: used.peak, cpu: used.cpu, io: used.io, seconds: ran });
        if wall > 0.0 && member.still < STILL * wall {
            let beside = (self.integral - member.integral_at_start) / wall;
            if (1.0 / VARIED..=VARIED).contains(&(beside / member.beside_at_start)) {
                self.knees.completed(beside, ran, log_size(input), kind);
            }
        }
        let (progress, all) = (&self.progress, (used.io, used.cpu));
        let life = member.life.points().map(|(io, cpu, rss)| (progress.share_of((io, cpu), all), rss));
        if member.life.tells() {
            self.growth.completed(life, used.peak.max(1.0));
        }
        // What comes next is judged by this result, too.
        if self.records.len() < FEW_RESULTS && self.fleet.len() <= FEW_RUNNING {
            self.renew();
        }
    }

    fn learn(&mut self, one: Completed) {
        self.learned += 1;
        self.cpu.completed(one.cpu, one.seconds);
        self.learn_result(one);
        self.stale = true;
    }

    /// What a task is expected to need.
    pub(super) fn need(&self, candidate: Candidate) -> Need {
        let raised = self.raised.get(&candidate.task).copied().unwrap_or(1.0);
        let need = self.need_of_size(candidate).unwrap_or_else(|| {
            let likely = |member: &Member| member.rss() * smaller(candidate.input, member.candidate.input);
            let largest = self.fleet.values().map(likely).fold(0.0, f64::max);
            let age = self.fleet.values().next().map_or(0.0, |oldest| self.now.unwrap_or(0.0) - oldest.since);
            let share = UNKNOWN_SHARE / (1.0 + age / UNKNOWN_AGE);
            let mean = (UNKNOWN_MULTIPLE * largest)
                .max(share * self.machine.memory_total)
                .max(self.sizes.likely(candidate.input));
            Need { mean, own: 0.5 * mean, common: 0.0 }
        });
        let floor = self.floors.get(&candidate.task).copied().unwrap_or(0.0);
        Need { mean: (raised * need.mean).max(floor), own: raised * need.own, common: raised * need.common }
    }

    /// The process of an attempt that was started runs since now, on an input of this size.
    pub fn began(&mut self, now: Timestamp, attempt: AttemptId, input: u64) {
        let now = self.advance(now);
        let integral = self.integral;
        if let Some(member) = self.fleet.get_mut(&attempt) {
            member.since = now;
            member.integral_at_start = integral;
            if member.candidate.input != Some(input) {
                member.candidate.input = Some(input);
                self.stale = true;
            }
        }
    }

    /// Why an attempt stands still, if it does.
    #[must_use]
    pub fn frozen_for(&self, attempt: AttemptId) -> Option<FrozenFor> {
        self.fleet.get(&attempt)?.frozen
    }

    /// Lets an attempt that is being stopped go on, so that it hears the signal.
    pub fn thawed(&mut self, now: Timestamp, attempt: AttemptId) {
        self.advance(now);
        if let Some(member) = self.fleet.get_mut(&attempt)
            && member.frozen.take().is_some()
        {
            self.active += 1;
        }
    }

    /// What one process needs as far as is known now: cores that it keeps busy, and its expected peak memory, bytes.
    #[must_use]
    pub fn each(&self) -> Option<(f64, f64)> {
        let cores = self.cpu.each()?;
        let largest = self.fleet.values().map(Member::rss).fold(0.0, f64::max);
        let peak = self.sizes.need(None).map_or(largest, |need| need.mean);
        Some((cores, peak))
    }

    /// Whether the throughput limit grows step by step, rather than holding at what helps.
    #[must_use]
    pub fn is_ramping(&self) -> bool {
        self.limit.is_ramping()
    }

    /// Median run time of late, s.
    #[must_use]
    pub fn median_wall(&self) -> Option<f64> {
        self.knees.median_wall()
    }

    /// Whether enough results are known to judge what memory a task needs.
    #[must_use]
    pub fn knows_memory(&self) -> bool {
        self.sizes.need(None).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::smaller;

    #[test]
    fn before_results_a_smaller_input_counts_less_and_empty_ones_are_alike() {
        assert_eq!(
            (smaller(Some(0), Some(0)), smaller(Some(5), Some(5)), smaller(None, Some(9))),
            (1.0, 1.0, 1.0)
        );
        assert!(smaller(Some(1), Some(1_000)) > 0.6, "bytes tell little");
        assert!((0.2..0.3).contains(&smaller(Some(1_000_000), Some(10_000_000))));
        assert_eq!(smaller(Some(10_000_000), Some(1_000_000)), 1.0);
    }
}
