//! What others allocate: the baselines that the predictor is held against.

use std::cell::Cell;

/// One known result.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) input: f64,
    pub(crate) peak: f64,
    pub(crate) seconds: f64,
}

/// From the known results of a stream (at least one) and the next task's input size (−1 = unknown) and request (0 =
/// none) to a ladder; past its end it doubles.
pub(crate) type Baseline = fn(&[Known], f64, f64) -> Vec<f64>;

/// All of them by name.
pub(crate) const BASELINES: [(&str, Baseline); 6] = [
    ("P95", p95),
    ("LR-std", |known, x, _| vec![regression(known, x, rms)]),
    ("LR-max", |known, x, _| vec![regression(known, x, |residuals| largest(residuals.iter().copied()))]),
    ("Tovar", |known, _, _| vec![first_allocation(known), max_peak(known)]),
    ("Tovar+doubling", |known, _, _| vec![first_allocation(known)]),
    ("Ponder", ponder),
];

fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, f64::max)
}

fn max_peak(known: &[Known]) -> f64 {
    largest(known.iter().map(|one| one.peak))
}

fn rms(values: &[f64]) -> f64 {
    (values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64).sqrt()
}

/// 95th percentile of the peaks, linearly interpolated.
fn p95(known: &[Known], _: f64, _: f64) -> Vec<f64> {
    let mut peaks: Vec<f64> = known.iter().map(|one| one.peak).collect();
    peaks.sort_by(f64::total_cmp);
    let place = 0.95 * (peaks.len() - 1) as f64;
    let (below, share) = (place as usize, place.fract());
    let above = peaks[(below + 1).min(peaks.len() - 1)];
    vec![peaks[below] + share * (above - peaks[below])]
}

/// Level, slope and Pearson correlation of peak on input size; `None` with fewer than three results or equal sizes.
fn line(known: &[Known]) -> Option<(f64, f64, f64)> {
    let n = known.len() as f64;
    let (mx, my) =
        (known.iter().map(|k| k.input).sum::<f64>() / n, known.iter().map(|k| k.peak).sum::<f64>() / n);
    let sum = |f: &dyn Fn(&Known) -> f64| known.iter().map(f).sum::<f64>();
    let xx = sum(&|k| (k.input - mx).powi(2));
    let yy = sum(&|k| (k.peak - my).powi(2));
    let xy = sum(&|k| (k.input - mx) * (k.peak - my));
    let usable = known.len() >= 3 && xx > 0.0;
    usable.then(|| (my - xy / xx * mx, xy / xx, if yy > 0.0 { xy / (xx * yy).sqrt() } else { 0.0 }))
}

/// Linear regression plus an offset from its residuals (Witt et al., "Feedback-Based Resource Allocation for Batch
/// Scheduling of Scientific Workflows", HPCS 2019).
fn regression(known: &[Known], x: f64, offset: impl Fn(&[f64]) -> f64) -> f64 {
    let mean = known.iter().map(|k| k.peak).sum::<f64>() / known.len() as f64;
    let (level, slope, _) = line(known).unwrap_or((mean, 0.0, 0.0));
    let residuals: Vec<f64> = known.iter().map(|k| k.peak - level - slope * k.input).collect();
    (level + slope * x + offset(&residuals)).max(1e6)
}

/// The allocation of least expected waste when the second attempt gets the largest peak seen (Tovar et al., "A Job Sizing
/// Strategy for High-Throughput Scientific Workflows", IEEE TPDS 2018).
fn first_allocation(known: &[Known]) -> f64 {
    let mut sorted = known.to_vec();
    sorted.sort_by(|a, b| a.peak.total_cmp(&b.peak));
    let max = max_peak(known);
    let total: f64 = sorted.iter().map(|k| k.seconds).sum();
    let covered = Cell::new(0.0);
    let waste = |k: &Known| {
        covered.set(covered.get() + k.seconds);
        k.peak * total + max * (total - covered.get())
    };
    let costs: Vec<(f64, f64)> = sorted.iter().map(|k| (waste(k), k.peak)).collect();
    costs.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).map_or(max, |(_, peak)| peak)
}

/// After Lehmann et al., "Ponder: Online Prediction of Task Memory Requirements for Scientific Workflows" (2024): the
/// request until five results are known; then, where size and peak correlate, an asymmetric regression plus two standard
/// deviations, else a margin above the largest peak.
fn ponder(known: &[Known], x: f64, request: f64) -> Vec<f64> {
    let max = max_peak(known);
    if known.len() < 5 {
        return vec![if request > 0.0 { request } else { 4e9 }.max(1.1 * max)];
    }
    if line(known).is_none_or(|(_, _, correlation)| correlation < 0.3) {
        return vec![(1.1 * max).max(max + 64e6).max(128e6)];
    }
    let n = known.len() as f64;
    let mean = known.iter().map(|k| k.input).sum::<f64>() / n;
    let scale = (known.iter().map(|k| (k.input - mean).powi(2)).sum::<f64>() / n).sqrt();
    let (mut level, mut slope) = (0.0, 0.0);
    let mut weights = vec![1.0; known.len()];
    for _ in 0..8 {
        let (mut s0, mut s1, mut s2, mut q0, mut q1) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (k, w) in known.iter().zip(&weights) {
            let z = (k.input - mean) / scale;
            s0 += w;
            s1 += w * z;
            s2 += w * z * z;
            q0 += w * k.peak;
            q1 += w * z * k.peak;
        }
        let determinant = s0 * s2 - s1 * s1;
        if determinant.abs() < 1e-9 {
            break;
        }
        level = (q0 * s2 - q1 * s1) / determinant;
        slope = (s0 * q1 - s1 * q0) / determinant;
        for (k, w) in known.iter().zip(&mut weights) {
            *w = if k.peak > level + slope * (k.input - mean) / scale { 1.0 } else { 0.1 };
        }
    }
    let at = |x: f64| level + slope * (x - mean) / scale;
    let residuals: Vec<f64> = known.iter().map(|k| k.peak - at(k.input)).collect();
    let smallest = known.iter().map(|k| k.peak).fold(f64::MAX, f64::min);
    vec![(at(x) + 2.0 * rms(&residuals)).max(128e6).max(smallest)]
}
