//! The control law on the simulated machine: the very code that runs live.

use super::chance::Chance;
use super::run::{Actions, Ended, Governor, View};
use super::work::Work;
use crate::capacity::control::{
    AttemptReading, Candidate, Control, ControlRules, Ending, Head, Intervention, MachineReading, Used,
    arrange,
};
use crate::predict::Kind;
use crate::{AttemptId, TaskId, Timestamp};

const GIGABYTE: f64 = 1e9;
const MEGABYTE: f64 = 1e6;

/// Lets the control law decide.
#[derive(Clone, Debug)]
pub struct Lawful {
    control: Control,
    attempts: Vec<Option<AttemptId>>,
    next: u64,
    /// The next task that does not fit, and since when.
    head: Head,
    kinds: Vec<Option<Kind>>,
}

impl Lawful {
    /// The law with these rules.
    #[must_use]
    pub fn new(rules: ControlRules) -> Self {
        Self {
            control: Control::new(rules),
            attempts: Vec::new(),
            next: 1,
            head: Head::default(),
            kinds: Vec::new(),
        }
    }

    /// The law, to be looked at.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The same, told what sort of file each task's input is.
    #[must_use]
    pub fn with_kinds(self, kinds: Vec<Option<Kind>>) -> Self {
        Self { kinds, ..self }
    }

    fn candidate(&self, view: &View<'_>, task: usize) -> Candidate {
        let input = view.work.tasks[task].input;
        let input = (input > 0.0).then_some((input * MEGABYTE) as u64);
        let kind = self.kinds.get(task).copied().flatten();
        Candidate { task: TaskId(task as u32), input, kind }
    }

    fn attempt(&self, task: usize) -> Option<AttemptId> {
        self.attempts.get(task).copied().flatten()
    }

    fn end(&mut self, now: f64, ended: &Ended, ending: Ending) {
        let Ended { task, peak, cpu, io, .. } = *ended;
        let used = Used { peak: peak * GIGABYTE, cpu, io: io * MEGABYTE };
        if let Some(attempt) = self.attempts.get_mut(task).and_then(Option::take) {
            self.control.ended(at(now), attempt, ending, used);
        }
    }
}

/// The order in which the law would run this work.
#[must_use]
pub fn lawful_order(work: &Work, seed: u64) -> Vec<usize> {
    let mut chance = Chance::new(seed);
    let sizes: Vec<u64> = work.tasks.iter().map(|task| (task.input * MEGABYTE) as u64).collect();
    arrange(&sizes, |end| chance.below(end))
}

fn at(now: f64) -> Timestamp {
    Timestamp(1_000_000 + (now * 1e6).round() as u64)
}

impl Governor for Lawful {
    fn tick(&mut self, view: &View<'_>) -> Actions {
        let machine = MachineReading {
            cores: view.machine.cores,
            cores_busy: view.cores_used,
            memory_total: view.machine.memory * GIGABYTE,
            memory_used: view.used * GIGABYTE,
            disk_fill: 0.0,
        };
        let readings: Vec<AttemptReading> = view
            .running
            .iter()
            .filter_map(|one| {
                Some(AttemptReading {
                    attempt: self.attempt(one.task)?,
                    cpu: one.cpu,
                    io: one.io * MEGABYTE,
                    rss: one.rss * GIGABYTE,
                })
            })
            .collect();
        let mut actions = Actions::default();
        for intervention in self.control.sampled(at(view.now), machine, &readings) {
            let (Intervention::Freeze(attempt) | Intervention::Thaw(attempt) | Intervention::Evict(attempt)) =
                intervention;
            let Some(task) = self.attempts.iter().position(|one| *one == Some(attempt)) else { continue };
            match intervention {
                Intervention::Freeze(_) => {
                    actions.thaw.retain(|one| *one != task);
                    actions.freeze.push(task);
                }
                Intervention::Thaw(_) => {
                    actions.freeze.retain(|one| *one != task);
                    actions.thaw.push(task);
                }
                Intervention::Evict(_) => {
                    self.attempts[task] = None;
                    actions.evict.push(task);
                }
            }
        }
        actions
    }

    fn wants_tick_soon(&self, _: &View<'_>) -> bool {
        self.control.wants_reading_soon()
    }

    fn pick(&mut self, view: &View<'_>) -> Option<usize> {
        self.control.may_start_any().ok()?;
        let last = view.queue.len() - 1;
        let next = self.candidate(view, view.queue[last]);
        if self.control.may_start(next).is_ok() {
            self.head.starts();
            return Some(last);
        }
        let waited = self.head.waits(next.task, at(view.now));
        let waiting = (0..=last).rev().map(|place| (place, self.candidate(view, view.queue[place])));
        self.control.overtaking(next, waited, waiting)
    }

    fn started(&mut self, view: &View<'_>, task: usize) {
        self.attempts.resize(view.work.tasks.len().max(self.attempts.len()), None);
        let attempt = AttemptId(self.next);
        self.next += 1;
        self.attempts[task] = Some(attempt);
        let candidate = self.candidate(view, task);
        self.control.started(at(view.now), attempt, candidate);
    }

    fn ended(&mut self, view: &View<'_>, ended: &Ended) {
        self.end(view.now, ended, Ending::Completed);
    }

    fn out_of_memory(&mut self, view: &View<'_>, killed: &Ended) {
        self.end(view.now, killed, Ending::OutOfMemory);
    }
}
