//! Classes of inputs: by kind and by size, in eighths of an octave, so that a class is 9 % wide, and one for sizes that nobody
//! knows.

use crate::Bytes;
use crate::predict::{Features, Kind};

/// How many classes there are.
pub(super) const CLASSES: usize = 64 * 8 + 1;
const UNKNOWN: usize = CLASSES - 1;

/// The class of an input's size.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct SizeClass(u16);

impl SizeClass {
    /// Sizes that nobody knows.
    pub const UNKNOWN: Self = Self(UNKNOWN as u16);

    /// The class of a size in bytes; `None` = unknown.
    #[must_use]
    pub fn of(size: Option<u64>) -> Self {
        let Some(size) = size else { return Self::UNKNOWN };
        let size = size.max(1);
        let octave = size.ilog2();
        // The three bits below the leading one.
        let eighth = if octave >= 3 { size >> (octave - 3) & 7 } else { size << (3 - octave) & 7 };
        Self((octave * 8 + eighth as u32) as u16)
    }

    /// Its position among all classes.
    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The middle of its sizes, bytes; `None` for unknown ones.
    #[must_use]
    pub fn middle(self) -> Option<u64> {
        if self == Self::UNKNOWN {
            return None;
        }
        let (octave, eighth) = (i32::from(self.0 / 8), f64::from(self.0 % 8));
        Some((2f64.powi(octave) * (1.0 + (eighth + 0.5) / 8.0)) as u64)
    }
}

/// What is expected of a task goes by this: its input's kind and size class.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Class {
    /// 0 = the rest.
    sort: u8,
    pub(super) size: SizeClass,
}

impl Class {
    /// Its position among all classes.
    pub(super) fn index(self) -> usize {
        usize::from(self.sort) * CLASSES + self.size.index()
    }

    pub(super) fn at(index: usize) -> Self {
        Self { sort: (index / CLASSES) as u8, size: SizeClass((index % CLASSES) as u16) }
    }

    /// The same size of the rest.
    pub(super) fn of_the_rest(self) -> Self {
        Self { sort: 0, ..self }
    }
}

/// The kinds that are told apart, names without an end among them: the first that come, for what came under a class leaves
/// by it. The others are the rest, of which nothing is expected but what holds for kinds that do not lie apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Sorts(Vec<Option<Kind>>);

impl Sorts {
    pub(super) const MOST: usize = 31;

    /// The class of an input. The same input has the same class ever after.
    pub(super) fn class(&mut self, features: &Features) -> Class {
        let size = SizeClass::of(features.input.map(|bytes| bytes.0));
        let known = self.0.iter().position(|known| *known == features.kind);
        let sort = known.or_else(|| {
            (self.0.len() < Self::MOST).then(|| {
                self.0.push(features.kind);
                self.0.len() - 1
            })
        });
        Class { sort: sort.map_or(0, |sort| sort as u8 + 1), size }
    }

    /// The kind of a class.
    pub(super) fn kind(&self, class: Class) -> Option<Kind> {
        let known = usize::from(class.sort).checked_sub(1).and_then(|at| self.0.get(at)).copied();
        known.unwrap_or(Some(Kind::OTHER))
    }

    /// A typical input of a class.
    pub(super) fn typical(&self, class: Class) -> Features {
        Features { input: class.size.middle().map(Bytes), kind: self.kind(class), ..Features::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_narrow_and_classes_grow_with_size() {
        for size in [0, 1, 2, 3, 7, 8, 9, 1000, 123_456_789, u64::MAX / 3, u64::MAX] {
            let class = SizeClass::of(Some(size));
            assert!(class.index() < UNKNOWN, "{size}");
            let middle = class.middle().unwrap() as f64;
            assert!(size < 9 || (middle / size as f64 - 1.0).abs() < 0.07, "{size} {middle}");
        }
        let sizes = (0..64).map(|octave| 1u64 << octave);
        assert!(sizes.map(|size| SizeClass::of(Some(size))).is_sorted_by(|a, b| a < b));
        assert_eq!(SizeClass::of(None).middle(), None);
    }

    #[test]
    fn an_input_keeps_its_class_and_a_class_tells_its_kind() {
        let mut sorts = Sorts::default();
        let names = (0..40).map(|at| if at == 5 { "x".to_owned() } else { format!("x.kind{at}") });
        let inputs: Vec<Features> = names
            .map(|name| Features { kind: Kind::of(name.as_bytes()), ..Features::sized(Bytes(1000)) })
            .collect();
        let classes: Vec<Class> = inputs.iter().map(|input| sorts.class(input)).collect();
        for (at, (input, class)) in inputs.iter().zip(&classes).enumerate() {
            assert_eq!(sorts.class(input), *class);
            assert_eq!(Class::at(class.index()), *class);
            let kind = sorts.typical(*class).kind;
            assert_eq!(kind, if at < Sorts::MOST { input.kind } else { Some(Kind::OTHER) }, "{at}");
        }
    }
}
