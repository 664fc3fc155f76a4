//! By what kinds of input differ at the same size, for each amount that the law learns: a packed file may need five times the
//! memory of a plain one. The laws over size learn results divided by their kind's factor, and what they say is multiplied by
//! it. When factors change all results are learned anew, which costs as much as one more fit.

use super::law::Control;
use super::progress::Progress;
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

    /// Looks at the results, if there are enough new ones. Whether any factor has changed.
    fn refresh<'a>(&mut self, results: impl Iterator<Item = &'a Completed> + Clone) -> bool {
        if !std::mem::take(&mut self.due) {
            return false;
        }
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

    /// Where kinds have turned out to differ by something else than was thought, what was learned is learned anew.
    pub(super) fn tell_kinds_apart(&mut self) {
        if !self.kinds.refresh(self.records.iter()) {
            return;
        }
        self.sizes = SizeLaw::default();
        self.progress.begin_anew();
        for one in self.records.to_vec() {
            self.observe(&one);
        }
        self.stale = true;
    }

    /// What a task will need by the law over sizes; `None` before that says anything.
    pub(super) fn need_of_size(&self, candidate: Candidate) -> Option<Need> {
        let times = self.kinds.of(candidate.kind).memory;
        let need = self.sizes.need(candidate.input)?;
        Some(Need { mean: times * need.mean, own: times * need.own, common: times * need.common })
    }

    /// How long a task takes, s; `None` before enough is known.
    pub(super) fn wall(&self, candidate: Candidate) -> Option<f64> {
        Some(self.kinds.of(candidate.kind).wall * self.progress.wall(candidate.input)?)
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
