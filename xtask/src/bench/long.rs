//! A long run in small: memory and cost over very many tasks in one run, and what is left of them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::measure::{cpu_seconds, median, resident};
use super::peers::{Work, configuration};
use super::queue::live;
use super::report::Report;
use super::{Stage, workloads};
use crate::error::Failure;
use crate::shell;

/// Memory and cost are noted when so many tasks are done (the host says how many once a second).
const MARKS: [u64; 5] = [1_000, 10_000, 100_000, 300_000, 600_000];
/// Memory is held against what it was then.
const BASE: u64 = 10_000;

/// What was seen of the host when so many tasks were done.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    done: u64,
    /// Bytes resident.
    memory: u64,
    /// Seconds of own CPU time.
    cpu: f64,
}

/// Runs very many tasks and looks at the host while it does, and at what it leaves behind.
///
/// # Errors
/// The orchestrator fails.
pub(super) fn measure(stage: &Stage) -> Result<Report, Failure> {
    let count = if stage.quick { 3_000 } else { 1_000_000 };
    let folder = stage.folder.join("work");
    workloads::fresh(&folder)?;
    let program = workloads::program(&stage.folder, "t0")?;
    let directory = workloads::files(&stage.folder, count)?;
    let work = Work { program, arguments: Vec::new(), directory, count, jobs: 2 };
    let config = folder.join("config.yaml");
    fs::write(&config, configuration(&work, &folder, "")).map_err(|error| Failure::file(&config, error))?;
    let (seconds, marks) = run(stage, &folder, &config)?;
    let row = |what: String, value: String| vec![what, value];
    let mut rows =
        vec![row("tasks/s over the whole run".to_owned(), format!("{:.0}", count as f64 / seconds))];
    let first =
        marks.iter().find(|mark| mark.done >= BASE).or(marks.last()).map_or(1, |mark| mark.memory.max(1));
    let mut before = Mark::default();
    for mark in marks {
        let each = (mark.cpu - before.cpu) / (mark.done - before.done).max(1) as f64 * 1e6;
        let (megabytes, times) = (mark.memory as f64 / 1e6, mark.memory as f64 / first as f64);
        rows.push(row(
            format!("after {} tasks", mark.done),
            format!("{megabytes:.1} MB resident ({times:.2} ×); since the line above {each:.0} µs of own CPU a task"),
        ));
        before = mark;
    }
    let state = folder.join("out/.orchestrator/state.db");
    let bytes = fs::metadata(&state).map_err(|error| Failure::file(&state, error))?.len();
    rows.push(row("state, a task".to_owned(), format!("{:.0} bytes", bytes as f64 / count as f64)));
    let status = thrice(|| ended(stage, "status", &config))?;
    rows.push(row("answering `status`".to_owned(), format!("{status:.2} s")));
    let opening = thrice(|| opened(stage, &config, false))?;
    rows.push(row("opening it again".to_owned(), format!("{opening:.2} s")));
    let nothing = thrice(|| ended(stage, "run", &config))?;
    rows.push(row("a whole run that finds nothing to do".to_owned(), format!("{nothing:.2} s")));
    opened(stage, &config, true)?;
    let killed = opened(stage, &config, true)?;
    rows.push(row("opening it after a kill, everything checked".to_owned(), format!("{killed:.2} s")));
    Ok(Report {
        name: "long",
        about: format!("{count} tasks (t0) in one run, 2 at a time, record and capture on."),
        columns: ["what", "value"].map(str::to_owned).to_vec(),
        rows,
    })
}

/// The whole run: its seconds, and what was seen on the way, the last time just before its end.
fn run(stage: &Stage, folder: &Path, config: &Path) -> Result<(f64, Vec<Mark>), Failure> {
    let mut command = Command::new(&stage.orchestrator);
    command.arg("run").arg(config);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let mut host =
        command.spawn().map_err(|source| Failure::Start { program: "orchestrator".to_owned(), source })?;
    let (mut marks, mut last) = (Vec::new(), Mark::default());
    while matches!(host.try_wait(), Ok(None)) {
        let (memory, cpu) = (resident(host.id()), cpu_seconds(host.id()));
        if let Some(done) = live(folder)["snapshot"]["completed"].as_u64() {
            last = Mark { done, memory, cpu };
        }
        if MARKS.get(marks.len()).is_some_and(|mark| last.done >= *mark) {
            marks.push(last);
        }
        thread::sleep(Duration::from_millis(50));
    }
    if marks.last().is_none_or(|mark| mark.done < last.done) {
        marks.push(last);
    }
    Ok((start.elapsed().as_secs_f64(), marks))
}

fn thrice(time: impl Fn() -> Result<f64, Failure>) -> Result<f64, Failure> {
    Ok(median([time()?, time()?, time()?]))
}

/// Seconds until a command has ended.
fn ended(stage: &Stage, word: &str, config: &Path) -> Result<f64, Failure> {
    let start = Instant::now();
    shell::capture(Command::new(&stage.orchestrator).arg(word).arg(config))?;
    Ok(start.elapsed().as_secs_f64())
}

/// Seconds until a run has read back its state and says that it begins; then it may go on to its end, or is killed.
fn opened(stage: &Stage, config: &Path, kill: bool) -> Result<f64, Failure> {
    let mut command = Command::new(&stage.orchestrator);
    command.args(["run", "--format", "json"]).arg(config);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let start = Instant::now();
    let wrong = |source| Failure::Start { program: "orchestrator".to_owned(), source };
    let mut host = command.spawn().map_err(wrong)?;
    let mut lines = host.stdout.take().map(BufReader::new);
    let mut line = String::new();
    lines.as_mut().map_or(Ok(0), |lines| lines.read_line(&mut line)).map_err(wrong)?;
    let seconds = start.elapsed().as_secs_f64();
    if kill {
        // It begins its run in the state a moment after it says so.
        thread::sleep(Duration::from_millis(300));
        host.kill().map_err(wrong)?;
    } else {
        lines.into_iter().flat_map(BufRead::lines).for_each(drop);
    }
    host.wait().map_err(wrong)?;
    Ok(seconds)
}
