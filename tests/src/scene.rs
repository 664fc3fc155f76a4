//! One test's own folder: inputs, outputs, plugins, configuration, and the commands run in it.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::artifacts;
use crate::host::{Outcome, Running};

/// A temporary folder with `in/`, `out/` (made by the host) and `plugins/`; removed at the end, and
/// every process that still mentions it is killed.
#[derive(Debug)]
pub struct Scene {
    folder: TempDir,
    starts: Cell<u32>,
}

/// Lines that make a run quick and its size known: no calibration, a fixed number of processes,
/// hardly a wait between retries.
pub const QUICK: &str = "\
calibration: {enabled: false}
concurrency: {mode: fixed, max: 4}
retry: {max_attempts: 1, delay: 10ms}
";

impl Default for Scene {
    fn default() -> Self {
        Self::new()
    }
}

impl Scene {
    /// An empty scene without plugins.
    ///
    /// # Panics
    /// No temporary folder can be made.
    #[must_use]
    pub fn new() -> Self {
        let folder =
            tempfile::Builder::new().prefix("orchestrator-e2e-").tempdir().expect("a temporary folder");
        for name in ["in", "plugins"] {
            fs::create_dir(folder.path().join(name)).expect("a folder in it");
        }
        Self { folder, starts: Cell::new(0) }
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the folder.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Makes small inputs with the given names.
    ///
    /// # Panics
    /// One cannot be written.
    pub fn inputs<N: AsRef<OsStr>>(&self, names: &[N]) {
        for name in names {
            let path = self.join("in").join(name.as_ref());
            let text = format!("content of {}\n", name.as_ref().to_string_lossy());
            fs::write(path, text).expect("an input");
        }
    }

    /// Writes `config.yaml`: the fixture with `acts` over `in/` into `out/`, then `more` as it is.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn fixture_config(&self, acts: &[&str], more: &str) -> PathBuf {
        let log = self.join("executions.log");
        let log = log.to_string_lossy();
        let mut flags = vec!["--input", "{input_file}", "--output", "{output_file}", "--log", &log];
        flags.extend_from_slice(acts);
        self.config(&artifacts::fixture(), &flags, "", more)
    }

    /// Writes `config.yaml`: `program` with `flags` over `in/` into `out/`; `binary_more` goes into the
    /// `binary` section, `more` to the end.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn config(&self, program: &Path, flags: &[&str], binary_more: &str, more: &str) -> PathBuf {
        let flags = serde_json::to_string(flags).expect("strings are JSON");
        let text = format!(
            "binary:\n  path: {}\n  flags: {flags}\n{binary_more}input:\n  files_directory: {}\noutput:\n  directory: {}\n  file_suffix: .out\n{more}",
            program.display(),
            self.join("in").display(),
            self.join("out").display(),
        );
        let path = self.join("config.yaml");
        fs::write(&path, text).expect("a configuration");
        path
    }

    /// The host's command line with `arguments`, started in this folder.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = Command::new(artifacts::orchestrator());
        command.args(arguments).current_dir(self.path()).env("NO_COLOR", "1");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ORCHESTRATOR_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Starts the host.
    pub fn start<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Running {
        self.start_command(self.command(arguments))
    }

    /// Starts a command made by [`Scene::command`] and changed since.
    pub fn start_command(&self, command: Command) -> Running {
        self.starts.set(self.starts.get() + 1);
        Running::start(command, self.path(), &format!("host-{}", self.starts.get()))
    }

    /// Runs the host to its end.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Outcome {
        self.start(arguments).wait()
    }

    /// `run config.yaml`, to its end.
    #[must_use]
    pub fn run_config(&self) -> Outcome {
        self.run(&["run", "config.yaml"])
    }

    /// The names of the published outputs, sorted; the host's own `.orchestrator` does not count.
    #[must_use]
    pub fn outputs(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.join("out")) else { return Vec::new() };
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with(".orchestrator")).collect();
        names.sort();
        names
    }

    /// The inputs of each execution so far, by the fixture's own log, in order, escaped.
    #[must_use]
    pub fn executions(&self) -> Vec<String> {
        let text = fs::read_to_string(self.join("executions.log")).unwrap_or_default();
        let starts = text.lines().filter_map(|line| line.strip_prefix("start\t"));
        starts.filter_map(|line| line.split('\t').next()).map(str::to_owned).collect()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for seen in crate::processes::mentioning(self.path()) {
            let pid = i32::try_from(seen.pid).ok().and_then(rustix::process::Pid::from_raw);
            let _ended_meanwhile =
                pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::KILL));
        }
    }
}
