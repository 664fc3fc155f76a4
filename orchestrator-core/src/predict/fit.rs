//! Small closed-form fits that the predictors share.

use std::cmp::Ordering;

/// Added to a size before its logarithm is taken, bytes: below it sizes no longer tell inputs apart.
const SIZE_OFFSET: f64 = 1e5;

/// The logarithm of an input size, bytes.
pub(super) fn log_size(bytes: f64) -> f64 {
    (bytes.max(0.0) + SIZE_OFFSET).ln()
}

/// A line through the weighted centre of its points: y = centre_y + slope · (x − centre_x).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Line {
    pub(super) centre_x: f64,
    pub(super) centre_y: f64,
    pub(super) slope: f64,
}

impl Line {
    pub(super) fn at(&self, x: f64) -> f64 {
        self.centre_y + self.slope * (x - self.centre_x)
    }
}

/// Sums of a least-squares fit over points with weight one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub(super) n: f64,
    pub(super) mean_x: f64,
    pub(super) mean_y: f64,
    /// Σ (x − mean)².
    pub(super) xx: f64,
    /// Σ (x − mean)(y − mean).
    pub(super) xy: f64,
}

impl Sums {
    /// In two passes, so that large means cost no digits.
    pub(super) fn over(points: &[(f64, f64)]) -> Self {
        let n = points.len() as f64;
        if points.is_empty() {
            return Self::default();
        }
        let (sum_x, sum_y) = points.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
        let (mean_x, mean_y) = (sum_x / n, sum_y / n);
        let (xx, xy) = points.iter().fold((0.0, 0.0), |(xx, xy), (x, y)| {
            let dx = x - mean_x;
            (xx + dx * dx, xy + dx * (y - mean_y))
        });
        Self { n, mean_x, mean_y, xx, xy }
    }

    /// Whether the points differ in x at all.
    pub(super) fn spread(&self) -> bool {
        self.xx > 1e-12 * (1.0 + self.mean_x * self.mean_x)
    }

    /// The ordinary least-squares line; level where x does not vary.
    pub(super) fn line(&self) -> Line {
        let slope = if self.spread() { self.xy / self.xx } else { 0.0 };
        Line { centre_x: self.mean_x, centre_y: self.mean_y, slope }
    }
}

/// Results whose input size is known.
#[derive(Clone, Debug)]
pub(super) struct Sized {
    /// (size, amount).
    pub(super) flat: Vec<(f64, f64)>,
    /// Of `flat`.
    pub(super) sums: Sums,
    /// (log size, log amount).
    pub(super) logs: Vec<(f64, f64)>,
}

impl Sized {
    /// From (size, log size, amount, log amount), where an unknown size is NaN; `None` with fewer than three known sizes, or
    /// all alike.
    pub(super) fn of(points: impl Iterator<Item = [f64; 4]>) -> Option<Self> {
        let known = points.filter(|[size, ..]| !size.is_nan());
        let (flat, logs): (Vec<_>, Vec<_>) =
            known.map(|[size, log_size, amount, log]| ((size, amount), (log_size, log))).unzip();
        let sums = Sums::over(&flat);
        (flat.len() >= 3 && sums.spread()).then_some(Self { flat, sums, logs })
    }
}

/// Iteratively reweighted least squares: `weight(residual)` of the previous line weighs each point in the next.
/// x is scaled to unit variance meanwhile, so that the two normal equations are well conditioned.
pub(super) fn reweighted(
    points: &[(f64, f64)],
    sums: &Sums,
    rounds: u32,
    weight: impl Fn(f64) -> f64,
) -> Line {
    let scale = (sums.xx / sums.n.max(1.0)).sqrt();
    if scale <= 0.0 || !sums.spread() {
        return sums.line();
    }
    let mut line = sums.line();
    for round in 0..rounds {
        let (mut s0, mut s1, mut s2, mut q0, mut q1) = (1e-9, 0.0, 1e-9, 0.0, 0.0);
        for (x, y) in points {
            let z = (x - sums.mean_x) / scale;
            let w = if round == 0 { 1.0 } else { weight(y - line.at(*x)) };
            s0 += w;
            s1 += w * z;
            s2 += w * z * z;
            q0 += w * y;
            q1 += w * z * y;
        }
        let determinant = s0 * s2 - s1 * s1;
        if determinant.abs() < 1e-12 {
            break;
        }
        let level = (q0 * s2 - q1 * s1) / determinant;
        let slope = (s0 * q1 - s1 * q0) / determinant;
        line = Line { centre_x: sums.mean_x, centre_y: level, slope: slope / scale };
    }
    line
}

/// The median; 0 of nothing. Reorders.
pub(super) fn median(values: &mut [f64]) -> f64 {
    let n = values.len();
    if n == 0 {
        return 0.0;
    }
    let (low, &mut middle, _) = values.select_nth_unstable_by(n / 2, f64::total_cmp);
    if n % 2 == 1 {
        return middle;
    }
    let below = low.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (middle + below) / 2.0
}

/// The indices of the `k` smallest distances, nearest first; equal ones in the order given.
pub(super) fn nearest(distances: &mut [(f64, u32)], k: usize) -> &[(f64, u32)] {
    let order = |a: &(f64, u32), b: &(f64, u32)| -> Ordering { a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)) };
    let k = k.min(distances.len());
    if k == 0 {
        return &[];
    }
    if k < distances.len() {
        distances.select_nth_unstable_by(k - 1, order);
    }
    let near = &mut distances[..k];
    near.sort_unstable_by(order);
    near
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_again() {
        let points: Vec<_> =
            (0..20).map(|i| (1e9 + f64::from(i) * 1e6, 3e8 + 2.0 * f64::from(i) * 1e6)).collect();
        let sums = Sums::over(&points);
        for line in [sums.line(), reweighted(&points, &sums, 6, |r| if r > 0.0 { 1.0 } else { 0.05 })] {
            assert!((line.at(1.05e9) / 4e8 - 1.0).abs() < 1e-6, "{line:?}");
        }
    }

    #[test]
    fn no_spread_gives_a_level() {
        let points = [(5.0, 1.0), (5.0, 3.0)];
        let sums = Sums::over(&points);
        assert!(!sums.spread());
        assert_eq!(reweighted(&points, &sums, 6, |_| 1.0).at(99.0), 2.0);
    }

    #[test]
    fn an_asymmetric_weight_lifts_the_line() {
        let points: Vec<_> = (0..40).map(|i| (f64::from(i), f64::from(i) + f64::from(i % 2) * 4.0)).collect();
        let sums = Sums::over(&points);
        let upper = reweighted(&points, &sums, 6, |r| if r > 0.0 { 1.0 } else { 0.05 });
        assert!(upper.at(20.0) > sums.line().at(20.0) + 1.0);
    }

    #[test]
    fn medians_and_neighbours() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
        let mut distances = [(5.0, 0), (1.0, 1), (1.0, 2), (0.5, 3)];
        assert_eq!(nearest(&mut distances, 3), &[(0.5, 3), (1.0, 1), (1.0, 2)]);
    }
}
