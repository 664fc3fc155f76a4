//! SIGHUP: the configuration is read again while the run goes on.
//!
//! The scheduler takes over its numbers, the plugin room its instances; what else has changed holds for the next run, and
//! the user is told so.

use std::collections::BTreeMap;

use orchestrator_core::config::{Config, Sources, load};
use orchestrator_core::scheduler::Policy;
use orchestrator_plugin_host::{PluginControl, ReloadTicket};
use orchestrator_ports::{PluginEvent, Sink};
use serde_json::Value;

use crate::ceiling::Ceiling;
use crate::cli::Selection;
use crate::errors::Failure;
use crate::plugins::{SearchPath, specs};
use crate::report::Report;
use crate::session::Session;

/// Keys that a live run heeds, and everything below them.
const LIVE: [&str; 9] = [
    "concurrency",
    "retry",
    "halt",
    "timeouts",
    "shutdown.drain_seconds",
    "shutdown.grace_seconds",
    "plugins.metrics",
    "plugins.capacity",
    "plugins.directories",
];
/// Keys below them that the rooms were built for.
const FIXED: [&str; 1] = ["timeouts.leak_after"];

/// What reading the configuration again needs.
pub(crate) struct Reload<'a> {
    /// What was typed.
    pub(crate) selection: &'a Selection,
    /// Whom to tell.
    pub(crate) session: &'a Session,
    /// Bounds that hold for the whole run.
    pub(crate) ceiling: Ceiling,
    /// The configuration that the run was started with.
    pub(crate) began_with: &'a Config,
    /// The instances of the run.
    pub(crate) plugins: PluginControl,
    /// Where the plugin room speaks.
    pub(crate) events: Sink<PluginEvent>,
}

impl Reload<'_> {
    /// Reads the configuration again; the policy that holds from now on. The plugins follow on a thread of their own. What
    /// is wrong is told, and the old configuration stays in force.
    pub(crate) fn read_again(&self) -> Option<Policy> {
        let ticket = self.plugins.ask_for_reload();
        let loaded = match load(&self.selection.request(), &self.session.sources) {
            Ok(loaded) => loaded,
            Err(findings) => {
                let count = findings.len();
                self.session.fail(&Failure::Config(findings));
                ticket.refuse(format!(
                    "the configuration has {count} mistakes, which the run has told: nothing was changed"
                ));
                return None;
            }
        };
        let fixed = fixed_keys(&changed_keys(self.began_with, &loaded.config));
        if !fixed.is_empty() {
            let message = format!("changed, but in force with the next run only: {}", fixed.join(", "));
            self.session.tell(&Report::warning("reload", message));
        }
        let mut policy = Policy::from_config(&loaded.config);
        if let Some(remark) = self.ceiling.bound(&mut policy) {
            self.session.tell(&Report::warning("limits", remark));
        }
        self.reload_plugins(ticket, loaded.config);
        Some(policy)
    }

    /// Reads the plugin directories, which may take a while, off the loop's thread.
    fn reload_plugins(&self, ticket: ReloadTicket, config: Config) {
        let (flags, configured) = (&self.selection.plugins_dir, &config.plugins.directories);
        let search = SearchPath::of_this_program(flags, self.session.sources.environment(), configured);
        let events = self.events.clone();
        let work = move || match search.scan(&config.plugins.trust) {
            Ok(catalog) => {
                let specs = specs(&config.plugins, &catalog);
                ticket.reload(catalog, specs);
            }
            Err(error) => {
                let sentence = Failure::Trust(error).to_string();
                events(PluginEvent::Reloaded { changes: Vec::new(), refusals: vec![sentence.clone()] });
                ticket.refuse(sentence);
            }
        };
        if let Err(error) = std::thread::Builder::new().name("plugin-reload".to_owned()).spawn(work) {
            let sentence = format!("the plugins were not reloaded: there is no thread for it ({error})");
            self.session.tell(&Report::warning("reload", sentence));
        }
    }
}

/// Keys whose values differ, in order.
fn changed_keys(old: &Config, new: &Config) -> Vec<String> {
    let (old, new) = (leaves(old), leaves(new));
    let keys = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key)));
    let mut changed: Vec<String> = keys.filter(|key| old.get(*key) != new.get(*key)).cloned().collect();
    changed.sort();
    changed
}

/// Of these keys those that only the next run heeds.
fn fixed_keys(changed: &[String]) -> Vec<String> {
    let below = |key: &str, part: &str| {
        key.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let is_live =
        |key: &str| LIVE.iter().any(|live| below(key, live)) && !FIXED.iter().any(|fixed| below(key, fixed));
    // Trust is read with the directories.
    let fixed = changed.iter().filter(|key| !is_live(key) && !below(key, "plugins.trust"));
    fixed.cloned().collect()
}

/// Every value by its key; lists are one value.
fn leaves(config: &Config) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    // Our own data always serialises; otherwise nothing seems to have changed.
    let mut open = vec![(String::new(), serde_json::to_value(config).unwrap_or_default())];
    while let Some((key, value)) = open.pop() {
        match value {
            Value::Object(map) => {
                open.extend(map.into_iter().map(|(name, value)| {
                    (if key.is_empty() { name } else { format!("{key}.{name}") }, value)
                }))
            }
            value => drop(found.insert(key, value)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::SystemSources;
    use orchestrator_core::config::LoadRequest;
    use orchestrator_core::config::model::ConcurrencyMode;

    fn config() -> Config {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        let text = "binary: {path: sh}\ninput: {files_directory: /in}\noutput: {directory: /out}\n";
        std::fs::write(&file, text).unwrap();
        let request = LoadRequest { file: Some(file), ..LoadRequest::default() };
        load(&request, &SystemSources::new()).unwrap().config
    }

    #[test]
    fn keys_that_only_the_next_run_heeds_are_told_apart() {
        let old = config();
        let mut new = old.clone();
        new.concurrency.mode = ConcurrencyMode::Fixed;
        new.retry.max_attempts += 1;
        new.plugins.capacity.clear();
        new.plugins.directories.push("/more".into());
        assert!(!changed_keys(&old, &new).is_empty());
        assert_eq!(fixed_keys(&changed_keys(&old, &new)), Vec::<String>::new());
        new.binary.clear_env = !new.binary.clear_env;
        new.output.file_suffix.push('x');
        assert_eq!(fixed_keys(&changed_keys(&old, &new)), ["binary.clear_env", "output.file_suffix"]);
    }

    #[test]
    fn an_equal_configuration_has_no_changed_key() {
        assert_eq!(changed_keys(&config(), &config()), Vec::<String>::new());
    }
}
