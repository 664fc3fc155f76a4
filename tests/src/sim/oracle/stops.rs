//! Stops: each with a cause, escalated in time, the surplus youngest first and never the oldest.

use orchestrator_core::scheduler::{Command, Event, Step, StopHow};
use orchestrator_core::{AttemptId, Timestamp};

use super::shadow::{Cause, Phase, Stopping};
use super::{Check, Mode, Oracle, ensure};

impl Oracle {
    /// Who is to be stopped as surplus while `holding` hold a slot.
    pub(super) fn surplus(&self, holding: u32) -> Vec<AttemptId> {
        let surplus = self.capacity.surplus(holding) as usize;
        if surplus == 0 || self.calibration.is_open() {
            return vec![];
        }
        let holders: Vec<_> = self.live.iter().filter(|(_, shadow)| shadow.holds_process()).collect();
        let already = holders.iter().filter(|(_, shadow)| shadow.stop.is_some()).count();
        let candidates = holders.iter().skip(1).rev().filter(|(_, shadow)| shadow.stop.is_none());
        candidates.take(surplus.saturating_sub(already)).map(|(id, _)| **id).collect()
    }

    /// Who is to be stopped because the sample shows no progress for too long.
    pub(super) fn stuck(&mut self, now: Timestamp, event: &Event) -> Vec<AttemptId> {
        let Event::Sampled { processes, .. } = event else { return vec![] };
        let limit = self.policy.timeouts.stuck;
        let mut stuck = Vec::new();
        for sample in processes {
            let Some(shadow) = self.live.get_mut(&sample.attempt).filter(|shadow| shadow.frozen.is_none())
            else {
                continue;
            };
            let io = sample.read_bytes.0 + sample.write_bytes.0 + sample.read_ops + sample.write_ops;
            let (cpu, before, since) = shadow.progress.unwrap_or((sample.cpu_time, io, now));
            let moved = cpu != sample.cpu_time || before != io;
            shadow.progress = Some((sample.cpu_time, io, if moved { now } else { since }));
            let over = limit.is_some_and(|limit| now.since(since) >= limit.get());
            if !moved && over && shadow.holds_process() && shadow.stop.is_none() {
                stuck.push(sample.attempt);
            }
        }
        stuck
    }

    /// Holds the step's stops against their causes.
    pub(super) fn check_stops(
        &mut self,
        now: Timestamp,
        step: &Step,
        surplus: &[AttemptId],
        stuck: &[AttemptId],
        looked: bool,
    ) -> Check {
        if let Mode::Draining(Some(deadline)) = self.mode
            && deadline <= now
        {
            self.mode = Mode::Stopping(if self.halted { Cause::Halted } else { Cause::Shutdown });
            self.tally.count("drain deadline reached");
        }
        if self.policy.calibrate_only && self.mode == Mode::Working && !self.calibration.is_open() {
            self.mode = Mode::Draining(None);
        }
        for (attempt, reason) in &self.given_up {
            let stops = matches!(self.mode, Mode::Stopping(cause) if cause.is(reason));
            ensure!(
                stops,
                "the check of attempt {attempt} was given up ({reason:?}) in mode {:?}",
                self.mode
            );
            self.tally.count("check given up: end of the run");
        }
        // The law evicts at samples alone, and never the oldest of those that hold a process.
        let evictions = looked && self.law_decides() && self.policy.law.is_some_and(|law| law.evict);
        for command in &step.commands {
            let Command::Stop { attempt, how } = command else { continue };
            match how {
                StopHow::Gracefully => self.check_stop(now, *attempt, surplus, stuck, evictions)?,
                StopHow::Kill => self.check_kill(now, *attempt)?,
            }
        }
        for id in surplus.iter().chain(stuck) {
            let stopped = self.live.get(id).is_some_and(|shadow| shadow.stop.is_some());
            ensure!(stopped, "attempt {id} is surplus or stuck, but goes on");
        }
        Ok(())
    }

    fn check_stop(
        &mut self,
        now: Timestamp,
        id: AttemptId,
        surplus: &[AttemptId],
        stuck: &[AttemptId],
        evictions: bool,
    ) -> Check {
        let oldest = self.live.iter().find(|(_, shadow)| shadow.holds_process()).map(|(id, _)| *id);
        let (timeout, mode, grace) = (self.policy.timeouts.attempt, self.mode, self.policy.grace);
        let Some(shadow) = self.live.get_mut(&id) else {
            return Err(format!("stop of attempt {id}, which is not live"));
        };
        ensure!(shadow.holds_process(), "stop of attempt {id}, which has no process any more");
        ensure!(shadow.stop.is_none(), "second stop of attempt {id}");
        ensure!(shadow.frozen.is_none(), "attempt {id} is stopped while it stands still");
        let mut causes = Vec::new();
        if shadow.phase == Phase::Running && self.walls.is_due(timeout, shadow.since, now) {
            causes.push(Cause::Timeout);
            self.tally.count("stopped: timeout");
        }
        if stuck.contains(&id) {
            causes.push(Cause::Stuck);
            self.tally.count("stopped: stuck");
        }
        if surplus.contains(&id) {
            causes.push(Cause::Resources);
            self.tally.count("stopped: surplus");
        }
        if let Mode::Stopping(cause) = mode {
            causes.push(cause);
            self.tally.count("stopped: end of the run");
        }
        if evictions && oldest != Some(id) {
            self.tally.count(if causes.is_empty() { "stopped: evicted" } else { "stopped: perhaps evicted" });
            causes.push(Cause::Resources);
        }
        ensure!(!causes.is_empty(), "attempt {id} was stopped without a cause");
        shadow.stop = Some(Stopping { causes, kill_at: now + grace, killed: false });
        Ok(())
    }

    fn check_kill(&mut self, now: Timestamp, id: AttemptId) -> Check {
        let Some(shadow) = self.live.get_mut(&id).filter(|shadow| shadow.holds_process()) else {
            return Err(format!("kill of attempt {id}, which has no process"));
        };
        let Some(stop) = &mut shadow.stop else {
            return Err(format!("attempt {id} was killed without being asked"));
        };
        ensure!(!stop.killed, "attempt {id} was killed twice");
        ensure!(now >= stop.kill_at, "attempt {id} was killed before its grace was over");
        stop.killed = true;
        self.tally.count("stopped: killed after the grace");
        Ok(())
    }
}
