//! Which inputs to take first.

/// The `n`-th quantile (0-based) of a sequence that spreads evenly from the first term on: 1/2, 1/4, 3/4, 1/8, …
/// (van der Corput, base 2). Calibration takes its inputs at these quantiles of size, the median first.
#[must_use]
pub fn spread_quantile(n: u32) -> f64 {
    let (mut n, mut denominator, mut value) = (n.saturating_add(1), 1.0, 0.0);
    while n > 0 {
        denominator *= 2.0;
        value += f64::from(n & 1) / denominator;
        n >>= 1;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_spread_from_the_first_on() {
        assert_eq!([0, 1, 2, 3].map(spread_quantile), [0.5, 0.25, 0.75, 0.125]);
    }
}
