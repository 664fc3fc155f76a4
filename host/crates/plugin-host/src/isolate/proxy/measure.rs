//! A metrics instance's round: batches go out, and what comes back is judged.

use super::super::link;
use super::super::wire::{BATCH, Measured, Order, Process, Report, SYSTEM, add_dropped};
use super::{Proxy, SLACK, Stop, bounded};
use crate::instance::collect::{Collector, Declared, Dropped};
use crate::instance::engine::Call;
use crate::instance::worker::Collected;
use orchestrator_core::metrics::Metrics;
use orchestrator_plugin_api::abi::Fault;
use orchestrator_ports::{PluginRound, ProcessFacts};
use std::sync::Arc;
use std::time::{Duration, Instant};

impl Proxy<'_> {
    /// As [`Worker::collect`] does it: one call per process, beginning with number `first`, then one for the machine.
    pub(super) fn collect(&mut self, round: &Arc<PluginRound>, first: usize) -> Result<Collected, Stop> {
        let deadline = self.worker.spec.deadline;
        let end = Instant::now() + deadline;
        let count = round.processes.len();
        let order: Vec<&ProcessFacts> =
            (0..count).map(|index| &round.processes[(first + index) % count]).collect();
        let mut tally = Tally::default();
        let mut rest = order.as_slice();
        loop {
            let within = end.saturating_duration_since(Instant::now());
            let batch = if within.is_zero() { &[] } else { &rest[..rest.len().min(BATCH)] };
            let system = within.is_zero() || batch.len() == rest.len();
            let processes = batch.iter().map(|facts| Process::new(facts)).collect();
            self.send(&Order::Collect { processes, within, system })?;
            let asked = self.batch(batch, &round.current, within, &mut tally)?;
            tally.collected.asked += asked;
            rest = &rest[asked..];
            if system || tally.dead {
                break;
            }
        }
        if !tally.dead {
            tally.collected.left_out = rest.len();
        }
        tally.collected.dropped = tally.dropped;
        Ok(tally.collected)
    }

    /// Hears the answers of a batch; how many of its processes were asked about.
    fn batch(
        &mut self,
        batch: &[&ProcessFacts],
        built_in: &Metrics,
        within: Duration,
        tally: &mut Tally,
    ) -> Result<usize, Stop> {
        let end = Instant::now() + within + self.worker.spec.deadline + SLACK;
        let mut next = 0;
        loop {
            self.hear(Some(end))?;
            // Borrowed by hand: the message stays in the inbox while its values are judged.
            let report = match link::decode(self.inbox.message()) {
                Ok(Report::Measured(measured)) => {
                    for one in measured {
                        let judges = (&self.declared, built_in);
                        judge(one, batch, &mut next, judges, tally, |call| self.worker.booked(call));
                    }
                    continue;
                }
                Ok(_) => self.report()?,
                Err(_) => return Err(self.nonsense("what is no message")),
            };
            match report {
                None => {}
                Some(Report::Done { asked, dropped, lost_records }) => {
                    add_dropped(&mut tally.dropped, dropped);
                    self.worker.context.count_lost_records(lost_records);
                    // Who was not asked is asked next; a runner that asks nobody costs its own instance only.
                    return Ok((asked as usize).min(batch.len()));
                }
                Some(_) => return Err(self.nonsense("an answer to what it was not asked")),
            }
        }
    }
}

/// What has come of a round so far.
#[derive(Default)]
struct Tally {
    collected: Collected,
    dropped: Dropped,
    /// The instance can answer no more.
    dead: bool,
}

/// Judges one answer of a batch. Answers come in the order of the batch, each place once.
fn judge(
    one: Measured<'_>,
    batch: &[&ProcessFacts],
    next: &mut usize,
    (declared, built_in): (&Declared, &Metrics),
    tally: &mut Tally,
    booked: impl FnOnce(Call<Metrics>) -> Result<Metrics, Fault>,
) {
    let place = one.place as usize;
    let process = batch.get(place);
    let known = if one.place == SYSTEM { *next <= batch.len() } else { process.is_some() && place >= *next };
    if !known || tally.dead {
        return;
    }
    *next = if one.place == SYSTEM { usize::MAX } else { place + 1 };
    let collector = Collector::new(declared, built_in, &mut tally.dropped);
    let result = one.answer.map(|values| collector.judged(values)).map_err(Fault::from);
    let spent = bounded(one.spent);
    let result = booked(Call { result, wall: spent.wall, cpu: spent.cpu });
    tally.dead = match process {
        Some(facts) => tally.collected.take(facts.attempt, result),
        None => tally.collected.take_system(result),
    };
}

#[cfg(test)]
mod tests {
    use super::super::LONGEST_CALL;
    use super::{Measured, SYSTEM, Tally, judge};
    use crate::instance::collect::Declared;
    use crate::instance::engine::Call;
    use crate::isolate::wire::Spent;
    use orchestrator_core::metrics::Metrics;
    use orchestrator_core::{AttemptId, TaskId};
    use orchestrator_ports::ProcessFacts;
    use std::time::Duration;

    fn process(attempt: u64) -> ProcessFacts {
        ProcessFacts {
            attempt: AttemptId(attempt),
            task: TaskId(0),
            input_file: "/in".into(),
            running_for: None,
            pid: 1,
            start_ticks: 1,
            tree: Vec::new(),
            sample: None,
        }
    }

    #[test]
    fn a_lying_runner_speaks_for_nobody_it_was_not_asked_about_and_for_nobody_twice() {
        let processes = [process(10), process(11)];
        let batch: Vec<&ProcessFacts> = processes.iter().collect();
        let built_in = Metrics::from([("system.cpu.percent".to_owned(), 1.0)]);
        let (mut tally, mut next, mut longest) = (Tally::default(), 0, Duration::ZERO);
        let says: [(u32, &str, f64); 9] = [
            (2, "beyond", 1.0),
            (u32::MAX - 1, "far.beyond", 1.0),
            (1, "good", 1.0),
            (1, "twice", 1.0),
            (0, "backwards", 1.0),
            (SYSTEM, "system.cpu.percent", 99.0),
            (SYSTEM, "again", 1.0),
            (0, "after.the.end", 1.0),
            (1, "nan", f64::NAN),
        ];
        for (place, name, value) in says {
            let spent = Spent { wall: Duration::MAX, cpu: Duration::MAX };
            let one = Measured { place, spent, answer: Ok(vec![(name, value)]) };
            let booked = |call: Call<Metrics>| {
                longest = longest.max(call.wall).max(call.cpu);
                call.result
            };
            judge(one, &batch, &mut next, (&Declared::default(), &built_in), &mut tally, booked);
        }
        let good = Metrics::from([("good".to_owned(), 1.0)]);
        assert_eq!(tally.collected.processes, [(AttemptId(11), good)]);
        assert!(tally.collected.system.is_empty(), "it overrode the host's own metric");
        assert_eq!((tally.dropped.reserved.count, tally.dropped.total()), (1, 1));
        assert_eq!(longest, LONGEST_CALL);
    }
}
