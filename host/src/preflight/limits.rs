//! Limits of this process: open files bound how many processes can run at once.

use orchestrator_core::config::Config;
use orchestrator_exec_local::FDS_PER_CHILD;
use rustix::process::{Resource, getrlimit};

use super::Findings;
use crate::exit::Exit;

/// Descriptors that everything else needs: database, plugins, scans.
const RESERVE: u64 = 96;

/// How many processes the hard limit of open files allows; none where there is no limit.
pub(super) fn check(config: &Config, findings: &mut Findings<'_>) -> Option<u64> {
    let limit = getrlimit(Resource::Nofile).maximum?;
    let allowed = (limit.saturating_sub(RESERVE) / FDS_PER_CHILD).max(1);
    let concurrency = &config.concurrency;
    let help =
        || Some(format!("raise it: ulimit -n {}", u64::from(concurrency.min) * FDS_PER_CHILD + RESERVE));
    if u64::from(concurrency.min) > allowed {
        let message =
            format!("{} processes need more open files than the limit of {limit} allows", concurrency.min);
        findings.error(Exit::Config, "concurrency.min", &message, help());
    } else if let Some(max) = concurrency.max.get().filter(|max| u64::from(*max) > allowed) {
        let message =
            format!("of {max} processes at most {allowed} fit under the limit of {limit} open files");
        let help = format!("raise it: ulimit -n {}", u64::from(max) * FDS_PER_CHILD + RESERVE);
        findings.warning("concurrency.max", &message, Some(help));
    }
    Some(allowed)
}
