//! Where our own control groups are mounted, versions 1 and 2, and what they allow.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::text::{field, field_in, number_in, reread};

/// A control group hierarchy as seen from here: our own group and its ancestors, nearest first.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Levels {
    /// Unified hierarchy (version 2) rather than one controller's (version 1).
    pub(crate) unified: bool,
    /// Directories that exist.
    pub(crate) directories: Vec<PathBuf>,
}

/// Memory in a group with a limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct GroupMemory {
    /// The limit.
    pub(crate) limit: u64,
    /// In use and not given back before anything is killed: usage − page cache.
    pub(crate) used: u64,
}

/// The CPU quota of a group.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Quota {
    /// Cores.
    pub(crate) cores: f64,
    /// The group.
    pub(crate) directory: PathBuf,
}

/// Where our groups are is looked up again so often: processes are seldom moved from one to another.
const FIND_EVERY: Duration = Duration::from_secs(10);

/// What they allow is looked at again so often (a tenth less than a second, lest a reading that comes a little early put
/// it off): people change it, not programs.
pub(crate) const LIMITS_EVERY: Duration = Duration::from_millis(900);

/// The groups that one controller limits us by.
#[derive(Debug)]
pub(crate) struct LevelWatch {
    controller: &'static str,
    levels: Levels,
    again: Instant,
}

impl LevelWatch {
    /// Begins to watch.
    pub(crate) fn new(controller: &'static str) -> Self {
        Self { controller, levels: levels(controller), again: Instant::now() + FIND_EVERY }
    }

    /// Where they are, as of a few seconds ago at most.
    pub(crate) fn now(&mut self) -> &Levels {
        if Instant::now() >= self.again {
            *self = Self::new(self.controller);
        }
        &self.levels
    }
}

/// The groups that the controller limits us by; version 2 is asked first. Empty without control groups.
pub(crate) fn levels(controller: &str) -> Levels {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let all = find(controller, &groups, &mounts);
    all.into_iter().find(|levels| !levels.directories.is_empty()).unwrap_or_default()
}

fn find(controller: &str, groups: &str, mounts: &str) -> Vec<Levels> {
    let mut found = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else { continue };
        let unified = controllers.is_empty();
        if !unified && !controllers.split(',').any(|name| name == controller) {
            continue;
        }
        let Some(mount) = mount_point(mounts, unified, controller) else { continue };
        let directories: Vec<PathBuf> = climb(Path::new(&mount), group);
        // On a mixed system the unified hierarchy exists but governs nothing that version 1 has.
        let governs = !unified || directories.iter().any(|directory| has_controller(directory, controller));
        if governs {
            found.push(Levels { unified, directories });
        }
    }
    found.sort_by_key(|levels| !levels.unified);
    found
}

fn has_controller(directory: &Path, controller: &str) -> bool {
    let list = fs::read_to_string(directory.join("cgroup.controllers")).unwrap_or_default();
    list.split_whitespace().any(|name| name == controller)
}

/// Where the hierarchy is mounted.
fn mount_point(mounts: &str, unified: bool, controller: &str) -> Option<String> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (path, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
        let fits = if unified {
            kind == "cgroup2"
        } else {
            kind == "cgroup" && options.split(',').any(|option| option == controller)
        };
        fits.then(|| path.to_owned())
    })
}

/// The group's directory and its ancestors up to the mount point, those that exist. (In a container the group may be
/// named from outside: then only the mount point itself exists, and it is our own group.)
fn climb(mount: &Path, group: &str) -> Vec<PathBuf> {
    let own = mount.join(group.trim_start_matches('/'));
    own.ancestors()
        .take_while(|path| path.starts_with(mount))
        .filter(|path| path.is_dir())
        .map(Path::to_owned)
        .collect()
}

/// Those of the groups that have a limit below `machine` bytes.
pub(crate) fn limiting_memory(levels: &Levels, machine: u64) -> Levels {
    let limits = |directory: &&PathBuf| memory_limit(directory, levels.unified, machine).is_some();
    let directories = levels.directories.iter().filter(limits).cloned().collect();
    Levels { directories, ..*levels }
}

fn memory_limit(directory: &Path, unified: bool, machine: u64) -> Option<u64> {
    let name = if unified { "memory.max" } else { "memory.limit_in_bytes" };
    number_in(&directory.join(name)).filter(|&limit| limit < machine)
}

/// The memory of the group with the least left under its limit; `None` when no group's limit is below `machine` bytes.
pub(crate) fn tightest_memory(levels: &Levels, machine: u64) -> Option<GroupMemory> {
    let memories =
        levels.directories.iter().filter_map(|directory| memory(directory, levels.unified, machine));
    memories.min_by_key(|memory| memory.limit.saturating_sub(memory.used))
}

fn memory(directory: &Path, unified: bool, machine: u64) -> Option<GroupMemory> {
    let limit = memory_limit(directory, unified, machine)?;
    let (usage, prefix) = if unified { ("memory.current", "") } else { ("memory.usage_in_bytes", "total_") };
    let usage = number_in(&directory.join(usage))?;
    let stat = fs::read_to_string(directory.join("memory.stat")).unwrap_or_default();
    // Both lists, as in the kernel's own MemAvailable: what was read twice is active and still only a copy. Memory file
    // systems are on neither.
    let cache = ["inactive_file", "active_file"].map(|name| field(&stat, &format!("{prefix}{name}")));
    Some(GroupMemory { limit, used: usage.saturating_sub(cache.into_iter().flatten().sum()) })
}

/// The tightest CPU quota, if there is any.
pub(crate) fn tightest_quota(levels: &Levels) -> Option<Quota> {
    let quotas = levels.directories.iter().filter_map(|directory| {
        let (quota, period) = if levels.unified {
            let text = fs::read_to_string(directory.join("cpu.max")).ok()?;
            let mut fields = text.split_whitespace();
            (fields.next()?.parse::<f64>().ok()?, fields.next()?.parse::<f64>().ok()?)
        } else {
            let quota = number_in(&directory.join("cpu.cfs_quota_us"))?;
            (quota as f64, number_in(&directory.join("cpu.cfs_period_us"))? as f64)
        };
        (quota > 0.0 && period > 0.0).then(|| Quota { cores: quota / period, directory: directory.clone() })
    });
    quotas.min_by(|one, other| one.cores.total_cmp(&other.cores))
}

/// Nanoseconds of CPU that the group has used.
pub(crate) fn cpu_used(directory: &Path, unified: bool) -> Option<u64> {
    if unified {
        return field_in(&directory.join("cpu.stat"), "usage_usec")?.checked_mul(1000);
    }
    // Version 1 counts in another controller, mounted together with this one or beside it.
    number_in(&directory.join("cpuacct.usage")).or_else(|| {
        let beside = levels("cpuacct");
        number_in(&beside.directories.first()?.join("cpuacct.usage"))
    })
}

/// The groups of a process (`self`: our own), a line for each hierarchy; `None` when it is gone.
pub(crate) fn groups_of(process: &str) -> Option<Vec<u8>> {
    fs::read(format!("/proc/{process}/cgroup")).ok()
}

/// Whether a process of these groups is, in every hierarchy, in the group of `ours` or in one below it.
pub(crate) fn is_within(groups: &[u8], ours: &[u8]) -> bool {
    let below = |(theirs, ours): (&[u8], &[u8])| {
        let rest = theirs.strip_prefix(ours);
        rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/' || ours.ends_with(b"/"))
    };
    let lines = |text| <[u8]>::split(text, |&byte| byte == b'\n').collect::<Vec<_>>();
    let (groups, ours) = (lines(groups), lines(ours));
    groups.len() == ours.len() && groups.into_iter().zip(ours).all(below)
}

/// The CPU time of our own group, with the groups below it, through a descriptor that stays open.
#[derive(Debug)]
pub(crate) struct GroupTime {
    file: File,
    unified: bool,
}

impl GroupTime {
    /// `None` where there is none. (The root of version 2 knows CPU time as the machine's clock ticks alone: not exactly.)
    pub(crate) fn find() -> Option<Self> {
        let own = |controller| {
            let levels = levels(controller);
            Some((levels.directories.into_iter().next()?, levels.unified))
        };
        let (directory, unified) = own("cpuacct").or_else(|| own("cpu"))?;
        Self::of(&directory, unified)
    }

    fn of(directory: &Path, unified: bool) -> Option<Self> {
        if unified && !directory.join("cgroup.events").exists() {
            return None;
        }
        let name = if unified { "cpu.stat" } else { "cpuacct.usage" };
        Some(Self { file: File::open(directory.join(name)).ok()?, unified })
    }

    /// Seconds so far.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> Option<f64> {
        let text = std::str::from_utf8(reread(&self.file, buffer).ok()?).ok()?;
        if self.unified {
            return Some(field(text, "usage_usec")? as f64 / 1e6);
        }
        Some(text.trim_end().parse::<u64>().ok()? as f64 / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, name: &str, text: &str) {
        fs::create_dir_all(path).unwrap();
        fs::write(path.join(name), text).unwrap();
    }

    #[test]
    fn within_a_group_are_itself_and_those_below_it_in_every_hierarchy() {
        let ours: &[u8] = b"4:cpu,cpuacct:/jobs\n0::/\n";
        assert!(is_within(ours, ours));
        assert!(is_within(b"4:cpu,cpuacct:/jobs/one\n0::/below\n", ours));
        assert!(!is_within(b"4:cpu,cpuacct:/jobs2\n0::/\n", ours), "another name");
        assert!(!is_within(b"4:cpu,cpuacct:/\n0::/\n", ours), "above");
        assert!(!is_within(b"0::/\n", ours) && !is_within(b"", ours));
        assert!(is_within(&groups_of("self").unwrap(), &groups_of(&std::process::id().to_string()).unwrap()));
    }

    #[test]
    fn version_2_limits_of_all_ancestors_count() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("outer/inner");
        write(&inner, "memory.max", "max\n");
        write(&inner, "memory.current", "100\n");
        write(&inner, "cpu.max", "300000 100000\n");
        let outer = root.path().join("outer");
        write(&outer, "memory.max", "1000\n");
        write(&outer, "memory.current", "800\n");
        write(&outer, "memory.stat", "anon 1\ninactive_file 200\nactive_file 100\n");
        write(&outer, "cpu.max", "150000 100000\n");
        write(&outer, "cpu.stat", "usage_usec 42\nuser_usec 1\n");
        let levels = Levels { unified: true, directories: climb(root.path(), "/outer/inner") };
        assert_eq!(levels.directories, [inner, outer.clone(), root.path().to_owned()]);
        assert_eq!(tightest_memory(&levels, 5000), Some(GroupMemory { limit: 1000, used: 500 }));
        assert_eq!(tightest_memory(&levels, 900), None, "a limit above the machine's memory is none");
        assert_eq!(tightest_quota(&levels), Some(Quota { cores: 1.5, directory: outer.clone() }));
        assert_eq!(cpu_used(&outer, true), Some(42_000));
        assert!(GroupTime::of(&outer, true).is_none(), "a root: its figure is made of clock ticks");
        write(&outer, "cgroup.events", "populated 1\n");
        assert_eq!(GroupTime::of(&outer, true).unwrap().read(&mut [0; 256]), Some(0.000_042));
    }

    #[test]
    fn version_1_limits_are_read() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "memory.limit_in_bytes", "2000\n");
        write(root.path(), "memory.usage_in_bytes", "1500\n");
        write(
            root.path(),
            "memory.stat",
            "inactive_file 1\nactive_file 2\ntotal_inactive_file 600\ntotal_active_file 100\n",
        );
        write(root.path(), "cpu.cfs_quota_us", "50000\n");
        write(root.path(), "cpu.cfs_period_us", "100000\n");
        let levels = Levels { unified: false, directories: climb(root.path(), "/named/from/outside") };
        assert_eq!(levels.directories, [root.path().to_owned()]);
        assert_eq!(tightest_memory(&levels, 1 << 40), Some(GroupMemory { limit: 2000, used: 800 }));
        assert_eq!(limiting_memory(&levels, 1 << 40), levels);
        assert!(limiting_memory(&levels, 1_000).directories.is_empty());
        assert_eq!(tightest_quota(&levels).unwrap().cores, 0.5);
        write(root.path(), "cpu.cfs_quota_us", "-1\n");
        assert_eq!(tightest_quota(&levels), None);
        write(root.path(), "cpuacct.usage", "2500000000\n");
        assert_eq!(GroupTime::of(root.path(), false).unwrap().read(&mut [0; 64]), Some(2.5));
    }

    #[test]
    fn the_hierarchy_that_governs_is_found_on_a_mixed_system() {
        let root = tempfile::tempdir().unwrap();
        let (one, two) = (root.path().join("memory"), root.path().join("unified"));
        fs::create_dir_all(one.join("job")).unwrap();
        fs::create_dir_all(&two).unwrap();
        let mounts = format!(
            "proc /proc proc rw 0 0\ncgroup2 {} cgroup2 rw 0 0\ncgroup {} cgroup rw,memory 0 0\n",
            two.display(),
            one.display()
        );
        let groups = "4:memory:/job\n0::/\n";
        let found = find("memory", groups, &mounts);
        assert_eq!(found, [Levels { unified: false, directories: vec![one.join("job"), one] }]);
        write(&two, "cgroup.controllers", "cpu memory\n");
        assert!(find("memory", groups, &mounts)[0].unified);
    }
}
