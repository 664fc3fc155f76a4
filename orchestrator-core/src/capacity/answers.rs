//! The plugins' bound: the smallest one wins, clamped to the user's minimum and maximum.
//!
//! A plugin that failed never raises capacity: its last good answer stays an upper bound; one that has never answered
//! holds capacity at the minimum.

use super::{Bound, CapacityDecision, PluginBound};
use crate::scheduler::CapacityAnswer;

/// The user's limits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CapacityLimits {
    /// `concurrency.min`: never fewer, while there is work and the machine can start processes. At least 1.
    pub min: u32,
    /// `concurrency.max`; `None` = no limit of the user's.
    pub max: Option<u32>,
    /// `concurrency.mode: fixed`: `max` attempts whatever the plugins say.
    pub fixed: bool,
}

/// Rounds in a row that capacity must lie below what is running before a surplus is stopped: a single noisy answer
/// must not cost work.
const SURPLUS_ROUNDS: usize = 3;

/// Keeps the plugins' words and turns them into a bound within the user's limits.
#[derive(Clone, Debug)]
pub struct Answers {
    limits: CapacityLimits,
    expected: usize,
    plugins: Vec<PluginBound>,
    covered: Vec<String>,
    allowed: u32,
    /// What surplus is counted from in the last rounds, the newest first.
    recent: [u32; SURPLUS_ROUNDS],
}

impl Answers {
    /// A law over `expected` enabled capacity plugins; until all have answered, the minimum holds.
    #[must_use]
    pub fn new(limits: CapacityLimits, expected: usize) -> Self {
        let allowed = limits.min.max(1);
        Self {
            limits,
            expected,
            plugins: Vec::new(),
            covered: Vec::new(),
            allowed,
            recent: [u32::MAX; SURPLUS_ROUNDS],
        }
    }

    /// Changes the user's limits (SIGHUP); takes effect with the next decision.
    pub fn set_limits(&mut self, limits: CapacityLimits) {
        self.limits = limits;
        self.allowed = self.allowed.max(limits.min);
    }

    /// The user's limits.
    #[must_use]
    pub fn limits(&self) -> CapacityLimits {
        self.limits
    }

    /// Takes one round of answers, one of each enabled plugin, given while `running` attempts held a slot. A plugin that
    /// is not among them was taken out: its last answer bounds nothing any more.
    ///
    /// Growth per round is limited to doubling (at least one more), so that the effect of a step is seen in the next
    /// reading before the next step is taken; where the control law decides growth is its affair.
    pub fn answered(&mut self, answers: Vec<CapacityAnswer>, running: u32) {
        self.expected = answers.len();
        self.plugins.retain(|bound| answers.iter().any(|answer| answer.instance == bound.instance));
        for answer in answers {
            self.note(answer);
        }
        let (raw, _, _) = self.smallest();
        let wanted = self.clamp(raw);
        let floor = self.floor();
        let step = running.max(self.allowed.min(running.saturating_add(1)));
        // Where the control law decides it has a pace of its own.
        let pace = if self.covered.is_empty() { step.saturating_mul(2).max(step + 1) } else { u32::MAX };
        self.allowed = wanted.min(pace).max(self.limits.min.max(1));
        self.recent = [floor, self.recent[0], self.recent[1]];
    }

    /// What surplus is counted from: the plugins' smallest answer, but not below the user's minimum.
    fn floor(&self) -> u32 {
        let raw = if self.plugins.iter().any(|bound| self.covered.contains(&bound.instance)) {
            let others = self.plugins.iter().filter(|bound| !self.covered.contains(&bound.instance));
            others.map(|bound| bound.capacity.unwrap_or(0)).min()
        } else {
            self.smallest().0
        };
        raw.unwrap_or(u32::MAX).max(self.limits.min.max(1))
    }

    /// Instances whose surplus stops no work: what they look at the control law looks at too, and it knows milder means.
    pub fn cover(&mut self, instances: Vec<String>) {
        self.covered = instances;
    }

    /// The number in force and whose it is, as an upper bound for the control law; `None` while nobody bounds.
    #[must_use]
    pub fn bound(&self) -> Option<(u32, String)> {
        let (raw, bound, _) = self.smallest();
        let name = match bound {
            Bound::Plugin(name) => name,
            other => other.to_string(),
        };
        raw.map(|_| (self.target(), name))
    }

    fn note(&mut self, answer: CapacityAnswer) {
        let at = match self.plugins.iter().position(|bound| bound.instance == answer.instance) {
            Some(at) => at,
            None => {
                self.plugins.push(PluginBound {
                    instance: answer.instance.clone(),
                    capacity: None,
                    reason: String::new(),
                    failed: false,
                });
                self.plugins.len() - 1
            }
        };
        let bound = &mut self.plugins[at];
        bound.failed = answer.capacity.is_none();
        bound.reason = answer.reason;
        if answer.capacity.is_some() {
            bound.capacity = answer.capacity;
        }
    }

    /// The smallest answer: `None` = no plugin bounds.
    fn smallest(&self) -> (Option<u32>, Bound, String) {
        if self.expected == 0 {
            return (None, Bound::Max, String::new());
        }
        if self.plugins.len() < self.expected || self.plugins.iter().any(|bound| bound.capacity.is_none()) {
            let silent = self.plugins.iter().find(|bound| bound.capacity.is_none());
            return match silent {
                Some(bound) => (Some(0), Bound::Plugin(bound.instance.clone()), bound.reason.clone()),
                None => (Some(0), Bound::NoAnswerYet, String::new()),
            };
        }
        match self.plugins.iter().min_by_key(|bound| bound.capacity) {
            Some(bound) => (bound.capacity, Bound::Plugin(bound.instance.clone()), bound.reason.clone()),
            None => (None, Bound::Max, String::new()),
        }
    }

    fn clamp(&self, raw: Option<u32>) -> u32 {
        raw.unwrap_or(u32::MAX).min(self.limits.max.unwrap_or(u32::MAX)).max(self.limits.min.max(1))
    }

    /// The decision as things stand.
    #[must_use]
    pub fn decide(&self) -> CapacityDecision {
        let plugins = self.plugins.clone();
        let max = self.limits.max.unwrap_or(u32::MAX);
        if self.limits.fixed {
            return CapacityDecision {
                target: max,
                bound: Bound::Max,
                reason: "mode: fixed".into(),
                plugins,
                allowed: None,
            };
        }
        let (raw, bound, reason) = self.smallest();
        let min = self.limits.min.max(1);
        let (target, bound, reason) = match raw {
            None => (max.max(min), Bound::Max, String::new()),
            Some(value) if value >= max => (max.max(min), Bound::Max, String::new()),
            Some(value) if value < min => {
                let said = if reason.is_empty() { bound.to_string() } else { format!("{bound}: {reason}") };
                let bound = if matches!(bound, Bound::NoAnswerYet) { bound } else { Bound::Min };
                (min, bound, said)
            }
            Some(value) => (value, bound, reason),
        };
        if self.expected > 0 && target > self.allowed {
            let reason = format!("the bounds would allow {target}");
            return CapacityDecision {
                target: self.allowed,
                bound: Bound::WarmUp,
                reason,
                plugins,
                allowed: None,
            };
        }
        CapacityDecision { target, bound, reason, plugins, allowed: None }
    }

    /// The number of [`Answers::decide`] alone, without the words: admission asks for it for every task.
    #[must_use]
    pub fn target(&self) -> u32 {
        if self.limits.fixed {
            return self.limits.max.unwrap_or(u32::MAX);
        }
        let all = self.plugins.len() >= self.expected;
        let smallest = self.plugins.iter().map(|bound| bound.capacity.unwrap_or(0)).min();
        let raw = if self.expected == 0 { None } else { Some(smallest.filter(|_| all).unwrap_or(0)) };
        let wanted = self.clamp(raw);
        if self.expected == 0 { wanted } else { wanted.min(self.allowed) }
    }

    /// How many of `running` are to be stopped: what lies above the most generous answer of the last three rounds, so
    /// that one noisy answer costs no work. The user's maximum is not among the reasons: lowering `concurrency.max` live
    /// stops no work, what runs ends by itself.
    #[must_use]
    pub fn surplus(&self, running: u32) -> u32 {
        if self.limits.fixed {
            return 0;
        }
        running.saturating_sub(self.recent.iter().copied().max().unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn law(min: u32, max: Option<u32>, expected: usize) -> Answers {
        Answers::new(CapacityLimits { min, max, fixed: false }, expected)
    }

    fn answer(instance: &str, capacity: Option<u32>) -> CapacityAnswer {
        CapacityAnswer { instance: instance.into(), capacity, reason: "because".into() }
    }

    #[test]
    fn the_number_alone_is_that_of_the_decision() {
        for (min, max, expected) in
            [(1, None, 0), (1, Some(3), 0), (2, Some(4), 1), (1, None, 2), (5, Some(5), 2)]
        {
            let mut law = law(min, max, expected);
            assert_eq!(law.target(), law.decide().target);
            for (a, b) in [(Some(9), None), (Some(9), Some(3)), (None, Some(1)), (Some(2), Some(80))] {
                let answers = vec![answer("a", a), answer("b", b)].into_iter().take(expected).collect();
                law.answered(answers, 2);
                assert_eq!(law.target(), law.decide().target);
            }
        }
    }

    #[test]
    fn nothing_grows_before_the_first_answer() {
        let decision = law(1, None, 1).decide();
        assert_eq!((decision.target, decision.bound), (1, Bound::NoAnswerYet));
    }

    #[test]
    fn the_smallest_answer_wins_and_growth_is_stepwise() {
        let mut law = law(1, None, 2);
        law.answered(vec![answer("a", Some(9)), answer("b", Some(5))], 1);
        assert_eq!((law.decide().target, law.decide().bound), (2, Bound::WarmUp));
        law.answered(vec![answer("a", Some(9)), answer("b", Some(5))], 2);
        law.answered(vec![answer("a", Some(9)), answer("b", Some(5))], 4);
        assert_eq!((law.decide().target, law.decide().bound), (5, Bound::Plugin("b".into())));
    }

    #[test]
    fn a_failed_plugin_never_raises_capacity() {
        let mut law = law(1, None, 1);
        for running in [1, 2, 4] {
            law.answered(vec![answer("a", Some(4))], running);
        }
        assert_eq!(law.decide().target, 4);
        law.answered(vec![answer("a", None)], 4);
        law.answered(vec![answer("a", None)], 4);
        assert_eq!(law.decide().target, 4);
        assert!(law.decide().plugins[0].failed);
    }

    #[test]
    fn a_plugin_that_was_taken_out_bounds_nothing_any_more() {
        let mut law = law(1, None, 2);
        for running in [1, 2, 4, 8] {
            law.answered(vec![answer("a", Some(9)), answer("b", Some(3))], running);
        }
        assert_eq!(law.target(), 3);
        law.answered(vec![answer("a", Some(9))], 8);
        assert_eq!((law.decide().target, law.decide().plugins.len()), (9, 1));
        law.answered(vec![answer("a", Some(9)), answer("c", Some(2))], 9);
        assert_eq!(law.target(), 2);
        law.answered(Vec::new(), 9);
        assert_eq!((law.target(), law.decide().bound), (u32::MAX, Bound::Max));
    }

    #[test]
    fn one_that_never_answered_holds_the_minimum() {
        let mut law = law(2, None, 2);
        law.answered(vec![answer("a", Some(50)), answer("b", None)], 1);
        assert_eq!(law.decide().target, 2);
    }

    #[test]
    fn a_surplus_is_stopped_only_when_it_lasts() {
        let mut law = law(1, None, 1);
        for _ in 0..5 {
            law.answered(vec![answer("a", Some(8))], 8);
        }
        law.answered(vec![answer("a", Some(2))], 8);
        assert_eq!(law.surplus(8), 0);
        law.answered(vec![answer("a", Some(8))], 8);
        for _ in 0..3 {
            law.answered(vec![answer("a", Some(2))], 8);
        }
        assert_eq!(law.surplus(8), 6);
        law.answered(vec![answer("a", Some(0))], 8);
        assert_eq!(law.surplus(8), 6, "a single answer more costs nothing more");
        for _ in 0..2 {
            law.answered(vec![answer("a", Some(0))], 8);
        }
        assert_eq!(law.surplus(8), 7, "one always goes on");
    }

    #[test]
    fn a_lowered_maximum_stops_nothing_and_does_not_make_one_noisy_answer_count() {
        let mut law = law(1, Some(8), 1);
        for _ in 0..5 {
            law.answered(vec![answer("a", Some(8))], 8);
        }
        law.set_limits(CapacityLimits { min: 1, max: Some(2), fixed: false });
        for _ in 0..5 {
            law.answered(vec![answer("a", Some(8))], 8);
        }
        assert_eq!((law.target(), law.surplus(8)), (2, 0));
        law.answered(vec![answer("a", Some(1))], 8);
        assert_eq!(law.surplus(8), 0);
    }

    #[test]
    fn a_raised_minimum_holds_at_once() {
        let mut law = law(1, None, 1);
        law.set_limits(CapacityLimits { min: 3, max: None, fixed: false });
        assert_eq!(law.target(), 3);
    }

    #[test]
    fn fixed_ignores_the_plugins() {
        let mut law = Answers::new(CapacityLimits { min: 1, max: Some(7), fixed: true }, 1);
        law.answered(vec![answer("a", Some(1))], 7);
        assert_eq!((law.decide().target, law.surplus(7)), (7, 0));
    }
}
