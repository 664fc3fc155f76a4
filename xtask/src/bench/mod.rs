//! `cargo xtask bench`: figures that documents may cite.
//!
//! Two kinds: programs of the tests package that measure one part and print a table, and measurements made here, of the
//! whole program against peers and raw limits. The latter run their contestants in turn (A B A B …), take medians, write
//! `bench/results.json` and renew the tables of `docs/performance.md` and `docs/capacity.md`.

mod instructions;
mod launch;
mod launch_instructions;
mod limits;
mod live;
mod long;
mod measure;
mod peers;
mod placement;
mod plugins;
mod queue;
mod report;
mod sampler;
mod workloads;

use std::path::PathBuf;
use std::process::Command;

use crate::error::Failure;
use crate::shell;
use crate::workspace::Workspace;
use report::Report;

/// Each program of the tests package that measures something: the benchmark's name, and the program.
const PROGRAMS: [(&str, &str); 2] = [("capacity", "bench_capacity"), ("predict", "bench_predict")];

/// A measurement of this chore.
type Measure = fn(&Stage) -> Result<Report, Failure>;

/// Each measurement: its name, and what makes it.
const MEASURES: [(&str, Measure); 13] = [
    ("launch", launch::measure),
    ("limits", limits::measure),
    ("sampler", sampler::measure),
    ("calls", plugins::calls),
    ("fleet", plugins::fleet),
    ("placement", placement::measure),
    ("long", long::measure),
    ("queue", queue::measure),
    ("instructions", instructions::measure),
    ("launch-instructions", launch_instructions::measure),
    ("live", live::measure),
    ("phases", live::timeline::measure),
    ("outside", live::outside::measure),
];

const USAGE: &str = "usage: cargo xtask bench [--quick] [launch | limits | sampler | calls | fleet | long | live [NAME] | phases | \
                     outside | placement | queue | instructions | launch-instructions | capacity [universes] [--write FILE] [FIRST LAST] | predict]";

/// What all measurements need.
#[derive(Debug)]
pub(crate) struct Stage {
    /// The orchestrator, built in release mode.
    orchestrator: PathBuf,
    /// The workspace's folder.
    root: PathBuf,
    /// A folder of this run's own, for inputs and outputs.
    folder: PathBuf,
    /// Where peers are installed that no package brings.
    tools: PathBuf,
    /// Whether it only has to be seen that everything works.
    quick: bool,
    /// The one piece of work that is to be measured, where a benchmark has several; all of them if absent.
    only: Option<String>,
}

/// Builds everything in release mode and runs one benchmark (the arguments after its name are its own), or all.
///
/// # Errors
/// There is no such benchmark, or it fails.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let quick = arguments.iter().any(|word| word == "--quick");
    let words: Vec<&String> = arguments.iter().filter(|word| *word != "--quick").collect();
    let name = words.first().map(|name| name.as_str());
    let is_chosen = |known: &str| name.is_none_or(|name| name == known);
    let programs: Vec<_> = PROGRAMS.iter().filter(|(known, _)| is_chosen(known)).collect();
    let measures: Vec<_> = MEASURES.iter().filter(|(known, _)| is_chosen(known)).collect();
    if programs.is_empty() && measures.is_empty() {
        return Err(Failure::Usage { usage: USAGE });
    }
    let workspace = Workspace::load()?;
    let packages = ["build", "--locked", "--release", "-p", "orchestrator-host", "-p", "orchestrator-tests"];
    shell::run(workspace.cargo().args(packages))?;
    let built = workspace.target_directory.join("release");
    for (_, program) in programs {
        let mut command = Command::new(built.join(program));
        shell::run(command.args(words.iter().skip(1)).current_dir(&workspace.workspace_root))?;
    }
    let stage = Stage {
        orchestrator: built.join("orchestrator"),
        root: workspace.workspace_root.clone(),
        folder: workspace.target_directory.join("bench"),
        tools: workspace.target_directory.join("tools"),
        quick,
        only: words.get(1).map(|word| (*word).clone()),
    };
    workloads::fresh(&stage.folder)?;
    for (_, measure) in measures {
        let report = measure(&stage)?;
        report.print();
        if !quick {
            report.keep(&workspace.workspace_root)?;
        }
    }
    workloads::remove(&stage.folder);
    Ok(())
}
