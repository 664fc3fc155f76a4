//! Limits of this process: open files bound how many processes can run at once.

use orchestrator_core::config::Config;
use orchestrator_exec_local::{FDS_PER_CHILD, max_children_under};
use rustix::process::{Resource, getrlimit};

use super::Findings;
use crate::exit::Exit;

/// Descriptors that everything else needs: database, plugins, scans.
const RESERVE: u64 = 128;

/// How many processes the hard limit of open files allows; none where there is no limit.
pub(super) fn check(config: &Config, findings: &mut Findings<'_>) -> Option<u64> {
    let limit = getrlimit(Resource::Nofile).maximum?;
    let allowed = max_children_under(limit);
    let concurrency = &config.concurrency;
    let help = |count: u32| Some(format!("raise it: ulimit -n {}", needed(count)));
    if u64::from(concurrency.min) > allowed {
        let message =
            format!("{} processes need more open files than the limit of {limit} allows", concurrency.min);
        findings.error(Exit::Config, "concurrency.min", &message, help(concurrency.min));
    } else if let Some(max) = concurrency.max.get().filter(|max| u64::from(*max) > allowed) {
        let message =
            format!("of {max} processes at most {allowed} fit under the limit of {limit} open files");
        findings.warning("concurrency.max", &message, help(max));
    }
    Some(allowed)
}

/// A limit under which so many processes fit, besides the eighth that the sampler may keep.
fn needed(count: u32) -> u64 {
    (u64::from(count) * FDS_PER_CHILD + RESERVE) * 8 / 7 + 1
}
