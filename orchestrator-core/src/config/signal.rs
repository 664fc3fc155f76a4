//! Signals by name and number (Linux numbering on x86-64 and AArch64, see signal(7)).

use serde_json::{Value, json};

use super::scalar::{Scalar, ValueError, scalar_traits, shown};

/// Names in order of their numbers, from 1.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// A signal, written `SIGTERM`, `TERM` or `15`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signal(u8);

impl Signal {
    /// `SIGTERM`, 15.
    pub const TERM: Self = Self(15);

    /// The signal with that number, from 1 to 64.
    pub fn new(number: i64) -> Option<Self> {
        u8::try_from(number).ok().filter(|n| (1..=64).contains(n)).map(Self)
    }

    /// The signal with that name, with or without `SIG`, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        let upper = name.trim().to_ascii_uppercase();
        let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
        let index = NAMES.iter().position(|known| *known == bare)?;
        Self::new(i64::try_from(index).ok()? + 1)
    }

    /// The number for kill(2).
    pub const fn number(self) -> i32 {
        self.0 as i32
    }
}

impl std::fmt::Display for Signal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match NAMES.get(usize::from(self.0) - 1) {
            Some(name) => write!(f, "SIG{name}"),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Scalar for Signal {
    const NAME: &'static str = "Signal";
    const FORMAT: &'static str = "signal";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        match value {
            Value::String(text) => {
                Self::from_name(text).or_else(|| text.trim().parse().ok().and_then(Self::new))
            }
            _ => value.as_i64().and_then(Self::new),
        }
        .ok_or_else(|| ValueError::Signal(shown(value)))
    }

    fn render(&self) -> Value {
        if usize::from(self.0) <= NAMES.len() { Value::String(self.to_string()) } else { Value::from(self.0) }
    }

    fn describe() -> Value {
        json!({
            "description": "A signal: a name such as SIGTERM, or a number from 1 to 64.",
            "type": ["string", "integer"], "minimum": 1, "maximum": 64,
        })
    }
}

scalar_traits!(Signal);
