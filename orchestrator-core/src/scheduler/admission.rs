//! Admission: while fewer attempts hold a slot than capacity allows, the next task gets one.

use super::attempt::Attempt;
use super::{Command, Fact, Scheduler, TaskState};
use crate::capacity::control::Hold;
use crate::capacity::{Bound, CapacityDecision};
use crate::placement::Needs;
use crate::plan::order::spread_quantile;
use crate::{AttemptId, TaskId, Timestamp};

impl Scheduler {
    /// The capacity in force: that of the law, narrowed while calibration measures or spawning is backed off.
    #[must_use]
    pub fn capacity(&self) -> CapacityDecision {
        let mut decision = self.by_law(self.answers.decide());
        let mut narrow = |target: u32, bound: Bound| {
            if target < decision.target {
                decision.target = target;
                decision.bound = bound;
                decision.reason = String::new();
            }
        };
        if self.measures_alone() {
            narrow(self.holding + self.calibration_room(), Bound::Calibration);
        }
        if let Some(ceiling) = self.spawn_ceiling {
            narrow(ceiling.limit, Bound::SpawnBackoff);
        }
        if self.spawn_backoff.is_some() {
            narrow(self.holding, Bound::SpawnBackoff);
        }
        decision
    }

    /// The plugins' decision, narrowed by the control law where that decides.
    fn by_law(&self, mut decision: CapacityDecision) -> CapacityDecision {
        let Some(control) = &self.control else { return decision };
        let next = self.queue.peek(&self.tasks, self.now).map(|task| self.candidate(task));
        let found = control.decision(next);
        decision.allowed = Some(found.allowed);
        let least = self.answers.limits().min.max(1);
        let target = match &found.hold {
            None => found.target.max(least),
            Some(_) => self.holding.max(least),
        };
        if target < decision.target || found.hold.is_some() && target == decision.target {
            decision.target = target;
            if let Some(hold) = found.hold {
                let plugin = match &hold {
                    Hold::Plugin { instance, .. } => {
                        decision.plugins.iter().find(|bound| bound.instance == *instance)
                    }
                    _ => None,
                };
                decision.reason = plugin.map(|bound| bound.reason.clone()).unwrap_or_default();
                decision.bound = Bound::Law(hold);
            }
        }
        decision
    }

    fn wants_calibration(&self) -> bool {
        self.calibration.is_open() && (!self.answers.limits().fixed || self.policy.calibrate_only)
    }

    /// Whether one measured instance runs at a time and nothing else. Where the control law decides, calibration is
    /// ordinary work among other work.
    fn measures_alone(&self) -> bool {
        self.wants_calibration() && (self.control.is_none() || self.policy.calibrate_only)
    }

    fn measures_next(&self) -> bool {
        if self.measures_alone() {
            return !self.calibration.is_measuring();
        }
        self.wants_calibration() && self.calibration.wants_more()
    }

    /// Gives slots to tasks as far as capacity goes.
    pub(super) fn admit(&mut self, now: Timestamp) {
        if self.spawn_backoff.is_some_and(|backoff| backoff.until <= now) {
            // One try: success clears the back-off, another refusal doubles it; with nothing to try it is over.
            let nothing = self.has_room(self.unhindered_target()) && !self.admit_one(now);
            if nothing && self.queue.peek(&self.tasks, now).is_none() {
                self.spawn_backoff = None;
            }
            if let Some(backoff) = &mut self.spawn_backoff {
                backoff.tried(now);
            }
            return;
        }
        while self.spawn_backoff.is_none() && self.has_room(self.unhindered_target()) && self.admit_one(now) {
        }
    }

    fn has_room(&self, target: u32) -> bool {
        self.mode.admits() && self.unpublished < self.policy.max_unpublished && self.holding < target
    }

    /// The target alone but for a spawn back-off, without building the sentence around it: admission asks for it for
    /// every task.
    fn unhindered_target(&self) -> u32 {
        let target = self.spawn_ceiling.map_or(u32::MAX, |it| it.limit).min(self.answers.target());
        if self.measures_alone() { target.min(self.holding + self.calibration_room()) } else { target }
    }

    /// One more while nothing is measured: one measuring instance at a time.
    fn calibration_room(&self) -> u32 {
        u32::from(!self.calibration.is_measuring())
    }

    fn admit_one(&mut self, now: Timestamp) -> bool {
        if !self.law_has_room() {
            return false;
        }
        let calibrating = self.measures_next();
        // The law's own order begins with inputs that tell most (`arrange`): what comes next is what is measured.
        let chosen = calibrating && (self.measures_alone() || !self.is_arranged());
        let mut candidate = if chosen { self.calibration_input() } else { None };
        if let Some(sized) = candidate.take_if(|(_, task)| !self.law_allows(*task)) {
            self.sizes.push(sized);
        }
        let task = candidate.map(|(_, task)| task).or_else(|| self.next_task(now));
        let Some(task) = task else { return false };
        self.plan_attempt(task, calibrating, now);
        true
    }

    /// The new task whose size lies nearest the next quantile, among those whose size is known.
    fn calibration_input(&mut self) -> Option<(u64, TaskId)> {
        let (queue, tasks) = (&self.queue, &self.tasks);
        self.sizes.retain(|(_, task)| queue.is_new(tasks, *task));
        if self.sizes.is_empty() {
            return None;
        }
        self.sizes.sort_unstable();
        let measured = self.calibration.begun();
        let at = (spread_quantile(measured) * (self.sizes.len() - 1) as f64).round() as usize;
        Some(self.sizes.remove(at.min(self.sizes.len() - 1)))
    }

    fn plan_attempt(&mut self, task: TaskId, calibrating: bool, now: Timestamp) {
        let path = self.tasks.path(task);
        debug_assert_eq!(self.tasks.state(task), TaskState::Pending);
        let number = match self.tasks.detail(task) {
            Some(detail) => detail.attempts + 1,
            None => {
                self.record(Fact::TaskNamed { task, path: path.clone() });
                1
            }
        };
        let attempt = AttemptId(self.next_attempt);
        self.next_attempt += 1;
        let promise = self.promise(task);
        let slot = self.slots.take();
        self.holding += 1;
        if calibrating {
            self.calibration.begin(attempt, now);
        }
        self.record(Fact::AttemptPlanned { attempt, task, number, slot, calibrating, at: now });
        self.live.insert(attempt, Attempt { promise, ..Attempt::new(task, slot, calibrating, now) });
        self.law_plans(attempt, task, now);
        let place = self.placer.place(attempt, || Needs::promised(promise.as_ref()));
        let cpus = place.map(|place| place.cpus.clone());
        self.commands.push(Command::Launch { attempt, task, number, slot, path, cpus });
    }
}
