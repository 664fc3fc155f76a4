//! The plugin instances of a run, as the views show them.

use std::sync::{Arc, OnceLock};

use orchestrator_core::Bytes;
use orchestrator_plugin_host::{InstanceState, InstanceStatus, PluginControl, ReloadReport};
use orchestrator_runtime::TickTimes;
use serde_json::{Value, json};

use super::words::{number, plural};

/// A look at the plugin instances, for views that are there before the instances are.
#[derive(Clone, Debug, Default)]
pub(crate) struct PluginWatch(Arc<OnceLock<PluginControl>>);

impl PluginWatch {
    /// The instances are there.
    pub(crate) fn begin(&self, control: PluginControl) {
        // A run has one set of instances.
        let _once = self.0.set(control);
    }

    /// How every instance fares; none before there are any.
    pub(crate) fn status(&self) -> Vec<InstanceStatus> {
        self.0.get().map(PluginControl::status).unwrap_or_default()
    }

    /// Reloads asked for so far.
    pub(crate) fn reloads(&self) -> u64 {
        self.0.get().map(PluginControl::reloads).unwrap_or_default()
    }

    /// How the last reload went.
    pub(crate) fn last_reload(&self) -> Option<ReloadReport> {
        self.0.get().and_then(PluginControl::last_reload)
    }
}

/// What is worth a word at the end of a run; nothing where all went well.
pub(crate) fn remark(plugins: &[InstanceStatus]) -> Option<String> {
    let remarks: Vec<String> = plugins.iter().filter_map(one_remark).collect();
    (!remarks.is_empty()).then(|| format!("plugins: {}", remarks.join("; ")))
}

/// `connections was restarted 2 times and missed 1 deadline`.
fn one_remark(plugin: &InstanceStatus) -> Option<String> {
    let mut parts = Vec::new();
    match plugin.state {
        InstanceState::Failed => parts.push("was given up".to_owned()),
        InstanceState::Restarting => parts.push("is down".to_owned()),
        InstanceState::Starting | InstanceState::Running | InstanceState::Disabled => {}
    }
    if plugin.restarts > 0 {
        parts.push(format!("was restarted {}", plural(plugin.restarts, "time")));
    }
    if plugin.deadline_misses > 0 {
        parts.push(format!("missed {}", plural(plugin.deadline_misses, "deadline")));
    }
    // An error now and then is an answer.
    if plugin.errors * 10 > plugin.calls {
        parts.push(format!("failed in {} of {} calls", number(plugin.errors), number(plugin.calls)));
    }
    (!parts.is_empty()).then(|| format!("{} {}", plugin.instance, parts.join(", ")))
}

/// The turns of the loop, for programs.
pub(crate) fn ticks(ticks: TickTimes) -> Value {
    json!({
        "count": ticks.count,
        "p50_seconds": ticks.p50.as_secs_f64(),
        "p99_seconds": ticks.p99.as_secs_f64(),
        "max_seconds": ticks.max.as_secs_f64(),
    })
}

const TITLES: [&str; 14] = [
    "INSTANCE",
    "KIND",
    "STATE",
    "VERSION",
    "ISOLATION",
    "SIGNER",
    "CALLS",
    "ERRORS",
    "MISSED",
    "RESTARTS",
    "P50",
    "P99",
    "CPU",
    "MEMORY",
];
/// Columns that hold numbers stand to the right.
const FIRST_NUMBER: usize = 6;

/// The instances as a table, and below it the sentences of those that do not work.
pub(crate) fn table(plugins: &[InstanceStatus]) -> String {
    let mut rows = vec![TITLES.map(str::to_owned)];
    rows.extend(plugins.iter().map(row));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..TITLES.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column < FIRST_NUMBER { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    for plugin in plugins {
        if let Some(sentence) = &plugin.sentence {
            text.push_str(&format!("\n{sentence}\n"));
        } else if let Some(seconds) = plugin.slowed_to_seconds {
            text.push_str(&format!("\n{} is slow: it is asked every {seconds:.1} s\n", plugin.instance));
        }
    }
    text
}

fn row(plugin: &InstanceStatus) -> [String; TITLES.len()] {
    let library = plugin.library.as_ref();
    let none = || "-".to_owned();
    [
        plugin.instance.clone(),
        plugin.kind.clone(),
        plugin.state.to_string(),
        library.map_or_else(none, |library| format!("{} ({})", library.version, library.contract)),
        plugin.isolation.clone(),
        library.and_then(|library| library.signer.clone()).unwrap_or_else(none),
        number(plugin.calls),
        number(plugin.errors),
        number(plugin.deadline_misses),
        number(plugin.restarts),
        plugin.p50_seconds.map_or_else(none, short),
        plugin.p99_seconds.map_or_else(none, short),
        short(plugin.cpu_seconds),
        plugin.memory_bytes.map_or_else(none, |bytes| Bytes(bytes).to_string()),
    ]
}

/// `0.8 µs`, `12 ms`, `3.4 s`.
fn short(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s < 1e-3 => (s * 1e6, "µs"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    if value < 9.95 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use orchestrator_plugin_host::LibraryFacts;

    /// An instance that works.
    pub(crate) fn plugin(name: &str) -> InstanceStatus {
        InstanceStatus {
            instance: name.to_owned(),
            kind: "metrics".to_owned(),
            class: "C".to_owned(),
            state: InstanceState::Running,
            sentence: None,
            isolation: "sandbox".to_owned(),
            library: Some(LibraryFacts {
                path: "/plugins/libc.so".into(),
                blake3: "ab".to_owned(),
                package: "c".to_owned(),
                version: "0.3.1".to_owned(),
                contract: "1.1.0".to_owned(),
                signer: None,
            }),
            calls: 12_345,
            errors: 0,
            deadline_misses: 0,
            restarts: 0,
            reloads: 0,
            wall_seconds: 1.5,
            cpu_seconds: 0.0123,
            p50_seconds: Some(0.000_004),
            p99_seconds: Some(0.051),
            memory_bytes: Some(1_468_006),
            dropped_values: 0,
            slowed_to_seconds: None,
            last_error: None,
        }
    }

    #[test]
    fn every_instance_is_a_line_and_what_is_wrong_stands_below() {
        let mut down = plugin("b");
        (down.state, down.memory_bytes) = (InstanceState::Restarting, None);
        down.sentence = Some("metrics plugin `b` went away; it is started again in 2 s".to_owned());
        let text = table(&[plugin("connections"), down]);
        assert_eq!(
            text,
            "\
INSTANCE     KIND     STATE       VERSION        ISOLATION  SIGNER   CALLS  ERRORS  MISSED  RESTARTS     P50    P99    CPU   MEMORY
connections  metrics  running     0.3.1 (1.1.0)  sandbox    -       12 345       0       0         0  4.0 µs  51 ms  12 ms  1.4 MiB
b            metrics  restarting  0.3.1 (1.1.0)  sandbox    -       12 345       0       0         0  4.0 µs  51 ms  12 ms        -

metrics plugin `b` went away; it is started again in 2 s
"
        );
    }

    #[test]
    fn only_what_went_wrong_is_worth_a_word_at_the_end() {
        assert_eq!(remark(&[plugin("a")]), None);
        let mut bad = plugin("b");
        (bad.restarts, bad.deadline_misses, bad.state) = (2, 1, InstanceState::Failed);
        assert_eq!(
            remark(&[plugin("a"), bad]).as_deref(),
            Some("plugins: b was given up, was restarted 2 times, missed 1 deadline")
        );
    }
}
