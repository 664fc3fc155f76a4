//! `ConnectionMetricsCollector`: TCP connections of every process and of the machine, IPv4 and IPv6 together.
//!
//! A process's connections are the sockets that it or a descendant holds open (`/proc/PID/fd`), looked up in the TCP
//! tables of the process's own network namespace (`/proc/PID/net/tcp`, `tcp6`). A socket held by several processes of
//! one tree counts once, a process that has ended meanwhile has none, and of a process that this user may not look into
//! there are no metrics. `total` counts every TCP socket in those tables, whatever its state.
//!
//! Configuration: `ports: [8080, 8081]` (optional) adds the same counts per port. A connection belongs to a port when
//! either of its ends has it, a listening socket when its own end has it.

mod sockets;
mod table;

use orchestrator_plugin_api::{Error, Metrics, MetricsPlugin, Process, Result, export_plugin};
use serde::Deserialize;
use std::borrow::Borrow;
use table::{Connection, Tables};

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// Ports that are counted on their own.
    ports: Vec<u16>,
}

struct Connections {
    ports: Vec<u16>,
    tables: Tables,
}

impl MetricsPlugin for Connections {
    type Config = Config;

    fn initialize(config: Config) -> Result<Self> {
        if config.ports.contains(&0) {
            return Err(Error::config("`ports` holds 0, which is no port; remove it"));
        }
        let mut ports = config.ports;
        ports.sort_unstable();
        ports.dedup();
        Ok(Self { ports, tables: Tables::default() })
    }

    fn collect_metrics(&mut self, process: &Process<'_>) -> Result<Metrics> {
        let Some(inodes) = sockets::of_tree(process.tree()) else { return Ok(Metrics::new()) };
        if inodes.is_empty() {
            return Ok(count::<Connection>("net.tcp", &[], &self.ports));
        }
        let Ok(table) = self.tables.of_process(process.pid()) else { return Ok(Metrics::new()) };
        let own: Vec<&Connection> = inodes.iter().filter_map(|inode| table.by_inode(*inode)).collect();
        Ok(count("net.tcp", &own, &self.ports))
    }

    fn collect_system_metrics(&mut self) -> Result<Metrics> {
        let table = self.tables.of_this_process()?;
        Ok(count("system.net.tcp", table.connections(), &self.ports))
    }
}

fn count<C: Borrow<Connection>>(prefix: &str, connections: &[C], ports: &[u16]) -> Metrics {
    let mut metrics = Metrics::new();
    tally(&mut metrics, prefix, connections.iter().map(Borrow::borrow));
    for port in ports {
        let on_port = connections.iter().map(Borrow::borrow).filter(|connection| connection.is_on(*port));
        tally(&mut metrics, &format!("{prefix}.port.{port}"), on_port);
    }
    metrics
}

fn tally<'c>(metrics: &mut Metrics, prefix: &str, connections: impl Iterator<Item = &'c Connection>) {
    let (mut established, mut listening, mut total) = (0_u32, 0_u32, 0_u32);
    for connection in connections {
        established += u32::from(connection.is_established());
        listening += u32::from(connection.is_listening());
        total += 1;
    }
    metrics.push(format!("{prefix}.established"), f64::from(established));
    metrics.push(format!("{prefix}.listening"), f64::from(listening));
    metrics.push(format!("{prefix}.total"), f64::from(total));
}

export_plugin! {
    metrics: Connections as "ConnectionMetricsCollector",
    about: "TCP connections per process (descendants included), per configured port, and of the machine.",
    config_schema: r#"{"type":"object","additionalProperties":false,"properties":{"ports":{"type":"array",
"description":"Ports that are counted on their own","items":{"type":"integer","minimum":1,"maximum":65535}}}}"#,
    emits: [
        "net.tcp.established": gauge "1" "Established connections of the process",
        "net.tcp.listening": gauge "1" "Listening sockets of the process",
        "net.tcp.total": gauge "1" "TCP sockets of the process in any state",
        "net.tcp.port.*.established": gauge "1" "Established connections of the process on a configured port",
        "net.tcp.port.*.listening": gauge "1" "Listening sockets of the process on a configured port",
        "net.tcp.port.*.total": gauge "1" "TCP sockets of the process on a configured port",
        "system.net.tcp.established": gauge "1" "Established connections of the machine",
        "system.net.tcp.listening": gauge "1" "Listening sockets of the machine",
        "system.net.tcp.total": gauge "1" "TCP sockets of the machine in any state",
        "system.net.tcp.port.*.established": gauge "1" "Established connections on a configured port",
        "system.net.tcp.port.*.listening": gauge "1" "Listening sockets on a configured port",
        "system.net.tcp.port.*.total": gauge "1" "TCP sockets on a configured port"
    ]
}

#[cfg(test)]
mod tests {
    use super::Connections;
    use orchestrator_plugin_api::testing::{FakeHost, FakeProcess};
    use std::net::TcpListener;

    #[test]
    fn a_listening_port_of_this_process_is_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let host = FakeHost::new();
        let mut plugin: Connections = host.metrics(&format!(r#"{{"ports": [{port}]}}"#)).unwrap();
        let found = host.collect(&mut plugin, &FakeProcess::new(std::process::id())).unwrap();
        assert_eq!(found[&format!("net.tcp.port.{port}.listening")], 1.0, "{found:?}");
        assert!(found["net.tcp.listening"] >= 1.0, "{found:?}");
    }

    #[test]
    fn a_process_that_has_ended_has_no_connections() {
        let host = FakeHost::new();
        let mut plugin: Connections = host.metrics("{}").unwrap();
        assert_eq!(host.collect(&mut plugin, &FakeProcess::new(u32::MAX)).unwrap()["net.tcp.total"], 0.0);
    }

    #[test]
    fn ports_are_checked() {
        let host = FakeHost::new();
        for config in [r#"{"ports": [0]}"#, r#"{"ports": [70000]}"#, r#"{"port": [80]}"#] {
            assert!(host.metrics::<Connections>(config).is_err(), "{config}");
        }
    }
}
