//! `SystemResourceCapacity`: as many processes as CPU, memory and disk thresholds leave room for.
//!
//! With a calibration (*ĉ* cores and *r* bytes of peak RSS a process), of a machine with *C* cores and *M* bytes of memory
//! and the thresholds *θ* as fractions:
//!
//! - CPU: ⌊max(*θ*c·*C* − others, 0.05·*C*) / max(*ĉ*, 0.001)⌋, others = max(0, cores in use − cores that our processes use);
//!   where *θ*c is 100 %, a quarter of a process is added before rounding down
//! - memory: ⌊(*θ*m·*M* − others) / *r*⌋, others = max(0, bytes in use − RSS of our processes)
//! - disk: when the output file system is at its threshold, no more than now
//!
//! The smallest of these is the answer, never below 0. What others use is subtracted, our own use is not: it is what is
//! being divided. (First rule of the control law in the capacity notes: N = ⌊(θ·C − background)/ĉ⌋.)
//!
//! Without a calibration it feels its way: one more than now while CPU and memory are below their thresholds, as many as
//! now at a threshold, one fewer above it. "Now" are the running processes; since short ones come and go while one looks, up
//! to twice as many and one count as running where so many are allowed at present. CPU counts as above only 5 points over its threshold, since
//! stopping a process for a busy CPU loses work and saves nothing.

mod room;

use orchestrator_plugin_api::{Capacity, CapacityPlugin, Error, NoConfig, Readings, Result, export_plugin};
use room::{Calibration, Machine};

struct ResourceCapacity;

impl CapacityPlugin for ResourceCapacity {
    type Config = NoConfig;

    fn initialize(_: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    fn calculate_capacity(&mut self, calibration: &Readings<'_>, current: &Readings<'_>) -> Result<Capacity> {
        let machine = read_machine(current)?;
        let (processes, reason) = match read_calibration(calibration) {
            Some(calibration) => room::by_calibration(&machine, &calibration),
            None => room::by_feel(&machine),
        };
        Ok(Capacity::new(processes).because(reason))
    }
}

fn read_machine(current: &Readings<'_>) -> Result<Machine> {
    let need = |name: &str| {
        current
            .get(name)
            .ok_or_else(|| Error::unavailable(format!("the host gave no `{name}`; ask again later")))
    };
    let fraction = |name: &str, default: f64| current.get(name).unwrap_or(default) / 100.0;
    let cores = need("system.cpu.cores")?;
    Ok(Machine {
        cores,
        cores_used: cores * need("system.cpu.percent")? / 100.0,
        cores_ours: current.get("orchestrator.processes.cpu_cores").unwrap_or(0.0),
        memory: need("system.memory.total_bytes")?,
        memory_used: need("system.memory.used_bytes")?,
        memory_ours: current.get("orchestrator.processes.rss_bytes").unwrap_or(0.0),
        disk_used: fraction("system.disk.percent", 0.0),
        now: room::now(
            current.get("orchestrator.processes.running").unwrap_or(0.0) as u32,
            current.get("orchestrator.concurrency.current").unwrap_or(0.0) as u32,
        ),
        cpu_threshold: fraction("limits.cpu_threshold_percent", 80.0),
        memory_threshold: fraction("limits.memory_threshold_percent", 75.0),
        disk_threshold: fraction("limits.disk_usage_threshold_percent", 90.0),
    })
}

fn read_calibration(calibration: &Readings<'_>) -> Option<Calibration> {
    Some(Calibration {
        cores: calibration.get("calibration.cpu_cores")?,
        rss_peak: calibration.get("calibration.rss_peak_bytes")?,
    })
}

export_plugin! {
    capacity: ResourceCapacity as "SystemResourceCapacity",
    about: "As many processes as the CPU, memory and disk thresholds leave room for.",
    config_schema: r#"{"type":"object","additionalProperties":false}"#
}

#[cfg(test)]
mod tests {
    use super::ResourceCapacity;
    use orchestrator_plugin_api::ErrorCode;
    use orchestrator_plugin_api::testing::calculate;

    const MACHINE: [(&str, f64); 5] = [
        ("system.cpu.cores", 4.0),
        ("system.cpu.percent", 0.0),
        ("system.memory.total_bytes", 16e9),
        ("system.memory.used_bytes", 0.0),
        ("orchestrator.processes.running", 2.0),
    ];

    #[test]
    fn the_thresholds_of_the_run_are_used() {
        let one = [("calibration.cpu_cores", 0.5), ("calibration.rss_peak_bytes", 1e6)];
        let processes =
            |current: &[(&str, f64)]| calculate(&mut ResourceCapacity, &one, current).unwrap().processes();
        // 0.8 · 4 / 0.5 by default, 0.5 · 4 / 0.5 where the run says so.
        assert_eq!(processes(&MACHINE), 6);
        assert_eq!(processes(&[&MACHINE[..], &[("limits.cpu_threshold_percent", 50.0)]].concat()), 4);
    }

    #[test]
    fn without_readings_of_the_machine_there_is_no_answer() {
        for left_out in 0..4 {
            let mut current = MACHINE.to_vec();
            let (name, _) = current.remove(left_out);
            let error = calculate(&mut ResourceCapacity, &[], &current).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Unavailable);
            assert!(error.message().contains(name), "{error}");
        }
    }
}
