//! From the main process's end to `Exited`: drain the pipes, find what outlives it, end that, reap.

use std::collections::{BTreeSet, HashSet};
use std::time::Instant;

use orchestrator_core::AttemptId;
use orchestrator_core::scheduler::{ExitStatus, SpawnFault};
use orchestrator_ports::ExecutorEvent;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use crate::child::{Child, Lingering, Phase, Stray, UNKILLABLE};
use crate::proctable::Members;
use crate::reactor::{Birth, Reactor, Watch};
use crate::reap::{self, Reaped};
use crate::{registry, signal};

/// A process that has seen more rounds of birth and death while it was looked for gets another turn.
const ROUNDS: usize = 8;

/// The main process has ended; it stays unreaped until nothing of it is left. True where it is to be [`advance`]d.
pub(crate) fn main_ended(reactor: &mut Reactor, attempt: AttemptId) -> bool {
    let leak_timeout = reactor.options.leak_timeout;
    let descendant_grace = reactor.options.descendant_grace;
    let Some(child) = reactor.children.get_mut(&attempt) else { return false };
    if matches!(child.phase, Phase::Lingering(_)) {
        return false;
    }
    if let Birth::Failed(fault) = reactor.birth(attempt, true) {
        stillborn(reactor, attempt, fault);
        return false;
    }
    let Some(child) = reactor.children.get_mut(&attempt) else { return false };
    let now = Instant::now();
    let patience = if child.orders.end_tree { leak_timeout.max(descendant_grace) } else { leak_timeout };
    child.phase = Phase::Lingering(Lingering {
        wall: now.duration_since(child.born),
        leak_at: now + leak_timeout,
        kill_at: if child.orders.kill_tree { now } else { now + patience },
        killing: false,
        outlived: false,
        strays: Vec::new(),
    });
    reactor.lingering.insert(attempt);
    reactor.let_silent_go(attempt);
    true
}

/// The child could not become its program: it has no descendants and has written nothing.
fn stillborn(reactor: &mut Reactor, attempt: AttemptId, fault: SpawnFault) {
    let Some(child) = reactor.forget(attempt) else { return };
    reap_main(child.pid);
    drop(child);
    reactor.tell(ExecutorEvent::NotStarted { attempt, fault });
}

/// One transition of each: something ended, a pipe closed, or a moment came. Each look at the processes is shared, and
/// comes after everything that it is to judge has ended: who is not seen then is not there, nor can be born.
pub(crate) fn advance(reactor: &mut Reactor, attempts: &BTreeSet<AttemptId>) {
    for attempt in attempts {
        for index in 0..2 {
            reactor.pump(*attempt, index);
        }
    }
    let mut unsure: Vec<AttemptId> = attempts.iter().copied().collect();
    for _ in 0..ROUNDS {
        for attempt in &unsure {
            forget_ended_strays(reactor, *attempt);
            kill_when_due(reactor, *attempt);
        }
        unsure.retain(|attempt| {
            lingering(reactor, *attempt).is_some_and(|lingering| lingering.strays.is_empty())
        });
        unsure = members(reactor, &unsure)
            .into_iter()
            .filter_map(|(attempt, found)| adopt_strays(reactor, attempt, found).then_some(attempt))
            .collect();
        if unsure.is_empty() {
            break;
        }
        unsure.iter().for_each(|attempt| kill_when_due(reactor, *attempt));
    }
    for attempt in attempts {
        if attempts.len() > 1 && reactor.children.len() == 1 {
            // The last of all answers for the orphans that nobody claims.
            advance(reactor, &BTreeSet::from([*attempt]));
        } else {
            conclude(reactor, *attempt);
        }
    }
}

/// SIGKILL went to these trees: strays are not waited for.
pub(crate) fn kill_now(reactor: &mut Reactor, attempts: &[AttemptId]) {
    let now = Instant::now();
    let mut ended = BTreeSet::new();
    for attempt in attempts {
        if let Some(lingering) = lingering(reactor, *attempt) {
            lingering.kill_at = now.min(lingering.kill_at);
            ended.insert(*attempt);
        }
    }
    advance(reactor, &ended);
}

/// The child was killed because the loop cannot hear of it: waits for its end here.
pub(crate) fn await_unheard(reactor: &mut Reactor, attempt: AttemptId) {
    let Some(child) = reactor.children.get_mut(&attempt) else { return };
    child.orders.kill = true;
    child.orders.kill_tree = true;
    has_ended(child, Some(UNKILLABLE));
    if main_ended(reactor, attempt) {
        advance(reactor, &BTreeSet::from([attempt]));
    }
}

pub(crate) fn has_ended(child: &Child, patience: Option<std::time::Duration>) -> bool {
    let timeout = patience.and_then(|patience| Timespec::try_from(patience).ok()).unwrap_or_default();
    poll(&mut [PollFd::new(&child.pidfd, PollFlags::IN)], Some(&timeout)) == Ok(1)
}

fn lingering(reactor: &mut Reactor, attempt: AttemptId) -> Option<&mut Lingering> {
    match &mut reactor.children.get_mut(&attempt)?.phase {
        Phase::Lingering(lingering) => Some(lingering),
        Phase::Running => None,
    }
}

/// The other members of these trees, by one look; attempts that are gone are left out.
pub(crate) fn members(reactor: &mut Reactor, attempts: &[AttemptId]) -> Vec<(AttemptId, Members)> {
    let children = attempts.iter().filter_map(|attempt| reactor.children.get(attempt));
    let Some(eldest) = children.map(|child| child.mark).min() else { return Vec::new() };
    reactor.pids.observe();
    let is_last = |child: &Child| matches!(child.phase, Phase::Lingering(_));
    let alone = reactor.children.len() == 1 && reactor.children.values().all(is_last);
    let since = if alone { reactor.epoch.unwrap_or(eldest).min(eldest) } else { eldest };
    let table = reactor.look(since);
    let mut all = Vec::with_capacity(attempts.len());
    for attempt in attempts {
        let Some(child) = reactor.children.get(attempt) else { continue };
        let mut members = table.members(child.key());
        if alone && registry::lock().len() == 1 {
            let known: HashSet<u32> = members.alive.iter().map(|member| member.pid).collect();
            let orphans = table.escaped_orphans().into_iter();
            members.alive.extend(orphans.filter(|orphan| !known.contains(&orphan.pid)));
        }
        all.push((*attempt, members));
    }
    all
}

/// Drops strays that ended; those that are our children by now are reaped, and what they used is counted.
fn forget_ended_strays(reactor: &mut Reactor, attempt: AttemptId) {
    let Some(lingering) = lingering(reactor, attempt) else { return };
    let strays = std::mem::take(&mut lingering.strays);
    let (ended, alive): (Vec<Stray>, Vec<Stray>) = strays.into_iter().partition(is_ended);
    lingering.strays = alive;
    for stray in ended {
        reactor.ignore(&stray.pidfd);
        count_usage(reactor, attempt, stray.stat.pid);
    }
}

fn is_ended(stray: &Stray) -> bool {
    poll(&mut [PollFd::new(&stray.pidfd, PollFlags::IN)], Some(&Timespec::default())) == Ok(1)
}

/// Reaps a descendant if it is ours to reap.
fn count_usage(reactor: &mut Reactor, attempt: AttemptId, pid: u32) {
    if let Ok(Some(reaped)) = reap::reap(pid)
        && let Some(child) = reactor.children.get_mut(&attempt)
    {
        reap::add(&mut child.extra, &reaped.usage);
    }
}

/// Takes those in that were found after all known ones had ended. True when there are some.
fn adopt_strays(reactor: &mut Reactor, attempt: AttemptId, found: Members) -> bool {
    for ended in found.ended {
        count_usage(reactor, attempt, ended.pid);
    }
    let mut strays = Vec::new();
    for stat in found.alive {
        if let Some(pidfd) = signal::open(&stat)
            && reactor.listen(&pidfd, attempt, Watch::Stray).is_ok()
        {
            strays.push(Stray { stat, pidfd });
        }
    }
    let some = !strays.is_empty();
    if let Some(lingering) = lingering(reactor, attempt) {
        lingering.strays = strays;
    }
    some
}

/// Sends SIGKILL to the strays when their time is over.
fn kill_when_due(reactor: &mut Reactor, attempt: AttemptId) {
    let Some(child) = reactor.children.get_mut(&attempt) else { return };
    let pid = child.pid;
    let ordered = child.orders.end;
    let Phase::Lingering(lingering) = &mut child.phase else { return };
    if lingering.strays.is_empty() || Instant::now() < lingering.kill_at {
        return;
    }
    if !lingering.killing {
        lingering.killing = true;
        lingering.outlived |= !ordered;
    }
    // The main process is unreaped: its group's number is still its own.
    signal::to_group(pid, Signal::KILL);
    for stray in &lingering.strays {
        signal::to_pidfd(&stray.pidfd, Signal::KILL);
    }
}

/// Reaps and tells, when nothing is left to wait for.
fn conclude(reactor: &mut Reactor, attempt: AttemptId) {
    let now = Instant::now();
    let Some(child) = reactor.children.get(&attempt) else { return };
    let Phase::Lingering(lingering) = &child.phase else { return };
    let hopeless = lingering.killing && now >= lingering.kill_at + UNKILLABLE;
    let waits_for_strays = !lingering.strays.is_empty() && !hopeless;
    let waits_for_pipes = child.is_captured() && now < lingering.leak_at;
    if waits_for_strays || waits_for_pipes {
        return;
    }
    if hopeless {
        tracing::warn!(%attempt, "processes of this attempt could not be killed within 5 s");
    }
    let leaked = lingering.outlived || child.is_captured() || !lingering.strays.is_empty();
    for index in 0..2 {
        reactor.let_go(attempt, index);
    }
    reactor.lingering.remove(&attempt);
    let Some(child) = reactor.forget(attempt) else { return };
    finish(reactor, child, leaked);
}

fn finish(reactor: &mut Reactor, mut child: Child, leaked: bool) {
    let untold = child.untold();
    let Child { attempt, pid, pidfd, orders, extra, phase, .. } = child;
    let Phase::Lingering(lingering) = phase else { return };
    for stray in &lingering.strays {
        reactor.ignore(&stray.pidfd);
    }
    let Reaped { status, mut usage } = reap_main(pid);
    usage.wall = lingering.wall;
    reap::add(&mut usage, &extra);
    // Before `Exited` is told nothing of the attempt is held any more.
    drop((pidfd, lingering));
    // 137 is how a shell reports that its own child got SIGKILL.
    let killed = matches!(status, ExitStatus::Signal(9) | ExitStatus::Code(137));
    let oom = killed && !orders.kill && reactor.oom.explains_a_death();
    // Where nobody was given a number since the first of these processes was born, none of them has left an orphan.
    let orphans = reactor.epoch.is_none_or(|epoch| !reactor.pids.since(epoch).is_empty());
    if orphans && reactor.children.is_empty() {
        reactor.reap_orphans();
    }
    if let Some(started) = untold {
        reactor.tell(started);
    }
    reactor.tell(ExecutorEvent::Exited { attempt, status, usage, oom, leaked });
}

/// Reaps a main process and strikes it off the register.
pub(crate) fn reap_main(pid: u32) -> Reaped {
    let mut children = registry::lock();
    let outcome = reap::reap(pid);
    children.remove(&pid);
    drop(children);
    match outcome {
        Ok(Some(reaped)) => reaped,
        unknown => {
            // Somebody in this process waited for a child that is not theirs: how it ended is lost.
            tracing::error!(pid, ?unknown, "a child's exit status was taken by somebody else");
            Reaped { status: ExitStatus::Code(255), usage: orchestrator_core::metrics::Usage::default() }
        }
    }
}
