//! What the configuration says about one plugin.

use orchestrator_core::config::model::{Grants, Isolation, Plugin, Plugins};
use orchestrator_plugin_api::PluginKind;
use serde_json::{Map, Value};
use std::time::Duration;

/// An enabled entry of `plugins.metrics` or `plugins.capacity`.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceSpec {
    /// `name`: what the instance is called.
    pub name: String,
    /// Which of the two lists it stands in.
    pub kind: PluginKind,
    /// `class`: what it is an instance of.
    pub class: String,
    /// `config`: its own section.
    pub config: Map<String, Value>,
    /// `required`: whether the run ends when it fails.
    pub required: bool,
    /// `deadline_ms`: how long a single call may take.
    pub deadline: Duration,
    /// `interval`: least time between two rounds that it takes part in; `None` = every round.
    pub interval: Option<Duration>,
    /// `isolation`: where it runs.
    pub isolation: Isolation,
    /// `grants`: what it may do in a sandbox.
    pub grants: Grants,
    /// `max_memory`: address space in bytes that a process of its own may use.
    pub max_memory: u64,
    /// Whether its library came with the program: nobody needs to be told what that one may do.
    pub bundled: bool,
}

impl InstanceSpec {
    /// The enabled entries in their order, metrics first. An entry that names no isolation is sandboxed; where the host
    /// knows better, it says so afterwards.
    pub fn enabled(plugins: &Plugins) -> Vec<Self> {
        let of = |kind, list: &[Plugin]| -> Vec<Self> {
            list.iter().filter(|entry| entry.enabled).map(|entry| Self::new(kind, entry)).collect()
        };
        let mut specs = of(PluginKind::Metrics, &plugins.metrics);
        specs.extend(of(PluginKind::Capacity, &plugins.capacity));
        specs
    }

    fn new(kind: PluginKind, entry: &Plugin) -> Self {
        Self {
            name: entry.name.clone(),
            kind,
            class: entry.class.clone(),
            config: entry.config.clone(),
            required: entry.required,
            deadline: Duration::from_millis(entry.deadline_ms),
            interval: entry.interval.map(|interval| interval.get()),
            isolation: entry.isolation.unwrap_or(Isolation::Sandbox),
            grants: entry.grants.clone(),
            max_memory: entry.max_memory.get(),
            bundled: false,
        }
    }
}
