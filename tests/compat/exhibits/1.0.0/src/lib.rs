//! Everything that contract 1.0 offers to an author, in one library.

use orchestrator_plugin_api::{
    Capacity, CapacityPlugin, Error, Metrics, MetricsPlugin, Process, Readings, Result, export_plugin, log,
    remaining_time,
};

#[derive(serde::Deserialize)]
struct Config {
    #[serde(default = "one")]
    factor: f64,
}

fn one() -> f64 {
    1.0
}

struct Exhibit(Config);

impl MetricsPlugin for Exhibit {
    type Config = Config;

    fn initialize(config: Config) -> Result<Self> {
        log!(Info, "built against {}", orchestrator_plugin_api::API_VERSION);
        Ok(Self(config))
    }

    fn collect_metrics(&mut self, process: &Process<'_>) -> Result<Metrics> {
        let mut metrics = Metrics::new();
        metrics.push("v1_0_0.pid", f64::from(process.pid()));
        metrics.push("v1_0_0.tree", process.tree().count() as f64);
        metrics.push_some("v1_0_0.task", process.task().and_then(|task| task.parse().ok()));
        metrics.push_some("v1_0_0.age", process.age_seconds());
        Ok(metrics)
    }

    fn collect_system_metrics(&mut self) -> Result<Metrics> {
        let timed = f64::from(u8::from(remaining_time().is_some()));
        Ok([("v1_0_0.system", 100.0 * self.0.factor), ("v1_0_0.timed", timed)].into())
    }
}

struct Limit(Config);

impl CapacityPlugin for Limit {
    type Config = Config;

    fn initialize(config: Config) -> Result<Self> {
        Ok(Self(config))
    }

    fn calculate_capacity(&mut self, _: &Readings<'_>, current: &Readings<'_>) -> Result<Capacity> {
        let percent = current.get("system.cpu.percent").ok_or_else(|| Error::unavailable("no percentage"))?;
        Ok(Capacity::new((percent * self.0.factor) as u32).because("v1_0_0"))
    }
}

export_plugin! {
    metrics: Exhibit as "Exhibit_1_0_0",
    about: "What a plugin of contract 1.0 measures.",
    emits: ["v1_0_0.pid": gauge "1" "Process identifier", "v1_0_0.system": gauge "1" "A hundred"];

    capacity: Limit as "Limit_1_0_0",
    config_schema: r#"{"type":"object","properties":{"factor":{"type":"number"}}}"#
}
