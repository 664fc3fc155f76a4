//! The arithmetic: how much room there is. Pure, so that it is tested without a machine.

/// What the machine looks like now. Thresholds and disk use are fractions, memory is in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) cores: f64,
    pub(crate) cores_used: f64,
    pub(crate) cores_ours: f64,
    pub(crate) memory: f64,
    pub(crate) memory_used: f64,
    pub(crate) memory_ours: f64,
    pub(crate) disk_used: f64,
    pub(crate) now: u32,
    pub(crate) cpu_threshold: f64,
    pub(crate) memory_threshold: f64,
    pub(crate) disk_threshold: f64,
}

/// What one process needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calibration {
    pub(crate) cores: f64,
    pub(crate) rss_peak: f64,
}

const LEAST_CORES: f64 = 0.001;
/// However much others use, this share of the cores is ours: processes that only wait harm nobody.
const OURS: f64 = 0.05;
/// Where all cores may be busy a process that lacks this share of what it needs may run: there is no threshold to exceed,
/// and a core would stand idle because somebody else uses a hundredth of it.
const ALL: f64 = 0.999;
const ROUNDING: f64 = 0.25;
/// How far above its threshold CPU use must be before it counts, as a fraction.
const CPU_TOLERANCE: f64 = 0.05;
const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

/// How many run now. Short processes come and go: of those that are allowed, up to twice the running ones and one more
/// count as only just ended.
pub(crate) fn now(running: u32, allowed: u32) -> u32 {
    allowed.min(running.saturating_mul(2).saturating_add(1)).max(running)
}

/// The answer and its reason where a process's needs are known.
pub(crate) fn by_calibration(machine: &Machine, one: &Calibration) -> (u32, String) {
    let mut limits = vec![cpu_room(machine, one)];
    limits.extend(memory_room(machine, one));
    limits.extend(disk_room(machine));
    limits.into_iter().min_by_key(|(processes, _)| *processes).unwrap_or((u32::MAX, String::new()))
}

/// The answer and its reason without a calibration.
pub(crate) fn by_feel(machine: &Machine) -> (u32, String) {
    let cpu = machine.cores_used / machine.cores.max(LEAST_CORES);
    let memory = machine.memory_used / machine.memory.max(1.0);
    let now = machine.now;
    if memory > machine.memory_threshold {
        return (now.saturating_sub(1), format!("memory: {} in use", percent(memory)));
    }
    if cpu > machine.cpu_threshold + CPU_TOLERANCE {
        return (now.saturating_sub(1), format!("cpu: {} in use", percent(cpu)));
    }
    if memory >= machine.memory_threshold {
        return (now, format!("memory: {} in use", percent(memory)));
    }
    if cpu >= machine.cpu_threshold {
        return (now, format!("cpu: {} in use", percent(cpu)));
    }
    disk_room(machine).unwrap_or((now.saturating_add(1), "no calibration yet: one more at a time".to_owned()))
}

fn cpu_room(machine: &Machine, one: &Calibration) -> (u32, String) {
    let others = (machine.cores_used - machine.cores_ours).max(0.0);
    let free = (machine.cpu_threshold * machine.cores - others).max(OURS * machine.cores);
    let reason =
        format!("cpu: {:.2} of {:.1} cores free at {:.2} each", free.max(0.0), machine.cores, one.cores);
    let rounding = if machine.cpu_threshold >= ALL { ROUNDING } else { 0.0 };
    (whole(free / one.cores.max(LEAST_CORES) + rounding), reason)
}

/// Processes without measurable memory are not limited by it.
fn memory_room(machine: &Machine, one: &Calibration) -> Option<(u32, String)> {
    if one.rss_peak <= 0.0 {
        return None;
    }
    let others = (machine.memory_used - machine.memory_ours).max(0.0);
    let free = machine.memory_threshold * machine.memory - others;
    let reason = format!("memory: {:.2} GiB free at {:.3} GiB each", free.max(0.0) / GIB, one.rss_peak / GIB);
    Some((whole(free / one.rss_peak), reason))
}

fn disk_room(machine: &Machine) -> Option<(u32, String)> {
    let full = machine.disk_used >= machine.disk_threshold;
    full.then(|| (machine.now, format!("disk: {} in use", percent(machine.disk_used))))
}

fn percent(fraction: f64) -> String {
    format!("{:.0} %", fraction * 100.0)
}

/// Rounded down, from 0 to one below "no limit". (A hair is added so that 3.2 / 0.8 gives 4, not 3.)
fn whole(number: f64) -> u32 {
    (number + 1e-9).floor().clamp(0.0, f64::from(u32::MAX - 1)) as u32
}

#[cfg(test)]
mod tests {
    use super::{Calibration, GIB, Machine, by_calibration, by_feel, now};

    fn machine() -> Machine {
        Machine {
            cores: 4.0,
            cores_used: 1.0,
            cores_ours: 0.5,
            memory: 16.0 * GIB,
            memory_used: 6.0 * GIB,
            memory_ours: 2.0 * GIB,
            disk_used: 0.5,
            now: 3,
            cpu_threshold: 0.8,
            memory_threshold: 0.75,
            disk_threshold: 0.9,
        }
    }

    #[test]
    fn what_others_use_is_subtracted_and_our_own_is_not() {
        // (0.8 · 4 − 0.5) / 0.5 = 5.4
        let (processes, reason) = by_calibration(&machine(), &Calibration { cores: 0.5, rss_peak: 1.0 });
        assert_eq!(processes, 5);
        assert!(reason.starts_with("cpu:"), "{reason}");
        // (0.75 · 16 − 4) / 2 = 4
        let (processes, reason) =
            by_calibration(&machine(), &Calibration { cores: 0.1, rss_peak: 2.0 * GIB });
        assert_eq!(processes, 4);
        assert!(reason.starts_with("memory:"), "{reason}");
    }

    #[test]
    fn sleeping_processes_are_not_divided_by_zero() {
        let (processes, _) = by_calibration(&machine(), &Calibration { cores: 0.0, rss_peak: 0.0 });
        assert_eq!(processes, 2700);
    }

    #[test]
    fn what_only_waits_goes_on_beside_others() {
        let crowded = Machine { cores_used: 4.0, cores_ours: 0.0, ..machine() };
        assert_eq!(by_calibration(&crowded, &Calibration { cores: 0.01, rss_peak: 0.0 }).0, 20);
        assert_eq!(by_calibration(&crowded, &Calibration { cores: 0.9, rss_peak: 0.0 }).0, 0);
    }

    #[test]
    fn where_all_cores_may_be_busy_a_trifle_keeps_none_idle() {
        let alone = Machine { cores_used: 1.05, cores_ours: 1.0, cpu_threshold: 1.0, ..machine() };
        let one = Calibration { cores: 1.0, rss_peak: 0.0 };
        assert_eq!(by_calibration(&alone, &one).0, 4);
        assert_eq!(by_calibration(&Machine { cpu_threshold: 0.99, ..alone.clone() }, &one).0, 3);
        assert_eq!(by_calibration(&Machine { cores_used: 2.0, ..alone }, &one).0, 3);
    }

    #[test]
    fn no_room_is_zero() {
        let crowded = Machine { memory_used: 15.0 * GIB, memory_ours: 0.0, ..machine() };
        assert_eq!(by_calibration(&crowded, &Calibration { cores: 0.5, rss_peak: GIB }).0, 0);
    }

    #[test]
    fn a_full_disk_stops_growth() {
        let full = Machine { disk_used: 0.95, ..machine() };
        assert_eq!(by_calibration(&full, &Calibration { cores: 0.1, rss_peak: 1.0 }).0, 3);
        assert_eq!(by_feel(&full).0, 3);
    }

    #[test]
    fn a_gap_between_two_short_processes_is_no_decrease() {
        assert_eq!(now(3, 4), 4);
        assert_eq!(now(0, 1), 1);
        assert_eq!(now(2, 100), 5);
        assert_eq!(now(7, 4), 7);
        assert_eq!(now(0, 0), 0);
    }

    #[test]
    fn without_calibration_it_goes_one_by_one() {
        assert_eq!(by_feel(&machine()).0, 4);
        assert_eq!(by_feel(&Machine { cores_used: 3.3, ..machine() }).0, 3);
        assert_eq!(by_feel(&Machine { cores_used: 3.9, ..machine() }).0, 2);
        assert_eq!(by_feel(&Machine { memory_used: 12.0 * GIB, ..machine() }).0, 3);
        assert_eq!(by_feel(&Machine { memory_used: 13.0 * GIB, ..machine() }).0, 2);
        assert_eq!(by_feel(&Machine { memory_used: 16.0 * GIB, now: 0, ..machine() }).0, 0);
    }
}
