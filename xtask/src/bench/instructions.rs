//! Instructions, counted by valgrind: figures that do not depend on what else the machine does.

use std::fs;
use std::process::{Command, Stdio};

use super::peers::{Work, configuration};
use super::report::Report;
use super::{Stage, workloads};
use crate::error::Failure;
use crate::shell;

/// Counts instructions of a step of the scheduler and of a whole task.
///
/// # Errors
/// valgrind is missing, or what it runs fails.
pub(super) fn measure(stage: &Stage) -> Result<Report, Failure> {
    if !shell::succeeds(Command::new("valgrind").arg("--version")) {
        return Err(Failure::Missing { what: "valgrind", remedy: "apt-get install valgrind" });
    }
    let (few, many) = if stage.quick { (50, 150) } else { (1_000, 5_000) };
    let scheduler = |count: usize| {
        let mut command = Command::new(stage.built.join("bench_queue"));
        command.args(["--scheduler", &count.to_string()]);
        counted(stage, &command)
    };
    let step = (scheduler(many)? - scheduler(few)?) / (many - few) as f64;
    let (few, many) = if stage.quick { (20, 60) } else { (200, 1_000) };
    let task = (whole(stage, many)? - whole(stage, few)?) / (many - few) as f64;
    let row = |what: &str, value: f64| vec![what.to_owned(), format!("{value:.0}")];
    Ok(Report {
        name: "instructions",
        about: "Instructions in user mode, by callgrind: the difference of two runs over the difference of their \
                tasks, so that what a start costs is not in it. (Under valgrind processes are started by posix_spawn.)"
            .to_owned(),
        columns: ["what", "instructions a task"].map(str::to_owned).to_vec(),
        rows: vec![
            row("scheduler alone: discovery, start, exit, validation, publication", step),
            row("whole program: t0, record and capture on", task),
        ],
    })
}

fn whole(stage: &Stage, count: usize) -> Result<f64, Failure> {
    let folder = stage.folder.join("work");
    workloads::fresh(&folder)?;
    let program = workloads::program(&stage.folder, "t0")?;
    let directory = workloads::files(&stage.folder, count)?;
    let work = Work { program, arguments: Vec::new(), directory, count, jobs: 2 };
    let config = folder.join("config.yaml");
    fs::write(&config, configuration(&work, &folder, "")).map_err(|error| Failure::file(&config, error))?;
    let mut command = Command::new(&stage.orchestrator);
    command.arg("run").arg(&config);
    counted(stage, &command)
}

/// Instructions that a command takes, its children excluded.
fn counted(stage: &Stage, command: &Command) -> Result<f64, Failure> {
    let log = stage.folder.join("valgrind.log");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--trace-children=no"]);
    valgrind.arg(format!("--log-file={}", log.display())).arg(command.get_program()).args(command.get_args());
    shell::quietly(valgrind.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))?;
    let text = fs::read_to_string(&log).map_err(|error| Failure::file(&log, error))?;
    let total = text.lines().filter_map(|line| line.split_once("Collected :")?.1.trim().parse::<f64>().ok());
    Ok(total.sum())
}
