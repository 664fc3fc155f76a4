//! What a plugin keeps from call to call: files, threads, memory, seen from outside its process.

use std::fs;

use super::report::Findings;
use crate::commands::plugin::rig::Rig;

/// More than a plugin and its process need at a time.
const MOST_FILES: u64 = 256;
const MOST_THREADS: u64 = 32;
/// Calls without which nothing is said about leaks.
const ENOUGH: u64 = 500;

/// What a runner holds at a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leftover {
    calls: u64,
    files: u64,
    threads: u64,
    memory: u64,
}

impl Leftover {
    pub(super) fn read(rig: &Rig) -> Option<Self> {
        let stats = rig.stats().into_iter().next()?;
        let pid = stats.runner?.pid;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim_start_matches(':').split_whitespace().next()?.parse().ok()
        };
        let files = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64;
        Some(Self { calls: stats.calls, files, threads: field("Threads")?, memory: field("RssAnon")? * 1024 })
    }
}

/// What grows in both halves goes on growing.
pub(super) fn leaks(leftovers: &[Leftover], findings: &mut Findings) {
    let [first, middle, last] = leftovers else {
        return findings.warn("leaks", "its process could not be looked at from outside");
    };
    let calls = last.calls - first.calls;
    if calls < ENOUGH {
        return findings.warn("leaks", format!("{calls} calls were made in good time, too few to tell"));
    }
    let grown = |of: fn(&Leftover) -> u64, least: u64| {
        let (one, two) = (of(middle).saturating_sub(of(first)), of(last).saturating_sub(of(middle)));
        (one >= least && two >= least).then_some(one + two)
    };
    let mut good = true;
    let found = [
        (grown(|held| held.files, 2), "open files; close what was opened"),
        (grown(|held| held.threads, 1), "threads; end what was started"),
        (grown(|held| held.memory, 256 << 10), "bytes of memory; free what was kept"),
    ];
    for (more, what) in found {
        if let Some(more) = more {
            findings.fail("leaks", format!("after {calls} more calls it holds {more} more {what}"));
            good = false;
        }
    }
    let held = [(last.files, MOST_FILES, "open files"), (last.threads, MOST_THREADS, "threads")];
    if let Some((held, most, what)) = held.into_iter().find(|(held, most, _)| good && held > most) {
        findings.fail("leaks", format!("it holds {held} {what}; a plugin needs {most} at most"));
        good = false;
    }
    if good {
        findings.pass("leaks", format!("over {calls} calls it kept no more files, threads or memory"));
    }
}
