//! The end of a run: what happened, and the next command to type.

use std::time::Duration;

use orchestrator_core::capacity::bottleneck::describe;
use orchestrator_core::scheduler::{Counts, FailureCategory};
use orchestrator_core::view::Snapshot;
use orchestrator_plugin_host::InstanceStatus;
use serde_json::{Value, json};

use super::forecast;
use super::story::Story;
use super::words::{duration, number, plural};
use crate::cli::shell_word;
use crate::exit::Exit;
use crate::style::Style;

/// Of a shorter run nobody asks what bound it.
const WORTH_A_WORD: Duration = Duration::from_secs(10);

/// The summary for people. `typed` are the words that choose the configuration.
pub(crate) fn lines(
    story: &Story,
    exit: Exit,
    typed: &[String],
    plugins: &[InstanceStatus],
    style: Style,
) -> Vec<String> {
    let Some(last) = &story.last else { return Vec::new() };
    let mut lines = vec![headline(last, exit, style)];
    lines.push(format!("  {}", tally(last)));
    let bound = describe(&last.bound_by);
    if last.elapsed >= WORTH_A_WORD && !bound.is_empty() {
        lines.push(format!("  bound by: {bound}"));
    }
    if last.elapsed >= WORTH_A_WORD {
        let whole = matches!(exit, Exit::Success | Exit::SomeFailed);
        let said = last.forecast.first.filter(|_| whole);
        lines.extend(said.map(|said| format!("  {}", forecast::first(&said, last.elapsed))));
        lines.extend(forecast::accuracy(&last.forecast).map(|words| format!("  {words}")));
    }
    if story.failed() > 0 {
        lines.push(format!("  failures: {}", by_kind(&story.failures)));
    }
    for failure in &story.first_failures {
        lines.push(format!("    {}: {}", failure.path, failure.reason));
    }
    let more = story.failed().saturating_sub(story.first_failures.len() as u64);
    if more > 0 {
        lines.push(format!("    … and {} more: {}", number(more), command("status --failed", typed)));
    }
    let earlier = last.counts.failed.saturating_sub(story.failed());
    if earlier > 0 {
        lines.push(format!("  {} failed in an earlier run and not tried again", plural(earlier, "file")));
    }
    lines.extend(super::plugins::remark(plugins).map(|remark| format!("  {remark}")));
    let hints = next(story, exit, typed);
    lines.extend(hints.iter().enumerate().map(|(index, hint)| {
        let title = if index == 0 { "next:" } else { "     " };
        format!("{} {hint}", style.hint(title))
    }));
    lines
}

/// The summary for programs: the last event of the stream.
pub(crate) fn event(story: &Story, exit: Exit, typed: &[String]) -> Value {
    let failures: Vec<_> =
        story.failures.iter().map(|(kind, count)| json!({"category": kind, "count": count})).collect();
    let mut value = json!({
        "event": "run_finished",
        "exit_code": exit.code(),
        "failures": failures,
        "cpu_seconds": story.cpu.as_secs_f64(),
        "peak_rss_bytes": story.peak_rss,
        "next": next(story, exit, typed),
    });
    if let Some(last) = &story.last {
        value["at"] = json!(last.at);
        value["elapsed_seconds"] = last.elapsed.as_secs_f64().into();
        value["counts"] = json!(last.counts);
        value["bound_by"] = json!(last.bound_by);
        value["forecast"] = json!(last.forecast);
        for (name, count) in [
            ("completed", last.completed),
            ("failed", last.failed),
            ("retried", last.retried),
            ("terminated", last.terminated),
            ("flaky", last.flaky),
        ] {
            value[name] = count.into();
        }
    }
    value
}

fn headline(last: &Snapshot, exit: Exit, style: Style) -> String {
    let time = duration(last.elapsed);
    match exit {
        Exit::Success => format!("{} after {time}", style.good("finished")),
        Exit::SomeFailed => {
            format!("{} after {time}, {}", style.error("finished"), plural_failed(last.counts))
        }
        Exit::Interrupted => format!("{} after {time}; nothing is lost", style.warning("interrupted")),
        _ => format!("{} after {time}", style.error("stopped")),
    }
}

fn plural_failed(counts: Counts) -> String {
    format!("{} failed", plural(counts.failed, "file"))
}

/// `997 completed (12.1 a second), 3 failed, 5 retried, 2 flaky, 40 waiting`.
fn tally(last: &Snapshot) -> String {
    let seconds = last.elapsed.as_secs_f64();
    let rate = (last.completed > 0 && seconds >= 1.0).then(|| rate(last.completed as f64 / seconds));
    let earlier = last.counts.completed.saturating_sub(last.completed);
    let mut text = format!("{} completed{}", number(last.completed), rate.unwrap_or_default());
    let more = [
        (earlier, "completed before"),
        (last.failed, "failed"),
        (last.retried, "retried"),
        (last.flaky, "flaky (passed after a retry)"),
        (last.terminated, "stopped"),
        (last.counts.pending, "waiting"),
    ];
    for (count, word) in more {
        if count > 0 {
            text.push_str(&format!(", {} {word}", number(count)));
        }
    }
    text
}

/// ` (12.1 a second)`, ` (7.5 a minute)`.
pub(crate) fn rate(per_second: f64) -> String {
    if per_second >= 1.0 {
        format!(" ({per_second:.1} a second)")
    } else {
        format!(" ({:.1} a minute)", per_second * 60.0)
    }
}

/// `2 exit code, 1 timeout`.
pub(crate) fn by_kind(failures: &std::collections::BTreeMap<FailureCategory, u64>) -> String {
    let parts = failures.iter().map(|(kind, count)| format!("{} {kind}", number(*count)));
    parts.collect::<Vec<_>>().join(", ")
}

/// The commands that a user may want next.
fn next(story: &Story, exit: Exit, typed: &[String]) -> Vec<String> {
    let mut hints = Vec::new();
    if let Some(first) = story.first_failures.first() {
        let name = if first.path.starts_with('-') { format!("./{}", first.path) } else { first.path.clone() };
        hints.push(command(&format!("explain {}", shell_word(&name)), typed));
    }
    match exit {
        Exit::SomeFailed => hints.push(command("run --retry-failed", typed)),
        Exit::Interrupted => hints.push(command("run", typed)),
        _ => {}
    }
    hints
}

/// `orchestrator …` with the words that choose the configuration, as far as the command takes them: only `run` takes
/// all of them.
pub(crate) fn command(what: &str, typed: &[String]) -> String {
    let words = if what.starts_with("run") { typed.to_vec() } else { state_words(typed) };
    [&["orchestrator".to_owned(), what.to_owned()][..], &words].concat().join(" ")
}

/// Of the words that choose a configuration those that `status` and its kin take.
fn state_words(typed: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = typed.iter().take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        match word.as_str() {
            "--profile" | "--set" | "--state-dir" | "--output" => {
                kept.push(word.clone());
                kept.extend(words.next().cloned());
            }
            "--recursive" | "--fixed" => {}
            flag if flag.starts_with("--") => drop(words.next()),
            _ => kept.push(word.clone()),
        }
    }
    let has = |flag: &str| kept.iter().any(|word| word == flag);
    if has("--state-dir") && has("--output") {
        let at = kept.iter().position(|word| word == "--output").unwrap_or_default();
        kept.drain(at..at + 2);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::progress::tests::snapshot;
    use crate::views::story::{Historian, tests::failing};
    use orchestrator_core::Timestamp;
    use orchestrator_core::scheduler::FailureReason;
    use orchestrator_ports::Subscriber;
    use std::cell::RefCell;
    use std::rc::Rc;

    fn story(failures: u32) -> Rc<RefCell<Story>> {
        let story = Rc::new(RefCell::new(Story::default()));
        let mut historian = Historian::new(Rc::clone(&story));
        for task in 0..failures {
            let facts = failing(task, format!("bad {task}.dat").as_bytes(), FailureReason::ExitCode(7));
            historian.facts(Timestamp(1), &facts);
        }
        let mut last = snapshot();
        last.counts.failed = u64::from(failures) + 1;
        last.failed = u64::from(failures);
        last.counts.pending = 0;
        historian.snapshot(&last);
        story
    }

    #[test]
    fn failures_are_named_counted_and_followed_by_what_to_type() {
        let typed = ["archive.yaml".to_owned()];
        let lines = lines(&story(2).borrow(), Exit::SomeFailed, &typed, &[], Style::PLAIN);
        assert_eq!(
            lines,
            [
                "finished after 1m 23s, 3 files failed",
                "  412 completed (5.0 a second), 2 failed, 2 retried, 1 flaky (passed after a retry)",
                "  failures: 2 exit code",
                "    bad 0.dat: exit code 7",
                "    bad 1.dat: exit code 7",
                "  1 file failed in an earlier run and not tried again",
                "next: orchestrator explain 'bad 0.dat' archive.yaml",
                "      orchestrator run --retry-failed archive.yaml",
            ]
        );
    }

    #[test]
    fn many_failures_are_not_all_listed() {
        let lines = lines(&story(30).borrow(), Exit::SomeFailed, &[], &[], Style::PLAIN);
        assert!(lines.contains(&"    … and 20 more: orchestrator status --failed".to_owned()), "{lines:?}");
    }

    #[test]
    fn the_last_event_carries_the_exit_code_and_the_counts() {
        let value = event(&story(2).borrow(), Exit::SomeFailed, &[]);
        assert_eq!((value["event"].as_str(), value["exit_code"].as_u64()), (Some("run_finished"), Some(100)));
        assert_eq!(value["failures"][0], json!({"category": "exit_code", "count": 2}));
        assert_eq!((value["failed"].as_u64(), value["counts"]["failed"].as_u64()), (Some(2), Some(3)));
        assert_eq!(value["next"][1], "orchestrator run --retry-failed");
        let with_its_parts = ["## run_finished", "## snapshot"];
        crate::views::documented::says_all_of(&with_its_parts, &value);
    }

    #[test]
    fn the_state_commands_take_a_part_of_the_words() {
        let typed = ["--input", "in", "--output", "out", "--fixed", "--", "xz"].map(str::to_owned);
        assert_eq!(command("status", &typed), "orchestrator status --output out");
        assert_eq!(command("run", &typed), "orchestrator run --input in --output out --fixed -- xz");
    }
}
