//! Configurations: a right one to work with, and wrong ones, each of which must be answered.

use std::time::Duration;

use orchestrator_core::config::model::Isolation;
use orchestrator_core::metrics::Metrics;
use orchestrator_plugin_host::{Catalog, ClassDescriptor, InstanceFault, InstanceSpec, InstanceState};
use serde_json::{Map, Value, json};

use super::report::Findings;
use super::wrongs::{self, Wrong};
use crate::commands::plugin::rig::{Rig, Subjects, spec};

/// Instances at a time.
const AT_ONCE: usize = 8;
/// More than starting with a wrong configuration, or one call, may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// How a configuration was answered.
#[derive(Debug)]
enum Answer {
    Accepted,
    Refused(String),
    Broke(String),
}

/// A configuration that the class takes: the given one, or one that its schema leads to.
pub(super) fn right(
    catalog: &Catalog,
    class: &ClassDescriptor,
    given: Option<Map<String, Value>>,
    findings: &mut Findings,
) -> Option<Map<String, Value>> {
    let guesses = given.is_none();
    let candidates = given.map_or_else(|| wrongs::right(&schema(class)), |config| vec![config]);
    let mut refusal = String::new();
    for config in candidates {
        match start(catalog, &spec(class, config.clone(), Isolation::Process)) {
            Answer::Accepted => {
                let text = Value::Object(config.clone()).to_string();
                findings.pass("start", format!("it starts with the configuration {}", cut(&text)));
                return Some(config);
            }
            Answer::Refused(words) if refusal.is_empty() => refusal = words,
            Answer::Refused(_) => {}
            Answer::Broke(sentence) => {
                findings.fail("start", sentence);
                return None;
            }
        }
    }
    let remedy = if guesses {
        "give one with --config FILE, or say in `config_schema` what it needs"
    } else {
        "correct the file of --config"
    };
    findings.fail("start", format!("it refuses every configuration that was tried: {refusal}; {remedy}"));
    None
}

fn schema(class: &ClassDescriptor) -> Value {
    class.config_schema.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

fn start(catalog: &Catalog, spec: &InstanceSpec) -> Answer {
    let (_rig, failures) = Rig::start(catalog, std::slice::from_ref(spec));
    failures
        .into_iter()
        .next()
        .map_or(Answer::Accepted, |failure| answer(&failure.fault, &failure.to_string()))
}

fn answer(fault: &InstanceFault, sentence: &str) -> Answer {
    match fault {
        InstanceFault::Configuration { message } | InstanceFault::Initialize { message } => {
            Answer::Refused(message.clone())
        }
        _ => Answer::Broke(sentence.to_owned()),
    }
}

/// Tries wrong configurations, each in a process of its own, and one call where it is accepted.
pub(super) fn fuzz(
    catalog: &Catalog,
    class: &ClassDescriptor,
    right: &Map<String, Value>,
    findings: &mut Findings,
) {
    let text = class.config_schema.as_deref();
    let schema = match text.map(serde_json::from_str::<Value>) {
        Some(Ok(schema)) if schema.is_object() => schema,
        Some(_) => return findings.fail("config", "its `config_schema` is no JSON Schema; write an object"),
        None => json!({}),
    };
    let wrongs = wrongs::wrongs(&schema, right);
    let mut verdicts = Vec::new();
    for some in wrongs.chunks(AT_ONCE) {
        verdicts.extend(tried(catalog, class, some));
    }
    judge(&wrongs, &verdicts, text.is_some(), findings);
}

fn tried(catalog: &Catalog, class: &ClassDescriptor, wrongs: &[Wrong]) -> Vec<Answer> {
    let named = |(index, wrong): (usize, &Wrong)| InstanceSpec {
        name: format!("{index}"),
        deadline: DEADLINE,
        ..spec(class, wrong.config.clone(), Isolation::Process)
    };
    let specs: Vec<_> = wrongs.iter().enumerate().map(named).collect();
    let (mut rig, failures) = Rig::start(catalog, &specs);
    let mut answers: Vec<Answer> = wrongs.iter().map(|_| Answer::Accepted).collect();
    for failure in &failures {
        if let Some(place) = failure.instance.parse().ok().and_then(|index: usize| answers.get_mut(index)) {
            *place = answer(&failure.fault, &failure.to_string());
        }
    }
    let facts = Subjects::alive().map(|mut subjects| subjects.facts()).unwrap_or_default();
    rig.round(facts, Metrics::new(), Metrics::new());
    for stats in rig.stats() {
        let place = stats.instance.parse().ok().and_then(|index: usize| answers.get_mut(index));
        if let Some(place @ Answer::Accepted) = place
            && stats.state != InstanceState::Running
        {
            *place = Answer::Broke(stats.sentence.unwrap_or_else(|| "it broke".to_owned()));
        }
    }
    answers
}

fn judge(wrongs: &[Wrong], answers: &[Answer], has_schema: bool, findings: &mut Findings) {
    let mut broke = Vec::new();
    let mut swallowed = Vec::new();
    let mut nameless = Vec::new();
    for (wrong, answer) in wrongs.iter().zip(answers) {
        match answer {
            Answer::Broke(sentence) => broke.push((wrong, sentence.clone())),
            Answer::Accepted if wrong.forbidden => swallowed.push((wrong, String::new())),
            Answer::Refused(words) if !words.contains(&wrong.key) => nameless.push((wrong, words.clone())),
            Answer::Accepted | Answer::Refused(_) => {}
        }
    }
    let tried = wrongs.len();
    let all_good = broke.is_empty() && swallowed.is_empty() && nameless.is_empty();
    if let Some((wrong, sentence)) = broke.first() {
        let count = broke.len();
        findings.fail(
            "config",
            format!(
                "{count} of {tried} wrong configurations were not answered, such as {} for `{}`: {sentence}",
                wrong.what, wrong.key
            ),
        );
    }
    if let Some((wrong, _)) = swallowed.first() {
        let count = swallowed.len();
        findings.warn("config", format!(
            "it takes {count} of {tried} configurations that its schema forbids, such as {} for `{}`; refuse them, so that a slip is noticed",
            wrong.what, wrong.key
        ));
    }
    if let Some((wrong, words)) = nameless.first() {
        let count = nameless.len();
        findings.warn("config", format!(
            "{count} of {tried} refusals do not name the key, such as {} for `{}`: {}; name it in the error", wrong.what, wrong.key, cut(words)
        ));
    }
    if all_good && has_schema {
        findings.pass("config", format!("all of {tried} wrong and extreme configurations were answered"));
    } else if !has_schema {
        findings.warn("config", "it has no `config_schema`, so that only an unknown key was tried");
    }
}

/// At most one line.
pub(super) fn cut(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= 120 {
        line.to_owned()
    } else {
        line.chars().take(119).chain(['…']).collect()
    }
}
