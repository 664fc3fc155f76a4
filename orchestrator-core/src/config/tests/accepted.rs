//! What is accepted, and what it means.

use std::path::Path;

use super::{LEAST, World};
use crate::config::model::{
    Backoff, ConcurrencyMode, Config, Grants, HaltWhen, Isolation, KeepOutput, KillMode,
};
use crate::config::{HumanDuration, Limit, Signal, Threshold, TimeLimit};

const SEED: &str = r#"binary:
  path: "/path/to/binary"
  flags:
    - "--input-file={input_file}"
    - "--output-file={output_file}"
    - "--other-flag=value"

input:
  files_directory: "/path/to/input/files"
  file_pattern: "*.dat"  # Optional: glob pattern for input files
  
output:
  directory: "/path/to/output"
  file_suffix: ".output"

resource_limits:
  cpu_threshold_percent: 80
  memory_threshold_percent: 75
  disk_usage_threshold_percent: 90
  
calibration:
  enabled: true
  warmup_time_seconds: 30  # Time to wait for process to stabilize
  calibration_duration: 60  # Time to measure resource usage

plugins:
  metrics:
    - name: "system_metrics"
      enabled: true
      class: "SystemMetricsCollector"
    - name: "connection_counter"
      enabled: true
      class: "ConnectionMetricsCollector"
      config:
        ports: [8080, 8081]
  
  capacity:
    - name: "resource_capacity"
      enabled: true
      class: "SystemResourceCapacity"
    - name: "custom_capacity"
      enabled: false
      class: "CustomCapacityCalculator"
      config:
        max_connections: 1000
"#;

#[test]
fn the_seed_word_for_word() {
    let loaded = World::with(SEED).loaded();
    assert_eq!(loaded.warnings, []);
    let config = loaded.config;
    assert_eq!(config.binary.path, Path::new("/path/to/binary"));
    let flags: Vec<_> = config.binary.flags.iter().map(|flag| flag.source()).collect();
    assert_eq!(flags, ["--input-file={input_file}", "--output-file={output_file}", "--other-flag=value"]);
    assert_eq!(config.input.file_pattern.as_str(), "*.dat");
    assert_eq!(config.resource_limits.memory_threshold_percent.get(), 75.0);
    assert_eq!(config.calibration.warmup_time_seconds, HumanDuration::from_secs(30));
    assert_eq!(config.calibration.calibration_duration, HumanDuration::from_secs(60));
    let metrics: Vec<_> =
        config.plugins.metrics.iter().map(|p| (p.name.as_str(), p.class.as_str())).collect();
    let expected =
        [("system_metrics", "SystemMetricsCollector"), ("connection_counter", "ConnectionMetricsCollector")];
    assert_eq!(metrics, expected);
    assert_eq!(config.plugins.metrics[1].config["ports"], serde_json::json!([8080, 8081]));
    assert!(!config.plugins.capacity[1].enabled);
    assert_eq!(config.plugins.capacity[1].config["max_connections"], 1000);
    assert!(config.output_required());
}

#[test]
fn a_program_that_is_told_something_is_told_nothing_more() {
    for told in ["flags: []", "stdin: '{input_file}'", "env: {A: b}"] {
        let text = LEAST.replace("path: /bin/cat", &format!("path: /bin/cat, {told}"));
        let binary = World::with(&text).loaded().config.binary;
        assert!(binary.flags.is_empty() && binary.stdout.is_none(), "{told}");
    }
}

#[test]
fn three_keys_suffice() {
    let config = World::with(LEAST).loaded().config;
    let mut expected = Config::default();
    expected.binary.path = "/bin/cat".into();
    expected.binary.flags = vec!["{input_file}".parse().unwrap()];
    expected.binary.stdout = Some("{output_file}".parse().unwrap());
    expected.input.files_directory = "/data/in".into();
    expected.output.directory = "/data/out".into();
    assert_eq!(config, expected);
    assert_eq!(config.state_directory(), Path::new("/data/out/.orchestrator"));
    let classes = (&config.plugins.metrics[0].class, &config.plugins.capacity[0].class);
    assert_eq!(classes, (&"SystemMetricsCollector".to_owned(), &"SystemResourceCapacity".to_owned()));
}

#[test]
fn an_empty_plugin_list_means_none_and_an_absent_one_the_default() {
    let config = World::with(&format!("{LEAST}plugins:\n  metrics: []\n")).loaded().config;
    assert!(config.plugins.metrics.is_empty());
    assert_eq!(config.plugins.capacity.len(), 1);
}

#[test]
fn an_empty_section_or_value_means_the_default() {
    let config = World::with(&format!("{LEAST}retry:\nlogging:\n  level:\n")).loaded().config;
    assert_eq!((config.retry, config.logging), (Config::default().retry, Config::default().logging));
}

#[test]
fn every_section_reads_its_notations() {
    let text = format!(
        "{LEAST}concurrency: {{min: 2, max: 8, mode: fixed}}
retry: {{backoff: linear, delay: 500ms, retry_on: [75, SIGSEGV, oom, invalid-output], never_on: [2]}}
timeouts: {{attempt: 300%, slow_after: 5m}}
shutdown: {{signal: int, kill_mode: main_then_tree, drain_seconds: 1.5}}
halt: {{when: now, fail: 10%, done: 5}}
logging: {{max_bytes: 1MB, keep: failed}}
"
    );
    let config = World::with(&text).loaded().config;
    assert_eq!(
        (config.concurrency.max, config.concurrency.mode),
        (Limit::at_most(8), ConcurrencyMode::Fixed)
    );
    assert_eq!(
        (config.retry.backoff, config.retry.delay),
        (Backoff::Linear, HumanDuration::from_millis(500))
    );
    assert_eq!(config.retry.retry_on.len(), 4);
    assert_eq!(config.timeouts.attempt, Some(TimeLimit::OfMedian(300.0)));
    assert_eq!(config.timeouts.slow_after, Some(TimeLimit::Absolute(HumanDuration::from_secs(300))));
    assert_eq!(
        (config.shutdown.signal, config.shutdown.kill_mode),
        (Signal::new(2).unwrap(), KillMode::MainThenTree)
    );
    assert_eq!(config.shutdown.drain_seconds, HumanDuration::from_millis(1500));
    assert_eq!((config.halt.when, config.halt.fail), (HaltWhen::Now, Some(Threshold::Share(10.0))));
    assert_eq!((config.halt.done, config.halt.success), (Some(Threshold::Count(5)), None));
    assert_eq!((config.logging.max_bytes.get(), config.logging.keep), (1_000_000, KeepOutput::Failed));
}

#[test]
fn flags_and_variables_keep_their_text() {
    let text = "binary:\n  path: /bin/x\n  flags: [-n, 1.10, true, 0x1F, ~x]\n  env: {A: 1.0, B: yes, C: , D: 'null'}
input: {files_directory: /i}\noutput: {directory: /o}\n";
    let config = World::with(text).loaded().config;
    let flags: Vec<_> = config.binary.flags.iter().map(|flag| flag.source()).collect();
    assert_eq!(flags, ["-n", "1.10", "true", "0x1F", "~x"]);
    let env: Vec<_> = config.binary.env.values().map(|value| value.source()).collect();
    assert_eq!(env, ["1.0", "yes", "", "null"]);
}

#[test]
fn anchors_and_merge_keys_work() {
    let text = format!(
        "{LEAST}plugins:\n  metrics:\n    - &base {{name: a, class: A, deadline_ms: 5}}\n    - <<: *base\n      name: b\n"
    );
    let metrics = World::with(&text).loaded().config.plugins.metrics;
    assert_eq!((metrics[1].name.as_str(), metrics[1].class.as_str(), metrics[1].deadline_ms), ("b", "A", 5));
}

#[test]
fn a_plugin_is_isolated_by_one_word() {
    let text = format!(
        "{LEAST}plugins:\n  metrics:\n    - {{name: a, class: A}}\n    - {{name: b, class: B, isolation: in_process}}\n\
         \x20   - name: c\n      class: C\n      isolation: sandbox\n      max_memory: 1GiB\n      grants:\n\
         \x20       {{read: [data, /etc/hosts], environment: [OMP_NUM_THREADS]}}\n"
    );
    let metrics = World::with(&text).loaded().config.plugins.metrics;
    let isolations: Vec<_> = metrics.iter().map(|plugin| plugin.isolation).collect();
    assert_eq!(isolations, [None, Some(Isolation::InProcess), Some(Isolation::Sandbox)]);
    assert_eq!((metrics[0].max_memory.get(), metrics[2].max_memory.get()), (512 << 20, 1 << 30));
    let grants = &metrics[2].grants;
    assert!(grants.read[0].is_absolute(), "{:?}", grants.read);
    assert_eq!(grants.read[1], std::path::Path::new("/etc/hosts"));
    assert_eq!((grants.network, grants.observer), (false, false));
    assert_eq!(metrics[0].grants, Grants::default());
}

#[test]
fn an_output_is_required_exactly_when_the_command_is_told_where_to_write() {
    let required = |binary: &str| {
        let text = format!("binary: {binary}\ninput: {{files_directory: /i}}\noutput: {{directory: /o}}\n");
        World::with(&text).loaded().config.output_required()
    };
    assert!(!required("{path: /x, flags: ['{input_file}']}"));
    assert!(required("{path: /x, flags: ['--o={output_file}']}"));
    assert!(required("{path: /x, stdout: '{output_file}'}"));
    assert!(required("{path: /x, env: {OUT: '{output_file}'}}"));
    let text = format!("{LEAST}binary2: 1\n").replace("binary2: 1", "");
    let config = World::with(&text).set("output.validation.required=true").loaded().config;
    assert!(config.output_required());
}

#[test]
fn relative_paths_start_at_their_file_or_at_the_current_directory() {
    let text = "binary:\n  path: ./tool\n  working_directory: wd\n  stdout: '{output_file}'\n  stdin: '~/in'
input: {files_directory: ../in}\noutput: {directory: out/.}\nplugins: {directories: [p, /q]}\n";
    let mut world = World::with("").file("/etc/x/config.yaml", text).variable("HOME", "/home/u");
    world.request.file = Some("/etc/x/config.yaml".into());
    let config =
        world.set("state.directory=s").flag("output.directory", "flagged", "--output").loaded().config;
    assert_eq!(config.binary.path, Path::new("/etc/x/tool"));
    assert_eq!(config.binary.working_directory.unwrap().source(), "/etc/x/wd");
    assert_eq!(config.binary.stdout.unwrap().source(), "{output_file}");
    assert_eq!(config.binary.stdin.unwrap().source(), "/home/u/in");
    assert_eq!(config.input.files_directory, Path::new("/etc/x/../in"));
    assert_eq!(config.plugins.directories, [Path::new("/etc/x/p"), Path::new("/q")]);
    assert_eq!(config.state.directory.unwrap(), Path::new("/work/s"));
    assert_eq!(config.output.directory, Path::new("/work/flagged"));
}

#[test]
fn a_program_without_a_slash_is_left_to_path() {
    let text = LEAST.replace("/bin/cat", "gzip");
    assert_eq!(World::with(&text).loaded().config.binary.path, Path::new("gzip"));
}

#[test]
fn flags_alone_suffice() {
    let world = World::with("").without_file();
    let config = world
        .flag("binary.path", "gzip", "--")
        .flag("binary.flags", serde_json::json!(["-c", "{input_file}"]), "--")
        .flag("input.files_directory", "in", "--input")
        .flag("output.directory", "out", "--output")
        .loaded()
        .config;
    assert_eq!(config.binary.flags.len(), 2);
    assert_eq!(config.input.files_directory, Path::new("/work/in"));
}

#[test]
fn keys_of_trust_are_keys_or_files_beside_the_configuration() {
    let key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    let text = format!(
        "{LEAST}plugins: {{trust: {{require_signature: true, keys: [{key}, team.pub], allow_unsigned_from: [own]}}}}\n"
    );
    let trust = World::with(&text).loaded().config.plugins.trust;
    assert_eq!(trust.keys[0], key);
    assert!(trust.keys[1].starts_with('/') && trust.keys[1].ends_with("/team.pub"), "{:?}", trust.keys);
    assert!(trust.allow_unsigned_from[0].is_absolute());
    // Without keys, what lies there is all that passes.
    let text =
        format!("{LEAST}plugins: {{trust: {{require_signature: true, allow_unsigned_from: [own]}}}}\n");
    assert!(World::with(&text).loaded().config.plugins.trust.keys.is_empty());
}
