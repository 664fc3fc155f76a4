//! Two phases in one directory as the run itself tells them: how many ran, and which bound held the next one back.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde_json::Value;

use super::group::Group;
use super::rivals::Rival;
use super::{MEMORY, loads, with_plugins};
use crate::bench::Stage;
use crate::bench::report::Report;
use crate::error::Failure;

/// The run is given up after this.
const PATIENCE: Duration = Duration::from_secs(120);
/// Inputs from this size on are of the second phase, bytes.
const LARGE: u64 = 1_000_000;
/// Seconds between two rows.
const STEP: f64 = 1.0;

/// Runs small CPU-bound files and large memory-bound ones, and tells the course of it.
///
/// # Errors
/// There is no xz, or no memory control group to be had.
pub(crate) fn measure(stage: &Stage) -> Result<Report, Failure> {
    with_plugins(stage)?;
    let missing = Failure::Missing { what: "xz", remedy: "apt-get install xz-utils" };
    let load = loads::phases(stage)?.ok_or(missing)?;
    let (mut command, _) = Rival::OursAllCores.command(stage, &load, &stage.folder.join("work"))?;
    command.args(["--format", "json"]);
    let group = Group::new(load.memory)?;
    let log = stage.folder.join("timeline.log");
    let seen = group.run(&command, None, &log, MEMORY, PATIENCE)?;
    let text = fs::read_to_string(&log).map_err(|error| Failure::file(&log, error))?;
    let columns = [
        "second",
        "done",
        "small ones running",
        "large ones running",
        "memory in use",
        "what holds the next back",
    ];
    Ok(Report {
        name: "phases",
        about: format!(
            "{}, in a memory control group of {} MB, all cores: {:.1} s, {} killed for want of memory, {:.1} % of the time above \
             the memory threshold.",
            load.name,
            load.memory / 1_000_000,
            seen.wall,
            seen.kills,
            100.0 * seen.above
        ),
        columns: columns.map(str::to_owned).to_vec(),
        rows: rows(text.lines().filter_map(|line| serde_json::from_str(line).ok())),
    })
}

fn rows(events: impl Iterator<Item = Value>) -> Vec<Vec<String>> {
    // Whether each running attempt's input is a large one.
    let mut running: BTreeMap<u64, bool> = BTreeMap::new();
    let (mut rows, mut next) = (Vec::new(), 0.0);
    for event in events {
        match (event["fact"].as_str(), event["attempt"].as_u64()) {
            (Some("attempt_started"), Some(attempt)) => {
                let size = event["fingerprint"]["size"].as_u64().unwrap_or(0);
                running.insert(attempt, size >= LARGE);
            }
            (Some("attempt_exited"), Some(attempt)) => drop(running.remove(&attempt)),
            _ => {}
        }
        let elapsed = event["elapsed"]["secs"].as_f64().zip(event["elapsed"]["nanos"].as_f64());
        let Some((whole, nanos)) = elapsed else { continue };
        let second = whole + nanos / 1e9;
        if second < next {
            continue;
        }
        next = second + STEP - 0.1;
        rows.push(row(second, &event, &running));
    }
    rows
}

fn row(second: f64, snapshot: &Value, running: &BTreeMap<u64, bool>) -> Vec<String> {
    let large = running.values().filter(|large| **large).count();
    let system = &snapshot["system"];
    let share =
        system["memory_used"].as_f64().unwrap_or(0.0) / system["memory_total"].as_f64().unwrap_or(1.0);
    vec![
        format!("{second:.1}"),
        snapshot["counts"]["completed"].to_string(),
        (running.len() - large).to_string(),
        large.to_string(),
        format!("{:.0} %", 100.0 * share),
        bound(&snapshot["capacity"]),
    ]
}

/// The bound and its number.
fn bound(capacity: &Value) -> String {
    let law = &capacity["bound"]["law"];
    let megabytes = |value: &Value| format!("{:.0} MB", value.as_f64().unwrap_or(0.0) / 1e6);
    let named = |name: &str| law.get(name).or_else(|| (law == name).then_some(law));
    if let Some(hold) = named("memory") {
        let (reserved, of, next) =
            (megabytes(&hold["reserved"]), megabytes(&hold["of"]), megabytes(&hold["next"]));
        return format!("memory: {reserved} of {of} reserved, the next needs {next}");
    }
    for name in ["cpu", "throughput", "plugin"] {
        if let Some(hold) = named(name) {
            return format!("{name}: {}", hold["allows"]);
        }
    }
    match (law, &capacity["bound"]) {
        (Value::String(word), _) => word.replace('_', " "),
        (Value::Object(hold), _) => hold.keys().map(|word| word.replace('_', " ")).collect(),
        (_, Value::String(word)) => word.replace('_', " "),
        (_, other) => other.to_string().replace(['{', '}', '"'], ""),
    }
}
