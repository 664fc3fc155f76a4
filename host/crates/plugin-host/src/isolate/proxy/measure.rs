//! A metrics instance's round: batches go out, and what comes back is judged.

use super::super::link;
use super::super::wire::{BATCH, Measured, Order, Process, Report, SYSTEM, add_dropped};
use super::{Proxy, SLACK, Stop, bounded};
use crate::instance::collect::{Collector, Declared, Ledger};
use crate::instance::engine::Call;
use crate::instance::worker::Collected;
use orchestrator_core::metrics::Metrics;
use orchestrator_plugin_api::abi::Fault;
use orchestrator_ports::{PluginRound, ProcessFacts};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest message of a batch in bytes: one call's values with the longest names are 2.1 MB, those that were gathered with
/// them less.
const MEASURED: usize = 4 << 20;

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
            self.send(&Order::Collect { processes, within, system, room: tally.ledger.room })?;
            let asked = self.batch((batch, system), &round.current, within, &mut tally)?;
            tally.collected.asked += asked;
            rest = &rest[asked..];
            if system || tally.dead {
                break;
            }
        }
        if !tally.dead {
            tally.collected.left_out = rest.len();
        }
        tally.collected.dropped = tally.ledger.dropped;
        Ok(tally.collected)
    }

    /// Hears the answers of a batch; how many of its processes were asked about.
    fn batch(
        &mut self,
        asked: (&[&ProcessFacts], bool),
        built_in: &Metrics,
        within: Duration,
        tally: &mut Tally,
    ) -> Result<usize, Stop> {
        let end = Instant::now() + within + self.worker.spec.deadline + SLACK;
        let mut next = 0;
        loop {
            self.hear(Some(end))?;
            if self.inbox.message().len() > MEASURED {
                return Err(self.nonsense("a message that is too long"));
            }
            // Borrowed by hand: the message stays in the inbox while its values are judged.
            let report = match link::decode(self.inbox.message()) {
                Ok(Report::Measured(measured)) => {
                    let judges = (&self.declared, built_in);
                    let known = measured.into_iter().all(|one| {
                        judge(one, asked, &mut next, judges, tally, |call| self.worker.booked(call))
                    });
                    if !known {
                        return Err(self.nonsense("measurements that it was not asked for"));
                    }
                    continue;
                }
                Ok(_) => self.report()?,
                Err(_) => return Err(self.nonsense("what is no message")),
            };
            match report {
                None => {}
                Some(Report::Done { asked: reached, dropped, lost_records }) => {
                    add_dropped(&mut tally.ledger.dropped, dropped);
                    self.worker.context.count_lost_records(lost_records);
                    // Who was not asked is asked next; a runner that asks nobody costs its own instance only.
                    return Ok((reached as usize).min(asked.0.len()));
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
    ledger: Ledger,
    /// The instance can answer no more.
    dead: bool,
}

/// Judges one answer of a batch (its processes, and whether the machine was asked about). Answers come in the order of the
/// batch, each place once, and none after one that is final; `false` where this one does not.
fn judge(
    one: Measured<'_>,
    (batch, system): (&[&ProcessFacts], bool),
    next: &mut usize,
    (declared, built_in): (&Declared, &Metrics),
    tally: &mut Tally,
    booked: impl FnOnce(Call<Metrics>) -> Result<Metrics, Fault>,
) -> bool {
    let place = one.place as usize;
    let process = batch.get(place);
    let known = if one.place == SYSTEM {
        system && *next <= batch.len()
    } else {
        process.is_some() && place >= *next
    };
    if !known || tally.dead {
        return false;
    }
    *next = if one.place == SYSTEM { usize::MAX } else { place + 1 };
    let collector = Collector::new(declared, built_in, &mut tally.ledger);
    let result = one.answer.map(|values| collector.judged(values)).map_err(Fault::from);
    let spent = bounded(one.spent);
    let result = booked(Call { result, wall: spent.wall, cpu: spent.cpu });
    tally.dead = match process {
        Some(facts) => tally.collected.take(facts.attempt, result),
        None => tally.collected.take_system(result),
    };
    true
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
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    fn process(attempt: u64) -> ProcessFacts {
        ProcessFacts {
            attempt: AttemptId(attempt),
            task: TaskId(0),
            input_file: Path::new("/in").into(),
            running_for: None,
            pid: 1,
            start_ticks: 1,
            tree: [].into(),
            sample: None,
        }
    }

    #[test]
    fn a_lying_runner_speaks_for_nobody_it_was_not_asked_about_and_for_nobody_twice() {
        let processes = [process(10), process(11)];
        let batch: Vec<&ProcessFacts> = processes.iter().collect();
        let built_in = Metrics::from([("system.cpu.percent".to_owned(), 1.0)]);
        let mut known = Vec::new();
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
            let judges = (&Declared::default(), &built_in);
            known.push(judge(one, (&batch, true), &mut next, judges, &mut tally, booked));
        }
        assert_eq!(known, [false, false, true, false, false, true, false, false, false]);
        let good = Metrics::from([("good".to_owned(), 1.0)]);
        assert_eq!(tally.collected.processes, [(AttemptId(11), Arc::new(good))]);
        assert!(tally.collected.system.is_empty(), "it overrode the host's own metric");
        let dropped = &tally.ledger.dropped;
        assert_eq!((dropped.reserved.count, dropped.total()), (1, 1));
        assert_eq!(longest, LONGEST_CALL);
    }
}
