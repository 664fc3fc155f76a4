//! The commented starter that `orchestrator init` writes.

use serde_json::Value;

/// What the starter names; the rest are the defaults, commented out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Starter {
    /// `binary.path`.
    pub binary: String,
    /// `binary.flags`.
    pub flags: Vec<String>,
    /// `binary.stdout`, for tools that write to standard output.
    pub stdout: Option<String>,
    /// `input.files_directory`.
    pub input: String,
    /// `input.file_pattern`.
    pub pattern: String,
    /// `output.directory`.
    pub output: String,
    /// `output.file_suffix`.
    pub suffix: String,
    /// Where editors find the JSON Schema, relative to the file, such as `config.schema.json`.
    pub schema: String,
}

impl Default for Starter {
    /// Compresses each file of `./input` with gzip.
    fn default() -> Self {
        Self {
            binary: "gzip".to_owned(),
            flags: vec!["--stdout".to_owned(), "{input_file}".to_owned()],
            stdout: Some("{output_file}".to_owned()),
            input: "./input".to_owned(),
            pattern: "*".to_owned(),
            output: "./output".to_owned(),
            suffix: ".gz".to_owned(),
            schema: "orchestrator.schema.json".to_owned(),
        }
    }
}

/// The text of a starter. Lines of the form `#key:` or `#  key:` are the defaults: remove the `#` to change one.
pub fn template_yaml(starter: &Starter) -> String {
    let quoted = |text: &str| Value::from(text).to_string();
    let flags: String = starter.flags.iter().map(|flag| format!("    - {}\n", quoted(flag))).collect();
    let flags = if flags.is_empty() { "  flags: []\n".to_owned() } else { format!("  flags:\n{flags}") };
    let stdout =
        starter.stdout.as_deref().map(|file| format!("  stdout: {}\n", quoted(file))).unwrap_or_default();
    format!(
        "# yaml-language-server: $schema={schema}\n{HEAD}binary:\n  path: {binary}\n{flags}{stdout}{BINARY}\n\
         # Which files are worked on.\ninput:\n  files_directory: {input}\n  file_pattern: {pattern}\n{INPUT}\n\
         # Where results go: the input's name with file_suffix appended.\noutput:\n  directory: {output}\n  \
         file_suffix: {suffix}\n{OUTPUT}\n{REST}",
        schema = starter.schema,
        binary = quoted(&starter.binary),
        input = quoted(&starter.input),
        pattern = quoted(&starter.pattern),
        output = quoted(&starter.output),
        suffix = quoted(&starter.suffix),
    )
}

const HEAD: &str = "\
# Configuration of Process Orchestrator. Relative paths start at the directory of this file.
# Lines that begin with `#` and a key show the defaults. ${VAR} and ${VAR:-default} take environment variables.

# What is run for each input file. Placeholders: {input_file} {output_file} {input_name} {input_stem} {input_dir}
# {input_size} {output_dir} {temp_dir} {task_id} {attempt} {slot} {seq} {run_id}; write {{ and }} for braces.
";

const BINARY: &str = "\
#  env: {}
#  clear_env: false
#  working_directory: null
#  stdin: null
#  stderr: null
#  shell: false
";

const INPUT: &str = "\
#  recursive: false
#  follow_symlinks: false
#  exclude: []
";

const OUTPUT: &str = "\
#  validation:
#    required: null
#    min_bytes: 0
#    non_empty: false
#    command: []
#  durability: batch
";

const REST: &str = "\
# Shares of the machine that are not exceeded.
#resource_limits:
#  cpu_threshold_percent: 80
#  memory_threshold_percent: 75
#  disk_usage_threshold_percent: 90

# How the needs of one process are measured before many are started.
#calibration:
#  enabled: true
#  warmup_time_seconds: 2
#  calibration_duration: 5
#  inputs: 3

# Bounds on the number of processes at a time; mode: auto follows the machine, calibrated the capacity plugins alone, fixed
# always runs max. placement: auto, none, node, core or core:2 says which CPUs each process is given.
#concurrency:
#  min: 1
#  max: auto
#  mode: auto
#  caution: 2.0
#  freeze: true
#  evict: true
#  placement: auto

# What is learned from finished files about those to come: off, run (anew each time), across_runs.
#learn: across_runs

# What happens after a failure.
#retry:
#  max_attempts: 3
#  backoff: exponential
#  delay: 1s
#  max_delay: 1m
#  jitter: 0.1
#  retry_on: [exit, signal, oom, timeout, stuck, invalid_output, spawn, disk_full]
#  never_on: []

# How long a process may take: a duration, or a part of the median such as 300%.
#timeouts:
#  attempt: null
#  slow_after: null
#  stuck: null
#  leak_after: 100ms
#  on_leak: pass

# How a run is stopped: the first Ctrl-C drains, the second stops, the third leaves.
#shutdown:
#  drain_seconds: 30
#  grace_seconds: 10
#  signal: SIGTERM
#  kill_mode: tree

# When a run gives up or has enough: a number of tasks, or a share such as 10%.
#halt:
#  when: soon
#  fail: null
#  success: null
#  done: null

# Plugins that measure and that decide how many processes may run.
#plugins:
#  directories: []
#  trust:
#    require_signature: false
#    keys: []
#    sha256: []
#    revoked: []
#    allow_unsigned_from: []
#  metrics:
#    - name: system_metrics
#      enabled: true
#      class: SystemMetricsCollector
#      config: {}
#      required: false
#      deadline_ms: 1000
#      interval: null
#      isolation: null
#      grants:
#        network: false
#        read: []
#        observer: false
#        environment: []
#      max_memory: 512MiB
#  capacity:
#    - name: resource_capacity
#      class: SystemResourceCapacity

# Where the state of runs is kept; .orchestrator in the output directory if absent.
#state:
#  directory: null

# What is written about the run, and what is kept of the output of processes.
#logging:
#  level: info
#  format: human
#  capture: true
#  max_bytes: 10MiB
#  keep: always

# How often is measured and how long measurements are kept.
#metrics:
#  interval: 1s
#  retention:
#    max_rows: 1000000
#    max_age: 7d

# What makes an input the same as before when a run goes on: metadata, content or lenient.
#resume:
#  key: metadata

# Named parts that --profile NAME lays above the rest.
#profiles: {}
";
