//! What contract 1.1 adds: facts that the host reads when asked, and state that outlives an instance.

use orchestrator_plugin_api::{
    Capacity, CapacityPlugin, Error, Metrics, MetricsPlugin, NoConfig, Process, Readings, Result, export_plugin,
};

/// What stands in place of a fact that the host does not offer.
const MISSING: f64 = 77.0;

struct Exhibit {
    calls: u64,
}

impl MetricsPlugin for Exhibit {
    type Config = NoConfig;

    fn initialize(_: NoConfig) -> Result<Self> {
        Ok(Self { calls: 0 })
    }

    fn collect_metrics(&mut self, process: &Process<'_>) -> Result<Metrics> {
        let words = process.command_line().map_or(MISSING, |words| words.len() as f64);
        Ok([
            ("v1_1_0.pid", f64::from(process.pid())),
            ("v1_1_0.age", process.age_seconds().unwrap_or(MISSING)),
            ("v1_1_0.open_files", process.open_files().unwrap_or(MISSING)),
            ("v1_1_0.words", words),
            ("v1_1_0.exe", process.exe().map_or(MISSING, |path| f64::from(u8::from(path.is_absolute())))),
            ("v1_1_0.unset", process.environment("MUSEUM_HAS_NO_SUCH_VARIABLE").map_or(MISSING, |_| 0.0)),
        ]
        .into())
    }

    fn collect_system_metrics(&mut self) -> Result<Metrics> {
        self.calls += 1;
        Ok([("v1_1_0.calls", self.calls as f64)].into())
    }

    fn snapshot(&self) -> Result<Option<Vec<u8>>> {
        Ok(Some(self.calls.to_le_bytes().to_vec()))
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        self.calls = u64::from_le_bytes(state.try_into()?);
        Ok(())
    }
}

struct Limit;

impl CapacityPlugin for Limit {
    type Config = NoConfig;

    fn initialize(_: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    fn calculate_capacity(&mut self, _: &Readings<'_>, current: &Readings<'_>) -> Result<Capacity> {
        let percent = current.get("system.cpu.percent").ok_or_else(|| Error::unavailable("no percentage"))?;
        Ok(Capacity::new(percent as u32 + 1).because("v1_1_0"))
    }
}

export_plugin! {
    metrics: Exhibit as "Exhibit_1_1_0",
    about: "What a plugin of contract 1.1 measures.",
    emits: ["v1_1_0.calls": counter "1" "Calls, those of predecessors included"];

    capacity: Limit as "Limit_1_1_0"
}
