//! Launches a second: the orchestrator with everything on, its peers, and the bare limit, in turn.

use std::process::Command;

use super::measure::{Seen, median};
use super::peers::{self, Peer, Work};
use super::report::Report;
use super::{Stage, measure, workloads};
use crate::error::Failure;
use crate::shell;

/// At a time.
const JOBS: usize = 2;

/// Nobody is given fewer files than this, if there are so many: its start is not to count for more than its rate.
const FEWEST: usize = 200;

/// A workload: its title, the program, its arguments, how many files (and how many to see that it works).
struct Load(&'static str, &'static str, &'static [&'static str], usize, usize);

const LOADS: [Load; 5] = [
    Load("t0 (no libc)", "t0", &[], 20_000, 400),
    Load("/bin/true", "/bin/true", &[], 2_000, 200),
    Load("1 ms of CPU", "burn", &["1"], 1_000, 100),
    Load("10 ms of CPU", "burn", &["10"], 400, 20),
    Load("100 ms of CPU", "burn", &["100"], 40, 10),
];

/// What one contestant did in one round.
#[derive(Clone, Copy)]
struct Score {
    /// Tasks a second.
    rate: f64,
    /// Seconds of own CPU time a task.
    own_cpu: f64,
    /// Bytes.
    memory: f64,
}

/// Every contestant's scores, in the order of the contestants.
type Rounds = Vec<Vec<Score>>;

/// Measures every workload.
///
/// # Errors
/// A contestant fails.
pub(super) fn measure(stage: &Stage) -> Result<Report, Failure> {
    let mut contestants = vec![peers::ORCHESTRATOR];
    contestants.extend(peers::others(stage));
    let rounds = if stage.quick { 1 } else { 5 };
    let mut rows = Vec::new();
    for load in &LOADS {
        let Load(title, program, arguments, many, few) = *load;
        let count = if stage.quick { few } else { many };
        let work = Work {
            program: if program.starts_with('/') {
                program.into()
            } else {
                workloads::program(&stage.folder, program)?
            },
            arguments: arguments.iter().map(ToString::to_string).collect(),
            directory: workloads::files(&stage.folder, count)?,
            count,
            jobs: JOBS,
        };
        let (seen, bare) = in_turn(stage, &contestants, &work, rounds)?;
        rows.extend(table(title, &contestants, &seen, &bare));
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let columns = [
        "workload",
        "program",
        "tasks/s",
        "orchestrator is",
        "least in a round",
        "own CPU µs/task",
        "peak MB",
    ];
    Ok(Report {
        name: "launch",
        about: format!(
            "One command for each file, {JOBS} at a time, on {cores} cores; medians of {rounds} rounds in turn. The \
             orchestrator records every attempt, captures output and samples once a second. \"Orchestrator is\": its rate \
             over the other's in the same round, median and least. Own CPU: the launcher's, without its children. \
             \"bare loop\" is a C program that does nothing but clone, epoll and waitid, in one thread, always with the first file."
        ),
        columns: columns.map(str::to_owned).to_vec(),
        rows,
    })
}

/// Runs A B C … A B C …, and the bare loop once a round.
fn in_turn(
    stage: &Stage,
    contestants: &[Peer],
    work: &Work,
    rounds: usize,
) -> Result<(Rounds, Vec<(f64, f64)>), Failure> {
    let mut seen: Rounds = contestants.iter().map(|_| Vec::new()).collect();
    let mut bare = Vec::new();
    for round in 0..rounds {
        for (peer, seen) in contestants.iter().zip(&mut seen) {
            let folder = stage.folder.join("work");
            let count = (work.count / peer.share).max(work.count.min(FEWEST));
            let work = Work { count, ..work.clone() };
            let command = (peer.command)(stage, &work, &folder)?;
            let Seen { wall, own_cpu, memory } = measure::run(command, &stage.folder.join("said"))?;
            let tasks = work.count as f64;
            let score = Score { rate: tasks / wall, own_cpu: own_cpu / tasks, memory: memory as f64 };
            println!("round {round}: {:>10.0} tasks/s  {}", score.rate, peer.name);
            seen.push(score);
        }
        bare.push(bare_loop(stage, work, "vfork")?);
    }
    Ok((seen, bare))
}

/// Launches a second and own microseconds of CPU a launch of the bare loop, one of its ways.
pub(super) fn bare_loop(stage: &Stage, work: &Work, way: &str) -> Result<(f64, f64), Failure> {
    let program = workloads::program(&stage.folder, "loop")?;
    let mut command = Command::new(program);
    command.args([way, &work.count.to_string(), &work.jobs.to_string()]);
    command.arg(&work.program).args(&work.arguments).arg(work.directory.join("f0"));
    let said = String::from_utf8_lossy(&shell::capture(&mut command)?).into_owned();
    let mut numbers = said.split_whitespace().filter_map(|word| word.parse().ok());
    Ok((numbers.next().unwrap_or(0.0), numbers.next().unwrap_or(0.0)))
}

fn table(title: &str, contestants: &[Peer], seen: &Rounds, bare: &[(f64, f64)]) -> Vec<Vec<String>> {
    let ours = &seen[0];
    let row = |name: &str, rates: Vec<f64>, own_cpu: f64, memory: Option<f64>| {
        let ratios = || rates.iter().zip(ours).map(|(their, our)| our.rate / their);
        let is_us = name == contestants[0].name;
        let ratio = |value: f64| if is_us { "–".to_owned() } else { format!("{value:.2} ×") };
        vec![
            title.to_owned(),
            name.to_owned(),
            format!("{:.0}", median(rates.iter().copied())),
            ratio(median(ratios())),
            ratio(ratios().fold(f64::INFINITY, f64::min)),
            format!("{:.0}", own_cpu * 1e6),
            memory.map_or("–".to_owned(), |bytes| format!("{:.1}", bytes / 1e6)),
        ]
    };
    let mut rows = Vec::new();
    for (peer, scores) in contestants.iter().zip(seen) {
        let middle = |value: fn(&Score) -> f64| median(scores.iter().map(value));
        let rates = scores.iter().map(|score| score.rate).collect();
        rows.push(row(peer.name, rates, middle(|score| score.own_cpu), Some(middle(|score| score.memory))));
    }
    let own_cpu = median(bare.iter().map(|one| one.1)) / 1e6;
    rows.push(row("bare loop", bare.iter().map(|one| one.0).collect(), own_cpu, None));
    rows
}
