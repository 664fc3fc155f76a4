//! Admissions: only within capacity, only what waits, the lowest free slot, never a task twice.

use std::time::Duration;

use orchestrator_core::placement::CpuSet;
use orchestrator_core::scheduler::{Command, Fact, InputPath, Step};
use orchestrator_core::{AttemptId, SlotId, TaskId, Timestamp};

use super::shadow::{Phase, Shadow};
use super::{Ceiling, Check, Mode, Oracle, Refusal, ensure};

/// An admission as recorded.
struct Planned {
    attempt: AttemptId,
    task: TaskId,
    number: u32,
    slot: SlotId,
    calibrating: bool,
}

impl Oracle {
    pub(super) fn check_admission(&mut self, now: Timestamp, facts: &[Fact], step: &Step) -> Check {
        let mut launches = step.commands.iter().filter_map(|command| match command {
            Command::Launch { attempt, task, number, slot, path, cpus } => {
                Some(((attempt, task, number, slot, path), cpus))
            }
            _ => None,
        });
        let most = self.capacity.limits.max.unwrap_or(u32::MAX);
        if let Some(ceiling) = &mut self.ceiling {
            ceiling.lift(now, most);
        }
        self.ceiling = self.ceiling.filter(|ceiling| ceiling.limit < most);
        let mut tried = 0;
        for fact in facts {
            match fact {
                Fact::TaskNamed { task, path } => {
                    let fresh = self.fresh.remove(task);
                    ensure!(fresh.as_ref() == Some(path), "task {task} was named {path}, found as {fresh:?}");
                }
                Fact::AttemptPlanned { attempt, task, number, slot, calibrating, .. } => {
                    let (attempt, task, number, slot) = (*attempt, *task, *number, *slot);
                    let planned = Planned { attempt, task, number, slot, calibrating: *calibrating };
                    self.admit(now, &planned)?;
                    let path = self.ledger.rows.get(&task).map(|row| &row.path);
                    let (launch, cpus) = launches.next().unzip();
                    let wanted: Option<(_, _, _, _, &InputPath)> = path
                        .map(|path| (&planned.attempt, &planned.task, &planned.number, &planned.slot, path));
                    ensure!(launch == wanted, "planned {wanted:?}, launched {launch:?}");
                    self.check_place(attempt, cpus.and_then(Option::as_ref))?;
                    tried += 1;
                }
                fact => return Err(format!("{fact:?} after admissions")),
            }
            self.ledger.apply(fact)?;
        }
        let launch = launches.next();
        ensure!(launch.is_none(), "launched without a record: {launch:?}");
        if let Some(Ceiling { limit, .. }) = self.ceiling.filter(|_| tried > 0) {
            let holding = self.holding();
            ensure!(holding <= limit, "{holding} run although the machine bore {limit}");
            self.tally.count("admitted below the ceiling after a refusal");
        }
        if let Some(refusal) = self.refused.filter(|refusal| tried > 0 && !refusal.over) {
            ensure!(tried == 1, "{tried} launches although the machine refuses");
            let (waited, delay) = (now.since(refusal.last), refusal.delay);
            ensure!(waited >= delay, "the machine was tried again after {waited:?}, not {delay:?}");
            self.refused = Some(Refusal { last: now, ..refusal });
            self.tally.count("machine tried again after a refusal");
        }
        Ok(())
    }

    fn admit(&mut self, now: Timestamp, planned: &Planned) -> Check {
        let Planned { attempt, task, slot, calibrating, .. } = *planned;
        ensure!(self.mode == Mode::Working, "attempt {attempt} was admitted while {:?}", self.mode);
        ensure!(!self.finished, "attempt {attempt} was admitted after the end");
        let (holding, upper) = (self.holding(), self.capacity.upper());
        ensure!(holding < upper, "attempt {attempt} was admitted with {holding} holding a slot of {upper}");
        let (unpublished, most) = (self.unpublished(), self.policy.max_unpublished);
        ensure!(
            unpublished < most,
            "attempt {attempt} was admitted with {unpublished} of {most} unpublished"
        );
        let due = self.due(task).is_none_or(|at| at <= now);
        self.hurried.remove(&task);
        ensure!(due, "task {task} was tried again before its moment");
        let known = self.seen.contains(&task) || self.touched.contains(&task);
        ensure!(known, "task {task} was admitted before its input was found");
        self.check_measuring(planned)?;
        let taken: Vec<_> = self.live.values().filter_map(|shadow| shadow.slot).collect();
        let lowest = (1..).map(SlotId).find(|slot| !taken.contains(slot));
        ensure!(Some(slot) == lowest, "attempt {attempt} got slot {slot}, the lowest free one is {lowest:?}");
        self.tally.count(if calibrating { "launch: calibrating" } else { "launch" });
        let shadow = Shadow {
            task,
            slot: Some(slot),
            cpus: CpuSet::default(),
            phase: Phase::Launching,
            since: now,
            began: now,
            frozen: None,
            still: Duration::ZERO,
            stop: None,
            warned: false,
            progress: None,
            wall: None,
        };
        self.live.insert(attempt, shadow);
        Ok(())
    }

    /// While calibration is wanted, one measured attempt at a time is started and nothing else; where the law decides, as
    /// many as are still to be measured, and others after them.
    fn check_measuring(&mut self, planned: &Planned) -> Check {
        let attempt = planned.attempt;
        let open = self.calibration.is_open() && (!self.capacity.limits.fixed || self.policy.calibrate_only);
        let others = self.calibration.measuring.len() as u32;
        let missing = self.calibration.tried + others < self.calibration.plan.inputs;
        let wanted = open && (self.measures_alone() || missing);
        ensure!(planned.calibrating == wanted, "attempt {attempt} calibrating: {}", planned.calibrating);
        if self.measures_alone() {
            ensure!(others == 0, "attempt {attempt} was admitted while another is measured");
        }
        if wanted {
            self.calibration.measuring.insert(attempt);
        }
        Ok(())
    }
}
