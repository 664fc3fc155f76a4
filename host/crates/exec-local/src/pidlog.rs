//! Which process numbers others were given since an attempt was launched.
//!
//! The kernel hands pids out in cyclic order, and the last field of `/proc/loadavg` is the last one given. So after a
//! task has ended, the only numbers that its descendants can bear are those given since its launch to others than
//! ourselves. For a task that started no process on a quiet machine there are none, and one `pread` (about 1 µs)
//! replaces a walk over /proc (about 3 µs a process of the machine).

use std::collections::VecDeque;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// More numbers than this are not asked for one by one, but by a listing of /proc.
const PROBE_AT_MOST: u64 = 128;
/// Spans remembered; beyond that, the oldest two become one, which covers more than they did.
const SPANS: usize = 1024;
/// No machine of today gives out more numbers a second: within `pid_max` divided by this, the cursor cannot have gone
/// round unseen.
const FASTEST_PER_SECOND: u64 = 200_000;

/// Numbers from the first to the last, both included.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Span(u32, u32);

/// A position in the log: what was given out after it is younger than whoever holds it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Mark(u64);

/// Where processes younger than a mark can be found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Candidates {
    /// Under these numbers, if they live at all.
    Numbers(Vec<u32>),
    /// Within these spans, sorted and apart: too many numbers to ask for each.
    Spans(Vec<Span>),
    /// Anywhere.
    Everywhere,
}

impl Candidates {
    /// Whether there can be none.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Numbers(numbers) if numbers.is_empty())
    }

    /// Whether a process of this number is one.
    pub(crate) fn contain(&self, pid: u32) -> bool {
        match self {
            Self::Numbers(numbers) => numbers.contains(&pid),
            Self::Spans(spans) => {
                let after = spans.partition_point(|span| span.0 <= pid);
                after > 0 && pid <= spans[after - 1].1
            }
            Self::Everywhere => true,
        }
    }
}

/// Watches the kernel's cursor.
#[derive(Debug)]
pub(crate) struct PidLog {
    loadavg: Option<File>,
    cursor: u32,
    read_at: Instant,
    pid_max: u32,
    /// The position before the first span.
    first: u64,
    spans: VecDeque<Span>,
    /// Nothing is known about what was given out before this position.
    known_since: u64,
}

impl PidLog {
    /// Begins to watch. Without a readable /proc/loadavg every answer is [`Candidates::Everywhere`].
    pub(crate) fn new() -> Self {
        let pid_max = fs::read_to_string("/proc/sys/kernel/pid_max").ok();
        let pid_max = pid_max.and_then(|text| text.trim().parse().ok()).unwrap_or(32_768);
        let loadavg = File::open("/proc/loadavg").ok();
        let cursor = loadavg.as_ref().and_then(last_pid).unwrap_or(0);
        let (read_at, spans) = (Instant::now(), VecDeque::new());
        Self { loadavg, cursor, read_at, pid_max, first: 0, spans, known_since: 0 }
    }

    /// How often [`observe`](Self::observe) must be called while attempts run, so that the cursor cannot go round unseen.
    pub(crate) fn longest_gap(&self) -> Duration {
        Duration::from_micros(u64::from(self.pid_max) * 1_000_000 / FASTEST_PER_SECOND)
    }

    /// We launched a process and it got this number.
    pub(crate) fn launched(&mut self, pid: u32) -> Mark {
        let before = if pid > 1 { pid - 1 } else { self.pid_max };
        self.advance(before);
        self.cursor = pid;
        self.mark()
    }

    /// Reads the cursor.
    pub(crate) fn observe(&mut self) {
        match self.loadavg.as_ref().and_then(last_pid) {
            Some(last) => self.advance(last),
            None => self.forget(),
        }
    }

    /// Reads the cursor if it was not read lately.
    pub(crate) fn observe_when_due(&mut self) {
        if self.read_at.elapsed() >= self.longest_gap() / 2 {
            self.observe();
        }
    }

    /// The position now: it moves whenever others were given numbers.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.first + self.spans.len() as u64)
    }

    /// Where processes can be found that are younger than the mark; call [`observe`](Self::observe) first.
    pub(crate) fn since(&self, mark: Mark) -> Candidates {
        if mark.0 < self.known_since {
            return Candidates::Everywhere;
        }
        let skip = usize::try_from(mark.0.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let young = || self.spans.iter().skip(skip);
        let total: u64 = young().map(|span| u64::from(span.1 - span.0) + 1).sum();
        if total > PROBE_AT_MOST {
            return Candidates::Spans(merged(young().copied().collect()));
        }
        Candidates::Numbers(young().flat_map(|span| span.0..=span.1).collect())
    }

    /// Others were given the numbers after the cursor up to `last`.
    fn advance(&mut self, last: u32) {
        let now = Instant::now();
        let gap = now.duration_since(self.read_at);
        self.read_at = now;
        if gap > self.longest_gap() * 2 {
            self.forget();
        } else if last > self.cursor {
            self.push(Span(self.cursor + 1, last));
        } else if last < self.cursor {
            if self.cursor < self.pid_max {
                self.push(Span(self.cursor + 1, self.pid_max));
            }
            self.push(Span(1, last.max(1)));
        }
        self.cursor = last;
    }

    fn push(&mut self, span: Span) {
        if self.spans.len() == SPANS {
            let eldest = self.spans.pop_front();
            self.first += 1;
            if let (Some(eldest), Some(next)) = (eldest, self.spans.front_mut()) {
                let cover = if eldest.0 <= next.1 { Span(eldest.0, next.1) } else { Span(1, self.pid_max) };
                *next = cover;
            }
        }
        self.spans.push_back(span);
    }

    /// Nothing is known about the past: every mark given so far leads everywhere.
    fn forget(&mut self) {
        self.first += self.spans.len() as u64 + 1;
        self.known_since = self.first;
        self.spans.clear();
    }
}

/// Sorted, overlapping and neighbouring spans made one.
fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    let mut apart: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match apart.last_mut() {
            Some(last) if span.0 <= last.1.saturating_add(1) => last.1 = last.1.max(span.1),
            _ => apart.push(span),
        }
    }
    apart
}

/// The last number given out in our pid namespace.
fn last_pid(loadavg: &File) -> Option<u32> {
    let mut buffer = [0_u8; 96];
    let length = loadavg.read_at(&mut buffer, 0).ok()?;
    std::str::from_utf8(&buffer[..length]).ok()?.split_ascii_whitespace().next_back()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(cursor: u32) -> PidLog {
        PidLog {
            loadavg: None,
            cursor,
            read_at: Instant::now(),
            pid_max: 4_194_304,
            first: 0,
            spans: VecDeque::new(),
            known_since: 0,
        }
    }

    #[test]
    fn our_own_launches_leave_no_candidates() {
        let mut log = log(100);
        let first = log.launched(101);
        let second = log.launched(102);
        assert!(log.since(first).is_empty());
        assert!(log.since(second).is_empty());
    }

    #[test]
    fn numbers_given_to_others_after_the_launch_are_candidates() {
        let mut log = log(100);
        let early = log.launched(101);
        let late = log.launched(104);
        log.advance(106);
        assert_eq!(log.since(early), Candidates::Numbers(vec![102, 103, 105, 106]));
        assert_eq!(log.since(late), Candidates::Numbers(vec![105, 106]));
    }

    #[test]
    fn the_cursor_may_go_round() {
        let mut log = log(4_194_300);
        let mark = log.launched(4_194_301);
        log.advance(3);
        let expected = vec![4_194_302, 4_194_303, 4_194_304, 1, 2, 3];
        assert_eq!(log.since(mark), Candidates::Numbers(expected));
    }

    #[test]
    fn many_numbers_are_spans_and_a_lost_past_leads_everywhere() {
        let mut many = log(100);
        let mark = many.launched(101);
        many.advance(5_000);
        many.launched(5_002);
        many.advance(5_003);
        let candidates = many.since(mark);
        assert_eq!(candidates, Candidates::Spans(vec![Span(102, 5_001), Span(5_003, 5_003)]));
        for (pid, within) in
            [(101, false), (102, true), (5_001, true), (5_002, false), (5_003, true), (9_999, false)]
        {
            assert_eq!(candidates.contain(pid), within, "{pid}");
        }

        let mut lost = log(100);
        let before = lost.launched(101);
        lost.forget();
        let after = lost.launched(102);
        assert_eq!(lost.since(before), Candidates::Everywhere);
        assert!(lost.since(after).is_empty());
    }

    #[test]
    fn a_long_log_covers_more_but_never_less() {
        let mut log = log(100);
        let old = log.launched(101);
        for step in 0..2_000_u32 {
            log.launched(103 + 2 * step);
        }
        let young = log.mark();
        log.advance(9_000);
        assert_eq!(log.spans.len(), SPANS);
        for step in 0..2_000_u32 {
            assert!(log.since(old).contain(102 + 2 * step));
        }
        assert!(!log.since(old).contain(101));
        assert!(log.since(young).contain(9_000) && !log.since(young).contain(4_000));
    }

    #[test]
    fn the_real_cursor_names_a_process_that_was_just_born() {
        let mut log = PidLog::new();
        let mark = log.mark();
        let child = std::process::Command::new("/bin/true").spawn().unwrap();
        log.observe();
        let pid = child.id();
        assert!(log.since(mark).contain(pid), "{pid}");
        assert!(child.wait_with_output().unwrap().status.success());
    }
}
