//! What is missing in a sandbox, and which grant would give it.

use std::collections::BTreeSet;
use std::io;

use orchestrator_core::config::model::{Grants, Isolation};
use orchestrator_core::metrics::Metrics;
use orchestrator_plugin_host::{Catalog, ClassDescriptor, InstanceSpec};
use serde_json::{Map, Value};

use super::calls::Seen;
use super::report::Findings;
use crate::commands::plugin::rig::{Rig, Subjects, spec};

const ROUNDS: usize = 5;

/// Names measured and calls failed, or the sentence with which it broke.
type Outcome = Result<(BTreeSet<String>, u64, Option<String>), String>;

/// Asks it in a sandbox without grants and compares with what it measured in a plain process.
pub(super) fn check(
    catalog: &Catalog,
    class: &ClassDescriptor,
    config: &Map<String, Value>,
    seen: &Seen,
    findings: &mut Findings,
) -> io::Result<()> {
    let names = &seen.names;
    let bare = tried(catalog, class, config, Grants::default())?;
    if is_whole(&bare, seen) {
        findings.pass("sandbox", "in a sandbox without grants it does all that it does outside");
        return Ok(());
    }
    let lack = match &bare {
        Err(sentence) => sentence.clone(),
        Ok((_, errors, Some(words))) if *errors > 0 => format!("calls fail: {words}"),
        Ok((found, ..)) => {
            let missing: Vec<&str> = names.difference(found).map(String::as_str).take(3).collect();
            format!("it does not measure {}", missing.join(", "))
        }
    };
    for (words, grants) in grants() {
        if is_whole(&tried(catalog, class, config, grants)?, seen) {
            findings.warn("sandbox", format!(
                "in a sandbox without grants, {lack}; with `grants: {{{words}}}` it works: ask for that in your documentation"
            ));
            return Ok(());
        }
    }
    findings.fail(
        "sandbox",
        format!("in a sandbox, {lack}; no grant helps: its users have to set `isolation: process`"),
    );
    Ok(())
}

/// From the least to the most.
fn grants() -> [(&'static str, Grants); 4] {
    let none = Grants::default;
    [
        ("network: true", Grants { network: true, ..none() }),
        ("read: [/etc, /sys]", Grants { read: vec!["/etc".into(), "/sys".into()], ..none() }),
        ("observer: true", Grants { observer: true, ..none() }),
        ("network: true, observer: true", Grants { network: true, observer: true, ..none() }),
    ]
}

fn is_whole(outcome: &Outcome, seen: &Seen) -> bool {
    matches!(outcome, Ok((found, errors, _)) if seen.names.is_subset(found) && (*errors == 0 || seen.failed))
}

fn tried(
    catalog: &Catalog,
    class: &ClassDescriptor,
    config: &Map<String, Value>,
    grants: Grants,
) -> io::Result<Outcome> {
    let instance = InstanceSpec { grants, ..spec(class, config.clone(), Isolation::Sandbox) };
    let (mut rig, failures) = Rig::start(catalog, std::slice::from_ref(&instance));
    if let Some(failure) = failures.first() {
        return Ok(Err(failure.to_string()));
    }
    let mut subjects = Subjects::alive()?;
    let mut names = BTreeSet::new();
    for _ in 0..ROUNDS {
        let Some(round) = rig.round(subjects.facts(), Metrics::new(), subjects.machine()) else { break };
        names.extend(round.system.into_keys());
        names.extend(round.processes.into_iter().flat_map(|(_, metrics)| metrics.into_keys()));
    }
    if let Some(sentence) = rig.broken.take() {
        return Ok(Err(sentence));
    }
    let stats = rig.stats().into_iter().next();
    Ok(Ok(stats.map_or((names.clone(), 0, None), |stats| (names, stats.errors, stats.last_error))))
}
