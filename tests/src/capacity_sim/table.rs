//! The table of the documentation.

use std::fmt::Write as _;

use orchestrator_core::simulate::{Outcome, loads};

use super::{Measured, Rivals, law, rivals};

/// Means over seeds.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    ratio: f64,
    worst: f64,
    killed: usize,
    evicted: usize,
    over: f64,
    runs: usize,
}

impl Cell {
    fn add(&mut self, outcome: &Outcome, best: f64) {
        let ratio = outcome.makespan / best;
        self.ratio += ratio;
        self.worst = self.worst.max(ratio);
        self.killed += outcome.out_of_memory;
        self.evicted += outcome.evicted;
        self.over += outcome.memory_over;
        self.runs += 1;
    }

    fn mean(&self) -> f64 {
        self.ratio / self.runs.max(1) as f64
    }

    fn text(&self) -> String {
        let mut out = format!("{:.2}", self.mean());
        if self.killed > 0 {
            let _ = write!(out, ", {} OOM", self.killed);
        }
        out
    }
}

/// The table over these seeds, in Markdown, with a summary line. Ratios are makespans over that of the best fixed number
/// that keeps to the thresholds; the last column is over the best without anything killed, thresholds ignored.
#[must_use]
pub fn render(seeds: std::ops::RangeInclusive<u64>) -> String {
    let mut out = String::from(
        "| workload | best -j | -j cores | gate (2 × cores) | calibrate once | law | worst seed | law, order as found | evicted | above 75 % memory | law / best -j without OOM |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    let mut all = Cell::default();
    let mut tasks = 0;
    for name in loads::names() {
        let mut row = Row::default();
        for seed in seeds.clone() {
            let (law, rivals) = (law(name, seed), rivals(name, seed));
            row.add(&law, &rivals, &mut all);
            tasks += law.tasks;
        }
        let _ = writeln!(out, "{}", row.text(loads::about(name).unwrap_or(name)));
    }
    let _ = writeln!(
        out,
        "\n{} runs (seeds {}–{}): mean ratio {:.3}, worst {:.3}, {} killed for want of memory, {} of {} tasks evicted ({:.3} %).",
        all.runs,
        seeds.start(),
        seeds.end(),
        all.mean(),
        all.worst,
        all.killed,
        all.evicted,
        tasks,
        100.0 * all.evicted as f64 / tasks.max(1) as f64,
    );
    out
}

#[derive(Clone, Debug, Default)]
struct Row {
    jobs: Vec<usize>,
    cores: Cell,
    gate: Cell,
    calibrated: Cell,
    law: Cell,
    as_found: Cell,
    survivor: Cell,
}

impl Row {
    fn add(&mut self, measured: &Measured, rivals: &Rivals, all: &mut Cell) {
        let Some((jobs, best)) = rivals.oracle.respectful else { return };
        let best = best.makespan;
        self.jobs.push(jobs);
        self.cores.add(&rivals.cores, best);
        self.gate.add(&rivals.gate, best);
        self.calibrated.add(&rivals.calibrated, best);
        self.law.add(&measured.law, best);
        self.as_found.add(&measured.as_found, best);
        all.add(&measured.law, best);
        if let Some((_, survivor)) = rivals.oracle.survivor {
            self.survivor.add(&measured.law, survivor.makespan);
        }
    }

    fn text(&self, about: &str) -> String {
        let mut jobs = self.jobs.clone();
        jobs.sort_unstable();
        let jobs = jobs.get(jobs.len() / 2).map_or_else(|| "none".to_owned(), usize::to_string);
        format!(
            "| {about} | {jobs} | {} | {} | {} | **{}** | {:.2} | {} | {} | {:.2} % | {:.2} |",
            self.cores.text(),
            self.gate.text(),
            self.calibrated.text(),
            self.law.text(),
            self.law.worst,
            self.as_found.text(),
            self.law.evicted,
            100.0 * self.law.over / self.law.runs.max(1) as f64,
            self.survivor.mean(),
        )
    }
}
