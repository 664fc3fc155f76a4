//! Who runs a load, and how.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use super::loads::Load;
use crate::bench::Stage;
use crate::bench::workloads::fresh;
use crate::error::Failure;

/// A way to run a load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rival {
    /// The orchestrator as it comes, nothing known of the work.
    Ours,
    /// The same with all cores to itself.
    OursAllCores,
    /// The same, and it ran this work before.
    OursLearned,
    /// `xargs -P`.
    Xargs(usize),
    /// `parallel -j`.
    Parallel(usize),
    /// `parallel -j … --memfree`, with as much as one process needs.
    MemFree(usize),
    /// `parallel -j … --load 100%`.
    Load(usize),
}

impl Rival {
    /// All that take part.
    pub(super) fn all(load: &Load, with_parallel: bool, quick: bool) -> Vec<Self> {
        let mut all = vec![Self::Ours, Self::OursAllCores, Self::OursLearned];
        all.extend(load.jobs.iter().map(|jobs| Self::Xargs(*jobs)));
        let most = load.jobs.last().copied().unwrap_or(1);
        if with_parallel {
            all.extend([Self::Parallel(2.max(load.jobs[0])), Self::MemFree(most)]);
        }
        // It waits for a calm machine before it begins, for long where that is not calm.
        all.extend((with_parallel && !quick).then_some(Self::Load(most)));
        all
    }

    pub(super) fn name(self, load: &Load) -> String {
        match self {
            Self::Ours => "orchestrator".to_owned(),
            Self::OursAllCores => "orchestrator, CPU 100 %".to_owned(),
            Self::OursLearned => "orchestrator, CPU 100 %, second run".to_owned(),
            Self::Xargs(jobs) => format!("xargs -P {jobs}"),
            Self::Parallel(jobs) => format!("parallel -j {jobs}"),
            Self::MemFree(jobs) => format!("parallel -j {jobs} --memfree {}M", load.memory_each / 1_000_000),
            Self::Load(jobs) => format!("parallel -j {jobs} --load 100%"),
        }
    }

    /// Whether a number was fixed and nothing else looked at.
    pub(super) fn is_fixed(self) -> bool {
        matches!(self, Self::Xargs(_) | Self::Parallel(_))
    }

    /// Whether it decides by itself, and so takes part in every round.
    pub(super) fn is_ours(self) -> bool {
        matches!(self, Self::Ours | Self::OursAllCores | Self::OursLearned)
    }

    /// The command line, and what it reads.
    pub(super) fn command(
        self,
        stage: &Stage,
        load: &Load,
        folder: &Path,
    ) -> Result<(Command, Option<File>), Failure> {
        match self {
            Self::Ours | Self::OursAllCores | Self::OursLearned => {
                let learned = if self == Self::OursLearned { keep_learned(folder)? } else { Vec::new() };
                fresh(folder)?;
                for (path, bytes) in learned {
                    write(&path, &bytes)?;
                }
                Ok((self.ours(stage, load, folder)?, None))
            }
            Self::Xargs(jobs) => {
                let mut command = Command::new("xargs");
                command.arg(format!("-P{jobs}")).args(["-I{}", "sh", "-c"]).arg(one(load, folder));
                command.args(["sh", "{}"]);
                Ok((command, Some(names(load, folder)?)))
            }
            Self::Parallel(jobs) => self.parallel(jobs, &[], load, folder),
            Self::MemFree(jobs) => {
                let free = format!("{}M", load.memory_each / 1_000_000);
                self.parallel(jobs, &["--memfree", &free], load, folder)
            }
            Self::Load(jobs) => self.parallel(jobs, &["--load", "100%"], load, folder),
        }
    }

    fn ours(self, stage: &Stage, load: &Load, folder: &Path) -> Result<Command, Failure> {
        let config = folder.join("config.yaml");
        let limits = match self {
            Self::Ours => "",
            _ => "resource_limits: {cpu_threshold_percent: 100}\n",
        };
        let text = format!(
            "binary: {{path: {}, flags: [\"{{input_file}}\"], stdout: \"{{output_file}}\"}}\n\
             input: {{files_directory: {}}}\n\
             output: {{directory: {}, validation: {{required: false}}}}\n\
             learn: across_runs\n{limits}",
            load.script.display(),
            load.directory.display(),
            folder.join("out").display(),
        );
        write(&config, text.as_bytes())?;
        let mut command = Command::new(&stage.orchestrator);
        command.arg("run").arg(config);
        Ok(command)
    }

    fn parallel(
        self,
        jobs: usize,
        more: &[&str],
        load: &Load,
        folder: &Path,
    ) -> Result<(Command, Option<File>), Failure> {
        let names = names(load, folder)?;
        let mut command = Command::new("parallel");
        command.arg("--will-cite").arg(format!("-j{jobs}")).args(more);
        command.arg(format!("{} {{}} > {}/{{/}}", load.script.display(), folder.display()));
        Ok((command, Some(names)))
    }
}

/// What a shell does with one file.
fn one(load: &Load, folder: &Path) -> String {
    format!("{} \"$1\" > \"{}/${{1##*/}}\"", load.script.display(), folder.display())
}

/// All inputs by name, a line each, in a file; the folder is made anew.
fn names(load: &Load, folder: &Path) -> Result<File, Failure> {
    fresh(folder)?;
    let entries = fs::read_dir(&load.directory).map_err(|error| Failure::file(&load.directory, error))?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.path().to_string_lossy().into_owned()).collect();
    names.sort();
    let list = folder.join("names");
    write(&list, names.join("\n").as_bytes())?;
    File::open(&list).map_err(|error| Failure::file(&list, error))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| Failure::file(folder, error))?;
    }
    fs::write(path, bytes).map_err(|error| Failure::file(path, error))
}

/// What the last run of ours in this folder learned.
fn keep_learned(folder: &Path) -> Result<Vec<(std::path::PathBuf, Vec<u8>)>, Failure> {
    let state = folder.join("out/.orchestrator");
    let Ok(entries) = fs::read_dir(&state) else { return Ok(Vec::new()) };
    let of_law = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with("learned-");
    let paths = entries.flatten().filter(of_law).map(|entry| entry.path());
    paths
        .map(|path| Ok((path.clone(), fs::read(&path).map_err(|error| Failure::file(&path, error))?)))
        .collect()
}
