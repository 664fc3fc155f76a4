//! How often recorded tasks are told to have changed: steady streams never, for a change costs all that was learned.

use std::collections::VecDeque;

use orchestrator_core::outlook::{Drift, Expectations, Promise, Took};
use orchestrator_core::predict::replay::{SHORTEST_STREAM, TraceRow};

use crate::{LAG, of_each_trace, streams};

/// What a run does with results (see `outlook`): each is held against what was promised of it when it began, and what was
/// learned before a change is forgotten.
#[derive(Default)]
struct Watched {
    model: Expectations,
    memory: Drift,
    cpu: Drift,
    judged: u32,
    changes: Vec<(f64, usize)>,
}

fn input(row: &TraceRow) -> Option<u64> {
    row.task.features.input.map(|bytes| bytes.0)
}

impl Watched {
    fn ended(&mut self, row: &TraceRow, promised: Option<Promise>) {
        let seconds = row.outcome.seconds;
        let (peak, cpu) = (row.outcome.peak.0 as f64, row.cores.unwrap_or(1.0) * seconds);
        let took = Took { seconds, cpu, io: 0.0, peak, output: None };
        let judged = promised.filter(|_| self.model.reaches(input(row)));
        self.model.observe(&row.task.features, took);
        let Some(promise) = judged else { return };
        self.judged += 1;
        let memory = self.memory.observe((peak / promise.peak_bytes.p50).ln());
        let cpu = self.cpu.observe((cpu.max(0.01) / promise.cpu_seconds.p50.max(0.01)).ln());
        if let Some((factor, count)) = memory.or(cpu) {
            self.changes.push((factor, count));
            self.model.forget_all_but(count.max(3));
            (self.memory, self.cpu) = Default::default();
        }
    }
}

#[test]
fn recorded_tasks_seldom_change() {
    let of_trace = |trace: &str, rows: Vec<TraceRow>| {
        let (mut judged, mut changes) = (0, 0);
        for (name, stream) in streams(rows).into_iter().filter(|(_, rows)| rows.len() >= SHORTEST_STREAM) {
            let mut watched = Watched::default();
            let mut running: VecDeque<(&TraceRow, Option<Promise>)> = VecDeque::new();
            for row in &stream {
                let promise = watched.model.predict(&row.task.features);
                running.push_back((row, promise));
                if running.len() > LAG
                    && let Some((row, promise)) = running.pop_front()
                {
                    watched.ended(row, promise);
                }
            }
            judged += watched.judged;
            changes += watched.changes.len();
            if !watched.changes.is_empty() {
                println!("{trace}/{}: {:?}", name.1, watched.changes);
            }
        }
        (judged, changes)
    };
    let all = of_each_trace(of_trace);
    let (judged, changes) = all.iter().fold((0, 0), |sum, (_, one)| (sum.0 + one.0, sum.1 + one.1));
    println!("{changes} changes told of in {judged} tasks");
    assert!(changes as f64 <= 0.001 * f64::from(judged), "{changes} changes in {judged} tasks");
}
