//! Landlock: which files can be read, and that nothing is written, connected or signalled.

use super::SandboxError;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};
use orchestrator_core::config::model::Grants;
use std::path::{Path, PathBuf};

/// Where the loader finds shared libraries.
const LIBRARIES: [&str; 8] = [
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/local/lib64",
    "/etc/ld.so.cache",
    "/nix/store",
];

/// What everybody may read of the machine and what tells nothing of other processes.
const STATISTICS: [&str; 22] = [
    "/proc/self",
    "/proc/loadavg",
    "/proc/stat",
    "/proc/meminfo",
    "/proc/uptime",
    "/proc/pressure",
    "/proc/cpuinfo",
    "/proc/vmstat",
    "/proc/diskstats",
    "/proc/swaps",
    "/proc/filesystems",
    "/proc/version",
    "/proc/sys/kernel/osrelease",
    "/proc/sys/kernel/pid_max",
    "/proc/sys/vm",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
    "/dev/null",
    "/dev/urandom",
    "/etc/localtime",
    "/usr/share/zoneinfo",
];

/// What finding an address needs.
const NAMES: [&str; 8] = [
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/ssl/certs",
    "/run/systemd/resolve/resolv.conf",
];

/// What this program knows of Landlock.
const KNOWN: ABI = ABI::V7;

pub(super) fn restrict(grants: &Grants) -> Result<(), SandboxError> {
    let net = if grants.network { BitFlags::EMPTY } else { AccessNet::from_all(KNOWN) };
    let ruleset = Ruleset::default()
        // What an older kernel lacks, seccomp denies as well.
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))
        .and_then(|rules| if net.is_empty() { Ok(rules) } else { rules.handle_access(net) })
        .and_then(|rules| rules.scope(Scope::from_all(KNOWN)))
        .and_then(Ruleset::create)
        .map_err(SandboxError::Landlock)?;
    let names = if grants.network { NAMES.as_slice() } else { &[] };
    let fixed = LIBRARIES.iter().chain(&STATISTICS).chain(names).map(PathBuf::from);
    let places: Vec<PathBuf> = fixed.chain(grants.read.iter().cloned()).collect();
    let status = ruleset
        .add_rules(places.iter().filter_map(|place| rule(place)).map(Ok::<_, landlock::RulesetError>))
        .and_then(landlock::RulesetCreated::restrict_self)
        .map_err(SandboxError::Landlock)?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err(SandboxError::NoLandlock),
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
    }
}

/// Reading of a place; nothing where there is no such place.
fn rule(place: &Path) -> Option<PathBeneath<PathFd>> {
    let descriptor = PathFd::new(place).ok()?;
    let read: BitFlags<AccessFs> =
        if place.is_dir() { AccessFs::ReadFile | AccessFs::ReadDir } else { AccessFs::ReadFile.into() };
    Some(PathBeneath::new(descriptor, read))
}
