//! The orchestrator on the demo's files, watched from outside.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Stage;
use crate::error::Failure;

/// What was seen of the run.
pub(super) struct Report {
    pub seconds: f64,
    /// The most jobs seen at once, counted in `/proc` and not by the orchestrator.
    pub most_at_once: usize,
}

/// Writes the configuration and runs it with its progress on this terminal.
///
/// # Errors
/// The orchestrator ends with anything but 0.
pub(super) fn run(stage: &Stage) -> Result<Report, Failure> {
    let config = stage.folder.join("config.yaml");
    fs::write(&config, configuration(stage)).map_err(|source| Failure::file(&config, source))?;
    let mut command = Command::new(stage.built.join("orchestrator"));
    command.arg("run").arg(&config).stdin(Stdio::null());
    println!("$ orchestrator run {}\n", config.display());
    let start = Instant::now();
    let line = format!("orchestrator run {}", config.display());
    let mut child = command.spawn().map_err(|source| Failure::Start { program: line.clone(), source })?;
    let most_at_once = watch(&mut child, stage.command()[0]);
    let status = child.wait().map_err(|source| Failure::Start { program: line.clone(), source })?;
    if !status.success() {
        return Err(Failure::Step { command: line, status: status.to_string() });
    }
    Ok(Report { seconds: start.elapsed().as_secs_f64(), most_at_once })
}

fn configuration(stage: &Stage) -> String {
    let line = stage.command();
    let flags: Vec<String> = line[1..].iter().map(|flag| format!("    - '{flag}'\n")).collect();
    format!(
        "\
binary:
  path: {tool}
  flags:
{flags}    - \"{{input_file}}\"
  stdout: \"{{output_file}}\"
input:
  files_directory: {input}
output:
  directory: {output}
  file_suffix: {suffix}
  validation: {{non_empty: true}}
calibration:
  warmup_time_seconds: 1
  calibration_duration: 2
plugins:
  directories: [{plugins}]
  metrics:
    - name: system_metrics
      class: SystemMetricsCollector
    - name: connection_counter
      class: ConnectionMetricsCollector
      config: {{ports: [8080, 8081]}}
  capacity:
    - name: resource_capacity
      class: SystemResourceCapacity
",
        tool = line[0],
        flags = flags.concat(),
        input = stage.input().display(),
        output = stage.output().display(),
        suffix = stage.tool.suffix,
        plugins = stage.plugins().display(),
    )
}

/// Counts the children named `tool` until `child` ends.
fn watch(child: &mut Child, tool: &str) -> usize {
    let mut most = 0;
    while matches!(child.try_wait(), Ok(None)) {
        most = most.max(children(child.id(), tool));
        std::thread::sleep(Duration::from_millis(5));
    }
    most
}

/// The living children of `parent` whose program is `tool`, by `/proc/PID/stat`: `pid (program) state parent …`.
fn children(parent: u32, tool: &str) -> usize {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter(|entry| entry.file_name().as_encoded_bytes()[0].is_ascii_digit());
    let stats = numbers.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    stats.filter(|stat| is_living_child(stat, parent, tool)).count()
}

fn is_living_child(stat: &str, parent: u32, tool: &str) -> bool {
    let Some((head, tail)) = stat.rsplit_once(')') else { return false };
    let mut fields = tail.split_whitespace();
    let state = fields.next();
    head.ends_with(&format!("({tool}"))
        && !matches!(state, Some("Z" | "X"))
        && fields.next() == Some(parent.to_string().as_str())
}
