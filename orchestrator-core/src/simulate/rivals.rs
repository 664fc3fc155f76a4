//! What others do: a fixed number, a gate on current readings, calibration once and for all.

use super::run::{Actions, Ended, Governor, View};

/// Always this many: `xargs -P N`.
#[derive(Clone, Copy, Debug)]
pub struct Fixed(pub usize);

impl Governor for Fixed {
    fn tick(&mut self, _: &View<'_>) -> Actions {
        Actions::default()
    }

    fn pick(&mut self, view: &View<'_>) -> Option<usize> {
        (view.running.len() < self.0).then(|| view.queue.len() - 1)
    }
}

/// After GNU Parallel's `-jN --load 80% --memfree 25%`: the one-minute load average, read every ten seconds, and free memory
/// gate a start; below half of the wanted free memory the youngest is killed.
#[derive(Clone, Copy, Debug)]
pub struct Gate {
    jobs: usize,
    load: f64,
    read_at: f64,
}

impl Gate {
    const LOAD: f64 = 0.80;
    const FREE: f64 = 0.25;

    /// At most this many at once.
    #[must_use]
    pub fn new(jobs: usize) -> Self {
        Self { jobs, load: 0.0, read_at: -99.0 }
    }
}

impl Governor for Gate {
    fn tick(&mut self, view: &View<'_>) -> Actions {
        if view.now - self.read_at >= 10.0 {
            self.load = view.load;
            self.read_at = view.now;
        }
        let free = view.machine.memory - view.used;
        let mut actions = Actions::default();
        if free < 0.5 * Self::FREE * view.machine.memory && view.running.len() > 1 {
            let youngest = view.running.iter().max_by(|a, b| a.since.total_cmp(&b.since));
            actions.evict.extend(youngest.map(|one| one.task));
        }
        actions
    }

    fn pick(&mut self, view: &View<'_>) -> Option<usize> {
        let ours = view.running.iter().map(|one| one.rss).sum::<f64>() + view.machine.system_memory;
        let free = view.machine.memory - ours.max(view.used);
        let may = view.running.len() < self.jobs
            && self.load < Self::LOAD * view.machine.cores
            && free > Self::FREE * view.machine.memory;
        may.then(|| view.queue.len() - 1)
    }
}

/// One instance alone to its end, then as many as fit the thresholds by its figures, for good.
#[derive(Clone, Copy, Debug, Default)]
pub struct CalibrateOnce(Option<usize>);

impl Governor for CalibrateOnce {
    fn tick(&mut self, _: &View<'_>) -> Actions {
        Actions::default()
    }

    fn pick(&mut self, view: &View<'_>) -> Option<usize> {
        (view.running.len() < self.0.unwrap_or(1)).then(|| view.queue.len() - 1)
    }

    fn ended(&mut self, view: &View<'_>, ended: &Ended) {
        if self.0.is_none() {
            let machine = view.machine;
            let cpu = 0.8 * machine.cores / (ended.cpu / ended.wall).max(1e-3);
            let memory = 0.75 * machine.memory / ended.peak.max(1e-3);
            let rate = ended.io / ended.wall;
            let disk = if rate > 5.0 { 0.9 * machine.disk / rate } else { f64::INFINITY };
            self.0 = Some((cpu.min(memory).min(disk).min(1024.0) as usize).max(1));
        }
    }
}
