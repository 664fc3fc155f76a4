//! `SystemMetricsCollector`: what the machine and every process cost.
//!
//! Per process (descendants included) it passes on what the host has read; of the machine it adds what the host's own
//! `system.*` metrics leave out: pressure stalls, context switches, blocked processes, network bytes. A source that this
//! machine lacks gives no metric rather than an error.

mod system;

use orchestrator_plugin_api::{Metrics, MetricsPlugin, NoConfig, Process, Result, export_plugin};

struct SystemMetrics;

impl MetricsPlugin for SystemMetrics {
    type Config = NoConfig;

    fn initialize(_: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    fn collect_metrics(&mut self, process: &Process<'_>) -> Result<Metrics> {
        let mut metrics = Metrics::new();
        metrics.push_some("process.cpu.seconds", process.cpu_seconds());
        metrics.push_some("process.memory.rss_bytes", process.rss_bytes());
        metrics.push_some("process.memory.virtual_bytes", process.virtual_bytes());
        metrics.push_some("process.io.read_bytes", process.read_bytes());
        metrics.push_some("process.io.write_bytes", process.write_bytes());
        metrics.push_some("process.threads", process.threads());
        metrics.push("process.tree.size", process.tree().count() as f64);
        metrics.push_some("process.open_files", open_files(process));
        Ok(metrics)
    }

    fn collect_system_metrics(&mut self) -> Result<Metrics> {
        let mut metrics = Metrics::new();
        system::pressure(&mut metrics);
        system::scheduler(&mut metrics);
        system::network(&mut metrics);
        Ok(metrics)
    }
}

/// Open file descriptors of the tree; `None` where none of it can be read, as for other users' processes. The host is asked
/// first: in a sandbox it alone may look, and a host of contract 1.0 does not.
fn open_files(process: &Process<'_>) -> Option<f64> {
    let counted = |pid| std::fs::read_dir(format!("/proc/{pid}/fd")).ok().map(|open| open.count() as f64);
    let open = |pid| process.of(pid).open_files().or_else(|| counted(pid));
    process.tree().filter_map(open).reduce(|sum, count| sum + count)
}

export_plugin! {
    metrics: SystemMetrics as "SystemMetricsCollector",
    about: "CPU, memory, I/O, threads and open files per process; pressure, scheduler and network of the machine.",
    emits: [
        "process.cpu.seconds": counter "s" "CPU time used, user and system",
        "process.memory.rss_bytes": gauge "By" "Resident memory",
        "process.memory.virtual_bytes": gauge "By" "Virtual memory",
        "process.io.read_bytes": counter "By" "Bytes read from storage",
        "process.io.write_bytes": counter "By" "Bytes written to storage",
        "process.threads": gauge "1" "Threads",
        "process.tree.size": gauge "1" "Processes in the tree",
        "process.open_files": gauge "1" "Open file descriptors",
        "system.pressure.*.some_percent": gauge "%" "Share of the last 10 s in which some task waited",
        "system.pressure.*.full_percent": gauge "%" "Share of the last 10 s in which all tasks waited",
        "system.context_switches": counter "1" "Context switches since boot",
        "system.processes.created": counter "1" "Processes created since boot",
        "system.processes.runnable": gauge "1" "Processes that could run",
        "system.processes.blocked": gauge "1" "Processes that wait for I/O",
        "system.network.receive_bytes": counter "By" "Bytes received on all interfaces but the loopback",
        "system.network.transmit_bytes": counter "By" "Bytes sent on all interfaces but the loopback"
    ]
}

#[cfg(test)]
mod tests {
    use super::SystemMetrics;
    use orchestrator_plugin_api::testing::{FactId, FakeProcess, collect, collect_system};

    #[test]
    fn what_the_host_has_read_is_passed_on() {
        // No process has these numbers, so that nothing but the fake host answers.
        let process = FakeProcess::new(u32::MAX)
            .descendant(u32::MAX - 1)
            .number(FactId::CPU_SECONDS, 1.5)
            .number(FactId::OPEN_FILES, 4.0)
            .number_of(u32::MAX - 1, FactId::OPEN_FILES, 3.0);
        let found = collect(&mut SystemMetrics, &process).unwrap();
        let expected =
            [("process.cpu.seconds", 1.5), ("process.open_files", 7.0), ("process.tree.size", 2.0)];
        assert!(found.iter().map(|(name, value)| (name.as_str(), *value)).eq(expected), "{found:?}");
    }

    #[test]
    fn where_the_host_does_not_count_files_the_plugin_does() {
        let found = collect(&mut SystemMetrics, &FakeProcess::new(std::process::id())).unwrap();
        assert!(found["process.open_files"] >= 3.0, "{found:?}");
    }

    #[test]
    fn the_machine_has_numbers_that_the_host_takes() {
        let found = collect_system(&mut SystemMetrics).unwrap();
        assert!(found["system.context_switches"] > 0.0, "{found:?}");
    }
}
