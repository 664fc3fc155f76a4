//! CPU: usable cores and the share of them in use.

use std::path::PathBuf;
use std::time::Instant;

use crate::cgroup::{self, LIMITS_EVERY, LevelWatch};
use crate::text::KernelFile;

/// 64-bit words of an affinity mask: room for 65,536 processors, more than any kernel is built for.
const WORDS: usize = 1024;

/// Busy and all clock ticks of the usable processors so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Ticks {
    busy: u64,
    all: u64,
}

/// A quota and what its group had used at the last reading.
#[derive(Debug)]
struct Metered {
    cores: f64,
    directory: PathBuf,
    unified: bool,
    used_ns: u64,
    at: Instant,
}

/// Watches the CPU.
#[derive(Debug)]
pub(crate) struct CpuWatch {
    stat: KernelFile,
    levels: LevelWatch,
    usable: Usable,
    /// When what we may use is looked at again.
    again: Instant,
    last: Ticks,
    percent: f64,
    metered: Option<Metered>,
}

impl CpuWatch {
    /// Begins to watch: the first reading covers the time since now.
    pub(crate) fn new() -> Self {
        let (mut stat, mut levels) = (KernelFile::open("/proc/stat"), LevelWatch::new("cpu"));
        let usable = Usable::read(&mut levels);
        let last = parse_ticks(stat.read(), &usable.processors);
        let metered = usable.quota.clone().and_then(metered);
        Self { stat, levels, usable, again: Instant::now() + LIMITS_EVERY, last, percent: 0.0, metered }
    }

    /// The processors of our affinity mask, as last looked at; none where the kernel does not tell.
    pub(crate) fn processors(&self) -> &[usize] {
        &self.usable.processors
    }

    /// Usable cores now, and the share of them that was in use since the last reading, 0–100.
    ///
    /// The share is that of the processors of our affinity mask (`/proc/stat`: everything but idle and iowait; stolen
    /// time counts as used). Under a quota it is the larger of this and the group's own use of its quota.
    pub(crate) fn read(&mut self) -> (f64, f64) {
        let at = Instant::now();
        if at >= self.again {
            (self.usable, self.again) = (Usable::read(&mut self.levels), at + LIMITS_EVERY);
        }
        let usable = &self.usable;
        let now = parse_ticks(self.stat.read(), &usable.processors);
        let all = now.all.saturating_sub(self.last.all);
        let busy = now.busy.saturating_sub(self.last.busy);
        if all > 0 {
            self.percent = (busy as f64 * 100.0 / all as f64).clamp(0.0, 100.0);
            self.last = now;
        }
        let cores = usable.cores();
        let metered = usable.quota.clone().and_then(metered);
        let of_quota = match (&self.metered, &metered) {
            (Some(before), Some(now)) => share_of_quota(before, now),
            _ => 0.0,
        };
        self.metered = metered;
        (cores, self.percent.max(of_quota))
    }
}

/// What we may use.
#[derive(Debug)]
struct Usable {
    processors: Vec<usize>,
    quota: Option<(cgroup::Quota, bool)>,
}

impl Usable {
    fn read(levels: &mut LevelWatch) -> Self {
        let levels = levels.now();
        let quota = cgroup::tightest_quota(levels).map(|quota| (quota, levels.unified));
        Self { processors: affinity(), quota }
    }

    fn cores(&self) -> f64 {
        let told = Some(self.processors.len()).filter(|count| *count > 0);
        let guessed = || std::thread::available_parallelism().map_or(1, usize::from);
        let processors = told.unwrap_or_else(guessed) as f64;
        self.quota.as_ref().map_or(processors, |(quota, _)| quota.cores.min(processors))
    }
}

fn metered((quota, unified): (cgroup::Quota, bool)) -> Option<Metered> {
    let used_ns = cgroup::cpu_used(&quota.directory, unified)?;
    Some(Metered { cores: quota.cores, directory: quota.directory, unified, used_ns, at: Instant::now() })
}

fn share_of_quota(before: &Metered, now: &Metered) -> f64 {
    let elapsed = now.at.duration_since(before.at).as_secs_f64();
    if before.directory != now.directory || before.unified != now.unified || elapsed <= 0.0 {
        return 0.0;
    }
    let used = now.used_ns.saturating_sub(before.used_ns) as f64 / 1e9;
    (used * 100.0 / (elapsed * now.cores)).clamp(0.0, 100.0)
}

/// The processors of our affinity mask; none where the kernel does not tell.
///
/// Not by rustix, whose set ends at 1,024 processors: the kernel refuses to write into less than it was built for.
pub(crate) fn affinity() -> Vec<usize> {
    let mut mask = [0_u64; WORDS];
    // SAFETY: the kernel writes at most as many bytes as it is told there are, into a buffer that is ours.
    let bytes =
        unsafe { libc::syscall(libc::SYS_sched_getaffinity, 0, size_of_val(&mask), mask.as_mut_ptr()) };
    match usize::try_from(bytes) {
        Ok(_) => set_bits(&mask),
        Err(_) => Vec::new(),
    }
}

/// Bit `n % 64` of word `n / 64` is processor `n`.
fn set_bits(mask: &[u64]) -> Vec<usize> {
    (0..mask.len() * 64).filter(|at| mask[at / 64] >> (at % 64) & 1 == 1).collect()
}

/// Sums the `cpuN` lines of these processors; of all if none are named.
fn parse_ticks(text: &str, processors: &[usize]) -> Ticks {
    let mut ticks = Ticks::default();
    for line in text.lines().skip(1).take_while(|line| line.starts_with("cpu")) {
        let mut fields = line[3..].split_ascii_whitespace();
        let Some(processor) = fields.next().and_then(|name| name.parse().ok()) else { continue };
        if !processors.is_empty() && processors.binary_search(&processor).is_err() {
            continue;
        }
        // user nice system idle iowait irq softirq steal; guest time is part of user time.
        for (column, value) in fields.take(8).enumerate() {
            let value: u64 = value.parse().unwrap_or(0);
            ticks.all += value;
            if column != 3 && column != 4 {
                ticks.busy += value;
            }
        }
    }
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 10 1 5 80 4 0 0 2 0 0\ncpu1 1 0 0 99 0 0 0 0 0 0\ncpu10 7 0 0 3 0 0 0 0 7 0\nintr 1 2\n";

    #[test]
    fn only_usable_processors_count_and_waiting_is_not_working() {
        assert_eq!(parse_ticks(STAT, &[0]), Ticks { busy: 18, all: 102 });
        assert_eq!(parse_ticks(STAT, &[0, 10]), Ticks { busy: 25, all: 112 });
        assert_eq!(parse_ticks(STAT, &[2]), Ticks::default());
        assert_eq!(parse_ticks(STAT, &[]), Ticks { busy: 26, all: 212 }, "nobody said which");
    }

    #[test]
    fn processors_beyond_the_first_1024_count() {
        let mut mask = [0; WORDS];
        (mask[0], mask[16], mask[WORDS - 1]) = (0b101, 1, 1 << 63);
        assert_eq!(set_bits(&mask), [0, 2, 1024, 65_535]);
    }

    #[test]
    fn where_the_mask_is_not_told_the_cores_are_guessed() {
        let unknown = Usable { processors: Vec::new(), quota: None };
        assert!(unknown.cores() >= 1.0 && unknown.cores() == unknown.cores().trunc());
        let told = Usable { processors: vec![3, 1500], quota: None };
        assert!((told.cores() - 2.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_quota_is_shared_over_time() {
        let at = Instant::now();
        let meter = |used_ns, seconds| Metered {
            cores: 2.0,
            directory: "/x".into(),
            unified: true,
            used_ns,
            at: at + std::time::Duration::from_secs(seconds),
        };
        let share = share_of_quota(&meter(0, 0), &meter(5_000_000_000, 5));
        assert!((share - 50.0).abs() < 1e-9, "{share}");
        assert_eq!(share_of_quota(&meter(9, 0), &meter(0, 1)), 0.0);
    }
}
