//! Kinds of input, told apart by the ends of their names, and the factors by which they differ.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fit::median;

/// Ends of names that say how a file is packed: what it holds stands before them.
const PACKED: [&[u8]; 9] = [b"gz", b"bgz", b"bz2", b"xz", b"zst", b"lz4", b"lzma", b"br", b"z"];
/// Longer ends are no ends but part of a name.
const LONGEST: usize = 10;
/// A kind has a factor of its own from so many results on …
const ENOUGH: usize = 8;
/// … and if it lies apart by at least this (log), and by so many standard errors.
const APART: f64 = 0.2;
const ERRORS: f64 = 3.0;
/// At most so many kinds are told apart; the rest counts as the most frequent one.
const MOST: usize = 8;
/// A factor is drawn towards 1 with few results: n / (n + 2).
const SHRINK: f64 = 2.0;
/// The exponent of size that kinds share is taken between these.
const EXPONENT: (f64, f64) = (-1.0, 2.0);
/// Factors that moved by less than this (log) are the same.
const SAME: f64 = 0.1;

/// A kind of input: the end of its name, whatever its case, with the one before it where a file is packed (`.fastq.gz`).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Kind(u32);

impl Kind {
    /// The kind of a file by its name or path; `None` where that has no end, or one that says nothing (`.001`).
    #[must_use]
    pub fn of(path: &[u8]) -> Option<Self> {
        let name = path.rsplit(|byte| *byte == b'/').next()?;
        let (stem, end) = cut(name)?;
        let packed = PACKED.iter().any(|known| end.eq_ignore_ascii_case(known));
        let before = if packed { cut(stem).map(|(_, end)| end) } else { None };
        // FNV-1a (Fowler, Noll, Vo).
        let bytes = before.unwrap_or_default().iter().chain(b".").chain(end);
        Some(Self(bytes.fold(0x811c_9dc5, |hash, byte| {
            (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
        })))
    }
}

/// What stands before the last dot and after it, if that is an end.
fn cut(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let dot = name.iter().rposition(|byte| *byte == b'.')?;
    let (stem, end) = (&name[..dot], &name[dot + 1..]);
    let says = end.iter().all(u8::is_ascii_alphanumeric) && end.iter().any(u8::is_ascii_alphabetic);
    (says && !stem.is_empty() && end.len() <= LONGEST).then_some((stem, end))
}

/// A result as kinds are told apart by it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) kind: Option<Kind>,
    /// Logarithm of the input size; NaN if unknown.
    pub(super) log_size: f64,
    /// Logarithm of the amount.
    pub(super) log: f64,
}

/// By what an amount of each kind differs from that of the most frequent one at the same size.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Factors(Vec<(Option<Kind>, f64)>);

impl Factors {
    /// The factor of a kind; 1 for one that lies not apart.
    pub(super) fn of(&self, kind: Option<Kind>) -> f64 {
        self.0.iter().find(|(known, _)| *known == kind).map_or(1.0, |(_, factor)| *factor)
    }

    /// Whether any factor differs from another's by more than a little.
    pub(super) fn moved(&self, other: &Self) -> bool {
        let kinds = self.0.iter().chain(&other.0).map(|(kind, _)| *kind);
        kinds.into_iter().any(|kind| (self.of(kind) / other.of(kind)).ln().abs() > SAME)
    }

    /// Analysis of covariance (Fisher, "Statistical methods for research workers", 1932): one exponent of size for all kinds,
    /// a level for each. Levels are medians; those that do not lie apart, or have few results, have none of their own (partial
    /// pooling).
    pub(super) fn fit(cases: &[Case]) -> Self {
        let mut groups: BTreeMap<Option<Kind>, Vec<Case>> = BTreeMap::new();
        cases.iter().for_each(|case| groups.entry(case.kind).or_default().push(*case));
        let mut groups: Vec<(Option<Kind>, Vec<Case>)> = groups.into_iter().collect();
        groups.retain(|(_, cases)| cases.len() >= ENOUGH);
        groups.sort_by_key(|(kind, cases)| (std::cmp::Reverse(cases.len()), *kind));
        groups.truncate(MOST);
        if groups.len() < 2 {
            return Self::default();
        }
        let slope = common_slope(&groups);
        let level = |case: &Case| case.log - if case.log_size.is_nan() { 0.0 } else { slope * case.log_size };
        let levels: Vec<f64> = groups
            .iter()
            .map(|(_, cases)| median(&mut cases.iter().map(level).collect::<Vec<_>>()))
            .collect();
        let mut away: Vec<f64> = groups
            .iter()
            .zip(&levels)
            .flat_map(|((_, cases), middle)| cases.iter().map(move |case| (level(case) - middle).abs()))
            .collect();
        let spread = 1.4826 * median(&mut away);
        let size = |at: usize| groups[at].1.len() as f64;
        let apart = (1..groups.len()).filter_map(|at| {
            let distance = levels[at] - levels[0];
            let error = spread * (1.0 / size(at) + 1.0 / size(0)).sqrt();
            let own = distance.abs() > APART.max(ERRORS * error);
            own.then(|| (groups[at].0, (distance * size(at) / (size(at) + SHRINK)).exp()))
        });
        Self(apart.collect())
    }
}

/// The slope of log amount on log size within kinds.
fn common_slope(groups: &[(Option<Kind>, Vec<Case>)]) -> f64 {
    let (mut xx, mut xy) = (0.0, 0.0);
    for (_, cases) in groups {
        let known: Vec<(f64, f64)> = cases
            .iter()
            .filter(|case| !case.log_size.is_nan())
            .map(|case| (case.log_size, case.log))
            .collect();
        let sums = super::fit::Sums::over(&known);
        xx += sums.xx;
        xy += sums.xy;
    }
    if xx > 1e-9 { (xy / xx).clamp(EXPONENT.0, EXPONENT.1) } else { 0.0 }
}

/// When factors are to be fitted again, and what they are.
#[derive(Clone, Debug, Default)]
pub(super) struct Kinds {
    pub(super) factors: Factors,
    since: usize,
}

impl Kinds {
    /// Results between two fits.
    const EVERY: usize = 10;

    /// A result came. New factors, where the results ask for others than before; everything is to be learned anew with these.
    pub(super) fn look(&mut self, cases: impl Iterator<Item = Case>) -> Option<Factors> {
        self.since += 1;
        if self.since < Self::EVERY {
            return None;
        }
        self.since = 0;
        let cases: Vec<Case> = cases.collect();
        let first = cases.first()?.kind;
        if cases.iter().all(|case| case.kind == first) {
            return None;
        }
        let factors = Factors::fit(&cases);
        factors.moved(&self.factors).then_some(factors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_the_end_of_a_name() {
        let same = [("a/b/reads.fastq.gz", "other.FASTQ.GZ"), ("x.txt", "dir.gz/y.TXT"), ("a.gz", "b.gz")];
        for (one, other) in same {
            assert_eq!(Kind::of(one.as_bytes()), Kind::of(other.as_bytes()), "{one} {other}");
            assert!(Kind::of(one.as_bytes()).is_some(), "{one}");
        }
        assert_ne!(Kind::of(b"x.fastq.gz"), Kind::of(b"x.txt.gz"));
        assert_ne!(Kind::of(b"x.txt"), Kind::of(b"x.txt.gz"));
        for none in ["", "name", ".hidden", "part.001", "dir.d/name", "a.", "a.much-longer-than-an-end"] {
            assert_eq!(Kind::of(none.as_bytes()), None, "{none}");
        }
    }

    fn cases(n: usize, factor: f64, noise: f64) -> Vec<Case> {
        let kind = |i: usize| Kind::of(if i.is_multiple_of(3) { b"a.gz" } else { b"a.txt" });
        let case = |i: usize| {
            let log_size = 10.0 + (i * 31 % 59) as f64 / 20.0;
            let wobble = noise * ((i * 7 % 11) as f64 / 5.0 - 1.0);
            let own = if i.is_multiple_of(3) { factor.ln() } else { 0.0 };
            Case { kind: kind(i), log_size, log: 0.8 * log_size + own + wobble }
        };
        (0..n).map(case).collect()
    }

    #[test]
    fn a_kind_that_lies_apart_has_its_factor_and_others_have_none() {
        let gz = Kind::of(b"a.gz");
        let factor = Factors::fit(&cases(90, 5.0, 0.3)).of(gz);
        assert!((4.0..5.5).contains(&factor), "{factor}");
        assert_eq!(Factors::fit(&cases(90, 1.1, 0.3)), Factors::default(), "not apart");
        assert_eq!(Factors::fit(&cases(20, 5.0, 0.0)), Factors::default(), "too few results");
    }
}
