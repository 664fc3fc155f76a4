//! Other people's load comes and goes while the orchestrator works.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::group::Group;
use crate::bench::Stage;
use crate::bench::measure::median;
use crate::bench::report::Report;
use crate::bench::workloads::{files, fresh, program};
use crate::error::Failure;
use crate::shell;

/// Memory of the group, bytes.
const MEMORY: u64 = 1_000_000_000;
/// The thresholds, percent.
const MEMORY_PERCENT: f64 = 75.0;
const CPU_PERCENT: f64 = 80.0;
/// Throughput is back where it reaches this share of what it was before, over this many seconds.
const BACK: f64 = 0.9;
const WINDOW: f64 = 2.0;

/// A load from outside.
struct Stress {
    name: &'static str,
    arguments: &'static [&'static str],
    /// Whether it shares our group's memory.
    inside: bool,
    /// What each of our tasks is: memory in MB, CPU and waiting in ms.
    task: [&'static str; 3],
}

const STRESSES: [Stress; 3] = [
    Stress {
        name: "CPU: one core",
        arguments: &["--cpu", "1", "--cpu-method", "int64"],
        inside: false,
        task: ["2", "40", "200"],
    },
    Stress {
        name: "memory: 500 MB",
        arguments: &["--vm", "1", "--vm-bytes", "500M", "--vm-hang", "0", "--vm-populate"],
        inside: true,
        task: ["25", "40", "200"],
    },
    Stress {
        name: "disk: two writers that sync",
        arguments: &["--hdd", "2", "--hdd-bytes", "64M", "--hdd-opts", "wr-seq,fsync"],
        inside: true,
        task: ["2", "40", "200"],
    },
];

/// What the orchestrator says, as far as it matters here.
#[derive(Clone, Copy, Debug)]
enum Said {
    Started,
    Stopped,
    Completed,
    Frozen,
    Thawed,
    /// A look at the machine: memory in use over what there is, and busy cores over all, both in percent.
    Sample {
        memory: f64,
        cpu: f64,
    },
}

/// All that was said, with seconds since the start.
struct Course(Vec<(f64, Said)>);

impl Course {
    /// Processes that run and do not stand still.
    fn active(&self, until: f64) -> i64 {
        let change = |said: &Said| match said {
            Said::Started | Said::Thawed => 1,
            Said::Stopped | Said::Frozen => -1,
            _ => 0,
        };
        self.0.iter().take_while(|(at, _)| *at <= until).map(|(_, said)| change(said)).sum()
    }

    fn completed(&self, from: f64, to: f64) -> f64 {
        let in_time =
            self.0.iter().filter(|(at, said)| matches!(said, Said::Completed) && *at > from && *at <= to);
        in_time.count() as f64 / (to - from)
    }

    fn samples(&self, from: f64, to: f64) -> impl Iterator<Item = (f64, f64, f64)> {
        let sample = |(at, said): &(f64, Said)| match said {
            Said::Sample { memory, cpu } => Some((*at, *memory, *cpu)),
            _ => None,
        };
        self.0.iter().filter_map(sample).filter(move |(at, ..)| *at > from && *at <= to)
    }

    /// Of each sample whether CPU or memory was above its threshold then.
    fn above(&self, from: f64, to: f64) -> Vec<bool> {
        self.samples(from, to).map(|(_, memory, cpu)| memory > MEMORY_PERCENT || cpu > CPU_PERCENT).collect()
    }

    /// Seconds after `from` until throughput was `rate` again.
    fn seconds_until(&self, from: f64, to: f64, rate: f64) -> Option<f64> {
        let steps = ((to - from - WINDOW) * 10.0) as u32;
        let starts = (0..=steps).map(|step| f64::from(step) / 10.0);
        starts.into_iter().find(|start| self.completed(from + start, from + start + WINDOW) >= rate)
    }
}

/// Measures how fast running tasks give way, and come back.
///
/// # Errors
/// `stress-ng` is missing, or something does not start.
pub(crate) fn measure(stage: &Stage) -> Result<Report, Failure> {
    if !shell::succeeds(Command::new("stress-ng").arg("--version")) {
        return Err(Failure::Missing { what: "stress-ng", remedy: "apt-get install stress-ng" });
    }
    super::with_plugins(stage)?;
    let rounds = if stage.quick { 1 } else { 3 };
    let mut rows = Vec::new();
    for stress in &STRESSES {
        let rounds: Result<Vec<_>, Failure> = (0..rounds).map(|_| one(stage, stress)).collect();
        rows.push(row(stress, &rounds?));
    }
    let columns = [
        "outside load",
        "running before",
        "during",
        "samples above a threshold in a row",
        "samples above in all",
        "throughput during",
        "back to 90 % after s",
        "OOM kills",
    ];
    Ok(Report {
        name: "outside",
        about: "stress-ng for 10 s while tasks of a quarter of a second run, in a memory control group of 1 GB; medians of 3 \
                rounds. A sample is a look at the machine, once a second; above a threshold is one with more than 80 % of the cores \
                or 75 % of memory in use. \"Back\": from the end of the load to the begin of the first 2 s in which 90 % of the \
                throughput before is reached."
            .to_owned(),
        columns: columns.map(str::to_owned).to_vec(),
        rows,
    })
}

/// What came of one round.
struct Reaction {
    before: f64,
    during: f64,
    /// Longest row of samples above a threshold, and the share of them in all.
    row: usize,
    above: f64,
    throughput: f64,
    back: Option<f64>,
    kills: u64,
}

fn one(stage: &Stage, stress: &Stress) -> Result<Reaction, Failure> {
    let (warm, load, after) = if stage.quick { (8, 5, 6) } else { (14, 10, 10) };
    let group = Group::new(MEMORY)?;
    let folder = stage.folder.join("work");
    let config = configuration(stage, stress, &folder)?;
    let mut command = Command::new(&stage.orchestrator);
    command.args(["run", "--format", "json"]).arg(&config);
    let mut command = group.command(&command);
    let start = Instant::now();
    let mut host = spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()))?;
    let heard = listen(&mut host, start);
    let mut course = Course(Vec::new());
    course.wait(&heard, start, Duration::from_secs(warm));
    let from = start.elapsed().as_secs_f64();
    let mut noise = Command::new("stress-ng");
    noise
        .args(stress.arguments)
        .args(["--timeout", &format!("{load}s"), "--quiet", "--temp-path"])
        .arg(&folder);
    let mut noise = if stress.inside { group.command(&noise) } else { noise };
    let mut noise = spawn(noise.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))?;
    while matches!(noise.try_wait(), Ok(None)) {
        course.wait(&heard, start, Duration::from_millis(50));
    }
    let to = start.elapsed().as_secs_f64();
    course.wait(&heard, start, Duration::from_secs(after));
    let end = start.elapsed().as_secs_f64();
    let kills = group.kills();
    group.clear();
    let _ended = host.wait();
    Ok(reaction(&course, from, to, end, kills))
}

fn reaction(course: &Course, from: f64, to: f64, end: f64, kills: u64) -> Reaction {
    let level =
        |from: f64, to: f64| median(course.samples(from, to).map(|(at, ..)| course.active(at) as f64));
    let (before, during) = (level(from - 5.0, from), level(f64::midpoint(from, to), to));
    let above = course.above(from, to);
    let row = above.split(|above| !above).map(<[bool]>::len).max().unwrap_or(0);
    let share = above.iter().filter(|above| **above).count() as f64 / above.len().max(1) as f64;
    let rate = course.completed(from - 5.0, from);
    Reaction {
        before,
        during,
        row,
        above: share,
        throughput: course.completed(from + 2.0, to) / rate.max(1e-9),
        back: course.seconds_until(to, end, BACK * rate),
        kills,
    }
}

fn row(stress: &Stress, rounds: &[Reaction]) -> Vec<String> {
    let middle = |of: &dyn Fn(&Reaction) -> f64| median(rounds.iter().map(of));
    let never = |value: f64, unit: &str| match value.is_finite() {
        true => format!("{value:.1}{unit}").replace(".0", ""),
        false => "never".to_owned(),
    };
    vec![
        stress.name.to_owned(),
        format!("{:.0}", middle(&|one| one.before)),
        format!("{:.0}", middle(&|one| one.during)),
        format!("{:.0}", middle(&|one| one.row as f64)),
        format!("{:.0} %", 100.0 * middle(&|one| one.above)),
        format!("{:.0} %", 100.0 * middle(&|one| one.throughput)),
        never(middle(&|one| one.back.unwrap_or(f64::INFINITY)), ""),
        rounds.iter().map(|one| one.kills).sum::<u64>().to_string(),
    ]
}

fn configuration(stage: &Stage, stress: &Stress, folder: &Path) -> Result<PathBuf, Failure> {
    fresh(folder)?;
    let hold = program(&stage.folder, "hold")?;
    let inputs = files(&stage.folder, 4_000)?;
    let config = folder.join("config.yaml");
    let flags: Vec<String> = stress.task.iter().map(|word| format!("\"{word}\", ")).collect();
    let text = format!(
        "binary: {{path: {}, flags: [{}\"{{input_file}}\"]}}\n\
         input: {{files_directory: {}}}\n\
         output: {{directory: {}, validation: {{required: false}}}}\n",
        hold.display(),
        flags.concat(),
        inputs.display(),
        folder.join("out").display(),
    );
    fs::write(&config, text).map_err(|error| Failure::file(&config, error))?;
    Ok(config)
}

fn spawn(command: &mut Command) -> Result<Child, Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.spawn().map_err(|source| Failure::Start { program, source })
}

/// Reads what the host prints, on a thread of its own.
fn listen(host: &mut Child, start: Instant) -> Receiver<(f64, Said)> {
    let (tell, heard) = channel();
    if let Some(stdout) = host.stdout.take() {
        thread::spawn(move || {
            let mut frozen = BTreeSet::new();
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let at = start.elapsed().as_secs_f64();
                if said(&line, &mut frozen).is_some_and(|said| tell.send((at, said)).is_err()) {
                    return;
                }
            }
        });
    }
    heard
}

impl Course {
    /// Listens for so long.
    fn wait(&mut self, heard: &Receiver<(f64, Said)>, start: Instant, time: Duration) {
        let until = start.elapsed() + time;
        while let Some(rest) = until.checked_sub(start.elapsed()) {
            match heard.recv_timeout(rest) {
                Ok(said) => self.0.push(said),
                Err(_) => thread::sleep(until.saturating_sub(start.elapsed())),
            }
        }
    }
}

fn said(line: &str, frozen: &mut BTreeSet<u64>) -> Option<Said> {
    let event: Value = serde_json::from_str(line).ok()?;
    if event["event"] == "snapshot" {
        let system = &event["system"];
        let (used, all) = (system["memory_used"].as_f64()?, system["memory_total"].as_f64()?);
        return Some(Said::Sample { memory: 100.0 * used / all, cpu: system["cpu_percent"].as_f64()? });
    }
    let attempt = event["attempt"].as_u64()?;
    match event["fact"].as_str()? {
        "attempt_started" => Some(Said::Started),
        // One that stood still does not run any more, whether it ends or not.
        "attempt_exited" => (!frozen.remove(&attempt)).then_some(Said::Stopped),
        "task_completed" => Some(Said::Completed),
        "attempt_frozen" => frozen.insert(attempt).then_some(Said::Frozen),
        "attempt_thawed" => frozen.remove(&attempt).then_some(Said::Thawed),
        _ => None,
    }
}
