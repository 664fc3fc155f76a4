//! Kinds of input, told apart by the ends of their names, and the factors by which they differ.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fit::median;

/// Amounts below this are taken as this.
const SMALLEST: f64 = 1e-3;
/// Ends of names that say how a file is packed: what it holds stands before them.
const PACKED: [&[u8]; 9] = [b"gz", b"bgz", b"bz2", b"xz", b"zst", b"lz4", b"lzma", b"br", b"z"];
/// Longer ends are no ends but part of a name.
const LONGEST: usize = 10;
/// A kind has a factor of its own from so many results on …
const ENOUGH: usize = 8;
/// … and if it lies apart by at least this (log), and by so many standard errors.
const APART: f64 = 0.2;
const ERRORS: f64 = 3.0;
/// At most so many kinds are told apart; the rest counts as the reference.
const MOST: usize = 8;
/// A factor is drawn towards 1 with few results: n / (n + 2).
const SHRINK: f64 = 2.0;
/// The exponent of size that kinds share is taken between these.
const EXPONENT: (f64, f64) = (-1.0, 2.0);
/// A kind that has a factor keeps it down to this share of what it took to get one.
const STAYS: f64 = 0.5;
/// Factors that moved by less than this (log) are the same.
const SAME: f64 = 0.1;

/// A kind of input: the end of its name, whatever its case, with the one before it where a file is packed (`.fastq.gz`).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Kind(u32);

impl Kind {
    /// So many bytes at the end of a name tell its kind: two ends with their dots, and one byte more.
    pub const LOOKED_AT: usize = 2 * (LONGEST + 1) + 1;
    /// A kind that no name has: nothing is learned of it, so it never lies apart.
    pub(crate) const OTHER: Self = Self(0);

    /// The kind of a file by its name or path; `None` where that has no end, or one that says nothing (`.001`).
    #[must_use]
    pub fn of(path: &[u8]) -> Option<Self> {
        let name = path.rsplit(|byte| *byte == b'/').next()?;
        let (stem, end) = cut(name)?;
        let packed = PACKED.iter().any(|known| end.eq_ignore_ascii_case(known));
        let before = if packed { cut(stem).map(|(_, end)| end) } else { None };
        // FNV-1a (Fowler, Noll, Vo).
        let bytes = before.unwrap_or_default().iter().chain(b".").chain(end);
        let hash = bytes.fold(0x811c_9dc5, |hash, byte| {
            (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
        });
        Some(Self(hash.max(1)))
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
pub(crate) struct Case {
    pub(crate) kind: Option<Kind>,
    /// Logarithm of the input size; NaN if unknown.
    log_size: f64,
    /// Logarithm of the amount.
    log: f64,
}

impl Case {
    /// An amount of a task with an input of so many bytes, if that is known.
    pub(crate) fn new(kind: Option<Kind>, input: Option<u64>, amount: f64) -> Self {
        let log_size = input.map_or(f64::NAN, |bytes| super::fit::log_size(bytes as f64));
        Self { kind, log_size, log: amount.max(SMALLEST).ln() }
    }
}

/// By what an amount of each kind differs from that of the reference at the same size.
#[derive(Clone, Debug, Default, PartialEq)]
struct Factors(Vec<(Option<Kind>, f64)>);

impl Factors {
    /// The factor of a kind; 1 for one that lies not apart.
    fn of(&self, kind: Option<Kind>) -> f64 {
        self.0.iter().find(|(known, _)| *known == kind).map_or(1.0, |(_, factor)| *factor)
    }

    /// Whether any factor differs from another's by more than a little.
    fn moved(&self, other: &Self) -> bool {
        let kinds = self.0.iter().chain(&other.0).map(|(kind, _)| *kind);
        kinds.into_iter().any(|kind| (self.of(kind) / other.of(kind)).ln().abs() > SAME)
    }

    /// Analysis of covariance (Fisher, "Statistical methods for research workers", 1932): one exponent of size for all kinds,
    /// a level for each. Levels are medians; those that do not lie apart from the reference's, or have few results, have none of
    /// their own (partial pooling). A kind that had a factor keeps it until it lies apart by half as much only.
    fn fit(cases: &[Case], reference: &mut Option<Option<Kind>>, before: &Self) -> Self {
        let mut groups: BTreeMap<Option<Kind>, Vec<Case>> = BTreeMap::new();
        cases.iter().for_each(|case| groups.entry(case.kind).or_default().push(*case));
        let mut groups: Vec<(Option<Kind>, Vec<Case>)> = groups.into_iter().collect();
        groups.retain(|(_, cases)| cases.len() >= ENOUGH);
        let held = |kind: &Option<Kind>| *reference == Some(*kind);
        groups.sort_by_key(|(kind, cases)| (!held(kind), std::cmp::Reverse(cases.len()), *kind));
        groups.truncate(MOST);
        if groups.len() < 2 {
            return Self::default();
        }
        *reference = Some(groups[0].0);
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
            let had = before.0.iter().any(|(kind, _)| *kind == groups[at].0);
            let own = distance.abs() > APART.max(ERRORS * error) * if had { STAYS } else { 1.0 };
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
pub(crate) struct Kinds {
    factors: Factors,
    /// The kind that the others' factors are relative to: once chosen it stays so while it has results enough, for if it changed
    /// with which kind is the most frequent, everything would be another multiple each time.
    reference: Option<Option<Kind>>,
    since: usize,
}

impl Kinds {
    /// Results between two fits.
    const EVERY: usize = 10;

    /// Of several that learn of the same results, those in other turns (below ten) fit at other results.
    pub(crate) fn in_turn(turn: usize) -> Self {
        Self { since: turn, ..Self::default() }
    }

    /// The factor of a kind; 1 for one that lies not apart.
    pub(crate) fn of(&self, kind: Option<Kind>) -> f64 {
        self.factors.of(kind)
    }

    /// The kinds that lie apart: those with a factor.
    pub(crate) fn apart(&self) -> impl Iterator<Item = Option<Kind>> + '_ {
        self.factors.0.iter().map(|(kind, _)| *kind)
    }

    /// A result came. Whether it is time to fit the factors again.
    pub(crate) fn due(&mut self) -> bool {
        self.since += 1;
        let due = self.since >= Self::EVERY;
        if due {
            self.since = 0;
        }
        due
    }

    /// Fits the factors to these results; amounts are as they were, not divided. Whether factors are others now, so that what
    /// was learned of results divided by them is to be learned anew.
    pub(crate) fn fit(&mut self, cases: impl Iterator<Item = Case> + Clone) -> bool {
        let mut kinds = cases.clone().map(|case| case.kind);
        let Some(first) = kinds.next() else { return false };
        if kinds.all(|kind| kind == first) {
            return false;
        }
        let cases: Vec<Case> = cases.collect();
        let factors = Factors::fit(&cases, &mut self.reference, &self.factors);
        let moved = factors.moved(&self.factors);
        if moved {
            self.factors = factors;
        }
        moved
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
        let fit = |cases: &[Case]| Factors::fit(cases, &mut None, &Factors::default());
        let factor = fit(&cases(90, 5.0, 0.3)).of(gz);
        assert!((4.0..5.5).contains(&factor), "{factor}");
        assert_eq!(fit(&cases(90, 1.1, 0.3)), Factors::default(), "not apart");
        assert_eq!(fit(&cases(20, 5.0, 0.0)), Factors::default(), "too few results");
    }

    /// As many of one kind as of another, now a few more of these, now of those: what is 1 stays 1.
    #[test]
    fn the_reference_stays_while_kinds_take_the_lead_in_turns() {
        let (txt, gz) = (Kind::of(b"a.txt"), Kind::of(b"a.gz"));
        let mut kinds = Kinds::default();
        let mut moves = 0;
        for round in 0..40u64 {
            let window = (round..round + 60).map(|i| {
                // Runs of ten, in which one or the other comes twice as often.
                let packed = if i / 10 % 2 == 0 { i % 3 != 0 } else { i % 3 == 0 };
                let (kind, factor) = if packed { (gz, 5.0) } else { (txt, 1.0) };
                let size = 1_000_000 + i * 31 % 59 * 100_000;
                Case::new(kind, Some(size), factor * size as f64)
            });
            moves += u32::from(kinds.fit(window));
        }
        let ratio = kinds.of(gz) / kinds.of(txt);
        assert!((4.0..5.5).contains(&ratio) && moves <= 2, "{ratio} after {moves} moves");
    }
}
