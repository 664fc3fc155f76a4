//! What a run would do.

use std::path::PathBuf;

use orchestrator_core::Bytes;
use orchestrator_core::config::Config;
use orchestrator_core::config::model::{ConcurrencyMode, Isolation};
use orchestrator_core::placement::{self, CpuSet, Node, Placement, Topology};
use orchestrator_exec_local::LaunchPath;
use serde::Serialize;

use super::libraries::PlannedPlugin;
use crate::cli::shell_word;
use crate::style::Style;
use crate::views::words::plural;

/// What a run would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Plan {
    /// Full path of the binary; none if it cannot be started.
    pub(crate) binary: Option<PathBuf>,
    /// Its arguments, as templates.
    pub(crate) arguments: Vec<String>,
    /// Where standard output goes, if not into the attempt's log.
    pub(crate) stdout: Option<String>,
    /// The input directory.
    pub(crate) input: PathBuf,
    /// The pattern of input files.
    pub(crate) pattern: String,
    /// How many files match; none if they were not counted.
    pub(crate) files: Option<u64>,
    /// The output directory.
    pub(crate) output: PathBuf,
    /// What is appended to names.
    pub(crate) suffix: String,
    /// Where the state is kept.
    pub(crate) state: PathBuf,
    /// Plugins that would be started.
    pub(crate) plugins: Vec<PlannedPlugin>,
    /// Least number of processes.
    pub(crate) min: u32,
    /// Largest number of processes; none if capacity plugins alone decide.
    pub(crate) max: Option<u32>,
    /// Whether the number stays at `max`.
    pub(crate) fixed: bool,
    /// How many the limit of open files allows; none where there is no limit.
    pub(crate) by_open_files: Option<u64>,
    /// Whether the first files are measured one at a time.
    pub(crate) calibrates: bool,
    /// How processes would be started here.
    pub(crate) launch: String,
    /// The processors that may be used; none if they were not looked at.
    pub(crate) machine: Option<Machine>,
}

/// The processors that may be used.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Machine {
    /// NUMA nodes with such processors.
    pub(crate) nodes: Vec<MachineNode>,
    /// Physical cores.
    pub(crate) cores: usize,
    /// Processors, hardware threads each.
    pub(crate) cpus: usize,
    /// Last-level caches.
    pub(crate) caches: usize,
    /// The same in words.
    pub(crate) summary: String,
    /// Which processors a process would be given, in words.
    pub(crate) placement: String,
}

/// A NUMA node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct MachineNode {
    /// Its number.
    pub(crate) node: u32,
    /// Its processors, as a list.
    pub(crate) cpus: CpuSet,
    /// Its memory, bytes; 0 where unknown.
    pub(crate) memory: Bytes,
}

impl Machine {
    /// The machine, and what `concurrency.placement` means there.
    pub(super) fn new(topology: &Topology, rule: Placement) -> Self {
        let node =
            |node: &Node| MachineNode { node: node.id, cpus: topology.of_node(node.id), memory: node.memory };
        Self {
            nodes: topology.nodes().iter().map(node).collect(),
            cores: topology.cores(),
            cpus: topology.cpus().len(),
            caches: topology.caches(),
            summary: placement::summary(topology),
            placement: placement::meaning(rule, topology),
        }
    }
}

impl Plan {
    pub(super) fn new(
        config: &Config,
        binary: Option<PathBuf>,
        files: Option<u64>,
        plugins: Vec<PlannedPlugin>,
        by_open_files: Option<u64>,
        machine: Option<Machine>,
    ) -> Self {
        Self {
            binary,
            arguments: config.binary.flags.iter().map(ToString::to_string).collect(),
            stdout: config.binary.stdout.as_ref().map(ToString::to_string),
            input: config.input.files_directory.clone(),
            pattern: config.input.file_pattern.as_str().to_owned(),
            files,
            output: config.output.directory.clone(),
            suffix: config.output.file_suffix.clone(),
            state: config.state_directory(),
            plugins,
            min: config.concurrency.min,
            max: config.concurrency.max.get(),
            fixed: config.concurrency.mode == ConcurrencyMode::Fixed,
            by_open_files,
            calibrates: config.calibration.enabled,
            launch: LaunchPath::best().to_string(),
            machine,
        }
    }

    /// The plan for people.
    pub(crate) fn text(&self, style: Style) -> String {
        let mut lines = vec![
            ("command", self.command()),
            ("input", self.inputs()),
            ("output", format!("{}/NAME{}", self.output.display(), self.suffix)),
            ("state", self.state.display().to_string()),
            ("processes", self.processes()),
            ("launch", self.launch.clone()),
        ];
        if let Some(machine) = &self.machine {
            lines.extend([("machine", machine.summary.clone()), ("placement", machine.placement.clone())]);
        }
        for plugin in &self.plugins {
            let text = format!(
                "{} ({}) from {} {}{}",
                plugin.name,
                plugin.class,
                plugin.library.display(),
                plugin.version,
                match plugin.isolation {
                    Isolation::InProcess => "",
                    Isolation::Process => ", in a process of its own",
                    Isolation::Sandbox => ", in a sandbox",
                }
            );
            lines.push((
                if plugin.kind == orchestrator_plugin_host::PluginKind::Capacity {
                    "capacity"
                } else {
                    "metrics"
                },
                text,
            ));
        }
        let shown =
            lines.iter().map(|(title, text)| format!("{} {text}\n", style.strong(&format!("{title:<10}"))));
        shown.collect()
    }

    fn command(&self) -> String {
        let binary = self.binary.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let words =
            std::iter::once(shell_word(&binary)).chain(self.arguments.iter().map(|word| quoted(word)));
        let stdout = self.stdout.iter().map(|file| format!("> {}", quoted(file)));
        words.chain(stdout).collect::<Vec<_>>().join(" ")
    }

    fn inputs(&self) -> String {
        let count = self.files.map(|files| format!("{} of ", plural(files, "file"))).unwrap_or_default();
        format!("{count}{}/{}", self.input.display(), self.pattern)
    }

    fn processes(&self) -> String {
        let bound = match (self.fixed, self.max) {
            (true, Some(max)) => format!("always {max}"),
            (_, Some(max)) => format!("{} to {max}, as capacity allows", self.min),
            (_, None) => format!("{} or more, as capacity allows", self.min),
        };
        let files = self.by_open_files.map(|most| format!("; open files allow {most}")).unwrap_or_default();
        let first = if self.calibrates { "; the first files are measured one at a time" } else { "" };
        format!("{bound}{files}{first}")
    }
}

/// A template as people read it: quoted only where blanks make its end unclear.
fn quoted(word: &str) -> String {
    let plain =
        !word.is_empty() && !word.contains([' ', '\'', '"', '\n', '\t', '$', '`', ';', '|', '&', '<', '>']);
    if plain { word.to_owned() } else { shell_word(word) }
}
