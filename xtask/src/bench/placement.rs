//! Whether a CPU of its own helps a short task: the same work without and with `placement: core`, in turn.

use super::measure::median;
use super::peers::{self, Work};
use super::report::Report;
use super::{Stage, measure, workloads};
use crate::error::Failure;

/// A workload: its title, the program, its arguments, how many files (and how many to see that it works).
struct Load(&'static str, &'static str, &'static [&'static str], usize, usize);

const LOADS: [Load; 5] = [
    Load("t0 (no libc)", "t0", &[], 10_000, 400),
    Load("/bin/true", "/bin/true", &[], 3_000, 200),
    Load("1 ms of CPU", "burn", &["1"], 2_000, 100),
    Load("10 ms of CPU", "burn", &["10"], 400, 20),
    Load("100 ms of CPU", "burn", &["100"], 60, 10),
];

/// Measures every workload, as many at a time as there are CPUs.
///
/// # Errors
/// A run fails.
pub(super) fn measure(stage: &Stage) -> Result<Report, Failure> {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let rounds = if stage.quick { 1 } else { 9 };
    let mut rows = Vec::new();
    for Load(title, program, arguments, many, few) in LOADS {
        let count = if stage.quick { few } else { many };
        let program = match program {
            path if path.starts_with('/') => path.into(),
            name => workloads::program(&stage.folder, name)?,
        };
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let directory = workloads::files(&stage.folder, count)?;
        let work = Work { program, arguments, directory, count, jobs };
        let mut rates: [Vec<f64>; 2] = Default::default();
        for round in 0..rounds {
            for (placement, rates) in ["none", "core"].into_iter().zip(&mut rates) {
                rates.push(rate(stage, &work, placement)?);
                println!("round {round}: {:>8.0} tasks/s  {title}, {placement}", rates[round]);
            }
        }
        rows.push(row(title, &rates));
    }
    let columns =
        ["workload", "none, tasks/s", "core, tasks/s", "core is", "least in a round", "most in a round"];
    Ok(Report {
        name: "placement",
        about: format!(
            "One command for each file, {jobs} at a time on {jobs} CPUs, without a place and with a CPU of its own for each; \
             medians of {rounds} rounds in turn. \"Core is\": its rate over the other's in the same round."
        ),
        columns: columns.map(str::to_owned).to_vec(),
        rows,
    })
}

/// Tasks a second of one run.
fn rate(stage: &Stage, work: &Work, placement: &str) -> Result<f64, Failure> {
    let mut command = (peers::ORCHESTRATOR.command)(stage, work, &stage.folder.join("work"))?;
    command.args(["--set", &format!("concurrency.placement={placement}")]);
    Ok(work.count as f64 / measure::run(command, &stage.folder.join("said"))?.wall)
}

fn row(title: &str, [none, core]: &[Vec<f64>; 2]) -> Vec<String> {
    let ratios = || core.iter().zip(none).map(|(core, none)| core / none);
    let rate = |rates: &[f64]| format!("{:.0}", median(rates.iter().copied()));
    let times = |ratio: f64| format!("{ratio:.2} ×");
    vec![
        title.to_owned(),
        rate(none),
        rate(core),
        times(median(ratios())),
        times(ratios().fold(f64::INFINITY, f64::min)),
        times(ratios().fold(0.0, f64::max)),
    ]
}
