//! A plugin of another major version: the contract is the same but for its number, so that nothing else refuses it.

use orchestrator_plugin_api::{Metrics, MetricsPlugin, NoConfig, Result, export_plugin};

struct Exhibit;

impl MetricsPlugin for Exhibit {
    type Config = NoConfig;

    fn initialize(_: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    fn collect_system_metrics(&mut self) -> Result<Metrics> {
        Ok([("v2_0_0.system", 200.0)].into())
    }
}

export_plugin! { metrics: Exhibit as "Exhibit_2_0_0" }
