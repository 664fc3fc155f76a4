//! The simulation: a governor decides what runs, the machine lets it go on.

use serde::Serialize;

use super::machine::{Demand, Machine, Pace};
use super::work::{Kind, Work};

/// Seconds from one look at the machine to the next at most, and at least: where a phase ends before, the next is then.
const STEP: f64 = 0.25;
const SHORTEST_STEP: f64 = 0.001;
/// Seconds between two ticks of the governor, if it does not wish for the next one sooner.
const TICK: f64 = 1.0;
/// A simulation is given up after this time, s.
const LONGEST: f64 = 200_000.0;

/// A task that runs, as it is seen from outside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Running {
    /// Which task.
    pub task: usize,
    /// Since when, s.
    pub since: f64,
    /// CPU time so far, s.
    pub cpu: f64,
    /// Bytes read and written so far, MB.
    pub io: f64,
    /// Resident memory, GB.
    pub rss: f64,
    /// Whether it is stopped for now.
    pub frozen: bool,
    phase: usize,
    left: f64,
    done: f64,
}

/// A task that ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ended {
    /// Which task.
    pub task: usize,
    /// How long it ran, s.
    pub wall: f64,
    /// Largest resident memory, GB.
    pub peak: f64,
    /// CPU time, s.
    pub cpu: f64,
    /// Bytes read and written, MB.
    pub io: f64,
}

/// What a governor sees.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The moment, s.
    pub now: f64,
    /// The machine (its background is not for the eyes of a governor).
    pub machine: &'a Machine,
    /// The work; of a task that has not run a governor may look at the input's size alone.
    pub work: &'a Work,
    /// What runs.
    pub running: &'a [Running],
    /// Tasks that wait; the last one is next.
    pub queue: &'a [usize],
    /// Memory in use by everybody, GB.
    pub used: f64,
    /// Cores kept busy by everybody, on average since the last tick.
    pub cores_used: f64,
    /// One-minute load average.
    pub load: f64,
}

/// What a governor does to running tasks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Actions {
    /// Stopped for now.
    pub freeze: Vec<usize>,
    /// Let go on.
    pub thaw: Vec<usize>,
    /// Ended and put back in front of the queue.
    pub evict: Vec<usize>,
}

/// Decides what runs.
pub trait Governor {
    /// Called every second, or sooner if it wishes.
    fn tick(&mut self, view: &View<'_>) -> Actions;
    /// Whether the next tick is to come in the next step of the simulation already.
    fn wants_tick_soon(&self, view: &View<'_>) -> bool {
        let _ = view;
        false
    }
    /// Which waiting task to start now: its place in the queue; `None` = none.
    fn pick(&mut self, view: &View<'_>) -> Option<usize>;
    /// A task was started.
    fn started(&mut self, view: &View<'_>, task: usize) {
        let _ = (view, task);
    }
    /// A task ended.
    fn ended(&mut self, view: &View<'_>, ended: &Ended) {
        let _ = (view, ended);
    }
    /// The kernel killed a task for want of memory; it is put back in front of the queue. Of what it used only that so far.
    fn out_of_memory(&mut self, view: &View<'_>, killed: &Ended) {
        let _ = (view, killed);
    }
}

/// How a simulation went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Outcome {
    /// Seconds from start to end.
    pub makespan: f64,
    /// Tasks done.
    pub done: usize,
    /// Tasks killed by the kernel for want of memory.
    pub out_of_memory: usize,
    /// Tasks ended by the governor.
    pub evicted: usize,
    /// Largest share of memory in use.
    pub memory_peak: f64,
    /// Share of time above the memory threshold.
    pub memory_over: f64,
    /// Share of time above the CPU threshold.
    pub cpu_over: f64,
    /// Mean share of the cores in use.
    pub cpu_mean: f64,
    /// Largest number of tasks that ran at once.
    pub widest: usize,
}

struct Simulation<'a> {
    machine: &'a Machine,
    work: &'a Work,
    solo: Vec<f64>,
    running: Vec<Running>,
    queue: Vec<usize>,
    now: f64,
    used: f64,
    cores_used: f64,
    /// Core seconds and seconds since the last tick.
    since_tick: (f64, f64),
    load: f64,
    outcome: Outcome,
}

/// Runs all tasks in the given order under a governor.
#[must_use]
pub fn simulate(machine: &Machine, work: &Work, order: &[usize], governor: &mut dyn Governor) -> Outcome {
    let mut simulation = Simulation {
        machine,
        work,
        solo: work.tasks.iter().map(|task| work.alone(task)).collect(),
        running: Vec::new(),
        queue: order.iter().rev().copied().collect(),
        now: 0.0,
        used: machine.system_memory,
        cores_used: 0.0,
        since_tick: (0.0, 0.0),
        load: 0.0,
        outcome: Outcome::default(),
    };
    simulation.run(governor)
}

impl Simulation<'_> {
    fn run(&mut self, governor: &mut dyn Governor) -> Outcome {
        let mut next_tick = 0.0;
        let (mut over, mut busy, mut cores) = (0.0, 0.0, 0.0);
        while self.outcome.done < self.work.tasks.len() && self.now < LONGEST {
            if self.now >= next_tick - 1e-9 {
                let actions = governor.tick(&self.view());
                self.act(&actions);
                self.since_tick = (0.0, 0.0);
                self.start(governor);
                next_tick = self.now + if governor.wants_tick_soon(&self.view()) { STEP } else { TICK };
            } else {
                self.start(governor);
            }
            let seconds = self.go_on(governor, next_tick);
            let share = self.used / self.machine.memory;
            self.outcome.memory_peak = self.outcome.memory_peak.max(share);
            self.outcome.widest = self.outcome.widest.max(self.running.len());
            over += if share > self.machine.memory_threshold + 1e-9 { seconds } else { 0.0 };
            let borne = self.machine.cpu_threshold * self.machine.cores;
            busy += if self.cores_used > borne + 1e-6 { seconds } else { 0.0 };
            cores += self.cores_used * seconds;
        }
        self.outcome.makespan = self.now;
        self.outcome.memory_over = over / self.now;
        self.outcome.cpu_over = busy / self.now;
        self.outcome.cpu_mean = cores / self.now / self.machine.cores;
        self.outcome
    }

    fn view(&self) -> View<'_> {
        View {
            now: self.now,
            machine: self.machine,
            work: self.work,
            running: &self.running,
            queue: &self.queue,
            used: self.used,
            cores_used: self.since_tick.0 / self.since_tick.1.max(SHORTEST_STEP),
            load: self.load,
        }
    }

    fn act(&mut self, actions: &Actions) {
        for task in &actions.evict {
            if let Some(at) = self.running.iter().position(|one| one.task == *task) {
                self.running.remove(at);
                self.queue.push(*task);
                self.outcome.evicted += 1;
            }
        }
        for one in &mut self.running {
            one.frozen =
                (one.frozen || actions.freeze.contains(&one.task)) && !actions.thaw.contains(&one.task);
        }
    }

    fn start(&mut self, governor: &mut dyn Governor) {
        while !self.queue.is_empty() {
            let Some(place) = governor.pick(&self.view()) else { return };
            let task = self.queue.remove(place);
            let spec = &self.work.tasks[task];
            self.running.push(Running {
                task,
                since: self.now,
                cpu: 0.0,
                io: 0.0,
                rss: spec.base,
                frozen: false,
                phase: 0,
                left: spec.phases[0].amount,
                done: 0.0,
            });
            governor.started(&self.view(), task);
        }
    }

    /// Lets everything go on until the first phase ends, for one step at most; returns the seconds.
    fn go_on(&mut self, governor: &mut dyn Governor, next_tick: f64) -> f64 {
        let (background, background_memory) = self.machine.background.at(self.now);
        let pace = self.machine.pace(&self.demand(), background);
        let work = self.work;
        let running = || self.running.iter().filter(|one| !one.frozen);
        let first = running().map(|one| one.left / speed(one, work, &pace).0).fold(f64::INFINITY, f64::min);
        let seconds = first.clamp(SHORTEST_STEP, STEP).min((next_tick - self.now).max(SHORTEST_STEP));
        let mut cpu = 0.0;
        for one in self.running.iter_mut().filter(|one| !one.frozen) {
            cpu += step(one, work, &pace, self.solo[one.task], seconds);
        }
        // An oversubscribed machine is busy throughout: what its processes do not get, switching between them takes.
        let busy = if pace.cpu < 1.0 { self.machine.cores } else { cpu / seconds + background };
        self.cores_used = busy.min(self.machine.cores);
        self.since_tick.0 += self.cores_used * seconds;
        self.since_tick.1 += seconds;
        self.now += seconds;
        self.settle(governor);
        self.load += (pace.wanted - self.load) * (1.0 - (-seconds / 60.0f64).exp());
        let fixed = background_memory + self.machine.system_memory;
        self.used = self.running.iter().map(|one| one.rss).sum::<f64>() + fixed;
        while self.used > self.machine.out_of_memory * self.machine.memory {
            let Some(at) =
                (0..self.running.len()).max_by(|a, b| self.running[*a].rss.total_cmp(&self.running[*b].rss))
            else {
                break;
            };
            let killed = self.running.remove(at);
            self.used -= killed.rss;
            self.queue.push(killed.task);
            self.outcome.out_of_memory += 1;
            let Running { task, since, rss, cpu, io, .. } = killed;
            let killed = Ended { task, wall: self.now - since, peak: rss, cpu, io };
            governor.out_of_memory(&self.view(), &killed);
        }
        seconds
    }

    fn demand(&self) -> Demand {
        let mut demand = Demand { duty: self.work.duty, rate: self.work.rate, ..Demand::default() };
        for one in self.running.iter().filter(|one| !one.frozen) {
            let task = &self.work.tasks[one.task];
            match task.phases[one.phase].kind {
                Kind::Cpu => demand.threads += task.threads,
                Kind::Bandwidth => {
                    demand.threads += task.threads;
                    demand.bandwidth += 1.0;
                }
                Kind::Disk => demand.disk += 1.0,
                Kind::Wait => demand.waiting += 1.0,
            }
        }
        demand
    }

    /// Phases and tasks that are over.
    fn settle(&mut self, governor: &mut dyn Governor) {
        let mut at = 0;
        while at < self.running.len() {
            let one = &mut self.running[at];
            let task = &self.work.tasks[one.task];
            if one.frozen || one.left > 1e-9 {
                at += 1;
                continue;
            }
            one.phase += 1;
            if let Some(phase) = task.phases.get(one.phase) {
                one.left = phase.amount;
                at += 1;
                continue;
            }
            let wall = self.now - one.since;
            let ended = Ended { task: one.task, wall, peak: task.peak, cpu: one.cpu, io: one.io };
            self.running.remove(at);
            self.outcome.done += 1;
            governor.ended(&self.view(), &ended);
        }
    }
}

/// How fast a task's phase goes on, the cores that it takes, and how fast it would alone.
fn speed(one: &Running, work: &Work, pace: &Pace) -> (f64, f64, f64) {
    let task = &work.tasks[one.task];
    match task.phases[one.phase].kind {
        Kind::Cpu => (task.threads * pace.cpu, task.threads * pace.cpu, task.threads),
        Kind::Bandwidth => (task.threads * pace.cpu * pace.bandwidth, task.threads * pace.cpu, task.threads),
        Kind::Disk => (pace.disk, pace.disk_cpu * pace.cpu, work.rate),
        Kind::Wait => (pace.cpu, work.duty * pace.cpu, 1.0),
    }
}

/// One task goes on for so many seconds; returns the CPU seconds it took.
fn step(one: &mut Running, work: &Work, pace: &Pace, alone: f64, seconds: f64) -> f64 {
    let task = &work.tasks[one.task];
    let (speed, cores, solo_speed) = speed(one, work, pace);
    // What ends within a step moves no more than it had left.
    let progress = (speed * seconds).min(one.left.max(0.0));
    let solo = progress / solo_speed;
    one.left -= speed * seconds;
    one.done += solo;
    one.cpu += cores * seconds;
    one.io += match task.phases[one.phase].kind {
        Kind::Disk => progress,
        _ if work.streams => solo / alone * task.input,
        _ => 0.0,
    };
    let share = (one.done / alone).min(1.0);
    one.rss = task.base + (task.peak - task.base) * (share / task.peak_at).min(1.0);
    cores * seconds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::rivals::Fixed;
    use crate::simulate::work::{Phase, Task};

    #[test]
    fn a_task_shorter_than_a_step_keeps_its_place_no_longer_than_it_runs() {
        let task = Task {
            phases: vec![Phase { kind: Kind::Cpu, amount: 0.07 }],
            threads: 1.0,
            input: 1.0,
            base: 0.01,
            peak: 0.01,
            peak_at: 1.0,
        };
        let work =
            Work { name: String::new(), tasks: vec![task; 20], rate: 200.0, streams: false, duty: 0.0 };
        let order: Vec<usize> = (0..20).collect();
        let makespan = |jobs| simulate(&Machine::default(), &work, &order, &mut Fixed(jobs)).makespan;
        let (one, two) = (makespan(1), makespan(2));
        assert!((one / 1.4 - 1.0).abs() < 0.05 && (two / 0.7 - 1.0).abs() < 0.05, "{one} {two}");
    }
}
