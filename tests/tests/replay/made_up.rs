//! Made-up sorts of tasks, and what they cost against the best baseline: what is known to go badly goes no worse.

use orchestrator_core::Bytes;
use orchestrator_core::predict::Features;
use orchestrator_core::predict::replay::{TraceOutcome, TraceRow, TraceTask};

use crate::baselines::BASELINES;
use crate::{ours, theirs};

/// A `splitmix64` generator (Steele, Lea, Flood 2014).
struct Chance(u64);

impl Chance {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Box and Muller 1958.
    fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.uniform()).ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    fn log_normal(&mut self, median: f64, spread: f64) -> f64 {
        median * (spread * self.normal()).exp()
    }
}

/// One task of a stream, as far as its peak depends on it.
struct Place {
    at: f64,
    /// Share of the stream before it.
    share: f64,
    /// Its size by the usual one.
    size: f64,
    /// Standard normal, uniform, and a bounded random walk.
    normal: f64,
    uniform: f64,
    walk: f64,
}

/// Peak by the stream's level.
type Peak = fn(&Place, &mut Chance) -> f64;

/// By name, with the largest ratio to the best baseline that is accepted.
const SORTS: [(&str, f64, Peak); 10] = [
    ("saturates with size", 1.0, |p, _| p.size / (1.0 + 0.5 * p.size) * (0.06 * p.normal).exp()),
    ("a base, and a little with size", 1.5, |p, _| (1.0 + 0.3 * p.size) * (0.04 * p.normal).exp()),
    ("two kinds without names", 1.0, |p, _| {
        p.size.powf(0.7) * if p.uniform < 0.35 { 3.0 } else { 1.0 } * (0.08 * p.normal).exp()
    }),
    ("grows with every task", 1.0, |p, _| (1.0 + 0.01 * p.at) * (0.05 * p.normal).exp()),
    ("jumps back each sixty", 1.0, |p, _| (1.0 + (p.at % 60.0) / 30.0) * (0.05 * p.normal).exp()),
    ("random walk", 1.0, |p, chance| p.walk.exp() * (0.03 * chance.normal()).exp()),
    ("size tells half", 1.25, |p, chance| {
        (p.size * chance.log_normal(1.0, 0.5)).powf(0.8) * (0.05 * p.normal).exp()
    }),
    ("three levels by chance", 1.25, |p, _| {
        let level = if p.uniform < 0.6 {
            1.0
        } else if p.uniform < 0.9 {
            1.8
        } else {
            3.5
        };
        level * (0.04 * p.normal).exp()
    }),
    ("square root of size, heavy residuals", 1.0, |p, _| {
        p.size.sqrt() * (0.25 * p.normal + if p.uniform < 0.05 { 0.7 } else { 0.0 }).exp()
    }),
    ("shrinks, then grows", 1.0, |p, _| (1.0 + 2.0 * (p.share - 0.5).abs()) * (0.05 * p.normal).exp()),
];
const LENGTHS: [usize; 12] = [30, 34, 40, 50, 64, 90, 120, 160, 220, 300, 420, 500];
/// A third of those of the table in `docs/capacity.md`, for the sake of time: ratios are others (1.43 for a base and a little with
/// size, 1.17 where size tells half).
const STREAMS: usize = 12;

fn stream(sort: usize, number: usize) -> Vec<TraceRow> {
    let (name, _, peak) = SORTS[sort];
    let mut chance = Chance(9_000_001 + sort as u64 * 7_919_111 + number as u64 * 104_729);
    let tasks = LENGTHS[number % LENGTHS.len()];
    let level = chance.log_normal(2e9, 0.6).max(2e8);
    let usual_size = chance.log_normal(8e8, 1.0);
    let usual_time = chance.log_normal(60.0, 0.4);
    let wide = 0.4 + chance.uniform();
    let mut walk = 0.0f64;
    let row = |at: usize| {
        let bytes = chance.log_normal(usual_size, wide);
        let size = bytes / usual_size;
        let (normal, uniform) = (chance.normal(), chance.uniform());
        walk = (walk + 0.06 * normal).clamp(-1.2, 1.2);
        let place = Place { at: at as f64, share: at as f64 / tasks as f64, size, normal, uniform, walk };
        let peak = Bytes((level * peak(&place, &mut chance)).max(1.0) as u64);
        let seconds = (usual_time * size.powf(0.7) * (0.15 * chance.normal()).exp()).max(0.01);
        let features = Features::sized(Bytes(bytes as u64));
        let task = TraceTask { workflow: name.into(), task: number.to_string(), seq: at as u64, features };
        TraceRow { task, outcome: TraceOutcome { peak, seconds }, cores: None, moved: None }
    };
    (0..tasks).map(row).collect()
}

#[test]
fn made_up_sorts_cost_no_more_than_is_known() {
    let ratio = |sort: usize| {
        let rows: Vec<TraceRow> = (0..STREAMS).flat_map(|number| stream(sort, number)).collect();
        let best = BASELINES.map(|(_, baseline)| theirs(&rows, baseline).cost_gbh);
        ours(&rows).cost_gbh / best.into_iter().fold(f64::INFINITY, f64::min)
    };
    let ratio = &ratio;
    let ratios: Vec<f64> = std::thread::scope(|scope| {
        let started: Vec<_> = (0..SORTS.len()).map(|sort| scope.spawn(move || ratio(sort))).collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for ((name, most, _), ratio) in SORTS.iter().zip(ratios) {
        println!("{name}: {ratio:.3} of the best baseline");
        assert!(ratio <= *most, "{name}: {ratio:.3} of the best baseline, {most} at most");
    }
}
