//! Instances come to life, break, and are started again.

use super::restarts::REQUIRED_FAILURES;
use super::slot::Running;
use super::state::{Happening, State};
use super::supervisor::{Life, Supervisor};
use super::{Message, StartOptions};
use crate::instance::context::Context;
use crate::instance::jobs::job_channel;
use crate::instance::worker::{Job, Worker};
use crate::instance::{InstanceFailure, InstanceFault, InstanceSpec, InstanceStats};
use crate::isolate::Runner;
use crate::library::{Catalog, PluginFile, Probe};
use orchestrator_plugin_api::abi::Fault;
use orchestrator_ports::{PluginEvent, PluginHealth};
use std::io;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Starts workers.
pub(super) struct Launcher {
    probe: Option<Probe>,
    runner: Option<Runner>,
    pub(super) deadline: Duration,
    /// Wait before the first restart of an instance.
    pub(super) first_wait: Duration,
    messages: Sender<Message>,
}

/// What a worker is made of.
pub(super) struct Order<'o> {
    pub(super) slot: usize,
    pub(super) generation: u32,
    pub(super) spec: &'o InstanceSpec,
    pub(super) file: &'o PluginFile,
    pub(super) stats: Arc<Mutex<InstanceStats>>,
    /// The state to go on from.
    pub(super) restore: Option<Vec<u8>>,
}

impl Launcher {
    pub(super) fn new(options: &StartOptions, messages: Sender<Message>) -> Self {
        Self {
            probe: options.probe.clone(),
            runner: options.runner.clone(),
            deadline: options.deadline,
            first_wait: options.first_wait,
            messages,
        }
    }

    /// Starts a worker; it tells itself whether it got ready.
    pub(super) fn launch(&self, order: Order<'_>) -> io::Result<Running> {
        let (jobs, receiver) = job_channel();
        let voice = (order.slot, order.generation);
        let context = Context::leak(voice, order.spec.deadline, self.messages.clone());
        let worker = Worker {
            slot: order.slot,
            generation: order.generation,
            spec: order.spec.clone(),
            file: order.file.clone(),
            probe: self.probe.clone(),
            runner: self.runner.clone(),
            restore: order.restore,
            context,
            stats: order.stats,
            messages: self.messages.clone(),
        };
        worker.spawn(receiver)?;
        Ok(Running { generation: order.generation, jobs, context })
    }
}

impl Supervisor {
    /// Starts an instance that nothing stands behind, from the library that exports its class.
    pub(super) fn start(&mut self, number: usize, spec: &InstanceSpec, catalog: &Catalog, now: Instant) {
        match catalog.resolve(spec.kind, &spec.class) {
            Ok(file) => {
                self.slots[number].become_of(spec.clone(), file.clone());
                self.launch(number, None, now);
            }
            Err(error) => {
                let slot = &mut self.slots[number];
                slot.spec = spec.clone();
                slot.happen(Happening::Launched { until: now + self.launcher.deadline });
                self.broke(number, InstanceFault::Class(Box::new(error)));
            }
        }
    }

    /// Starts a worker for an instance that nothing stands behind, from what is trusted still.
    pub(super) fn launch(&mut self, number: usize, restore: Option<Vec<u8>>, now: Instant) {
        let slot = &mut self.slots[number];
        let Some(file) = slot.file.clone() else { return };
        if !slot.happen(Happening::Launched { until: now + self.launcher.deadline }) {
            return;
        }
        if let Some(problem) = slot.distrust(&self.rules) {
            return self.broke(number, InstanceFault::Library(problem));
        }
        let (generation, stats) = (slot.next_generation(), slot.share_stats());
        let order = Order { slot: number, generation, spec: &slot.spec, file: &file, stats, restore };
        match self.launcher.launch(order) {
            Ok(running) => slot.attach(running),
            Err(error) => self.broke(number, InstanceFault::Thread(error)),
        }
    }

    /// Starts an instance again that broke a while ago.
    pub(super) fn restart(&mut self, number: usize, now: Instant) {
        let slot = &mut self.slots[number];
        slot.stats().restarts += 1;
        let restore = slot.restarts.snapshot.clone();
        self.launch(number, restore, now);
    }

    /// An instance's worker is ready.
    pub(super) fn ready(&mut self, number: usize) {
        self.slots[number].happen(Happening::Ready);
        self.reload_started(number);
        self.move_on(number, Instant::now());
    }

    /// After its work, an isolated instance is now and then asked for its state, to go on from if it breaks.
    pub(super) fn keep_state(&mut self, number: usize, now: Instant) {
        let slot = &mut self.slots[number];
        let idle = *slot.state() == State::Idle && slot.change.is_none();
        if idle && slot.is_isolated() && slot.restarts.wants_snapshot(now) {
            slot.give(Job::Snapshot, now);
        }
    }

    /// An instance has handed out its state, or has none.
    pub(super) fn snapshot(&mut self, number: usize, outcome: Result<Option<Vec<u8>>, Fault>) {
        let slot = &mut self.slots[number];
        match outcome {
            Ok(state) => slot.restarts.keep(state),
            Err(fault) => {
                let message = fault.message.as_str().to_owned();
                if crate::instance::engine::is_final(&fault) {
                    return self.broke(number, super::rounds::final_fault(&fault));
                }
                slot.restarts.keep(None);
                self.complain(number, "snapshot", 1, |_| {
                    format!("it could not hand out its state: {message}")
                });
            }
        }
        let state = self.slots[number].restarts.snapshot.clone();
        self.start_successor(number, state, Instant::now());
    }

    /// The present worker is of no use any more: gives the instance up, or puts it off.
    pub(super) fn broke(&mut self, number: usize, fault: InstanceFault) {
        let slot = &mut self.slots[number];
        if !slot.state().is_alive() {
            return;
        }
        if matches!(slot.state(), State::Starting { .. }) {
            // It may be what it went on from that broke it.
            slot.restarts.forget();
        }
        slot.detach();
        slot.reading = None;
        let mut failure = slot.failure(fault);
        match self.verdict(number, &failure) {
            Some(wait) => self.put_off(number, &failure, wait),
            None => {
                // What a reload started does not end a run.
                failure.required &= !self.is_reloading(number);
                self.slots[number].happen(Happening::BrokeForGood { sentence: failure.to_string() });
                self.failures.push(failure);
            }
        }
        self.phase.leave_out(number);
        self.reload_broke(number);
    }

    /// How long to wait before the instance is started again; `None` where it is given up.
    fn verdict(&mut self, number: usize, failure: &InstanceFailure) -> Option<Duration> {
        let slot = &mut self.slots[number];
        if !slot.is_isolated() || slot.file.is_none() || !can_be_mended(&failure.fault) {
            return None;
        }
        let (failures, wait) = slot.restarts.failed();
        let hopeless = self.phase_of_life == Life::Settling || failures > REQUIRED_FAILURES;
        (!failure.required || !hopeless).then_some(wait)
    }

    fn put_off(&mut self, number: usize, failure: &InstanceFailure, wait: Duration) {
        let sentence = format!("{failure}; it is started again in {} s", wait.as_secs_f64());
        let slot = &mut self.slots[number];
        let until = Instant::now() + wait;
        slot.happen(Happening::BrokeForNow { until, sentence: sentence.clone() });
        if slot.complaints.count("restart", 1).is_some() {
            slot.restarts.told = true;
            let instance = slot.spec.name.clone();
            let health = PluginHealth::Restarting { sentence };
            self.outbox.push(PluginEvent::Health { instance, health });
        }
    }

    /// An instance did a round without a fault.
    pub(super) fn worked(&mut self, number: usize) {
        let slot = &mut self.slots[number];
        slot.failed_rounds = 0;
        slot.restarts.worked();
        if std::mem::take(&mut slot.restarts.told) {
            let (instance, health) = (slot.spec.name.clone(), PluginHealth::Ready);
            self.outbox.push(PluginEvent::Health { instance, health });
        }
    }
}

/// Whether another start may go better.
fn can_be_mended(fault: &InstanceFault) -> bool {
    !matches!(
        fault,
        InstanceFault::Class(_)
            | InstanceFault::Library(_)
            | InstanceFault::Configuration { .. }
            | InstanceFault::GaveUp { .. }
            | InstanceFault::Sandbox { .. }
            | InstanceFault::NoRunner
    )
}
