//! The bundled plugins through the real host.

use crate::world::{Round, World, capacity, facts, metrics, with_config};
use orchestrator_core::metrics::Metrics;
use orchestrator_plugin_host::InstanceSpec;
use orchestrator_ports::Plugins as _;
use orchestrator_tests::artifacts;
use serde_json::json;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

fn own_process() -> Vec<orchestrator_ports::ProcessFacts> {
    vec![facts(1, std::process::id(), &[])]
}

#[test]
fn connections_are_counted_per_process_and_per_port_in_both_families() {
    let library = artifacts::plugin("connection-counter");
    for address in ["127.0.0.1:0", "[::1]:0"] {
        // A machine without IPv6 has only one family to show.
        let Ok(listener) = TcpListener::bind(address) else { continue };
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let config = json!({ "ports": [port] });
        let mut world = World::of(&library, &[with_config(metrics("ConnectionMetricsCollector"), config)]);
        let Round { system, processes, .. } = world.round_over(own_process(), Metrics::new());
        let (_, own) = &processes[0];
        assert_eq!(own["net.tcp.established"], 2.0, "{address}");
        assert_eq!(own["net.tcp.listening"], 1.0, "{address}");
        assert_eq!(own["net.tcp.total"], 3.0, "{address}");
        let name = |what: &str| format!("net.tcp.port.{port}.{what}");
        assert_eq!((own[&name("established")], own[&name("listening")]), (2.0, 1.0), "{address}");
        // Others on this machine may use the same number of a port in the other family or as a client.
        assert!(system[&format!("system.{}", name("established"))] >= 2.0, "{address}");
        assert!(system["system.net.tcp.established"] >= 2.0);
        drop((client, server));
    }
}

#[test]
fn a_process_that_has_ended_has_no_connections_rather_than_no_metrics() {
    let mut world =
        World::of(&artifacts::plugin("connection-counter"), &[metrics("ConnectionMetricsCollector")]);
    let gone = vec![facts(1, u32::MAX, &[])];
    assert_eq!(world.round_over(gone, Metrics::new()).processes[0].1["net.tcp.established"], 0.0);
}

#[test]
fn a_port_that_is_none_is_refused() {
    let zero = with_config(metrics("ConnectionMetricsCollector"), json!({ "ports": [0] }));
    let large = with_config(metrics("ConnectionMetricsCollector"), json!({ "ports": [70000] }));
    for spec in [zero, large] {
        let world = World::of(&artifacts::plugin("connection-counter"), &[spec]);
        assert!(world.failures[0].to_string().contains("refuses its configuration"), "{}", world.failures[0]);
    }
}

#[test]
fn a_round_is_due_while_somebody_would_be_asked() {
    let library = artifacts::plugin("system-metrics");
    let each_round = metrics("SystemMetricsCollector");
    let hourly = InstanceSpec { interval: Some(Duration::from_secs(3600)), ..each_round.clone() };
    let mut world = World::of(&library, &[hourly]);
    assert!(world.host.is_due());
    world.round();
    assert!(world.host.is_due(), "it has not seen a process yet");
    world.round_over(own_process(), Metrics::new());
    assert!(!world.host.is_due(), "for an hour");
    let mut often = World::of(&library, &[each_round]);
    often.round_over(own_process(), Metrics::new());
    assert!(often.host.is_due());
    let mut nobody = World::of(&library, &[]);
    nobody.round();
    assert!(!nobody.host.is_due());
}

#[test]
fn system_metrics_pass_on_what_the_host_read() {
    let mut facts = own_process();
    let mut world = World::of(&artifacts::plugin("system-metrics"), &[metrics("SystemMetricsCollector")]);
    let bare = world.round_over(facts.clone(), Metrics::new());
    assert!(!bare.processes[0].1.contains_key("process.memory.rss_bytes"));
    assert!(bare.processes[0].1["process.open_files"] >= 3.0);
    facts[0].sample = Some(sample());
    let full = world.round_over(facts, Metrics::new());
    let own = &full.processes[0].1;
    assert_eq!(own["process.memory.rss_bytes"], 4096.0);
    assert_eq!(own["process.cpu.seconds"], 2.5);
    assert_eq!(own["process.tree.size"], 1.0);
    assert!(full.system["system.context_switches"] > 0.0, "{:?}", full.system);
}

fn sample() -> orchestrator_core::metrics::ProcessSample {
    use orchestrator_core::{AttemptId, Bytes};
    orchestrator_core::metrics::ProcessSample {
        attempt: AttemptId(1),
        cpu_time: std::time::Duration::from_millis(2500),
        rss: Bytes(4096),
        virtual_memory: Bytes(8192),
        read_bytes: Bytes(1),
        write_bytes: Bytes(2),
        read_ops: 3,
        write_ops: 4,
        processes: 1,
        threads: 5,
        states: [0, 1, 0, 0, 0],
    }
}

const MACHINE: [(&str, f64); 9] = [
    ("system.cpu.cores", 4.0),
    ("system.cpu.percent", 25.0),
    ("system.memory.total_bytes", 16e9),
    ("system.memory.used_bytes", 4e9),
    ("orchestrator.processes.running", 3.0),
    ("orchestrator.processes.cpu_cores", 0.5),
    ("limits.cpu_threshold_percent", 80.0),
    ("limits.memory_threshold_percent", 75.0),
    ("limits.disk_usage_threshold_percent", 90.0),
];

#[test]
fn resource_capacity_divides_what_others_leave() {
    let mut world = World::of(&artifacts::plugin("resource-capacity"), &[capacity("SystemResourceCapacity")]);
    world.built_in(&MACHINE);
    let calibration = [("calibration.cpu_cores", 0.5), ("calibration.rss_peak_bytes", 1e9)]
        .map(|(name, v)| (name.to_owned(), v));
    // CPU: (0.8 · 4 − (1 − 0.5)) / 0.5 = 5.4; memory: (0.75 · 16 − 4) / 1 = 8.
    let answer = world.round_over(Vec::new(), Metrics::from(calibration)).capacity.remove(0);
    assert_eq!(answer.capacity, Some(5));
    assert!(answer.reason.starts_with("cpu:"), "{}", answer.reason);
    // Without a calibration: one more than are running.
    assert_eq!(world.round().capacity[0].capacity, Some(4));
    // Without the machine's metrics there is no answer rather than a wrong one.
    world.built_in(&[]);
    let answer = world.round().capacity.remove(0);
    assert_eq!(answer.capacity, None);
    assert!(answer.reason.contains("system.cpu.cores"), "{}", answer.reason);
}

#[test]
fn custom_capacity_sees_what_the_metrics_plugins_measured() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let directory = crate::world::directory(&[
        &artifacts::plugin("connection-counter"),
        &artifacts::plugin("custom-capacity"),
    ]);
    let specs = [
        metrics("ConnectionMetricsCollector"),
        with_config(
            capacity("CustomCapacityCalculator"),
            json!({ "max_connections": 3, "limits": { "net.tcp.total": 100 } }),
        ),
    ];
    let mut world = World::start(&[directory.path().to_owned()], &specs);
    world.built_in(&[("orchestrator.processes.running", 2.0)]);
    let accepted = listener.accept().unwrap();
    // Two connections of the one process that was measured, though two run: a share of two, so one may run.
    let answer = world.round_over(own_process(), Metrics::new()).capacity.remove(0);
    assert_eq!(answer.capacity, Some(1), "{}", answer.reason);
    assert!(answer.reason.starts_with("net.tcp.established: 2 of 3"), "{}", answer.reason);
    drop((client, accepted));
}

#[test]
fn custom_capacity_wants_sensible_limits() {
    for (config, words) in [
        (json!({}), "no limit is given"),
        (json!({ "limits": { "a.b": 0 } }), "the limit on `a.b` is 0"),
        (json!({ "max_conections": 5 }), "did you mean `max_connections`?"),
    ] {
        let spec = with_config(capacity("CustomCapacityCalculator"), config);
        let world = World::of(&artifacts::plugin("custom-capacity"), &[spec]);
        assert!(world.failures[0].to_string().contains(words), "{}", world.failures[0]);
    }
}
