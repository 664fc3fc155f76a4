//! After a panic: nobody may wait for ever for a process that nobody watches any more.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use orchestrator_core::scheduler::SpawnFault;
use orchestrator_ports::ExecutorEvent;
use rustix::process::Signal;

use crate::child::{Child, Phase};
use crate::reactor::Reactor;
use crate::{signal, sweep};

/// Every process that was watched is ended and told as ended; others can be launched then.
pub(crate) fn after_a_panic(reactor: &mut Reactor) {
    tracing::error!("the executor panicked; the processes that it watched are ended");
    // Descendants first, as far as whatever is broken allows.
    let whole = catch_unwind(AssertUnwindSafe(|| reactor.kill_trees()));
    if whole.is_err() {
        tracing::error!("descendants of these processes may be left until the next start");
    }
    reactor.lingering.clear();
    let children: Vec<Child> = reactor.children.drain().map(|(_, child)| child).collect();
    for child in children {
        // A second panic over the same attempt must not keep the others from being told.
        drop(catch_unwind(AssertUnwindSafe(|| give_up(reactor, child))));
    }
    if let Some(attempt) = reactor.launching.take() {
        let fault = SpawnFault::Machine { detail: "the executor panicked".to_owned() };
        reactor.tell(ExecutorEvent::NotStarted { attempt, fault });
    }
}

/// Kills a process, waits for its end and tells it.
/// (One that had not become its program yet is told as killed, which it was.)
fn give_up(reactor: &Reactor, mut child: Child) {
    if let Some(started) = child.untold() {
        reactor.tell(started);
    }
    child.signal_group(Signal::KILL);
    signal::to_pidfd(&child.pidfd, Signal::KILL);
    sweep::has_ended(&child, Some(crate::child::UNKILLABLE));
    let mut reaped = sweep::reap_main(child.pid);
    reaped.usage.wall = match &child.phase {
        Phase::Running => Instant::now().duration_since(child.born),
        Phase::Lingering(lingering) => lingering.wall,
    };
    let attempt = child.attempt;
    drop(child);
    let (status, usage) = (reaped.status, reaped.usage);
    reactor.tell(ExecutorEvent::Exited { attempt, status, usage, oom: false, leaked: false });
}
