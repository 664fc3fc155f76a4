//! Plugins: every instance takes its configuration.
//!
//! Only its plugin knows what an instance's `config` may say, so each is made as a run would make it, where it would run,
//! with its grants and limits; it is asked for nothing, and ended at once.

use std::sync::Arc;

use orchestrator_core::config::Loaded;
use orchestrator_core::config::model::Config;
use orchestrator_plugin_host::{Catalog, FailureCategory, InstanceFailure, PluginHost};

use super::{Findings, Preflight, libraries};
use crate::errors::plugin_exit;
use crate::plugins;
use crate::report::Report;

impl Preflight {
    /// Adds what the planned instances say about their configuration, in the sentences that a run would say.
    ///
    /// An instance that a run could go on without is an error only where its configuration is wrong.
    pub(crate) fn with_instances(mut self, loaded: &Loaded, catalog: &Catalog) -> Self {
        let config = &loaded.config;
        let mut findings = Findings::new(loaded);
        for failure in self.failures(config, catalog) {
            let exit = plugin_exit(&failure);
            let wrong = failure.required || failure.category() == FailureCategory::Configuration;
            let sentence = failure.to_string();
            let report = match wrong {
                true => Report::error(exit, "plugin", sentence),
                false => Report::warning("plugin", sentence),
            };
            let key = |what| libraries::key(config, (failure.kind, &failure.instance), what);
            findings.about(report, &key("config"), &key("class"));
        }
        self.reports.append(&mut findings.reports);
        self
    }

    /// Those that cannot be made, each as `required` as it is configured.
    fn failures(&self, config: &Config, catalog: &Catalog) -> Vec<InstanceFailure> {
        let mut specs = plugins::specs(&config.plugins, catalog);
        // What has no library was found before.
        specs.retain(|spec| {
            self.plan.plugins.iter().any(|plugin| (plugin.kind, &plugin.name) == (spec.kind, &spec.name))
        });
        if specs.is_empty() {
            return Vec::new();
        }
        let required: Vec<bool> = specs.iter().map(|spec| spec.required).collect();
        // Nothing is tried twice: nobody waits here until it works.
        specs.iter_mut().for_each(|spec| spec.required = true);
        let options = plugins::start_options(config);
        let (instances, mut failures) = PluginHost::start(catalog, &specs, &options, Arc::new(|_| {}));
        drop(instances);
        for failure in &mut failures {
            let is_it = |(spec, _): &(&orchestrator_plugin_host::InstanceSpec, &bool)| {
                (spec.kind, &spec.name) == (failure.kind, &failure.instance)
            };
            failure.required = specs.iter().zip(&required).find(is_it).is_some_and(|(_, required)| *required);
        }
        failures
    }
}
