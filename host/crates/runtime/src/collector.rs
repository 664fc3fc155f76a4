//! Sampling on a thread of its own: requests go in, readings come back through the inbox.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use orchestrator_core::metrics::SystemSample;
use orchestrator_core::placement::Topology;
use orchestrator_ports::{Probe, ProbeTarget, TreeReading};

use crate::inbox::{Message, Post};

/// One reading.
#[derive(Debug)]
pub(crate) struct Collected {
    pub(crate) system: SystemSample,
    /// Each attempt's tree with the pids in it; attempts that ended meanwhile are missing.
    pub(crate) processes: Arc<Vec<TreeReading>>,
    /// Those of them that are not the same as in the reading before.
    pub(crate) news: Vec<TreeReading>,
    /// The processors, when they are not those of before.
    pub(crate) topology: Option<Topology>,
    /// CPU time that all readings together have cost so far.
    pub(crate) cost: Duration,
}

/// The share of one core that readings may take: where they would take more, they are made less often.
const SHARE: f64 = 0.05;

/// What readings cost, and how often they can be made for that.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// CPU time of all readings so far.
    spent: Duration,
    /// CPU time of one, of late.
    each: Duration,
    /// Whether it was told that they are made less often than wished.
    told: bool,
}

impl Pace {
    /// A reading was made; `spent` is what all of them have cost.
    fn made(&mut self, spent: Duration) {
        let last = spent.saturating_sub(self.spent);
        self.spent = spent;
        // The first one of a process costs several times as much as the next: it does not count alone.
        self.each = (self.each * 3 + last) / 4;
    }

    /// The time from one reading to the next where `wish` is wanted.
    pub(crate) fn pause(&self, wish: Duration) -> Duration {
        wish.max(self.each.div_f64(SHARE))
    }

    /// What people are to know of it: once, when it is clearly more than `wish`.
    pub(crate) fn tell(&mut self, wish: Duration) -> Option<String> {
        let pause = self.pause(wish);
        if self.told || pause < wish.mul_f64(1.25) {
            return None;
        }
        self.told = true;
        Some(format!(
            "reading the processes would take more than {:.0} % of a core: they are read every {:.1} s, not every {:.1} s",
            SHARE * 100.0,
            pause.as_secs_f64(),
            wish.as_secs_f64(),
        ))
    }
}

/// The sampling thread; ends when dropped.
pub(crate) struct Collector {
    requests: Sender<Vec<ProbeTarget>>,
    busy: bool,
    pub(crate) pace: Pace,
}

impl Collector {
    pub(crate) fn start(probe: Box<dyn Probe>, inbox: Post) -> std::io::Result<Self> {
        let (requests, work) = channel();
        thread::Builder::new().name("collector".into()).spawn(move || collect(probe, &work, &inbox))?;
        Ok(Self { requests, busy: false, pace: Pace::default() })
    }

    /// Asks for a reading, unless the previous one is still under way.
    pub(crate) fn request(&mut self, targets: impl FnOnce() -> Vec<ProbeTarget>) {
        if !self.busy {
            self.busy = self.requests.send(targets()).is_ok();
        }
    }

    /// The reading arrived.
    pub(crate) fn arrived(&mut self, reading: &Collected) {
        self.busy = false;
        self.pace.made(reading.cost);
    }
}

fn collect(mut probe: Box<dyn Probe>, work: &Receiver<Vec<ProbeTarget>>, inbox: &Post) {
    let mut before = Arc::default();
    while let Ok(targets) = work.recv() {
        let (system, processes) = (probe.system(), probe.processes(&targets));
        let news = news(&before, &processes);
        before = Arc::clone(&processes);
        let topology = probe.topology();
        let collected = Collected { system, processes, news, topology, cost: probe.cpu() };
        if !inbox.send(Message::Collected(collected)) {
            return;
        }
    }
}

/// Those that are not the same as before; both in the order of the attempts.
fn news(before: &Arc<Vec<TreeReading>>, now: &Arc<Vec<TreeReading>>) -> Vec<TreeReading> {
    if Arc::ptr_eq(before, now) {
        return Vec::new();
    }
    let mut before = before.iter().peekable();
    let is_news = |(sample, pids): &&TreeReading| {
        while before.next_if(|(old, _)| old.attempt < sample.attempt).is_some() {}
        !before.peek().is_some_and(|(old, known)| old.attempt == sample.attempt && Arc::ptr_eq(known, pids))
    };
    now.iter().filter(is_news).cloned().collect()
}

#[cfg(test)]
mod tests {
    use orchestrator_core::metrics::ProcessSample;
    use orchestrator_core::{AttemptId, Bytes};

    use super::*;

    fn reading(attempt: u64, pids: &Arc<[u32]>) -> TreeReading {
        let sample = ProcessSample {
            attempt: AttemptId(attempt),
            cpu_time: Duration::ZERO,
            rss: Bytes(0),
            virtual_memory: Bytes(0),
            read_bytes: Bytes(0),
            write_bytes: Bytes(0),
            read_ops: 0,
            write_ops: 0,
            processes: 1,
            threads: 1,
            states: [0; 5],
        };
        (sample, Arc::clone(pids))
    }

    #[test]
    fn news_are_those_who_ran_or_are_new() {
        let list = |pid: u32| -> Arc<[u32]> { vec![pid].into() };
        let (two, three, again, four) = (list(2), list(3), list(3), list(4));
        let before = Arc::new(vec![reading(1, &list(1)), reading(2, &two), reading(3, &three)]);
        let now = Arc::new(vec![reading(2, &two), reading(3, &again), reading(4, &four)]);
        let attempts: Vec<_> = news(&before, &now).iter().map(|(sample, _)| sample.attempt.0).collect();
        assert_eq!(attempts, [3, 4], "one has ended, one slept, one ran, one is new");
        assert_eq!(news(&Arc::default(), &now).len(), 3);
        assert!(news(&now, &now).is_empty());
        assert!(news(&now, &Arc::new(now.to_vec())).is_empty());
    }

    const WISH: Duration = Duration::from_millis(100);

    /// A pace after so many readings that took so long.
    fn after(readings: u32, each: Duration) -> Pace {
        let mut pace = Pace::default();
        (1..=readings).for_each(|n| pace.made(each * n));
        pace
    }

    #[test]
    fn cheap_readings_are_made_as_often_as_wished() {
        let mut pace = after(50, Duration::from_millis(2));
        assert_eq!((pace.pause(WISH), pace.tell(WISH)), (WISH, None));
    }

    #[test]
    fn dear_readings_are_made_less_often_and_that_is_said_once() {
        let mut pace = after(50, Duration::from_millis(20));
        let pause = pace.pause(WISH);
        assert!((390..=400).contains(&pause.as_millis()), "{pause:?}");
        assert!(pace.tell(WISH).is_some_and(|words| words.contains("every 0.4 s, not every 0.1 s")));
        assert_eq!(pace.tell(WISH), None);
        assert_eq!(pace.pause(Duration::from_secs(1)), Duration::from_secs(1));
    }

    #[test]
    fn one_dear_reading_among_cheap_ones_changes_little() {
        let mut pace = after(50, Duration::from_millis(1));
        pace.made(Duration::from_millis(70));
        assert!(pace.tell(WISH).is_none(), "{pace:?}");
    }
}
