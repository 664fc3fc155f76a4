//! The supervisor's part in rounds: who is asked when, and what becomes of the answers.

use super::board::cost_metrics;
use super::pace::PaceChange;
use super::round::{Calculating, Collecting, Measured, Phase, answers};
use super::slot::{FAILED_ROUNDS, Reading, Slot};
use super::state::{Errand, Happening, State};
use super::supervisor::{INFO, Supervisor, WARN};
use crate::instance::InstanceFault;
use crate::instance::engine::is_final;
use crate::instance::worker::{Collected, Job, Outcome};
use orchestrator_plugin_api::PluginKind;
use orchestrator_plugin_api::abi::{Fault, FaultCode};
use orchestrator_ports::{PluginEvent, PluginRound};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Metrics instances that measure at a time, at most.
pub(super) const PERMITS: usize = 4;
/// From one instance's moment in a round to the next one's; less where half of the interval would not hold all.
const STEP: Duration = Duration::from_millis(10);
/// So long a measuring instance keeps others waiting.
const PERMIT_FOR: Duration = Duration::from_millis(100);
/// Between two tellings of the instances' cost as metrics.
const COSTS_EVERY: Duration = Duration::from_secs(10);
/// Intervals that capacity waits for the first measurement of processes.
const FIRST_MEASUREMENT: u32 = 3;

impl Supervisor {
    /// Opens a round; one that is open goes on to its end at once.
    pub(super) fn begin(&mut self, round: Arc<PluginRound>, now: Instant) {
        match &self.phase {
            Phase::Rest => self.open(round, now),
            Phase::Collecting(_) => {
                self.next = Some(round);
                self.calculate(now);
            }
            Phase::Calculating(_) => match self.next.take() {
                None => self.next = Some(round),
                Some(skipped) => {
                    self.finish();
                    let capacity = answers(self.order.iter().map(|number| &self.slots[*number]));
                    self.outbox.push(Measured::default().finish(skipped.number, capacity));
                    self.open(round, now);
                }
            },
        }
    }

    fn open(&mut self, round: Arc<PluginRound>, now: Instant) {
        self.missed = false;
        for number in 0..self.slots.len() {
            let dropped = self.slots[number].renew_allowance();
            self.complain(number, "log", u64::from(dropped), |count| {
                format!("{count} of its log records were dropped: it writes more than 100 a round")
            });
        }
        let processes = !round.processes.is_empty();
        if processes {
            self.processes_since.get_or_insert(now);
        }
        let metrics: Vec<usize> =
            self.order.iter().copied().filter(|number| self.slots[*number].is(PluginKind::Metrics)).collect();
        let step = self.step(metrics.len(), now);
        let owed = std::mem::take(&mut self.owed);
        let mut queue = Vec::new();
        for (position, number) in (0_u32..).zip(metrics) {
            let slot = &self.slots[number];
            // The first time that there is something to see, nobody waits for their interval or their turn.
            let first = processes && !slot.has_met() && slot.pace.may_hurry(now);
            let at_once = first || owed.contains(&number);
            if slot.takes_part() && (first || slot.pace.is_due(now)) {
                let at = if at_once { now } else { now + step * position };
                queue.push((at, slot.pace.last_asked(), number));
            }
        }
        // Of those whose moment is the same, whoever had the last turn longest ago comes first.
        queue.sort();
        let queue: VecDeque<_> = queue.into_iter().map(|(at, _, number)| (at, number)).collect();
        let until = queue.back().map_or(now, |(last, _)| *last) + self.patience;
        let (asked, answered) = (BTreeSet::new(), BTreeSet::new());
        self.phase = Phase::Collecting(Collecting { round, until, queue, asked, answered });
    }

    /// From one instance's moment to the next one's: half of the time until the next round holds all.
    fn step(&mut self, count: usize, now: Instant) -> Duration {
        let gap = self.opened.replace(now).map(|last| now.saturating_duration_since(last));
        let count = u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        STEP.min(gap.unwrap_or(self.interval).min(self.interval) / 2 / count)
    }

    /// Does what the round is ready for.
    pub(super) fn advance(&mut self, now: Instant) {
        self.ask(now);
        self.ask_for_capacity(now);
        while self.phase.is_done(now) {
            match &self.phase {
                Phase::Rest => return,
                Phase::Collecting(_) => self.calculate(now),
                Phase::Calculating(_) => self.finish(),
            }
            if matches!(self.phase, Phase::Rest)
                && let Some(next) = self.next.take()
            {
                self.open(next, now);
                self.ask(now);
            }
        }
    }

    /// Hands jobs to the metrics instances whose moment has come, as far as there are permits.
    fn ask(&mut self, now: Instant) {
        let mut free = self.permits.saturating_sub(self.measuring(now).count());
        let Phase::Collecting(collecting) = &mut self.phase else { return };
        let mut left = VecDeque::new();
        while let Some((at, number)) = collecting.queue.pop_front() {
            let slot = &mut self.slots[number];
            if !slot.takes_part() {
                continue;
            }
            if at > now || free == 0 || !slot.is_free(now) {
                left.push_back((at, number));
                continue;
            }
            let job = Job::Collect { round: Arc::clone(&collecting.round), first: slot.first };
            if slot.give(job, now) {
                collecting.asked.insert(number);
                free -= 1;
            }
        }
        collecting.queue = left;
    }

    /// When those permits are given back that are held now.
    fn measuring(&self, now: Instant) -> impl Iterator<Item = Instant> + '_ {
        let hold = PERMIT_FOR.min(self.interval / 8);
        let end = move |slot: &Slot| match slot.state() {
            State::Busy { errand: Errand::Round, since, .. } if slot.is(PluginKind::Metrics) => {
                Some(*since + hold)
            }
            _ => None,
        };
        self.slots.iter().filter_map(end).filter(move |end| *end > now)
    }

    /// When somebody can be asked though nothing was heard.
    pub(super) fn next_ask(&self) -> Option<Instant> {
        let Phase::Collecting(collecting) = &self.phase else { return None };
        let now = Instant::now();
        let waiting = |wanted: &&(Instant, usize)| self.slots[wanted.1].is_free(now.max(wanted.0));
        let (first, _) = collecting.queue.iter().find(waiting)?;
        let held = self.measuring(now).count();
        let permit = if held < self.permits { None } else { self.measuring(now).min() };
        Some(permit.map_or(*first, |permit| permit.max(*first)))
    }

    /// Goes on from measuring to calculating.
    fn calculate(&mut self, now: Instant) {
        let Phase::Collecting(collecting) = std::mem::replace(&mut self.phase, Phase::Rest) else { return };
        let Collecting { round, answered, queue, .. } = collecting;
        // Whoever had no turn has the first one in the next round.
        self.owed = queue.into_iter().map(|(_, number)| number).collect();
        for number in self.order.clone() {
            if let Some(age) = self.slots[number].expire(now, self.interval) {
                let seconds = age.as_secs();
                self.complain(number, "stale", 1, |_| {
                    format!("its last values are {seconds} s old and no longer count")
                });
            }
        }
        let ordered = || self.order.iter().map(|number| &self.slots[*number]);
        let fresh = self.order.iter().filter(|number| answered.contains(number));
        let measured = Measured::gather(fresh.map(|number| &self.slots[*number]));
        let capacity = self.order.iter().copied().filter(|number| {
            let slot = &self.slots[*number];
            slot.is(PluginKind::Capacity) && slot.takes_part() && slot.pace.is_due(now)
        });
        let (queue, asked, until): (BTreeSet<_>, _, _) =
            (capacity.collect(), BTreeSet::new(), now + self.patience);
        // Sums over all processes: only for somebody who asks.
        let current = if queue.is_empty() {
            Arc::default()
        } else {
            let all = Measured::gather(ordered().filter(|slot| slot.is(PluginKind::Metrics)));
            Arc::new(all.current(&round.current))
        };
        self.phase = Phase::Calculating(Calculating { round, current, until, measured, queue, asked });
        self.ask_for_capacity(now);
    }

    /// Hands jobs to the capacity instances that can take one.
    fn ask_for_capacity(&mut self, now: Instant) {
        let Phase::Calculating(calculating) = &mut self.phase else { return };
        let (slots, asked) = (&mut self.slots, &mut calculating.asked);
        let (round, current) = (&calculating.round, &calculating.current);
        calculating.queue.retain(|number| {
            let slot = &mut slots[*number];
            if !slot.is_free(now) {
                return slot.takes_part();
            }
            let job = Job::Calculate { round: Arc::clone(round), current: Arc::clone(current) };
            if slot.give(job, now) {
                asked.insert(*number);
            }
            false
        });
    }

    fn finish(&mut self) {
        let Phase::Calculating(done) = std::mem::replace(&mut self.phase, Phase::Rest) else { return };
        let capacity = answers(self.order.iter().map(|number| &self.slots[*number]));
        self.outbox.push(done.measured.finish(done.round.number, capacity));
        let now = Instant::now();
        if self.costs_told.is_none_or(|told| told + COSTS_EVERY <= now) {
            self.costs_told = Some(now);
            let system = cost_metrics(&self.board);
            if !system.is_empty() {
                self.outbox.push(PluginEvent::Measured { system, processes: Vec::new() });
            }
        }
    }

    /// An instance has done a job.
    pub(super) fn answered(&mut self, number: usize, outcome: Outcome) {
        let now = Instant::now();
        let state = self.slots[number].state().clone();
        self.slots[number].happen(Happening::Answered);
        if let State::Busy { errand: Errand::Round, since, .. } = state {
            self.take_pace(number, now.saturating_duration_since(since));
        }
        match outcome {
            Outcome::Collected(collected) => self.collected(number, *collected, now),
            Outcome::Calculated(Ok(answer)) => {
                self.slots[number].answer = Some(Ok(answer));
                self.worked(number);
            }
            Outcome::Calculated(Err(fault)) => self.calculated_nothing(number, &fault, now),
            Outcome::Snapshot(outcome) => self.snapshot(number, outcome),
        }
        self.phase.settled(number);
        self.move_on(number, now);
        self.keep_state(number, now);
    }

    fn take_pace(&mut self, number: usize, took: Duration) {
        let slot = &mut self.slots[number];
        let change = slot.pace.answered(took, self.interval);
        let stretched = slot.pace.stretched();
        slot.stats().slowed_to = stretched;
        match change {
            None => {}
            Some(PaceChange::Slowed { mean, every }) => {
                let (mean, every) = (mean.as_secs_f64(), every.as_secs_f64());
                self.complain(number, "slow", 1, |_| {
                    format!("it is slow ({mean:.2} s a round): it is asked every {every:.1} s for now")
                });
            }
            Some(PaceChange::Recovered { every }) => self.tell_recovery(number, every),
        }
    }

    fn tell_recovery(&mut self, number: usize, every: Duration) {
        if self.slots[number].complaints.count("quick", 1).is_some() {
            let every = every.as_secs_f64();
            self.say(number, INFO, format!("it is quick again: it is asked every {every:.1} s"));
        }
    }

    fn collected(&mut self, number: usize, collected: Collected, now: Instant) {
        self.book_dropped(number, &collected);
        let slot = &mut self.slots[number];
        slot.first = if collected.left_out == 0 { 0 } else { slot.first + collected.asked };
        let fault = collected.fault.clone();
        // Where nothing could be measured, what was measured before stands until it is too old.
        if fault.is_none() || !collected.system.is_empty() || !collected.processes.is_empty() {
            slot.knows_processes |= !collected.processes.is_empty();
            slot.reading = Some(Reading::of(collected, now));
            self.publish(number);
        }
        let Some(fault) = fault else { return self.worked(number) };
        let slot = &mut self.slots[number];
        slot.failed_rounds += 1;
        let (rounds, message) = (slot.failed_rounds, fault.message.as_str().to_owned());
        if is_final(&fault) {
            self.broke(number, final_fault(&fault));
        } else if rounds >= FAILED_ROUNDS {
            self.broke(number, InstanceFault::Errors { rounds, message });
        } else {
            self.heed_wish(number, &fault, now);
            self.complain(number, "error", 1, |count| format!("{message} (failed rounds so far: {count})"));
        }
    }

    /// What was measured in its round is told with the round; what came later is told at once.
    fn publish(&mut self, number: usize) {
        match &mut self.phase {
            Phase::Collecting(collecting) if collecting.asked.contains(&number) => {
                collecting.answered.insert(number);
            }
            _ => {
                let Some(reading) = &self.slots[number].reading else { return };
                let (system, processes) = (reading.system.clone(), reading.processes.clone());
                if !system.is_empty() || !processes.is_empty() {
                    self.outbox.push(PluginEvent::Measured { system, processes });
                }
            }
        }
    }

    /// A capacity instance that errs is asked again as long as it lives: without it, capacity can only stay or fall.
    fn calculated_nothing(&mut self, number: usize, fault: &Fault, now: Instant) {
        let message = fault.message.as_str().to_owned();
        if is_final(fault) {
            self.slots[number].answer = Some(Err(message));
            return self.broke(number, final_fault(fault));
        }
        self.heed_wish(number, fault, now);
        if self.is_too_early(number, now) {
            return;
        }
        self.slots[number].answer = Some(Err(message.clone()));
        self.complain(number, "error", 1, |count| format!("{message} (answers missing so far: {count})"));
    }

    /// Whether some metrics instance has had no chance yet to measure processes, which are there since a moment ago or
    /// not at all: what a capacity instance misses then is no fault.
    fn is_too_early(&self, number: usize, now: Instant) -> bool {
        let metrics = |slot: &&Slot| slot.is(PluginKind::Metrics) && slot.state().is_alive();
        let measuring = || self.order.iter().map(|number| &self.slots[*number]).filter(metrics);
        let deadline = measuring().map(|slot| slot.spec.deadline).max().unwrap_or_default();
        let early = match self.processes_since {
            Some(since) => now < since + self.interval * FIRST_MEASUREMENT + deadline,
            None => self.slots[number].answer.is_none(),
        };
        early && !measuring().all(Slot::has_met)
    }

    /// Heeds the plugin's advice when to ask again.
    fn heed_wish(&mut self, number: usize, fault: &Fault, now: Instant) {
        if fault.retry_after_ms > 0 {
            let wish = now + Duration::from_millis(u64::from(fault.retry_after_ms));
            self.slots[number].pace.put_off(wish);
        }
    }

    fn book_dropped(&mut self, number: usize, collected: &Collected) {
        for (pile, sentence) in collected.dropped.piles() {
            let example = pile.example.clone();
            if let Some(count) = self.slots[number].complaints.count(sentence, pile.count) {
                let words =
                    format!("values that {sentence} were dropped: {count} so far, such as `{example}`");
                self.say(number, WARN, words);
            }
        }
        self.complain(number, "left out", u64::from(collected.left_out > 0), |count| {
            let left_out = collected.left_out;
            format!("too slow for all processes within its deadline: {left_out} were left out ({count} rounds so far)")
        });
        self.slots[number].stats().dropped_values += collected.dropped.total();
    }
}

pub(super) fn final_fault(fault: &Fault) -> InstanceFault {
    let message = fault.message.as_str().to_owned();
    match fault.code {
        FaultCode::PANICKED | FaultCode::POISONED => InstanceFault::Panicked { message },
        FaultCode::CONFIG => InstanceFault::Configuration { message },
        _ => InstanceFault::GaveUp { message },
    }
}
