//! Classes of input size: eighths of an octave, so that a class is 9 % wide, and one for sizes that nobody knows.

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

    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..CLASSES as u16).map(Self)
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
}
