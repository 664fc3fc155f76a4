//! The kit, used as an author would use it.

use super::{FactId, FakeHost, FakeProcess, Record, TextId, calculate, collect};
use crate::{
    Capacity, CapacityPlugin, ErrorCode, LogLevel, Metrics, MetricsPlugin, Process, Readings, Result,
};
use std::time::Duration;

#[derive(serde::Deserialize)]
struct Config {
    metric: String,
}

struct Curious(Config);

impl MetricsPlugin for Curious {
    type Config = Config;

    fn initialize(config: Config) -> Result<Self> {
        crate::log!(Debug, "asks for {}", config.metric);
        Ok(Self(config))
    }

    fn collect_metrics(&mut self, process: &Process<'_>) -> Result<Metrics> {
        let mut metrics = Metrics::new();
        metrics.push_some(self.0.metric.clone(), process.rss_bytes());
        let open: f64 = process.tree().filter_map(|pid| process.of(pid).open_files()).sum();
        metrics.push("open", open);
        metrics.push_some("words", process.command_line().map(|words| words.len() as f64));
        metrics.push_some("home", process.environment("HOME").map(|home| home.len() as f64));
        metrics.push_some("task", process.task().and_then(|task| task.parse().ok()));
        metrics.push_some("left", crate::remaining_time().map(|time| time.as_secs_f64()));
        Ok(metrics)
    }
}

fn curious(metric: &str) -> Curious {
    Curious(Config { metric: metric.to_owned() })
}

#[test]
fn facts_at_hand_and_facts_on_demand_reach_the_plugin() {
    let process = FakeProcess::new(10)
        .descendant(11)
        .number(FactId::RSS_BYTES, 4096.0)
        .number(FactId::OPEN_FILES, 3.0)
        .number_of(11, FactId::OPEN_FILES, 4.0)
        .number_of(12, FactId::OPEN_FILES, 1e6)
        .text(TextId::TASK, "17")
        .command_line(&["cp", "-r"])
        .environment("HOME", "/root");
    let found = collect(&mut curious("rss"), &process).unwrap();
    let expected = [("home", 5.0), ("open", 7.0), ("rss", 4096.0), ("task", 17.0), ("words", 2.0)];
    assert!(found.iter().map(|(name, value)| (name.as_str(), *value)).eq(expected), "{found:?}");
}

#[test]
fn a_process_without_facts_gives_none() {
    let found = collect(&mut curious("rss"), &FakeProcess::new(10)).unwrap();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [("open".to_owned(), 0.0)]);
}

#[test]
fn the_host_keeps_time_and_records_and_reads_the_section_strictly() {
    let host = FakeHost::new().remaining(Duration::from_millis(250));
    let mut plugin: Curious = host.metrics(r#"{"metric": "rss"}"#).unwrap();
    assert_eq!(host.collect(&mut plugin, &FakeProcess::new(1)).unwrap()["left"], 0.25);
    let message = "asks for rss".to_owned();
    let target = "orchestrator_plugin_api::testing::tests".to_owned();
    assert_eq!(host.records(), [Record { level: LogLevel::Debug, target, message }]);
    let error = host.metrics::<Curious>(r#"{"metrik": "rss"}"#).err().unwrap();
    assert_eq!(error.code(), ErrorCode::Config);
    assert!(error.message().contains("did you mean `metric`?"), "{error}");
}

#[test]
fn what_the_host_would_drop_is_an_error() {
    for (name, value) in [("", 1.0), ("two words", 1.0), ("limits.mine", 1.0), ("fine", f64::NAN)] {
        let process = FakeProcess::new(1).number(FactId::RSS_BYTES, value);
        let error = collect(&mut curious(name), &process).unwrap_err();
        assert!(error.message().starts_with(&format!("the host would drop the metric {name:?}")), "{error}");
    }
}

struct Half;

impl CapacityPlugin for Half {
    type Config = crate::NoConfig;

    fn initialize(_: crate::NoConfig) -> Result<Self> {
        Ok(Self)
    }

    fn calculate_capacity(&mut self, _: &Readings<'_>, current: &Readings<'_>) -> Result<Capacity> {
        let cpus = current.get("system.cpus").ok_or_else(|| crate::Error::unavailable("no cpus"))?;
        Ok(Capacity::new(cpus as u32 / 2).because("half of the machine"))
    }
}

#[test]
fn a_capacity_plugin_reads_what_the_test_gives_it() {
    let mut plugin: Half = FakeHost::new().capacity("{}").unwrap();
    assert_eq!(calculate(&mut plugin, &[], &[("system.cpus", 8.0)]).unwrap().processes(), 4);
    assert_eq!(calculate(&mut plugin, &[], &[]).unwrap_err().code(), ErrorCode::Unavailable);
}
