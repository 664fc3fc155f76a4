//! Exit codes: what a script can rely on.

use std::process::ExitCode;

use orchestrator_core::scheduler::RunFault;

/// How the command ended. The numbers follow `sysexits.h` where it has one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// All succeeded.
    Success = 0,
    /// A fault of the orchestrator itself.
    Internal = 1,
    /// The command line cannot be understood.
    Usage = 2,
    /// There is no file to work on.
    NothingToDo = 4,
    /// A plugin or the executor is not available.
    Unavailable = 69,
    /// The state or the output cannot be read or written.
    StateIo = 74,
    /// Interrupted; the same command line continues.
    Interrupted = 75,
    /// The configuration cannot be used.
    Config = 78,
    /// Some tasks failed for good.
    SomeFailed = 100,
}

impl Exit {
    /// The number.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    /// How a run ended, by the reason it ended early (if it did) and the tasks that are failed in its state.
    pub(crate) fn of_run(fault: Option<&RunFault>, failed: u64) -> Self {
        match fault {
            Some(RunFault::Spawn(_)) => Self::Config,
            Some(RunFault::Interrupted) => Self::Interrupted,
            Some(RunFault::Halted | RunFault::Calibrated) | None if failed > 0 => Self::SomeFailed,
            Some(RunFault::Halted | RunFault::Calibrated) | None => Self::Success,
        }
    }

    /// The code that several problems together end with: a wrong configuration hides what comes later, so it counts
    /// before a missing plugin, that before the state, and an empty input directory last.
    pub(crate) fn of_problems(codes: impl IntoIterator<Item = Self>) -> Option<Self> {
        let rank = |exit: &Self| match exit {
            Self::Usage => 0,
            Self::Config => 1,
            Self::Unavailable => 2,
            Self::StateIo => 3,
            Self::Internal => 4,
            Self::SomeFailed | Self::Interrupted => 5,
            Self::NothingToDo => 6,
            Self::Success => 7,
        };
        codes.into_iter().min_by_key(rank)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orchestrator_core::scheduler::SpawnFault;

    #[test]
    fn a_run_ends_with_the_promised_codes() {
        let spawn = RunFault::Spawn(SpawnFault::Config { detail: String::new() });
        let table = [
            (None, 0, 0),
            (None, 3, 100),
            (Some(RunFault::Halted), 0, 0),
            (Some(RunFault::Halted), 1, 100),
            (Some(RunFault::Interrupted), 3, 75),
            (Some(spawn), 0, 78),
        ];
        for (fault, failed, code) in table {
            assert_eq!(Exit::of_run(fault.as_ref(), failed).code(), code, "{fault:?} {failed}");
        }
    }

    #[test]
    fn the_configuration_counts_before_everything_found_later() {
        assert_eq!(
            Exit::of_problems([Exit::NothingToDo, Exit::Unavailable, Exit::Config]),
            Some(Exit::Config)
        );
        assert_eq!(Exit::of_problems([Exit::NothingToDo, Exit::Unavailable]), Some(Exit::Unavailable));
        assert_eq!(Exit::of_problems([]), None);
    }
}
