//! Durations, sizes and percentages as people write them.

use std::time::Duration;

use serde_json::{Value, json};

use super::scalar::{Scalar, ValueError, scalar_traits, shown};

/// A span of time, written as seconds (`2`, `0.5`) or with a unit (`500ms`, `10s`, `5m`, `2h`, `7d`).
///
/// Kept to the millisecond, at most 100 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HumanDuration(Duration);

/// The longest duration accepted: 100 years of 365 days.
const MAX_MILLIS: f64 = 100.0 * 365.0 * 86_400_000.0;

impl HumanDuration {
    /// A whole number of seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// A whole number of milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// The span as a [`Duration`].
    pub const fn get(self) -> Duration {
        self.0
    }

    /// The span in whole milliseconds.
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    /// The span in seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.0.as_secs_f64()
    }

    /// Reads `10`, `0.5`, `500ms`, `10s`, `5m`, `2h` or `7d`.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let (number, unit) = split_unit(text);
        let factor = match unit {
            "ms" => 1.0,
            "" | "s" | "sec" => 1e3,
            "m" | "min" => 60e3,
            "h" => 3_600e3,
            "d" => 86_400e3,
            _ => return None,
        };
        Self::from_millis_f64(number? * factor)
    }

    fn from_millis_f64(millis: f64) -> Option<Self> {
        // The range check makes the cast exact: 0 ≤ millis < 2^53.
        (0.0..=MAX_MILLIS).contains(&millis).then(|| Self::from_millis(millis.round() as u64))
    }
}

impl std::fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let millis = self.as_millis();
        let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
        match units.iter().find(|(size, _)| millis > 0 && millis.is_multiple_of(*size)) {
            Some((size, unit)) => write!(f, "{}{unit}", millis / size),
            None if millis == 0 => f.write_str("0s"),
            None => write!(f, "{millis}ms"),
        }
    }
}

impl Scalar for HumanDuration {
    const NAME: &'static str = "Duration";
    const FORMAT: &'static str = "duration";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        match value {
            Value::String(text) => Self::from_text(text),
            Value::Number(number) => number.as_f64().and_then(|seconds| Self::from_millis_f64(seconds * 1e3)),
            _ => None,
        }
        .ok_or_else(|| ValueError::Duration(shown(value)))
    }

    fn render(&self) -> Value {
        Value::String(self.to_string())
    }

    fn describe() -> Value {
        json!({
            "description": "A span of time: seconds as a number, or 500ms, 10s, 5m, 2h, 7d.",
            "type": ["number", "string"], "minimum": 0,
            "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*(ms|s|sec|m|min|h|d)?\s*$",
        })
    }
}

/// A number of bytes, written as a number or with a unit (`64KiB`, `10MiB`, `1GB`).
///
/// `KiB`, `MiB`, `GiB`, `TiB` (and the short `K`, `M`, `G`, `T`) count in 1024; `kB`, `MB`, `GB`, `TB` in 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(u64);

impl ByteSize {
    /// That many bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The size in bytes.
    pub const fn get(self) -> u64 {
        self.0
    }

    fn from_text(text: &str) -> Option<Self> {
        let (number, unit) = split_unit(text);
        let factor: u64 = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "kib" | "k" => 1 << 10,
            "mib" | "m" => 1 << 20,
            "gib" | "g" => 1 << 30,
            "tib" | "t" => 1 << 40,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "tb" => 1_000_000_000_000,
            _ => return None,
        };
        if let Ok(whole) = text[..text.len() - unit_part(text).len()].trim().parse::<u64>() {
            return whole.checked_mul(factor).map(Self);
        }
        Self::from_f64(number? * factor as f64)
    }

    fn from_f64(bytes: f64) -> Option<Self> {
        (0.0..9e15).contains(&bytes).then(|| Self(bytes.round() as u64))
    }
}

impl std::fmt::Display for ByteSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let units = [(1_u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match units.iter().find(|(size, _)| self.0 > 0 && self.0.is_multiple_of(*size)) {
            Some((size, unit)) => write!(f, "{}{unit}", self.0 / size),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Scalar for ByteSize {
    const NAME: &'static str = "Size";
    const FORMAT: &'static str = "size";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        match value {
            Value::String(text) => Self::from_text(text),
            Value::Number(number) => number
                .as_u64()
                .map(Self)
                .or_else(|| number.as_f64().filter(|bytes| bytes.fract() == 0.0).and_then(Self::from_f64)),
            _ => None,
        }
        .ok_or_else(|| ValueError::Size(shown(value)))
    }

    fn render(&self) -> Value {
        let text = self.to_string();
        text.parse::<u64>().map_or(Value::String(text), Value::from)
    }

    fn describe() -> Value {
        json!({
            "description": "A number of bytes: a number, or 64KiB, 10MiB, 1GB.",
            "type": ["integer", "string"], "minimum": 0,
            "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*([kKmMgGtT]([iI]?[bB])?|[bB])?\s*$",
        })
    }
}

/// A share of the machine in percent: above 0, at most 100.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Percent(f64);

impl Percent {
    /// The percentage, if it lies in (0, 100].
    pub fn new(percent: f64) -> Option<Self> {
        (percent > 0.0 && percent <= 100.0).then_some(Self(percent))
    }

    /// A percentage known when the program is written.
    pub(crate) const fn constant(percent: f64) -> Self {
        assert!(percent > 0.0 && percent <= 100.0);
        Self(percent)
    }

    /// The percentage, in (0, 100].
    pub const fn get(self) -> f64 {
        self.0
    }

    /// The share of one, in (0, 1].
    pub fn fraction(self) -> f64 {
        self.0 / 100.0
    }
}

impl Scalar for Percent {
    const NAME: &'static str = "Percent";
    const FORMAT: &'static str = "percent";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        value.as_f64().and_then(Self::new).ok_or_else(|| ValueError::Percent(shown(value)))
    }

    fn render(&self) -> Value {
        whole_or_real(self.0)
    }

    fn describe() -> Value {
        json!({
            "description": "A percentage above 0 and at most 100.",
            "type": "number", "exclusiveMinimum": 0, "maximum": 100,
        })
    }
}

/// Writes 80.0 as 80, as people do.
pub(crate) fn whole_or_real(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 9e15 {
        Value::from(number as i64)
    } else {
        Value::from(number)
    }
}

fn unit_part(text: &str) -> &str {
    let text = text.trim_end();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).len();
    &text[digits..]
}

/// Splits `1.5GiB` into its number and its unit; only plain decimal numbers count.
fn split_unit(text: &str) -> (Option<f64>, &str) {
    let trimmed = text.trim();
    let unit = unit_part(trimmed);
    let number = trimmed[..trimmed.len() - unit.len()].trim_end();
    let plain = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    (plain.then(|| number.parse().ok()).flatten(), unit)
}

scalar_traits!(HumanDuration, ByteSize, Percent);
