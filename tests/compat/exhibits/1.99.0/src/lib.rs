//! A plugin of a minor version that does not exist yet: `contract.patch` adds a kind, a service, a method and a fact.

use orchestrator_plugin_api::abi::FactId;
use orchestrator_plugin_api::{
    Capacity, CapacityPlugin, Metrics, MetricsPlugin, NoConfig, Process, Readings, Result, export_plugin, later_fact,
    later_service,
};

const MISSING: f64 = 77.0;

struct Exhibit;

impl MetricsPlugin for Exhibit {
    type Config = NoConfig;

    fn initialize(_: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    fn collect_metrics(&mut self, process: &Process<'_>) -> Result<Metrics> {
        let later = later_fact(process.pid(), FactId::LATER);
        Ok([("v1_99_0.pid", f64::from(process.pid())), ("v1_99_0.later_fact", later.unwrap_or(MISSING))].into())
    }

    fn collect_system_metrics(&mut self) -> Result<Metrics> {
        Ok([("v1_99_0.later_service", later_service().map_or(MISSING, f64::from))].into())
    }
}

struct Limit;

impl CapacityPlugin for Limit {
    type Config = NoConfig;

    fn initialize(_: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    fn calculate_capacity(&mut self, _: &Readings<'_>, _: &Readings<'_>) -> Result<Capacity> {
        Ok(Capacity::new(99).because("v1_99_0"))
    }
}

export_plugin! {
    metrics: Exhibit as "Exhibit_1_99_0",
    about: "What a plugin of a later contract measures.";

    capacity: Limit as "Limit_1_99_0"
}
