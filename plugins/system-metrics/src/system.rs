//! The machine, from `/proc`. The parsers take text, so that they are tested on real and on odd files alike.

use orchestrator_plugin_api::Metrics;
use std::fs::read_to_string;

/// Pressure stall information (Linux: `Documentation/accounting/psi.rst`), the ten-second averages.
pub(crate) fn pressure(metrics: &mut Metrics) {
    for resource in ["cpu", "memory", "io"] {
        if let Ok(text) = read_to_string(format!("/proc/pressure/{resource}")) {
            for (scope, percent) in stalls(&text) {
                metrics.push(format!("system.pressure.{resource}.{scope}_percent"), percent);
            }
        }
    }
}

/// Counters of `/proc/stat` (`proc_stat(5)`).
pub(crate) fn scheduler(metrics: &mut Metrics) {
    let Ok(text) = read_to_string("/proc/stat") else { return };
    for (key, name) in [
        ("ctxt", "system.context_switches"),
        ("processes", "system.processes.created"),
        ("procs_running", "system.processes.runnable"),
        ("procs_blocked", "system.processes.blocked"),
    ] {
        metrics.push_some(name, value_of(&text, key));
    }
}

/// Traffic of all interfaces but the loopback, from `/proc/net/dev`.
pub(crate) fn network(metrics: &mut Metrics) {
    let Ok(text) = read_to_string("/proc/net/dev") else { return };
    let (received, sent) = traffic(&text);
    metrics.push("system.network.receive_bytes", received);
    metrics.push("system.network.transmit_bytes", sent);
}

/// `some avg10=0.12 avg60=… total=…` → `("some", 0.12)`.
fn stalls(text: &str) -> Vec<(&str, f64)> {
    let stall = |line| {
        let (scope, values): (&str, &str) = str::split_once(line, ' ')?;
        let average = values.split(' ').find_map(|value| value.strip_prefix("avg10="))?;
        Some((scope, average.parse().ok()?))
    };
    text.lines().filter_map(stall).collect()
}

fn value_of(text: &str, key: &str) -> Option<f64> {
    let value = |line| str::split_once(line, ' ').filter(|(name, _)| *name == key);
    text.lines().find_map(value)?.1.trim().parse().ok()
}

/// Sums of the first (received) and ninth (sent) column behind the interface's name.
fn traffic(text: &str) -> (f64, f64) {
    let columns = |line| {
        let (name, values): (&str, &str) = str::split_once(line, ':')?;
        let values: Vec<f64> = values.split_whitespace().map_while(|value| value.parse().ok()).collect();
        (name.trim() != "lo" && values.len() > 8).then(|| (values[0], values[8]))
    };
    let sum = |sums: (f64, f64), line: (f64, f64)| (sums.0 + line.0, sums.1 + line.1);
    text.lines().filter_map(columns).fold((0.0, 0.0), sum)
}

#[cfg(test)]
mod tests {
    use super::{stalls, traffic, value_of};

    #[test]
    fn pressure_lines_are_read_by_scope() {
        let text = "some avg10=1.50 avg60=0.10 avg300=0.00 total=42\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
        assert_eq!(stalls(text), [("some", 1.5), ("full", 0.0)]);
        assert_eq!(stalls("nonsense\n\nsome total=1\n"), []);
    }

    #[test]
    fn stat_keys_are_matched_whole() {
        let text = "cpu  1 2 3\nprocesses 17\nprocs_running 3\n";
        assert_eq!(value_of(text, "processes"), Some(17.0));
        assert_eq!(value_of(text, "procs"), None);
    }

    #[test]
    fn the_loopback_is_left_out() {
        let text = "Inter-| Receive | Transmit\n face |bytes packets\n    lo: 9 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n  \
                    eth0: 100 1 0 0 0 0 0 0 50 1 0 0 0 0 0 0\n eth1:11 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n";
        assert_eq!(traffic(text), (111.0, 57.0));
    }
}
