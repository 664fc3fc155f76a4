//! Real programs on this machine: the law against every fixed number, in a control group with little memory.
//!
//! All run the same files in turn, A B C … A B C …; those that were far behind in the first round are not run again.

mod group;
mod loads;
pub(super) mod outside;
mod rivals;
pub(super) mod timeline;

use std::time::Duration;

use super::Stage;
use super::measure::median;
use super::report::Report;
use crate::error::Failure;
use crate::shell;
use group::{Group, Seen};
use loads::Load;
use rivals::Rival;

/// `resource_limits.memory_threshold_percent` and `cpu_threshold_percent` as they come.
const MEMORY: f64 = 0.75;
const CPU: f64 = 0.80;
/// A number keeps a threshold that is above it for no more than this share of the time …
const KEPT: f64 = 0.01;
/// … or uses no more than this beyond it.
const BEYOND: f64 = 0.02;
const ROUNDS: usize = 3;
const USAGE: &str = "usage: cargo xtask bench live [xz | sleep | disk | sort | images | phases]";
/// Who takes longer than this multiple of the best is far behind.
const FAR: f64 = 1.4;
/// Nobody waits for one run for longer than this multiple of the shortest one so far, and these seconds.
const PATIENCE: f64 = 4.0;
const PATIENCE_SECONDS: f64 = 10.0;
const PATIENCE_FIRST: f64 = 60.0;

/// One contestant and what was seen of it, round by round.
struct Entry {
    rival: Rival,
    seen: Vec<Seen>,
}

impl Entry {
    fn wall(&self) -> f64 {
        median(self.seen.iter().map(|seen| seen.wall))
    }

    fn kills(&self) -> u64 {
        self.seen.iter().map(|seen| seen.kills).sum()
    }

    fn cores(&self) -> f64 {
        median(self.seen.iter().map(|seen| seen.cores))
    }

    fn above(&self) -> f64 {
        self.seen.iter().map(|seen| seen.above).sum::<f64>() / self.seen.len().max(1) as f64
    }

    fn all_well(&self) -> bool {
        self.seen.iter().all(|seen| seen.well) && self.kills() == 0
    }

    fn keeps_memory(&self) -> bool {
        self.all_well() && self.above() <= KEPT
    }
}

/// The plugins that come with the program, beside it, as users have them.
fn with_plugins(stage: &Stage) -> Result<(), Failure> {
    let packages = ["orchestrator-plugin-system-metrics", "orchestrator-plugin-resource-capacity"];
    let mut build = shell::cargo(&stage.root);
    build.args(["build", "--locked", "--release"]).args(packages.iter().flat_map(|name| ["-p", name]));
    shell::run(&mut build)
}

/// Runs every load under all contestants.
///
/// # Errors
/// There is no memory control group to be had, or a contestant does not start.
pub(super) fn measure(stage: &Stage) -> Result<Report, Failure> {
    let with_parallel = shell::succeeds(std::process::Command::new("parallel").arg("--version"));
    if !with_parallel {
        println!("GNU parallel is not here and is left out (apt-get install parallel)");
    }
    with_plugins(stage)?;
    let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
    let chosen = chosen(stage)?;
    let mut table = report(stage, cores)?;
    for (_, make) in chosen {
        let Some(load) = make(stage)? else { continue };
        let mut entries: Vec<Entry> = Rival::all(&load, with_parallel, stage.quick)
            .into_iter()
            .map(|rival| Entry { rival, seen: Vec::new() })
            .collect();
        let rounds = if stage.quick { 1 } else { ROUNDS };
        for round in 0..rounds {
            run_round(stage, &load, &mut entries, round)?;
        }
        table.replace_group(rows_of(&load, &entries, cores));
        if !stage.quick {
            // A run that is stopped leaves what it has measured, beside what was measured before.
            table.keep(&stage.root)?;
        }
    }
    Ok(table)
}

/// The loads that were asked for.
fn chosen(stage: &Stage) -> Result<Vec<(&'static str, loads::Make)>, Failure> {
    let is_chosen = |name: &str| stage.only.as_deref().is_none_or(|only| only == name);
    let chosen: Vec<_> = loads::LOADS.into_iter().filter(|(name, _)| is_chosen(name)).collect();
    match chosen.is_empty() {
        true => Err(Failure::Usage { usage: USAGE }),
        false => Ok(chosen),
    }
}

/// The table as it was measured before: each load's rows are replaced when it was measured again.
fn report(stage: &Stage, cores: f64) -> Result<Report, Failure> {
    let columns = [
        "work",
        "who",
        "makespan s",
        "best -j, same thresholds",
        "best -j, no OOM",
        "peak memory MB",
        "above 75 % memory",
        "OOM kills",
        "CPU",
    ];
    let mut report = Report {
        name: "live",
        about: format!(
            "{cores} cores, each run in a memory control group of its own (its size stands beside the work); medians of up to \
             {ROUNDS} rounds in turn. \"Best -j\": the makespan over that of the best `xargs -P` that keeps the memory \
             threshold of 75 % for 99 % of the time (and, compared with the orchestrator as it comes, 80 % of the CPU), and \
             over that of the best that nothing was killed under. Memory is what is held without page cache. A run after \
             which not all is done has no ratio. The orchestrator records, captures, samples and moves results into place \
             as always; GNU parallel's own CPU time counts."
        ),
        columns: columns.map(str::to_owned).to_vec(),
        rows: Vec::new(),
    };
    report.read_rows(&stage.root)?;
    Ok(report)
}

fn run_round(stage: &Stage, load: &Load, entries: &mut [Entry], round: usize) -> Result<(), Failure> {
    let folder = stage.folder.join("work");
    let best = |entries: &[Entry]| {
        let well = entries.iter().filter(|entry| entry.rival.is_fixed() && entry.keeps_memory());
        well.map(Entry::wall).fold(f64::INFINITY, f64::min)
    };
    let best = if round > 0 { best(entries) } else { f64::INFINITY };
    let mut patience = PATIENCE_FIRST;
    for entry in entries.iter_mut() {
        let again = entry.rival.is_ours() || entry.all_well() && entry.wall() <= FAR * best;
        if round > 0 && !again {
            continue;
        }
        let (command, input) = entry.rival.command(stage, load, &folder)?;
        let group = Group::new(load.memory)?;
        let log = stage.folder.join("live.log");
        let seen = group.run(&command, input, &log, MEMORY, Duration::from_secs_f64(patience))?;
        if seen.well {
            patience = patience.min(PATIENCE * seen.wall + PATIENCE_SECONDS);
        }
        println!(
            "{}: {}: {:.1} s, {:.0} MB, above {:.0} %, {} killed, {:.2} cores{}",
            load.name,
            entry.rival.name(load),
            seen.wall,
            seen.peak as f64 / 1e6,
            100.0 * seen.above,
            seen.kills,
            seen.cores,
            if seen.well { "" } else { ", not all done" },
        );
        if entry.rival.is_ours() && !seen.well {
            println!("{}", std::fs::read_to_string(&log).unwrap_or_default());
        }
        entry.seen.push(seen);
    }
    Ok(())
}

/// The table's rows for a load.
fn rows_of(load: &Load, entries: &[Entry], cores: f64) -> Vec<Vec<String>> {
    let best = |fits: &dyn Fn(&Entry) -> bool| {
        let fixed = entries.iter().filter(|entry| matches!(entry.rival, Rival::Xargs(_)) && fits(entry));
        fixed.map(Entry::wall).fold(f64::INFINITY, f64::min)
    };
    let below_cpu = |entry: &Entry| entry.cores() <= (CPU + BEYOND) * cores;
    let all_kept = best(&|entry| entry.keeps_memory() && below_cpu(entry));
    let memory_kept = best(&Entry::keeps_memory);
    let alive = best(&Entry::all_well);
    let ratio = |entry: &Entry, of: f64| match of.is_finite() && entry.all_well() {
        true => format!("{:.2}", entry.wall() / of),
        false => "–".to_owned(),
    };
    let work = format!("{} ({} MB)", load.name, load.memory / 1_000_000);
    let row = |(place, entry): (usize, &Entry)| {
        let same = if entry.rival == Rival::Ours { all_kept } else { memory_kept };
        let peak = median(entry.seen.iter().map(|seen| seen.peak as f64));
        vec![
            if place == 0 { work.clone() } else { String::new() },
            entry.rival.name(load),
            format!("{:.1}", entry.wall()),
            ratio(entry, same),
            ratio(entry, alive),
            format!("{:.0}", peak / 1e6),
            format!("{:.1} %", 100.0 * entry.above()),
            entry.kills().to_string(),
            format!("{:.0} %", 100.0 * entry.cores() / cores),
        ]
    };
    entries.iter().enumerate().map(row).collect()
}
