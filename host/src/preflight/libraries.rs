//! Plugins: every enabled class is exported by a usable library.

use orchestrator_core::config::Config;
use orchestrator_core::config::model::{Grants, Isolation};
use orchestrator_plugin_host::{Catalog, InstanceSpec, PluginKind, ResolveError};
use serde::Serialize;
use std::io::ErrorKind;
use std::path::PathBuf;

use super::Findings;
use crate::exit::Exit;
use crate::plugins::SearchPath;

/// A plugin instance as it would be started.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct PlannedPlugin {
    /// Its name in the configuration.
    pub(crate) name: String,
    /// What it does.
    pub(crate) kind: PluginKind,
    /// Its class.
    pub(crate) class: String,
    /// The library that serves the class.
    pub(crate) library: PathBuf,
    /// The library's version.
    pub(crate) version: String,
    /// Where it would run.
    pub(crate) isolation: Isolation,
}

/// Resolves every enabled instance, and warns of libraries that cannot be used.
pub(super) fn check(
    config: &Config,
    search: &SearchPath,
    catalog: &Catalog,
    findings: &mut Findings<'_>,
) -> Vec<PlannedPlugin> {
    for problem in catalog.problems().filter(|problem| search.concerns(problem)) {
        findings.remark(problem.to_string());
    }
    let specs = crate::plugins::specs(&config.plugins, catalog);
    let mut planned = Vec::new();
    for spec in specs {
        let file = match catalog.resolve(spec.kind, &spec.class) {
            Ok(file) => file,
            Err(error) => {
                let exit = match error {
                    ResolveError::OtherKind { .. } => Exit::Config,
                    ResolveError::Unknown { .. } | ResolveError::Unusable { .. } => Exit::Unavailable,
                };
                report(config, &spec, exit, &error, findings);
                continue;
            }
        };
        grants(config, &spec, findings);
        let here = spec.isolation == Isolation::InProcess;
        match if here { file.check_compatible() } else { file.check_version() } {
            Ok(()) => planned.push(PlannedPlugin {
                library: file.path.clone(),
                version: file.descriptor.version.clone(),
                name: spec.name,
                kind: spec.kind,
                class: spec.class,
                isolation: spec.isolation,
            }),
            Err(problem) => report(config, &spec, Exit::Unavailable, &problem, findings),
        }
    }
    planned
}

/// Warns of grants that do nothing.
fn grants(config: &Config, spec: &InstanceSpec, findings: &mut Findings<'_>) {
    let grants = &spec.grants;
    let key = key(config, (spec.kind, &spec.name), "grants");
    let idle = match spec.isolation {
        Isolation::Sandbox => false,
        // Variables are handed out one by one there, too.
        Isolation::Process => grants.network || grants.observer || !grants.read.is_empty(),
        Isolation::InProcess => *grants != Grants::default(),
    };
    if idle {
        let word = spec.isolation.word();
        let message = format!(
            "has no effect with `isolation: {word}`, which forbids plugin `{}` nothing; set `isolation: sandbox` or \
             remove it",
            spec.name
        );
        return findings.warning(&key, &message, None);
    }
    for path in &grants.read {
        let gone = path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound);
        if gone {
            let message = format!(
                "{} does not exist, so that plugin `{}` may read nothing there; create it before the run, or correct \
                 the path",
                path.display(),
                spec.name
            );
            findings.warning(&format!("{key}.read"), &message, None);
        }
    }
}

fn report(
    config: &Config,
    spec: &InstanceSpec,
    exit: Exit,
    problem: &dyn std::fmt::Display,
    findings: &mut Findings<'_>,
) {
    let message = format!("{} plugin `{}`: {problem}", spec.kind, spec.name);
    findings.error(exit, &key(config, (spec.kind, &spec.name), "class"), &message, None);
}

/// `plugins.metrics.0.class`.
pub(super) fn key(config: &Config, (kind, name): (PluginKind, &str), what: &str) -> String {
    let list = match kind {
        PluginKind::Capacity => &config.plugins.capacity,
        PluginKind::Metrics | PluginKind::Unknown => &config.plugins.metrics,
    };
    let position = list.iter().position(|entry| entry.name == name).unwrap_or_default();
    format!("plugins.{kind}.{position}.{what}")
}
