//! What waits, by size.

use super::classes::{CLASSES, SizeClass};

/// Waiting tasks by size class. A task leaves by the class under which it came.
#[derive(Clone, Debug)]
pub(super) struct Backlog {
    counts: Box<[u32]>,
    total: u64,
}

impl Default for Backlog {
    fn default() -> Self {
        Self { counts: vec![0; CLASSES].into(), total: 0 }
    }
}

impl Backlog {
    pub(super) fn add(&mut self, class: SizeClass) {
        self.counts[class.index()] += 1;
        self.total += 1;
    }

    /// A task that never came changes nothing.
    pub(super) fn remove(&mut self, class: SizeClass) {
        let count = &mut self.counts[class.index()];
        if *count > 0 {
            *count -= 1;
            self.total -= 1;
        }
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The classes that occur, smallest first, unknown sizes last.
    pub(super) fn classes(&self) -> impl Iterator<Item = (SizeClass, u64)> + '_ {
        SizeClass::all()
            .map(|class| (class, u64::from(self.counts[class.index()])))
            .filter(|(_, count)| *count > 0)
    }

    /// The class in the middle of those of known size that wait; unknown if there is none.
    pub(super) fn typical(&self) -> SizeClass {
        let known = self.total - u64::from(self.counts[SizeClass::UNKNOWN.index()]);
        let mut before = 0;
        let middle = self.classes().find(|(_, count)| {
            before += count;
            2 * before >= known
        });
        middle.filter(|_| known > 0).map_or(SizeClass::UNKNOWN, |(class, _)| class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_leaves_and_the_middle_is_of_known_sizes() {
        let mut backlog = Backlog::default();
        let of = |size| SizeClass::of(Some(size));
        for size in [10, 1_000, 1_000, 1_000_000] {
            backlog.add(of(size));
        }
        (0..50).for_each(|_| backlog.add(SizeClass::UNKNOWN));
        assert_eq!((backlog.total(), backlog.typical()), (54, of(1_000)));
        backlog.remove(of(77));
        backlog.remove(of(10));
        assert_eq!((backlog.total(), backlog.classes().count()), (53, 3));
        assert_eq!(Backlog::default().typical(), SizeClass::UNKNOWN);
    }
}
