//! Signals to attempts: to all that are named at once, so that one look at the processes does for all of them.

use std::collections::HashSet;

use orchestrator_core::AttemptId;
use orchestrator_ports::{SignalScope, StopSignal};
use rustix::process::Signal;

use crate::child::Phase;
use crate::proctable::signal_each;
use crate::reactor::Reactor;
use crate::{signal, sweep};

/// Trees that still grow after so many rounds of SIGKILL are left to the sweeps after their main processes' ends.
const KILL_ROUNDS: usize = 16;

impl Reactor {
    /// Signals these attempts; those that have ended are passed over.
    pub(crate) fn signal(&mut self, attempts: &[AttemptId], number: StopSignal, scope: SignalScope) {
        let Some(wanted) = known_signal(number) else { return };
        let tree = scope == SignalScope::Tree;
        let mut resumed = Vec::new();
        for attempt in attempts {
            if let Some(child) = self.children.get_mut(attempt)
                && child.orders.note(wanted, tree)
            {
                resumed.push(*attempt);
            }
        }
        let send = if tree { Self::signal_trees } else { Self::signal_mains };
        send(self, attempts, wanted);
        // A stopped process does not hear that it is to end before it goes on.
        send(self, &resumed, Signal::CONT);
        if tree && wanted == Signal::KILL {
            sweep::kill_now(self, attempts);
        }
    }

    /// Signals all trees.
    pub(crate) fn signal_all(&mut self, number: StopSignal) {
        let attempts: Vec<AttemptId> = self.children.keys().copied().collect();
        self.signal(&attempts, number, SignalScope::Tree);
    }

    /// Kills every tree.
    pub(crate) fn kill_trees(&mut self) {
        self.signal_all(StopSignal(Signal::KILL.as_raw()));
    }

    fn signal_mains(&mut self, attempts: &[AttemptId], wanted: Signal) {
        for child in attempts.iter().filter_map(|attempt| self.children.get(attempt)) {
            if matches!(child.phase, Phase::Running) {
                signal::to_pidfd(&child.pidfd, wanted);
            }
        }
    }

    /// Signals the groups, and descendants outside them: these are looked up first, while their parents still live to
    /// vouch for them. SIGKILL is repeated until a look after it finds nobody new.
    fn signal_trees(&mut self, attempts: &[AttemptId], wanted: Signal) {
        let rounds = if wanted == Signal::KILL { KILL_ROUNDS } else { 1 };
        let mut reached = HashSet::new();
        let mut growing = attempts.to_vec();
        for round in 0..rounds {
            let found = sweep::members(self, &growing);
            growing.clear();
            for (attempt, members) in found {
                let Some(child) = self.children.get(&attempt) else { continue };
                if round == 0 {
                    child.signal_group(wanted);
                }
                let mut outside = members.alive;
                outside.retain(|member| {
                    member.pgid != child.pid && reached.insert((member.pid, member.start_ticks))
                });
                if !outside.is_empty() {
                    signal_each(&outside, wanted);
                    growing.push(attempt);
                }
            }
            if growing.is_empty() {
                return;
            }
        }
    }
}

fn known_signal(number: StopSignal) -> Option<Signal> {
    let known = signal::from_number(number.0);
    if known.is_none() {
        tracing::error!(signal = number.0, "not a signal of this system");
    }
    known
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    use orchestrator_ports::{ChildSettings, ExecutorEvent, InputSource, Launch, OutputSink};

    use super::*;
    use crate::bell::Bell;
    use crate::executor::Options;
    use crate::proctable::{LISTINGS, ProcTable};
    use crate::reap;
    use crate::spawn::Spawner;
    use crate::stat::read_stat;

    const MANY: u64 = 200;
    /// What one look may take: to begin with, and after births meanwhile.
    const A_LOOK: usize = 5;

    fn launch(attempt: u64) -> Box<Launch> {
        // A process that waits for a child of its own.
        let args = ["-c", "sleep 300; echo over"].map(Into::into).to_vec();
        Box::new(Launch {
            attempt: AttemptId(attempt),
            program: "/bin/sh".into(),
            args,
            env: [("ORCHESTRATOR_ATTEMPT_ID", format!("many-{attempt}"))].into_iter().collect(),
            stdin: InputSource::Null,
            stdout: OutputSink::Null,
            stderr: OutputSink::Null,
            settings: Arc::new(ChildSettings::default()),
            cpus: None,
        })
    }

    fn wait_until(mut is_so: impl FnMut() -> bool) {
        let begin = Instant::now();
        while !is_so() {
            assert!(begin.elapsed() < Duration::from_secs(60), "not within a minute");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn alive_in_groups(groups: &HashSet<u32>) -> usize {
        let table = ProcTable::read_all();
        table.entries().iter().filter(|entry| groups.contains(&entry.pgid) && !entry.is_dead()).count()
    }

    #[test]
    fn many_are_stopped_by_few_looks_at_the_processes_and_none_survives() {
        reap::ensure_children_are_kept();
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
        let exited = Arc::new(Mutex::new(HashSet::new()));
        let seen = Arc::clone(&exited);
        let sink = Arc::new(move |event| {
            if let ExecutorEvent::Exited { attempt, .. } = event {
                seen.lock().unwrap().insert(attempt);
            }
        });
        let bell = Arc::new(Bell::new().unwrap());
        let spawner = Spawner::new(None, None).unwrap();
        let mut reactor = Reactor::new(sink, Options::default(), spawner, bell).unwrap();
        (0..MANY).for_each(|attempt| reactor.launch(launch(attempt)));
        let groups: HashSet<u32> = reactor.children.values().map(|child| child.pid).collect();
        wait_until(|| alive_in_groups(&groups) == 2 * MANY as usize);

        LISTINGS.set(0);
        let attempts: Vec<AttemptId> = (0..MANY).map(AttemptId).collect();
        reactor.signal(&attempts, StopSignal(15), SignalScope::Tree);
        assert!(LISTINGS.get() <= A_LOOK, "{} for the signal", LISTINGS.get());

        // All have ended before the executor hears of it: one turn sees to all of them.
        wait_until(|| alive_in_groups(&groups) == 0);
        wait_until(|| groups.iter().all(|pid| read_stat(*pid).is_some_and(|stat| stat.is_dead())));
        LISTINGS.set(0);
        reactor.turn(Some(Instant::now()), &mut || true);
        assert_eq!(exited.lock().unwrap().len(), MANY as usize);
        assert!(LISTINGS.get() <= 3 * A_LOOK, "{} for the ends", LISTINGS.get());
    }
}
