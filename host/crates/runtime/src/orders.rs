//! Signals that the commands of a step ask for, put together: the executor looks at the machine's processes once for each
//! lot, not once for each attempt.

use std::collections::BTreeMap;

use orchestrator_core::AttemptId;
use orchestrator_ports::{SignalScope, StopSignal};

/// One signal for several attempts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Order {
    pub(crate) attempts: Vec<AttemptId>,
    pub(crate) signal: StopSignal,
    pub(crate) scope: SignalScope,
}

/// Signals to be sent, lot after lot; each attempt gets its own in the order in which they were asked for.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    lots: Vec<Order>,
    /// The first lot that may take another signal for the attempt.
    next: BTreeMap<AttemptId, usize>,
}

impl Orders {
    pub(crate) fn add(&mut self, attempt: AttemptId, signal: StopSignal, scope: SignalScope) {
        let from = self.next.get(&attempt).copied().unwrap_or(0);
        let fits = |lot: &Order| lot.signal == signal && lot.scope == scope;
        let place = self.lots.iter().skip(from).position(fits).map_or(self.lots.len(), |found| from + found);
        match self.lots.get_mut(place) {
            Some(lot) => lot.attempts.push(attempt),
            None => self.lots.push(Order { attempts: vec![attempt], signal, scope }),
        }
        self.next.insert(attempt, place + 1);
    }

    /// All of them; none are left.
    pub(crate) fn take(&mut self) -> Vec<Order> {
        self.next.clear();
        std::mem::take(&mut self.lots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERM: StopSignal = StopSignal(15);
    const CONT: StopSignal = StopSignal(18);

    #[test]
    fn many_stops_are_few_lots_and_each_attempt_hears_its_signals_in_order() {
        let mut orders = Orders::default();
        for attempt in (1..=300).map(AttemptId) {
            orders.add(attempt, CONT, SignalScope::Tree);
            orders.add(attempt, TERM, SignalScope::Tree);
        }
        orders.add(AttemptId(7), CONT, SignalScope::Tree);
        let lots = orders.take();
        assert_eq!(lots.iter().map(|lot| lot.signal).collect::<Vec<_>>(), [CONT, TERM, CONT]);
        assert_eq!(lots[0].attempts.len(), 300);
        assert_eq!(lots[0].attempts, lots[1].attempts);
        assert_eq!(lots[2].attempts, [AttemptId(7)]);
        assert!(orders.take().is_empty());
    }
}
