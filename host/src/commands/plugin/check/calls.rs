//! Calls over real processes: what is measured, what it costs, what is left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{Duration, Instant};

use orchestrator_core::config::model::Isolation;
use orchestrator_core::metrics::Metrics;
use orchestrator_plugin_host::{Catalog, ClassDescriptor, InstanceSpec, MetricDescriptor, MetricKind};
use serde_json::{Map, Value};

use super::leaks::{Leftover, leaks};
use super::report::Findings;
use crate::commands::plugin::rig::{Rig, Round, Subjects, spec};

/// Rounds before the first look at what is left behind: caches fill.
const WARM_UP: usize = 100;
/// Rounds between two looks.
const BETWEEN: usize = 350;
/// Calls of a slow plugin are not waited for longer.
const LONGEST: Duration = Duration::from_secs(60);

/// What the rounds showed.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Every metric's name.
    pub(super) names: BTreeSet<String>,
    /// Whether calls about live processes failed.
    pub(super) failed: bool,
    undeclared: BTreeSet<String>,
    fallen: BTreeSet<String>,
    last: BTreeMap<(u64, String), f64>,
}

/// Asks the class again and again, in a process of its own. What it measured, unless it broke.
pub(super) fn check(
    catalog: &Catalog,
    class: &ClassDescriptor,
    config: &Map<String, Value>,
    budget: Option<Duration>,
    findings: &mut Findings,
) -> io::Result<Option<Seen>> {
    let instance = spec(class, config.clone(), Isolation::Process);
    let budget = budget.unwrap_or(instance.deadline / 100);
    let (mut rig, failures) = Rig::start(catalog, std::slice::from_ref(&instance));
    if let Some(failure) = failures.first() {
        findings.fail("calls", failure.to_string());
        return Ok(None);
    }
    let mut subjects = Subjects::alive()?;
    let mut seen = Seen::default();
    let mut leftovers = Vec::new();
    let begun = Instant::now();
    for rounds in [WARM_UP, BETWEEN, BETWEEN] {
        for _ in 0..rounds {
            let round = rig.round(subjects.facts(), Metrics::new(), subjects.machine());
            if let Some(sentence) = gone(&rig, round.as_ref()) {
                findings.fail("calls", sentence);
                return Ok(None);
            }
            seen.note(class, &round.unwrap_or_default());
            if begun.elapsed() > LONGEST {
                break;
            }
        }
        leftovers.extend(Leftover::read(&rig));
    }
    seen.failed = calls(&rig, findings);
    log(&rig, findings);
    seen.judge(&rig, findings);
    cost(&rig, budget, findings);
    leaks(&leftovers, findings);
    ended(&mut rig, &mut subjects, findings)?;
    state(rig, catalog, &instance, findings);
    Ok(Some(seen))
}

/// Why nothing more comes.
fn gone(rig: &Rig, round: Option<&Round>) -> Option<String> {
    match (&rig.broken, round) {
        (Some(sentence), _) => Some(sentence.clone()),
        (None, Some(_)) => None,
        (None, None) => Some("a round did not end; look at what it waits for".to_owned()),
    }
}

/// Whether calls failed.
fn calls(rig: &Rig, findings: &mut Findings) -> bool {
    let mut failed = false;
    for stats in rig.stats() {
        let (calls, errors) = (stats.calls, stats.errors);
        if errors > 0 {
            failed = true;
            let words = stats.last_error.unwrap_or_default();
            findings.fail("calls", format!(
                "{errors} of {calls} calls about live processes failed: {words}; having nothing to report is no error"
            ));
        } else {
            findings
                .pass("calls", format!("{calls} calls about itself and a process with a child succeeded"));
        }
    }
    failed
}

fn log(rig: &Rig, findings: &mut Findings) {
    let surplus = rig.said.iter().find(|(_, words)| words.contains("of its log records were dropped"));
    if let Some((_, words)) = surplus {
        findings.warn("log", format!("{words}; say less"));
    }
}

impl Seen {
    fn note(&mut self, class: &ClassDescriptor, round: &Round) {
        let of_processes = round.processes.iter().map(|(attempt, metrics)| (attempt.0, metrics));
        for (subject, metrics) in of_processes.chain([(0, &round.system)]) {
            for (name, value) in metrics {
                match declared(class, name) {
                    None => drop(self.undeclared.insert(name.clone())),
                    Some(metric) if metric.kind == MetricKind::Counter => {
                        let before = self.last.insert((subject, name.clone()), *value);
                        if before.is_some_and(|before| *value < before) {
                            self.fallen.insert(name.clone());
                        }
                    }
                    Some(_) => {}
                }
                self.names.insert(name.clone());
            }
        }
    }

    fn judge(&self, rig: &Rig, findings: &mut Findings) {
        let dropped: Vec<&str> = rig
            .said
            .iter()
            .map(|(_, words)| words.as_str())
            .filter(|words| words.starts_with("values that"))
            .collect();
        let mut good = true;
        if let Some(words) = dropped.first() {
            findings.fail(
                "metrics",
                format!("{words}; emit finite values of the declared type under sound names"),
            );
            good = false;
        }
        if let Some(name) = self.fallen.first() {
            findings.fail(
                "metrics",
                format!("the counter `{name}` fell; declare it as a gauge, or only add to it"),
            );
            good = false;
        }
        if let Some(name) = self.undeclared.first() {
            let count = self.undeclared.len();
            findings.warn(
                "metrics",
                format!("{count} metrics are not declared, such as `{name}`; add them to `emits:`"),
            );
            good = false;
        }
        if good && self.names.is_empty() {
            findings.warn("metrics", "it measured nothing at all here");
        } else if good {
            findings.pass(
                "metrics",
                format!("{} metrics, all declared, finite and of their types", self.names.len()),
            );
        }
    }
}

/// What the descriptor says about a metric; `*` stands for one segment.
fn declared<'c>(class: &'c ClassDescriptor, name: &str) -> Option<&'c MetricDescriptor> {
    let same = |pattern: &str| {
        let (wanted, found): (Vec<_>, Vec<_>) = (pattern.split('.').collect(), name.split('.').collect());
        wanted.len() == found.len() && wanted.iter().zip(&found).all(|(w, f)| *w == "*" || w == f)
    };
    class.metrics.iter().find(|metric| same(&metric.name))
}

pub(super) fn cost(rig: &Rig, budget: Duration, findings: &mut Findings) {
    for stats in rig.stats() {
        let quantile = |share| stats.latency.quantile(share).unwrap_or_default();
        let (p50, p99) = (quantile(0.5), quantile(0.99));
        let sentence = format!("a call takes {} (p50), {} (p99)", micros(p50), micros(p99));
        let budget_words = micros(budget);
        if p99 > budget {
            findings.fail("cost", format!("{sentence}, more than the budget of {budget_words}; do less in a call, or raise --budget-us"));
        } else {
            findings.pass("cost", format!("{sentence}; the budget is {budget_words}"));
        }
    }
}

/// `12.3 µs`.
pub(in crate::commands::plugin) fn micros(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    if micros < 100.0 { format!("{micros:.1} µs") } else { format!("{micros:.0} µs") }
}

/// A process that has just ended is no error.
fn ended(rig: &mut Rig, subjects: &mut Subjects, findings: &mut Findings) -> io::Result<()> {
    let errors = |rig: &Rig| rig.stats().first().map(|stats| stats.errors).unwrap_or_default();
    let before = errors(rig);
    subjects.add_ended()?;
    for _ in 0..3 {
        let round = rig.round(subjects.facts(), Metrics::new(), Metrics::new());
        if let Some(sentence) = gone(rig, round.as_ref()) {
            findings
                .fail("ended", format!("asked about a process that has just ended, it broke: {sentence}"));
            return Ok(());
        }
    }
    if errors(rig) > before {
        let words = rig.stats().into_iter().next().and_then(|stats| stats.last_error).unwrap_or_default();
        findings.warn(
            "ended",
            format!("it fails for a process that has just ended: {words}; report nothing instead"),
        );
    } else {
        findings.pass("ended", "a process that has just ended is no error");
    }
    Ok(())
}

/// Whether another instance goes on from its state.
pub(super) fn state(mut rig: Rig, catalog: &Catalog, instance: &InstanceSpec, findings: &mut Findings) {
    if rig.broken.is_some() {
        return;
    }
    let next = InstanceSpec { max_memory: instance.max_memory + (1 << 20), ..instance.clone() };
    let one = Catalog::of_file(orchestrator_plugin_host::Trust::default(), &catalog.files()[0].path);
    let Ok(one) = one else { return };
    let heard = rig.said.len();
    let lines = rig.reload(one, vec![next]).unwrap_or_default();
    rig.round(Vec::new(), Metrics::new(), Metrics::new());
    let anew = rig.said[heard..].iter().find(|(_, words)| words.contains("begins anew"));
    if let Some(sentence) = &rig.broken {
        findings.fail("state", format!("with the state of its predecessor it broke: {sentence}"));
    } else if let Some((_, words)) = anew {
        findings.fail("state", format!("it cannot use its own state: {words}; mend `restore`"));
    } else if lines.iter().any(|line| line.contains("its state went along")) {
        findings.pass("state", "another instance goes on from its state (`snapshot`, `restore`)");
    } else if lines.is_empty() {
        findings.fail("state", "another instance could not take its place within a minute and a half");
    } else {
        findings.pass("state", "it keeps no state from one instance to the next");
    }
}
