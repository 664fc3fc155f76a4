//! A plugin host whose instances change while rounds go on, and every value that it ever told.

use crate::fixtures::Crate;
use crate::world::{begin, spec};
use orchestrator_core::metrics::Metrics;
use orchestrator_core::scheduler::CapacityAnswer;
use orchestrator_plugin_api::PluginKind;
use orchestrator_plugin_host::{
    Catalog, InstanceSpec, InstanceState, InstanceStatus, PluginControl, PluginHost, ReloadLine,
    ReloadOutcome, StartOptions,
};
use orchestrator_ports::{PluginEvent, PluginHealth, PluginRound, Plugins};
use rustix::process::Pid;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// How long anything may take on a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The library of classes that count, in one of its versions.
pub(crate) fn lively(version: u32) -> PathBuf {
    let package = if version == 1 { "lively-one" } else { "lively-two" };
    let library = Crate::fixture("lively", package).replace("PACKAGE", package);
    library.replace("VERSION", &version.to_string()).build()
}

/// An instance of `Counts` by this name and with this configuration.
pub(crate) fn counts(name: &str, mut config: Value) -> InstanceSpec {
    config["name"] = name.into();
    InstanceSpec { name: name.to_owned(), config: section(config), ..spec(PluginKind::Metrics, "Counts") }
}

/// An instance of `Allows` by this name.
pub(crate) fn allows(name: &str, number: u32) -> InstanceSpec {
    let config = section(serde_json::json!({ "allows": number }));
    InstanceSpec { name: name.to_owned(), config, ..spec(PluginKind::Capacity, "Allows") }
}

/// An instance of `Sees` by this name.
pub(crate) fn sees(name: &str, metric: &str) -> InstanceSpec {
    let config = section(serde_json::json!({ "metric": metric }));
    InstanceSpec { name: name.to_owned(), config, ..spec(PluginKind::Capacity, "Sees") }
}

fn section(config: Value) -> Map<String, Value> {
    let Value::Object(config) = config else { panic!("a section is a mapping") };
    config
}

/// What was told under one name; of whatever length the run, it is as small.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    times: usize,
    last: f64,
    /// Whether it was 1, 2, 3, … so far.
    gapless: bool,
}

/// A plugin host at work on one directory of libraries.
pub(crate) struct Stage {
    directory: tempfile::TempDir,
    pub(crate) control: PluginControl,
    host: PluginHost,
    events: Receiver<PluginEvent>,
    rounds: u64,
    ended: u64,
    /// What was told under every name.
    values: BTreeMap<String, Told>,
    /// The last values that were told outside rounds.
    pub(crate) late: Metrics,
    /// The answers of the last round.
    pub(crate) capacity: Vec<CapacityAnswer>,
    pub(crate) said: Vec<(String, String)>,
    pub(crate) health: Vec<(String, PluginHealth)>,
    /// What reloads told the user: changes and refusals.
    pub(crate) reloads: Vec<(Vec<String>, Vec<String>)>,
}

impl Stage {
    pub(crate) fn start(specs: &[InstanceSpec], options: &StartOptions) -> Self {
        let directory = crate::world::directory(&[]);
        install(directory.path(), 1);
        let catalog = Catalog::scan([directory.path()]);
        let (host, failures, events) = begin(&catalog, specs, options);
        assert!(failures.is_empty(), "{failures:?}");
        Self {
            directory,
            control: host.control(),
            host,
            events,
            rounds: 0,
            ended: 0,
            values: BTreeMap::new(),
            late: Metrics::new(),
            capacity: Vec::new(),
            said: Vec::new(),
            health: Vec::new(),
            reloads: Vec::new(),
        }
    }

    /// Puts another version of the library in the place of the present one.
    pub(crate) fn install(&self, version: u32) {
        install(self.directory.path(), version);
    }

    /// Where the library lies.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// One round, to its end.
    pub(crate) fn round(&mut self) {
        self.begin();
        self.until_ended();
    }

    /// Begins a round.
    pub(crate) fn begin(&mut self) {
        self.rounds += 1;
        let current = Metrics::from([("system.cpu.percent".to_owned(), 10.0)]);
        let round = PluginRound { number: self.rounds, current, ..PluginRound::default() };
        self.host.begin_round(Arc::new(round));
    }

    /// Hears what was told so far.
    pub(crate) fn listen(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.hear(event);
        }
    }

    /// Waits until every round that was begun has ended.
    pub(crate) fn until_ended(&mut self) {
        let end = Instant::now() + PATIENCE;
        while self.ended < self.rounds {
            let event = self.events.recv_timeout(end.saturating_duration_since(Instant::now()));
            let Ok(event) = event else { panic!("of {} rounds {} end", self.rounds, self.ended) };
            self.hear(event);
        }
    }

    /// Waits until a reload is over, without rounds.
    pub(crate) fn until_reloaded(&mut self) {
        let before = self.reloads.len();
        while self.reloads.len() == before {
            let event = self.events.recv_timeout(PATIENCE).expect("a reload ends");
            self.hear(event);
        }
    }

    /// Whether there is reason for a round.
    pub(crate) fn is_due(&self) -> bool {
        self.host.is_due()
    }

    /// Rounds until something holds.
    pub(crate) fn rounds_until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < end, "never: {what}; {:?} {:?}", self.said, self.health);
            self.round();
        }
    }

    /// Keeps what an event tells.
    fn hear(&mut self, event: PluginEvent) {
        match event {
            PluginEvent::RoundFinished { number, system, capacity, .. } => {
                self.ended += 1;
                assert_eq!(number, self.ended, "rounds end in order, each once");
                self.keep(&system);
                self.capacity = capacity;
            }
            PluginEvent::Measured { system, .. } => {
                self.keep(&system);
                self.late.extend(system);
            }
            PluginEvent::Said { instance, message, .. } => self.said.push((instance, message)),
            PluginEvent::Health { instance, health } => self.health.push((instance, health)),
            PluginEvent::Reloaded { changes, refusals } => self.reloads.push((changes, refusals)),
        }
    }

    fn keep(&mut self, metrics: &Metrics) {
        for (name, value) in metrics {
            let told = self.values.entry(name.clone()).or_insert(Told { gapless: true, ..Told::default() });
            told.times += 1;
            told.last = *value;
            told.gapless &= *value == told.times as f64;
        }
    }

    /// Asks for a reload and goes on with rounds until it is over; what became of each instance.
    pub(crate) fn reload(&mut self, specs: &[InstanceSpec]) -> Vec<ReloadLine> {
        let before = self.control.last_reload().map_or(0, |report| report.number);
        self.control.reload(Catalog::scan([self.directory.path()]), specs.to_vec());
        self.rounds_until("the reload is over", |stage| {
            stage.control.last_reload().is_some_and(|report| report.number > before)
        });
        let report = self.control.last_reload().expect("a report");
        assert_eq!(report.refused, None);
        report.lines
    }

    /// As [`Self::reload`]; the outcomes alone.
    pub(crate) fn outcomes(&mut self, specs: &[InstanceSpec]) -> Vec<ReloadOutcome> {
        self.reload(specs).iter().map(|line| line.outcome).collect()
    }

    /// The process of an isolated instance.
    pub(crate) fn runner(&self, instance: &str) -> Pid {
        let all = self.host.stats();
        let one = all.iter().find(|one| one.instance == instance).expect("an instance by that name");
        let pid = one.runner.expect("a process of its own").pid;
        i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id")
    }

    pub(crate) fn status(&self, instance: &str) -> InstanceStatus {
        let all = self.control.status();
        all.into_iter().find(|one| one.instance == instance).expect("an instance by that name")
    }

    /// The last value of a metric.
    pub(crate) fn last(&self, metric: &str) -> Option<f64> {
        self.values.get(metric).map(|told| told.last)
    }

    /// An instance's counts: each once, none left out, whoever counted.
    pub(crate) fn assert_gapless(&self, name: &str) {
        let told = self.values[&format!("count.{name}")];
        assert!(told.gapless, "{name}: {told:?}");
    }

    /// How often an instance told its count.
    pub(crate) fn told(&self, name: &str) -> usize {
        self.values.get(&format!("count.{name}")).map_or(0, |told| told.times)
    }

    pub(crate) fn heard(&self, instance: &str, words: &str) -> usize {
        self.said.iter().filter(|(name, message)| name == instance && message.contains(words)).count()
    }

    pub(crate) fn is_running(&self, instance: &str) -> bool {
        self.status(instance).state == InstanceState::Running
    }
}

/// A library is replaced as an installer does it: another file takes its name.
fn install(directory: &Path, version: u32) {
    let new = directory.join("new");
    std::fs::copy(lively(version), &new).expect("a copy of the library");
    std::fs::rename(new, directory.join("lively.so")).expect("it takes the name");
}
