//! Readings of the machine.

use std::io::Write;

use orchestrator_ports::Probe;
use orchestrator_sysmon::{SystemProbe, pressure};

use crate::common::{Subject, probe, wait_until};

#[test]
fn a_reading_is_plausible() {
    let mut probe = probe();
    let sample = probe.system();
    let processors = std::thread::available_parallelism().unwrap().get() as f64;
    assert!(sample.cpu_cores > 0.0 && sample.cpu_cores <= processors.ceil(), "{sample:?}");
    assert!((0.0..=100.0).contains(&sample.cpu_percent), "{sample:?}");
    assert!(sample.memory_total.0 > 64 << 20, "{sample:?}");
    assert_eq!(sample.memory_total.0, sample.memory_used.0 + sample.memory_available.0);
    assert!(sample.disk_percent > 0.0 && sample.disk_percent <= 100.0, "{sample:?}");
    assert!(sample.processes >= 2 && sample.load1 >= 0.0, "{sample:?}");
    assert!((1 << 20..sample.memory_total.0).contains(&sample.own_peak.0), "{sample:?}");
    assert_eq!(probe.cost().system_calls, 1);
    assert!(!probe.cost().cpu.is_zero());
}

#[test]
fn a_busy_machine_is_seen_busy() {
    let mut probe = probe();
    let threads = std::thread::available_parallelism().unwrap().get();
    let busy: Vec<Subject> = (0..threads).map(|n| Subject::shell(n as u64, "while :; do :; done")).collect();
    // Once: the machine may be busy elsewhere, too, never less than with us.
    wait_until(|| (probe.system().cpu_percent > 80.0).then_some(()));
    assert_eq!(busy.len(), threads);
}

#[test]
fn memory_in_use_is_seen() {
    let mut probe = probe();
    let size = 256_usize << 20;
    // Others take and free memory meanwhile, and what is given back is counted a little late: a single look proves nothing.
    let mut least = u64::MAX;
    wait_until(|| {
        least = least.min(probe.system().memory_used.0);
        let mut held = vec![0_u8; size];
        held.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
        let used = probe.system().memory_used.0;
        assert_eq!(held[4096], 1);
        (used > least + (size as u64) / 2).then_some(())
    });
}

#[test]
fn written_bytes_reach_the_disk_rates() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut probe = SystemProbe::new(directory.path()).unwrap();
    if !std::fs::read_to_string("/proc/diskstats")
        .is_ok_and(|text| text.contains("da ") || text.contains("nvme"))
    {
        eprintln!("skipped: no block device whose traffic is counted");
        return;
    }
    wait_until(|| {
        let mut file = std::fs::File::create(directory.path().join("data")).unwrap();
        file.write_all(&vec![7_u8; 4 << 20]).unwrap();
        file.sync_all().unwrap();
        let sample = probe.system();
        (sample.disk_write_per_second > 0.0 && sample.disk_write_ops_per_second > 0.0).then_some(())
    });
}

#[test]
fn pressure_is_read_where_the_kernel_tells() {
    let found = pressure();
    assert_eq!(found.is_some(), std::fs::read("/proc/pressure/cpu").is_ok());
    if let Some(found) = found {
        for share in [found.cpu.some, found.memory.some, found.memory.full, found.io.some, found.io.full] {
            assert!((0.0..=100.0).contains(&share), "{found:?}");
        }
    }
}
