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

#[cfg(test)]
mod tests {
    use super::LoadAverage;
    use orchestrator_plugin_api::testing::FakeHost;

    #[test]
    fn the_averages_of_this_machine_are_read_and_divided() {
        let host = FakeHost::new();
        let mut whole: LoadAverage = host.metrics("{}").unwrap();
        let mut per_core: LoadAverage = host.metrics(r#"{"per_core": true}"#).unwrap();
        let (whole, per_core) =
            (host.collect_system(&mut whole).unwrap(), host.collect_system(&mut per_core).unwrap());
        assert_eq!(whole.len(), 3);
        // The fifteen minutes' average hardly moves between two readings.
        assert!(per_core["load.15m"] <= whole["load.15m"] + 0.1, "{per_core:?} {whole:?}");
    }

    #[test]
    fn a_misspelt_option_is_named() {
        let error = FakeHost::new().metrics::<LoadAverage>(r#"{"percore": true}"#).err().unwrap();
        assert!(error.message().contains("did you mean `per_core`?"), "{error}");
    }
}
