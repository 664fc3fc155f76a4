//! What this machine and this process allow, whatever is asked for: the limit of open files, and the cores when nothing
//! else says how many attempts may run.

use orchestrator_core::scheduler::Policy;
use orchestrator_exec_local::max_children_by_fds;

/// Bounds of a run; they hold for all of it, also when its configuration is read again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Ceiling {
    /// How many children the limit of open files allows; none where there is no limit.
    open_files: Option<u32>,
    /// Cores that this process may use.
    cores: u32,
}

impl Ceiling {
    /// Looks at limits as they are now: after the executor has raised them.
    pub(crate) fn observe() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let narrow = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        Self { open_files: max_children_by_fds().map(narrow), cores: narrow(cores as u64) }
    }

    /// Bounds the policy. What to tell the user when that is less than was asked for.
    pub(crate) fn bound(self, policy: &mut Policy) -> Option<String> {
        let limits = &mut policy.limits;
        if limits.max.is_none() && policy.capacity_plugins == 0 {
            limits.max = Some(self.cores.max(limits.min));
        }
        let most = self.open_files?;
        let asked = limits.max.unwrap_or(0).max(limits.min);
        limits.max = Some(limits.max.map_or(most, |max| max.min(most)));
        limits.min = limits.min.min(most);
        (asked > most).then(|| {
            format!(
                "at most {most} processes run at once instead of {asked}: more do not fit under the limit of open files (ulimit -n)"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orchestrator_core::config::model::Config;

    fn bounded(
        min: u32,
        max: Option<u32>,
        plugins: usize,
        open_files: Option<u32>,
    ) -> (u32, Option<u32>, bool) {
        let mut policy = Policy::from_config(&Config::default());
        policy.limits.min = min;
        policy.limits.max = max;
        policy.capacity_plugins = plugins;
        let remark = Ceiling { open_files, cores: 8 }.bound(&mut policy);
        (policy.limits.min, policy.limits.max, remark.is_some())
    }

    #[test]
    fn cores_decide_when_nothing_else_does() {
        assert_eq!(bounded(1, None, 0, None), (1, Some(8), false));
        assert_eq!(bounded(10, None, 0, None), (10, Some(10), false));
        assert_eq!(bounded(1, None, 1, None), (1, None, false));
        assert_eq!(bounded(1, Some(20), 0, None), (1, Some(20), false));
    }

    #[test]
    fn open_files_bound_everything_and_what_was_asked_for_is_told() {
        assert_eq!(bounded(1, None, 1, Some(50)), (1, Some(50), false));
        assert_eq!(bounded(1, Some(50), 1, Some(50)), (1, Some(50), false));
        assert_eq!(bounded(1, Some(51), 1, Some(50)), (1, Some(50), true));
        assert_eq!(bounded(60, None, 1, Some(50)), (50, Some(50), true));
        assert_eq!(bounded(1, None, 0, Some(5)), (1, Some(5), true));
    }
}
