//! A plugin host with instances, and what it tells.

use orchestrator_core::config::model::{Grants, Isolation};
use orchestrator_core::metrics::Metrics;
use orchestrator_core::scheduler::CapacityAnswer;
use orchestrator_core::{AttemptId, TaskId};
use orchestrator_plugin_api::PluginKind;
use orchestrator_plugin_host::{Catalog, InstanceFailure, InstanceSpec, PluginHost, Runner, StartOptions};
use orchestrator_ports::{PluginEvent, PluginHealth, PluginRound, Plugins, ProcessFacts};
use orchestrator_tests::artifacts;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long any event may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A directory with the given libraries in it.
pub(crate) fn directory(libraries: &[&Path]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for library in libraries {
        let name = library.file_name().expect("a file name");
        std::fs::copy(library, directory.path().join(name)).expect("a copy of a library");
    }
    directory
}

pub(crate) fn spec(kind: PluginKind, class: &str) -> InstanceSpec {
    InstanceSpec {
        name: format!("my_{class}"),
        kind,
        class: class.to_owned(),
        config: Map::new(),
        required: false,
        deadline: Duration::from_secs(60),
        interval: None,
        isolation: Isolation::InProcess,
        grants: Grants::default(),
        max_memory: 512 << 20,
        bundled: false,
    }
}

pub(crate) fn metrics(class: &str) -> InstanceSpec {
    spec(PluginKind::Metrics, class)
}

pub(crate) fn capacity(class: &str) -> InstanceSpec {
    spec(PluginKind::Capacity, class)
}

/// Adds a `config:` section.
pub(crate) fn with_config(mut spec: InstanceSpec, config: Value) -> InstanceSpec {
    let Value::Object(config) = config else { panic!("a section is a mapping") };
    spec.config = config;
    spec
}

/// Gives an instance so little time that a hanging one is found out soon.
pub(crate) fn hasty(mut spec: InstanceSpec) -> InstanceSpec {
    spec.deadline = Duration::from_millis(300);
    spec
}

/// How processes for isolated instances are started.
pub(crate) fn runner() -> Runner {
    Runner { program: artifacts::orchestrator(), arguments: vec!["plugin-runner".into()] }
}

/// Starts a plugin host whose events can be received; isolated instances get their runner.
pub(crate) fn begin(
    catalog: &Catalog,
    specs: &[InstanceSpec],
    options: &StartOptions,
) -> (PluginHost, Vec<InstanceFailure>, Receiver<PluginEvent>) {
    let (sender, events) = channel();
    let sender = Mutex::new(sender);
    let sink = Arc::new(move |event| {
        let _ = sender.lock().expect("a sender").send(event);
    });
    let mut options = options.clone();
    if specs.iter().any(|spec| spec.isolation != Isolation::InProcess) {
        options.runner.get_or_insert_with(runner);
    }
    let (host, failures) = PluginHost::start(catalog, specs, &options, sink);
    (host, failures, events)
}

/// A plugin host at work.
pub(crate) struct World {
    pub(crate) host: PluginHost,
    pub(crate) failures: Vec<InstanceFailure>,
    events: Receiver<PluginEvent>,
    rounds: u64,
    built_in: Metrics,
    /// Words and sentences heard so far: level, instance, message.
    pub(crate) said: Vec<(u8, String, String)>,
    pub(crate) failed: Vec<(String, PluginHealth)>,
    /// What was measured outside rounds, and the plugins' cost.
    pub(crate) late: Vec<(Metrics, Vec<(AttemptId, Metrics)>)>,
    /// Changes and refusals of every reload.
    pub(crate) reloads: Vec<(Vec<String>, Vec<String>)>,
}

/// What is shared with the host, copied.
fn own(processes: Vec<(AttemptId, Arc<Metrics>)>) -> Vec<(AttemptId, Metrics)> {
    processes.into_iter().map(|(attempt, metrics)| (attempt, Arc::unwrap_or_clone(metrics))).collect()
}

/// A finished round.
pub(crate) struct Round {
    pub(crate) system: Metrics,
    pub(crate) processes: Vec<(AttemptId, Metrics)>,
    pub(crate) capacity: Vec<CapacityAnswer>,
}

impl World {
    pub(crate) fn start(directories: &[PathBuf], specs: &[InstanceSpec]) -> Self {
        Self::start_with(directories, specs, &StartOptions::default())
    }

    pub(crate) fn start_with(
        directories: &[PathBuf],
        specs: &[InstanceSpec],
        options: &StartOptions,
    ) -> Self {
        let (host, failures, events) = begin(&Catalog::scan(directories), specs, options);
        let built_in = Metrics::from([("system.cpu.percent".to_owned(), 10.0)]);
        let (said, failed, late, reloads) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { host, failures, events, rounds: 0, built_in, said, failed, late, reloads }
    }

    /// Starts one library's instances.
    pub(crate) fn of(library: &Path, specs: &[InstanceSpec]) -> Self {
        let directory = directory(&[library]);
        Self::start(&[directory.path().to_owned()], specs)
    }

    /// Replaces the host's own metrics of the coming rounds.
    pub(crate) fn built_in(&mut self, metrics: &[(&str, f64)]) {
        self.built_in = metrics.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    }

    pub(crate) fn round(&mut self) -> Round {
        self.round_over(Vec::new(), Metrics::new())
    }

    pub(crate) fn round_over(&mut self, processes: Vec<ProcessFacts>, calibration: Metrics) -> Round {
        self.rounds += 1;
        let current = self.built_in.clone();
        let round = PluginRound { number: self.rounds, processes, calibration, current };
        self.host.begin_round(Arc::new(round));
        loop {
            let event = self.events.recv_timeout(PATIENCE).expect("a round ends");
            if let Some(round) = self.hear(event) {
                return round;
            }
        }
    }

    /// Keeps what an event tells; the round that it ends.
    fn hear(&mut self, event: PluginEvent) -> Option<Round> {
        match event {
            PluginEvent::Said { instance, level, message } => self.said.push((level, instance, message)),
            PluginEvent::Health { instance, health } => self.failed.push((instance, health)),
            PluginEvent::Measured { system, processes } => self.late.push((system, own(processes))),
            PluginEvent::Reloaded { changes, refusals } => self.reloads.push((changes, refusals)),
            PluginEvent::RoundFinished { number, system, processes, capacity } => {
                assert_eq!(number, self.rounds);
                return Some(Round { system, processes: own(processes), capacity });
            }
        }
        None
    }

    /// Rounds until `done`; a plugin that never gets there fails the test.
    pub(crate) fn rounds_until(&mut self, done: impl Fn(&Self, &Round) -> bool) -> Round {
        let end = Instant::now() + PATIENCE;
        for number in 0.. {
            let round = self.round();
            if done(self, &round) {
                return round;
            }
            // What takes its time (a restart) is waited for.
            if number >= 20
                && let Ok(event) = self.events.recv_timeout(Duration::from_millis(20))
            {
                assert!(self.hear(event).is_none(), "a round ended twice");
            }
            if Instant::now() > end {
                break;
            }
        }
        panic!("many rounds changed nothing; heard: {:?}, {:?}", self.said, self.failed);
    }

    /// The sentences with which an instance was put off or given up.
    pub(crate) fn troubles(&self, instance: &str) -> Vec<String> {
        let own = self.failed.iter().filter(|(name, _)| name == instance);
        own.filter_map(|(_, health)| match health {
            PluginHealth::Failed { sentence, .. } | PluginHealth::Restarting { sentence } => {
                Some(sentence.clone())
            }
            PluginHealth::Ready => None,
        })
        .collect()
    }

    /// The only sentence with which an instance was given up.
    pub(crate) fn sentence(&self, instance: &str) -> (String, bool) {
        let own = self.failed.iter().filter(|(name, _)| name == instance);
        let sentences: Vec<_> = own
            .map(|(_, health)| match health {
                PluginHealth::Failed { sentence, required } => (sentence.clone(), *required),
                PluginHealth::Ready | PluginHealth::Restarting { .. } => {
                    panic!("{instance} was not given up")
                }
            })
            .collect();
        assert_eq!(sentences.len(), 1, "{instance} was given up {} times", sentences.len());
        sentences[0].clone()
    }

    /// Whether the host wrote a line about an instance with these words.
    pub(crate) fn heard(&self, instance: &str, words: &str) -> bool {
        self.said.iter().any(|(_, name, message)| name == instance && message.contains(words))
    }
}

/// A process as the runtime would show it.
pub(crate) fn facts(attempt: u64, pid: u32, descendants: &[u32]) -> ProcessFacts {
    let mut tree = vec![pid];
    tree.extend(descendants);
    ProcessFacts {
        attempt: AttemptId(attempt),
        task: TaskId(7),
        input_file: Path::new("/in/a.dat").into(),
        running_for: None,
        pid,
        start_ticks: 1,
        tree: tree.into(),
        sample: None,
    }
}
