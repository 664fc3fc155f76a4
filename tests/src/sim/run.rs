//! One life of the host: event → step → record → commit → commands, as the runtime's law says, until the end is told or a
//! crash cuts it off at any point between.

use std::collections::VecDeque;

use orchestrator_core::scheduler::{Command, Event, Fact, OutputRecord, Restored, RunFault, Scheduler};
use orchestrator_core::{AttemptId, TaskId, Timestamp};

use super::agenda::What;
use super::ledger::{Check, Ledger, ensure};
use super::oracle::{Oracle, Surroundings};
use super::world::World;

/// Turns of the loop after which a run must have ended: nothing that a universe holds takes so many.
const MOST_TURNS: u32 = 20_000;

/// How a life of the host ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Ending {
    Crashed,
    Finished(Option<RunFault>),
}

/// A step on its way to the store.
struct Pending {
    facts: Vec<Fact>,
    commands: Vec<Command>,
}

/// One life of the host.
pub(super) struct Run<'a> {
    world: &'a mut World,
    /// What is durable.
    ledger: &'a mut Ledger,
    scheduler: Scheduler,
    oracle: Oracle,
    pending: VecDeque<Pending>,
    commit_planned: bool,
    /// The timer that is set, and the last wish that was spoken (its command may still wait for a commit).
    timer: Option<u64>,
    wish: Option<u64>,
    trail: Option<&'a mut Vec<String>>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        world: &'a mut World,
        ledger: &'a mut Ledger,
        stale: Vec<TaskId>,
        trail: Option<&'a mut Vec<String>>,
    ) -> Self {
        let hostile = world.hostile;
        let policy = world.settings.policy(&mut world.chance, hostile);
        let retry_failed = world.settings.retry_failed && world.chance.coin();
        let baseline = ledger.baseline.is_some();
        let oracle = Oracle::new(policy.clone(), ledger.clone(), stale.clone(), retry_failed, baseline);
        let restored = Restored {
            tasks: ledger.restored().into_iter().collect(),
            stale,
            retry_failed,
            next_attempt: ledger.last_attempt + 1,
            baseline: ledger.baseline,
            learned: world.learned.clone(),
        };
        let scheduler = Scheduler::new(policy, restored);
        let (pending, commit_planned) = (VecDeque::new(), false);
        Self { world, ledger, scheduler, oracle, pending, commit_planned, timer: None, wish: None, trail }
    }

    /// Lives until the end is told or a crash.
    ///
    /// # Errors
    /// The law that was broken.
    pub(super) fn live(mut self) -> Result<Ending, String> {
        self.world.end_orphans();
        self.world.plan_events();
        let mut ending = self.hear(Event::RunStarted)?;
        if ending.is_none() {
            let topology = self.world.topology();
            ending = self.hear(Event::TopologyRead(topology))?;
        }
        let ledger = &*self.ledger;
        self.world.scan(|path| ledger.rows.values().any(|row| row.path == *path));
        let mut turns = 0;
        while ending.is_none() {
            turns += 1;
            ensure!(turns < MOST_TURNS, "the run does not settle");
            ending = self.turn()?;
        }
        self.world.tally.merge(self.oracle.tally());
        self.world.learned = self.scheduler.learned();
        let ending = ending.unwrap_or(Ending::Crashed);
        if ending != Ending::Crashed {
            let open = self.ledger.rows.iter().find(|(_, row)| row.open.is_some());
            ensure!(open.is_none(), "the run ended with {open:?}");
            ensure!(self.world.processes.is_empty(), "the run ended with processes");
        }
        Ok(ending)
    }

    /// The next thing happens.
    fn turn(&mut self) -> Result<Option<Ending>, String> {
        // Rare enough otherwise: that somebody stands still, and that the host dies then.
        let delicate = if self.oracle.any_frozen() { 8 } else { 1 };
        if self.world.hostile && self.world.chance.hits(self.world.settings.crash * delicate / 4) {
            return Ok(Some(self.crash()));
        }
        if self.world.chance.hits(self.world.settings.forged) {
            let oracle = &self.oracle;
            let event = self.world.forge(oracle.ledger.last_attempt, |event| oracle.listens(event));
            return self.hear(event);
        }
        let agenda = self.world.agenda.next_at();
        // A timer may go off a little early, once.
        let early = if self.world.settings.early_ticks { 700 } else { 0 };
        let timer = self.timer.map(|at| if at > self.world.now + early { at - early } else { at });
        match (timer, agenda) {
            (Some(timer), next) if next.is_none_or(|next| timer <= next) => {
                self.advance(timer);
                // Woken late as often as in time.
                let late = self.world.latency() * u64::from(self.world.chance.coin());
                if !self.world.settings.early_ticks
                    && self.world.agenda.next_at().is_none_or(|next| timer + late < next)
                {
                    self.advance(timer + late);
                }
                if self.wish == self.timer {
                    self.wish = None;
                }
                self.timer = None;
                self.hear(Event::Ticked)
            }
            (_, Some(next)) => {
                self.advance(next);
                let Some((_, what)) = self.world.agenda.pop() else { return Ok(None) };
                self.happen(what)
            }
            _ => Err("deadlock: nothing is in flight, no timer is set, and the end was not told".to_owned()),
        }
    }

    /// Time goes on, sometimes by more than expected.
    fn advance(&mut self, to: u64) {
        self.world.now = self.world.now.max(to);
        if self.world.chance.hits(self.world.settings.jumps) {
            self.world.now += self.world.chance.between(1, 20_000_000);
            self.world.tally.count("clock jumped");
        }
    }

    fn happen(&mut self, what: What) -> Result<Option<Ending>, String> {
        match what {
            What::Hear(event) => {
                if self.world.chance.hits(self.world.settings.duplicates) {
                    let at = self.world.now + self.world.chance.below(3_000_000);
                    self.world.agenda.put(at, What::Hear(event.clone()));
                    self.world.tally.count("event duplicated");
                }
                return self.hear(*event);
            }
            What::Starts(attempt) => self.world.starts(attempt),
            What::Ends(attempt, moved) => self.world.ends(attempt, moved),
            What::Inspected(attempt) => self.world.inspect_output(attempt),
            What::Moved(attempt, outputs) => {
                // The moment around a publication is the most delicate one for a crash.
                if self.world.hostile && self.world.chance.hits(self.world.settings.crash * 8) {
                    self.world.agenda.put(self.world.now, What::Moved(attempt, outputs));
                    return Ok(Some(self.crash()));
                }
                self.world.publish(attempt, &outputs, self.ledger)?;
            }
            What::Sample(left) => {
                if left > 0 {
                    let at = self.world.now + self.world.chance.between(200_000, 1_500_000);
                    self.world.agenda.put(at, What::Sample(left - 1));
                }
                let oracle = &self.oracle;
                let sample = self.world.sample(|id| oracle.runs(id));
                self.world.tally.count("sample");
                let ending = self.hear(sample)?;
                if left == 0 && self.oracle.any_frozen() {
                    // Who stands still waits for a later sample.
                    self.world.agenda.put(self.world.now + 1_000_000, What::Sample(0));
                }
                return Ok(ending);
            }
            What::Round(left) => {
                if left > 0 {
                    let at = self.world.now + self.world.chance.between(100_000, 800_000);
                    self.world.agenda.put(at, What::Round(left - 1));
                }
                let answers = self.world.capacity_answers(left == 0);
                self.world.say(Event::CapacityAnswered(answers));
            }
            What::DiskFull(full) => {
                self.world.disk_full = full;
                self.world.tally.count(if full { "disk full" } else { "disk free again" });
            }
            What::BinaryBreaks => self.world.binary_broken = true,
            What::Vanishes => self.world.vanish_one(),
            What::TopologyChanges => {
                let topology = self.world.topology();
                self.world.tally.count("processors changed");
                return self.hear(Event::TopologyRead(topology));
            }
            What::PolicyChanges => {
                let hostile = self.world.hostile;
                let mut policy = self.world.settings.policy(&mut self.world.chance, hostile);
                // What may not change live is told all the same.
                policy.has_output ^= self.world.chance.hits(100);
                self.world.tally.count("policy changed");
                return self.hear(Event::PolicyChanged(Box::new(policy)));
            }
            What::Commit => {
                self.commit_planned = false;
                return self.commit();
            }
        }
        Ok(None)
    }

    /// The scheduler hears an event; its step is judged and sent to the store.
    fn hear(&mut self, event: Event) -> Result<Option<Ending>, String> {
        let now = Timestamp(self.world.now);
        let step = self.scheduler.step(now, event.clone());
        self.world.tally.count("step");
        if let Some(trail) = &mut self.trail {
            trail.push(format!("{} {event:?}", now.0));
            trail.extend(step.facts.iter().map(|fact| format!("      fact    {fact:?}")));
            trail.extend(step.commands.iter().map(|command| format!("      command {command:?}")));
        }
        for command in &step.commands {
            if let Command::WakeAt(at) = command {
                self.wish = Some(at.0);
            }
        }
        let accepted = self.accepted_outputs(&step.facts);
        let at = Surroundings { now, wish: self.wish.map(Timestamp) };
        self.oracle.check(at, &event, &step, &self.scheduler)?;
        self.check_completions(&accepted)?;
        if step.facts.is_empty() && self.pending.is_empty() {
            return self.perform(step.commands);
        }
        self.pending.push_back(Pending { facts: step.facts, commands: step.commands });
        if self.world.settings.commit_latency == 0 {
            return self.commit();
        }
        if !self.commit_planned {
            self.commit_planned = true;
            let at = self.world.now + self.world.chance.below(self.world.settings.commit_latency);
            self.world.agenda.put(at, What::Commit);
        }
        Ok(None)
    }

    /// Of every completion in the step: who did it and which files it must have put in place.
    fn accepted_outputs(&self, facts: &[Fact]) -> Vec<(AttemptId, OutputRecord)> {
        let mut outputs = Vec::new();
        for fact in facts {
            let Fact::TaskCompleted { task, attempt, .. } = fact else { continue };
            let accepted = self.oracle.ledger.open_attempt(*task).and_then(|open| open.accepted.clone());
            outputs.extend(accepted.unwrap_or_default().into_iter().map(|output| (*attempt, output)));
        }
        outputs
    }

    /// Never a COMPLETED record without its output.
    fn check_completions(&self, outputs: &[(AttemptId, OutputRecord)]) -> Check {
        for (attempt, output) in outputs {
            let author = self.world.published.get(&output.path).map(|published| published.author);
            ensure!(
                author == Some(*attempt),
                "attempt {attempt} completed, but {} is by {author:?}",
                output.path
            );
        }
        Ok(())
    }

    /// The store commits what it was given, then the commands of those steps are performed.
    fn commit(&mut self) -> Result<Option<Ending>, String> {
        let steps: Vec<_> = self.pending.drain(..).collect();
        for step in &steps {
            self.record(&step.facts)?;
        }
        if steps.len() > 1 {
            self.world.tally.count("group commit");
        }
        for step in steps {
            let ending = self.perform(step.commands)?;
            if ending.is_some() {
                return Ok(ending);
            }
        }
        Ok(None)
    }

    fn record(&mut self, facts: &[Fact]) -> Check {
        facts.iter().try_for_each(|fact| self.ledger.apply(fact))
    }

    fn perform(&mut self, commands: Vec<Command>) -> Result<Option<Ending>, String> {
        for command in commands {
            if self.world.hostile && self.world.chance.hits(self.world.settings.crash) {
                self.world.tally.count("crash between record and command");
                return Ok(Some(self.crash()));
            }
            if command == Command::Finish {
                return Ok(Some(Ending::Finished(self.scheduler.fault().cloned())));
            }
            self.perform_one(command)?;
        }
        Ok(None)
    }

    fn perform_one(&mut self, command: Command) -> Check {
        match command {
            Command::Launch { attempt, task, path, .. } => {
                let open = self.ledger.open_attempt(task).map(|open| open.attempt);
                ensure!(open == Some(attempt), "attempt {attempt} was launched, but recorded is {open:?}");
                self.world.launch(attempt, task, &path)
            }
            Command::Stop { attempt, how } => self.world.signal(attempt, how),
            Command::Freeze { attempt } => self.world.freeze(attempt),
            Command::Thaw { attempt } => self.world.thaw(attempt),
            Command::Validate { attempt, .. } => {
                let at = self.world.now + self.world.latency();
                self.world.agenda.put(at, What::Inspected(attempt));
                Ok(())
            }
            Command::Publish { attempt, outputs } => {
                let at = self.world.now + self.world.latency();
                self.world.agenda.put(at, What::Moved(attempt, outputs));
                Ok(())
            }
            Command::Discard { attempt } => self.world.discard(attempt),
            Command::WakeAt(at) => {
                self.timer = Some(at.0.max(self.world.now));
                Ok(())
            }
            Command::WarnSlow { .. }
            | Command::WarnSpace { .. }
            | Command::Suspect { .. }
            | Command::Finish => Ok(()),
        }
    }

    /// kill -9: of the uncommitted records a prefix may have reached the disk, the rest is lost; no command of theirs was
    /// performed. A publication may have been cut off after any file. Voices of the dead may still be heard.
    fn crash(&mut self) -> Ending {
        self.world.tally.count("crash");
        let reached = self.world.chance.below(self.pending.len() as u64 + 1);
        let steps: Vec<_> = self.pending.drain(..).collect();
        for step in steps.iter().take(reached as usize) {
            // Lawful: the oracle has applied the same facts to the same fold.
            let _ = self.record(&step.facts);
        }
        if steps.len() as u64 > reached {
            self.world.tally.count("crash lost records");
        }
        let mut cut_off = Vec::new();
        let World { agenda, chance, .. } = &mut *self.world;
        let ledger = &*self.ledger;
        agenda.retain(|what| match what {
            What::Moved(attempt, outputs) => {
                cut_off.push((*attempt, outputs.clone()));
                false
            }
            What::Hear(event) => voice(event).is_some_and(|id| {
                let resumed = ledger.rows.values().any(|row| {
                    row.open.as_ref().is_some_and(|open| open.attempt == id && open.accepted.is_some())
                });
                !resumed && chance.coin()
            }),
            What::DiskFull(_) => true,
            _ => false,
        });
        for (attempt, outputs) in cut_off {
            let count = self.world.chance.below(outputs.len() as u64 + 1) as usize;
            if count > 0 {
                self.world.tally.count("crash cut off a publication");
            }
            // Its acceptance is recorded, so nothing can be wrong with it; the next run's publication will tell.
            let _ = self.world.move_files(attempt, &outputs, count, self.ledger);
        }
        Ending::Crashed
    }
}

/// Whose voice an event is.
pub(super) fn voice(event: &Event) -> Option<AttemptId> {
    match event {
        Event::AttemptStarted { attempt, .. }
        | Event::LaunchFailed { attempt, .. }
        | Event::AttemptExited { attempt, .. }
        | Event::OutputValidated { attempt, .. }
        | Event::OutputPublished { attempt }
        | Event::PublishFailed { attempt, .. } => Some(*attempt),
        _ => None,
    }
}
