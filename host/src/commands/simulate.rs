//! `simulate`: work on a simulated machine, under our policy and under every fixed number of processes.

use std::fs;
use std::path::Path;
use std::time::Duration;

use orchestrator_core::Bytes;
use orchestrator_core::capacity::control::ControlRules;
use orchestrator_core::config::Config;
use orchestrator_core::predict::replay::TraceReader;
use orchestrator_core::simulate::{
    Comparison, Machine, Outcome, Recorded, Relief, Work, compare, loads, recorded_work, relief,
};
use orchestrator_ports::Probe;
use orchestrator_sysmon::SystemProbe;
use serde_json::json;

use crate::cli::{MachinePart, Selection, SimulateArgs};
use crate::errors::Failure;
use crate::exit::Exit;
use crate::session::Session;
use crate::views::words::{duration, number};

/// Memory that the system itself is taken to need on a machine that is not this one, GB.
const SYSTEM_MEMORY: f64 = 1.0;
/// MB/s of a disk that nobody described.
const DISK: f64 = 1000.0;

/// Simulates, and prints the table.
pub(super) fn simulate(args: &SimulateArgs, session: &Session) -> Result<Exit, Failure> {
    let config = configuration(args, session)?;
    let rules = ControlRules::of(&config);
    let (mut machine, work) = match (&args.workload, &args.trace) {
        (Some(name), _) => {
            let load = loads::load(name, args.seed)
                .ok_or_else(|| Failure::NothingToSimulate { why: format!("there is no workload {name}") })?;
            (load.machine, load.work)
        }
        (None, Some(path)) => (this_machine(), traced(path, args.task.as_deref())?),
        (None, None) => (this_machine(), super::simulate_history::measured(&config)?),
    };
    change(&mut machine, &args.machine);
    machine.cpu_threshold = rules.cpu_threshold;
    machine.memory_threshold = rules.memory_threshold;
    let found = compare(&machine, &work, rules, args.seed);
    let more = relief(&machine, &work, rules, args.seed, &found.law);
    if session.json() {
        session.print_json(&as_json(&machine, &work, &found, &more))?;
    } else {
        session.print(&table(&machine, &work, &found, &more))?;
    }
    Ok(Exit::Success)
}

/// The configuration that is meant; the defaults where a trace or a workload needs none.
fn configuration(args: &SimulateArgs, session: &Session) -> Result<Config, Failure> {
    let needed = args.trace.is_none() && args.workload.is_none();
    if args.config.is_none() && !needed {
        return Ok(Config::default());
    }
    let selection = Selection {
        config: args.config.clone(),
        profile: args.profile.clone(),
        set: args.set.clone(),
        ..Selection::default()
    };
    Ok(session.load(&selection)?.config)
}

/// This machine, as far as it can be known.
fn this_machine() -> Machine {
    let sample = SystemProbe::new(Path::new("/")).ok().map(|mut probe| probe.system());
    let Some(sample) = sample.filter(|sample| sample.cpu_cores > 0.0 && sample.memory_total.0 > 0) else {
        return Machine::default();
    };
    Machine {
        cores: sample.cpu_cores,
        memory: sample.memory_total.0 as f64 / 1e9,
        system_memory: sample.memory_used.0 as f64 / 1e9,
        bandwidth_streams: sample.cpu_cores,
        disk: DISK,
        ..Machine::default()
    }
}

fn change(machine: &mut Machine, parts: &[MachinePart]) {
    for part in parts {
        match *part {
            MachinePart::Cores(cores) => {
                machine.bandwidth_streams *= cores / machine.cores;
                machine.cores = cores;
            }
            MachinePart::Memory(bytes) => {
                machine.memory = bytes as f64 / 1e9;
                machine.system_memory = SYSTEM_MEMORY.min(0.1 * machine.memory);
            }
            MachinePart::Disk(bytes) => machine.disk = bytes as f64 / 1e6,
        }
    }
}

/// The tasks of a trace as one queue.
fn traced(path: &Path, only: Option<&str>) -> Result<Work, Failure> {
    let text = fs::read_to_string(path).map_err(Failure::file("read", path))?;
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    let wrong = |error| Failure::Trace { path: path.to_owned(), error };
    let mut reader = TraceReader::new(lines.next().unwrap_or_default()).map_err(wrong)?;
    let mut tasks = Vec::new();
    for line in lines {
        let Some(row) = reader.read(line).map_err(wrong)? else { continue };
        if only.is_none_or(|only| row.task.task == only) {
            tasks.push(Recorded {
                input: row.task.features.input.map(|bytes| bytes.0),
                seconds: row.outcome.seconds,
                peak: row.outcome.peak.0 as f64,
                cores: row.cores,
                io: row.moved.map(|bytes| bytes.0 as f64),
            });
        }
    }
    if tasks.is_empty() {
        let kind = only.map(|only| format!(" of the kind {only}")).unwrap_or_default();
        return Err(Failure::NothingToSimulate { why: format!("{} holds no task{kind}", path.display()) });
    }
    Ok(recorded_work(&path.to_string_lossy(), &tasks))
}

fn as_json(machine: &Machine, work: &Work, found: &Comparison, more: &[Relief]) -> serde_json::Value {
    json!({
        "event": "simulation",
        "machine": {
            "cores": machine.cores, "memory_bytes": (machine.memory * 1e9) as u64,
            "disk_bytes_per_second": (machine.disk * 1e6) as u64,
            "cpu_threshold": machine.cpu_threshold, "memory_threshold": machine.memory_threshold,
        },
        "work": { "name": work.name, "tasks": work.tasks.len(), "one_after_another_s": work.sequential() },
        "policy": found.law,
        "fixed": found.fixed,
        "best_within_thresholds": found.best_within_thresholds,
        "best_alive": found.best_alive,
        "relief": more,
    })
}

fn seconds(value: f64) -> String {
    duration(Duration::from_secs_f64(value.clamp(0.0, 1e12)))
}

fn table(machine: &Machine, work: &Work, found: &Comparison, more: &[Relief]) -> String {
    let memory = Bytes((machine.memory * 1e9) as u64);
    let mut out = format!(
        "machine  {} cores, {memory} of memory, disk {:.0} MB/s; thresholds: CPU {:.0} %, memory {:.0} %\n\
         work     {} tasks of {}, {} one after another\n\n\
         {:14}{:>12}{:>10}{:>9}{:>8}{:>15}{:>14}\n",
        machine.cores,
        machine.disk,
        100.0 * machine.cpu_threshold,
        100.0 * machine.memory_threshold,
        number(work.tasks.len() as u64),
        work.name,
        seconds(work.sequential()),
        "",
        "takes",
        "killed",
        "evicted",
        "cores",
        "memory up to",
        "too full for",
    );
    out.push_str(&row("this policy", &found.law, work, ""));
    for one in &found.fixed {
        let remark = match one.jobs {
            jobs if found.best_within_thresholds == Some(jobs) => "  fastest that keeps to the thresholds",
            jobs if found.best_alive == Some(jobs) => "  fastest with nothing killed",
            _ => "",
        };
        out.push_str(&row(&format!("-j {}", one.jobs), &one.outcome, work, remark));
    }
    out.push('\n');
    for one in more {
        let words =
            if one.sooner < 1.05 { "no sooner".to_owned() } else { format!("{:.1}× sooner", one.sooner) };
        out.push_str(&format!("twice the {:7} {words}\n", one.twice));
    }
    out
}

fn row(name: &str, outcome: &Outcome, work: &Work, remark: &str) -> String {
    let takes = if outcome.done < work.tasks.len() {
        format!("> {}", seconds(outcome.makespan))
    } else {
        seconds(outcome.makespan)
    };
    format!(
        "{name:14}{takes:>12}{:>10}{:>9}{:>6.0} %{:>13.0} %{:>12.1} %{remark}\n",
        number(outcome.out_of_memory as u64),
        number(outcome.evicted as u64),
        100.0 * outcome.cpu_mean,
        100.0 * outcome.memory_peak,
        100.0 * outcome.memory_over,
    )
}
