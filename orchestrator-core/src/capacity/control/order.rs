//! In which order to run inputs of known size.
//!
//! First a dozen at spread quantiles of size, the smaller ones first: ordinary work that calibrates the laws at no cost.
//! Of less than a hundred inputs the very largest comes before these, of less than two dozen all run largest first but for three
//! small ones. The largest tenth runs within the first part of the rest, so that no lone long task is left at the end; the smallest
//! seventh comes last, to fill the gaps of the tail. The rest is shuffled: sorted by size, all tasks would go through
//! their phases in step, and all memory peaks would meet.

/// Quantiles of size of the first inputs.
const FIRST: [f64; 12] = [0.05, 0.2, 0.35, 0.5, 0.1, 0.3, 0.6, 0.15, 0.4, 0.7, 0.25, 0.8];
/// Of fewer inputs than this the largest comes before those: what it needs and how long it takes tells most, and where all take no
/// longer than a few of it nothing else is in time.
const LARGEST_FIRST: usize = 100;
/// Of fewer than this only so many calibrate, the last of these first, and the others run largest first.
const FEWEST: usize = 24;
const FIRST_OF_FEW: [f64; 3] = [0.4, 0.25, 0.1];
/// Share of the inputs that comes last: the smallest.
const LAST: f64 = 0.15;
/// Share of the rest that counts as large, and the share of the others among which they run; of few inputs more of them and
/// earlier: a long one that begins late is more of the whole.
const LARGE: f64 = 0.1;
const AMONG: f64 = 0.6;
const LARGE_OF_FEW: f64 = 0.25;
const AMONG_OF_FEW: f64 = 0.4;

/// A good order of inputs of these sizes: positions in `sizes`. `below(n)` gives a random number below n.
pub fn arrange(sizes: &[u64], mut below: impl FnMut(usize) -> usize) -> Vec<usize> {
    let mut sorted: Vec<usize> = (0..sizes.len()).collect();
    if sizes.len() < FEWEST {
        return few(sizes, sorted);
    }
    sorted.sort_by_key(|at| sizes[*at]);
    let n = sorted.len();
    let mut order: Vec<usize> = FIRST.iter().map(|q| sorted[(q * n as f64) as usize]).collect();
    let mut shares = (LARGE, AMONG);
    if n < LARGEST_FIRST {
        order.insert(0, sorted[n - 1]);
        shares = (LARGE_OF_FEW, AMONG_OF_FEW);
    }
    let first: std::collections::BTreeSet<usize> = order.iter().copied().collect();
    let (small, rest) = sorted.split_at((LAST * n as f64) as usize);
    let rest: Vec<usize> = rest.iter().copied().filter(|at| !first.contains(at)).collect();
    let large = ((1.0 - shares.0) * rest.len() as f64) as usize;
    let mut middle = rest[..large].to_vec();
    shuffle(&mut middle, &mut below);
    let among = (shares.1 * middle.len() as f64) as usize;
    let mut early = middle[..among].to_vec();
    early.extend_from_slice(&rest[large..]);
    shuffle(&mut early, &mut below);
    order.extend(early);
    order.extend_from_slice(&middle[among..]);
    order.extend(small.iter().rev().copied().filter(|at| !first.contains(at)));
    order
}

/// The largest first (Graham 1969): what is left of a long one at the end costs more than phases in step. Beside it a few small ones
/// calibrate; the others fill the gaps.
fn few(sizes: &[u64], mut order: Vec<usize>) -> Vec<usize> {
    order.sort_by_key(|at| (std::cmp::Reverse(sizes[*at]), *at));
    let n = order.len();
    for quantile in FIRST_OF_FEW.iter().take(n / 3) {
        let at = ((1.0 - quantile) * n as f64) as usize;
        let one = order.remove(at.min(n - 1));
        order.insert(1, one);
    }
    order
}

fn shuffle(items: &mut [usize], below: &mut impl FnMut(usize) -> usize) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(last + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_comes_once_and_the_smallest_last() {
        let sizes: Vec<u64> = (0..200).map(|i| i * 37 % 200).collect();
        let mut state = 1u64;
        let order = arrange(&sizes, |end| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % end
        });
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..200).collect::<Vec<_>>());
        assert!(order[180..].iter().all(|at| sizes[*at] < 30));
        assert!(order[..4].iter().map(|at| sizes[*at]).is_sorted());
        assert!(order[140..].iter().all(|at| sizes[*at] < 185), "no large one is left for the end");
    }

    #[test]
    fn however_many_there_are_each_comes_once() {
        for n in 0..=120 {
            let sizes: Vec<u64> = (0..n).map(|i| i * 31 % 97).collect();
            let mut order = arrange(&sizes, |end| end - 1);
            order.sort_unstable();
            assert_eq!(order, (0..n as usize).collect::<Vec<_>>(), "of {n}");
        }
    }

    #[test]
    fn of_few_inputs_the_largest_come_early() {
        assert_eq!(arrange(&[3, 1, 2, 3], |_| 0), [0, 2, 3, 1]);
        let sizes: Vec<u64> = (0..13).map(|i| i * 7 % 13).collect();
        let order: Vec<u64> = arrange(&sizes, |_| 0).into_iter().map(|at| sizes[at]).collect();
        assert_eq!(order, [12, 1, 3, 5, 11, 10, 9, 8, 7, 6, 4, 2, 0]);
        let sizes: Vec<u64> = (0..60).map(|i| i * 7 % 60).collect();
        let order = arrange(&sizes, |_| 0);
        assert_eq!((sizes[order[0]], sizes[order[1]]), (59, 3), "{order:?}");
    }
}
