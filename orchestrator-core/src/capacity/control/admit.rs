//! The law answers: whether a task may start, and how many may run.

use super::decision::{Allowed, ControlDecision, Hold};
use super::forecast::{Caution, Course};
use super::law::Control;
use super::reading::Candidate;
use super::surplus::FREEZE_ABOVE;
use crate::Bytes;

/// Before the size law says anything all together may reserve this share of what is allowed.
const UNKNOWN_LIMIT: f64 = 0.5;
/// Before that no more run than these, or one for each so many seconds that the oldest has run: what grows late shows
/// late.
const UNKNOWN_RUNNING: f64 = 8.0;
const UNKNOWN_SECONDS: f64 = 2.0;
/// Seconds that a run without results is looked at more often.
const YOUNG: f64 = 5.0;
/// Seconds between two readings where nothing wants them sooner.
const USUAL_READING: f64 = 1.0;

impl Control {
    /// Whether this task may start now. With nothing running, and below the user's minimum, one always may.
    ///
    /// # Errors
    /// The bound that forbids it.
    pub fn may_start(&self, candidate: Candidate) -> Result<(), Hold> {
        if self.is_free() {
            return Ok(());
        }
        self.may_start_any()?;
        self.fits(candidate)
    }

    /// Whether any task may start now, however little memory it needs.
    ///
    /// # Errors
    /// The bound that forbids it: of those that are numbers the smallest.
    pub fn may_start_any(&self) -> Result<(), Hold> {
        if self.is_free() {
            return Ok(());
        }
        let running = self.fleet.len();
        if running >= self.smallest() as usize {
            return Err(self.smallest_hold());
        }
        if self.machine.disk_fill > self.rules.disk_threshold {
            return Err(Hold::Disk);
        }
        // One that stands still for those before it is like one that waits to start.
        let still = running - self.active - usize::from(self.preemptible_stands());
        if still > 0 {
            return Err(Hold::Frozen { frozen: still as u32 });
        }
        if self.machine.memory_used > self.allowed_memory() {
            let (used, of) = (bytes(self.machine.memory_used), bytes(self.allowed_memory()));
            return Err(Hold::MemoryInUse { used, of });
        }
        if running >= self.pace {
            return Err(Hold::Pace);
        }
        Ok(())
    }

    pub(super) fn is_free(&self) -> bool {
        let running = self.fleet.len();
        let max = self.rules.max.unwrap_or(u32::MAX).max(1) as usize;
        running == 0 || running < (self.rules.min as usize).min(max)
    }

    /// The bounds that are numbers; of equal ones the first says why.
    fn numbers(&self) -> [Option<u32>; 4] {
        [
            self.rules.max,
            self.plugins.as_ref().map(|(allows, _)| *allows),
            self.cpu.bound(self.machine.cores, self.rules.cpu_threshold),
            Some(self.limit.limit() as u32),
        ]
    }

    fn smallest(&self) -> u32 {
        self.numbers().into_iter().flatten().min().unwrap_or(u32::MAX)
    }

    /// The smallest of the bounds that are numbers, with its reason.
    fn smallest_hold(&self) -> Hold {
        let allows = self.smallest();
        let at = self.numbers().iter().position(|number| *number == Some(allows));
        match (at, &self.plugins) {
            (Some(0), _) => Hold::Max { max: allows },
            (Some(1), Some((_, instance))) => Hold::Plugin { instance: instance.clone(), allows },
            (Some(2), _) => Hold::Cpu { allows },
            _ => Hold::Throughput { allows, why: self.limit.words().to_owned() },
        }
    }

    /// Whether this task's memory fits beside what is reserved.
    fn fits(&self, candidate: Candidate) -> Result<(), Hold> {
        let need = self.need(candidate);
        let allowed = self.allowed_memory();
        let knows = self.knows_memory();
        let (reserved, of) = if knows {
            if self.fits_beside(&self.course_of(candidate)) {
                return self.survives(candidate, &need).and_then(|()| self.leaves_place(candidate));
            }
            (self.forecast.peak(self.caution()), self.start_below())
        } else {
            let oldest =
                self.fleet.values().next().map_or(0.0, |member| self.now.unwrap_or(0.0) - member.since);
            if self.fleet.len() as f64 >= UNKNOWN_RUNNING.max(oldest / UNKNOWN_SECONDS) {
                return Err(Hold::FirstResults);
            }
            let (reserved, of) = (self.unknown(candidate), UNKNOWN_LIMIT * allowed);
            if self.others + reserved + need.mean <= of {
                return Ok(());
            }
            (reserved, of)
        };
        Err(Hold::Memory { reserved: bytes(self.others + reserved), next: bytes(need.mean), of: bytes(of) })
    }

    /// Whether it leaves what is kept for one that runs on memory that others do not need yet.
    fn leaves_place(&self, candidate: Candidate) -> Result<(), Hold> {
        if self.kept.is_none_or(|kept| !self.delays(&kept, candidate)) {
            return Ok(());
        }
        if self.preemptible_stands() {
            return Err(Hold::Frozen { frozen: 1 });
        }
        let (reserved, of) = (self.others + self.forecast.peak(self.caution()), self.start_below());
        Err(Hold::Memory { reserved: bytes(reserved), next: bytes(self.need(candidate).mean), of: bytes(of) })
    }

    /// Whether the peak of this task, expected to go on like this, fits beside what is reserved.
    pub(super) fn fits_beside(&self, course: &Course) -> bool {
        let (caution, of) = (self.caution(), self.start_below() - self.others);
        self.forecast.at_most_with(course, caution) <= of
            || self.forecast.with(course, &self.growth, caution) <= of
    }

    /// What all that run are taken to need, bytes, before anything is known of it. What the oldest will need beyond what it uses by
    /// now it will need in any case: no reason against a smaller one that tells sooner, and gives way to it.
    fn unknown(&self, candidate: Candidate) -> f64 {
        let Some(oldest) = self.fleet.values().next() else { return 0.0 };
        let smaller = candidate.input.zip(oldest.candidate.input).is_some_and(|(one, oldest)| one < oldest);
        let all = self.forecast.plain();
        if smaller { all - (oldest.need.mean - oldest.rss()).max(0.0) } else { all }
    }

    pub(super) fn caution(&self) -> Caution {
        let factor = self.vigilance.factor();
        Caution { own: factor * self.rules.caution, common: factor * self.rules.common_caution }
    }

    /// With as much expected to be in use nothing more starts once tasks are known, bytes.
    pub(super) fn start_below(&self) -> f64 {
        FREEZE_ABOVE * self.allowed_memory()
    }

    pub(crate) fn allowed_memory(&self) -> f64 {
        self.rules.memory_threshold * self.machine.memory_total
    }

    /// How many may run, which bound says so for the task that comes next, and what the others would allow.
    #[must_use]
    pub fn decision(&self, next: Option<Candidate>) -> ControlDecision {
        let hold = match next {
            Some(candidate) => self.may_start(candidate),
            None => self.may_start_any(),
        };
        let hold = hold.err();
        let running = self.fleet.len() as u32;
        let smallest = self.smallest();
        let target = match &hold {
            None => smallest.max(running + 1),
            Some(Hold::Max { .. } | Hold::Plugin { .. } | Hold::Cpu { .. } | Hold::Throughput { .. }) => {
                smallest.max(self.rules.min).max(1)
            }
            Some(_) => self.active as u32,
        };
        ControlDecision { target, hold, allowed: self.allowed() }
    }

    /// What each bound allows by itself.
    #[must_use]
    pub fn allowed(&self) -> Allowed {
        Allowed {
            cpu: self.cpu.bound(self.machine.cores, self.rules.cpu_threshold),
            throughput: Some(self.limit.limit() as u32),
            max: self.rules.max,
            plugins: self.plugins.as_ref().map(|(allows, _)| *allows),
            reserved: bytes(self.others + self.forecast.peak(self.caution())),
            memory: bytes(self.allowed_memory()),
            soon: self.wants_reading_soon(),
        }
    }

    /// Whether a reading is worth having sooner than usual: only the pace or a limit that grows step by step holds the next
    /// one back, first results are about to tell what tasks need, one stands still or may have to, or at the rate of late memory would pass the point
    /// where the youngest is stopped before the usual reading.
    #[must_use]
    pub fn wants_reading_soon(&self) -> bool {
        let running = self.fleet.len();
        if running == 0 {
            return false;
        }
        let others = self.numbers()[..3].iter().flatten().min().copied().unwrap_or(u32::MAX);
        let grows = self.limit.is_ramping()
            && !self.limit.tries_fewer()
            && running < others as usize
            && running + 1 >= self.pace.min(self.limit.limit() as usize);
        let young = self.now.is_some_and(|now| self.fleet.values().all(|member| now - member.since < YOUNG));
        let risked = self.preemptible.is_some() || self.active < running;
        grows || !self.knows_memory() && young || risked || self.fills_quickly()
    }

    fn fills_quickly(&self) -> bool {
        self.machine.memory_used + self.filling * USUAL_READING > self.start_below()
    }
}

pub(super) fn bytes(value: f64) -> Bytes {
    Bytes(value.max(0.0) as u64)
}
