//! The same complaint is not repeated every second.

use std::collections::HashMap;

/// Decides which of equal complaints are worth a line: the first, and then whenever their number has grown tenfold.
#[derive(Debug, Default)]
pub(crate) struct Complaints(HashMap<&'static str, Tally>);

#[derive(Debug)]
struct Tally {
    count: u64,
    next: u64,
}

impl Complaints {
    /// Counts `more` complaints of a kind; returns their number so far where that is worth a line.
    pub(crate) fn count(&mut self, kind: &'static str, more: u64) -> Option<u64> {
        let tally = self.0.entry(kind).or_insert(Tally { count: 0, next: 1 });
        tally.count = tally.count.saturating_add(more);
        if more == 0 || tally.count < tally.next {
            return None;
        }
        while tally.next <= tally.count {
            tally.next = tally.next.saturating_mul(10);
            if tally.next == u64::MAX {
                break;
            }
        }
        Some(tally.count)
    }
}

#[cfg(test)]
mod tests {
    use super::Complaints;

    #[test]
    fn the_first_and_then_every_tenfold_is_told() {
        let mut complaints = Complaints::default();
        let told: Vec<u64> = (0..1000).filter_map(|_| complaints.count("a", 1)).collect();
        assert_eq!(told, [1, 10, 100, 1000]);
        assert_eq!(complaints.count("b", 25), Some(25));
        assert_eq!(complaints.count("b", 0), None);
        assert_eq!(complaints.count("b", 75), Some(100));
        assert_eq!(complaints.count("b", u64::MAX), Some(u64::MAX));
    }
}
