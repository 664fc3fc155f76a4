//! What an instance is doing, and the only ways from one thing to the next.

use std::time::Instant;

/// What an instance does.
///
/// ```text
///            ┌──────────── launched ────────────┐
///            ▼                                  │
/// Starting ─ready─► Idle ◄─answered─ Busy    Waiting ◄─broke, to be started again─ Starting, Idle, Busy
///    ▲               └────asked─────►▲       Failed  ◄─broke for good───────────── Starting, Idle, Busy, Waiting
///    └─ launched ── Failed, Disabled         Disabled ◄─taken out──── all
/// ```
///
/// A successor that is ready puts each of them, except Disabled, to Idle: it is another worker's state from then on.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    /// Its worker loads and constructs it; given up at `until`.
    Starting { until: Instant },
    /// It waits for a job.
    Idle,
    /// It does a job since `since`; its deadline is to be looked at again at `check`.
    Busy { errand: Errand, since: Instant, check: Instant },
    /// It broke and is started again at `until`.
    Waiting { until: Instant, sentence: String },
    /// It was given up; the sentence says why.
    Failed { sentence: String },
    /// The configuration does not want it any more.
    Disabled,
}

/// What a busy instance is busy with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Errand {
    /// It measures, or calculates.
    Round,
    /// It hands out its state.
    Snapshot,
}

/// What can happen to an instance.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Happening {
    /// A worker was started for it.
    Launched { until: Instant },
    /// Its worker says that it is ready.
    Ready,
    /// It was handed a job.
    Asked { errand: Errand, now: Instant, check: Instant },
    /// It has done its job.
    Answered,
    /// A call is looked at again later.
    Spared { check: Instant },
    /// It broke and is to be started again.
    BrokeForNow { until: Instant, sentence: String },
    /// It broke for good.
    BrokeForGood { sentence: String },
    /// A successor takes its place and is ready.
    Succeeded,
    /// The configuration does not want it any more.
    TakenOut,
}

impl State {
    /// The state after something happened; `None` where that means nothing in this state.
    pub(super) fn after(&self, happening: Happening) -> Option<Self> {
        use Happening as H;
        match (self, happening) {
            (Self::Waiting { .. } | Self::Failed { .. } | Self::Disabled, H::Launched { until }) => {
                Some(Self::Starting { until })
            }
            (Self::Starting { .. }, H::Ready) => Some(Self::Idle),
            (Self::Idle, H::Asked { errand, now, check }) => Some(Self::Busy { errand, since: now, check }),
            (Self::Busy { .. }, H::Answered) => Some(Self::Idle),
            (Self::Busy { errand, since, .. }, H::Spared { check }) => {
                Some(Self::Busy { errand: *errand, since: *since, check })
            }
            (Self::Starting { .. } | Self::Idle | Self::Busy { .. }, H::BrokeForNow { until, sentence }) => {
                Some(Self::Waiting { until, sentence })
            }
            (
                Self::Starting { .. } | Self::Idle | Self::Busy { .. } | Self::Waiting { .. },
                H::BrokeForGood { sentence },
            ) => Some(Self::Failed { sentence }),
            (Self::Disabled, _) => None,
            (_, H::Succeeded) => Some(Self::Idle),
            (_, H::TakenOut) => Some(Self::Disabled),
            _ => None,
        }
    }

    /// Whether a worker stands behind it.
    pub(super) fn is_alive(&self) -> bool {
        matches!(self, Self::Starting { .. } | Self::Idle | Self::Busy { .. })
    }

    /// When it is to be looked at again though nothing was heard.
    pub(super) fn wakes(&self) -> Option<Instant> {
        match self {
            Self::Starting { until } | Self::Waiting { until, .. } => Some(*until),
            Self::Busy { check, .. } => Some(*check),
            Self::Idle | Self::Failed { .. } | Self::Disabled => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(now: Instant) -> Vec<State> {
        let sentence = String::new;
        vec![
            State::Starting { until: now },
            State::Idle,
            State::Busy { errand: Errand::Round, since: now, check: now },
            State::Waiting { until: now, sentence: sentence() },
            State::Failed { sentence: sentence() },
            State::Disabled,
        ]
    }

    #[test]
    fn only_a_living_instance_breaks_and_only_a_dead_one_is_launched() {
        let now = Instant::now();
        for state in all(now) {
            let broke = state.after(Happening::BrokeForNow { until: now, sentence: String::new() });
            assert_eq!(broke.is_some(), state.is_alive(), "{state:?}");
            let launched = state.after(Happening::Launched { until: now });
            assert_eq!(launched.is_some(), !state.is_alive(), "{state:?}");
        }
    }

    #[test]
    fn only_an_idle_instance_is_asked_and_only_a_busy_one_answers() {
        let now = Instant::now();
        for state in all(now) {
            let asked = state.after(Happening::Asked { errand: Errand::Round, now, check: now });
            assert_eq!(asked.is_some(), state == State::Idle, "{state:?}");
            let answered = state.after(Happening::Answered);
            assert_eq!(answered.is_some(), matches!(state, State::Busy { .. }), "{state:?}");
            let ready = state.after(Happening::Ready);
            assert_eq!(ready.is_some(), matches!(state, State::Starting { .. }), "{state:?}");
        }
    }

    #[test]
    fn what_was_taken_out_comes_back_by_a_launch_only() {
        let now = Instant::now();
        for state in all(now).iter().filter(|state| **state != State::Disabled) {
            assert_eq!(state.after(Happening::TakenOut), Some(State::Disabled));
            assert_eq!(state.after(Happening::Succeeded), Some(State::Idle));
        }
        let broke = Happening::BrokeForGood { sentence: String::new() };
        for happening in [Happening::Ready, Happening::Answered, Happening::Succeeded, broke] {
            assert_eq!(State::Disabled.after(happening), None);
        }
    }
}
