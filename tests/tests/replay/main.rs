//! Recorded traces replayed through the predictors, against what others would allocate (protocol O: see
//! `orchestrator_core::predict::replay`).
//!
//! The traces are not part of this repository. They are read from `ORCHESTRATOR_TRACES`, else from `../shared/traces`
//! beside the checkout; without them these tests say so and pass.

#![expect(clippy::unwrap_used, reason = "a trace that cannot be read ends the test where it stands")]

mod baselines;
mod drift;
mod made_up;
mod odd;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use baselines::{BASELINES, Baseline, Known};
use orchestrator_core::Bytes;
use orchestrator_core::predict::replay::{
    Replay, SHORTEST_STREAM, Score, Totals, TraceReader, TraceRow, UNSCORED,
};
use orchestrator_core::predict::{MemoryRules, Severity, Watch};

const LAG: usize = 8;
const FLOOR: f64 = 64e6;

fn traces() -> Vec<(String, Vec<TraceRow>)> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/traces");
    let directory = std::env::var_os("ORCHESTRATOR_TRACES").map_or(beside, PathBuf::from);
    let Ok(entries) = fs::read_dir(&directory) else {
        eprintln!("skipped: there are no traces in {}", directory.display());
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| {
        path.extension().is_some_and(|ext| ext == "csv") && !path.to_string_lossy().contains("curves")
    });
    files.sort();
    files
        .into_iter()
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), rows(&path)))
        .collect()
}

/// The same of every trace, side by side.
fn of_each_trace<T: Send>(work: impl Fn(&str, Vec<TraceRow>) -> T + Sync) -> Vec<(String, T)> {
    let work = &work;
    std::thread::scope(|scope| {
        let started: Vec<_> = traces()
            .into_iter()
            .map(|(name, rows)| {
                scope.spawn(move || {
                    let done = work(&name, rows);
                    (name, done)
                })
            })
            .collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn rows(path: &Path) -> Vec<TraceRow> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let mut reader = TraceReader::new(lines.next().unwrap()).unwrap();
    lines.filter_map(|line| reader.read(line).unwrap()).collect()
}

/// By workflow and task, each in order of start.
fn streams(rows: Vec<TraceRow>) -> BTreeMap<(String, String), Vec<TraceRow>> {
    let mut streams: BTreeMap<_, Vec<TraceRow>> = BTreeMap::new();
    for row in rows {
        streams.entry((row.task.workflow.clone(), row.task.task.clone())).or_default().push(row);
    }
    streams
}

fn ours(rows: &[TraceRow]) -> Totals {
    let mut replay = Replay::new(LAG, MemoryRules::default());
    rows.iter().for_each(|row| drop(replay.row(row)));
    replay.totals()
}

fn theirs(rows: &[TraceRow], baseline: Baseline) -> Totals {
    let mut streams: BTreeMap<(&str, &str), Vec<&TraceRow>> = BTreeMap::new();
    for row in rows {
        streams.entry((&row.task.workflow, &row.task.task)).or_default().push(row);
    }
    let mut score = Score::default();
    for stream in streams.into_values().filter(|stream| stream.len() >= SHORTEST_STREAM) {
        let input = |row: &TraceRow| row.task.features.input.map_or(-1.0, |bytes| bytes.0 as f64);
        let known: Vec<Known> = stream
            .iter()
            .map(|row| Known {
                input: input(row),
                peak: row.outcome.peak.0 as f64,
                seconds: row.outcome.seconds,
            })
            .collect();
        for (i, row) in stream.iter().enumerate().skip(UNSCORED) {
            let request = row.task.features.requested_memory.map_or(0.0, |bytes| bytes.0 as f64);
            let ladder: Vec<Bytes> = baseline(&known[..i - LAG], input(row), request)
                .into_iter()
                .map(|rung| Bytes(rung.max(FLOOR).ceil() as u64))
                .collect();
            score.add(&ladder, None, &row.outcome);
        }
    }
    score.totals()
}

/// How often the rules for unusual tasks are met by recorded tasks, all of which ended well, and by the same tasks with ten
/// times the run time (a slowdown; a hang passes any time) or ten times the memory (a leak).
#[test]
fn few_healthy_tasks_are_unusual_and_most_sick_ones_are() {
    let (mut judged, mut slow, mut hopeless, mut large) = (0u32, 0u32, 0u32, 0u32);
    let (mut slowed, mut hung, mut leaked) = (0u32, 0u32, 0u32);
    for (_, rows) in traces() {
        for stream in streams(rows).into_values().filter(|stream| stream.len() >= SHORTEST_STREAM) {
            let (mut times, mut memory) = (Watch::default(), Watch::default());
            for (i, row) in stream.iter().enumerate() {
                if let Some(known) = i.checked_sub(LAG + 1).map(|at| &stream[at]) {
                    times.observe(&known.task.features, known.outcome.seconds);
                    memory.observe(&known.task.features, known.outcome.peak.0 as f64);
                }
                if i < 2 * UNSCORED + LAG {
                    continue;
                }
                let features = &row.task.features;
                let (seconds, peak) = (row.outcome.seconds, row.outcome.peak.0 as f64);
                judged += 1;
                let healthy = times.judge(features, seconds);
                slow += u32::from(healthy.is_some());
                hopeless += u32::from(healthy == Some(Severity::Hopeless));
                large += u32::from(memory.judge(features, peak).is_some());
                slowed += u32::from(times.judge(features, 10.0 * seconds).is_some());
                hung += u32::from(times.judge(features, f64::MAX) == Some(Severity::Hopeless));
                leaked += u32::from(memory.judge(features, 10.0 * peak).is_some());
            }
        }
    }
    let share = |count: u32| 100.0 * f64::from(count) / f64::from(judged.max(1));
    println!(
        "{judged} tasks: slow {:.3} %, hopeless {:.3} %, large {:.3} %; found of slowdowns {:.1} %, hangs {:.1} %, leaks {:.1} %",
        share(slow),
        share(hopeless),
        share(large),
        share(slowed),
        share(hung),
        share(leaked),
    );
    if judged > 0 {
        assert!(
            share(slow) <= 0.1 && share(hopeless) <= 0.05 && share(large) <= 0.1,
            "too many false alarms"
        );
        assert!(share(hung) >= 99.0 && share(slowed) >= 70.0 && share(leaked) >= 80.0, "too little is found");
    }
}

/// The goals of the design: cost ≤ 0.85 of the best baseline in the median of the traces and ≤ 1.1 in each, at most
/// 3.5 % failed attempts (5 % in any one trace), run time within 8 % in the median where input sizes are known.
#[test]
fn predictions_beat_the_baselines_on_recorded_traces() {
    let (mut ratios, mut failed, mut scored) = (Vec::new(), 0, 0);
    let replayed = of_each_trace(|_, rows| {
        let sized = rows.iter().all(|row| row.task.features.input.is_some());
        (sized, ours(&rows), BASELINES.map(|(name, baseline)| (name, theirs(&rows, baseline))))
    });
    for (name, (sized, ours, theirs)) in replayed {
        let (best_name, best) = theirs
            .into_iter()
            .inspect(|(other, totals)| {
                println!("{name:18} {other:15} {:9.2} GBh {:4} failures", totals.cost_gbh, totals.failures);
            })
            .min_by(|a, b| a.1.cost_gbh.total_cmp(&b.1.cost_gbh))
            .unwrap();
        let ratio = ours.cost_gbh / best.cost_gbh;
        let failures = ours.failures as f64 / ours.n as f64;
        let error = ours.runtime_median_error.unwrap();
        println!(
            "{name:18} ours            {:9.2} GBh {:4} failures ({:.2} %), {ratio:.2} of {best_name}, maq {:.3}, run time error {:.2} %\n",
            ours.cost_gbh,
            ours.failures,
            100.0 * failures,
            ours.maq.unwrap(),
            100.0 * error,
        );
        assert!(ratio <= 1.1, "{name}: {ratio} of {best_name}");
        assert!(failures <= 0.05, "{name}: {failures}");
        failed += ours.failures;
        scored += ours.n;
        assert!(error <= if sized { 0.08 } else { 0.12 }, "{name}: run time error {error}");
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    if let Some(median) = ratios.get(ratios.len() / 2) {
        let share = failed as f64 / scored as f64;
        println!("median ratio {median:.3}, {:.2} % failed attempts", 100.0 * share);
        assert!(*median <= 0.85, "median of {ratios:?}");
        assert!(share <= 0.035, "{failed} failures in {scored} tasks");
    }
}
