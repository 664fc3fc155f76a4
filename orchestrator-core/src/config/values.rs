//! Values with a notation of their own: limits, thresholds, causes of failure, patterns, text.

use serde_json::{Value, json};

use super::scalar::{Scalar, ValueError, scalar_traits, shown};
use super::signal::Signal;
use super::units::{HumanDuration, whole_or_real};
use crate::scheduler::{FailureCategory, FailureReason};

/// How long something may run: a fixed time, or a part of the median run time of the attempts that succeeded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TimeLimit {
    /// A fixed time.
    Absolute(HumanDuration),
    /// Percent of the running median (200 means twice as long as the median); above 0.
    OfMedian(f64),
}

impl Scalar for TimeLimit {
    const NAME: &'static str = "TimeLimit";
    const FORMAT: &'static str = "time-limit";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        let refused = || ValueError::TimeLimit(shown(value));
        if let Some(percent) = value.as_str().and_then(percent_text) {
            return percent.filter(|p| *p > 0.0).map(Self::OfMedian).ok_or_else(refused);
        }
        let limit = HumanDuration::parse(value).map_err(|_| refused())?;
        if limit.as_millis() == 0 { Err(refused()) } else { Ok(Self::Absolute(limit)) }
    }

    fn render(&self) -> Value {
        match self {
            Self::Absolute(limit) => limit.render(),
            Self::OfMedian(percent) => Value::String(format!("{}%", whole_or_real(*percent))),
        }
    }

    fn describe() -> Value {
        json!({
            "description": "A duration such as 10m, or a part of the median run time such as 200%.",
            "type": ["number", "string"], "exclusiveMinimum": 0,
        })
    }
}

/// A number of tasks: a count (`5`) or a share of all (`10%`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// That many tasks, at least 1.
    Count(u64),
    /// That share of all tasks in percent, in (0, 100].
    Share(f64),
}

impl Threshold {
    /// Whether `count` of `total` tasks reach the threshold. A share is not reached by 0 tasks.
    pub fn reached(self, count: u64, total: u64) -> bool {
        match self {
            Self::Count(limit) => count >= limit,
            Self::Share(percent) => count > 0 && count as f64 * 100.0 >= percent * total as f64,
        }
    }
}

impl Scalar for Threshold {
    const NAME: &'static str = "Threshold";
    const FORMAT: &'static str = "threshold";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        let share = value.as_str().and_then(percent_text);
        let count = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
        match (share, count) {
            (Some(Some(percent)), _) if percent > 0.0 && percent <= 100.0 => Ok(Self::Share(percent)),
            (None, Some(count)) if count > 0 => Ok(Self::Count(count)),
            _ => Err(ValueError::Threshold(shown(value))),
        }
    }

    fn render(&self) -> Value {
        match self {
            Self::Count(count) => Value::from(*count),
            Self::Share(percent) => Value::String(format!("{}%", whole_or_real(*percent))),
        }
    }

    fn describe() -> Value {
        json!({
            "description": "A number of tasks: a count such as 5, or a share of all tasks such as 10%.",
            "type": ["integer", "string"], "minimum": 1,
            "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*%?\s*$",
        })
    }
}

/// A kind of failure that a retry rule names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RetryCause {
    /// This exit code, from 1 to 255.
    ExitCode(u8),
    /// This signal ended the process.
    SignalNamed(Signal),
    /// One of the named kinds.
    Kind(FailureCategory),
}

const CAUSES: &str = "exit, signal, oom, timeout, stuck, invalid_output, spawn, disk_full, input, config";

const KINDS: [(&str, FailureCategory); 10] = [
    ("exit", FailureCategory::ExitCode),
    ("signal", FailureCategory::Signal),
    ("oom", FailureCategory::Oom),
    ("timeout", FailureCategory::Timeout),
    ("stuck", FailureCategory::Stuck),
    ("invalid_output", FailureCategory::InvalidOutput),
    ("spawn", FailureCategory::Spawn),
    ("disk_full", FailureCategory::DiskFull),
    ("input", FailureCategory::Input),
    ("config", FailureCategory::Config),
];

impl RetryCause {
    /// Whether the rule names this failure.
    pub fn matches(self, reason: &FailureReason) -> bool {
        match (self, reason) {
            (Self::ExitCode(code), FailureReason::ExitCode(found)) => i32::from(code) == *found,
            (Self::SignalNamed(signal), FailureReason::Signal(found)) => signal.number() == *found,
            (Self::Kind(kind), _) => kind == reason.category(),
            _ => false,
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        let text = text.trim();
        let kind = KINDS.iter().find(|(name, _)| *name == text.replace('-', "_"));
        kind.map(|(_, kind)| Self::Kind(*kind))
            .or_else(|| text.parse().ok().and_then(Self::from_code))
            .or_else(|| Signal::from_name(text).map(Self::SignalNamed))
    }

    fn from_code(code: u8) -> Option<Self> {
        (code > 0).then_some(Self::ExitCode(code))
    }
}

impl Scalar for RetryCause {
    const NAME: &'static str = "FailureCause";
    const FORMAT: &'static str = "failure-cause";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        match value {
            Value::String(text) => Self::from_text(text),
            _ => value.as_u64().and_then(|code| u8::try_from(code).ok()).and_then(Self::from_code),
        }
        .ok_or_else(|| ValueError::Cause(shown(value), CAUSES))
    }

    fn render(&self) -> Value {
        match self {
            Self::ExitCode(code) => Value::from(*code),
            Self::SignalNamed(signal) => Value::String(signal.to_string()),
            Self::Kind(kind) => KINDS
                .iter()
                .find(|(_, known)| known == kind)
                .map_or(Value::Null, |(name, _)| Value::from(*name)),
        }
    }

    fn describe() -> Value {
        json!({
            "description": format!("A cause of failure: an exit code, a signal name such as SIGSEGV, or one of {CAUSES}."),
            "type": ["string", "integer"], "minimum": 1, "maximum": 255,
            "examples": ["exit", "signal", "oom", "timeout", "stuck", "invalid_output", "spawn", "disk_full", "SIGSEGV", 75],
        })
    }
}

/// A file name pattern (glob): `*`, `?`, `[a-z]`, `{a,b}`, `**`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GlobPattern(String);

impl GlobPattern {
    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The pattern `*`.
    pub(crate) fn any() -> Self {
        Self("*".to_owned())
    }
}

impl Scalar for GlobPattern {
    const NAME: &'static str = "Glob";
    const FORMAT: &'static str = "glob";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        let text = value.as_str().ok_or_else(|| ValueError::Text(shown(value)))?;
        match globset::Glob::new(text) {
            Ok(_) if !text.is_empty() => Ok(Self(text.to_owned())),
            Ok(_) => Err(ValueError::Glob { glob: text.to_owned(), reason: "it is empty".to_owned() }),
            Err(error) => Err(ValueError::Glob { glob: text.to_owned(), reason: error.kind().to_string() }),
        }
    }

    fn render(&self) -> Value {
        Value::String(self.0.clone())
    }

    fn describe() -> Value {
        json!({
            "description": "A file name pattern: *, ?, [a-z], {a,b}, **.",
            "type": "string", "minLength": 1,
        })
    }
}

/// The largest number of processes at a time; `auto` (or null) leaves it to the capacity plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limit(Option<u32>);

impl Limit {
    /// No limit of its own.
    pub const AUTO: Self = Self(None);

    /// At most that many, at least 1.
    pub fn at_most(limit: u32) -> Self {
        Self(Some(limit.max(1)))
    }

    /// The limit; none means `auto`.
    pub const fn get(self) -> Option<u32> {
        self.0
    }
}

impl Scalar for Limit {
    const NAME: &'static str = "ConcurrencyLimit";
    const FORMAT: &'static str = "concurrency-limit";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        match value {
            Value::Null => Some(Self::AUTO),
            Value::String(text) if text.trim() == "auto" => Some(Self::AUTO),
            Value::String(text) => text.trim().parse().ok().filter(|n| *n > 0).map(Self::at_most),
            _ => value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0).map(Self::at_most),
        }
        .ok_or_else(|| ValueError::Limit(shown(value)))
    }

    fn render(&self) -> Value {
        self.0.map_or_else(|| Value::from("auto"), Value::from)
    }

    fn describe() -> Value {
        json!({
            "description": "A number of processes from 1, or auto.",
            "type": ["integer", "string", "null"], "minimum": 1,
            "pattern": r"^\s*(auto|[0-9]+)\s*$",
        })
    }
}

/// `Some(Some(n))` for `n%`, `Some(None)` for a broken percentage, `None` for text without a percent sign.
fn percent_text(text: &str) -> Option<Option<f64>> {
    let number = text.trim().strip_suffix('%')?.trim_end();
    let plain = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    Some(plain.then(|| number.parse::<f64>().ok().filter(|p| p.is_finite())).flatten())
}

scalar_traits!(TimeLimit, Threshold, RetryCause, GlobPattern, Limit);
