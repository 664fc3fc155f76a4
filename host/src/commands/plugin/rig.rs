//! Plugin instances outside of a run: the plugin room's own, asked round by round, over real processes.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use orchestrator_core::config::model::{Isolation, Plugin, Plugins};
use orchestrator_core::metrics::Metrics;
use orchestrator_core::scheduler::{CapacityAnswer, ProcessIdentity};
use orchestrator_core::{AttemptId, TaskId};
use orchestrator_exec_local::start_ticks;
use orchestrator_plugin_host::{
    Catalog, ClassDescriptor, InstanceFailure, InstanceSpec, InstanceStats, PluginControl, PluginHost,
    PluginKind, Runner, StartOptions,
};
use orchestrator_ports::{
    PluginEvent, PluginHealth, PluginRound, Plugins as _, Probe as _, ProbeTarget, ProcessFacts,
};
use orchestrator_sysmon::SystemProbe;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Map, Value};

/// More than any round may take: every call has its own deadline.
const PATIENCE: Duration = Duration::from_secs(90);

/// An instance as a configuration would describe it; required, so that it is not started again when it breaks.
pub(super) fn spec(
    class: &ClassDescriptor,
    config: Map<String, Value>,
    isolation: Isolation,
) -> InstanceSpec {
    let mut entry = Plugin::new(&class.class, &class.class);
    entry.required = true;
    entry.config = config;
    entry.isolation = Some(isolation);
    let mut plugins = Plugins { metrics: Vec::new(), capacity: Vec::new(), ..Plugins::default() };
    let list = if class.kind == PluginKind::Capacity { &mut plugins.capacity } else { &mut plugins.metrics };
    list.push(entry);
    InstanceSpec::enabled(&plugins).swap_remove(0)
}

/// Running instances.
pub(super) struct Rig {
    host: PluginHost,
    events: Receiver<PluginEvent>,
    number: u64,
    /// What was said so far: level as `tracing` counts, and words.
    pub(super) said: Vec<(u8, String)>,
    /// The sentence with which an instance was given up.
    pub(super) broken: Option<String>,
}

/// What a round brought.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub(super) system: Metrics,
    pub(super) processes: Vec<(AttemptId, Metrics)>,
    pub(super) capacity: Vec<CapacityAnswer>,
    /// From asking to the last answer.
    pub(super) took: Duration,
}

impl Rig {
    /// Starts the instances; the failures are those of the start.
    pub(super) fn start(catalog: &Catalog, specs: &[InstanceSpec]) -> (Self, Vec<InstanceFailure>) {
        let (sender, events) = channel();
        let sender = Mutex::new(sender);
        let sink = Arc::new(move |event| {
            let _ = sender.lock().unwrap_or_else(PoisonError::into_inner).send(event);
        });
        let options = StartOptions { runner: Some(Runner::this_program()), ..StartOptions::default() };
        let (host, failures) = PluginHost::start(catalog, specs, &options, sink);
        (Self { host, events, number: 0, said: Vec::new(), broken: None }, failures)
    }

    /// Asks every instance once; nothing where the round does not end.
    pub(super) fn round(
        &mut self,
        processes: Vec<ProcessFacts>,
        calibration: Metrics,
        current: Metrics,
    ) -> Option<Round> {
        self.number += 1;
        let round = PluginRound { number: self.number, processes, calibration, current };
        let begun = Instant::now();
        self.host.begin_round(Arc::new(round));
        while let Some(left) = PATIENCE.checked_sub(begun.elapsed()) {
            match self.events.recv_timeout(left).ok()? {
                PluginEvent::RoundFinished { number, system, processes, capacity }
                    if number == self.number =>
                {
                    let own = |(attempt, metrics)| (attempt, Arc::unwrap_or_clone(metrics));
                    let processes = processes.into_iter().map(own).collect();
                    return Some(Round { system, processes, capacity, took: begun.elapsed() });
                }
                other => self.hear(other),
            }
        }
        None
    }

    /// Has the instances replaced by these, and says in one sentence each what became of them.
    pub(super) fn reload(&mut self, catalog: Catalog, specs: Vec<InstanceSpec>) -> Option<Vec<String>> {
        let control: PluginControl = self.host.control();
        control.reload(catalog, specs);
        let begun = Instant::now();
        while let Some(left) = PATIENCE.checked_sub(begun.elapsed()) {
            match self.events.recv_timeout(left).ok()? {
                PluginEvent::Reloaded { .. } => {
                    let report = control.last_reload()?;
                    return Some(report.lines.into_iter().map(|line| line.sentence).collect());
                }
                other => self.hear(other),
            }
        }
        None
    }

    /// What every instance has cost, in the order of their specifications.
    pub(super) fn stats(&self) -> Vec<InstanceStats> {
        self.host.stats()
    }

    fn hear(&mut self, event: PluginEvent) {
        match event {
            PluginEvent::Said { level, message, .. } => self.said.push((level, message)),
            PluginEvent::Health { health: PluginHealth::Failed { sentence, .. }, .. }
            | PluginEvent::Health { health: PluginHealth::Restarting { sentence }, .. } => {
                // Here nothing is started again.
                let what = sentence.split("; it is started again").next().unwrap_or_default();
                self.broken.get_or_insert(what.to_owned());
            }
            PluginEvent::Health { .. }
            | PluginEvent::RoundFinished { .. }
            | PluginEvent::Measured { .. }
            | PluginEvent::Reloaded { .. } => {}
        }
    }
}

/// Processes that plugins are asked about.
pub(super) struct Subjects {
    probe: SystemProbe,
    targets: Vec<ProbeTarget>,
    children: Vec<Child>,
    begun: Instant,
}

impl Subjects {
    /// None yet.
    pub(super) fn none() -> io::Result<Self> {
        let probe = SystemProbe::new(Path::new("/")).map_err(io::Error::other)?;
        Ok(Self { probe, targets: Vec::new(), children: Vec::new(), begun: Instant::now() })
    }

    /// This process and a shell with a child.
    pub(super) fn alive() -> io::Result<Self> {
        let mut subjects = Self::none()?;
        subjects.add(std::process::id())?;
        subjects.add_child("sleep 3600 & wait")?;
        Ok(subjects)
    }

    /// Adds a process.
    ///
    /// # Errors
    /// It is not there.
    pub(super) fn add(&mut self, pid: u32) -> io::Result<()> {
        let start_ticks = start_ticks(pid).ok_or(io::ErrorKind::NotFound)?;
        let identity = ProcessIdentity { pid, start_ticks };
        let attempt = AttemptId(self.targets.len() as u64 + 1);
        self.targets.push(ProbeTarget { attempt, identity });
        Ok(())
    }

    /// Starts a shell with this script and adds it; it is ended with the value.
    fn add_child(&mut self, script: &str) -> io::Result<()> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.process_group(0).spawn()?;
        let pid = child.id();
        self.children.push(child);
        self.add(pid)
    }

    /// Adds a process that has ended already.
    pub(super) fn add_ended(&mut self) -> io::Result<()> {
        self.add_child("exit 0")?;
        self.children.pop().map_or(Ok(()), |mut child| child.wait().map(drop))
    }

    /// The same processes over and over until there are so many.
    pub(super) fn repeated(&mut self, count: usize) -> Vec<ProcessFacts> {
        let facts = self.facts();
        let again = facts.iter().cycle().take(count).cloned();
        again
            .enumerate()
            .map(|(index, facts)| ProcessFacts { attempt: AttemptId(index as u64 + 1), ..facts })
            .collect()
    }

    /// The processes as a run would show them now, ended ones included.
    pub(super) fn facts(&mut self) -> Vec<ProcessFacts> {
        let samples = self.probe.processes(&self.targets);
        let facts = |target: &ProbeTarget| {
            let sampled = samples.iter().find(|(sample, _)| sample.attempt == target.attempt);
            let (sample, tree) =
                sampled.cloned().map_or((None, [target.identity.pid].into()), |(s, t)| (Some(s), t));
            ProcessFacts {
                attempt: target.attempt,
                task: TaskId(u32::try_from(target.attempt.0).unwrap_or_default()),
                input_file: Path::new("/dev/null").into(),
                running_for: Some(self.begun.elapsed()),
                pid: target.identity.pid,
                start_ticks: target.identity.start_ticks,
                tree,
                sample,
            }
        };
        self.targets.iter().map(facts).collect()
    }

    /// Whose it is.
    pub(super) fn pid(&self, attempt: AttemptId) -> Option<u32> {
        self.targets.iter().find(|target| target.attempt == attempt).map(|target| target.identity.pid)
    }

    /// The machine under the host's own names.
    pub(super) fn machine(&mut self) -> Metrics {
        let mut metrics = Metrics::new();
        self.probe.system().write_to(&mut metrics);
        metrics
    }
}

impl Drop for Subjects {
    fn drop(&mut self) {
        for child in &mut self.children {
            if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process_group(pid, Signal::KILL);
            }
            let _ = child.wait();
        }
    }
}
