//! The state of a run in a few lines: pure functions of a snapshot.

use orchestrator_core::Bytes;
use orchestrator_core::config::model::ResourceLimits;
use orchestrator_core::placement::Place;
use orchestrator_core::view::{RunningAttempt, Snapshot};

use super::words::{cut, duration, number};
use crate::style::Style;

/// `resource_limits` in percent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Thresholds {
    cpu: f64,
    memory: f64,
    disk: f64,
}

impl Thresholds {
    /// Those of a configuration.
    pub(crate) fn of(limits: &ResourceLimits) -> Self {
        Self {
            cpu: limits.cpu_threshold_percent.get(),
            memory: limits.memory_threshold_percent.get(),
            disk: limits.disk_usage_threshold_percent.get(),
        }
    }
}

/// The block on a terminal of `width` columns: bar and counts, capacity, machine, time.
pub(crate) fn block(snapshot: &Snapshot, thresholds: Thresholds, width: usize, style: Style) -> Vec<String> {
    let width = width.max(20) - 1;
    let counts = counts(snapshot);
    let bar = if snapshot.scan_finished {
        bar(snapshot, width.saturating_sub(counts.chars().count() + 1))
    } else {
        String::new()
    };
    let first = cut(&format!("{bar}{counts}"), width);
    let first = match snapshot.failed {
        0 => style.strong(&first),
        _ => style.warning(&first),
    };
    vec![
        first,
        cut(&snapshot.capacity.to_string(), width),
        machine(snapshot, thresholds, width, style),
        style.faint(&cut(&time(snapshot), width)),
    ]
}

/// All of it in one line, for files and for terminals that cannot draw.
pub(crate) fn line(snapshot: &Snapshot, thresholds: Thresholds) -> String {
    let machine = machine(snapshot, thresholds, usize::MAX, Style::PLAIN);
    format!("{}; {}; {machine}; {}", counts(snapshot), snapshot.capacity, time(snapshot))
}

/// `running a.dat for 12 s of about 40 s (slot 3, node 0: CPUs 0-3)`.
pub(crate) fn attempt(attempt: &RunningAttempt) -> String {
    let what = match attempt {
        RunningAttempt { stopping: true, .. } => "stopping",
        RunningAttempt { frozen: true, .. } => "frozen",
        RunningAttempt { calibrating: true, .. } => "measuring",
        _ => "running",
    };
    let of = attempt.expected_seconds.map_or_else(String::new, |expected| {
        let length = |seconds: f64| duration(std::time::Duration::from_secs_f64(seconds.clamp(0.0, 1e9)));
        format!(" of about {}", length(expected.p50))
    });
    let place = attempt.place.as_ref().map_or_else(String::new, |place| format!(", {}", words_of(place)));
    format!(
        "{what} {} for {}{of} (slot {}{place})",
        attempt.path,
        duration(attempt.running_for),
        attempt.slot
    )
}

/// `node 0: CPUs 0-3`, `CPU 4`.
fn words_of(place: &Place) -> String {
    let node = place.node.map_or_else(String::new, |node| format!("node {node}: "));
    let cpus = if place.cpus.len() == 1 { "CPU" } else { "CPUs" };
    format!("{node}{cpus} {}", place.cpus)
}

/// `412 of 1 000 done, 3 failed, 2 retried, 8 running`.
fn counts(snapshot: &Snapshot) -> String {
    let counts = snapshot.counts;
    let of = match snapshot.scan_finished {
        true => format!("{} of {} done", number(counts.completed), number(counts.total())),
        false => format!("{} done of {} found so far", number(counts.completed), number(counts.total())),
    };
    let mut text = of;
    let more = [
        (counts.failed, "failed"),
        (snapshot.retried, "retried"),
        (snapshot.flaky, "flaky"),
        (snapshot.terminated, "stopped"),
    ];
    for (count, word) in more {
        if count > 0 {
            text.push_str(&format!(", {} {word}", number(count)));
        }
    }
    let measuring = if counts.calibrating > 0 { " (measuring)" } else { "" };
    text.push_str(&format!(", {} running{measuring}", number(u64::from(snapshot.running))));
    text
}

/// `[=====>    ] ` in at most `room` columns; nothing where there is too little room for it.
fn bar(snapshot: &Snapshot, room: usize) -> String {
    let cells = room.saturating_sub(3).min(30);
    if cells < 8 {
        return String::new();
    }
    let total = snapshot.counts.total().max(1);
    let done = snapshot.counts.completed + snapshot.counts.failed;
    let full = usize::try_from(done * cells as u64 / total).unwrap_or(cells);
    let head = if full < cells { ">" } else { "" };
    format!("[{}{head}{}] ", "=".repeat(full), " ".repeat(cells - full - head.len()))
}

/// `cpu 76 % of 80 %, memory 41 % of 75 %, disk 12 % of 90 %; ours 3.1 cores, 1.2 GiB`.
fn machine(snapshot: &Snapshot, thresholds: Thresholds, width: usize, style: Style) -> String {
    let system = &snapshot.system;
    let parts = [
        ("cpu", system.cpu_percent, thresholds.cpu),
        ("memory", system.memory_percent(), thresholds.memory),
        ("disk", system.disk_percent, thresholds.disk),
    ];
    let text = |paint: bool| {
        let shown = parts.map(|(name, now, limit)| {
            let text = format!("{name} {now:.0} % of {limit:.0} %");
            if paint && now > limit { style.warning(&text) } else { text }
        });
        let ours = format!("{:.1} cores, {}", snapshot.own_cpu_cores, Bytes(snapshot.own_rss_bytes));
        format!("{}; ours {ours}", shown.join(", "))
    };
    let plain = text(false);
    if plain.chars().count() > width { cut(&plain, width) } else { text(true) }
}

/// `1m 23s, about 2m 10s left (1m 40s to 2m 50s)`.
fn time(snapshot: &Snapshot) -> String {
    let elapsed = duration(snapshot.elapsed);
    match snapshot.eta {
        _ if snapshot.stopping => format!("{elapsed}, ending early: nothing new is started"),
        Some(eta) => format!("{elapsed}, {}", super::forecast::left(&eta)),
        None => match unknown(snapshot) {
            Some(why) => format!("{elapsed}, {why}"),
            None => elapsed,
        },
    }
}

/// What is said while nothing can be said of the end.
pub(crate) fn unknown(snapshot: &Snapshot) -> Option<&'static str> {
    let waits = snapshot.scan_finished && snapshot.counts.pending > 0;
    waits.then_some(match snapshot.counts.calibrating {
        0 => "time left is not known yet",
        _ => "calibrating: how long is left is known after the first results",
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use orchestrator_core::capacity::bottleneck::{Binding, BoundShare};
    use orchestrator_core::capacity::control::{Allowed, Hold};
    use orchestrator_core::capacity::{Baseline, Bound, CapacityDecision, PluginBound};
    use orchestrator_core::metrics::SystemSample;
    use orchestrator_core::outlook::{Accuracy, FirstEta, Forecast, Promise};
    use orchestrator_core::placement::CpuSet;
    use orchestrator_core::predict::AmountPrediction;
    use orchestrator_core::scheduler::Counts;
    use orchestrator_core::scheduler::InputPath;
    use orchestrator_core::view::Eta;
    use orchestrator_core::{AttemptId, SlotId, Timestamp};
    use std::time::Duration;

    /// A run in its middle.
    pub(crate) fn snapshot() -> Snapshot {
        Snapshot {
            at: Timestamp(90_000_000),
            elapsed: Duration::from_secs(83),
            counts: Counts { pending: 577, calibrating: 0, running: 8, completed: 412, failed: 3 },
            scan_finished: true,
            completed: 412,
            failed: 3,
            retried: 2,
            terminated: 0,
            flaky: 1,
            running: 8,
            attempts: Vec::new(),
            capacity: CapacityDecision {
                target: 8,
                bound: Bound::Plugin("resource_capacity".to_owned()),
                reason: "cpu: 8 of 0.40 cores each fit under 80 %".to_owned(),
                plugins: Vec::new(),
                allowed: None,
            },
            system: SystemSample {
                cpu_percent: 76.4,
                memory_total: Bytes(16 << 30),
                memory_used: Bytes(8 << 30),
                disk_percent: 12.0,
                ..SystemSample::default()
            },
            own_cpu_cores: 3.12,
            own_rss_bytes: 3 << 29,
            baseline: Baseline::default(),
            eta: Some(Eta {
                likely: Duration::from_secs(130),
                low: Duration::from_secs(100),
                high: Duration::from_secs(170),
            }),
            forecast: Forecast::default(),
            bound_by: Vec::new(),
            stopping: false,
        }
    }

    /// The same run with everything in it that may be absent.
    pub(crate) fn full_snapshot() -> Snapshot {
        let amount = AmountPrediction { p50: 40.0, p95: 50.0 };
        let each = Promise {
            seconds: amount,
            cpu_seconds: amount,
            io_bytes: amount,
            peak_bytes: amount,
            output_bytes: Some(amount),
        };
        let bound = PluginBound {
            instance: "resource_capacity".to_owned(),
            capacity: Some(8),
            reason: "cpu".to_owned(),
            failed: false,
        };
        let run = snapshot();
        Snapshot {
            attempts: vec![RunningAttempt {
                place: Some(Place { node: Some(1), cpus: CpuSet::parse("4-7").unwrap() }),
                ..attempt_at_work()
            }],
            capacity: CapacityDecision {
                bound: Bound::Law(Hold::Max { max: 8 }),
                plugins: vec![bound],
                allowed: Some(Allowed::default()),
                ..run.capacity.clone()
            },
            forecast: Forecast {
                input_bytes: Some(1),
                each: Some(each),
                output_bytes: Some(Bytes(1)),
                first: run.eta.map(|eta| FirstEta { said_after: Duration::from_secs(3), eta }),
                accuracy: Accuracy::default(),
                relearned: 1,
            },
            bound_by: vec![BoundShare { binding: Binding::Limit, share: 1.0, sooner: 1.0 }],
            ..run
        }
    }

    fn attempt_at_work() -> RunningAttempt {
        RunningAttempt {
            attempt: AttemptId(7),
            slot: SlotId(3),
            path: InputPath::new(b"a.dat"),
            running_for: Duration::from_secs(12),
            expected_seconds: Some(AmountPrediction { p50: 40.0, p95: 50.0 }),
            calibrating: false,
            stopping: false,
            frozen: false,
            place: None,
        }
    }

    fn thresholds() -> Thresholds {
        Thresholds { cpu: 80.0, memory: 75.0, disk: 90.0 }
    }

    #[test]
    fn the_block_says_counts_capacity_machine_and_time() {
        assert_eq!(
            block(&snapshot(), thresholds(), 100, Style::PLAIN),
            [
                "[============>                 ] 412 of 1 000 done, 3 failed, 2 retried, 1 flaky, 8 running",
                "capacity 8 (plugin resource_capacity: cpu: 8 of 0.40 cores each fit under 80 %)",
                "cpu 76 % of 80 %, memory 50 % of 75 %, disk 12 % of 90 %; ours 3.1 cores, 1.5 GiB",
                "1m 23s, about 2m 10s left (1m 40s to 2m 50s)",
            ]
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in [1, 20, 40, 57, 80, 200] {
            for line in block(&snapshot(), thresholds(), width, Style::PLAIN) {
                assert!(line.chars().count() < width.max(20), "{width}: {line:?}");
            }
        }
    }

    #[test]
    fn before_the_scan_is_over_there_is_no_share_and_no_bar() {
        let early = Snapshot { scan_finished: false, eta: None, ..snapshot() };
        let lines = block(&early, thresholds(), 100, Style::PLAIN);
        assert_eq!(lines[0], "412 done of 1 000 found so far, 3 failed, 2 retried, 1 flaky, 8 running");
        assert_eq!(lines[3], "1m 23s");
    }

    #[test]
    fn calibration_is_named_only_while_something_is_measured() {
        let unknown = Snapshot { eta: None, ..snapshot() };
        let last = |snapshot: &Snapshot| block(snapshot, thresholds(), 100, Style::PLAIN)[3].clone();
        assert_eq!(last(&unknown), "1m 23s, time left is not known yet");
        let counts = Counts { calibrating: 2, ..unknown.counts };
        assert!(last(&Snapshot { counts, ..unknown }).contains("calibrating"));
    }

    #[test]
    fn one_line_says_it_all_where_nothing_can_be_drawn() {
        assert_eq!(
            line(&Snapshot { stopping: true, ..snapshot() }, thresholds()),
            "412 of 1 000 done, 3 failed, 2 retried, 1 flaky, 8 running; \
             capacity 8 (plugin resource_capacity: cpu: 8 of 0.40 cores each fit under 80 %); \
             cpu 76 % of 80 %, memory 50 % of 75 %, disk 12 % of 90 %; ours 3.1 cores, 1.5 GiB; \
             1m 23s, ending early: nothing new is started"
        );
    }

    #[test]
    fn a_running_attempt_says_where_it_runs_and_whether_it_stands_still() {
        let free = attempt_at_work();
        assert_eq!(attempt(&free), "running a.dat for 12 s of about 40 s (slot 3)");
        let placed = |node, cpus: &str| RunningAttempt {
            place: Some(Place { node, cpus: CpuSet::parse(cpus).unwrap() }),
            frozen: true,
            ..free.clone()
        };
        let whole = attempt(&placed(Some(1), "4-7"));
        assert_eq!(whole, "frozen a.dat for 12 s of about 40 s (slot 3, node 1: CPUs 4-7)");
        assert!(attempt(&placed(None, "5")).ends_with("(slot 3, CPU 5)"));
    }

    #[test]
    fn a_full_bar_has_no_head() {
        let counts = Counts { completed: 10, ..Counts::default() };
        assert_eq!(bar(&Snapshot { counts, ..snapshot() }, 13), "[==========] ");
        assert_eq!(bar(&snapshot(), 9), "");
    }
}
