//! Who runs the same work: the orchestrator, and others.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Stage;
use crate::error::Failure;
use crate::shell;

/// One piece of work: a command line for every file of a directory, so many at a time.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) directory: PathBuf,
    pub(super) count: usize,
    pub(super) jobs: usize,
}

/// A program that can do it.
pub(super) struct Peer {
    pub(super) name: &'static str,
    /// It is given only one in so many of the files: its rate is known as well, and the rounds are shorter.
    pub(super) share: usize,
    /// Its command line for the work; its files go into the folder.
    pub(super) command: fn(&Stage, &Work, &Path) -> Result<Command, Failure>,
}

/// The orchestrator with everything on: record, captured output, metrics once a second.
pub(super) const ORCHESTRATOR: Peer = Peer { name: "orchestrator", share: 1, command: orchestrator };

/// Those of the others that this machine has or can build.
pub(super) fn others(stage: &Stage) -> Vec<Peer> {
    let all = [
        Peer { name: "make", share: 1, command: make },
        Peer { name: "xargs -n1", share: 1, command: xargs },
        Peer { name: "GNU parallel --joblog", share: 20, command: gnu_parallel },
        Peer { name: "moreutils parallel", share: 1, command: moreutils },
        Peer { name: "rust-parallel", share: 1, command: rust_parallel },
    ];
    let is_there = |peer: &Peer| match peer.name {
        "make" => found("make"),
        "xargs -n1" => found("xargs"),
        "GNU parallel --joblog" => found("parallel"),
        "moreutils parallel" => Path::new(MOREUTILS).exists(),
        _ => rust_parallel_program(stage).is_some(),
    };
    let (there, missing): (Vec<Peer>, Vec<Peer>) = all.into_iter().partition(is_there);
    for peer in missing {
        println!("{} is not here and is left out (apt-get install parallel moreutils make)", peer.name);
    }
    there
}

const MOREUTILS: &str = "/usr/bin/parallel.moreutils";

fn found(program: &str) -> bool {
    shell::succeeds(Command::new(program).arg("--version"))
}

fn orchestrator(stage: &Stage, work: &Work, folder: &Path) -> Result<Command, Failure> {
    super::workloads::fresh(folder)?;
    let config = folder.join("config.yaml");
    write(&config, configuration(work, folder, ""))?;
    let mut command = Command::new(&stage.orchestrator);
    command.arg("run").arg(config);
    Ok(command)
}

/// A configuration for the work; `more` goes below it.
pub(super) fn configuration(work: &Work, folder: &Path, more: &str) -> String {
    let flags: Vec<String> = work.arguments.iter().map(|word| format!("\"{word}\", ")).collect();
    format!(
        "binary: {{path: {}, flags: [{}\"{{input_file}}\"]}}\n\
         input: {{files_directory: {}}}\n\
         output: {{directory: {}, validation: {{required: false}}}}\n\
         calibration: {{enabled: false}}\n\
         concurrency: {{mode: fixed, max: {}}}\n\
         plugins: {{metrics: [], capacity: []}}\n{more}",
        work.program.display(),
        flags.concat(),
        work.directory.display(),
        folder.join("out").display(),
        work.jobs,
    )
}

/// All paths, each ended by `end`, in a file.
fn names(work: &Work, folder: &Path, end: char) -> Result<File, Failure> {
    let list = folder.join(format!("names-{}", u32::from(end)));
    let mut text = String::new();
    for number in 0..work.count {
        // Writing into a string does not fail.
        let _written = write!(text, "{}/f{number}{end}", work.directory.display());
    }
    write(&list, text)?;
    File::open(&list).map_err(|error| Failure::file(&list, error))
}

fn write(path: &Path, text: String) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| Failure::file(path, error))
}

fn with_names(program: &str, work: &Work, folder: &Path, options: &[String]) -> Result<Command, Failure> {
    super::workloads::fresh(folder)?;
    let mut command = Command::new(program);
    command.args(options).arg(&work.program).args(&work.arguments);
    command.stdin(Stdio::from(names(work, folder, '\n')?));
    Ok(command)
}

fn xargs(_: &Stage, work: &Work, folder: &Path) -> Result<Command, Failure> {
    with_names("xargs", work, folder, &[format!("-P{}", work.jobs), "-n1".to_owned()])
}

fn gnu_parallel(_: &Stage, work: &Work, folder: &Path) -> Result<Command, Failure> {
    let log = folder.join("joblog").to_string_lossy().into_owned();
    let options = ["--will-cite".to_owned(), format!("-j{}", work.jobs), "--joblog".to_owned(), log];
    with_names("parallel", work, folder, &options)
}

fn rust_parallel_program(stage: &Stage) -> Option<PathBuf> {
    let own = stage.tools.join("bin/rust-parallel");
    let runs = |program: &PathBuf| shell::succeeds(Command::new(program).arg("--version"));
    if let Some(program) = [PathBuf::from("rust-parallel"), own.clone()].into_iter().find(runs) {
        return Some(program);
    }
    if stage.quick {
        return None;
    }
    println!("rust-parallel is not installed: building it once");
    let mut install = Command::new("cargo");
    install.args(["install", "rust-parallel", "--locked", "--quiet", "--root"]).arg(&stage.tools);
    shell::succeeds(install.env_remove("CARGO_TARGET_DIR")).then_some(own)
}

fn rust_parallel(stage: &Stage, work: &Work, folder: &Path) -> Result<Command, Failure> {
    let program = rust_parallel_program(stage).unwrap_or_default();
    with_names(&program.to_string_lossy(), work, folder, &[format!("-j{}", work.jobs)])
}

fn moreutils(_: &Stage, work: &Work, folder: &Path) -> Result<Command, Failure> {
    super::workloads::fresh(folder)?;
    let mut command = Command::new(MOREUTILS);
    command.arg(format!("-j{}", work.jobs)).arg(&work.program).args(&work.arguments).arg("--");
    command.args((0..work.count).map(|number| format!("f{number}"))).current_dir(&work.directory);
    Ok(command)
}

fn make(_: &Stage, work: &Work, folder: &Path) -> Result<Command, Failure> {
    super::workloads::fresh(folder)?;
    let (mut all, mut rules) = ("all:".to_owned(), String::new());
    for number in 0..work.count {
        let line = [work.arguments.clone(), vec![format!("{}/f{number}", work.directory.display())]].concat();
        // Writing into a string does not fail.
        let _written = write!(all, " t{number}")
            .and_then(|()| write!(rules, "t{number}:\n\t@{} {}\n", work.program.display(), line.join(" ")));
    }
    let file = folder.join("Makefile");
    write(&file, format!("{all}\n\n{rules}"))?;
    let mut command = Command::new("make");
    command.args(["-s", &format!("-j{}", work.jobs), "-f"]).arg(file);
    Ok(command)
}
