//! By what kinds of input differ at the same size, for each amount that the law learns: a packed file may need five times the
//! memory of a plain one. The laws over size learn results divided by their kind's factor, and what they say is multiplied by
//! it. When factors change all results are learned anew, which costs as much as one more fit.

use super::law::Control;
use super::progress::{KEPT, Progress, RunTime};
use super::reading::Candidate;
use super::size_law::{Need, SizeLaw};
use super::state::Completed;
use crate::predict::{Case, Kind, Kinds};

/// By what a kind differs from others; all 1 for one that lies not apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) memory: f64,
    pub(super) io: f64,
    pub(super) cpu: f64,
    pub(super) wall: f64,
}

/// Learns it.
#[derive(Clone, Debug, Default)]
pub(super) struct KindLaw {
    memory: Kinds,
    io: Kinds,
    cpu: Kinds,
    wall: Kinds,
    due: bool,
}

impl KindLaw {
    pub(super) fn of(&self, kind: Option<Kind>) -> Times {
        Times {
            memory: self.memory.of(kind),
            io: self.io.of(kind),
            cpu: self.cpu.of(kind),
            wall: self.wall.of(kind),
        }
    }

    /// A task was completed.
    fn completed(&mut self) {
        self.due |= self.memory.due();
    }

    /// Looks at the results. Whether any factor has changed.
    fn refresh<'a>(&mut self, results: impl Iterator<Item = &'a Completed> + Clone) -> bool {
        let fit = |kinds: &mut Kinds, amount: fn(&Completed) -> f64| {
            kinds.fit(results.clone().map(move |one| Case::new(one.kind, one.input, amount(one))))
        };
        let memory = fit(&mut self.memory, |one| one.peak);
        let io = fit(&mut self.io, |one| one.io);
        let cpu = fit(&mut self.cpu, |one| one.cpu);
        let wall = fit(&mut self.wall, |one| one.seconds);
        memory || io || cpu || wall
    }
}

impl Control {
    /// A result is kept and learned.
    pub(super) fn learn_result(&mut self, one: Completed) {
        self.observe(&one);
        self.records.push(one);
        self.kinds.completed();
    }

    fn observe(&mut self, one: &Completed) {
        let times = self.kinds.of(one.kind);
        self.sizes.observe(one.input, one.peak / times.memory);
        self.progress.completed(one.io / times.io, one.cpu / times.cpu, one.seconds / times.wall, one.input);
    }

    /// Looks at the results, if there are enough new ones. Where kinds have turned out to differ by something else than was
    /// thought, what was learned is learned anew; the same work counts as much as before, or what fewer at once did could not be
    /// compared with what more do now.
    pub(super) fn tell_kinds_apart(&mut self) {
        if !std::mem::take(&mut self.kinds.due) {
            return;
        }
        let before = self.work_of_late();
        if !self.kinds.refresh(self.records.iter()) {
            return;
        }
        self.sizes = SizeLaw::default();
        self.progress.begin_anew();
        for one in self.records.to_vec() {
            self.observe(&one);
        }
        self.progress.refresh();
        if let Some(times) = before.zip(self.work_of_late()).map(|(before, after)| before / after)
            && times.is_finite()
            && times > 0.0
        {
            self.progress.rescale(times);
        }
        self.stale = true;
    }

    /// What was completed of late, as speed counts it: the seconds that it took at the usual speed. `None` before that is known.
    fn work_of_late(&self) -> Option<f64> {
        let late = self.records.iter().skip(self.records.len().saturating_sub(KEPT));
        late.map(|one| self.kinds.of(one.kind).speed(&self.progress, one.io, one.cpu, one.input)).sum()
    }

    /// What a task will need by the law over sizes; `None` before that says anything.
    pub(super) fn need_of_size(&self, candidate: Candidate) -> Option<Need> {
        let times = self.kinds.of(candidate.kind).memory;
        let need = self.sizes.need(candidate.input)?;
        Some(Need { mean: times * need.mean, own: times * need.own, common: times * need.common })
    }

    /// How long a task takes; `None` before enough is known.
    pub(super) fn run_time(&self, candidate: Candidate) -> Option<RunTime> {
        let usual = self.progress.run_time(candidate.input)?;
        Some(RunTime { seconds: self.kinds.of(candidate.kind).wall * usual.seconds, ..usual })
    }
}

impl Times {
    /// See [`Progress::share`].
    pub(super) fn share(
        &self,
        progress: &Progress,
        io: f64,
        cpu: f64,
        input: Option<u64>,
    ) -> Option<(f64, f64)> {
        progress.share(io / self.io, cpu / self.cpu, input)
    }

    /// See [`Progress::speed`].
    pub(super) fn speed(&self, progress: &Progress, io: f64, cpu: f64, input: Option<u64>) -> Option<f64> {
        Some(self.wall * progress.speed(io / self.io, cpu / self.cpu, input)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::control::{AttemptReading, ControlRules, Ending, MachineReading, Used};
    use crate::{AttemptId, TaskId, Timestamp};

    /// Plain files take 2 s and packed ones `PACKED` times as long; both keep a core busy.
    const PACKED: f64 = 5.0;

    fn candidate(task: u64, packed: bool) -> Candidate {
        let kind = Kind::of(if packed { b"x.gz" } else { b"x.txt" });
        Candidate { task: TaskId(task as u32), input: Some(1_000_000), kind }
    }

    fn seconds(packed: bool) -> f64 {
        2.0 * if packed { PACKED } else { 1.0 }
    }

    /// A law that ran these one after the other; `look` sees it after each reading.
    fn after(tasks: impl Iterator<Item = bool>, mut look: impl FnMut(&Control)) -> Control {
        let mut law = Control::new(ControlRules::default());
        let machine =
            MachineReading { cores: 16.0, cores_busy: 1.0, memory_total: 64e9, ..MachineReading::default() };
        let mut now = Timestamp(1_000_000);
        for (task, packed) in tasks.enumerate() {
            let (id, wall) = (AttemptId(task as u64), seconds(packed));
            law.started(now, id, candidate(task as u64, packed));
            now = now + std::time::Duration::from_secs_f64(wall);
            law.sampled(now, machine, &[AttemptReading { attempt: id, cpu: wall, io: 0.0, rss: 1e8 }]);
            law.ended(now, id, Ending::Completed, Used { peak: 1e8, cpu: wall, io: 0.0 });
            law.sampled(now, machine, &[]);
            look(&law);
        }
        law
    }

    #[test]
    fn the_same_work_is_as_fast_after_kinds_were_told_apart_as_before() {
        let speed = |law: &Control| -> Option<f64> {
            let one = |packed| {
                let Candidate { input, kind, .. } = candidate(0, packed);
                law.kinds.of(kind).speed(&law.progress, 0.0, 1.0, input)
            };
            Some(one(true)? + one(false)?)
        };
        let mut speeds: Vec<(f64, f64)> = Vec::new();
        after((0..60).map(|task| task % 5 < 3), |law| {
            speeds.extend(speed(law).map(|speed| (law.kinds.of(candidate(0, false).kind).wall, speed)));
        });
        let told: Vec<usize> = (1..speeds.len()).filter(|at| speeds[at - 1].0 != speeds[*at].0).collect();
        assert!(!told.is_empty(), "the kinds were never told apart: {speeds:?}");
        for at in told {
            let change = speeds[at].1 / speeds[at - 1].1;
            assert!((0.9..1.1).contains(&change), "{:?}, then {:?}", speeds[at - 1], speeds[at]);
        }
    }

    #[test]
    fn the_usual_run_time_is_in_seconds_whatever_kinds_differ_by() {
        let law = after((0..120).map(|task| task >= 60 || task % 5 < 2), |_| {});
        assert!(law.kinds.of(candidate(0, true).kind).wall > 3.0, "packed files take longer");
        let usual = law.median_wall().unwrap();
        assert!((usual / seconds(true) - 1.0).abs() < 0.01, "{usual} s");
    }
}
