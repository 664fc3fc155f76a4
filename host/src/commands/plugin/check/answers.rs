//! Capacity classes: what they answer to readings of every kind.

use std::time::Duration;

use orchestrator_core::config::model::Isolation;
use orchestrator_core::metrics::Metrics;
use orchestrator_plugin_host::{Catalog, ClassDescriptor, InstanceSpec};
use serde_json::{Map, Value};

use super::calls;
use super::report::Findings;
use crate::commands::plugin::rig::{Rig, Subjects, spec};

/// Names that a run offers to capacity plugins.
const NAMES: [&str; 12] = [
    "system.cpu.percent",
    "system.cpu.cores",
    "system.memory.total_bytes",
    "system.memory.available_bytes",
    "system.memory.percent",
    "system.disk.percent",
    "orchestrator.processes.running",
    "limits.cpu.percent",
    "limits.memory.percent",
    "limits.disk.percent",
    "calibration.cpu.p95_cores",
    "calibration.memory.p95_bytes",
];
const EXTREMES: [f64; 6] = [0.0, 1e-300, 1.0, 100.0, 1e15, f64::MAX];
const DETERMINISTIC_ROUNDS: usize = 50;

/// How many, and in what words.
type Answer = (Option<u32>, String);
type Answers = Vec<Answer>;

/// Asks two instances the same questions, in processes of their own.
pub(super) fn check(
    catalog: &Catalog,
    class: &ClassDescriptor,
    config: &Map<String, Value>,
    budget: Option<Duration>,
    findings: &mut Findings,
) -> std::io::Result<()> {
    let instance = spec(class, config.clone(), Isolation::Process);
    let readings = readings(&mut Subjects::none()?);
    let (one, rig) = match asked(catalog, &instance, &readings) {
        Ok(asked) => asked,
        Err(sentence) => {
            findings.fail("answers", sentence);
            return Ok(());
        }
    };
    judge(&one, findings);
    match asked(catalog, &instance, &readings) {
        Ok((two, _)) if first_difference(&one, &two).is_none() => {
            findings.pass("repeatable", format!("two instances gave the same {} answers", one.len()));
        }
        Ok((two, _)) => {
            let differ = first_difference(&one, &two).unwrap_or_default();
            findings.warn("repeatable", format!(
                "two instances answered the same readings differently, {} and {}; depend on the readings alone, so that a run can be retold",
                shown(one.get(differ)), shown(two.get(differ))
            ));
        }
        Err(sentence) => findings.fail("repeatable", sentence),
    }
    calls::cost(&rig, budget.unwrap_or(instance.deadline / 100), findings);
    calls::state(rig, catalog, &instance, findings);
    let sandboxed = InstanceSpec { isolation: Isolation::Sandbox, ..instance.clone() };
    match asked(catalog, &sandboxed, &readings) {
        Ok((three, _)) if first_difference(&one, &three).is_none() => {
            findings.pass("sandbox", "in a sandbox without grants it answers the same");
        }
        Ok(_) => findings.warn(
            "sandbox",
            "in a sandbox without grants it answers otherwise; depend on the readings alone",
        ),
        Err(sentence) => findings.fail("sandbox", sentence),
    }
    Ok(())
}

/// The first reading that two instances answered differently. What they say while they have no answer does not count: it
/// may tell of time.
fn first_difference(one: &Answers, two: &Answers) -> Option<usize> {
    let differ = |(one, two): (&Answer, &Answer)| one.0 != two.0 || (one.0.is_some() && one.1 != two.1);
    let longer = one.len().max(two.len());
    let both = one.len().min(two.len());
    one.iter().zip(two).position(differ).or((longer > both).then_some(both))
}

fn shown(answer: Option<&Answer>) -> String {
    match answer {
        Some((Some(capacity), reason)) => format!("{capacity} ({reason})"),
        Some((None, reason)) => format!("no answer ({reason})"),
        None => "no answer".to_owned(),
    }
}

fn asked(
    catalog: &Catalog,
    instance: &InstanceSpec,
    readings: &[(Metrics, Metrics)],
) -> Result<(Answers, Rig), String> {
    let mut rig = begun(catalog, instance)?;
    let mut answers = Answers::new();
    for (calibration, current) in readings {
        let round = rig.round(Vec::new(), calibration.clone(), current.clone());
        if let Some(sentence) = rig.broken.take() {
            return Err(sentence);
        }
        let round = round.ok_or("a round did not end; look at what it waits for")?;
        let refused = round.capacity.iter().any(|answer| answer.capacity.is_none());
        answers.extend(round.capacity.into_iter().map(|answer| (answer.capacity, answer.reason)));
        if refused {
            // After an error it is left alone for a while; another one can be asked at once.
            rig = begun(catalog, instance)?;
        }
    }
    Ok((answers, rig))
}

fn begun(catalog: &Catalog, instance: &InstanceSpec) -> Result<Rig, String> {
    let (rig, failures) = Rig::start(catalog, std::slice::from_ref(instance));
    failures.first().map_or(Ok(rig), |failure| Err(failure.to_string()))
}

/// Nothing, this machine, one name at each extreme, all at each, very many, and this machine again and again.
fn readings(subjects: &mut Subjects) -> Vec<(Metrics, Metrics)> {
    let machine = subjects.machine();
    let mut all = vec![(Metrics::new(), Metrics::new()), (Metrics::new(), machine.clone())];
    let everywhere =
        |value: f64| -> Metrics { NAMES.iter().map(|name| ((*name).to_owned(), value)).collect() };
    for value in EXTREMES {
        all.push((everywhere(value), everywhere(value)));
        for name in NAMES {
            let mut current = machine.clone();
            current.insert(name.to_owned(), value);
            all.push((everywhere(1.0), current));
        }
    }
    let many: Metrics = (0..10_000).map(|n| (format!("many.metric.{n}"), f64::from(n))).collect();
    all.push((many.clone(), many));
    all.extend(std::iter::repeat_n((Metrics::new(), machine), DETERMINISTIC_ROUNDS));
    all
}

fn judge(answers: &Answers, findings: &mut Findings) {
    let given = answers.iter().filter(|(capacity, _)| capacity.is_some());
    let (given, silent) = given
        .fold((0, 0), |(given, silent), (_, reason)| (given + 1, silent + usize::from(reason.is_empty())));
    let missing = answers.iter().find(|(capacity, _)| capacity.is_none()).map(|(_, words)| words.as_str());
    let all = answers.len();
    if given == 0 {
        let words = missing.unwrap_or_default();
        findings.fail("answers", format!("it answered none of {all} readings: {words}"));
    } else if silent > 0 {
        findings.warn(
            "answers",
            format!("{silent} of {given} answers have no reason; say why with `Capacity::new(n).because(…)`"),
        );
    } else if let Some(words) = missing {
        findings.pass(
            "answers",
            format!("{given} of {all} readings were answered, each with its reason; others: {words}"),
        );
    } else {
        findings.pass("answers", format!("all {all} readings were answered, each with its reason"));
    }
}
