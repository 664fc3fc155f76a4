//! The control law in universes made up at random: nothing was set on them but what is said to hold for all.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use orchestrator_core::capacity::control::ControlRules;
use orchestrator_core::simulate::{Lawful, Outcome, lawful_order, oracle, simulate};

use super::random;

/// How the law did in one universe.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The universe.
    pub seed: u64,
    /// Tasks in it.
    pub tasks: usize,
    /// The law.
    pub law: Outcome,
    /// Its makespan over that of the best fixed number that keeps to the thresholds; `None` where no number does.
    pub ratio: Option<f64>,
}

/// Runs the law, and every fixed number, in one universe.
#[must_use]
pub fn judge(seed: u64) -> Judged {
    let load = random(seed);
    let order = lawful_order(&load.work, seed);
    let law = simulate(&load.machine, &load.work, &order, &mut Lawful::new(ControlRules::default()));
    let best = oracle(&load.machine, &load.work).respectful;
    let ratio = best.map(|(_, best)| law.makespan / best.makespan);
    Judged { seed, tasks: load.work.tasks.len(), law, ratio }
}

/// Judges these universes on all cores, and says in a few rows of Markdown how it went.
#[must_use]
pub fn render_universes(seeds: std::ops::RangeInclusive<u64>) -> String {
    let (next, done) = (AtomicU64::new(*seeds.start()), Mutex::new(Vec::new()));
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > *seeds.end() {
                        return;
                    }
                    let judged = judge(seed);
                    done.lock().expect("no judge panics").push(judged);
                }
            });
        }
    });
    rows(&done.into_inner().expect("no judge panics"), &seeds)
}

fn rows(judged: &[Judged], seeds: &std::ops::RangeInclusive<u64>) -> String {
    let mut ratios: Vec<f64> = judged.iter().filter_map(|one| one.ratio).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let quantile = |share: f64| ratios.get((share * (ratios.len().max(1) - 1) as f64) as usize).copied();
    let mean = ratios.iter().sum::<f64>() / ratios.len().max(1) as f64;
    let tasks: usize = judged.iter().map(|one| one.tasks).sum();
    let sum = |count: fn(&Outcome) -> usize| judged.iter().map(|one| count(&one.law)).sum::<usize>();
    let share = |keeps: fn(&Outcome) -> bool| {
        100.0 * judged.iter().filter(|one| keeps(&one.law)).count() as f64 / judged.len().max(1) as f64
    };
    let mut out = format!(
        "{} universes made up at random (seeds {}–{}), {tasks} tasks:\n\n| figure | |\n|---|---|\n",
        judged.len(),
        seeds.start(),
        seeds.end()
    );
    let mut row = |name: &str, value: String| _ = writeln!(out, "| {name} | {value} |");
    row("mean ratio", format!("{mean:.3}"));
    for (name, share) in
        [("median", 0.5), ("one in ten is above", 0.9), ("one in twenty", 0.95), ("worst", 1.0)]
    {
        row(name, quantile(share).map_or_else(|| "none".to_owned(), |ratio| format!("{ratio:.2}")));
    }
    let above = ratios.iter().filter(|ratio| **ratio > 1.12).count();
    row("above 1.12", format!("{above} of {}", ratios.len()));
    row("nothing killed", format!("in {:.1} % of the universes", share(|law| law.out_of_memory == 0)));
    row("killed for want of memory", format!("{} tasks", sum(|law| law.out_of_memory)));
    row("evicted", format!("{} tasks", sum(|law| law.evicted)));
    row(
        "memory above its threshold for at most 1 % of the time",
        format!("in {:.1} % of the universes", share(|law| law.memory_over <= 0.01)),
    );
    let mut worst: Vec<&Judged> = judged.iter().filter(|one| one.ratio.is_some()).collect();
    worst.sort_by(|a, b| b.ratio.unwrap_or(0.0).total_cmp(&a.ratio.unwrap_or(0.0)));
    let seeds: Vec<String> =
        worst.iter().take(5).map(|one| format!("{} ({:.2})", one.seed, one.ratio.unwrap_or(0.0))).collect();
    row("slowest seeds", seeds.join(", "));
    out
}
