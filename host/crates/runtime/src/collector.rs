//! Sampling on a thread of its own: requests go in, readings come back through the inbox.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use orchestrator_core::metrics::{ProcessSample, SystemSample};
use orchestrator_ports::{Probe, ProbeTarget};

use crate::inbox::{Message, Post};

/// One reading.
#[derive(Debug)]
pub(crate) struct Collected {
    pub(crate) system: SystemSample,
    /// Each attempt's tree with the pids in it; attempts that ended meanwhile are missing.
    pub(crate) processes: Vec<(ProcessSample, Arc<[u32]>)>,
    /// CPU time that all readings together have cost so far.
    pub(crate) cost: Duration,
}

/// The sampling thread; ends when dropped.
pub(crate) struct Collector {
    requests: Sender<Vec<ProbeTarget>>,
    busy: bool,
}

impl Collector {
    pub(crate) fn start(probe: Box<dyn Probe>, inbox: Post) -> std::io::Result<Self> {
        let (requests, work) = channel();
        thread::Builder::new().name("collector".into()).spawn(move || collect(probe, &work, &inbox))?;
        Ok(Self { requests, busy: false })
    }

    /// Asks for a reading, unless the previous one is still under way.
    pub(crate) fn request(&mut self, targets: impl FnOnce() -> Vec<ProbeTarget>) {
        if !self.busy {
            self.busy = self.requests.send(targets()).is_ok();
        }
    }

    /// The reading arrived.
    pub(crate) fn arrived(&mut self) {
        self.busy = false;
    }
}

fn collect(mut probe: Box<dyn Probe>, work: &Receiver<Vec<ProbeTarget>>, inbox: &Post) {
    while let Ok(targets) = work.recv() {
        let (system, processes) = (probe.system(), probe.processes(&targets));
        let collected = Collected { system, processes, cost: probe.cpu() };
        if !inbox.send(Message::Collected(collected)) {
            return;
        }
    }
}
