//! What waits, by kind and size.

use super::classes::{CLASSES, Class, SizeClass};

/// Waiting tasks by class. A task leaves by the class under which it came.
#[derive(Clone, Debug, Default)]
pub(super) struct Backlog {
    /// Of each kind of input, as far as any came, all sizes.
    counts: Vec<u32>,
    total: u64,
}

impl Backlog {
    pub(super) fn add(&mut self, class: Class) {
        if self.counts.len() <= class.index() {
            self.counts.resize((class.index() / CLASSES + 1) * CLASSES, 0);
        }
        self.counts[class.index()] += 1;
        self.total += 1;
    }

    /// A task that never came changes nothing.
    pub(super) fn remove(&mut self, class: Class) {
        if let Some(count) = self.counts.get_mut(class.index()).filter(|count| **count > 0) {
            *count -= 1;
            self.total -= 1;
        }
    }

    /// How many classes there is room for.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.counts.len()
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The classes that occur; of each kind smallest first, unknown sizes last.
    pub(super) fn classes(&self) -> impl Iterator<Item = (Class, u64)> + '_ {
        let each = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        each.map(|(at, count)| (Class::at(at), u64::from(*count)))
    }

    /// Of the kind of which most wait the class in the middle of those of known size; of unknown size if there is none.
    pub(super) fn typical(&self) -> Class {
        let of_kind = |counts: &[u32]| counts.iter().map(|count| u64::from(*count)).sum::<u64>();
        let kinds = self.counts.chunks(CLASSES).enumerate();
        let Some((kind, counts)) = kinds.rev().max_by_key(|(_, counts)| of_kind(counts)) else {
            return Class::at(SizeClass::UNKNOWN.index());
        };
        let known = &counts[..SizeClass::UNKNOWN.index()];
        let (all, mut before) = (of_kind(known), 0);
        let middle = known.iter().position(|count| {
            before += u64::from(*count);
            *count > 0 && 2 * before >= all
        });
        Class::at(kind * CLASSES + middle.unwrap_or(SizeClass::UNKNOWN.index()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_leaves_and_the_middle_is_of_known_sizes() {
        let mut backlog = Backlog::default();
        let of = |size| Class::at(SizeClass::of(Some(size)).index());
        for size in [10, 1_000, 1_000, 1_000_000] {
            backlog.add(of(size));
        }
        (0..50).for_each(|_| backlog.add(Class::at(SizeClass::UNKNOWN.index())));
        assert_eq!((backlog.total(), backlog.typical()), (54, of(1_000)));
        backlog.remove(of(77));
        backlog.remove(of(10));
        assert_eq!((backlog.total(), backlog.classes().count()), (53, 3));
        assert_eq!(Backlog::default().typical().size, SizeClass::UNKNOWN);
    }
}
