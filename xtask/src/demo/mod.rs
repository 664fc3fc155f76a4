//! `cargo xtask demo`: the main job on real files of this machine, held against a plain loop.

mod files;
mod run;
mod sequential;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::Failure;
use crate::shell;
use crate::workspace::Workspace;

/// The most files that the demo works on.
const MOST_FILES: usize = 400;
/// How long the plain loop may take; what it finished by then is the demo's work.
const LOOP_TIME: Duration = Duration::from_secs(15);

/// Where the demo lives: below the target folder, made anew each time.
struct Stage {
    folder: PathBuf,
    /// Programs and plugins as cargo built them.
    built: PathBuf,
    tool: Tool,
}

/// A compressor of this machine that writes to standard output.
struct Tool {
    name: &'static str,
    flags: &'static [&'static str],
    suffix: &'static str,
}

const TOOLS: [Tool; 2] = [
    Tool { name: "xz", flags: &["-6", "-T1", "-c"], suffix: ".xz" },
    Tool { name: "gzip", flags: &["-9", "-n", "-c"], suffix: ".gz" },
];

/// What a job does after compressing: it waits, as for a slow receiver. Most real jobs wait for something; that is why
/// more of them fit on a machine than it has cores, and why somebody has to find out how many.
const SCRIPT: &str = "\"$@\" && sleep 0.15";

/// Builds, compresses source files twice (one by one, and by the orchestrator with its plugins loaded from a folder),
/// and compares every byte.
///
/// # Errors
/// Any step fails, the outputs differ, or no two processes ever ran at once.
pub(crate) fn run() -> Result<(), Failure> {
    let workspace = Workspace::load()?;
    shell::run(workspace.cargo().args(["build", "--workspace", "--locked"]))?;
    let stage = Stage::set(&workspace)?;
    let tool = stage.tool.name;

    let found = files::real_files(MOST_FILES)?;
    println!(
        "\n1. A plain loop: `{tool}` over real source files, then 0.15 s of waiting as for a slow receiver"
    );
    let baseline = sequential::run(&stage, &found)?;
    println!("   {} files, {:.1} MB, {:.1} s", baseline.files, baseline.megabytes, baseline.seconds);

    println!(
        "\n2. The same files through the orchestrator, plugins loaded from {}",
        stage.plugins().display()
    );
    let report = run::run(&stage)?;

    println!("\n3. The two results, byte for byte");
    let differing = files::differences(&stage.folder.join("sequential"), &stage.output())?;
    verdict(&baseline, &report, differing)
}

fn verdict(
    baseline: &sequential::Baseline,
    report: &run::Report,
    differing: Vec<String>,
) -> Result<(), Failure> {
    if !differing.is_empty() {
        return Err(Failure::Rules { check: "outputs that differ from the plain loop's", broken: differing });
    }
    println!("   {} files, all equal", baseline.files);
    println!(
        "   plain loop {:.1} s, orchestrator {:.1} s; up to {} processes at once, chosen by a capacity plugin",
        baseline.seconds, report.seconds, report.most_at_once
    );
    if report.most_at_once < 2 {
        let broken = vec![format!("the most processes seen at once: {}", report.most_at_once)];
        return Err(Failure::Rules { check: "capacity that never let two processes run at once", broken });
    }
    println!("\nNext: `cargo xtask test`, or your own files: see README.md");
    Ok(())
}

impl Stage {
    /// Clears the folder and puts copies of the built plugins into it.
    fn set(workspace: &Workspace) -> Result<Self, Failure> {
        let folder = workspace.target_directory.join("demo");
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|source| Failure::file(&folder, source))?;
        }
        let tool = TOOLS
            .into_iter()
            .find(|tool| shell::succeeds(std::process::Command::new(tool.name).arg("--version")));
        let tool = tool.ok_or(Failure::Missing { what: "xz or gzip", remedy: "install xz-utils" })?;
        let stage = Self { folder, built: workspace.target_directory.join("debug"), tool };
        for part in [stage.input(), stage.output(), stage.plugins(), stage.folder.join("sequential")] {
            fs::create_dir_all(&part).map_err(|source| Failure::file(&part, source))?;
        }
        stage.copy_plugins()?;
        Ok(stage)
    }

    fn copy_plugins(&self) -> Result<(), Failure> {
        let entries = fs::read_dir(&self.built).map_err(|source| Failure::file(&self.built, source))?;
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("liborchestrator_plugin_") && name.ends_with(".so") {
                let target = self.plugins().join(name.as_ref());
                fs::copy(&path, &target).map_err(|source| Failure::file(&target, source))?;
            }
        }
        Ok(())
    }

    /// What is run for each file, but for the file.
    fn command(&self) -> Vec<&'static str> {
        ["sh", "-c", SCRIPT, "demo", self.tool.name]
            .into_iter()
            .chain(self.tool.flags.iter().copied())
            .collect()
    }

    fn input(&self) -> PathBuf {
        self.folder.join("input")
    }

    fn output(&self) -> PathBuf {
        self.folder.join("output")
    }

    fn plugins(&self) -> PathBuf {
        self.folder.join("plugins")
    }
}
