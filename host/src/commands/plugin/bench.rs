//! `plugin bench`: what a call costs, by isolation and by how many processes are asked about at once.

use std::time::Duration;

use orchestrator_core::config::model::Isolation;
use orchestrator_core::metrics::Metrics;
use orchestrator_plugin_host::{ClassDescriptor, PluginKind};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::check::micros;
use super::rig::{Rig, Subjects, spec};
use super::subject::{AuthorError, Subject};
use crate::cli::PluginBenchArgs;
use crate::errors::Failure;
use crate::exit::Exit;
use crate::session::Session;

const BATCHES: [usize; 4] = [1, 8, 64, 1000];
const ISOLATIONS: [Isolation; 3] = [Isolation::InProcess, Isolation::Process, Isolation::Sandbox];
/// Calls measured for each number, and rounds at the least and at the most.
const CALLS: usize = 20_000;
const ROUNDS: [usize; 2] = [20, 500];
const WARM_UP: usize = 5;

/// Times of a call, by dividing those of whole rounds, transport included.
#[derive(Debug, Serialize)]
struct Row {
    isolation: Isolation,
    batch: usize,
    rounds: usize,
    p50_us: f64,
    p99_us: f64,
    max_us: f64,
    /// The plugin's own part of a call, at half of all calls.
    own_p50_us: f64,
}

/// Measures and prints a row for each isolation and batch.
pub(super) fn bench(args: &PluginBenchArgs, session: &Session) -> Result<Exit, Failure> {
    let subject = Subject::open(&args.file, args.config.as_deref())?;
    let class = subject.class(args.class.as_deref())?;
    let config = subject.config(class).unwrap_or_default();
    let batches: &[usize] = if class.kind == PluginKind::Capacity { &[1] } else { &BATCHES };
    let mut rows = Vec::new();
    for isolation in ISOLATIONS {
        for batch in batches {
            let row = measured(&subject, class, &config, (isolation, *batch))?;
            if !session.json() {
                if rows.is_empty() {
                    let header = ["isolation", "batch", "p50", "p99", "max", "of which the plugin"];
                    session.print(&format!("{}\n{}\n", class.class, line(header.map(str::to_owned))))?;
                }
                session.print(&row.line())?;
            }
            rows.push(row);
        }
    }
    if session.json() {
        session.print_json(&json!({ "file": args.file, "class": class.class, "rows": rows }))?;
    }
    Ok(Exit::Success)
}

fn measured(
    subject: &Subject,
    class: &ClassDescriptor,
    config: &Map<String, Value>,
    (isolation, batch): (Isolation, usize),
) -> Result<Row, AuthorError> {
    let mut instance = spec(class, config.clone(), isolation);
    // A slow plugin is measured, not cut short.
    instance.deadline = Duration::from_secs(60);
    let (mut rig, failures) = Rig::start(&subject.catalog, std::slice::from_ref(&instance));
    if let Some(failure) = failures.first() {
        return Err(AuthorError::Instance(failure.to_string()));
    }
    let mut processes = Subjects::alive()?;
    let facts = if class.kind == PluginKind::Capacity { Vec::new() } else { processes.repeated(batch) };
    let machine = processes.machine();
    let rounds = (CALLS / batch).clamp(ROUNDS[0], ROUNDS[1]);
    let mut times = Vec::with_capacity(rounds);
    for number in 0..rounds + WARM_UP {
        let round = rig.round(facts.clone(), Metrics::new(), machine.clone());
        if let Some(sentence) = rig.broken.take() {
            return Err(AuthorError::Instance(sentence));
        }
        let round = round.ok_or_else(|| AuthorError::Instance("a round did not end".to_owned()))?;
        if number >= WARM_UP {
            // One call a process, and one for the machine.
            let calls = if facts.is_empty() { 1.0 } else { facts.len() as f64 + 1.0 };
            times.push(round.took.as_secs_f64() * 1e6 / calls);
        }
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    let own = rig.stats().first().and_then(|stats| stats.latency.quantile(0.5)).unwrap_or_default();
    let own_p50_us = own.as_secs_f64() * 1e6;
    Ok(Row { isolation, batch, rounds, p50_us: at(0.5), p99_us: at(0.99), max_us: at(1.0), own_p50_us })
}

impl Row {
    fn line(&self) -> String {
        let shown = |us: f64| micros(Duration::from_secs_f64(us / 1e6));
        line([
            self.isolation.word().to_owned(),
            self.batch.to_string(),
            shown(self.p50_us),
            shown(self.p99_us),
            shown(self.max_us),
            shown(self.own_p50_us),
        ])
    }
}

fn line(cells: [String; 6]) -> String {
    let [isolation, batch, rest @ ..] = cells;
    let rest: String = rest.iter().map(|cell| format!(" {cell:>12}")).collect();
    format!("  {isolation:<11} {batch:>6}{rest}")
}
