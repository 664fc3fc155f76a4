//! `plugin run`: an instance over processes, and its numbers as they come.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use orchestrator_core::AttemptId;
use orchestrator_core::config::model::Isolation;
use orchestrator_core::metrics::Metrics;
use orchestrator_core::scheduler::CapacityAnswer;
use orchestrator_plugin_host::{ClassDescriptor, InstanceStats, PluginKind};
use serde_json::json;

use super::check::micros;
use super::rig::{Rig, Round, Subjects, spec};
use super::subject::{AuthorError, Subject};
use crate::cli::PluginRunArgs;
use crate::errors::Failure;
use crate::exit::Exit;
use crate::report::Report;
use crate::session::Session;

/// Asks once an interval and prints what comes.
pub(super) fn run(args: &PluginRunArgs, session: &Session) -> Result<Exit, Failure> {
    let subject = Subject::open(&args.file, args.config.as_deref())?;
    let class = subject.class(args.class.as_deref())?;
    let mut processes = Subjects::none().map_err(AuthorError::Machine)?;
    for pid in args.pids() {
        processes.add(pid).map_err(|_| AuthorError::Gone { pid })?;
    }
    let mut instance = spec(class, subject.config(class).unwrap_or_default(), args.isolation.into());
    instance.grants = args.grants();
    let (mut rig, failures) = Rig::start(&subject.catalog, std::slice::from_ref(&instance));
    if let Some(failure) = failures.first() {
        return Err(AuthorError::Instance(failure.to_string()).into());
    }
    let mut told = 0;
    for number in 1..=args.count.unwrap_or(u64::MAX) {
        let begun = Instant::now();
        let round = rig.round(processes.facts(), Metrics::new(), processes.machine());
        for (_, words) in &rig.said[told..] {
            session.tell(&Report::warning("plugin", words.clone()));
        }
        told = rig.said.len();
        if let Some(sentence) = rig.broken.take() {
            return Err(AuthorError::Instance(sentence).into());
        }
        let round = round.ok_or_else(|| AuthorError::Instance("a round did not end".to_owned()))?;
        let named = |attempt| processes.pid(attempt).unwrap_or_default();
        let shown = Shown { number, round: &round, class, rig: &rig };
        shown.show(&named, session)?;
        if processes.facts().iter().all(|process| process.sample.is_none())
            && class.kind == PluginKind::Metrics
        {
            session.console.line("every process has ended");
            break;
        }
        if Some(number) != args.count {
            std::thread::sleep(args.interval.saturating_sub(begun.elapsed()));
        }
    }
    Ok(Exit::Success)
}

/// One round's numbers.
struct Shown<'r> {
    number: u64,
    round: &'r Round,
    class: &'r ClassDescriptor,
    rig: &'r Rig,
}

impl Shown<'_> {
    fn show(&self, pid: &dyn Fn(AttemptId) -> u32, session: &Session) -> Result<(), Failure> {
        let Self { number, round, .. } = self;
        if session.json() {
            let of = |(attempt, metrics)| json!({ "pid": pid(attempt), "metrics": metrics });
            let processes: Vec<_> = round.processes.iter().cloned().map(of).collect();
            let answer =
                |answer: &CapacityAnswer| json!({ "processes": answer.capacity, "reason": answer.reason });
            return session.print_json(&json!({
                "round": number, "took_us": round.took.as_secs_f64() * 1e6, "processes": processes,
                "system": round.system, "capacity": round.capacity.first().map(answer),
            }));
        }
        let clear = if std::io::stdout().is_terminal() { "\u{1b}[H\u{1b}[J" } else { "" };
        session.print(&format!("{clear}{}", self.table(pid)))
    }

    fn table(&self, pid: &dyn Fn(AttemptId) -> u32) -> String {
        let mut text = format!("{}  round {}: {}\n", self.class.class, self.number, self.cost());
        for answer in &self.round.capacity {
            let count = answer.capacity.map_or_else(|| "no answer".to_owned(), |count| count.to_string());
            text.push_str(&format!("  {count:<12} {}\n", answer.reason));
        }
        for (attempt, metrics) in &self.round.processes {
            text.push_str(&format!("  process {}\n{}", pid(*attempt), self.rows(metrics)));
        }
        if !self.round.system.is_empty() {
            text.push_str(&format!("  machine\n{}", self.rows(&self.round.system)));
        }
        text
    }

    fn rows(&self, metrics: &Metrics) -> String {
        let row = |(name, value): (&String, &f64)| {
            let metric = self.class.metrics.iter().find(|metric| metric.name == *name);
            let unit =
                metric.map(|metric| metric.unit.as_str()).filter(|unit| *unit != "1").unwrap_or_default();
            format!("    {name:<44} {:>16} {unit}", shown(*value)).trim_end().to_owned() + "\n"
        };
        metrics.iter().map(row).collect()
    }

    fn cost(&self) -> String {
        let of = |stats: &InstanceStats| {
            let quantile = |share| micros(stats.latency.quantile(share).unwrap_or_default());
            let (p50, p99) = (quantile(0.5), quantile(0.99));
            format!("{} calls, p50 {p50}, p99 {p99}, {} errors", stats.calls, stats.errors)
        };
        self.rig.stats().first().map(of).unwrap_or_default()
    }
}

/// Whole numbers without a fraction, others with three digits of one.
fn shown(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 { format!("{value:.0}") } else { format!("{value:.3}") }
}

/// `--interval` as a duration.
pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    use orchestrator_core::config::{HumanDuration, Scalar};
    HumanDuration::parse(&text.into()).map(HumanDuration::get).map_err(|error| error.to_string())
}

impl From<crate::cli::Where> for Isolation {
    fn from(place: crate::cli::Where) -> Self {
        match place {
            crate::cli::Where::InProcess => Self::InProcess,
            crate::cli::Where::Process => Self::Process,
            crate::cli::Where::Sandbox => Self::Sandbox,
        }
    }
}
