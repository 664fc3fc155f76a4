//! The CPU bound: as many as keep the cores busy up to the threshold, beside what others use.

use std::collections::VecDeque;

/// Time constant of the average of cores per process, s.
const MEMORY: f64 = 6.0;
/// Completions over which the long-run average is taken.
const COMPLETIONS: usize = 30;
const ENOUGH: usize = 5;
/// However much others use, this share of the cores is ours: processes that only wait harm nobody.
const OURS: f64 = 0.05;
/// Where all cores may be busy a process that lacks this share of what it needs may run: there is no threshold to exceed,
/// and a core would stand idle because somebody else uses a hundredth of it.
const ALL: f64 = 0.999;
const ROUNDING: f64 = 0.25;

/// How many processes the cores bear.
#[derive(Clone, Debug, Default)]
pub(super) struct CpuBound {
    /// Cores that one process keeps busy now.
    now: Option<f64>,
    /// Cores that others keep busy.
    background: f64,
    /// CPU seconds and run time of completed tasks.
    completed: VecDeque<(f64, f64)>,
}

impl CpuBound {
    /// `own` cores were kept busy by `processes` of ours during `seconds`.
    pub(super) fn sampled(&mut self, own: f64, processes: f64, seconds: f64) {
        let each = own / processes;
        let weight = 1.0 - (-seconds / MEMORY).exp();
        self.now = Some(self.now.map_or(each, |old| old + (each - old) * weight));
    }

    /// All of ours were seen throughout, so the rest of the busy cores is others'.
    pub(super) fn others(&mut self, busy: f64) {
        self.background += (busy.max(0.0) - self.background) * 0.5;
    }

    pub(super) fn completed(&mut self, cpu: f64, wall: f64) {
        if self.completed.len() == COMPLETIONS {
            self.completed.pop_front();
        }
        self.completed.push_back((cpu, wall));
    }

    /// Cores that one process needs: what is seen now, blended with the mean of completed tasks, on the side of more.
    pub(super) fn each(&self) -> Option<f64> {
        if self.completed.len() < ENOUGH {
            return self.now;
        }
        let (cpu, wall) = self.completed.iter().fold((0.0, 0.0), |(a, b), (cpu, wall)| (a + cpu, b + wall));
        let long_run = cpu / wall.max(1e-6);
        let Some(now) = self.now else { return Some(long_run) };
        Some(if now > long_run { now.max(0.7 * long_run) } else { 0.5 * (long_run + now) })
    }

    /// How many processes keep the cores below the threshold; at least 1; `None` before the first reading.
    pub(super) fn bound(&self, cores: f64, threshold: f64) -> Option<u32> {
        let each = self.each()?.max(1e-3);
        let free = (threshold * cores - self.background).max(OURS * cores);
        let rounding = if threshold >= ALL { ROUNDING } else { 1e-6 };
        Some(((free / each + rounding).floor() as u32).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_less_what_others_use_over_what_each_needs() {
        let mut cpu = CpuBound::default();
        assert_eq!(cpu.bound(16.0, 0.8), None);
        cpu.sampled(4.0, 4.0, 1.0);
        assert_eq!(cpu.bound(16.0, 0.8), Some(12));
        for _ in 0..20 {
            cpu.others(8.0);
        }
        assert_eq!(cpu.bound(16.0, 0.8), Some(4));
        cpu.others(100.0);
        assert_eq!(cpu.bound(16.0, 0.8), Some(1));
        let mut alone = CpuBound::default();
        alone.sampled(1.0, 1.0, 1.0);
        alone.others(0.1);
        assert_eq!((alone.bound(2.0, 1.0), alone.bound(2.0, 0.99)), (Some(2), Some(1)));
        let mut waiting = CpuBound::default();
        waiting.sampled(0.04, 4.0, 1.0);
        waiting.others(100.0);
        assert_eq!(waiting.bound(16.0, 0.8), Some(80), "what only waits goes on beside others");
    }
}
