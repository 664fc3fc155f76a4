//! The control law at work: what it hears of attempts, and what it does to them.

use super::attempt::{Phase, StopCause};
use super::{Command, ExitStatus, Fact, Policy, Scheduler, TerminationReason};
use crate::capacity::bottleneck::Moment;
use crate::capacity::control::{
    AttemptReading, Candidate, Control, ControlRules, Ending, Hold, Intervention, MachineReading, Used,
    arrange,
};
use crate::metrics::{ProcessSample, SystemSample, Usage};
use crate::{AttemptId, Bytes, TaskId, Timestamp};

/// More inputs than this stay in order of discovery.
const ARRANGED: usize = 100_000;

/// The law's rules under a policy, within the user's limits.
pub(super) fn law_of(policy: &Policy) -> Option<ControlRules> {
    let limits = policy.limits;
    policy.law.filter(|_| !limits.fixed).map(|law| ControlRules { min: limits.min, max: limits.max, ..law })
}

impl Scheduler {
    /// The task as the law sees it. One whose size nobody knows is taken to be larger than most, until its launch tells.
    pub(super) fn candidate(&self, task: TaskId) -> Candidate {
        let input = self.known_size(task).or_else(|| self.outlook.model.cautious_size());
        Candidate { task, input, kind: self.tasks.kind(task) }
    }

    /// Whether what waits is in the law's order.
    pub(super) fn is_arranged(&self) -> bool {
        self.control.is_some() && self.scan_report().is_some() && self.tasks.len() <= ARRANGED
    }

    /// The scan is over: new inputs of known size run in an order that calibrates early and leaves no lone long one for
    /// the end.
    pub(super) fn arrange_queue(&mut self) {
        if self.control.is_none() || self.tasks.len() > ARRANGED {
            return;
        }
        let sized: Vec<(TaskId, u64)> = self
            .queue
            .untouched(&self.tasks)
            .filter_map(|task| Some((task, self.known_size(task)?)))
            .collect();
        let sizes: Vec<u64> = sized.iter().map(|(_, size)| *size).collect();
        // splitmix64 (Steele et al. 2014), from a fixed seed: the same inputs, the same order.
        let mut state = sizes.len() as u64;
        let order = arrange(&sizes, |end| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z >> 33) as usize % end.max(1)
        });
        self.queue.arrange(order.into_iter().map(|at| sized[at].0).collect());
    }

    /// The next task that may start now by the law, taken out of the queue.
    pub(super) fn next_task(&mut self, now: Timestamp) -> Option<TaskId> {
        let Some(control) = &self.control else { return self.queue.pop(&self.tasks, now) };
        let next = self.queue.peek(&self.tasks, now)?;
        match control.may_start(self.candidate(next)) {
            Ok(()) => {
                self.head.starts();
                self.queue.pop(&self.tasks, now)
            }
            Err(Hold::Memory { .. } | Hold::Frozen { .. }) => self.smaller_one(next, now),
            Err(_) => None,
        }
    }

    /// One that may overtake the next, which does not fit.
    fn smaller_one(&mut self, next: TaskId, now: Timestamp) -> Option<TaskId> {
        let waited = self.head.waits(next, now);
        let waiting = self.queue.ahead(&self.tasks).map(|task| (task, self.candidate(task)));
        let task = self.control.as_ref()?.overtaking(self.candidate(next), waited, waiting)?;
        if task == next {
            self.head.starts();
        }
        self.queue.take(task);
        Some(task)
    }

    /// Whether an attempt runs on memory that others do not need yet: the next reading is wanted soon, whenever it was due before.
    #[must_use]
    pub fn is_risking(&self) -> bool {
        self.control.as_ref().is_some_and(Control::is_risking)
    }

    /// Whether the law lets anything start now.
    pub(super) fn law_has_room(&self) -> bool {
        self.control.as_ref().is_none_or(|control| control.may_start_any().is_ok())
    }

    /// Whether the law lets this task start now.
    pub(super) fn law_allows(&self, task: TaskId) -> bool {
        self.control.as_ref().is_none_or(|control| control.may_start(self.candidate(task)).is_ok())
    }

    pub(super) fn law_plans(&mut self, id: AttemptId, task: TaskId, now: Timestamp) {
        let candidate = self.candidate(task);
        if let Some(control) = &mut self.control {
            control.started(now, id, candidate);
        }
    }

    /// The attempt never ran.
    pub(super) fn law_forgets(&mut self, id: AttemptId, now: Timestamp) {
        if let Some(control) = &mut self.control {
            control.ended(now, id, Ending::Other, Used::default());
        }
    }

    pub(super) fn law_hears_exit(
        &mut self,
        id: AttemptId,
        stopped: bool,
        status: ExitStatus,
        oom: bool,
        usage: &Usage,
        now: Timestamp,
    ) {
        let Some(control) = &mut self.control else { return };
        let ending = match status {
            _ if oom && !stopped => Ending::OutOfMemory,
            ExitStatus::Code(0) if !stopped => Ending::Completed,
            _ => Ending::Other,
        };
        let io = (usage.read_bytes.0 + usage.write_bytes.0) as f64;
        let used = Used { peak: usage.peak_rss.0 as f64, cpu: usage.cpu().as_secs_f64(), io };
        control.ended(now, id, ending, used);
    }

    /// The law looks at a sample and does what it finds necessary.
    pub(super) fn law_looks(&mut self, system: &SystemSample, processes: &[ProcessSample], now: Timestamp) {
        let Some(control) = &mut self.control else { return };
        if system.cpu_cores <= 0.0 || system.memory_total.0 == 0 {
            return;
        }
        let machine = MachineReading {
            cores: system.cpu_cores,
            cores_busy: system.cpu_percent / 100.0 * system.cpu_cores,
            memory_total: system.memory_total.0 as f64,
            memory_used: system.memory_used.0 as f64,
            disk_fill: system.disk_percent / 100.0,
        };
        let readings: Vec<AttemptReading> = processes
            .iter()
            .map(|sample| AttemptReading {
                attempt: sample.attempt,
                cpu: sample.cpu_time.as_secs_f64(),
                io: (sample.read_bytes.0 + sample.write_bytes.0) as f64,
                rss: sample.rss.0 as f64,
            })
            .collect();
        for intervention in control.sampled(now, machine, &readings) {
            match intervention {
                Intervention::Freeze(id) => self.freeze(id, now),
                Intervention::Thaw(id) => self.thaw(id, now),
                Intervention::Evict(id) => {
                    let used = readings.iter().find(|one| one.attempt == id).map_or(0.0, |one| one.rss);
                    self.evict(id, Bytes(used as u64), now);
                }
            }
        }
    }

    /// What binds until the next sample.
    pub(super) fn note_bottleneck(&mut self, processes: &[ProcessSample], now: Timestamp) {
        let moved: u64 = processes.iter().map(|sample| sample.read_bytes.0 + sample.write_bytes.0).sum();
        let lived: f64 = processes
            .iter()
            .filter_map(|sample| Some(now.since(self.live.get(&sample.attempt)?.since).as_secs_f64()))
            .sum();
        let moment = Moment {
            running: self.holding,
            waits: self.scan_report().is_none() || self.queue.peek(&self.tasks, now).is_some(),
            ramping: self.control.as_ref().is_some_and(Control::is_ramping),
            cores_each: self.own_cpu_cores / f64::from(self.holding.max(1)),
            moved_each: moved as f64 / lived.max(1.0),
        };
        let decision = self.capacity();
        self.bottleneck.note(now, &decision, &moment);
    }

    fn freeze(&mut self, id: AttemptId, now: Timestamp) {
        let Some(control) = &mut self.control else { return };
        let why = control.frozen_for(id);
        let runs = |attempt: &&mut super::attempt::Attempt| {
            matches!(attempt.phase, Phase::Running) && attempt.stop.is_none() && attempt.frozen.is_none()
        };
        let (Some(attempt), Some(why)) = (self.live.get_mut(&id).filter(runs), why) else {
            // It does not run yet, or is being stopped already.
            return control.thawed(now, id);
        };
        attempt.frozen = Some(now);
        let task = attempt.task;
        self.record(Fact::AttemptFrozen { attempt: id, task, why, at: now });
        self.commands.push(Command::Freeze { attempt: id });
        self.set_timer(id);
    }

    /// Lets an attempt go on; the time that it stood still counts against no limit.
    pub(super) fn thaw(&mut self, id: AttemptId, now: Timestamp) {
        if let Some(control) = &mut self.control {
            control.thawed(now, id);
        }
        let Some(attempt) = self.live.get_mut(&id) else { return };
        let Some(from) = attempt.frozen.take() else { return };
        let still = now.since(from);
        attempt.still += still;
        attempt.since = attempt.since + still;
        attempt.progress = None;
        let task = attempt.task;
        self.record(Fact::AttemptThawed { attempt: id, task, at: now });
        self.commands.push(Command::Thaw { attempt: id });
        self.set_timer(id);
    }

    fn thaw_all(&mut self, now: Timestamp) {
        let frozen: Vec<_> =
            self.live.iter().filter(|(_, one)| one.frozen.is_some()).map(|(id, _)| *id).collect();
        frozen.into_iter().for_each(|id| self.thaw(id, now));
    }

    /// Ends an attempt because memory runs out; its task comes again, with a larger reservation.
    fn evict(&mut self, id: AttemptId, used: Bytes, now: Timestamp) {
        if let Some(task) = self.live.get(&id).map(|attempt| attempt.task) {
            self.raise_reservation(id, task, used, true, now);
        }
        let Some(control) = &self.control else { return };
        let allowed = control.allowed();
        let used = self.system.memory_used;
        let bound = Hold::MemoryInUse { used, of: allowed.memory }.to_string();
        self.stop_attempt(id, StopCause::Terminate(TerminationReason::Resources { bound }), now);
    }

    /// The policy has changed: the law gets new rules, takes over or retires.
    pub(super) fn law_changes(&mut self, now: Timestamp) {
        match (law_of(&self.policy), &mut self.control) {
            (Some(rules), Some(control)) => {
                control.set_rules(rules);
                if !rules.freeze {
                    self.thaw_all(now);
                }
            }
            (Some(rules), None) => {
                self.control = Some(Control::new(rules));
                self.answers.cover(self.policy.covered.clone());
                let held: Vec<_> = self
                    .live
                    .iter()
                    .filter(|(_, attempt)| attempt.holds_process())
                    .map(|(id, attempt)| (*id, attempt.task))
                    .collect();
                self.keep_reservations();
                held.into_iter().for_each(|(id, task)| self.law_plans(id, task, now));
            }
            (None, Some(_)) => {
                self.thaw_all(now);
                self.control = None;
                self.answers.cover(Vec::new());
            }
            (None, None) => {}
        }
        if let Some(control) = &mut self.control {
            control.set_plugins(self.answers.bound());
        }
    }
}
