//! The load averages of the machine, per core if wanted: `config: {per_core: true}`.

use orchestrator_plugin_api::{Error, Metrics, MetricsPlugin, Result, export_plugin};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    per_core: bool,
}

struct LoadAverage(f64);

impl MetricsPlugin for LoadAverage {
    type Config = Config;

    fn initialize(config: Config) -> Result<Self> {
        let cores = std::thread::available_parallelism()?.get() as f64;
        Ok(Self(if config.per_core { cores } else { 1.0 }))
    }

    fn collect_system_metrics(&mut self) -> Result<Metrics> {
        let text = std::fs::read_to_string("/proc/loadavg")?;
        let mut averages = text.split(' ').map_while(|word| word.parse::<f64>().ok());
        let mut next = || averages.next().ok_or_else(|| Error::unavailable("/proc/loadavg has no numbers"));
        Ok([("load.1m", next()? / self.0), ("load.5m", next()? / self.0), ("load.15m", next()? / self.0)]
            .into())
    }
}

export_plugin! {
    metrics: LoadAverage as "LoadAverageCollector",
    about: "The load averages of the machine.",
    emits: [
        "load.1m": gauge "1" "Average of the last minute",
        "load.5m": gauge "1" "Average of the last five minutes",
        "load.15m": gauge "1" "Average of the last fifteen minutes"
    ]
}
